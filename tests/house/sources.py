"""The files of this project, for the rules that are read off them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTALLED = ("jobs", "schema", "worker")
ALL = (*INSTALLED, "ops", "tests")


def find_modules(*folders: str) -> list[Path]:
    """Find every Python file under folders of the checkout; none at all is a mistake of the caller."""
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert found, folders
    return found


@cache
def parse_module(path: Path) -> ast.Module:
    """Parse a file of ours."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def read_imports(path: Path) -> Iterator[str]:
    """Give the full name of every module that a file imports, wherever in it."""
    for node in ast.walk(parse_module(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def find_pages() -> list[Path]:
    """Find every page of documentation."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def name_file(path: Path) -> str:
    """Name a file as a person types it."""
    return str(path.relative_to(ROOT))
