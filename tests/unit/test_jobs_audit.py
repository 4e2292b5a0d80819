"""The trail's bytes, as docs/reference/audit-format.md tells them, and what is found wrong in a chain."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.audit import AuditEvent, Checkpoint, Frontier, build_checkpoint, count_months_ahead, hash_event
from jobs.audit_check import Fault, check_checkpoint, check_events
from ops import verify_audit

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "audit-format.md"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A signer whose signature anybody can make: for what has nothing to do with keys."""

    key_id: str = "a-stamp"

    def sign(self, message: bytes) -> bytes:
        return sha256(message).digest() * 2

    def check(self, key_id: str, message: bytes, signature: bytes) -> bool | None:
        return signature == self.sign(message) if key_id == self.key_id else None


def event(audit_id: int, *, xid: int = 1, detail: str = "{}") -> AuditEvent:
    return AuditEvent(
        audit_id, 1_700_000_000_000_000 + audit_id, str(xid), "zaptik_app", None, "x", None, None, detail
    )


def seal(events: Sequence[AuditEvent], newest: Checkpoint | None = None) -> Checkpoint:
    return build_checkpoint(events, Frontier("2026-11"), newest, signer=Stamp(), sealed_us=5)


def vectors() -> list[dict[str, object]]:
    return [json.loads(block) for block in re.findall(r"(?ms)^```json\n(.*?)^```$", PAGE.read_text("utf-8"))]


def test_an_events_bytes_are_those_of_the_page() -> None:
    told = [vector for vector in vectors() if "event" in vector]
    assert len(told) >= 2
    for vector in told:
        given_event: dict[str, object] = vector["event"]  # type: ignore[assignment]
        assert hash_event(AuditEvent(**given_event)).hex() == vector["sha256"]  # type: ignore[arg-type]
        assert verify_audit.hash_event(given_event) == vector["sha256"]


def test_a_checkpoints_bytes_are_those_of_the_page() -> None:
    [vector] = [vector for vector in vectors() if "checkpoint" in vector]
    told: dict[str, object] = vector["checkpoint"]  # type: ignore[assignment]
    fields = {
        **told,
        "entries": bytes.fromhex(str(told["entries"])),
        "previous": bytes.fromhex(str(told["previous"])),
    }
    checkpoint = Checkpoint(**fields)  # type: ignore[arg-type]
    assert checkpoint.statement().decode() == vector["statement"]
    assert sha256(checkpoint.statement()).hexdigest() == vector["digest"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.none() | TEXTS, min_size=9, max_size=9), st.integers(0, 8), st.none() | TEXTS)
def test_no_two_events_have_the_same_bytes(fields: list[str | None], place: int, other: str | None) -> None:
    changed = [*fields[:place], other, *fields[place + 1 :]]
    hashes = {hash_event(AuditEvent(*given_fields)) for given_fields in (fields, changed)}  # type: ignore[arg-type]
    assert len(hashes) == (1 if fields == changed else 2)


def test_where_one_field_ends_and_the_next_begins_is_told() -> None:
    one, other = event(1)._replace(action="ab", actor="c"), event(1)._replace(action="a", actor="bc")
    assert hash_event(one) != hash_event(other)
    assert hash_event(event(1)._replace(caller="-")) != hash_event(event(1))


Change = Callable[[list[AuditEvent]], list[AuditEvent]]

