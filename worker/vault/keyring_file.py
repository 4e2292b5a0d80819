"""The keyring's file, changed as a whole; `secret_file` keeps it for its owner alone.

What a change is, `keyring` says. A key that was lost would take every value under it along, so nothing here ever
overwrites a file that it has not read, and a change is on the disk before anybody is told of it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jobs.errors import InvalidSetting
from worker.vault.keyring import Keyring, format_keyring, new_keyring, parse_keyring
from worker.vault.secret_file import MAX_SECRET_BYTES, create_secret, read_secret, settle_folder

MAX_KEYRING_BYTES: Final = MAX_SECRET_BYTES


def generate_keyring(path: Path) -> str:
    """Create the keyring's file with one fresh key and give the key's id; an existing file is left alone."""
    keyring = new_keyring()
    try:
        with create_secret(path) as file:
            file.write(format_keyring(keyring))
    except FileExistsError:
        raise InvalidSetting(
            f"{path} exists and is never overwritten, since what its keys sealed would never open again: name "
            "another file"
        ) from None
    settle_folder(path)
    return keyring.primary


def change_keyring(path: Path, change: Callable[[Keyring], Keyring]) -> Keyring:
    """Change the keyring's file, with `with_new_primary` say, and give the new keyring.

    A reader sees the old file or the new one. The file beside it is also the lock: of two changes at once one
    is refused before it reads, since a key that was lost would take every value under it along.
    """
    target = path.resolve()
    beside = target.with_name(f"{target.name}.new")
    try:
        with create_secret(beside) as file:
            keyring = change(read_keyring_file(path))
            file.write(format_keyring(keyring))
    except FileExistsError:
        raise InvalidSetting(
            f"{beside} exists: another command changes the keyring; where none does, remove the file"
        ) from None
    _put_in_place(beside, target)
    return keyring


def check_changeable(path: Path) -> None:
    """Raise InvalidSetting where the keyring's file cannot be changed, before anything else is."""
    if not os.access(path.resolve().parent, os.W_OK):
        raise InvalidSetting(
            f"{path} cannot be changed from here, its folder is read-only: with --print the keyring is printed, for "
            "you to put in its place"
        )


def read_keyring_file(path: Path) -> Keyring:
    """Read the keyring's file; `KeyMissing` where it is not there, not ours alone, or holds none."""
    text = read_secret(path, what="keyring", made_by="zaptik keys generate --into")
    return parse_keyring(text, where=str(path))


def _put_in_place(beside: Path, target: Path) -> None:
    try:
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    settle_folder(target)
