"""Writes `ops/grafana/`, and says which files differed."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.dashboards.catalogue import build_dashboards
from ops.dashboards.grafana import render_dashboard

FOLDER = Path(__file__).parents[1] / "grafana"
COMMAND = "python -m ops.dashboards"


def build_files() -> dict[str, str]:
    """Build each dashboard's file by its name."""
    return {f"{board.name}.json": render_dashboard(board) for board in build_dashboards()}


def main() -> int:
    """Write the files that differ."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in build_files().items():
        file = FOLDER / name
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            print(f"wrote {file.relative_to(FOLDER.parents[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
