"""Checks an exported audit trail by itself: `python verify_audit.py TRAIL --public-key KEYS [--checkpoint DIGEST]`.

It needs Python 3.11 and nothing else: no database, no package, nothing of Zaptik's. TRAIL is what `zaptik audit export`
wrote, KEYS what `zaptik audit key show` printed, got on another way than TRAIL. Each DIGEST is a checkpoint's that is
known from elsewhere, as from the log's `audit.sealed`: it must be in the chain, which shows that the end was not cut.
Events may lack of a month that ended two years, or longer, before the newest checkpoint was signed, and of what TRAIL
says that it was not asked for; both are printed.
The bytes are told in docs/reference/audit-format.md; Ed25519 is checked as RFC 8032, 5.1.7, says.
Exit code 0: it holds. 1: it does not, and the first thing wrong is named. 2: there is nothing to check.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

FORM = "zaptik-audit-export-1"
EVENT_FIELDS = (
    "audit_id", "occurred_us", "xid", "actor", "caller", "action", "tenant_ref", "run_id", "detail",
)  # fmt: skip
SIGNED_FIELDS = (
    "segment", "bound", "after_id", "last_xid", "last_id", "highest_id", "events", "first_us", "last_us", "sealed_us",
    "entries_sha256", "previous", "key_id",
)  # fmt: skip

# The curve of Ed25519: -x² + y² = 1 + d x² y² modulo p, with a base point of order q.
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
KEY_BYTES, SIGNATURE_BYTES, ENTRY_BYTES = 32, 64, 40
KEPT_YEARS = 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Point: TypeAlias = tuple[int, int, int, int]
"""x/z, y/z, z and x·y/z: extended homogeneous coordinates."""


class DoesNotHoldError(Exception):
    """The first thing wrong, in words."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a file; gives the exit code."""
    parser = argparse.ArgumentParser(description="Checks an exported audit trail without its database.")
    parser.add_argument("trail", type=Path, metavar="TRAIL", help="what `zaptik audit export` wrote")
    parser.add_argument(
        "--public-key", type=Path, required=True, metavar="KEYS", help="what `audit key show` printed"
    )
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="DIGEST", help="must be in the chain"
    )
    asked = parser.parse_args(arguments)
    try:
        keys = read_keys(asked.public_key)
        checked = check_trail(read_lines(asked.trail), keys, set(asked.checkpoint))
    except DoesNotHoldError as wrong:
        print(f"DOES NOT HOLD: {wrong}")
        return 1
    except (OSError, ValueError, KeyError, TypeError) as unreadable:
        print(f"cannot be checked: {unreadable}", file=sys.stderr)
        return 2
    print(f"holds: {checked.segments} checkpoints in one chain, {checked.events} events as they were sealed")
    if checked.asked != (None, None):
        print(f"events of other times were left out: asked was from {checked.asked[0]} to {checked.asked[1]}")
    if checked.gone:
        print(f"gone when their time was over: {', '.join(checked.gone)}")
    return 0


@dataclass
class Checked:
    """How many checkpoints and events hold, the time that the file was asked for, and the months that are gone."""

    segments: int = 0
    events: int = 0
    asked: tuple[str | None, str | None] = (None, None)
    gone: list[str] = field(default_factory=list)


def check_trail(lines: Iterator[dict[str, Any]], keys: Mapping[str, bytes], known: set[str]) -> Checked:
    """Check checkpoint by checkpoint, each with the events after it."""
    head = next(lines)
    checked = Checked(asked=(head["from"], head["to"]))
    before: dict[str, Any] | None = None
    lacking: list[dict[str, Any]] = []
    line = next(lines, None)
    while line is not None and line["type"] == "checkpoint":
        checkpoint, found = line, []
        while (line := next(lines, None)) is not None and line["type"] == "event":
            found.append(line)
        check_checkpoint(checkpoint, before, keys)
        if checkpoint["entries"] is not None:
            check_events(checkpoint, found)
        elif found:
            raise DoesNotHoldError(
                f"segment {checkpoint['segment']} says that its events are left out, and has some"
            )
        elif is_asked_for(checkpoint, checked.asked):
            lacking.append(checkpoint)
        known.discard(checkpoint["digest"])
        before = checkpoint
        checked.events += len(found)
        checked.segments += 1
    if line is None or line["type"] != "end":
        raise DoesNotHoldError("the file has no end: it was cut")
    if (line["segments"], line["events"]) != (checked.segments, checked.events):
        raise DoesNotHoldError(
            f"the file's end tells of {line['segments']} segments and {line['events']} events"
        )
    if known:
        raise DoesNotHoldError(f"the chain is cut or another: checkpoint {min(known)} is not in it")
    for checkpoint in lacking:
        check_age(checkpoint, before or checkpoint)
    checked.gone = sorted({tell_month(checkpoint) for checkpoint in lacking})
    return checked


def is_asked_for(checkpoint: Mapping[str, Any], asked: tuple[str | None, str | None]) -> bool:
    """Say whether a segment has events of the time that the file was asked for, or may have."""
    begins, ends = (None if text is None else datetime.fromisoformat(text) for text in asked)
    first, last = (to_time(checkpoint[name]) for name in ("first_us", "last_us"))
    return (ends is None or first < ends) and (begins is None or last >= begins)


