"""`python -m ops.simulator`: it says where it listens, serves, and ends when told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ops.simulator.__main__ import build_parser

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "ops.simulator"]
SECRETS = {"SIMULATOR_CLIENT_SECRET": "from-outside", "SIMULATOR_CONTROL_TOKEN": "control"}
DEADLINE_SECONDS = 60


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own command
        [*COMMAND, *arguments],
        cwd=ROOT, env={}, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip


@contextmanager
def serve(
    *arguments: str, given: str = "", environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command until the block ends; give the process and the address it said."""
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603  our own command
        [*COMMAND, "--groups", "3", "--items", "3", *arguments],
        cwd=ROOT, env=environment or {}, stdin=pipe, stdout=pipe, stderr=pipe, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdin
            assert process.stdout
            process.stdin.write(given)
            process.stdin.close()
            said = json.loads(process.stdout.readline())
            assert said["event"] == "simulator.listening"
            assert said["url"].endswith(f":{said['port']}")
            yield process, said["url"]
        finally:
            process.kill()


def fetch_token(url: str, secret: str, *, client_id: str = "simulator-client") -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    return httpx.post(f"{url}/oauth_token.do", data=form, trust_env=False)


def test_help_names_every_option() -> None:
    shown = run("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    options = [option for action in build_parser()._actions for option in action.option_strings]  # noqa: SLF001
    assert len(options) > 10
    assert all(option in shown.stdout for option in options)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--cert", "x.pem"], "--cert and --key belong together"),
        (["--records", "/no/such/folder"], "no TABLE.jsonl"),
        (["--groups", "many"], "invalid int value"),
        (["--no-such-option"], "unrecognized arguments"),
    ],
)
def test_a_wrong_call_is_2_and_says_why(arguments: list[str], reason: str) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert reason in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_end(number: signal.Signals) -> None:
    with serve(environment=SECRETS) as (process, url):
        token = fetch_token(url, "from-outside").json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "X-Simulator-Token": "control"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
            assert len(client.get("/api/now/table/sys_user_group").json()["result"]) == 3
            assert len(client.get("/_simulator/rows/sc_cat_item").json()) == 3
        process.send_signal(number)
        assert process.wait(DEADLINE_SECONDS) == 0


def test_the_secret_may_come_on_standard_input() -> None:
    arguments = ["--client-secret-stdin", "--client-id", "other", "--token-seconds", "60"]
    with serve(*arguments, given="piped secret\n") as (_, url):
        answer = fetch_token(url, "piped secret", client_id="other")
        assert answer.json()["expires_in"] == 59
        assert httpx.get(f"{url}/_simulator/requests", trust_env=False).status_code == 404


def test_without_a_secret_nobody_gets_in() -> None:
    with serve() as (process, url):
        assert fetch_token(url, "").status_code == 401
        assert fetch_token(url, "simulator-secret").status_code == 401
        process.terminate()
        assert process.stderr
        assert "no client secret was given" in process.stderr.read()


def test_rows_come_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sys_user_group.jsonl").write_text(json.dumps({"sys_id": "a" * 32, "name": "Kept"}))
    with serve("--records", str(tmp_path), environment=SECRETS) as (_, url):
        answer = httpx.get(
            f"{url}/_simulator/rows/sys_user_group", headers={"X-Simulator-Token": "control"}, trust_env=False
        )
        assert [row["name"] for row in answer.json()] == ["Kept"]


def test_a_port_that_is_taken_is_1_and_said() -> None:
    with serve() as (_, url):
        ended = run("--port", url.rpartition(":")[2])
    assert ended.returncode == 1
    assert "cannot serve on 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr
