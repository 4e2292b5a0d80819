"""A tenant's name is an instance's name; what follows from it is safe in SQL, short enough, and its alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import InvalidName
from jobs.names import check_tenant_name, schema_name

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
LONGEST_IDENTIFIER_BYTES = 63


@pytest.mark.parametrize("name", ["acme", "a", "7", "dev197215", "acme-test-2", "a--b", "a" * 40])
def test_an_instances_name_is_given_back(name: str) -> None:
    assert check_tenant_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "-", "-acme", "acme-", "Acme", "ac me", "acme\n", "acme_test", "acme.test", "a" * 41, "ácme", "acme\u0661",
        'acme"; drop schema control', "acme\0", "https://acme.service-now.com",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_it_is_said_what_a_name_is(name: str) -> None:
    for make in (check_tenant_name, schema_name):
        with pytest.raises(InvalidName, match="1 to 40 lower-case letters") as caught:
            make(name)
        assert caught.value.message.isprintable()


def test_hyphens_become_underscores() -> None:
    assert schema_name("acme-test") == "tenant_acme_test"


@given(NAMES, NAMES)
def test_no_two_tenants_share_a_schema(one: str, other: str) -> None:
    assert (schema_name(one) == schema_name(other)) == (one == other)


@given(NAMES)
def test_a_schema_is_an_identifier_that_needs_no_quotes_and_is_not_cut(name: str) -> None:
    schema = schema_name(name)
    assert re.fullmatch(r"tenant_[a-z0-9_]+", schema)
    assert len(f"{schema}_history_pkey".encode()) <= LONGEST_IDENTIFIER_BYTES


@given(st.text(max_size=45))
def test_a_text_is_a_name_just_when_it_is_made_of_a_names_characters(text: str) -> None:
    is_name = (
        0 < len(text) <= 40
        and set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        and not text.startswith("-")
        and not text.endswith("-")
    )
    if is_name:
        assert check_tenant_name(text) == text
    else:
        with pytest.raises(InvalidName):
            check_tenant_name(text)
