"""A consumer: a login of its own, made by an administrator and granted what a test says, over a real connection."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from worker.postgres.connection import Connection, compose_text
from worker.postgres.consumers import grant_consumer
from worker.postgres.tenants import Tenant


@dataclass(frozen=True, slots=True)
class Login:
    """A login of the server and the URL by which its owner connects."""

    name: str
    url: str


@asynccontextmanager
async def a_login(admin: Connection, admin_url: str, *, attributes: str = "LOGIN") -> AsyncIterator[Login]:
    """Make a login with a random name and password, and drop it at the end."""
    name, password = f"service_{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    await admin.execute(f"CREATE ROLE {name} PASSWORD '{password}' {attributes}".encode())
    parts = urlsplit(admin_url)
    url = urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}"))
    try:
        yield Login(name, url)
    finally:
        await admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@asynccontextmanager
async def connected(login: Login) -> AsyncIterator[Connection]:
    """Connect as a program of somebody else's would: nothing of ours is set."""
    connection = await psycopg.AsyncConnection.connect(login.url, autocommit=True, row_factory=dict_row)
    async with connection:
        yield connection


@asynccontextmanager
async def a_reader(admin: Connection, admin_url: str, *tenants: str | None) -> AsyncIterator[Connection]:
    """Give the connection of a login that was granted these tenants, or with None to be a requester."""
    async with a_login(admin, admin_url) as login:
        for tenant in tenants:
            await grant_consumer(admin, login.name, tenant=tenant)
        async with connected(login) as connection:
            yield connection


async def ask(
    connection: Connection, query: str, *values: object, within: Tenant | None = None
) -> list[dict[str, Any]]:
    """Run a consumer's query; `{tenant}` in it stands for the schema."""
    text = compose_text(query, within=within.schema_name if within else None)
    cursor = await connection.execute(text, values or None)
    return await cursor.fetchall() if cursor.description else []


async def ask_column(
    connection: Connection, query: str, *values: object, within: Tenant | None = None
) -> Sequence[Any]:
    """Give the first column of a query."""
    return [next(iter(row.values())) for row in await ask(connection, query, *values, within=within)]


def schema_of(tenant: Tenant) -> sql.Identifier:
    """Give a tenant's schema for a query that is composed."""
    return sql.Identifier(tenant.schema_name)
