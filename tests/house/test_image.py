"""What the image is made from and what is in it, as far as can be seen without a daemon that builds it."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.sources import INSTALLED, ROOT

BUILD_SECONDS = 60
DOCKERFILE = (ROOT / "ops" / "image" / "Dockerfile").read_text("utf-8")
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
WHAT_OPENS = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\"primary\": \"k-[0-9a-f]{12}\"")


def read_steps() -> list[tuple[str, str, str]]:
    """Give each instruction with the name of its stage and its text, lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE).replace("\\\n", " ")
    stage, steps = "", []
    for line in filter(str.strip, text.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            stage = rest.partition(" AS ")[2]
        steps.append((stage, instruction, rest))
    return steps


STEPS = read_steps()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel as the image does, and open it."""
    folder = tmp_path_factory.mktemp("wheel")
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(built, cwd=ROOT, capture_output=True, timeout=BUILD_SECONDS, check=True)  # noqa: S603  ourselves
    [path] = folder.iterdir()
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_what_is_installed_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = {name for name in wheel.namelist() if not name.partition("/")[0].endswith(".dist-info")}
    sources = {
        str(path.relative_to(ROOT))
        for name in INSTALLED
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == sources
    assert {Path(name).suffix for name in files} >= {".py", ".sql"}


def test_the_wheel_holds_no_test_no_key_and_nothing_compiled(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert [
        name
        for name in names
        if re.search(r"(^|/)(tests?|conftest)[_./]|\.(pem|key|env|lock|pyc|so|map)$", name)
    ] == []
    assert [name for name in names if WHAT_OPENS.search(wheel.read(name))] == []


def test_every_stage_stands_on_the_one_base_or_on_a_stage_before() -> None:
    origins = [rest.partition(" AS ") for _, instruction, rest in STEPS if instruction == "FROM"]
    known = {"${BASE}"}
    for origin, _, name in origins:
        assert origin in known
        known.add(name)
    assert origins[-1][2] == "runtime", "what is built where no target is named"


def test_what_is_installed_is_pinned_by_hash_or_is_ours() -> None:
    installs = [
        part
        for _, instruction, rest in STEPS
        if instruction == "RUN"
        for part in rest.split("&&")
        if " install " in part
    ]
    assert len(installs) == 4
    for part in installs:
        assert "--no-deps" in part
        assert ("--require-hashes" in part) != ("--no-index dist/*.whl" in part)


def test_every_file_that_is_copied_is_there_and_not_ignored() -> None:
    copied = [
        source
        for _, instruction, rest in STEPS
        if instruction == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]
    assert copied
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}
    for source in copied:
        assert (ROOT / source).exists(), source
        assert Path(source).parts[0] in allowed, source
    assert allowed == {Path(source).parts[0] for source in copied}


def test_nothing_but_what_is_named_reaches_the_builder() -> None:
    rules = [line for line in IGNORED if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not {"!tests", "!docs", "!.git", "!.demo"}.intersection(rules)


@pytest.mark.parametrize("target", ["runtime", "simulator"])
def test_an_image_is_run_by_a_user_by_number_without_a_shell(target: str) -> None:
    [user] = [rest for stage, instruction, rest in STEPS if instruction == "USER" and stage == "bare"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), "Kubernetes' runAsNonRoot takes no name"
    [origin] = [rest for stage, instruction, rest in STEPS if instruction == "FROM" and stage == target]
    assert origin.startswith("bare ")
    started = [rest for stage, name, rest in STEPS if stage == target and name in {"ENTRYPOINT", "CMD"}]
    assert len(started) == 2
    assert all(rest.startswith("[") for rest in started), "a shell would keep the signals to itself"
    assert [rest for stage, name, rest in STEPS if stage == target and name in {"RUN", "USER", "ADD"}] == []


def test_the_image_that_runs_holds_the_wheel_alone() -> None:
    copied = [rest for stage, instruction, rest in STEPS if stage == "runtime" and instruction == "COPY"]
    assert copied == ["--from=build /opt/zaptik /opt/zaptik"]


@pytest.mark.parametrize("name", ["build", "runtime", "simulator"])
def test_what_the_image_is_made_with_is_what_the_tests_ran_with(name: str) -> None:
    ours, dev = (
        set(re.findall(r"(?m)^[\w.-]+==\S+", (ROOT / "requirements" / f"{lock}.lock").read_text("utf-8")))
        for lock in (name, "dev")
    )
    assert ours - dev == set()
