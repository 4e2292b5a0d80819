"""At a terminal a run's progress is a bar on standard error; standard output stays one document all the same."""

from __future__ import annotations

import json
import os
import subprocess
import threading

from ops.local.processes import build_minimal_environment
from ops.local.stack import ROOT, ZAPTIK
from tests.e2e.conftest import CALL_SECONDS, Deployed


def call_at_terminal(deployed: Deployed, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Call the command with a terminal for its standard error; give exit code, output, and what was drawn."""
    ours, its = os.openpty()
    drawn: list[bytes] = []

    def read() -> None:
        while True:
            try:
                drawn.append(os.read(ours, 65_536))
            except OSError:  # the other end is closed
                return

    environment = {**deployed.stack.admin_settings(), "TERM": "xterm", **variables}
    process = subprocess.Popen(  # noqa: S603  our own command
        [ZAPTIK, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=its,
        text=True,
        cwd=ROOT,
        env=build_minimal_environment(**environment),
    )
    os.close(its)
    reader = threading.Thread(target=read)
    reader.start()
    output, _ = process.communicate(timeout=CALL_SECONDS)
    reader.join()
    os.close(ours)
    return process.returncode, output, b"".join(drawn).decode(errors="replace")


def test_a_bar_is_drawn_in_colours_and_the_document_is_whole(deployed: Deployed) -> None:
    code, output, drawn = call_at_terminal(deployed, "sync", "acme", "--wait", "--json")
    assert code in {0, 3}
    assert json.loads(output)["state"] in {"published", "unchanged"}
    assert "requests" in drawn
    assert "\x1b[3" in drawn or "\x1b[9" in drawn


def test_without_colours_where_nobody_wants_them(deployed: Deployed) -> None:
    _, _, drawn = call_at_terminal(deployed, "sync", "acme", "--wait", NO_COLOR="1")
    assert "requests" in drawn
    assert "\x1b[3" not in drawn
    assert "\x1b[9" not in drawn


def test_the_fleet_is_watched_on_a_terminal_alone(deployed: Deployed) -> None:
    for words in (("status", "--watch"), ("status", "--watch", "--json")):
        called = deployed.call(*words)
        assert called.exit_code == 2
        assert "--watch draws on a terminal" in called.stderr
