"""What a run asks an instance for: a page of a table, and how many rows it has. It has no way to write.

A fetch is: question → token → turn → request → check → parsed answer, told of by one event a request, and
made again by `patience` where that may help. How the instance bears it decides what is asked next: how many
requests at once (`turns`), how many in an hour (`budget`), how many rows (`page_size`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from jobs.canary import Canary, Signs, parse_signs
from jobs.errors import InstanceSlow, InstanceThrottled, InstanceUnreachable, TransactionCancelled
from jobs.events import Emit
from jobs.lookup import parse_lookup
from jobs.pace import Pace, RateWindow
from jobs.page import Page, Position, parse_count, parse_page
from jobs.rereading import Aggregates, keys_of, parse_aggregates, parse_changed, parse_records
from jobs.surface import Table
from worker.servicenow import grant
from worker.servicenow.address import DEFAULT_PORT, check_instance_url
from worker.servicenow.answers import Answer, Asked, TokenRefused, check_table_answer
from worker.servicenow.budget import Budget
from worker.servicenow.limits import Limits
from worker.servicenow.lookup import Lookup, Network, Resolve, resolve_name
from worker.servicenow.page_size import PageSizes
from worker.servicenow.patience import build_retrying
from worker.servicenow.questions import (
    Question,
    build_aggregates_question,
    build_canary_question,
    build_changed_question,
    build_count_question,
    build_lookup_count_question,
    build_lookup_question,
    build_page_question,
    build_records_question,
)
from worker.servicenow.reports import RequestReport
from worker.servicenow.tokens import Token, TokenKey, TokenStore
from worker.servicenow.turns import Turns
from worker.servicenow.wire import Wire, open_wire

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A checked page, and what says where to read on: the X-Total-Count of its query, and the rows asked for.

    `total` counts the rows after the cursor, hidden ones too. `limit_rows` may differ from page to page.
    """

    page: Page
    total: int | None
    limit_rows: int


