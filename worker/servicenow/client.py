"""What a run asks an instance for: a page of a table, and how many rows it has. It has no way to write.

A fetch is: question → turn → token → request → check → parsed answer, told of by one event a request, and
made again by `patience` where that may help.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from jobs.errors import InstanceUnreachable
from jobs.events import Emit
from jobs.lookup import parse_lookup
from jobs.page import Page, Position, parse_count, parse_page
from jobs.rereading import Aggregates, keys_of, parse_aggregates, parse_changed, parse_records
from jobs.surface import Table
from worker.servicenow import grant
from worker.servicenow.address import check_instance_url
from worker.servicenow.answers import Answer, Asked, TokenRefused, check_table_answer
from worker.servicenow.limits import Limits
from worker.servicenow.patience import build_retrying
from worker.servicenow.questions import (
    Question,
    build_aggregates_question,
    build_changed_question,
    build_count_question,
    build_lookup_count_question,
    build_lookup_question,
    build_page_question,
    build_records_question,
)
from worker.servicenow.reports import RequestReport
from worker.servicenow.tokens import Token, TokenKey, TokenStore
from worker.servicenow.wire import Wire, open_wire

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A checked page, and the X-Total-Count of its query: rows after the cursor, hidden ones counted."""

    page: Page
    total: int | None


