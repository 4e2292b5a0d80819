"""The keyring's file: made for its owner alone, read only where it is still that, changed as a whole.

What a change is, `keyring` says. A key that was lost would take every value under it along, so nothing here ever
overwrites a file that it has not read, and a change is on the disk before anybody is told of it.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TextIO

from jobs.errors import InvalidSetting, KeyMissing
from worker.settings.secret_files import describe_exposure
from worker.vault.keyring import Keyring, format_keyring, new_keyring, parse_keyring

MAX_KEYRING_BYTES: Final = 1 << 20


def generate_keyring(path: Path) -> str:
    """Create the keyring's file with one fresh key and give the key's id; an existing file is left alone."""
    keyring = new_keyring()
    try:
        with _create(path) as file:
            _write(file, keyring)
    except FileExistsError:
        raise InvalidSetting(
            f"{path} exists and is never overwritten, since what its keys sealed would never open again: name "
            "another file"
        ) from None
    _settle_folder(path)
    return keyring.primary


def change_keyring(path: Path, change: Callable[[Keyring], Keyring]) -> Keyring:
    """Change the keyring's file, with `with_new_primary` say, and give the new keyring.

    A reader sees the old file or the new one. The file beside it is also the lock: of two changes at once one
    is refused before it reads, since a key that was lost would take every value under it along.
    """
    target = path.resolve()
    beside = target.with_name(f"{target.name}.new")
    try:
        with _create(beside) as file:
            keyring = change(read_keyring_file(path))
            _write(file, keyring)
            beside.replace(target)
    except FileExistsError:
        raise InvalidSetting(
            f"{beside} exists: another command changes the keyring; where none does, remove the file"
        ) from None
    _settle_folder(target)
    return keyring


def read_keyring_file(path: Path) -> Keyring:
    """Read the keyring's file; `KeyMissing` where it is not there, not ours alone, or holds none."""
    try:
        # Not blocking: a pipe in the file's place must not hang the process at its start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyMissing(
            f"the keyring {path} cannot be read: {error.strerror}; `zaptik keys generate --into {path}` "
            "makes one"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        # Asked of the open file and not of its name, which may change between the two.
        if exposed := describe_exposure(os.fstat(descriptor), user=os.geteuid()):
            raise KeyMissing(f"the keyring {path} {exposed}".replace("FILE", str(path)))
        content = file.read(MAX_KEYRING_BYTES)
    return parse_keyring(content.decode(errors="replace"), where=str(path))


@contextlib.contextmanager
def _create(path: Path) -> Iterator[TextIO]:
    """Create a file for its owner alone and remove it again if the block fails.

    `FileExistsError` where the name is taken, even by a dead link; `InvalidSetting` where it cannot be.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise InvalidSetting(f"{path} cannot be created: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(file: TextIO, keyring: Keyring) -> None:
    file.write(format_keyring(keyring))
    file.flush()
    os.fsync(file.fileno())


def _settle_folder(path: Path) -> None:
    """Bring the name to the disk too: after a loss of power the file must not be the one before."""
    descriptor = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
