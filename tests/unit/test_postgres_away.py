"""Why PostgreSQL is away is told by what the server said, and none of its own text is repeated."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from jobs.errors import DatabaseAway
from worker.postgres.connection import translated_errors

REFUSED = 'connection failed: connection to server at "10.0.0.7", port 5432 failed: FATAL:  '


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('password authentication failed for user "zaptik_app"', "it refused the user or the password"),
        ('role "zaptik_app" is not permitted to log in', "it refused the user or the password"),
        (
            'no pg_hba.conf entry for host "10.0.0.8", no encryption',
            "its pg_hba.conf lets nobody in so from here",
        ),
        ("sorry, too many clients already", "it has too many connections"),
        ('too many connections for role "zaptik_app"', "it has too many connections"),
        ("remaining connection slots are reserved for roles with", "it has too many connections"),
        ("no more connections allowed (max_client_conn)", "it has too many connections"),
        ("the database system is starting up", "it is starting, stopping or recovering"),
        (
            "failed to resolve host 'db.nowhere': [Errno -2] Name or service not known",
            "its host's name leads nowhere",
        ),
        ("certificate verify failed", "TLS could not be set up"),
        ("something else", "no connection, or it was cut (no SQLSTATE)"),
    ],
)
def test_a_refused_connection_says_why(said: str, reason: str) -> None:
    with pytest.raises(DatabaseAway) as away, translated_errors():
        raise psycopg.OperationalError(REFUSED + said)
    assert f"PostgreSQL is away: {reason}" in away.value.message
    assert "10.0.0.7" not in away.value.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.TooManyConnections, "it has too many connections"),
        (errors.DiskFull, "its disk is full"),
        (errors.AdminShutdown, "it is starting, stopping or recovering"),
        (errors.OutOfMemory, "no connection, or it was cut (53200)"),
    ],
)
def test_a_session_that_ended_says_why(error: type[psycopg.Error], reason: str) -> None:
    with pytest.raises(DatabaseAway) as away, translated_errors():
        raise error
    assert f"PostgreSQL is away: {reason}" in away.value.message
