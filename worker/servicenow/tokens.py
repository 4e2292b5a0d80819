"""Access tokens, in memory only, for the whole process: each is asked for once, however many need it.

A token is renewed a minute before it dies. The instance gives the same token with a shrinking lifetime until it
dies (KB2058936), so what comes back may have less than that minute left: then it is used until its end.
Threads, each with its own event loop, share the store: a flight, the one request under way for a key, is a
`concurrent.futures.Future`, which tasks of any loop can wait on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from jobs.errors import Failure

RENEW_BEFORE_SECONDS = 60.0

TokenKey: TypeAlias = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """An access token and how long it was said to live, from when it was asked for; and the scope it was given."""

    text: str
    expires_in_seconds: float
    scope: str = ""

    def __repr__(self) -> str:
        return "Token(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("tokens are not pickled")

    @property
    def is_dying(self) -> bool:
        """Whether it came with so little time left that a refusal of it proves nothing."""
        return self.expires_in_seconds <= RENEW_BEFORE_SECONDS


@dataclass(frozen=True, slots=True)
class _Held:
    token: Token
    renew_at: float
    dies_at: float


FetchToken: TypeAlias = Callable[[], Awaitable[Token]]
_Flight: TypeAlias = "Future[Token | Failure | None]"


class TokenStore:
    """The tokens of all tenants by tenant, credential version and instance. Any thread may use it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[TokenKey, _Held] = {}
        self._flights: dict[TokenKey, _Flight] = {}

    def __repr__(self) -> str:
        return f"<TokenStore tokens={len(self._held)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("tokens are not pickled")

    def drop(self, key: TokenKey, token: Token) -> None:
        """Forget a token that the instance refused, unless another stands in its place by now.

        One that was asked for again is another, even if the instance gave the same text: of many tasks that were
        refused with the first, one alone asks.
        """
        with self._lock:
            held = self._held.get(key)
            if held is not None and held.token is token:
                del self._held[key]

    async def obtain(self, key: TokenKey, fetch: FetchToken) -> Token:
        """Give a token that can be used, asking for one by `fetch` if need be.

        Tasks that come while another asks wait for its token, or fail as it fails; if it was cancelled, one of
        them asks.
        """
        while True:
            with self._lock:
                token = self._usable(key)
                if token is not None:
                    return token
                flight = self._flights.get(key)
                if flight is None:
                    own = self._flights[key] = Future()
                    own.set_running_or_notify_cancel()  # so that a waiter's end does not cancel it for all
            if flight is None:
                return await self._fly(key, own, fetch)
            # None where who asked was cancelled: then the loop comes round, and one of those who waited asks.
            outcome = await asyncio.wrap_future(flight)
            if isinstance(outcome, Token):
                return outcome
            if outcome is not None:
                # A new one for each who waited: an exception raised in many tasks gathers all their tracebacks.
                raise type(outcome)(outcome.message, after_seconds=outcome.after_seconds)

    def _usable(self, key: TokenKey) -> Token | None:
        held = self._held.get(key)
        return held.token if held is not None and self._clock() < held.renew_at else None

    async def _fly(self, key: TokenKey, flight: _Flight, fetch: FetchToken) -> Token:
        asked_at = self._clock()
        outcome: Token | Failure | None = None
        try:
            outcome = token = await fetch()
        except Failure as failure:
            outcome = failure
            raise
        else:
            return token
        finally:
            with self._lock:
                # Under one lock with holding the token: between the two another task would ask once more.
                del self._flights[key]
                if isinstance(outcome, Token):
                    self._hold(key, outcome, asked_at)
            flight.set_result(outcome)

    def _hold(self, key: TokenKey, token: Token, asked_at: float) -> None:
        dies_at = asked_at + token.expires_in_seconds
        renew_at = dies_at if token.is_dying else dies_at - RENEW_BEFORE_SECONDS
        now = self._clock()
        # The dead are forgotten at each new one: nobody asks again for a version that was replaced.
        self._held = {other: held for other, held in self._held.items() if held.dies_at > now}
        self._held[key] = _Held(token, renew_at, dies_at)
