"""A tenant's way out: the date, how near it is, and what the written request may be called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobs.leaving import InvalidReference, check_reference, plan_due, tell_standing

URL = "https://acme-prod.service-now.com"


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-11-30T10:00:00", "2026-12-30T10:00:00"),
        ("2024-01-31T00:00:00", "2024-03-01T00:00:00"),
        ("2023-01-31T00:00:00", "2023-03-02T00:00:00"),
        ("2024-02-29T23:59:59", "2024-03-30T23:59:59"),
        ("2025-12-31T12:00:00", "2026-01-30T12:00:00"),
    ],
)
def test_a_tenant_is_deleted_within_thirty_days_whatever_the_month(asked: str, due: str) -> None:
    moment = datetime.fromisoformat(asked).replace(tzinfo=UTC)
    assert plan_due(moment) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "standing"),
    [
        (timedelta(days=30), "waiting"),
        (timedelta(days=7, microseconds=1), "waiting"),
        (timedelta(days=7), "ready"),
        (timedelta(days=3, microseconds=1), "ready"),
        (timedelta(days=3), "near"),
        (timedelta(microseconds=1), "near"),
        (timedelta(), "overdue"),
        (-timedelta(days=400), "overdue"),
    ],
)
def test_how_near_it_is_to_the_moment(left: timedelta, standing: str) -> None:
    due = datetime(2026, 12, 30, 10, tzinfo=UTC)
    assert tell_standing(due, now=due - left) == standing


@pytest.mark.parametrize(
    "reference", ["REQ-1042", "letter of 3 March, DPO", "acme2 ticket", "acme-production"]
)
def test_a_reference_is_a_line_of_the_operators(reference: str) -> None:
    assert check_reference(f" {reference} ", name="acme-prod", url=URL) == reference


@pytest.mark.parametrize("reference", ["", "  ", "two\nlines", "x" * 201, "\x1b[2J"])
def test_what_is_no_line_is_refused(reference: str) -> None:
    with pytest.raises(InvalidReference, match="one line of 1 to 200 characters"):
        check_reference(reference, name="acme-prod", url=URL)


@pytest.mark.parametrize(
    "reference", ["acme-prod", "ticket ACME-PROD/7", "see https://acme-prod.service-now.com", "(acme-prod)"]
)
def test_a_reference_that_names_the_tenant_would_stay_in_the_trail(reference: str) -> None:
    with pytest.raises(InvalidReference, match="names the tenant"):
        check_reference(reference, name="acme-prod", url=URL)
