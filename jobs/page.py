"""What is asked of the Table and Aggregate APIs, and what their answers must be to be believed.

ServiceNow answers 200 to many things that are no answer: an error after partial rows, a page for people, a
query of which a part was dropped. So a page counts only if it parses, holds a list of rows of strings, and
every row is after the cursor, in order, and answers the filter; what was not asked for is dropped. NUL, which
PostgreSQL stores in no text, and half of a surrogate pair, which is no character, become U+FFFD: one such value must
not keep its table from being read for ever. Bytes that are no UTF-8 are refused: no instance writes them.

Paging is by `sys_id`, which is unique and never changes: an offset drifts under writes. The instance applies
the limit before row ACLs, so a short page is the end only when the rest of the window, by `X-Total-Count` of
that same query, is covered (ServiceNowDocs c_TableAPI).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import msgspec

from jobs.errors import OrderIgnored, ResponseInvalid, TransactionCancelled
from jobs.filters import check_rows
from jobs.surface import Table
from jobs.values import SYS_ID

_NUL = "\0"
# Every escape is matched, whole pairs and others too: else the second half of `\\ud800` (a backslash, and then
# text) would be taken for one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}(?P<pair>\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    rb"|u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<other>.))",
    re.DOTALL,
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CANCELLED: Final = ("transaction cancel", "maximum execution time")
_ERROR_KEY = re.compile(rb'"error"\s*:')
_ERROR_TAIL_BYTES: Final = 1_000

Decoded = TypeVar("Decoded")


class _Error(msgspec.Struct):
    message: str | None = None
    detail: str | None = None


class _TableAnswer(msgspec.Struct):
    result: list[dict[str, str]] | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None
    status: str | None = None


class _Stats(msgspec.Struct):
    count: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,18}\Z")]


class _StatsResult(msgspec.Struct):
    stats: _Stats


class _StatsAnswer(msgspec.Struct):
    result: _StatsResult | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None


class _ErrorAnswer(msgspec.Struct):
    error: _Error | None = None


_TABLE_DECODER = msgspec.json.Decoder(_TableAnswer)
_STATS_DECODER = msgspec.json.Decoder(_StatsAnswer)
_ERROR_DECODER = msgspec.json.Decoder(_ErrorAnswer)


@dataclass(frozen=True, slots=True)
class Page:
    """Checked rows of one request, in order of `sys_id`, with the fields that were asked for and no other."""

    rows: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a table's read stands: the last `sys_id` seen, and an offset past rows that ACLs hid after it."""

    cursor: str = ""
    offset: int = 0
    ended: bool = False


def page_parameters(table: Table, position: Position, *, limit_rows: int) -> dict[str, str]:
    """Give the parameters of the Table API request for the page after `position`."""
    terms = [table.filter] if table.filter else []
    if position.cursor:
        terms.append(f"sys_id>{position.cursor}")
    parameters = {
        "sysparm_query": "^".join([*terms, "ORDERBYsys_id"]),
        "sysparm_fields": ",".join(table.asked),
        "sysparm_limit": str(limit_rows),
        "sysparm_display_value": "false",
        "sysparm_exclude_reference_link": "true",
        "sysparm_suppress_pagination_header": "true",
    }
    if position.offset:
        parameters["sysparm_offset"] = str(position.offset)
    return parameters


def count_parameters(table: Table) -> dict[str, str]:
    """Give the parameters of the Aggregate API request that counts the table's rows."""
    parameters = {"sysparm_count": "true"}
    if table.filter:
        parameters["sysparm_query"] = table.filter
    return parameters


