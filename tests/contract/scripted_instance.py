"""An instance that answers what a test tells it to, byte by byte, over TLS: for what no honest server sends.

It runs in the test's own event loop. `open_reader` opens our client on it, or on the simulator.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

from jobs.surface import Table, read_surface
from ops.local.certificates import Certificates
from tests.serving import serving
from worker.servicenow import Client, Limits, TokenStore, build_trust, open_client

GROUPS: Table = read_surface().tables["sys_user_group"]
LIMITS = Limits(page_rows=100, request_timeout_seconds=20, concurrency=4, tries=3, backoff_seconds=0)
JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"
CLIENT_ID, CLIENT_SECRET = "simulator-client", "simulator-secret"

CARRIED = ("private_ranges", "pace", "resolve", "sleep")

Play = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def bearer(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer ")


def reply(
    status: int, body: bytes | str, *, kind: str = JSON, headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Make an HTTP answer."""
    content = body.encode() if isinstance(body, str) else body
    every = [("Content-Type", kind), ("Content-Length", str(len(content))), *headers]
    head = "".join(f"{name}: {value}\r\n" for name, value in every)
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + content


def page(*sys_ids: str, total: int | None = None) -> bytes:
    """Make a page of the Table API."""
    rows = [{"sys_id": sys_id, "name": f"name-{sys_id}"} for sys_id in sys_ids]
    headers = [] if total is None else [("X-Total-Count", str(total))]
    return reply(200, json.dumps({"result": rows}), headers=headers)


def grant(text: str = "token-canary-1", *, expires_in: int = 1799) -> bytes:
    """Make an answer of the token endpoint."""
    body = {"access_token": text, "scope": "useraccount", "token_type": "Bearer", "expires_in": expires_in}
    return reply(200, json.dumps(body))


def error(status: int, message: str, detail: str | None = None, **headers: str) -> bytes:
    """Make an answer with the API's error envelope."""
    body = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return reply(status, json.dumps(body), headers=[(k.replace("_", "-"), v) for k, v in headers.items()])


@dataclass
class ScriptedInstance:
    """Plays its answers in order, the last one for ever; the token endpoint has its own."""

    certificates: Certificates
    plays: list[Play] = field(default_factory=lambda: [page()])
    grants: list[Play] = field(default_factory=lambda: [grant()])
    heard: list[Heard] = field(default_factory=list)
    url: str = ""
    most_at_once: int = 0

    @property
    def asked(self) -> list[Heard]:
        """The requests to the APIs."""
        return [one for one in self.heard if one.path != "/oauth_token.do"]

    @property
    def token_posts(self) -> list[Heard]:
        return [one for one in self.heard if one.path == "/oauth_token.do"]

    async def __aenter__(self) -> Self:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.certificates.cert_file, self.certificates.key_file)
        self._at_once = 0
        self._served = AsyncExitStack()
        port = await self._served.enter_async_context(serving(self._serve, tls=self.tls))
        self.url = f"https://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self._served.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            await self._play(await self._hear(reader), writer)
            await writer.drain()

    async def _hear(self, reader: asyncio.StreamReader) -> Heard:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        first, *lines = head.strip().split("\r\n")
        method, target, _version = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        heard = Heard(method, target, headers, body)
        self.heard.append(heard)
        return heard

    async def _play(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        script = self.grants if heard.path == "/oauth_token.do" else self.plays
        play = script.pop(0) if len(script) > 1 else script[0]
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if isinstance(play, bytes):
                writer.write(play)
            else:
                await play(writer)
        finally:
            self._at_once -= 1


@cache
def trust_in(ca_file: Path) -> ssl.SSLContext:
    return build_trust(ca_file)


@asynccontextmanager
async def open_reader(
    url: str, certificates: Certificates, *, tokens: TokenStore | None = None, **changes: Any
) -> AsyncIterator[Client]:
    """Open our client on a server of the loopback; `changes` are of its limits, or what `open_client` takes beside."""
    secret = changes.pop("client_secret", CLIENT_SECRET)
    trust = changes.pop("trust", None) or trust_in(certificates.ca_file)
    kept = {name: changes.pop(name) for name in CARRIED if name in changes}
    async with open_client(
        url,
        client_id=CLIENT_ID,
        client_secret=secret,
        allowed_hosts=[url.removeprefix("https://")],
        trust=trust,
        tokens=tokens or TokenStore(),
        token_key=changes.pop("token_key", ("tenant-1", 1)),
        limits=replace(LIMITS, **changes),
        **kept,
    ) as client:
        yield client
