"""Log lines on standard error: one JSON object a line, or a form for people.

An event of ours is a line with its constant name and its declared fields alone, so that nothing has to be scrubbed
(docs/adr/0012). What a library logs passes as
`library.logged` with its logger and message, warnings and worse alone: httpx tells whole URLs at INFO, httpcore
cookies at DEBUG. Of a message only the words pass, with numbers; of an exception only the type: values, texts and
locals can hold customers' rows and worse.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

from jobs.events import LIBRARY_LOGGED, Event

_AGAIN_SECONDS: Final = 60
_LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure_logs(*, form: Literal["json", "console"], level: str, stream: TextIO | None = None) -> None:
    """Send events of at least `level`, and libraries' warnings, to `stream` (standard error)."""
    out = stream if stream is not None else sys.stderr
    last: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=_no_traceback)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _put_event_first,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.root.handlers[:] = [_LibraryHandler()]
    logging.root.setLevel(logging.WARNING)
    for name in ("httpx", "httpcore", "dramatiq", "psycopg"):
        logging.getLogger(name).setLevel(logging.WARNING)


def log_event(event: Event) -> None:
    """Write an event as one line, its tenant's opaque reference and its run beside its fields."""
    bound = {"tenant": event.tenant, "run": event.run}
    fields = {**{name: value for name, value in bound.items() if value is not None}, **event.fields}
    getattr(structlog.get_logger(), event.kind.level)(event.kind.name, **fields)


class _LibraryHandler(logging.Handler):
    """Passes a library's warning on, and the same again once a minute at most: some say it every second."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        words = _find_words(record)
        said = (record.name, words)
        if record.created - self._told.get(said, 0) < _AGAIN_SECONDS:
            return
        self._told[said] = record.created
        raised = record.exc_info[0] if record.exc_info else None
        fields = {
            "logger": record.name,
            "severity": record.levelname.lower(),
            "message": _put_numbers(words, record.args),
            "error": raised.__name__ if raised else None,
        }
        log_event(Event(LIBRARY_LOGGED, fields))


def _find_words(record: logging.LogRecord) -> str:
    """Give a message without its values: asyncio, say, puts a task's exception on the second line."""
    if not isinstance(record.msg, str):
        return type(record.msg).__name__
    return record.msg.partition("\n")[0]


def _put_numbers(words: str, given: object) -> str:
    values = given if isinstance(given, tuple) else ()
    try:
        return words % tuple(value if isinstance(value, (int, float)) else "…" for value in values)
    except (TypeError, ValueError):
        return words  # a place for a number alone, or for a name


def _put_event_first(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {"event": fields.pop("event"), **fields}


def _no_traceback(_stream: TextIO, _info: object) -> None:
    """Write nothing: a traceback can show a customer's values."""
