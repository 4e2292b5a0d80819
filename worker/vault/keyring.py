"""The deployment's keys: one primary that seals, and others that only open what they sealed before.

A keyring is a value, and here is its text and what may change in it. Where it comes from is in `sources`, its file in
`keyring_file`; sealing itself is in `envelope`. Which stored values still need an old key, the database alone knows.
"""

import base64
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from jobs.errors import InvalidSetting, KeyMissing
from worker.vault.envelope import KEY_BYTES

_KEY_ID: Final = re.compile(r"k-[A-Za-z0-9._-]{1,60}")
_SHAPE: Final = '{"primary": "k-ID", "keys": {"k-ID": "32 bytes in base64"}}'


class Keys(Protocol):
    """What sealing and opening need: a keyring, or what holds one that changes."""

    def now(self) -> "Keyring":
        """Give the keyring as it is at the moment."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """Keys by their id; `primary` seals. Neither shown nor pickled."""

    primary: str
    keys: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"Keyring(primary={self.primary!r}, keys={sorted(self.keys)!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is not pickled")

    def now(self) -> "Keyring":
        """Give itself, which never changes."""
        return self

    @property
    def primary_key(self) -> bytes:
        """Give the key that seals."""
        return self.keys[self.primary]


def parse_keyring(text: str, *, where: str) -> Keyring:
    """Parse the JSON text of a keyring; `where` it stood is named in a `KeyMissing`, its text never."""
    primary, encoded = _parse_shape(text, where=where)
    keys = {key_id: _parse_key(key_id, value, where=where) for key_id, value in encoded.items()}
    if primary not in keys:
        raise KeyMissing(f"{where}: the primary key is not among the keys")
    return Keyring(primary=primary, keys=keys)


def format_keyring(keyring: Keyring) -> str:
    """Give the JSON text of a keyring. It holds the keys: write it where only the worker can read it."""
    return json.dumps(describe_keyring(keyring), indent=2) + "\n"


def describe_keyring(keyring: Keyring) -> dict[str, object]:
    """Give a keyring as the document that its text is. It holds the keys."""
    keys = {key_id: base64.b64encode(key).decode() for key_id, key in keyring.keys.items()}
    return {"primary": keyring.primary, "keys": keys}


def new_keyring() -> Keyring:
    """Make a keyring of one fresh key."""
    return with_new_primary(Keyring(primary="", keys={}))


def with_new_key(keyring: Keyring) -> tuple[Keyring, str]:
    """Give the keyring with a fresh key that only opens so far, and the key's id."""
    key_id = f"k-{secrets.token_hex(6)}"
    keys = {**keyring.keys, key_id: secrets.token_bytes(KEY_BYTES)}
    return Keyring(primary=keyring.primary or key_id, keys=keys), key_id


def with_primary(keyring: Keyring, key_id: str) -> Keyring:
    """Give the keyring with another of its keys as the primary; the others go on opening what they sealed."""
    if key_id not in keyring.keys:
        raise KeyMissing(f"no key {key_id} in the keyring; it has {', '.join(sorted(keyring.keys))}")
    return Keyring(primary=key_id, keys=keyring.keys)


def with_new_primary(keyring: Keyring) -> Keyring:
    """Give the keyring with a fresh key as its primary: where nobody else holds the keyring."""
    return with_primary(*with_new_key(keyring))


def without_key(keyring: Keyring, key_id: str) -> Keyring:
    """Give the keyring without one key, never the primary; that nothing needs it is the caller's to know."""
    if key_id not in keyring.keys:
        raise KeyMissing(f"no key {key_id} in the keyring; it has {', '.join(sorted(keyring.keys))}")
    if key_id == keyring.primary:
        raise InvalidSetting(f"{key_id} is the primary key: run `zaptik keys rotate` first")
    return Keyring(keyring.primary, {name: key for name, key in keyring.keys.items() if name != key_id})


def check_keys_present(keyring: Keys, key_ids: Iterable[str]) -> None:
    """Raise `KeyMissing` with every id, of those under which values are stored, that the keyring lacks."""
    if absent := sorted(set(key_ids) - keyring.now().keys.keys()):
        raise KeyMissing(
            f"values are sealed under {', '.join(absent)}, which the keyring lacks: put the key back into it; "
            "docs/runbooks/key-missing.md says where it may be"
        )


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


def decode_key(value: object) -> bytes | None:
    """Give the `KEY_BYTES` that a document holds in base64; None where it does not."""
    try:
        key = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None


def _parse_key(key_id: str, value: object, *, where: str) -> bytes:
    if not _KEY_ID.fullmatch(key_id):
        raise KeyMissing(f"{where}: a key's id is k- and then letters, digits, dots, hyphens or underscores")
    key = decode_key(value)
    if key is None:
        raise KeyMissing(f"{where}: key {key_id} is not {KEY_BYTES} bytes in base64")
    return key
