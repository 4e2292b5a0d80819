"""The one HTTP connection pool to one instance: what is sent, how long it may take, how much may come back.

It can GET a question and POST the form that asks for a token: nothing else, so nothing can be written. httpx's
exceptions hold the request with its bearer and full URL, so none leaves this module, not even as a context.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from typing import Any, Final

import httpx

from jobs.errors import Failure, InstanceUnreachable, ResponseInvalid
from worker import __version__
from worker.servicenow import grant
from worker.servicenow.answers import Answer, Asked, parse_retry_after, parse_total
from worker.servicenow.body import BodyRefused, read_body
from worker.servicenow.limits import Limits
from worker.servicenow.questions import Question
from worker.servicenow.tokens import Token

_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"zaptik-sync/{__version__}",
}


class _NoCookies(CookieJar):
    """Keeps nothing: one session is one transaction at a time on the instance (KB0552064)."""

    def extract_cookies(self, response: object, request: object) -> None:
        pass


class Wire:
    """Requests to one instance, so many at once."""

    def __init__(self, http: httpx.AsyncClient, *, origin: str, limits: Limits) -> None:
        self._http = http
        self._origin = origin
        self._limits = limits
        self.turns = asyncio.Semaphore(limits.concurrency)
        """Whoever makes a request holds one of these for its length."""

    def __repr__(self) -> str:
        return f"<Wire host={self.host}>"

    @property
    def host(self) -> str:
        """The instance's host, with its port where it is not the default one."""
        return self._origin.removeprefix("https://")

    async def fetch_answer(self, question: Question, token: Token, asked: Asked) -> Answer:
        """GET one question; raises InstanceUnreachable or ResponseInvalid where no whole answer came."""
        request = self._http.build_request(
            "GET",
            self._origin + question.path,
            params=question.parameters,
            headers={"Authorization": f"Bearer {token.text}"},
        )
        return await self._exchange(request, asked)

    async def fetch_grant(self, form: Mapping[str, str], asked: Asked) -> Answer:
        """POST the form that asks for a token; raises as `fetch_answer` does."""
        return await self._exchange(
            self._http.build_request("POST", self._origin + grant.PATH, data=dict(form)), asked
        )

    async def _exchange(self, request: httpx.Request, asked: Asked) -> Answer:
        failure: Failure
        seconds = self._limits.request_timeout_seconds
        try:
            async with asyncio.timeout(seconds):  # httpx's own timeouts bound no total
                return await self._receive(request)
        except TimeoutError:
            failure = InstanceUnreachable(
                f"{asked} did not answer whole within {seconds:g} s. It is tried again; where this goes on, raise "
                "ZAPTIK_REQUEST_TIMEOUT_SECONDS or lower ZAPTIK_PAGE_ROWS."
            )
        except BodyRefused as refusal:
            failure = ResponseInvalid(
                f"{asked} sent an answer that {refusal}: it was not used. Lower ZAPTIK_PAGE_ROWS if it is too long."
            )
        except (httpx.HTTPError, OSError) as error:
            failure = InstanceUnreachable(f"{asked} could not be reached: {_describe_cause(error)}.")
        raise failure  # here, not above: as a context the library's exception would travel along

    async def _receive(self, request: httpx.Request) -> Answer:
        response = await self._http.send(request, stream=True)
        try:
            headers = response.headers
            body = await read_body(
                response.aiter_raw(),
                encoding=headers.get("Content-Encoding", ""),
                most_bytes=self._limits.body_bytes,
            )
        finally:
            await response.aclose()
        return Answer(
            status=response.status_code,
            media_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            body=body,
            after_seconds=parse_retry_after(headers.get("Retry-After"), now=datetime.now(UTC)),
            total=parse_total(headers.get("X-Total-Count")),
        )


@asynccontextmanager
async def open_wire(origin: str, *, trust: ssl.SSLContext, limits: Limits) -> AsyncIterator[Wire]:
    """Open the connections to a checked address and close them at the end."""
    options: dict[str, Any] = {
        "verify": trust,
        "trust_env": False,  # no proxy and no .netrc from the environment
        "follow_redirects": False,
        "timeout": None,
        "cookies": _NoCookies(),
        "headers": _HEADERS,
        "limits": httpx.Limits(
            max_connections=limits.concurrency, max_keepalive_connections=limits.concurrency
        ),
    }
    async with httpx.AsyncClient(**options) as http:
        yield Wire(http, origin=origin, limits=limits)


def _describe_cause(error: BaseException) -> str:
    """Say why, in our own words: the libraries' may name addresses and queries."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate could not be verified; name a private authority in ZAPTIK_CA_FILE"
        if isinstance(cause, ssl.SSLError):
            return "TLS could not be set up; check the address and what stands between"
        if isinstance(cause, socket.gaierror):
            return "its name is not known; check the spelling, and the DNS of this machine"
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there; check the address and its port"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return "no connection; check the address and what stands between"
    return "the connection was cut before the answer was whole; it is tried again"
