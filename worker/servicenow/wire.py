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

from jobs.errors import Failure, InstanceSlow, InstanceUnreachable, ResponseInvalid
from worker import __version__
from worker.servicenow import grant
from worker.servicenow.answers import Answer, Asked, parse_date, parse_retry_after, parse_total
from worker.servicenow.body import BodyRefused, read_body
from worker.servicenow.budget import parse_rate
from worker.servicenow.limits import Limits
from worker.servicenow.lookup import Lookup
from worker.servicenow.questions import Question
from worker.servicenow.tokens import Token
from worker.servicenow.transport import Transport

_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"zaptik-sync/{__version__}",
}
_CONNECT_SECONDS: Final = 10.0  # then the next of the name's addresses is tried


class _NoCookies(CookieJar):
    """Keeps nothing: one session is one transaction at a time on the instance (KB0552064)."""

    def extract_cookies(self, response: object, request: object) -> None:
        pass


class Wire:
    """Requests to one instance, at the addresses that its host was found at and that were checked."""

    def __init__(self, http: httpx.AsyncClient, *, origin: str, lookup: Lookup, limits: Limits) -> None:
        self._http = http
        self._origin = origin
        self._lookup = lookup
        self._limits = limits

    def __repr__(self) -> str:
        return f"<Wire host={self.host}>"

    @property
    def host(self) -> str:
        """The instance's host, with its port where it is not the default one."""
        return self._origin.removeprefix("https://")

    async def fetch_answer(self, question: Question, token: Token, asked: Asked) -> Answer:
        """GET one question; raises InstanceUnreachable or ResponseInvalid where no whole answer came."""
        bearer = {"Authorization": f"Bearer {token.text}"}
        sent = {"method": "GET", "params": question.parameters, "headers": bearer}
        return await self._exchange(question.path, sent, asked)

    async def fetch_grant(self, form: grant.Form, asked: Asked) -> Answer:
        """POST the form that asks for a token; raises as `fetch_answer` does."""
        return await self._exchange(
            grant.PATH, {"method": "POST", "data": form.build(), "headers": {}}, asked
        )

    async def _exchange(self, path: str, sent: Mapping[str, Any], asked: Asked) -> Answer:
        failure: Failure
        seconds = self._limits.request_timeout_seconds
        try:
            async with asyncio.timeout(seconds):  # httpx's own timeouts bound no total
                return await self._receive(await self._send(path, sent))
        except TimeoutError:
            failure = InstanceSlow(
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

    async def _send(self, path: str, sent: Mapping[str, Any]) -> httpx.Response:
        """Send by the first of the addresses that lets itself be connected to; HostNotAllowed where one may not be.

        The address stands in the URL, so that nothing looks the name up again; the name stands where the
        instance and its certificate are asked for by it.
        """
        away: httpx.TransportError = httpx.ConnectError("the name has no address")
        name = {"sni_hostname": self._lookup.host} if self._lookup.is_name else {}
        for address in await self._lookup.fetch_addresses():
            place = f"[{address}]" if ":" in address else address
            url = f"https://{place}:{self._lookup.port}{path}"
            request = self._http.build_request(
                **{**sent, "url": url, "headers": {**sent["headers"], "Host": self.host}, "extensions": name}
            )
            try:
                response = await self._http.send(request, stream=True)
            # These two alone, before anything was sent: what may have arrived is not sent to a second address.
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                away = error
            else:
                self._lookup.prefer(address)
                return response
        self._lookup.forget()
        raise away

    async def _receive(self, response: httpx.Response) -> Answer:
        try:
            headers = response.headers
            body = await read_body(
                response.aiter_raw(),
                encoding=headers.get("Content-Encoding", ""),
                most_bytes=self._limits.body_bytes,
            )
        finally:
            await response.aclose()
        # The instance's own clock, where it tells it: what it names as moments is by that.
        now = parse_date(headers.get("Date")) or datetime.now(UTC)
        return Answer(
            status=response.status_code,
            media_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            body=body,
            after_seconds=parse_retry_after(headers.get("Retry-After"), now=now),
            total=parse_total(headers.get("X-Total-Count")),
            rate=parse_rate(headers, now=now),
        )


@asynccontextmanager
async def open_wire(
    origin: str, *, lookup: Lookup, trust: ssl.SSLContext, limits: Limits
) -> AsyncIterator[Wire]:
    """Open the connections to a checked address and close them at the end."""
    options: dict[str, Any] = {
        "transport": Transport(trust=trust),
        "trust_env": False,  # no proxy and no .netrc from the environment
        "follow_redirects": False,
        "timeout": httpx.Timeout(None, connect=_CONNECT_SECONDS),
        "cookies": _NoCookies(),
        "headers": _HEADERS,
    }
    async with httpx.AsyncClient(**options) as http:
        yield Wire(http, origin=origin, lookup=lookup, limits=limits)


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
        # httpx wraps httpcore's exception, which wraps the system's: the reason stands at the bottom.
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return "no connection; check the address and what stands between"
    return "the connection was cut before the answer was whole; it is tried again"
