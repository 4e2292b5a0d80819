"""What is installed, what it is made from, and what `make help` says of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.house.sources import INSTALLED, ROOT
from worker import __version__

DISTRIBUTION = "zaptik-sync"
CALL_SECONDS = 30
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PRINT_ORIGINS = (
    "import json, jobs, schema, worker; print(json.dumps([m.__file__ for m in (jobs, schema, worker)]))"
)


def claims(distribution: metadata.Distribution, name: str) -> bool:
    return any(file.parts[0] in {name, f"{name}.py"} for file in distribution.files or ())


@pytest.mark.parametrize("name", INSTALLED)
def test_no_other_distribution_claims_one_of_our_generic_names(name: str) -> None:
    owners = {found.metadata["Name"] for found in metadata.distributions() if claims(found, name)}
    assert owners <= {DISTRIBUTION}


@pytest.mark.parametrize("name", INSTALLED)
def test_no_distribution_is_called_as_one_of_ours(name: str) -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.distribution(name)


def test_the_installed_distribution_brings_the_three_names(tmp_path: Path) -> None:
    # Isolated and from elsewhere, so that neither the folder nor a variable finds them.
    ended = subprocess.run(  # noqa: S603  ourselves
        [sys.executable, "-I", "-c", PRINT_ORIGINS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=True,
    )
    origins = [Path(origin) for origin in json.loads(ended.stdout)]
    assert origins == [find_place(name) for name in INSTALLED]


def find_place(name: str) -> Path:
    """Give where the distribution has a package: in the checkout it was installed from, or among its files."""
    found = metadata.distribution(DISTRIBUTION)
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Path(origin["url"].removeprefix("file://")) / name / "__init__.py"
    return Path(str(found.locate_file(f"{name}/__init__.py")))


def test_the_command_is_the_distributions() -> None:
    [command] = metadata.distribution(DISTRIBUTION).entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("zaptik", "worker.entry:main")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_by_hash_and_holds_no_address(lock: Path) -> None:
    lines = lock.read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert pins
    assert [line for line in pins if not re.match(r"[\w.-]+==\S+( ; .+)? \\$", line)] == []
    assert [line for line in lines if "://" in line or " @ " in line or line.startswith("--")] == []
    assert len(re.findall(r"(?m)^    --hash=sha256:", "\n".join(lines))) >= len(pins)


def read_targets() -> dict[str, str]:
    """Give each target of the Makefile with what it runs."""
    text = (ROOT / "Makefile").read_text("utf-8")
    parts = re.split(r"(?m)^([a-z-]+):", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_make_help_lists_every_target() -> None:
    make = shutil.which("make")
    assert make is not None
    ended = subprocess.run(  # noqa: S603  our own Makefile
        [make, "--no-print-directory", "-C", ROOT, "help"],
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=True,
    )
    listed = [line.split()[0] for line in ended.stdout.splitlines()]
    assert sorted(listed) == sorted(read_targets())


def test_every_phony_target_is_one() -> None:
    [phony] = re.findall(r"(?m)^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"))
    assert set(phony.split()) - read_targets().keys() == set()


def test_every_program_of_ours_that_make_starts_is_there() -> None:
    started = re.findall(r"-m (ops[\w.]*)", (ROOT / "Makefile").read_text("utf-8"))
    assert started
    places = [ROOT / name.replace(".", "/") for name in started]
    missing = [
        str(place)
        for place in places
        if not place.with_suffix(".py").is_file() and not (place / "__main__.py").is_file()
    ]
    assert missing == []


def test_every_folder_of_tests_is_in_a_part_of_make_test() -> None:
    played = set(re.findall(r"tests/(\w+)", "".join(read_targets().values())))
    assert {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")} - played == set()


def test_the_version_stands_in_one_place_and_the_changelog_begins_with_it() -> None:
    assert not re.findall(r"(?m)^version = ", (ROOT / "pyproject.toml").read_text("utf-8"))
    newest, *_ = re.findall(r"(?m)^## \[(\S+)\] - \S+$", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert newest == __version__
