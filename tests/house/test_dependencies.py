"""What is installed beside us is declared, explained, and told in a bill of materials."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib import metadata
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from ops.sbom import LOCK, build_sbom
from tests.house.sources import INSTALLED, ROOT, find_modules, read_imports
from worker import __version__

PAGE = ROOT / "docs" / "explanation" / "dependencies.md"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RUNTIME: list[str] = PROJECT["project"]["dependencies"]
LOOKED_FOR = {"sniffio"}  # by httpcore, which does not ask for it
GROUPS: dict[str, list[str | dict[str, str]]] = PROJECT["dependency-groups"]


def name_of(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0]


def read_declared() -> list[str]:
    listed = [*RUNTIME, *(found for group in GROUPS.values() for found in group)]
    return [name_of(found) for found in listed if isinstance(found, str)]


@pytest.mark.parametrize("name", read_declared())
def test_each_dependency_has_its_row_on_the_page(name: str) -> None:
    assert re.search(rf"(?m)^\| {re.escape(name)} \|", PAGE.read_text("utf-8")), (
        f"{PAGE.name} says nothing of {name}"
    )


def test_the_page_has_a_row_for_nothing_else() -> None:
    rows = re.findall(r"(?m)^\| ([a-z][\w.-]+) \|", PAGE.read_text("utf-8").partition("## What looks")[0])
    assert sorted(set(rows) - {"package"}) == sorted(read_declared())
    assert len(rows) - rows.count("package") == len(set(rows) - {"package"})


def test_what_is_imported_by_what_is_installed_is_declared() -> None:
    """Not by way of another package, which may let go of it."""
    imported = {name.partition(".")[0] for path in find_modules(*INSTALLED) for name in read_imports(path)}
    owners = metadata.packages_distributions()
    foreign = imported - set(INSTALLED) - set(sys.stdlib_module_names)
    needed = {canonicalize_name(owner) for name in foreign for owner in owners[name]}
    assert needed | LOOKED_FOR == {name_of(found) for found in RUNTIME}


def test_the_bill_of_materials_holds_what_is_locked_under_this_version() -> None:
    lock = LOCK.read_text("utf-8")
    bill = json.loads(build_sbom(lock))
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("zaptik-sync", __version__)
    pinned = {
        f"pkg:pypi/{name}@{version}" for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", lock)
    }
    assert {found["purl"] for found in bill["components"]} == pinned
    assert sum(len(found["hashes"]) for found in bill["components"]) == lock.count("--hash=sha256:")
    needs = {found["ref"]: found.get("dependsOn", []) for found in bill["dependencies"]}
    assert {name.partition("@")[0] for name in needs["zaptik-sync"]} == {name_of(found) for found in RUNTIME}
    assert any(name.startswith("psycopg-binary@") for name in needs["psycopg@" + metadata.version("psycopg")])


def test_the_bill_says_under_which_licence_each_package_is_that_is_installed() -> None:
    bill = json.loads(build_sbom(LOCK.read_text("utf-8")))
    installed = {found.metadata["Name"].lower().replace("_", "-") for found in metadata.distributions()}
    assert [
        found["name"]
        for found in bill["components"]
        if found["name"] in installed and not found.get("licenses")
    ] == []


def test_the_same_lock_gives_the_same_bytes() -> None:
    lock = LOCK.read_text("utf-8")
    assert build_sbom(lock) == build_sbom(lock) != build_sbom(lock.replace("==", "==9"))
