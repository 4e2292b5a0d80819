"""What an answer's status and kind say, as failures: the one place where HTTP becomes our own words.

    connection, TLS, 502, 503, 504         InstanceUnreachable
    no whole answer in time                InstanceSlow
    429, 202 (dropped from the queue)      InstanceThrottled
    3xx, or a page for people with 200, 503    InstanceAsleep
    401                                    TokenRefused; the client asks for another token, once
    403                                    TableDenied
    400 "Invalid table"                    TableAbsent
    500 "Transaction cancelled"            TransactionCancelled
    500, other 4xx, 200 without JSON       ResponseInvalid

A failure's `after_seconds` is set here alone: None where the instance named no time to wait, 0 where it named one that
has passed.

Sources: c_TableAPI, r_RESTAPIHTTPResponseCodes, KB3047080 (202), KB1297438 (cancelled). A status of 200 proves
nothing yet: `jobs.page` reads the body. Of a body only the error envelope's text is repeated, cut short, and only
where the API itself writes it about a table (400, 403).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from jobs.errors import (
    CredentialsRejected,
    Failure,
    InstanceAsleep,
    InstanceThrottled,
    InstanceUnreachable,
    ResponseInvalid,
    TableAbsent,
    TableDenied,
    TransactionCancelled,
)
from jobs.page import is_cancelled, parse_error
from worker.servicenow.budget import RateHeaders

_LONGEST_RETRY_AFTER_SECONDS = 86_400.0  # a century is a mistake, and would stop a tenant for good
# An instance writes it: it stands in rows, in logs and on screens.
_LONGEST_DETAIL = 200
_REDIRECTS = range(300, 400)


class TokenRefused(CredentialsRejected):
    """An API answered 401: the token died, or the account behind it may not log in."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole.

    `after_seconds` is its Retry-After, `total` its X-Total-Count, `rate` what it says of a rate limit rule.
    """

    status: int
    media_type: str
    body: bytes = field(repr=False)
    after_seconds: float | None = None
    total: int | None = None
    rate: RateHeaders | None = None

    @property
    def is_page_for_people(self) -> bool:
        """Whether it is HTML: a login, a maintenance or a hibernation page."""
        return self.media_type in {"text/html", "application/xhtml+xml"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom what was asked, for messages: the host, and `table sys_user_group` or `a token`."""

    host: str
    what: str

    def __str__(self) -> str:
        return f"{self.host}, asked for {self.what},"


def check_table_answer(answer: Answer, asked: Asked, *, table: str) -> None:
    """Raise what the answer of the Table or Aggregate API says if it is not 200 with JSON."""
    check_answer(answer, asked)
    match answer.status:
        case HTTPStatus.OK if answer.media_type == "application/json":
            return
        case HTTPStatus.UNAUTHORIZED:
            raise TokenRefused(
                f"{asked} refused a token that it had just given: see that the user of the OAuth application is "
                "active, not locked out, and may use web services."
            )
        case HTTPStatus.FORBIDDEN:
            raise TableDenied(_describe_denial(answer, asked, table=table))
        case HTTPStatus.BAD_REQUEST if parse_error(answer.body)[0].startswith("Invalid table"):
            raise TableAbsent(
                f"{asked} has no such table: its plugin is not installed. Nothing is to be done if it is not used."
            )
        case HTTPStatus.INTERNAL_SERVER_ERROR if is_cancelled(answer.body):
            raise TransactionCancelled(
                f"{asked} was broken off by it: it took longer than a quota rule allows, or waited too long for its "
                "turn. Fewer rows are asked for; where this goes on, raise the REST quota of the integration user."
            )
    raise ResponseInvalid(_describe_invalid(answer, asked))


def check_answer(answer: Answer, asked: Asked) -> None:
    """Raise what an answer says about the instance as a whole, whatever was asked."""
    status = answer.status
    if failure := _judge_sleep(answer, asked):
        raise failure
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.ACCEPTED}:
        raise InstanceThrottled(
            f"{asked} wants fewer requests (status {status}): the next try waits. Where this goes on, raise the rate "
            "limit of the integration user, or lower ZAPTIK_INSTANCE_CONCURRENCY.",
            after_seconds=answer.after_seconds,
        )
    # Not 500 itself: that is what came of this question (a cancelled transaction, a script that fails), and other
    # tables may well answer.
    if status > HTTPStatus.INTERNAL_SERVER_ERROR:
        raise InstanceUnreachable(
            f"{asked} answered {status}: it or a gateway before it is out of order. It is tried again later.",
            after_seconds=answer.after_seconds,
        )


def parse_total(text: str | None) -> int | None:
    """Read X-Total-Count; None where it is not a number."""
    return int(text) if text and re.fullmatch(r"[0-9]{1,15}", text) else None


def parse_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Read Retry-After, seconds or an HTTP date, as seconds from `now`: 0 for the past, a day at most.

    `now` is the instance's own time where it tells it (`parse_date`): a date by a clock that goes wrong would
    otherwise be obeyed too late, or not at all.
    """
    if not text:
        return None
    if re.fullmatch(r"[0-9]+", text.strip()):
        # So many digits are any time there is; a header of a megabyte is not read as a number.
        seconds = float(text.strip()[:18])
    else:
        moment = parse_date(text)
        if moment is None:
            return None
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)


def parse_date(text: str | None) -> datetime | None:
    """Read an HTTP date; None where it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _judge_sleep(answer: Answer, asked: Asked) -> Failure | None:
    # HTML under any other status is a gateway's page of errors, which its status says enough of.
    is_sleepy = answer.status in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}
    if answer.status in _REDIRECTS or (is_sleepy and answer.is_page_for_people):
        return InstanceAsleep(
            f"{asked} answered with a page for people (status {answer.status}): it hibernates, is in maintenance, or "
            "wants a login. Open it in a browser and wake it; it is tried again later.",
            after_seconds=answer.after_seconds,
        )
    return None


def _describe_denial(answer: Answer, asked: Asked, *, table: str) -> str:
    message, detail = parse_error(answer.body)
    said = "; ".join(filter(None, map(_tidy, (message, detail))))
    if not said:
        return (
            f"{asked} answered 403 without saying why: an IP access rule or a proxy may have refused, not an ACL. "
            "Allow this deployment's addresses on the instance."
        )
    return f"{asked} refused: {said}. Grant the integration user read access to {table}; `zaptik surface` names a role."


def _describe_invalid(answer: Answer, asked: Asked) -> str:
    said = _tidy(parse_error(answer.body)[0]) if answer.status == HTTPStatus.BAD_REQUEST else ""
    what = f"answered {answer.status}" + (f": {said}" if said else "")
    if answer.status == HTTPStatus.OK:
        what = "answered 200 without JSON"
    return f"{asked} {what}. The answer was not used; see the instance's log if this goes on."


def _tidy(text: str) -> str:
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return words if len(words) <= _LONGEST_DETAIL else words[:_LONGEST_DETAIL] + "…"