def parse_page(table: Table, body: bytes, *, cursor: str) -> Page:
    """Parse and check one answer of the Table API.

    Raises ResponseInvalid for anything that is not a list of rows of strings, TransactionCancelled where the
    instance broke it off (KB1297438), OrderIgnored when a row is not after `cursor`, not in order, or there twice,
    and PredicateIgnored when one does not answer the table's filter: the instance dropped a part of the query (query
    ACLs do so, with 200).
    """
    answer = _decode(_TABLE_DECODER, body)
    if answer is None:
        what = "is not the JSON of a list of rows of strings"
        failure = TransactionCancelled if is_cancelled(body) else ResponseInvalid
        raise failure(_describe_page(table, what))
    if answer.error is not None or answer.status == "failure":
        if answer.result or is_cancelled(body):
            what = "carries an error after its rows: the transaction was cancelled"
            raise TransactionCancelled(_describe_page(table, what))
        raise ResponseInvalid(_describe_page(table, "carries an error in place of rows"))
    if isinstance(answer.result, msgspec.UnsetType):
        raise ResponseInvalid(_describe_page(table, "has no result"))
    rows, allowed = answer.result, frozenset(table.asked)
    last = cursor
    # JSON has no other way to write it: a body without it, as nearly all are, is not gone through value by value.
    has_nul = b"\\u0000" in body
    for index, row in enumerate(rows):
        sys_id = row.get("sys_id", "")
        if not SYS_ID.match(sys_id):
            raise ResponseInvalid(
                _describe_page(table, "has a row whose sys_id is missing or not 32 hex digits")
            )
        if sys_id <= last:
            raise OrderIgnored(
                f"The instance dropped the order or the lower bound of a query on {table.name} (a query ACL does "
                "this silently): grant the integration user query_range on its sys_id."
            )
        last = sys_id
        if not row.keys() <= allowed:
            rows[index] = {key: value for key, value in row.items() if key in allowed}
        if has_nul:
            rows[index] = {key: value.replace(_NUL, "\ufffd") for key, value in rows[index].items()}
    check_rows(rows, table=table.name, filter_text=table.filter, fields=allowed)
    return Page(rows=tuple(rows))


def parse_count(table: Table, body: bytes) -> int:
    """Parse an answer of the Aggregate API: how many rows match, blind to row ACLs."""
    answer = _decode(_STATS_DECODER, body)
    if answer and answer.error is None and not isinstance(answer.result, msgspec.UnsetType):
        return int(answer.result.stats.count)
    failure = TransactionCancelled if is_cancelled(body) else ResponseInvalid
    raise failure(f"The Aggregate API's answer for {table.name} is not a count; look at the instance's logs.")


def parse_error(body: bytes) -> tuple[str, str]:
    """Give message and detail of the API's error envelope, both empty where the body is not one."""
    answer = _decode(_ERROR_DECODER, body)
    error = answer.error if answer else None
    return (error.message or "", error.detail or "") if error else ("", "")


def is_cancelled(body: bytes) -> bool:
    """Say whether an answer tells of a cancelled transaction, be its JSON whole or cut."""
    message, detail = parse_error(body)
    # Of a whole envelope its own words. Of any other body the end is searched: one that is cut is no JSON.
    told = f"{message} {detail}" if message or detail else _read_error_tail(body)
    return any(words in told.lower() for words in _CANCELLED)


def next_position(position: Position, page: Page, *, limit_rows: int, total: int | None) -> Position:
    """Say where to read on after a page.

    `total` is X-Total-Count of that query: the rows after the cursor, hidden ones counted. A page that ACLs
    emptied leaves no row to go on from, so the offset steps by the limit within the same window.
    """
    # By the limit and not by the rows that came: the instance counts off its limit before it hides rows.
    covered = position.offset + limit_rows
    ended = total is not None and total <= covered
    if page.rows:
        return Position(cursor=page.rows[-1]["sys_id"], ended=ended)
    # Without a total there is nothing to go on by: an empty page is then the end, and the counts judge it.
    if total is None or ended:
        return Position(cursor=position.cursor, offset=position.offset, ended=True)
    return Position(cursor=position.cursor, offset=covered)


def _read_error_tail(body: bytes) -> str:
    """Give what follows the error's key near the end of a cut body: a row's text has its quotes escaped."""
    tail = body[-_ERROR_TAIL_BYTES:]
    key = _ERROR_KEY.search(tail)
    return tail[key.end() :].decode("utf-8", "replace") if key else ""


def _decode(decoder: msgspec.json.Decoder[Decoded], body: bytes) -> Decoded | None:
    """Decode a body, once more with its broken surrogates mended; None where it is not what is expected."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last for a deep nest of brackets
        mended = _mend_surrogates(body) if _SURROGATE.search(body) else body
    return None if mended == body else _decode(decoder, mended)


def _mend_surrogates(body: bytes) -> bytes:
    """Replace each escape that is half of a surrogate pair; every escape is matched, so that none is misread."""

    def mend(escape: re.Match[bytes]) -> bytes:
        return escape[0] if escape["pair"] or escape["other"] else b"\\ufffd"

    return _ESCAPE.sub(mend, body)


def _describe_page(table: Table, what: str) -> str:
    return f"An answer for {table.name} {what}; it was not used. It is asked again with the next try."
