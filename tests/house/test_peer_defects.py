"""Defects that systems of this kind had are numbered R1 and on; each has a test that names it in its docstring."""

from __future__ import annotations

import ast
import re

from tests.house.sources import find_modules, parse_module

KNOWN = range(1, 17)


def test_every_known_defect_has_a_test_that_names_it() -> None:
    told = [
        ast.get_docstring(node) or ""
        for path in find_modules("tests")
        for node in ast.walk(parse_module(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    ]
    named = {int(number) for text in told for number in re.findall(r"\bR(\d+)\b", text)}
    assert set(KNOWN) - named == set()
