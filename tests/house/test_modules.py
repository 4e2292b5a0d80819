"""How modules are written: what they say of themselves, how long and how named, and who may import what."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.house.sources import ALL, INSTALLED, ROOT, find_modules, name_file, parse_module, read_imports

LONGEST_FILE = 400
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "managers", "types", "misc"}
ROOMS = {
    "certifi": "worker/servicenow",
    "cryptography": "worker/vault",
    "dramatiq": "worker/queue",
    "httpcore": "worker/servicenow",
    "httpx": "worker/servicenow",
    "prometheus_client": "worker/telemetry",
    "psycopg": "worker/postgres",
    "pydantic": "worker/settings",
    "pydantic_settings": "worker/settings",
    "redis": "worker/queue",
    "rich": "worker/command",
    "shtab": "worker/command",
    "structlog": "worker/telemetry",
    "tenacity": "worker/servicenow",
}
OTHER_CLIENTS = {
    "aiohttp",
    "http.client",
    "psycopg2",
    "requests",
    "socketserver",
    "urllib.request",
    "urllib3",
}


def has_code(tree: ast.Module) -> bool:
    return any(not isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree.body)


def is_within(path: Path, room: str) -> bool:
    return name_file(path) == room or name_file(path).startswith(f"{room}/")


def imports_any(path: Path, libraries: set[str]) -> list[str]:
    return sorted(
        {
            library
            for name in read_imports(path)
            for library in libraries
            if name == library or name.startswith(f"{library}.")
        }
    )


def test_every_module_with_code_says_what_it_is_for() -> None:
    silent = [
        name_file(path)
        for path in find_modules(*ALL)
        if has_code(parse_module(path)) and not ast.get_docstring(parse_module(path))
    ]
    assert silent == []


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    long = {
        name_file(path): lines
        for path in find_modules(*ALL)
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_no_comment_stands_behind_a_bracket_that_it_made_the_formatter_break() -> None:
    """A comment that is too long for its line stands above it: else the formatter takes the line apart."""
    broken = [
        f"{name_file(path)}:{number}"
        for path in find_modules(*ALL)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if re.match(r"\s*[])}]+:?  # (?!fmt|noqa|type)", line)
    ]
    assert broken == []


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    vague = [
        name_file(path)
        for path in find_modules(*ALL)
        if VAGUE_NAMES & {path.stem, *path.relative_to(ROOT).parts}
    ]
    assert vague == []


def test_nothing_in_the_worker_prints() -> None:
    printing = [
        f"{name_file(path)}:{node.lineno}"
        for path in find_modules("worker")
        for node in ast.walk(parse_module(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


@pytest.mark.parametrize(("library", "room"), ROOMS.items())
def test_a_library_is_imported_in_its_room_alone(library: str, room: str) -> None:
    importing = [path for path in find_modules(*INSTALLED) if imports_any(path, {library})]
    assert importing, f"nobody imports {library}: take it out of this list"
    assert [name_file(path) for path in importing if not is_within(path, room)] == []


def test_aesgcm_is_the_only_cipher() -> None:
    """Of `cryptography`: `modes.GCM` takes a tag cut to four bytes, and others have none."""
    ciphers = "cryptography.hazmat.primitives.ciphers"
    others = [
        f"{name_file(path)}: {name}"
        for path in find_modules(*INSTALLED)
        for name in read_imports(path)
        if name.startswith(
            (ciphers, "cryptography.fernet", "cryptography.hazmat.decrepit", "cryptography.hazmat.bind")
        )
        and name not in {f"{ciphers}.aead", f"{ciphers}.aead.AESGCM"}
    ]
    assert others == []


def test_nothing_that_is_installed_has_another_way_to_open_connections() -> None:
    others = {name_file(path): imports_any(path, OTHER_CLIENTS) for path in find_modules(*INSTALLED)}
    assert {name: libraries for name, libraries in others.items() if libraries} == {}


def test_no_test_imports_mocks() -> None:
    mocking = {name_file(path): imports_any(path, {"mock", "unittest"}) for path in find_modules("tests")}
    assert {name: libraries for name, libraries in mocking.items() if libraries} == {}


def test_one_module_of_the_tests_opens_servers_and_connections_by_asyncio() -> None:
    """What is opened elsewhere is closed elsewhere, or not, and then fails whichever test comes next."""
    opening = re.compile(
        r"asyncio\.(start_server|open_connection|start_unix_server|new_event_loop)\b|loop\.create_server\("
    )
    found = [name_file(path) for path in find_modules("tests") if opening.search(path.read_text("utf-8"))]
    assert sorted(found) == ["tests/serving.py"]
