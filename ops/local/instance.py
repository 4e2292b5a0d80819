"""A simulated instance of the stack, and its control API, by which its rows are changed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from ops.local.failure import StepFailure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, Any]
CONTROL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant of the stack, and how much its simulated instance holds."""

    name: str
    groups: int
    items: int
    seed: int


@dataclass(frozen=True, slots=True)
class Instance:
    """Where one tenant's simulated instance answers, and the token of its control API."""

    tenant: Tenant
    url: str
    port: int
    control_token: str
    ca_file: Path

    def __repr__(self) -> str:
        return f"<Instance {self.tenant.name} at {self.url}>"

    def fetch_rows(self, table: str) -> list[Row]:
        """Give every row of a table."""
        rows: list[Row] = self._call("GET", table).json()
        return rows

    def put_rows(self, table: str, rows: Sequence[Row]) -> None:
        """Insert rows, or update those whose sys_id is there."""
        self._call("PUT", table, rows=list(rows))

    def delete_row(self, table: str, sys_id: str) -> None:
        """Delete one row."""
        self._call("DELETE", f"{table}/{sys_id}")

    def _call(self, method: str, path: str, *, rows: list[Row] | None = None) -> httpx.Response:
        step = f"simulator {self.tenant.name}, {method} {path}"
        trusted = ssl.create_default_context(cafile=str(self.ca_file))
        headers = {"X-Simulator-Token": self.control_token}
        try:
            # trust_env=False: a proxy of the caller's environment has no part in this.
            with httpx.Client(
                verify=trusted, trust_env=False, headers=headers, timeout=CONTROL_SECONDS
            ) as client:
                answer = client.request(method, f"{self.url}/_simulator/rows/{path}", json=rows)
                answer.raise_for_status()
        except httpx.HTTPError as error:
            raise StepFailure(step, str(error)) from error
        return answer
