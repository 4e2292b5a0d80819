"""What tests ask a stack's database as its superuser, often: by one connection, opened anew where it was cut."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from ops.local.stack import DATABASE, Stack
from worker.postgres.connection import compose_text


class Asking:
    """Asks the database of a stack until `close`; each query is a transaction of its own."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._connection: psycopg.Connection[DictRow] | None = None

    def __repr__(self) -> str:
        return f"<Asking {self._stack}>"

    def __call__(self, query: str, *values: object, within: str | None = None) -> list[dict[str, Any]]:
        """Give the rows of a query; `{tenant}` in it stands for the schema `within`."""
        text = compose_text(query, within=within)
        try:
            return self._open().execute(text, values).fetchall()
        except psycopg.OperationalError:  # the server was killed, and is back
            self.close()
            return self._open().execute(text, values).fetchall()

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> psycopg.Connection[DictRow]:
        if self._connection is None:
            url = self._stack.admin_database_url(DATABASE)
            self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        return self._connection
