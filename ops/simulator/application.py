"""The HTTP application: which path goes where, and what stands before every answer.

An API request passes, in this order: session and semaphore, faults, latency, length of the URL, token, Accept,
rate limit rule, method, table, denial, query. Faults that strike it change rows before, stand in for the answer,
or alter it afterwards. A token request meets the faults alone. What was asked and answered goes to the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from aiohttp import web

from ops.simulator import replies
from ops.simulator.aggregate_api import answer_stats
from ops.simulator.control import Control
from ops.simulator.fault_answers import build_struck, send_struck
from ops.simulator.faults import Strike
from ops.simulator.instance import FieldsDenied, Instance
from ops.simulator.oauth import METHOD_REFUSED
from ops.simulator.query import QueryRefused
from ops.simulator.store import Table
from ops.simulator.table_api import answer_list, answer_single

LONGEST_URL_BYTES = 8_192
LARGEST_BODY_BYTES = 1 << 30
_READING = ("GET", "HEAD")
_WRITING_ON_LIST = ("POST",)
_WRITING_ON_SINGLE = ("PUT", "PATCH", "DELETE")

Answer = Callable[[Instance, web.Request, Table], web.Response]


class Application:
    """The handlers over one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def build(self) -> web.Application:
        """Give the aiohttp application."""
        app = web.Application(client_max_size=LARGEST_BODY_BYTES)
        app.add_routes(Control(self._instance).routes())
        app.router.add_route("*", "/oauth_token.do", self._token)
        for base in ("/api/now", "/api/now/{version:v[12]}"):
            app.router.add_route("*", base + "/table/{table}", self._list)
            app.router.add_route("*", base + "/table/{table}/{sys_id}", self._single)
            app.router.add_route("*", base + "/stats/{table}", self._stats)
        app.router.add_route("*", "/api/{rest:.*}", self._nowhere)
        return app

    async def _token(self, request: web.Request) -> web.StreamResponse:
        is_form = request.content_type == "application/x-www-form-urlencoded"
        text = (await request.read()).decode("utf-8", "replace")

        def issue() -> web.Response:
            form = dict(parse_qsl(text, keep_blank_values=True)) if is_form else None
            is_post = request.method == "POST"
            return replies.bare_json(
                *(self._instance.oauth.issue(form, request.query) if is_post else METHOD_REFUSED)
            )

        strikes = self._instance.faults.strike("token", "")
        response = build_struck(self._instance, request, strikes, issue)
        self._log(request, response.status, strikes, authorized=response.status == web.HTTPOk.status_code)
        return await send_struck(request, response, strikes)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, answer_list, writing=_WRITING_ON_LIST)

    async def _single(self, request: web.Request) -> web.StreamResponse:
        def answer(instance: Instance, request: web.Request, table: Table) -> web.Response:
            return answer_single(instance, request, table, request.match_info["sys_id"])

        return await self._answer(request, answer, writing=_WRITING_ON_SINGLE)

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, answer_stats, writing=())

    async def _nowhere(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, None, writing=())

    async def _answer(
        self, request: web.Request, answer: Answer | None, *, writing: tuple[str, ...]
    ) -> web.StreamResponse:
        authorized = self._instance.oauth.accepts(request.headers.get("Authorization", ""))
        session = request.cookies.get(replies.SESSION_COOKIE, "")

        def make() -> web.Response:
            refused = self._refused(request, authorized=authorized)
            return refused or self._ruled(request, answer, writing)

        async with self._instance.limits.admit(session) as turned_away:
            if turned_away:
                self._log(request, turned_away, (), authorized=authorized)
                return web.Response(status=turned_away)
            strikes = self._instance.faults.strike(_endpoint(request), request.match_info.get("table", ""))
            if self._instance.latency_seconds:
                await asyncio.sleep(self._instance.latency_seconds)
            response = build_struck(self._instance, request, strikes, make)
            self._log(request, response.status, strikes, authorized=authorized)
            return await send_struck(request, response, strikes)

    def _ruled(self, request: web.Request, answer: Answer | None, writing: tuple[str, ...]) -> web.Response:
        """Answer as far as the rate limit rule allows."""
        rule = self._instance.limits.rule
        headers = rule.take() if rule else {}
        if rule and headers is None:
            return replies.rate_exceeded(request, rule)
        response = self._refused_method(request, writing) or self._answered(request, answer)
        response.headers.update(headers or {})
        return response

    def _refused(self, request: web.Request, *, authorized: bool) -> web.Response | None:
        if len(f"{request.url.origin()}{request.raw_path}") > LONGEST_URL_BYTES:
            return web.Response(
                status=414, text="<html><h1>414 Request-URI Too Large</h1></html>", content_type="text/html"
            )
        if not authorized:
            return replies.failure(request, 401, *replies.NOT_AUTHENTICATED)
        accepted = request.headers.get("Accept", "*/*")
        if not any(kind in accepted for kind in ("application/json", "application/*", "*/*")):
            return replies.failure(
                request, 406, "Not Acceptable", f"The simulator answers JSON, not {accepted}"
            )
        return None

    def _refused_method(self, request: web.Request, writing: tuple[str, ...]) -> web.Response | None:
        method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
        if method in _READING:
            return None
        if method not in writing:
            return replies.failure(request, 405, "Method not allowed", f"Method not supported: {method}")
        if request.can_read_body and request.content_type not in (
            "application/json",
            "application/xml",
            "text/xml",
        ):
            return replies.failure(
                request, 415, "Unsupported media type", f"Content-Type {request.content_type}"
            )
        return replies.failure(request, 403, *replies.ACL_EXCEPTION)

    def _answered(self, request: web.Request, answer: Answer | None) -> web.Response:
        if answer is None:
            return replies.failure(request, 400, *replies.NO_RESOURCE)
        name = request.match_info["table"]
        table = self._instance.readable_table(name)
        if table is None:
            return replies.invalid_table(request, name)
        if self._instance.access_of(name).denied:
            return replies.table_denied(request, name)
        try:
            return answer(self._instance, request, table)
        except FieldsDenied:
            return replies.failure(request, 403, *replies.FIELDS_DENIED)
        except QueryRefused as refusal:
            return replies.failure(request, 400, "Query refused", str(refusal))

    def _log(self, request: web.Request, status: int, strikes: Sequence[Strike], *, authorized: bool) -> None:
        self._instance.record(
            {
                "method": request.method,
                "path": request.path,
                "table": request.match_info.get("table", ""),
                "query": dict(request.query),
                "status": status,
                "authorized": authorized,
                "faults": [strike.fault.kind for strike in strikes],
            }
        )


def _endpoint(request: web.Request) -> str:
    return "stats" if "/stats/" in request.path else "table"