CHANGES: dict[str, tuple[Change, Fault | None]] = {
    "nothing": (lambda events: events, None),
    "one altered": (
        lambda events: [*events[:2], event(3, detail='{"a": 1}'), *events[3:]],
        Fault("altered", 1, "2026-11", 3),
    ),
    "the first gone": (lambda events: events[1:], Fault("missing", 1, "2026-11", 1)),
    "the last gone": (lambda events: events[:-1], Fault("missing", 1, "2026-11", 5)),
    "all gone": (lambda _: [], Fault("missing", 1, "2026-11", 1)),
    "one added": (lambda events: [*events[:2], event(9), *events[2:]], Fault("added", 1, "2026-11", 9)),
    "one added at the end": (lambda events: [*events, event(9)], Fault("added", 1, "2026-11", 9)),
    "one there twice": (lambda events: [*events, events[0]], Fault("added", 1, "2026-11", 1)),
    "two the other way round": (
        lambda events: [events[0], events[2], events[1], *events[3:]],
        Fault("altered", 1, "2026-11", 2),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_of_a_segments_events_the_first_that_differs_is_named(name: str) -> None:
    change, fault = CHANGES[name]
    events = [event(number) for number in range(1, 6)]
    checkpoint = seal(events)
    assert check_events(checkpoint, change(events)) == fault


def test_a_chain_holds_link_by_link() -> None:
    first = seal([event(1)])
    second = seal([event(2)], first)
    third = seal([event(3)], second)
    check = Stamp().check
    assert check_checkpoint(first, None, check) is None
    assert check_checkpoint(second, first, check) is None
    for checkpoint, before, what in (
        (second, None, "segment_missing"),
        (third, first, "segment_missing"),
        (first, first, "segment_missing"),
        (replace(second, previous=third.digest), first, "segment_forged"),
        (replace(second, sealed_us=6), first, "segment_forged"),
        (replace(second, entries=first.entries), first, "segment_forged"),
        (replace(second, signature=bytes(64)), first, "signature"),
        (replace(second, key_id="a-other"), first, "unknown_key"),
    ):
        fault = check_checkpoint(checkpoint, before, check)
        assert fault == Fault(what, checkpoint.segment, "2026-11"), what  # type: ignore[arg-type]


def test_a_second_chain_from_the_same_checkpoint_does_not_follow() -> None:
    """Whoever holds the key could sign another second segment; a third names which it follows."""
    first = seal([event(1)])
    second, other = seal([event(2)], first), seal([event(7)], first)
    assert check_checkpoint(seal([event(3)], second), other, Stamp().check) == Fault(
        "segment_missing", 3, "2026-11"
    )


def test_a_fault_says_what_and_where() -> None:
    assert (
        str(Fault("altered", 2, "2026-11", 17))
        == "event 17 of segment 2, 2026-11, was altered after it was sealed"
    )
    assert str(Fault("segment_missing", 2, "2026-11")).startswith("segment 2, 2026-11, ")
    assert str(Fault("partition_missing", bound="2026-11")).startswith("the month 2026-11 is gone")
    assert str(Fault("truncated", 7)).startswith("after segment 7 the chain is cut")


# RFC 8032, 7.1, tests 1 to 3: public key, message, signature.
SIGNED = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), SIGNED)
def test_the_stand_alone_script_checks_signatures_as_the_rfc_does(
    public: str, message: str, signature: str
) -> None:
    key, said, signed = (bytes.fromhex(text) for text in (public, message, signature))
    assert verify_audit.is_signed(key, said, signed)
    assert not verify_audit.is_signed(key, said + b"x", signed)
    assert not verify_audit.is_signed(key, said, signed[:32] + bytes(32))
    assert not verify_audit.is_signed(key, said, bytes([signed[0] ^ 1]) + signed[1:])
    assert not verify_audit.is_signed(key, said, signed[:-1])
    assert not verify_audit.is_signed(b"\xff" * 32, said, signed), "no point of the curve"
    beyond = int.from_bytes(signed[32:], "little") + verify_audit.Q
    assert not verify_audit.is_signed(key, said, signed[:32] + beyond.to_bytes(32, "little")), "not reduced"


@pytest.mark.parametrize(
    ("bounds", "ahead"),
    [
        ([], -1),
        (["rest"], -1),
        (["2026-11", "rest"], 0),
        (["2026-11", "2026-12", "2027-01", "rest"], 2),
        (["2026-11", "2027-01"], 0),
        (["2026-12"], -1),
    ],
)
def test_months_ahead_are_counted_in_a_row(bounds: list[str], ahead: int) -> None:
    assert count_months_ahead(bounds, year=2026, month=11) == ahead
