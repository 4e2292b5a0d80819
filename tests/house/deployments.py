"""What the files of every platform must have in common: settings that exist and commands that parse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from worker.command.arguments import build_parser
from worker.settings import describe_settings

VARIABLES: Final = frozenset(row.variable for row in describe_settings())
PORTS: Final = {"worker": 9191, "scheduler": 9190}  # of worker/fleet/process.py; a test starts both
PATHS: Final = frozenset({"/metrics", "/livez", "/readyz"})


def read_documents(path: Path) -> list[Any]:
    """Read every document of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document is not None]


def check_variables(names: Iterable[str]) -> None:
    """Fail for a variable with our prefix that a process would refuse."""
    unknown = {name for name in names if name.startswith("ZAPTIK_")} - VARIABLES
    assert unknown == set()


def check_command(arguments: Sequence[str]) -> None:
    """Fail for arguments that `zaptik` would refuse; argparse says why."""
    build_parser().parse_args(list(arguments))
