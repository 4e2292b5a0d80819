"""Supervised processes: what they say is heard, and they end with us, as a group, however we end."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from ops.local.commands import run_command
from ops.local.failure import StepFailure
from ops.local.processes import Child, build_minimal_environment, wait_until
from ops.local.state import read_start_ticks

ROOT = Path(__file__).parents[2]
SAY_READY = 'import sys; print(\'{"event": "ready", "port": 7}\', file=sys.STREAM, flush=True)\n'
SLEEP = "import signal, time\nprint('warming up', flush=True)\nwhile True: time.sleep(60)\n"
STUBBORN = """
import json, os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = os.fork()
if grandchild:
    print(json.dumps({"event": "ready", "grandchild": grandchild}), flush=True)
while True: signal.pause()
"""
PARENT = """
import json, signal, sys
from pathlib import Path
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.local.processes import Child, build_minimal_environment
from ops.local.valkey import EmbeddedValkey
log = Path(sys.argv[1])
kept = Child("kept", [sys.executable, "-c", "import signal; signal.pause()"], log_file=log, outlives=True,
             environment=build_minimal_environment())
kept.start()
with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as postgres, EmbeddedValkey() as valkey:
    document = {"event": "ready", "folders": [str(postgres.folder), str(valkey.folder)],
                "postgres": postgres.child.pid, "valkey": valkey.child.pid, "kept": kept.pid}
    print(json.dumps(document), flush=True)
    signal.pause()
"""


def build_child(code: str, folder: Path, *arguments: str) -> Child:
    return Child(
        "program",
        [sys.executable, "-c", code, *arguments],
        log_file=folder / "program.log",
        environment=build_minimal_environment(PYTHONPATH=str(ROOT)),
        folder=folder,
    )


def is_gone(pid: int) -> bool:
    return read_start_ticks(pid) is None


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_an_event_is_heard_on_either_stream(tmp_path: Path, stream: str) -> None:
    with build_child(SAY_READY.replace("STREAM", stream) + SLEEP, tmp_path) as child:
        assert child.wait_for_event("ready") == {"event": "ready", "port": 7}
    assert is_gone(child.pid)


def test_waiting_in_vain_ends_with_what_was_said_last(tmp_path: Path) -> None:
    with build_child(SLEEP, tmp_path) as child:
        assert wait_until(lambda: "warming up" in child.read_log(), deadline_seconds=30)
        with pytest.raises(
            StepFailure, match=r"did not say 'ready' within 0.1 s\n  \| warming up\n"
        ) as caught:
            child.wait_for_event("ready", deadline_seconds=0.1)
    assert str(child.log_file) in str(caught.value)


def test_a_program_that_ends_early_is_not_waited_for(tmp_path: Path) -> None:
    said = r"ended with exit code 1 before 'ready'\n  \| no such thing"
    with (
        build_child("raise SystemExit('no such thing')", tmp_path) as child,
        pytest.raises(StepFailure, match=said),
    ):
        child.wait_for_event("ready")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    child = Child("missing", [missing], log_file=tmp_path / "log", environment={})
    with child, pytest.raises(StepFailure, match=f"cannot start {missing}: No such file"):
        child.wait_for_event("ready")


def test_stopping_asks_first(tmp_path: Path) -> None:
    polite = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
    with build_child(polite + SAY_READY.replace("STREAM", "stdout") + SLEEP, tmp_path) as child:
        child.wait_for_event("ready")
        child.stop()
        assert child.exit_code == 5


def test_who_does_not_listen_is_killed_with_its_group(tmp_path: Path) -> None:
    with build_child(STUBBORN, tmp_path) as child:
        grandchild = child.wait_for_event("ready")["grandchild"]
        child.stop(grace_seconds=0.1)
        assert child.exit_code == -signal.SIGKILL
        assert wait_until(lambda: is_gone(grandchild), deadline_seconds=10)


def test_started_again_it_hears_only_what_is_new(tmp_path: Path) -> None:
    with build_child("import sys; print(open('word').read())", tmp_path) as child:
        (tmp_path / "word").write_text("first")
        child.wait(deadline_seconds=30)
        (tmp_path / "word").write_text("second")
        child.start()
        child.wait(deadline_seconds=30)
        assert child.read_log() == "second\n"


def test_it_leads_a_session_of_its_own_and_reads_nothing(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    with build_child(code, tmp_path) as child:
        assert child.wait(deadline_seconds=30) == 0
        assert child.read_log() == "True ''\n"


def test_signals_that_we_ignore_reach_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background job
    try:
        with build_child(SAY_READY.replace("STREAM", "stdout") + SLEEP, tmp_path) as child:
            child.wait_for_event("ready")
            child.send(signal.SIGINT)
            assert child.wait(deadline_seconds=30) != 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_killed_parent_takes_its_servers_along_but_not_who_outlives_it(tmp_path: Path) -> None:
    """Promise: nothing of `make demo` survives, even SIGKILL; all of `make up` does."""
    with build_child(PARENT, tmp_path, str(tmp_path / "kept.log")) as parent:
        said = parent.wait_for_event("ready")
        kept = said["kept"]
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(deadline_seconds=30)
        try:
            for name in ("postgres", "valkey"):
                assert wait_until(partial(is_gone, said[name]), deadline_seconds=20), name
            assert not is_gone(kept)
        finally:
            os.killpg(kept, signal.SIGKILL)
            for folder in said["folders"]:
                run_command(
                    "cleaning",
                    ["/bin/rm", "-rf", folder],
                    log_file=tmp_path / "rm.log",
                    environment={},
                    folder=tmp_path,
                )


def test_variables_of_other_deployments_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZAPTIK_DATABASE_URL", "PGHOST", "HTTPS_PROXY", "PYTHONPATH"):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("HOME", "/home/somebody")
    environment = build_minimal_environment(ZAPTIK_REDIS_URL="ours")
    assert "foreign" not in environment.values()
    assert (environment["HOME"], environment["ZAPTIK_REDIS_URL"]) == ("/home/somebody", "ours")


def test_a_command_is_given_its_input_and_its_output_read(tmp_path: Path) -> None:
    code = "import json, sys; print(json.dumps(sys.stdin.read())); sys.exit(3)"
    finished = run_command(
        "echo",
        [sys.executable, "-c", code],
        log_file=tmp_path / "log",
        environment={},
        folder=tmp_path,
        given="secret",
        accepted=(0, 3),
    )
    assert (finished.exit_code, json.loads(finished.output)) == (3, "secret")
    assert "secret" not in (tmp_path / "log").read_text()


def test_a_command_that_fails_or_hangs_says_what_it_said_last(tmp_path: Path) -> None:
    log = tmp_path / "log"
    failing = [sys.executable, "-c", "import sys; sys.exit('no grant')"]
    with pytest.raises(StepFailure, match=rf"step: ended with exit code 1\n  \| no grant\n  log: {log}"):
        run_command("step", failing, log_file=log, environment={}, folder=tmp_path)
    hanging = [sys.executable, "-c", "import signal; signal.pause()"]
    with pytest.raises(StepFailure, match=r"step: did not end within 0.2 s"):
        run_command("step", hanging, log_file=log, environment={}, folder=tmp_path, deadline_seconds=0.2)
