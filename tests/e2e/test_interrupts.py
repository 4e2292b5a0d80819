"""Ctrl-C ends any command with 130 and no traceback, also while Python still reads the command's modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.local.processes import build_minimal_environment
from ops.local.stack import ROOT, ZAPTIK
from tests.e2e.conftest import CALL_SECONDS

# Python runs a file of this name before the command's first line: so the moment is chosen, not hit by luck.
INTERRUPTING = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.parametrize("module", ["worker.command", "psycopg", "worker.command.terminal"])
def test_an_interrupt_while_modules_are_read_ends_quietly(module: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING.format(module=module), encoding="utf-8")
    ended = subprocess.run(  # noqa: S603  our own command
        [ZAPTIK, "status"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=build_minimal_environment(PYTHONPATH=str(tmp_path)),
        timeout=CALL_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
