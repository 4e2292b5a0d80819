"""The whole product, as real processes: one stack for the session, and the command called as a person calls it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.local.instance import Tenant
from ops.local.processes import build_minimal_environment
from ops.local.stack import Stack
from tests.forking import call_forked

RECORDS_VARIABLE = "ZAPTIK_TEST_RECORDS"
CALL_SECONDS = 100
NOBODY = "127.0.0.1:1"  # allowed by the workers, and nobody listens there


@dataclass(frozen=True, slots=True)
class Called:
    """What a call of the command came to."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """Give the one document that `--json` printed."""
        parsed: dict[str, Any] = json.loads(self.stdout)
        return parsed

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Give the JSON lines that were printed."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def call_zaptik(*arguments: str, environment: Mapping[str, str], given: str = "") -> Called:
    """Call the command with these variables and nothing else of ours, and wait for its end."""
    own = build_minimal_environment(**environment)
    return Called(*call_forked(arguments, environment=own, given=given, deadline_seconds=CALL_SECONDS))


@dataclass(frozen=True, slots=True)
class Deployed:
    """A running stack and the command to use it."""

    stack: Stack

    def call(self, *arguments: str, given: str = "", **variables: str) -> Called:
        """Call `zaptik` with the stack's variables, some of them replaced; an empty one is left out."""
        environment = {**self.stack.admin_settings(), **variables}
        return call_zaptik(
            *arguments, environment={name: value for name, value in environment.items() if value}, given=given
        )

    def sync(self, tenant: str, *options: str, accepted: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Sync a tenant to the run's end and give the run."""
        called = self.call("sync", tenant, "--wait", "--json", *options)
        assert called.exit_code in accepted, called
        return called.document

    def export(self, tenant: str, *options: str) -> list[dict[str, Any]]:
        """Give the lines of a tenant's graph: the head, then nodes, then edges."""
        called = self.call("graph", "export", tenant, *options)
        assert called.exit_code == 0, called
        return called.lines


@pytest.fixture(scope="session")
def records_folder() -> Path | None:
    """Give the folder of real records, where there is one."""
    named = os.environ.get(RECORDS_VARIABLE)
    return Path(named).resolve() if named else None


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, records_folder: Path | None) -> Iterator[Deployed]:
    """Run the stack with two tenants of made rows, and one of real records where there are any."""
    tenants = [
        Tenant("acme", groups=30, items=80, seed=11),
        Tenant("globex-prod", groups=12, items=20, seed=12),
    ]
    if records_folder is not None:
        tenants.append(Tenant("real", groups=0, items=0, seed=1, records=records_folder))
    overrides = {
        "ZAPTIK_PAGE_ROWS": "25",  # several pages a table, with few rows
        "ZAPTIK_RETRY_BASE_SECONDS": "0.1",
        "ZAPTIK_MAX_ATTEMPTS": "2",
        "ZAPTIK_SCHEDULER_TICK_SECONDS": "0.3",  # what is asked for is taken up at the next tick
    }
    logs = tmp_path_factory.mktemp("logs")
    with Stack(logs=logs, tenants=tenants, overrides=overrides, further_hosts=[NOBODY]) as stack:
        yield Deployed(stack)
