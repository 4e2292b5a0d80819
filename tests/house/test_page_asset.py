"""The page's script is the one that was built, holds its libraries' licences, and nothing in it loads anything."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from tests.house.sources import ROOT

ASSET = ROOT / "jobs" / "export" / "asset"
SCRIPT = (ASSET / "graph.js").read_text("utf-8")
PACKAGE = json.loads((ROOT / "ops" / "web" / "package.json").read_text("utf-8"))


def test_the_script_is_the_one_whose_hash_was_recorded() -> None:
    recorded = (ASSET / "graph.js.sha256").read_text("utf-8").strip()
    assert hashlib.sha256(SCRIPT.encode()).hexdigest() == recorded, "run `node build.mjs` in ops/web"


def test_the_script_names_no_address_and_has_no_way_to_load_one() -> None:
    code = SCRIPT.partition("*/")[2]  # after the licences
    assert re.findall(r"(?:https?|wss?|ftp)://[\w.-]+", code) == []
    for way in ("XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "importScripts", "fetch(", 'import("',
                "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):  # fmt: skip
        assert way not in code, way


@pytest.mark.parametrize("library", PACKAGE["dependencies"])
def test_the_licence_of_a_library_is_in_the_package_and_in_every_page(library: str) -> None:
    licences = (ASSET / "LICENCES.txt").read_text("utf-8")
    assert f"{library} {PACKAGE['dependencies'][library]} (MIT)" in licences
    assert licences in SCRIPT


def test_the_build_pins_versions_and_names_no_registry() -> None:
    versions = {**PACKAGE["dependencies"], **PACKAGE["devDependencies"]}
    assert [name for name, version in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
    assert "://" not in (ROOT / "ops" / "web" / "package.json").read_text("utf-8")
