"""The deployment's keys: one primary that seals, and others that only open what they sealed before.

They come from a file or a variable, never from the database they protect, and stay in memory. Sealing itself
is in `envelope`; which stored values still need an old key, the database alone knows.
"""

import base64
import contextlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TextIO

from jobs.errors import InvalidSetting, KeyMissing
from worker.settings import Settings, variable_of

KEY_BYTES: Final = 32
_KEY_ID: Final = re.compile(r"k-[A-Za-z0-9._-]{1,60}")
_SHAPE: Final = '{"primary": "k-ID", "keys": {"k-ID": "32 bytes in base64"}}'
_MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """Keys by their id; `primary` seals. Neither shown nor pickled."""

    primary: str
    keys: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"Keyring(primary={self.primary!r}, keys={sorted(self.keys)!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is not pickled")

    @property
    def primary_key(self) -> bytes:
        """Give the key that seals."""
        return self.keys[self.primary]


def read_keyring(settings: Settings) -> Keyring:
    """Read the keyring from the file or the variable the settings name; `KeyMissing` says what to do."""
    if settings.keyring_file is not None:
        return _read_keyring_file(settings.keyring_file)
    if settings.keyring is not None:
        return parse_keyring(settings.keyring.get_secret_value(), where=variable_of("keyring"))
    raise KeyMissing(
        f"no keyring: set {variable_of('keyring_file')} to the file that `zaptik keys generate --into FILE` "
        f"makes, or {variable_of('keyring')} to its text"
    )


def parse_keyring(text: str, *, where: str) -> Keyring:
    """Parse the JSON text of a keyring; `where` it stood is named in a `KeyMissing`, its text never."""
    primary, encoded = _parse_shape(text, where=where)
    keys = {key_id: _parse_key(key_id, value, where=where) for key_id, value in encoded.items()}
    if primary not in keys:
        raise KeyMissing(f"{where}: the primary key is not among the keys")
    return Keyring(primary=primary, keys=keys)


def format_keyring(keyring: Keyring) -> str:
    """Give the JSON text of a keyring. It holds the keys: write it where only the worker can read it."""
    keys = {key_id: base64.b64encode(key).decode() for key_id, key in keyring.keys.items()}
    return json.dumps({"primary": keyring.primary, "keys": keys}, indent=2) + "\n"


def new_keyring() -> Keyring:
    """Make a keyring of one fresh key."""
    return with_new_primary(Keyring(primary="", keys={}))


def with_new_primary(keyring: Keyring) -> Keyring:
    """Give the keyring with a fresh key as its primary; the others go on opening what they sealed."""
    key_id = f"k-{secrets.token_hex(6)}"
    return Keyring(primary=key_id, keys={**keyring.keys, key_id: secrets.token_bytes(KEY_BYTES)})


def without_key(keyring: Keyring, key_id: str) -> Keyring:
    """Give the keyring without one key, never the primary; that nothing needs it is the caller's to know."""
    if key_id not in keyring.keys:
        raise KeyMissing(f"no key {key_id} in the keyring; it has {', '.join(sorted(keyring.keys))}")
    if key_id == keyring.primary:
        raise InvalidSetting(f"{key_id} is the primary key: run `zaptik keys rotate` first")
    return Keyring(keyring.primary, {name: key for name, key in keyring.keys.items() if name != key_id})


def check_keys_present(keyring: Keyring, key_ids: Iterable[str]) -> None:
    """Raise `KeyMissing` with every id, of those under which values are stored, that the keyring lacks."""
    if absent := sorted(set(key_ids) - keyring.keys.keys()):
        raise KeyMissing(
            f"values are sealed under {', '.join(absent)}, which the keyring lacks: put the key back into it"
        )


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
            keyring = change(_read_keyring_file(path))
            _write(file, keyring)
            beside.replace(target)
    except FileExistsError:
        raise InvalidSetting(
            f"{beside} exists: another command changes the keyring; where none does, remove the file"
        ) from None
    return keyring


def _read_keyring_file(path: Path) -> Keyring:
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
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise KeyMissing(f"the keyring {path} is no regular file")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyMissing(f"the keyring {path} is open to others than its owner: run `chmod 600 {path}`")
        content = file.read(_MAX_FILE_BYTES)
    return parse_keyring(content.decode(errors="replace"), where=str(path))


def _parse_shape(text: str, *, where: str) -> tuple[str, dict[str, object]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None  # raised outside, since the decoder's exception holds the text
    match document:
        case {"primary": str(primary), "keys": dict(keys), **surplus} if not surplus:
            return primary, keys
        case _:
            raise KeyMissing(f"{where} holds no keyring: write {_SHAPE}")


def _parse_key(key_id: str, value: object, *, where: str) -> bytes:
    if not _KEY_ID.fullmatch(key_id):
        raise KeyMissing(f"{where}: a key's id is k- and then letters, digits, dots, hyphens or underscores")
    try:
        key = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyMissing(f"{where}: key {key_id} is not {KEY_BYTES} bytes in base64")
    return key


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
