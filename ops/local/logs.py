"""`make logs`: what the processes of the stack have said, in order of time, in a form for people.

Their logs stay JSON lines, one file each, since the stack reads them too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import structlog

from ops.local.failure import StepFailure


def show_logs(folder: Path, out: TextIO) -> None:
    """Print the lines of all logs under a folder; `StepFailure` where there is none."""
    said = sorted(_read_lines(folder), key=lambda line: str(line["time"]))
    if not said:
        raise StepFailure("the logs", "there are none: `make up` starts what writes them")
    render = structlog.dev.ConsoleRenderer(colors=out.isatty(), timestamp_key="time", pad_event_to=24)
    out.writelines(f"{render(None, '', line)}\n" for line in said)


def _read_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Give the events of each process with its name; the simulators' requests are not among them."""
    for file in sorted(folder.rglob("*.log")):
        for line in file.read_text("utf-8").splitlines():
            document = _parse(line)
            if document is not None and {"event", "time", "level"} <= document.keys():
                yield {"process": file.stem, **document}


def _parse(line: str) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None  # a message for people, or a line that is being written
    return document if isinstance(document, dict) else None
