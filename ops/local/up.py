"""`make up` and `make down`: the stack, left running, and its end.

The folder `.demo/` of the checkout says what runs (`state.json`) and how to use it (`env`). One `up` or
`down` at a time: the other waits for the lock.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ops.local.failure import StepFailure
from ops.local.stack import ROOT, Stack
from ops.local.state import describe_running, read_running, write_exports, write_running
from ops.local.watched import build_scraping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = ROOT / ".demo"
STATE_FILE = FOLDER / "state.json"
ENV_FILE = FOLDER / "env"
SCRAPING_FILE = FOLDER / "prometheus.yaml"
NEXT = f"""
The stack runs. To use it:

  source {ENV_FILE.relative_to(ROOT)}
  .venv/bin/zaptik status
  .venv/bin/zaptik sync acme --wait
  .venv/bin/zaptik graph export acme -o acme.jsonl

Their logs are in {{logs}}; `make logs` shows them to people. A Prometheus beside it:
`prometheus --config.file={SCRAPING_FILE.relative_to(ROOT)}`. `make down` stops it and removes them."""


def make_logs_folder() -> Path:
    """Make a folder of its own for one stack's logs, in `.demo/`."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="logs-", dir=FOLDER))


def bring_up(*, say: Callable[[str], None]) -> None:
    """Start the stack and leave it; `StepFailure` where one runs already."""
    with _hold_lock():
        left = read_running(STATE_FILE)
        if left is not None and left.is_running():
            raise StepFailure("the stack", f"runs already; source {ENV_FILE} or `make down`")
        _clear()
        logs = make_logs_folder()
        with _stopped_on_failure(Stack(logs=logs, outlives=True, say=say)) as stack:
            stack.start()
            write_running(STATE_FILE, describe_running(stack.children, folders=[*stack.folders, logs]))
            write_exports(ENV_FILE, build_exports(stack))
            SCRAPING_FILE.write_text(build_scraping(stack.metrics_ports), "utf-8")
    print(NEXT.format(logs=logs.relative_to(ROOT)))


def take_down(*, say: Callable[[str], None]) -> None:
    """Stop what `bring_up` left; that nothing runs is fine."""
    with _hold_lock():
        say("stopping the stack")
        print("it is stopped" if _clear() else "nothing ran")


def build_exports(stack: Stack) -> dict[str, str]:
    """Build the variables with which the stack is used from a shell."""
    urls = {
        f"SIMULATOR_{name.upper().replace('-', '_')}_URL": instance.url
        for name, instance in stack.instances.items()
    }
    metrics = {
        f"METRICS_{name.upper().replace('-', '_')}_URL": f"http://127.0.0.1:{port}/metrics"
        for name, port in stack.metrics_ports.items()
    }
    secrets = {
        f"SIMULATOR_{name.upper().replace('-', '_')}_CLIENT_SECRET": secret
        for name, secret in stack.client_secrets.items()
    }
    return {
        **stack.admin_settings(),
        **urls,
        **secrets,
        "SIMULATOR_CONTROL_TOKEN": stack.control_token,
        **metrics,
    }


def _clear() -> bool:
    left = read_running(STATE_FILE)
    if left is not None:
        left.stop()
    ENV_FILE.unlink(missing_ok=True)
    SCRAPING_FILE.unlink(missing_ok=True)
    STATE_FILE.unlink(missing_ok=True)
    return left is not None


@contextmanager
def _hold_lock() -> Iterator[None]:
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(FOLDER / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def _stopped_on_failure(stack: Stack) -> Iterator[Stack]:
    try:
        yield stack
    except BaseException:
        stack.stop()
        raise