class Client:
    """The reader of one instance, for one event loop; made by `open_client`.

    `emit` is called in the middle of a fetch, once for each HTTP request with one of `REQUEST_KINDS`, once for
    each wait that the instance asked for, and when the limit on requests at once changed. Failures are those of
    `jobs.errors` under InstanceFailure, HostNotAllowed where the host's name leads into a private network, and
    OutsideSurface before any request.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        form: grant.Form,
        tokens: TokenStore,
        token_key: TokenKey,
        limits: Limits,
        turns: Turns,
        budget: Budget,
        page_sizes: PageSizes,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limits = limits
        self._wire = wire
        self._turns = turns
        self._budget = budget
        self._page_sizes = page_sizes
        self._sleep = sleep
        self._form = form
        self._tokens = tokens
        self._token_key = token_key

    def __repr__(self) -> str:
        return f"<Client host={self._wire.host} limits={self.limits} {self._turns} {self._page_sizes}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds credentials and is not pickled")

    @property
    def cooldown_seconds(self) -> float:
        """How long the instance, or its hourly budget, wants nothing asked from now; 0 where it may be asked.

        Seconds and not a moment: the next client may run where the clock goes differently.
        """
        return self._turns.cooldown_seconds

    @property
    def rate_window(self) -> RateWindow | None:
        """What is used of the hour of a rate limit rule, for the next client to count on; None without a rule."""
        return self._budget.window

    @property
    def pace(self) -> Pace:
        """All that this client leaves to the next one of the same instance."""
        return Pace(self.cooldown_seconds, self.rate_window, self._turns.allowed, self._page_sizes.smaller)

    @property
    def requests_under_way(self) -> int:
        """How many requests were made and have no checked answer yet."""
        return self._turns.inside

    def stop_asking(self) -> None:
        """Make no request from now on: a fetch waits until it is cancelled, and one under way comes to its end."""
        self._turns.close()

    async def wait_for_pause(self) -> None:
        """Wait until the instance asks for a pause, so that others can be told at once."""
        await self._turns.wait_for_pause()

    async def fetch_scope(self, *, emit: Emit) -> str:
        """Fetch a token where none is held; give the scope that the instance gave it, empty where it said none."""
        token: Token = await build_retrying(self.limits, emit=emit, sleep=self._sleep)(
            self._obtain_token, emit
        )
        return token.scope

    async def fetch_page(self, table: Table, position: Position, *, emit: Emit) -> FetchedPage:
        """Fetch the page of a table after a position, of as many rows as the table's last pages let expect.

        Where it is read whole every time, its rows are few or short, and ten pages' come at a time.
        """

        def ask(page_rows: int) -> tuple[Question, int]:
            limit_rows = page_rows if table.can_be_reread else self.limits.plan_scan_rows(page_rows)
            question = build_page_question(table, position, limit_rows=limit_rows)
            # What is learnt from is the size of a page: that of a scan, ten times as large, would undo all shrinking.
            return replace(question, limit_rows=page_rows), limit_rows

        return await self._fetch_sized(
            table, ask, lambda body: parse_page(table, body, cursor=position.cursor), emit
        )

    async def fetch_count(self, table: Table, *, emit: Emit) -> int:
        """Fetch how many rows a table has by the Aggregate API, which is blind to row ACLs."""
        return await self._fetch_parsed(build_count_question(table), partial(parse_count, table), emit)

    async def fetch_aggregates(self, table: Table, *, emit: Emit) -> Aggregates:
        """Fetch a table's count, newest change and sum of changes, blind to row ACLs."""
        return await self._fetch_parsed(
            build_aggregates_question(table), partial(parse_aggregates, table), emit
        )

    async def fetch_changed(self, table: Table, position: Position, *, since: str, emit: Emit) -> FetchedPage:
        """Fetch the page after a position of the rows changed since a time."""

        def ask(page_rows: int) -> tuple[Question, int]:
            return build_changed_question(table, position, since=since, limit_rows=page_rows), page_rows

        return await self._fetch_sized(
            table, ask, lambda body: parse_changed(table, body, cursor=position.cursor, since=since), emit
        )

    async def fetch_keys(self, table: Table, position: Position, *, emit: Emit) -> FetchedPage:
        """Fetch the keys and states of the records after a position, those of ten pages at a time."""
        scanned = keys_of(table)

        def ask(page_rows: int) -> tuple[Question, int]:
            limit_rows = self.limits.plan_scan_rows(page_rows)
            question = build_page_question(scanned, position, limit_rows=limit_rows)
            # How it is borne tells of the size of a page, whichever it was.
            return replace(question, limit_rows=page_rows), limit_rows

        return await self._fetch_sized(
            table, ask, lambda body: parse_page(scanned, body, cursor=position.cursor), emit
        )

    async def fetch_records(self, table: Table, sys_ids: Collection[str], *, emit: Emit) -> Page:
        """Fetch the records of at most a hundred keys, as far as they can be read."""
        return await self._fetch_parsed(
            build_records_question(table, sys_ids),
            partial(parse_records, table, sys_ids=sys_ids),
            emit,
            count_rows=lambda page: len(page.rows),
        )

    async def fetch_given(self, table: Table, keys: Collection[str], *, emit: Emit) -> frozenset[str]:
        """Fetch which of at most a hundred keys can be read."""
        return await self._fetch_parsed(
            build_lookup_question(table, keys), partial(parse_lookup, table, keys=keys), emit, count_rows=len
        )

    async def fetch_count_of(self, table: Table, keys: Collection[str], *, emit: Emit) -> int:
        """Fetch how many of at most a hundred keys there are, hidden ones counted."""
        return await self._fetch_parsed(
            build_lookup_count_question(table, keys), partial(parse_count, table), emit
        )

    async def fetch_signs(self, table: Table, canary: Canary, *, emit: Emit, moment: str = "") -> Signs:
        """Fetch what the instance answers to a canary, as it comes."""
        question = build_canary_question(table, canary, moment=moment)

        def parse(answer: Answer, report: RequestReport) -> Signs:
            signs = parse_signs(table, answer.body, total=answer.total)
            report.rows = len(signs.rows)
            return signs

        return await build_retrying(self.limits, emit=emit, sleep=self._sleep)(
            self._fetch, question, parse, emit
        )

    async def _fetch_parsed(
        self,
        question: Question,
        parse_body: Callable[[bytes], Parsed],
        emit: Emit,
        *,
        count_rows: Callable[[Parsed], int] = lambda _: 0,
    ) -> Parsed:
        """Fetch the answer to one question, parsed, telling how many rows it gave."""

        def parse(answer: Answer, report: RequestReport) -> Parsed:
            parsed = parse_body(answer.body)
            report.rows = count_rows(parsed)
            return parsed

        return await build_retrying(self.limits, emit=emit, sleep=self._sleep)(
            self._fetch, question, parse, emit
        )

    async def _fetch_sized(
        self,
        table: Table,
        ask: Callable[[int], tuple[Question, int]],
        parse_body: Callable[[bytes], Page],
        emit: Emit,
    ) -> FetchedPage:
        """Fetch a page by the question that `ask` gives, with its limit, for the rows that a page may have now."""

        # All of it is done again at a try: a page that was too slow is asked for anew with fewer rows.
        async def attempt() -> FetchedPage:
            question, limit_rows = ask(self._page_sizes.plan_rows(table.name))

            def parse(answer: Answer, report: RequestReport) -> FetchedPage:
                page = parse_body(answer.body)
                report.rows = len(page.rows)
                return FetchedPage(page, answer.total, limit_rows)

            return await self._fetch(question, parse, emit)

        return await build_retrying(self.limits, emit=emit, sleep=self._sleep)(attempt)

    async def _fetch(
        self, question: Question, parse: Callable[[Answer, RequestReport], Parsed], emit: Emit
    ) -> Parsed:
        # Twice: a token that was good when it was taken can have died, or been revoked, by the time it is looked at. A
        # second refusal is the account's, unless that token too came with its last seconds.
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
        # The turn before the budget: an hour can be used up, or begin, while a turn is waited for.
        async with self._turns.turn(emit) as turn:
            self._check_budget()
            with (
                self._sized(question),
                RequestReport(emit, question.endpoint, question.table, question.fields_hash) as report,
            ):
                answer = await self._wire.fetch_answer(question, token, asked)
                turn.status = report.status = answer.status
                report.body_bytes = len(answer.body)
                if answer.rate:
                    self._budget.learn(answer.rate)
                # Checked and parsed inside the turn: that a transaction was cancelled may stand in the body alone,
                # behind a status of 200, and must halve the limit all the same.
                check_table_answer(answer, asked, table=question.table)
                return parse(answer, report)

    def _check_budget(self) -> None:
        wait_seconds = self._budget.take()
        if wait_seconds:
            raise InstanceThrottled(
                f"{self._wire.host} is not asked more in this hour: the rest of its rate limit is left to the "
                "customer's other integrations. Reading goes on when the hour is over; raise the rate limit of the "
                "integration user if that takes too long.",
                after_seconds=wait_seconds,
            )

    @contextmanager
    def _sized(self, question: Question) -> Iterator[None]:
        """Let the size of the table's next page follow from how this one's request ends."""
        try:
            yield
        except (InstanceSlow, TransactionCancelled):
            if question.limit_rows:
                self._page_sizes.shrink(question.table, asked_rows=question.limit_rows)
            raise
        else:
            if question.limit_rows:
                self._page_sizes.grow(question.table, asked_rows=question.limit_rows)

    async def _obtain_token(self, emit: Emit) -> Token:
        async def fetch() -> Token:
            asked = Asked(self._wire.host, "a token")
            async with self._turns.turn(emit) as turn:
                with RequestReport(emit, "token") as report:
                    answer = await self._wire.fetch_grant(self._form, asked)
                    turn.status = report.status = answer.status
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
    private_ranges: Sequence[Network] = (),
    pace: Pace | None = None,
    resolve: Resolve = resolve_name,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Client]:
    """Open a client of the instance at `url` and close its connections at the end.

    `token_key` is the tenant and the version of its credentials, `private_ranges` networks beside the public
    ones where the host may be, `pace` what an earlier client of the same instance left, `sleep` how a wait that the
    instance asks for is kept. No request is made before the first fetch. Raises what `check_instance_url` does.
    """
    pace = pace or Pace()
    origin = check_instance_url(url, allowed_hosts=allowed_hosts)
    parts = urlsplit(origin)
    host = origin.removeprefix("https://")
    lookup = Lookup(
        parts.hostname or "", parts.port or DEFAULT_PORT, private_ranges=private_ranges, resolve=resolve
    )
    async with open_wire(origin, lookup=lookup, trust=trust, limits=limits) as wire:
        yield Client(
            wire,
            form=grant.Form(client_id, client_secret),
            tokens=tokens,
            # The address is part of the key: a tenant that moves must not show its token to the new host.
            token_key=(*token_key, origin),
            limits=limits,
            turns=Turns(
                limits, host=host, cooldown_seconds=pace.cooldown_seconds, at_once=pace.at_once, sleep=sleep
            ),
            budget=Budget(reserve_share=limits.reserve_share, window=pace.window),
            page_sizes=PageSizes(
                most_rows=limits.page_rows, least_rows=limits.least_page_rows, smaller=pace.page_rows
            ),
            sleep=sleep,
        )
