"""The key that seals the audit trail: Ed25519, outside the database, beside the keyring and apart from it.

Its text holds the private key and the public ones, its own and those of earlier keys, so that a chain over a change of
keys is checked with one file. A key's id is made from its public key: nobody can give another key the same id.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jobs.errors import InvalidSetting, KeyMissing
from worker.settings import Settings, variable_of
from worker.vault.envelope import KEY_BYTES
from worker.vault.keyring import decode_key
from worker.vault.secret_file import MAX_SECRET_BYTES, create_secret, read_secret, settle_folder

_SHAPE: Final = '{"private": "32 bytes in base64", "public": {"a-ID": "32 bytes in base64"}}'
_PUBLIC_SHAPE: Final = '{"public": {"a-ID": "32 bytes in base64"}}'
_MADE_BY: Final = "zaptik audit key generate --into"


@dataclass(frozen=True, slots=True, repr=False)
class TrustedKeys:
    """Public keys by their ids: whose checkpoints are believed."""

    keys: Mapping[str, bytes]

    def check(self, key_id: str, message: bytes, signature: bytes) -> bool | None:
        """Say whether a signature holds; None where the key is not among these."""
        public = self.keys.get(key_id)
        if public is None:
            return None
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def describe(self) -> dict[str, object]:
        """Give them as the document that an auditor gets; it holds no secret."""
        return {
            "public": {key_id: base64.b64encode(key).decode() for key_id, key in sorted(self.keys.items())}
        }


@dataclass(frozen=True, slots=True, repr=False)
class AuditKey:
    """The private key, its id, and the public keys of the whole chain. Neither shown nor pickled."""

    key_id: str
    trusted: TrustedKeys
    _private: Ed25519PrivateKey = field(repr=False)

    def __repr__(self) -> str:
        return f"AuditKey({self.key_id!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an audit key is not pickled")

    def sign(self, message: bytes) -> bytes:
        """Sign with Ed25519: 64 bytes."""
        return self._private.sign(message)


def name_key(public: bytes) -> str:
    """Give the id of a public key: `a-` and the first 16 hex digits of its SHA-256."""
    return f"a-{hashlib.sha256(public).hexdigest()[:16]}"


def read_audit_key(settings: Settings) -> AuditKey | None:
    """Read the key from where the settings say, None where they name none; `KeyMissing` where it cannot be used."""
    if settings.audit_key_file is not None:
        text = read_secret(settings.audit_key_file, what="audit key", made_by=_MADE_BY)
        return parse_audit_key(text, where=str(settings.audit_key_file))
    if settings.audit_key is not None:
        return parse_audit_key(settings.audit_key.get_secret_value(), where=variable_of("audit_key"))
    return None


def read_trusted_keys(path: Path) -> TrustedKeys:
    """Read a file of public keys, as `audit key show` prints it; `KeyMissing` where it holds none."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SECRET_BYTES).decode(errors="replace")
    except OSError as error:
        raise KeyMissing(f"the public keys {path} cannot be read: {error.strerror}") from None
    return _parse_public(_load(text), where=str(path))


def parse_audit_key(text: str, *, where: str) -> AuditKey:
    """Parse the JSON text of an audit key; `where` it stood is named in a `KeyMissing`, its text never."""
    document = _load(text)
    if not isinstance(document, dict) or set(document) != {"private", "public"}:
        raise KeyMissing(f"{where} holds no audit key: write {_SHAPE}")
    private = Ed25519PrivateKey.from_private_bytes(_parse_key(document["private"], where=where))
    trusted = _parse_public(document, where=where)
    key_id = name_key(private.public_key().public_bytes_raw())
    if key_id not in trusted.keys:
        raise KeyMissing(f"{where}: {key_id}, the private key's public one, is not among the public keys")
    return AuditKey(key_id, trusted, private)


def generate_audit_key(path: Path, *, after: AuditKey | None = None) -> AuditKey:
    """Create the file of a fresh key, which goes on trusting those `after` which it comes; give the key."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    earlier = after.trusted.keys if after else {}
    key = AuditKey(name_key(public), TrustedKeys({**earlier, name_key(public): public}), private)
    document = {"private": base64.b64encode(private.private_bytes_raw()).decode(), **key.trusted.describe()}
    try:
        with create_secret(path) as file:
            file.write(json.dumps(document, indent=2) + "\n")
    except FileExistsError:
        raise InvalidSetting(f"{path} exists and is never overwritten: name another file") from None
    settle_folder(path)
    return key


def _load(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None  # the decoder's exception would hold the text


def _parse_public(document: object, *, where: str) -> TrustedKeys:
    public = document.get("public") if isinstance(document, dict) else None
    if not isinstance(public, dict) or not public:
        raise KeyMissing(f"{where} holds no public keys: write {_PUBLIC_SHAPE}")
    keys = {str(key_id): _parse_key(value, where=where) for key_id, value in public.items()}
    if wrong := sorted(key_id for key_id, key in keys.items() if key_id != name_key(key)):
        raise KeyMissing(f"{where}: {wrong[0]!a} is not the id of its key: take the file as it was made")
    return TrustedKeys(keys)


def _parse_key(value: object, *, where: str) -> bytes:
    key = decode_key(value)
    if key is None:
        raise KeyMissing(f"{where}: a key is not {KEY_BYTES} bytes in base64")
    return key