class Client:
    """The reader of one instance, for one event loop; made by `open_client`.

    `emit` is called in the middle of a fetch, once for each HTTP request with one of `REQUEST_KINDS`, and once
    for each wait that the instance asked for. Failures are those of `jobs.errors` under InstanceFailure, and
    OutsideSurface before any request.
    """

    def __init__(
        self, wire: Wire, *, form: Mapping[str, str], tokens: TokenStore, token_key: TokenKey, limits: Limits
    ) -> None:
        self.limits = limits
        self._wire = wire
        self._form = form
        self._tokens = tokens
        self._token_key = token_key

    def __repr__(self) -> str:
        return f"<Client host={self._wire.host} limits={self.limits}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds credentials and is not pickled")

    async def fetch_page(self, table: Table, position: Position, *, emit: Emit) -> FetchedPage:
        """Fetch the page of a table after a position."""
        question = build_page_question(table, position, limit_rows=self.limits.page_rows)

        def parse(answer: Answer, report: RequestReport) -> FetchedPage:
            page = parse_page(table, answer.body, cursor=position.cursor)
            report.rows = len(page.rows)
            return FetchedPage(page, answer.total)

        return await build_retrying(self.limits, emit=emit)(self._fetch, question, parse, emit)

    async def fetch_count(self, table: Table, *, emit: Emit) -> int:
        """Fetch how many rows a table has by the Aggregate API, which is blind to row ACLs."""
        question = build_count_question(table)

        def parse(answer: Answer, _report: RequestReport) -> int:
            return parse_count(table, answer.body)

        return await build_retrying(self.limits, emit=emit)(self._fetch, question, parse, emit)

    async def fetch_aggregates(self, table: Table, *, emit: Emit) -> Aggregates:
        """Fetch a table's count, newest change and sum of changes, blind to row ACLs."""
        question = build_aggregates_question(table)

        def parse(answer: Answer, _report: RequestReport) -> Aggregates:
            return parse_aggregates(table, answer.body)

        return await build_retrying(self.limits, emit=emit)(self._fetch, question, parse, emit)

    async def fetch_changed(self, table: Table, position: Position, *, since: str, emit: Emit) -> FetchedPage:
        """Fetch the page after a position of the rows changed since a time."""
        question = build_changed_question(table, position, since=since, limit_rows=self.limits.page_rows)

        def parse(answer: Answer, report: RequestReport) -> FetchedPage:
            page = parse_changed(table, answer.body, cursor=position.cursor, since=since)
            report.rows = len(page.rows)
            return FetchedPage(page, answer.total)

        return await build_retrying(self.limits, emit=emit)(self._fetch, question, parse, emit)

    async def fetch_keys(self, table: Table, position: Position, *, emit: Emit) -> FetchedPage:
        """Fetch the keys and states of the records after a position, `limits.scan_rows` at a time."""
        scanned = keys_of(table)
        question = build_page_question(scanned, position, limit_rows=self.limits.scan_rows)

        def parse(answer: Answer, report: RequestReport) -> FetchedPage:
            page = parse_page(scanned, answer.body, cursor=position.cursor)
            report.rows = len(page.rows)
            return FetchedPage(page, answer.total)

        return await build_retrying(self.limits, emit=emit)(self._fetch, question, parse, emit)

    async def fetch_records(self, table: Table, sys_ids: Collection[str], *, emit: Emit) -> Page:
        """Fetch the records of at most a hundred keys, as far as they can be read."""
        question = build_records_question(table, sys_ids)

        def parse(answer: Answer, report: RequestReport) -> Page:
            page = parse_records(table, answer.body, sys_ids=sys_ids)
            report.rows = len(page.rows)
            return page

        return await build_retrying(self.limits, emit=emit)(self._fetch, question, parse, emit)

    async def fetch_given(self, table: Table, sys_ids: Collection[str], *, emit: Emit) -> frozenset[str]:
        """Fetch which of at most a hundred keys can be read."""
        question = build_lookup_question(table, sys_ids)

        def parse(answer: Answer, report: RequestReport) -> frozenset[str]:
            given = parse_lookup(table, answer.body, sys_ids=sys_ids)
            report.rows = len(given)
            return given

        return await build_retrying(self.limits, emit=emit)(self._fetch, question, parse, emit)

    async def fetch_count_of(self, table: Table, sys_ids: Collection[str], *, emit: Emit) -> int:
        """Fetch how many of at most a hundred keys there are, hidden ones counted."""
        question = build_lookup_count_question(table, sys_ids)

        def parse(answer: Answer, _report: RequestReport) -> int:
            return parse_count(table, answer.body)

        return await build_retrying(self.limits, emit=emit)(self._fetch, question, parse, emit)

    async def _fetch(
        self, question: Question, parse: Callable[[Answer, RequestReport], Parsed], emit: Emit
    ) -> Parsed:
        for is_last in (False, True):
            token = await self._obtain_token(emit)
            try:
                return await self._ask(question, token, parse, emit)
            except TokenRefused:
                self._tokens.drop(self._token_key, token)
                if is_last and not token.is_dying:
                    raise
        raise InstanceUnreachable(
            f"{self._wire.host} gave a token in its last seconds and then refused it: another is asked for later."
        )

    async def _ask(
        self,
        question: Question,
        token: Token,
        parse: Callable[[Answer, RequestReport], Parsed],
        emit: Emit,
    ) -> Parsed:
        asked = Asked(self._wire.host, f"{question.endpoint} {question.table}")
        async with self._wire.turns:
            with RequestReport(emit, question.endpoint, question.table, question.fields_hash) as report:
                answer = await self._wire.fetch_answer(question, token, asked)
                report.status, report.body_bytes = answer.status, len(answer.body)
                check_table_answer(answer, asked, table=question.table)
                return parse(answer, report)

    async def _obtain_token(self, emit: Emit) -> Token:
        async def fetch() -> Token:
            asked = Asked(self._wire.host, "a token")
            async with self._wire.turns:
                with RequestReport(emit, "token") as report:
                    answer = await self._wire.fetch_grant(self._form, asked)
                    report.status = answer.status
                    token = grant.parse_token(answer, asked)
                    report.expires_in_seconds = token.expires_in_seconds
                    return token

        return await self._tokens.obtain(self._token_key, fetch)


@asynccontextmanager
async def open_client(
    url: str,
    *,
    client_id: str,
    client_secret: str,
    allowed_hosts: Sequence[str],
    trust: ssl.SSLContext,
    tokens: TokenStore,
    token_key: TokenKey,
    limits: Limits,
) -> AsyncIterator[Client]:
    """Open a client of the instance at `url` and close its connections at the end.

    `token_key` is the tenant and the version of its credentials. No request is made before the first fetch.
    Raises what `check_instance_url` does.
    """
    origin = check_instance_url(url, allowed_hosts=allowed_hosts)
    form = grant.build_form(client_id=client_id, client_secret=client_secret)
    async with open_wire(origin, trust=trust, limits=limits) as wire:
        # The address is part of the key: a tenant that moves must not show its token to the new host.
        yield Client(wire, form=form, tokens=tokens, token_key=(*token_key, origin), limits=limits)
