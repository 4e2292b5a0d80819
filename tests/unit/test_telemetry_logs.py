"""Log lines: one JSON object each, fields of the event alone, and nothing of a library's that could be secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from jobs.events import RUN_ENDED, SCHEDULER_TICKED, TENANT_PAUSED, Event
from worker.telemetry import configure_logs, log_event


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def read_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_that_begins_with_its_name() -> None:
    stream = io.StringIO()
    configure_logs(form="json", level="info", stream=stream)
    log_event(Event(RUN_ENDED, {"outcome": "published", "revision": 3}, tenant="ref", run="id"))
    [line] = read_lines(stream)
    assert stream.getvalue().startswith('{"event": "run.ended"')
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "run.ended",
        "tenant": "ref",
        "run": "id",
        "outcome": "published",
        "revision": 3,
        "level": "info",
    }


def test_an_event_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure_logs(form="json", level="info", stream=stream)
    log_event(Event(SCHEDULER_TICKED, {"rung": 1}))
    log_event(Event(TENANT_PAUSED, {"reason": "x"}))
    assert [line["event"] for line in read_lines(stream)] == ["tenant.paused"]


def test_of_a_librarys_exception_only_the_type_is_written() -> None:
    stream = io.StringIO()
    configure_logs(form="json", level="info", stream=stream)
    try:
        secret_row = "row with a secret"
        raise ValueError(secret_row)  # noqa: TRY301  what a library would do
    except ValueError:
        logging.getLogger("dramatiq.worker").exception("it failed")
    [line] = read_lines(stream)
    assert (line["event"], line["logger"], line["error"]) == (
        "library.logged",
        "dramatiq.worker",
        "ValueError",
    )
    assert "secret" not in stream.getvalue()


def test_of_a_librarys_warning_the_words_and_the_numbers_are_written() -> None:
    stream = io.StringIO()
    configure_logs(form="json", level="info", stream=stream)
    logger = logging.getLogger("some.library")
    logger.warning("row %r refused %d times by %s", "secret", 3, "secret")
    logger.warning("Task exception was never retrieved\nfuture: <Task exception=ValueError('secret')>")
    logger.warning("only %d", "secret")
    logger.warning("100 % sure")
    logger.warning("%(who)s", {"who": "secret"})
    logger.warning(ValueError("secret"))
    assert [line["message"] for line in read_lines(stream)] == [
        "row '…' refused 3 times by …",
        "Task exception was never retrieved",
        "only %d",
        "100 % sure",
        "%(who)s",
        "ValueError",
    ]


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "dramatiq", "psycopg"])
def test_what_a_library_tells_at_info_is_not_written(name: str) -> None:
    stream = io.StringIO()
    configure_logs(form="json", level="debug", stream=stream)
    logging.getLogger(name).info("GET https://acme.service-now.com/?secret")
    logging.getLogger(name).debug("Set-Cookie: secret")
    assert stream.getvalue() == ""


def test_the_console_form_is_for_people() -> None:
    stream = io.StringIO()
    configure_logs(form="console", level="info", stream=stream)
    log_event(Event(TENANT_PAUSED, {"reason": "credentials_rejected"}))
    assert "tenant.paused" in stream.getvalue()
    assert "credentials_rejected" in stream.getvalue()
