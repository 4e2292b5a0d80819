"""The wheel, in an environment and a folder that hold nothing else of ours: it is whole, and it runs."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

import schema
from jobs.surface import read_surface
from tests.house.sources import ROOT
from worker import __version__

CALL_SECONDS = 60
READ_ALL = """
import json, jobs, schema, worker
from importlib.resources import files
print(json.dumps({
    "origins": [module.__file__ for module in (jobs, schema, worker)],
    "migrations": {area: [found.name for found in schema.read_migrations(area)] for area in ("control", "tenant")},
    "queries": {area: list(schema.read_queries(area)) for area in ("control", "tenant")},
    "assets": {found.name: len(found.read_bytes()) for found in (files("jobs.export") / "asset").iterdir()},
}))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel alone, and an empty folder to call from."""

    binaries: Path
    folder: Path

    def call(self, program: str, *arguments: str) -> str:
        """Call a program of it with no variable of ours, and give what it printed."""
        ended = subprocess.run(  # noqa: S603  ourselves
            [self.binaries / program, *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended
        return ended.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it; what it needs is lent by this environment, without our checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run_quietly("hatchling", "build", "-t", "wheel", "-d", str(folder / "built"))
    [wheel] = (folder / "built").iterdir()
    venv.create(folder / "venv", symlinks=True)
    [packages] = (folder / "venv" / "lib").glob("python3*/site-packages")
    # A line of a .pth file is a place to look in; the .pth files there, by which our checkout is found, are not read.
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "lent.pth").write_text("\n".join(lent), "utf-8")
    run_quietly(
        "pip",
        "--python",
        str(folder / "venv"),
        "install",
        "--no-index",
        "--no-deps",
        "--no-compile",
        str(wheel),
    )
    (folder / "empty").mkdir()
    return Installed(folder / "venv" / "bin", folder / "empty")


def run_quietly(module: str, *arguments: str) -> None:
    """Run a tool of this environment in the checkout."""
    ended = subprocess.run(  # noqa: S603  ourselves
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        timeout=CALL_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended


def test_it_says_its_version_and_its_words(installed: Installed) -> None:
    assert installed.call("zaptik", "--version") == f"zaptik {__version__}\n"
    assert installed.call("zaptik", "--help").startswith("usage: zaptik ")


def test_it_knows_the_read_surface(installed: Installed) -> None:
    listed = json.loads(installed.call("zaptik", "surface", "--json"))["tables"]
    assert [table["table"] for table in listed] == list(read_surface().tables)


def test_all_that_is_no_code_is_there_too_and_nothing_of_it_is_the_checkouts(installed: Installed) -> None:
    found = json.loads(installed.call("python", "-I", "-c", READ_ALL))
    assert all(origin.startswith(str(installed.binaries.parent)) for origin in found["origins"]), found[
        "origins"
    ]
    for area in get_args(schema.Area):
        assert found["migrations"][area] == [migration.name for migration in schema.read_migrations(area)]
        assert found["queries"][area] == list(schema.read_queries(area))
    assets = (ROOT / "jobs" / "export" / "asset").iterdir()
    assert found["assets"] == {path.name: path.stat().st_size for path in assets}
