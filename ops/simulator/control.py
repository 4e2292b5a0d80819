"""The control API: changes rows and access and shows the request log, for demos and tests.

It is no part of ServiceNow: its paths begin with `/_simulator/`, and it wants its own token.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from aiohttp import web

from ops.simulator.faults import Fault
from ops.simulator.limits import Limits
from ops.simulator.replies import bare_json

if TYPE_CHECKING:
    from ops.simulator.instance import Instance

Handler = Callable[[web.Request], Awaitable[web.Response]]
Body = TypeVar("Body")
Count = Annotated[int, msgspec.Meta(ge=0)]
_Rows = list[dict[str, str]]


class _OAuthSwitches(msgspec.Struct, forbid_unknown_fields=True):
    revoke: bool = False
    client_secret: str | None = None
    token_seconds: float | None = None
    has_application_user: bool | None = None


class _Latency(msgspec.Struct, forbid_unknown_fields=True):
    ms: Annotated[float, msgspec.Meta(ge=0)]


class _Properties(msgspec.Struct, forbid_unknown_fields=True):
    returns_no_rows: bool | None = None
    zone_offset_seconds: float | None = None


class _LimitSwitches(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    at_once: Count | msgspec.UnsetType = msgspec.UNSET
    waiting: Count | msgspec.UnsetType = msgspec.UNSET
    waiting_on_session: Count | msgspec.UnsetType = msgspec.UNSET
    requests_an_hour: Count | msgspec.UnsetType = msgspec.UNSET


class _Faults(msgspec.Struct, forbid_unknown_fields=True):
    faults: list[Fault]
    seed: int = 1
    skew_seconds: float = 0.0


class Control:
    """The handlers over one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def routes(self) -> list[web.RouteDef]:
        """Give the routes; without a control token there are none."""
        if not self._instance.control_token:
            return []
        table_rows = "/_simulator/rows/{table}"
        routes = [
            web.put(table_rows, self._put_rows),
            web.get(table_rows, self._get_rows),
            web.delete(table_rows + "/{sys_id}", self._delete_row),
            web.put("/_simulator/access/{table}", self._put_access),
            web.put("/_simulator/oauth", self._put_oauth),
            web.put("/_simulator/latency", self._put_latency),
            web.put("/_simulator/limits", self._put_limits),
            web.put("/_simulator/properties", self._put_properties),
            web.put("/_simulator/faults", self._put_faults),
            web.get("/_simulator/touches", self._get_touches),
            web.get("/_simulator/requests", self._get_requests),
            web.delete("/_simulator/requests", self._delete_requests),
        ]
        return [web.RouteDef(r.method, r.path, self._guarded(r.handler), r.kwargs) for r in routes]  # type: ignore[arg-type]

    def _guarded(self, handler: Handler) -> Handler:
        """Let through who has the token, and turn a body that does not fit into a 400."""

        async def guarded(request: web.Request) -> web.Response:
            given = request.headers.get("X-Simulator-Token", "")
            if not hmac.compare_digest(given.encode(), self._instance.control_token.encode()):
                return bare_json(403, {"error": "the control API wants its token in X-Simulator-Token"})
            try:
                return await handler(request)
            except (msgspec.DecodeError, ValueError) as error:
                return bare_json(400, {"error": f"not a body for {request.path}: {error}"})

        return guarded

    async def _put_rows(self, request: web.Request) -> web.Response:
        rows = await _body(request, _Rows)
        self._instance.store.put(request.match_info["table"], rows)
        return bare_json(200, {"rows": len(rows)})

    async def _get_rows(self, request: web.Request) -> web.Response:
        return bare_json(200, self._instance.store.rows(request.match_info["table"]))

    async def _delete_row(self, request: web.Request) -> web.Response:
        deleted = self._instance.store.delete(request.match_info["table"], request.match_info["sys_id"])
        return bare_json(200 if deleted else 404, {"deleted": deleted})

    async def _put_access(self, request: web.Request) -> web.Response:
        table, switches = request.match_info["table"], await _body(request, dict[str, object])
        self._instance.access[table] = self._instance.access_of(table).changed(switches)
        return bare_json(200, {"table": table})

    async def _put_oauth(self, request: web.Request) -> web.Response:
        switches, oauth = await _body(request, _OAuthSwitches), self._instance.oauth
        if switches.revoke:
            oauth.revoke()
        for name in ("client_secret", "token_seconds", "has_application_user"):
            value = getattr(switches, name)
            setattr(oauth, name, getattr(oauth, name) if value is None else value)
        return bare_json(200, {})

    async def _put_latency(self, request: web.Request) -> web.Response:
        self._instance.latency_seconds = (await _body(request, _Latency)).ms / 1_000
        return bare_json(200, {})

    async def _put_limits(self, request: web.Request) -> web.Response:
        """Set every limit anew; those that are not said are lifted."""
        switches = msgspec.to_builtins(await _body(request, _LimitSwitches))
        self._instance.limits = Limits(**switches, clock=self._instance.now)
        return bare_json(200, {})

    async def _put_properties(self, request: web.Request) -> web.Response:
        """Set the properties that are said; the others stay."""
        said = await _body(request, _Properties)
        if said.returns_no_rows is not None:
            self._instance.returns_no_rows = said.returns_no_rows
        if said.zone_offset_seconds is not None:
            self._instance.zone_offset_seconds = said.zone_offset_seconds
        return bare_json(200, {})

    async def _put_faults(self, request: web.Request) -> web.Response:
        """Set every fault anew and count from now on; an empty list lifts them."""
        asked = await _body(request, _Faults)
        self._instance.set_faults(*asked.faults, seed=asked.seed, skew_seconds=asked.skew_seconds)
        return bare_json(200, {"faults": len(asked.faults)})

    async def _get_touches(self, _request: web.Request) -> web.Response:
        with self._instance.lock:
            return bare_json(200, dict(self._instance.touches))

    async def _get_requests(self, _request: web.Request) -> web.Response:
        with self._instance.lock:
            return bare_json(200, list(self._instance.requests))

    async def _delete_requests(self, _request: web.Request) -> web.Response:
        with self._instance.lock:
            self._instance.requests.clear()
        return bare_json(200, {})


async def _body(request: web.Request, kind: type[Body]) -> Body:
    return msgspec.json.decode(await request.read(), type=kind)
