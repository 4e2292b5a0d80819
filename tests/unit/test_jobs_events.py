"""The dictionary of events: one constant a name, no field that is not declared, none that could hold a secret."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from jobs import events
from jobs.events import KINDS, Event, EventKind, Level

CONSTANTS = {name: value for name, value in vars(events).items() if isinstance(value, EventKind)}
every_kind = pytest.mark.parametrize("kind", CONSTANTS.values(), ids=lambda kind: kind.name)


def test_every_kind_has_a_name_of_its_own_and_stands_in_the_dictionary() -> None:
    names = [kind.name for kind in CONSTANTS.values()]
    assert sorted(names) == sorted(set(names))
    assert {kind.name: kind for kind in CONSTANTS.values()} == KINDS


@every_kind
def test_a_kind_says_why_in_a_sentence_and_its_fields_once(kind: EventKind) -> None:
    assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", kind.name)
    assert kind.why.endswith(".")
    assert kind.level in get_args(Level)
    assert len(set(kind.fields)) == len(kind.fields)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", field) for field in kind.fields)


@every_kind
def test_no_field_has_room_for_a_secret_a_person_or_a_row(kind: EventKind) -> None:
    telling = re.compile(
        r"token$|secret|password|authorization|body|query|url|value|record$|email|client_id|tenant"
    )
    assert not [field for field in kind.fields if telling.search(field)]


@every_kind
def test_a_field_that_is_not_declared_is_refused(kind: EventKind) -> None:
    declared = dict.fromkeys(kind.fields, 1)
    assert Event(kind, declared).fields == declared
    with pytest.raises(ValueError, match=f"event {re.escape(kind.name)} has no field also, undeclared"):
        Event(kind, {**declared, "undeclared": 1, "also": 2})


def test_an_event_may_say_less_than_it_could() -> None:
    event = Event(events.RUN_ENDED, {"outcome": "published"}, tenant="t-1", run="r-1")
    assert (event.fields, event.tenant, event.run) == ({"outcome": "published"}, "t-1", "r-1")
    assert Event(events.RUN_RESCUED).fields == {}


def test_every_request_and_every_use_of_credentials_is_audited() -> None:
    audited = {name for name, kind in CONSTANTS.items() if kind.audited}
    assert audited >= {
        "REQUEST_ANSWERED", "REQUEST_FAILED", "TOKEN_FETCHED", "TOKEN_REFUSED", "CREDENTIAL_STORED",
        "CREDENTIAL_OPENED", "RUN_REQUESTED", "RUN_CLAIMED", "RUN_RESCUED", "RUN_FENCED", "RUN_ENDED",
        "TENANT_ADDED", "TENANT_PAUSED",
    }  # fmt: skip
