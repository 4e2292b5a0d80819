"""A simulated instance of the stack, and its control API, by which its rows are changed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from ops.local.failure import StepFailure

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = dict[str, Any]
CONTROL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant of the stack, and what its simulated instance holds: made rows, or those of a folder."""

    name: str
    groups: int
    items: int
    seed: int
    records: Path | None = None


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
        rows: list[Row] = self._call("GET", f"rows/{table}").json()
        return rows

    def put_rows(self, table: str, rows: Sequence[Row]) -> None:
        """Insert rows, or update those whose sys_id is there."""
        self._call("PUT", f"rows/{table}", body=list(rows))

    def delete_row(self, table: str, sys_id: str) -> None:
        """Delete one row."""
        self._call("DELETE", f"rows/{table}/{sys_id}")

    def fetch_requests(self) -> list[Row]:
        """Give the log of requests, the oldest first."""
        rows: list[Row] = self._call("GET", "requests").json()
        return rows

    def forget_requests(self) -> None:
        """Empty the log of requests."""
        self._call("DELETE", "requests")

    def set_latency(self, milliseconds: float) -> None:
        """Let every request take longer."""
        self._call("PUT", "latency", body={"ms": milliseconds})

    def set_faults(self, *faults: Row) -> None:
        """Set every fault anew, none where none is given; see ops/simulator/faults.py."""
        self._call("PUT", "faults", body={"faults": list(faults)})

    def set_access(self, table: str, **switches: object) -> None:
        """Change what the account may do with a table; see ops/simulator/access.py."""
        self._call("PUT", f"access/{table}", body=switches)

    def _call(self, method: str, path: str, *, body: object = None) -> httpx.Response:
        step = f"simulator {self.tenant.name}, {method} {path}"
        trusted = ssl.create_default_context(cafile=str(self.ca_file))
        headers = {"X-Simulator-Token": self.control_token}
        try:
            # trust_env=False: a proxy of the caller's environment has no part in this.
            with httpx.Client(
                verify=trusted, trust_env=False, headers=headers, timeout=CONTROL_SECONDS
            ) as client:
                answer = client.request(method, f"{self.url}/_simulator/{path}", json=body)
                answer.raise_for_status()
        except httpx.HTTPError as error:
            raise StepFailure(step, str(error)) from error
        return answer
