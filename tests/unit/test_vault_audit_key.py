"""The audit trail's key: made once, shown by no repr, believed only under the id that its public half gives it."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path

import pytest

from jobs.errors import InvalidSetting, KeyMissing
from ops import verify_audit
from worker.settings import read_settings
from worker.vault import AuditKey, TrustedKeys, generate_audit_key, read_audit_key, read_trusted_keys

MESSAGE = b"a checkpoint"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.json"


@pytest.fixture
def key(file: Path) -> AuditKey:
    return generate_audit_key(file)


def read(**variables: str) -> AuditKey | None:
    return read_audit_key(read_settings(variables))


def test_what_it_signs_is_checked_by_its_public_half_alone(key: AuditKey) -> None:
    signature = key.sign(MESSAGE)
    assert key.trusted.check(key.key_id, MESSAGE, signature) is True
    assert key.trusted.check(key.key_id, MESSAGE + b"!", signature) is False
    assert key.trusted.check(key.key_id, MESSAGE, signature[:-1]) is False
    assert key.trusted.check("a-0000000000000000", MESSAGE, signature) is None
    public = key.trusted.keys[key.key_id]
    assert verify_audit.is_signed(public, MESSAGE, signature)
    assert not verify_audit.is_signed(public, MESSAGE + b"!", signature)


def test_it_is_read_from_its_file_or_its_variable_and_else_there_is_none(file: Path, key: AuditKey) -> None:
    by_file, by_text = read(ZAPTIK_AUDIT_KEY_FILE=str(file)), read(ZAPTIK_AUDIT_KEY=file.read_text())
    assert by_file is not None
    assert by_text is not None
    assert by_file.key_id == by_text.key_id == key.key_id
    assert by_file.sign(MESSAGE) == key.sign(MESSAGE), "Ed25519 signs the same twice"
    assert read() is None
    with pytest.raises(InvalidSetting, match="not both"):
        read(ZAPTIK_AUDIT_KEY_FILE=str(file), ZAPTIK_AUDIT_KEY="x")


def test_it_is_neither_shown_nor_pickled(file: Path, key: AuditKey) -> None:
    private = json.loads(file.read_text())["private"]
    assert private not in repr(key)
    assert key.key_id in repr(key)
    assert "private" not in json.dumps(key.trusted.describe())
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_the_file_is_its_owners_alone_and_never_overwritten(file: Path, key: AuditKey) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    with pytest.raises(InvalidSetting, match="never overwritten"):
        generate_audit_key(file)
    assert file.read_bytes() == before
    file.chmod(0o640)
    with pytest.raises(KeyMissing, match="chmod 600"):
        read(ZAPTIK_AUDIT_KEY_FILE=str(file))
    assert key.key_id


def test_a_key_after_another_trusts_both(tmp_path: Path, key: AuditKey) -> None:
    after = generate_audit_key(tmp_path / "next.json", after=key)
    assert after.trusted.keys.keys() == {key.key_id, after.key_id}
    assert after.trusted.check(key.key_id, MESSAGE, key.sign(MESSAGE)) is True
    again = read(ZAPTIK_AUDIT_KEY_FILE=str(tmp_path / "next.json"))
    assert again is not None
    assert again.trusted == after.trusted
    assert again.key_id == after.key_id


def test_public_keys_are_read_from_what_is_shown(tmp_path: Path, key: AuditKey) -> None:
    shown = tmp_path / "public.json"
    shown.write_text(json.dumps(key.trusted.describe()))
    assert read_trusted_keys(shown) == key.trusted
    assert verify_audit.read_keys(shown) == key.trusted.keys


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


OTHER = _encode(b"\x01" * 32)
WRONG = {
    "no JSON": "CANARY",
    "no object": '["CANARY"]',
    "no private key": '{"public": {}}',
    "surplus": '{"private": "CANARY", "public": {}, "more": 1}',
    "no public keys": json.dumps({"private": OTHER, "public": {}}),
    "a short key": json.dumps({"private": "CANARY", "public": {"a-1": OTHER}}),
    "a key under another's id": json.dumps({"private": OTHER, "public": {"a-CANARY": OTHER}}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_key_is_refused_without_a_word_of_it(name: str) -> None:
    with pytest.raises(KeyMissing) as refused:
        read(ZAPTIK_AUDIT_KEY=WRONG[name])
    assert "ZAPTIK_AUDIT_KEY" in refused.value.message
    if name != "a key under another's id":  # an id is no secret
        assert "CANARY" not in refused.value.message
    assert OTHER not in refused.value.message


def test_a_private_key_whose_public_half_is_not_there_is_refused(file: Path, key: AuditKey) -> None:
    document = json.loads(file.read_text())
    document["private"] = OTHER
    with pytest.raises(KeyMissing, match="is not among the public keys"):
        read(ZAPTIK_AUDIT_KEY=json.dumps(document))
    assert TrustedKeys(key.trusted.keys) == key.trusted


def test_public_keys_that_cannot_be_read_are_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match="cannot be read"):
        read_trusted_keys(tmp_path / "nobody.json")
