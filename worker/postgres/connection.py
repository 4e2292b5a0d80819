"""One short connection, and the two ways into a tenant for one transaction.

A connection is opened for a slice or a command and closed after it: a backend that has touched thousands of
tenants keeps their catalogue in memory. Every statement goes by the extended protocol (binary cursors,
nothing prepared), by which the server takes one statement only, and which passes a transaction-mode pooler.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import errors, pq, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

import schema
from jobs.errors import DatabaseAway, DatabaseBusy, Failure, KeyDropped, NotMigrated, PrivilegeMissing
from jobs.names import reader_role

Connection: TypeAlias = psycopg.AsyncConnection[DictRow]

_CONNECT_TIMEOUT_SECONDS = 10
_KEY_DROPPED = "ZK001"
_AWAY = (  # a refused connection has no SQLSTATE: of the server's text only what is in it is looked at
    ("it refused the user or the password", {"28P01", "28000"}, "password authentication failed"),
    ("it refused the user or the password", (), "is not permitted to log in"),
    ("its pg_hba.conf lets nobody in so from here", (), "pg_hba.conf"),
    ("it has too many connections", {"53300"}, "too many c"),
    ("it has too many connections", (), "remaining connection slots"),
    ("it has too many connections", (), "no more connections allowed"),  # PgBouncer's words
    ("its disk is full", {"53100"}, "No space left on device"),
    ("it is starting, stopping or recovering", {"57P01", "57P02", "57P03"}, "the database system is "),
    ("its host's name leads nowhere", (), "failed to resolve host"),
    ("its host's name leads nowhere", (), "could not translate host name"),
    ("TLS could not be set up or its certificate not be verified", (), "certificate"),
    ("TLS could not be set up or its certificate not be verified", (), "SSL"),
)
_LIMIT_EXCEEDED = "54"  # a program limit, by what was written: the server is well


@asynccontextmanager
async def open_connection(url: str, *, purpose: str) -> AsyncIterator[Connection]:
    """Open a connection in autocommit mode and close it at the end.

    `purpose` is shown in pg_stat_activity. Raises DatabaseAway when the server does not answer or refuses us,
    and translates what the block raises from the database.
    """
    with translated_errors():
        connection = await psycopg.AsyncConnection.connect(
            url,
            autocommit=True,
            prepare_threshold=None,
            row_factory=dict_row,
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            # Said here, since the environment (PGSSLMINPROTOCOLVERSION) could say less.
            ssl_min_protocol_version=conninfo_to_dict(url).get("ssl_min_protocol_version", "TLSv1.2"),
            application_name=f"zaptik {purpose}",
        )
        async with connection:
            yield connection


def is_at_rest(connection: Connection) -> bool:
    """Say whether neither a statement nor a transaction is under way."""
    return connection.info.transaction_status == pq.TransactionStatus.IDLE


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the driver's exceptions into ours; their text can hold rows, so only the SQLSTATE is kept."""
    try:
        yield
    except (
        errors.UndefinedTable,
        errors.InvalidSchemaName,
        errors.UndefinedFunction,
        errors.UndefinedColumn,
    ):
        raise NotMigrated(
            "The database is not at the version this code needs: run `zaptik migrate` with "
            "ZAPTIK_ADMIN_DATABASE_URL set."
        ) from None
    except errors.InsufficientPrivilege as error:
        raise PrivilegeMissing(
            f"PostgreSQL refused a statement for want of a privilege (SQLSTATE {error.sqlstate}): run `zaptik "
            "migrate`, and connect workers as zaptik_app."
        ) from None
    # Before OperationalError, which the driver makes this one a kind of: the server is there.
    except errors.LockNotAvailable:
        raise DatabaseBusy(
            "PostgreSQL did not give a lock in time: another `zaptik migrate` or `tenant add` runs, or a session "
            "holds it; pg_locks and pg_stat_activity show which. Try again."
        ) from None
    except (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout) as error:
        if (error.sqlstate or "").startswith(_LIMIT_EXCEEDED):
            raise _build_failure(error) from None
        raise DatabaseAway(_describe_away(error)) from None
    except psycopg.Error as error:
        raise _build_failure(error) from None


def _build_failure(error: psycopg.Error) -> Failure:
    if error.sqlstate == _KEY_DROPPED:  # raised by our own function, in words that are ours
        return KeyDropped(f"{error.diag.message_primary}.")
    return DatabaseFailure(
        f"PostgreSQL refused a statement: {type(error).__name__}, SQLSTATE {error.sqlstate}, constraint "
        f"{error.diag.constraint_name}, table {error.diag.table_name}."
    )


class DatabaseFailure(Failure):
    """PostgreSQL refused a statement for a reason nobody planned for."""

    code = "database"
    retry = "later"
    audience = "developer"


def statement(area: schema.Area, name: str, *, within: str | None = None) -> sql.SQL:
    """Give a named query; `within` is the tenant's schema that `{tenant}` stands for."""
    return compose_text(schema.read_queries(area)[name].sql, within=within)


def compose_text(text: str, *, within: str | None = None) -> sql.SQL:
    """Make our own SQL text a statement, with the tenant's schema and its readers' role written in."""
    if within is not None:
        # Replaced and not formatted: queries have braces of their own, in patterns.
        text = text.replace("{tenant}", sql.Identifier(within).as_string())
        text = text.replace("{reader}", sql.Identifier(reader_role(within)).as_string())
    return sql.SQL(text)


async def fetch_rows(
    connection: Connection, area: schema.Area, name: str, /, *, within: str | None = None, **values: object
) -> list[DictRow]:
    """Run a named query and give its rows."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(statement(area, name, within=within), values)
        return await cursor.fetchall() if cursor.description else []


async def fetch_row(
    connection: Connection, area: schema.Area, name: str, /, *, within: str | None = None, **values: object
) -> DictRow | None:
    """Run a named query and give its first row, or None."""
    rows = await fetch_rows(connection, area, name, within=within, **values)
    return rows[0] if rows else None


async def fetch_value(
    connection: Connection, area: schema.Area, name: str, /, *, within: str | None = None, **values: object
) -> Any:
    """Run a named query and give the first column of its first row, or None."""
    row = await fetch_row(connection, area, name, within=within, **values)
    return next(iter(row.values())) if row else None


@asynccontextmanager
async def as_tenant(connection: Connection, tenant_schema: str) -> AsyncIterator[None]:
    """Be the tenant's role for one transaction: it alone sees the rows of its schema."""
    async with connection.transaction(), connection.cursor(binary=True) as cursor:
        # LOCAL: the role ends with the transaction, whatever ends that. SET takes no parameters, so the name is quoted.
        await cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(tenant_schema)))
        yield


@asynccontextmanager
async def in_tenant_rows(connection: Connection, tenant_id: object) -> AsyncIterator[None]:
    """See one tenant's rows of the `control` schema for one transaction."""
    async with connection.transaction(), connection.cursor(binary=True) as cursor:
        await cursor.execute(sql.SQL("SET LOCAL zaptik.tenant = {}").format(sql.Literal(str(tenant_id))))
        yield


def _describe_away(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        reason = "it did not answer in time"
    else:
        reason = next(
            (reason for reason, states, words in _AWAY if error.sqlstate in states or words in str(error)),
            f"no connection, or it was cut ({error.sqlstate or 'no SQLSTATE'})",
        )
    return f"PostgreSQL is away: {reason}. Check ZAPTIK_DATABASE_URL (or the ADMIN one) and that the server runs."