def check_age(checkpoint: Mapping[str, Any], newest: Mapping[str, Any]) -> None:
    """Check that a segment's events may be gone: two years after their month, when the newest checkpoint was signed."""
    month = tell_month(checkpoint)
    ended = datetime(int(month[:4]) + int(month[5:7]) // 12, int(month[5:7]) % 12 + 1, 1, tzinfo=UTC)
    if to_time(newest["sealed_us"]) < ended.replace(year=ended.year + KEPT_YEARS):
        raise DoesNotHoldError(
            f"the events of segment {checkpoint['segment']}, {checkpoint['bound']}, are gone, and are not two years "
            "old at the newest checkpoint"
        )


def tell_month(checkpoint: Mapping[str, Any]) -> str:
    """Give the month that a segment's events are of; of what belongs to no month's part, that of the youngest."""
    return checkpoint["bound"] if checkpoint["bound"] != "rest" else f"{to_time(checkpoint['last_us']):%Y-%m}"


def to_time(microseconds: int) -> datetime:
    """Give the time that so many microseconds since 1970 are."""
    return EPOCH + timedelta(microseconds=microseconds)


def check_checkpoint(
    checkpoint: Mapping[str, Any], before: Mapping[str, Any] | None, keys: Mapping[str, bytes]
) -> None:
    """Check a checkpoint by itself and against the one before."""
    number = checkpoint["segment"]
    expected = before["segment"] + 1 if before else 1
    if number != expected:
        raise DoesNotHoldError(f"segment {expected} is missing: {number} stands in its place")
    entries = checkpoint["entries"]
    if entries is not None and sha256(base64.b64decode(entries)) != checkpoint["entries_sha256"]:
        raise DoesNotHoldError(f"segment {number}: its list of events is not what was signed")
    statement = b"zaptik-audit-checkpoint-1\n" + join(checkpoint[name] for name in SIGNED_FIELDS)
    if sha256(statement) != checkpoint["digest"]:
        raise DoesNotHoldError(f"segment {number}: the checkpoint is not what was signed")
    if checkpoint["key_id"] not in keys:
        raise DoesNotHoldError(f"segment {number}: signed by {checkpoint['key_id']}, which is not trusted")
    if not is_signed(keys[checkpoint["key_id"]], statement, bytes.fromhex(checkpoint["signature"])):
        raise DoesNotHoldError(f"segment {number}: the signature does not hold")
    if checkpoint["previous"] != (before["digest"] if before else "00" * 32):
        raise DoesNotHoldError(f"segment {number}: it does not follow the checkpoint before")


def check_events(checkpoint: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
    """Compare events with what their checkpoint sealed, in order."""
    where = f"of segment {checkpoint['segment']}, {checkpoint['bound']}"
    sealed = split_entries(base64.b64decode(checkpoint["entries"]))
    there, waiting = {event["audit_id"] for event in events}, {audit_id for audit_id, _ in sealed}
    for at in range(max(len(sealed), len(events))):
        if at < len(events) and events[at]["audit_id"] not in waiting:
            raise DoesNotHoldError(f"event {events[at]['audit_id']} {where} was added")
        if sealed[at][0] not in there:
            raise DoesNotHoldError(f"event {sealed[at][0]} {where} is missing")
        event, (audit_id, hashed) = events[at], sealed[at]
        if event["audit_id"] != audit_id or hash_event(event) != hashed:
            raise DoesNotHoldError(f"event {audit_id} {where} was altered, or is not in its place")
        waiting.remove(audit_id)


def split_entries(entries: bytes) -> list[tuple[int, str]]:
    """Give the id and the hash of each event."""
    starts = range(0, len(entries), ENTRY_BYTES)
    return [
        (int.from_bytes(entries[start : start + 8], "big"), entries[start + 8 : start + ENTRY_BYTES].hex())
        for start in starts
    ]


def hash_event(event: Mapping[str, Any]) -> str:
    """Give the SHA-256 of an event's bytes."""
    return sha256(b"zaptik-audit-event-1\n" + join(event[name] for name in EVENT_FIELDS))


def join(fields: Iterator[Any]) -> bytes:
    """Give each field as its length in bytes, a colon, itself and a line's end; none as `-`."""
    texts = (None if field is None else str(field).encode() for field in fields)
    return b"".join(b"-\n" if text is None else b"%d:%b\n" % (len(text), text) for text in texts)


def sha256(content: bytes) -> str:
    """Give the SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Give the file's lines, its head first, one at a time."""
    with path.open("rb") as file:
        head = json.loads(file.readline())
        if head.get("form") != FORM:
            raise ValueError(f"{path} does not begin as a file of `zaptik audit export`")
        yield head
        for line in file:
            yield json.loads(line)


def read_keys(path: Path) -> dict[str, bytes]:
    """Give the public keys by their ids; each id must be its key's."""
    given = json.loads(path.read_text("utf-8"))["public"]
    keys = {key_id: base64.b64decode(text, validate=True) for key_id, text in given.items()}
    for key_id, key in keys.items():
        if len(key) != KEY_BYTES or key_id != f"a-{sha256(key)[:16]}":
            raise ValueError(f"{path}: {key_id} is not the id of its key")
    return keys


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Check an Ed25519 signature: whether s·B = R + h·A."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    key, commitment = decode_point(public), decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    return is_same(multiply(s, BASE), add(commitment, multiply(h, key)))


def decode_point(encoded: bytes) -> Point | None:
    """Give a point from its y and the sign of its x; None where there is none on the curve."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= P:
        return None
    squared = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(squared, (P + 3) // 8, P)
    if (x * x - squared) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - squared) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def add(one: Point, other: Point) -> Point:
    """Add two points."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """Add a point to itself so many times."""
    product: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            product = add(product, point)
        point, scalar = add(point, point), scalar >> 1
    return product


def is_same(one: Point, other: Point) -> bool:
    """Compare two points, whose coordinates are fractions."""
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 == (one[1] * other[2] - other[1] * one[2]) % P


_BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
assert _BASE is not None
BASE: Point = _BASE

if __name__ == "__main__":
    sys.exit(main())
