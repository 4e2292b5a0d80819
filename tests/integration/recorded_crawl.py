"""A crawl as it was once recorded: every answer of a made instance, and a server that gives them again.

`python -m tests.integration.recorded_crawl` records anew, from the simulator: needed when the surface or the client
asks something else. The digest in the test then changes too, and only then.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from ops.local.certificates import Certificates, write_certificates
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from ops.simulator import Simulator, made_store
from ops.simulator.client import TOKEN_PATH, open_client
from tests.conftest import Deployment, app_url
from tests.integration.slice_case import CLIENT_ID, CLIENT_SECRET, build_case, case_settings
from worker.postgres.connection import open_connection
from worker.postgres.migrate import migrate
from worker.postgres.tenants import add_tenant, change_state

FILE = Path(__file__).parent / "recorded_crawl.ndjson"
_SEED, _GROUPS, _ITEMS = 7, 12, 24
_KEPT_HEADERS = ("X-Total-Count",)
Key = tuple[str, tuple[tuple[str, str], ...]]


def key_of(path: str, query: Any) -> Key:
    """Give what tells one question from another: the path and the parameters, in whatever order they came."""
    return path, tuple(sorted(query.items()))


def read_recorded() -> dict[Key, dict[str, Any]]:
    """Give the recorded answers by what was asked."""
    answers = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
    return {key_of(answer["path"], answer["query"]): answer for answer in answers}


@dataclass
class RecordedInstance:
    """Gives the recorded answers over TLS, in this event loop; `missed` are questions that were never recorded."""

    certificates: Certificates
    answers: dict[Key, dict[str, Any]] = field(default_factory=read_recorded)
    missed: list[str] = field(default_factory=list)
    asked: set[Key] = field(default_factory=set)
    url: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post(TOKEN_PATH, self._grant)
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificates.cert_file, self.certificates.key_file)
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self._runner.cleanup()

    async def _grant(self, _request: web.Request) -> web.Response:
        granted = {
            "access_token": "recorded",
            "token_type": "Bearer",
            "scope": "useraccount",
            "expires_in": 1799,
        }
        return web.json_response(granted)

    async def _answer(self, request: web.Request) -> web.Response:
        key = key_of(request.path, request.query)
        answer = self.answers.get(key)
        if answer is None:
            self.missed.append(str(request.rel_url))
            return web.json_response({"error": {"message": "never recorded"}}, status=500)
        self.asked.add(key)
        return web.json_response(answer["body"], status=answer["status"], headers=answer["headers"])


async def record() -> int:
    """Crawl a simulator once and write every answer it gave; gives how many."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(settings=WITHOUT_DURABILITY) as server,
    ):
        certificates = write_certificates(Path(folder))
        deployment = Deployment(server.admin_url(), app_url(server.admin_url(), password="recorder"))
        files = (certificates.cert_file, certificates.key_file)
        store = made_store(seed=_SEED, groups=_GROUPS, items=_ITEMS)
        with Simulator(store, tls=files, client_id=CLIENT_ID, client_secret=CLIENT_SECRET) as simulator:
            await _crawl(deployment, simulator, certificates)
            asked = {
                key_of(one["path"], one["query"]) for one in simulator.requests if one["method"] == "GET"
            }
        with Simulator(store) as plain:
            lines = await asyncio.to_thread(_ask_again, plain, asked)
    FILE.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return len(lines)


async def _crawl(deployment: Deployment, simulator: Simulator, certificates: Certificates) -> None:
    async with open_connection(deployment.admin_url, purpose="record") as admin:
        await migrate(admin, app_url=deployment.app_url, today=datetime.now(UTC).date())
        tenant = await add_tenant(admin, "recorded", url=simulator.url, every_seconds=3600)
        async with open_connection(deployment.app_url, purpose="record") as app:
            await change_state(app, tenant.tenant_id, "active", reason=None)
            settings = case_settings(deployment, simulator, certificates)
            run = await (await build_case(app, admin, tenant, simulator, settings)).sync(mode="full")
            assert run["state"] == "published", run


def _ask_again(simulator: Simulator, asked: set[Key]) -> list[str]:
    """Ask once more for everything that the crawl asked, one line for each answer."""
    lines = []
    with open_client(simulator) as client:
        for path, query in sorted(asked):
            answer = client.get(path, params=dict(query))
            headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
            told = {"path": path, "query": dict(query), "status": answer.status_code, "headers": headers}
            lines.append(
                json.dumps({**told, "body": answer.json()}, ensure_ascii=False, separators=(",", ":"))
            )
    return lines


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(record())} answers in {FILE}\n")
