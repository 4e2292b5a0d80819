"""ops/railway/: each service's configuration, of keys that Railway's reference of config as code names."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from tests.house.deployments import PATHS, check_command
from tests.house.sources import ROOT
from worker.settings import read_settings

FILES = sorted((ROOT / "ops" / "railway").glob("*.json"))
# docs.railway.com/config-as-code/reference; seconds are numbers, though its examples show text (railwayapp/docs#1243).
BUILD: dict[str, type] = {"builder": str, "dockerfilePath": str, "watchPatterns": list}
DEPLOY: dict[str, type] = {
    "startCommand": str,
    "healthcheckPath": str,
    "healthcheckTimeout": int,
    "restartPolicyType": str,
    "drainingSeconds": int,
}
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read(file: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return document


def test_there_is_one_for_each_process_and_for_migrate() -> None:
    assert [file.stem for file in FILES] == ["migrate", "scheduler", "worker"]


@each_file
def test_every_key_is_one_that_the_reference_names(file: Any) -> None:
    document = read(file)
    assert document.keys() == {"$schema", "build", "deploy"}
    assert document["$schema"] == "https://railway.com/railway.schema.json"
    for part, known in (("build", BUILD), ("deploy", DEPLOY)):
        for key, value in document[part].items():
            assert type(value) is known[key], key
    assert document["deploy"]["restartPolicyType"] in {"ALWAYS", "ON_FAILURE", "NEVER"}


@each_file
def test_it_is_built_from_our_image_and_anew_where_a_part_of_it_changed(file: Any) -> None:
    build = read(file)["build"]
    assert build["builder"] == "DOCKERFILE"
    assert (ROOT / build["dockerfilePath"]).is_file()
    for pattern in build["watchPatterns"]:
        assert (ROOT / pattern.strip("/*")).exists()


@each_file
def test_the_command_runs_as_the_first_process_and_is_one_of_ours(file: Any) -> None:
    shell, option, script = shlex.split(read(file)["deploy"]["startCommand"])
    assert (shell, option) == ("/bin/sh", "-c"), "without a shell no variable is filled in"
    called = re.fullmatch(r"umask 077; printenv CA_CERTIFICATES >/tmp/ca\.pem && exec zaptik (.+)", script)
    assert called is not None
    check_command(shlex.split(called[1]))
    assert called[1] == file.stem


@each_file
def test_a_process_is_asked_whether_it_is_ready_and_given_time_to_drain(file: Any) -> None:
    deploy = read(file)["deploy"]
    if file.stem == "migrate":
        assert deploy["restartPolicyType"] == "NEVER"
        return
    assert deploy["healthcheckPath"] in PATHS
    assert deploy["drainingSeconds"] > read_settings({}).drain_seconds + 5
