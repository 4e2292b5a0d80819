"""No process that holds secrets leaves a core file, and none can be looked into: seen from /proc, as others see it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.local.processes import build_minimal_environment, wait_until
from ops.local.stack import ROOT, ZAPTIK
from tests.e2e.conftest import Deployed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl and /proc are Linux's own")
# Root may look into everything, by capabilities (to trace, to administer, to measure) that this gives up for what it
# becomes: so that the tests are as strict for root as for an ordinary user.
_GIVE_UP = (
    "import ctypes, os, sys; prctl = ctypes.CDLL(None).prctl;"
    "[prctl(24, capability, 0, 0, 0) for capability in (19, 21, 38)]; os.execv(sys.argv[1], sys.argv[1:])"
)
_LOOK = "import sys; open(sys.argv[1], 'rb').close()"


def without_rights(*command: str | Path) -> list[str]:
    return [sys.executable, "-c", _GIVE_UP, *map(str, command)]


def may_look(pid: int, name: str) -> bool:
    """Say whether another process of this user may open a file of /proc/PID that wants the right to trace."""
    command = without_rights(sys.executable, "-c", _LOOK, f"/proc/{pid}/{name}")
    looked = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  our own words
    assert looked.returncode == 0 or b"PermissionError" in looked.stderr, looked
    return looked.returncode == 0


def core_limits(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max core file size")).split()[4:6]


def test_workers_and_schedulers_leave_no_core_and_show_nothing(deployed: Deployed) -> None:
    stack = deployed.stack
    for kind in ("worker", "scheduler"):
        child = stack.start_process(
            f"{kind}-hardened", *without_rights(ZAPTIK, kind), environment=stack.settings()
        )
        child.wait_for_event("metrics.listening")
        assert core_limits(child.pid) == ["0", "0"], kind
        assert [name for name in ("environ", "mem") if may_look(child.pid, name)] == [], kind
        child.send(signal.SIGTERM)
        assert child.wait(deadline_seconds=30) == 0


def test_a_command_is_hardened_before_it_is_given_a_secret(deployed: Deployed) -> None:
    with subprocess.Popen(  # noqa: S603  our own command
        without_rights(ZAPTIK, "credential", "set", "acme", "--client-id", "x", "--client-secret-stdin"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=build_minimal_environment(**deployed.stack.settings()),
    ) as called:
        assert wait_until(lambda: core_limits(called.pid) == ["0", "0"], deadline_seconds=30)
        assert wait_until(lambda: not may_look(called.pid, "environ"), deadline_seconds=30)
        called.communicate(b"")
    assert called.returncode == 2


def test_what_is_not_hardened_is_seen() -> None:
    with subprocess.Popen(without_rights("/bin/cat"), stdin=subprocess.PIPE) as seen:  # noqa: S603
        for name in ("environ", "mem"):
            assert wait_until(lambda name=name: may_look(seen.pid, name), deadline_seconds=30)  # type: ignore[misc]
        seen.communicate(b"")
