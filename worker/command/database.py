"""A command's way to the database: one connection, as the app or as an administrator, for one call."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from jobs.errors import PrivilegeMissing
from worker.postgres.connection import Connection, open_connection
from worker.settings import Settings, variable_of

T = TypeVar("T")


def ask_as_app(settings: Settings, question: Callable[[Connection], Awaitable[T]]) -> T:
    """Ask as `zaptik_app`."""
    return _ask(settings.require_database_url(), question)


def ask_as_administrator(settings: Settings, question: Callable[[Connection], Awaitable[T]]) -> T:
    """Ask as the administrator that ZAPTIK_ADMIN_DATABASE_URL names."""
    try:
        return _ask(settings.require_admin_database_url(), question)
    except PrivilegeMissing:
        raise PrivilegeMissing(
            f"The login of {variable_of('admin_database_url')} may not do this: it must be a superuser's, or one "
            "that may make roles and owns the database (docs/how-to/managed-servers.md)."
        ) from None


def _ask(url: str, question: Callable[[Connection], Awaitable[T]]) -> T:
    async def asked() -> T:
        async with open_connection(url, purpose=f"command {name_caller()}") as connection:
            return await question(connection)

    return asyncio.run(asked())


def name_caller() -> str:
    """Give who runs this command and where, as the machine says; the audit trail keeps it with what is done."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user often has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
