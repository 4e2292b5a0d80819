"""Papers of a deletion: signed byte by byte, refused when anything in them is another than it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.certificate import (
    CERTIFICATE,
    TOMBSTONE,
    CertificateInvalid,
    TombstonesUnreadable,
    build_tombstone,
    check_paper,
    digest_paper,
    mend_tail,
    read_tombstones,
    sign_paper,
)
from worker.vault import AuditKey, generate_audit_key

CONTENT: dict[str, Any] = {
    "form": CERTIFICATE,
    "tenant": "acme",
    "tenant_id": "0f7d3c1e-94a5-4a5e-8f21-6f4f7f7a2b10",
    "reference": "Brief vom 3. März",
    "deleted_at": "2026-12-17T03:00:02Z",
    "deleted": {"graph_rows": {"node": 3}, "roles": ["tenant_acme"]},
}


@pytest.fixture
def key(tmp_path: Path) -> AuditKey:
    return generate_audit_key(tmp_path / "audit.json")


def test_a_signed_paper_is_what_was_signed_whatever_the_order_of_its_fields(key: AuditKey) -> None:
    paper = sign_paper(CONTENT, key)
    shuffled = json.loads(json.dumps(dict(reversed(paper.items())), ensure_ascii=True, indent=4))
    assert check_paper(shuffled, form=CERTIFICATE, check_signature=key.trusted.check) == paper
    assert digest_paper(shuffled) == digest_paper(paper)


@pytest.mark.parametrize("name", [*CONTENT, "key_id", "signature", "added"])
def test_a_change_of_any_field_is_found(key: AuditKey, name: str) -> None:
    paper = sign_paper(CONTENT, key)
    changed = {**paper, name: {"graph_rows": {"node": 4}} if name == "deleted" else "another"}
    with pytest.raises(CertificateInvalid):
        check_paper(changed, form=CERTIFICATE, check_signature=key.trusted.check)


def test_another_key_an_unsigned_paper_and_another_kind_of_paper_are_refused(
    key: AuditKey, tmp_path: Path
) -> None:
    paper = sign_paper(CONTENT, key)
    other = generate_audit_key(tmp_path / "other.json")
    with pytest.raises(CertificateInvalid, match="not among the keys"):
        check_paper(paper, form=CERTIFICATE, check_signature=other.trusted.check)
    with pytest.raises(CertificateInvalid, match="not signed"):
        check_paper(sign_paper(CONTENT, None), form=CERTIFICATE, check_signature=key.trusted.check)
    things: list[object] = [None, [], "x", {}, {**paper, "form": TOMBSTONE}]
    for thing in things:
        with pytest.raises(CertificateInvalid, match="This is no"):
            check_paper(thing, form=CERTIFICATE, check_signature=key.trusted.check)


def test_a_paper_is_no_checkpoint_and_a_checkpoint_no_paper(key: AuditKey) -> None:
    """One key signs both: the line before the bytes says which it is."""
    paper = sign_paper(CONTENT, key)
    assert paper["signature"] is not None
    bare = json.dumps({k: v for k, v in paper.items() if k != "signature"}, sort_keys=True).encode()
    assert key.trusted.check(key.key_id, bare, key.sign(b"zaptik-audit-checkpoint-1\n" + bare)) is False


def test_a_tombstone_names_nobody_and_leads_to_its_certificate(key: AuditKey) -> None:
    certificate = sign_paper(CONTENT, key)
    line = build_tombstone(certificate, key)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert "acme" not in line
    [tombstone], is_torn = read_tombstones(f"\n{line}\n".encode(), check_signature=key.trusted.check)
    assert not is_torn
    assert str(tombstone.tenant_id) == CONTENT["tenant_id"]
    assert (tombstone.reference, tombstone.certificate) == (CONTENT["reference"], digest_paper(certificate))


def test_a_line_that_somebody_put_there_deletes_nobody(key: AuditKey, tmp_path: Path) -> None:
    other = generate_audit_key(tmp_path / "other.json")
    good, forged = (build_tombstone(sign_paper(CONTENT, one), one) for one in (key, other))
    unsigned = build_tombstone(sign_paper(CONTENT, None), None)
    moved = good.replace(CONTENT["tenant_id"], "11111111-1111-1111-1111-111111111111")
    for line in (forged, unsigned, moved, "no json\n", "[]\n", "{}\n", good[:-20] + "\n"):
        for after in ("", good):
            with pytest.raises(
                TombstonesUnreadable, match=r"Line 2 of the list.*move it to a file of its own"
            ):
                read_tombstones((good + line + after).encode(), check_signature=key.trusted.check)
    believed, _ = read_tombstones((good + unsigned).encode(), check_signature=None)
    assert len(believed) == 2, "where there is no key, none is asked for"
    for line in ("no json", "[]", "{}", json.dumps({"form": CERTIFICATE})):
        with pytest.raises(TombstonesUnreadable, match="Line 1"):
            read_tombstones(f"{line}\n".encode(), check_signature=None)


def test_a_last_line_that_was_cut_off_is_passed_over_and_told(key: AuditKey) -> None:
    good = build_tombstone(sign_paper({**CONTENT, "reference": "Löschung"}, key), key).encode()
    for end in range(1, len(good) - 1):
        found, is_torn = read_tombstones(good + good[:end], check_signature=key.trusted.check)
        assert (len(found), is_torn) == (1, True), end
    found, is_torn = read_tombstones(good + good[:-1], check_signature=key.trusted.check)
    assert (len(found), is_torn) == (2, False), "it lacks its end alone"
    assert mend_tail(b"") == (b"", 0)
    assert mend_tail(good[:-1]) == (b"\n", 0)
    assert mend_tail(good[:30]) == (b"", 30)
