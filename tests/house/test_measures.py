"""How the installed code reads, in figures: these bounds are told in docs/explanation/architecture.md."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator

from tests.house.sources import INSTALLED, find_modules, parse_module

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULES = [path for path in find_modules(*INSTALLED) if path.stat().st_size]


def find_ninety_fifth(counts: list[int]) -> int:
    return sorted(counts)[len(counts) * 95 // 100]


def count_lines(*folders: str) -> int:
    return sum(len(path.read_text("utf-8").splitlines()) for path in find_modules(*folders))


def find_public(body: list[ast.stmt]) -> Iterator[Function]:
    """Give the functions and methods that others may call: no name on the way begins with an underscore."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            if isinstance(node, ast.ClassDef):
                yield from find_public(node.body)
            else:
                yield node


def test_files_are_short() -> None:
    lines = [len(path.read_text("utf-8").splitlines()) for path in MODULES]
    assert statistics.median(lines) <= 110
    assert find_ninety_fifth(lines) <= 300


def test_functions_are_short() -> None:
    lines = [
        node.end_lineno - node.lineno + 1
        for path in MODULES
        for node in ast.walk(parse_module(path))
        if isinstance(node, Function) and node.end_lineno is not None
    ]
    assert statistics.median(lines) <= 8
    assert find_ninety_fifth(lines) <= 28


def test_public_functions_say_what_they_give() -> None:
    found = [node for path in MODULES for node in find_public(parse_module(path).body)]
    assert sum(ast.get_docstring(node) is not None for node in found) >= 0.95 * len(found)


def test_there_are_not_many_times_more_lines_of_tests_than_of_what_they_test() -> None:
    assert 1.3 <= count_lines("tests") / count_lines(*INSTALLED) <= 2.0
