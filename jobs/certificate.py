"""Papers that a deletion leaves: the certificate for the customer, and a tombstone for the list of deleted tenants.

A paper is a JSON object, signed by the key that seals the audit trail. What is signed is a line that says what it is
and then the object without its `signature`: keys in order, no spaces, UTF-8. The form is told, with a program that
checks it, in docs/how-to/offboard-a-tenant.md. Pure: whoever calls brings the key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from jobs.audit import Signer
from jobs.audit_check import CheckSignature
from jobs.errors import UsageFailure

CERTIFICATE: Final = "zaptik deletion certificate 1"
TOMBSTONE: Final = "zaptik tombstone 1"
_STATEMENT = b"zaptik-paper-1\n"
_NO_TOMBSTONE = (ValueError, KeyError, TypeError, RecursionError)

Paper = dict[str, Any]


class CertificateInvalid(UsageFailure):
    """A deletion's certificate is not what was signed, or not by a key that is trusted."""

    code = "certificate_invalid"


class TombstonesUnreadable(UsageFailure):
    """The list of deleted tenants cannot be read, or a line of it is not what was signed."""

    code = "tombstones_unreadable"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A tenant that was deleted, by its opaque reference, under which request, and its certificate's digest."""

    tenant_id: UUID
    reference: str
    deleted_at: datetime
    certificate: str


def sign_paper(content: Mapping[str, object], signer: Signer | None) -> Paper:
    """Give a paper with its key's id and signature; both null where there is no key."""
    paper = {**content, "key_id": signer.key_id if signer else None}
    signature = signer.sign(state_paper(paper)) if signer else None
    return {**paper, "signature": None if signature is None else base64.b64encode(signature).decode()}


def state_paper(paper: Paper) -> bytes:
    """Give the bytes of a paper that are signed."""
    signed = {name: value for name, value in paper.items() if name != "signature"}
    return _STATEMENT + json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_paper(paper: Paper) -> str:
    """Give the SHA-256 of what is signed, which the audit trail keeps of a certificate."""
    return hashlib.sha256(state_paper(paper)).hexdigest()


def check_paper(paper: object, *, form: str, check_signature: CheckSignature) -> Paper:
    """Give back a paper that is what was signed; CertificateInvalid says why it is not."""
    if not isinstance(paper, dict) or paper.get("form") != form:
        raise CertificateInvalid(f"This is no {form!a}.")
    key_id, signature = paper.get("key_id"), paper.get("signature")
    if not isinstance(key_id, str) or not isinstance(signature, str):
        raise CertificateInvalid("It is not signed: no key was there when it was made.")
    try:
        holds = check_signature(key_id, state_paper(paper), base64.b64decode(signature, validate=True))
    except ValueError:
        holds = False
    if holds is None:
        raise CertificateInvalid(
            f"It is signed by {key_id!a}, which is not among the keys that are trusted here."
        )
    if not holds:
        raise CertificateInvalid(f"It is not what {key_id} signed: somebody changed it.")
    return paper


def build_tombstone(certificate: Paper, signer: Signer | None) -> str:
    """Give the line that the list of deleted tenants gets; it holds neither name nor address."""
    content = {
        "form": TOMBSTONE,
        "tenant_id": certificate["tenant_id"],
        "reference": certificate["reference"],
        "deleted_at": certificate["deleted_at"],
        "certificate": digest_paper(certificate),
    }
    return json.dumps(sign_paper(content, signer), ensure_ascii=False) + "\n"


def read_tombstones(
    content: bytes, *, check_signature: CheckSignature | None
) -> tuple[list[Tombstone], bool]:
    """Read the list of deleted tenants, and say whether its last line is torn: cut off in the writing, and passed over.

    Without a key to check by, whoever wrote it is believed. Raises TombstonesUnreadable with the number of the first
    line that is not what it must be, and what to do: a line that somebody put there would delete a tenant.
    """
    *lines, last = content.split(b"\n")
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_read_tombstone(line, check_signature))
            except CertificateInvalid as invalid:
                raise TombstonesUnreadable(_refuse_line(number, invalid.message)) from None
            except _NO_TOMBSTONE:
                raise TombstonesUnreadable(_refuse_line(number, f"It is no {TOMBSTONE!a}.")) from None
    if not last.strip():
        return found, False
    try:
        return [*found, _read_tombstone(last, check_signature)], False  # it lacks its end alone
    except (CertificateInvalid, *_NO_TOMBSTONE):
        return found, True


def mend_tail(tail: bytes) -> tuple[bytes, int]:
    """Give what to add before the next line, and how many bytes to take away, after a list's last line without an end.

    A line that is cut off is of a deletion that was cut off too: it is done again, and adds its line anew.
    """
    if not tail:
        return b"", 0
    try:
        json.loads(tail)
    except (ValueError, RecursionError):
        return b"", len(tail)
    return b"\n", 0


def _refuse_line(number: int, why: str) -> str:
    return (
        f"Line {number} of the list of deleted tenants: {why} No tenant was deleted again. Compare the line with the "
        "certificate of the deletion that it tells of; when you know whose it is, move it to a file of its own, "
        "and delete the tenant that it names, where it is there, by `zaptik tenant offboard`."
    )


def _read_tombstone(line: bytes, check_signature: CheckSignature | None) -> Tombstone:
    paper = json.loads(line)
    if check_signature is not None:
        check_paper(paper, form=TOMBSTONE, check_signature=check_signature)
    if paper["form"] != TOMBSTONE:
        raise ValueError(TOMBSTONE)
    return Tombstone(
        UUID(paper["tenant_id"]),
        str(paper["reference"]),
        datetime.fromisoformat(paper["deleted_at"]),
        str(paper["certificate"]),
    )
