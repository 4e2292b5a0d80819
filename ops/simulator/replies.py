"""Answers that are the same for every API: error envelopes, headers, encoding."""

from __future__ import annotations

import gzip
import secrets

import msgspec
from aiohttp import web

from ops.simulator.limits import RateRule

_JSON = "application/json;charset=UTF-8"
_SMALLEST_GZIP_BYTES = 1_000
_COOKIES = (
    ("glide_user", ""),
    ("glide_user_session", ""),
    ("glide_user_route", "glide.0123456789abcdef0123456789abcdef"),
    ("glide_node_id_for_js", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    ("glide_session_store", "0123456789ABCDEF0123456789ABCDEF"),
    ("BIGipServerpool_simulator", "0123456789abcdef0123456789abcdef"),
)
_STEADY_HEADERS = {
    "Server-Timing": "sem_wait;dur=0, sesh_wait;dur=0",
    "Server": "ServiceNow",
    "Pragma": "no-store,no-cache",
    "Cache-Control": "no-cache,no-store,must-revalidate,max-age=-1",
    "Expires": "0",
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
}

NOT_AUTHENTICATED = ("User Not Authenticated", "Required to provide Auth information")
NO_RECORD = ("No Record found", "Record doesn't exist or ACL restricts the record retrieval")
FIELDS_DENIED = (
    "Insufficient rights to query records",
    "Field(s) present in the query do not have permission to be read",
)
ACL_EXCEPTION = ("Operation Failed", "ACL Exception due to insufficient rights")
NO_RESOURCE = ("Requested URI does not represent any resource", None)
SESSION_COOKIE = "JSESSIONID"

_encode = msgspec.json.Encoder().encode


def result(request: web.Request, value: object, headers: dict[str, str] | None = None) -> web.Response:
    """Answer 200 with a result."""
    return _json(request, 200, {"result": value}, headers or {})


def failure(request: web.Request, status: int, message: str, detail: str | None = None) -> web.Response:
    """Answer with the error envelope."""
    headers = (
        {"WWW-Authenticate": 'Basic realm="Service-now"'}
        if status == web.HTTPUnauthorized.status_code
        else {}
    )
    body = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return _json(request, status, body, headers)


def invalid_table(request: web.Request, name: str) -> web.Response:
    """Answer that the instance has no such table."""
    return failure(request, 400, f"Invalid table {name}")


def table_denied(request: web.Request, name: str) -> web.Response:
    """Answer that the account may not read a table."""
    return failure(
        request, 403, "Insufficient rights to query records", f"No permission to read table '{name}'"
    )


def rate_exceeded(request: web.Request, rule: RateRule) -> web.Response:
    """Answer that a rate limit rule is overstepped, and for how long."""
    detail = f"Rate limit of {rule.requests} requests per hour for Table API exceeded"
    response = failure(request, 429, "Rate limit exceeded", detail)
    response.headers.update({**rule.headers(), "Retry-After": str(rule.wait_seconds())})
    return response


def bare_json(status: int, value: object) -> web.Response:
    """Answer with JSON that is not the API's: the token endpoint's, the control API's."""
    return web.Response(status=status, body=_encode(value), content_type="application/json")


def _json(request: web.Request, status: int, value: object, headers: dict[str, str]) -> web.Response:
    body = _encode(value)
    logged_in = "false" if status == web.HTTPUnauthorized.status_code else "true"
    moving = {"X-Transaction-ID": secrets.token_hex(6), "X-Is-Logged-In": logged_in, "Content-Type": _JSON}
    response = web.Response(status=status, headers={**_STEADY_HEADERS, **moving, **headers})
    if len(body) >= _SMALLEST_GZIP_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = gzip.compress(body, 1, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
    response.body = body
    response.enable_chunked_encoding()
    _set_cookies(response, session=request.cookies.get(SESSION_COOKIE, ""))
    return response


def _set_cookies(response: web.Response, *, session: str) -> None:
    """Set the instance's cookies; a client that sends its session back keeps it."""
    fresh = () if session else ((SESSION_COOKIE, secrets.token_hex(16).upper()),)
    for name, value in (*fresh, *_COOKIES):
        response.headers.add("Set-Cookie", f"{name}={value}; Path=/; HttpOnly; Secure")
