"""Faults of the answers: one in place of the instance's own, one that was altered, or one that is sent badly."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from ops.simulator import replies
from ops.simulator.fault_changes import CHANGES, change_rows
from ops.simulator.faults import Fault, Strike
from ops.simulator.limits import RULE_ID

if TYPE_CHECKING:
    from ops.simulator.instance import Instance

HIBERNATING: Final = (
    "<html><head><title>Instance Hibernating page</title></head><body class='instance-hibernating-page'>"
    "Your instance is hibernating</body></html>"
)
MAINTENANCE: Final = "<html><body><h1>This instance is in maintenance</h1></body></html>"
GATEWAY: Final = "<html><body><h1>The gateway could not reach the instance</h1></body></html>"
ELSEWHERE: Final = "https://developer.servicenow.com/dev.do"
CANCELLED: Final = {
    "message": "Transaction cancelled: maximum execution time exceeded",
    "detail": "maximum execution time exceeded Check logs for error trace or enable glide.rest.debug property to "
    "verify REST request processing",
}
_BOMB_PIECE: Final = b" " * (1 << 20)
_LEAST_BOMB_BYTES: Final = 200 << 20
_GZIP_WINDOW_BITS: Final = 16 + zlib.MAX_WBITS
_LOOK_SECONDS: Final = 0.05  # how soon it is noticed that a client went away


def build_struck(
    instance: Instance, request: web.Request, strikes: list[Strike], make: Callable[[], web.Response]
) -> web.Response:
    """Build the answer to a request as its faults have it; `make` gives the instance's own answer."""
    for strike in strikes:
        if strike.fault.kind in CHANGES:
            change_rows(instance, strike, asked_table=request.match_info.get("table", ""))
    faults = [strike.fault for strike in strikes]
    standing_in = (
        _INSTEAD[fault.kind](instance, request, fault) for fault in faults if fault.kind in _INSTEAD
    )
    response = next(standing_in, None) or make()
    for fault in faults:
        if fault.kind in _ALTERED:
            _ALTERED[fault.kind](instance, response, fault)
    if instance.faults.skew_seconds:
        response.headers["Date"] = _http_date(instance.now())
    return response


async def send_struck(
    request: web.Request, response: web.Response, strikes: list[Strike]
) -> web.StreamResponse:
    """Send an answer as its faults have it, or leave that to the server."""
    for strike in strikes:
        if strike.fault.kind in _SENT:
            return await _SENT[strike.fault.kind](request, response, strike.fault)
    return response


def _http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


# In place of the instance's own answer.


def _page(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html", charset="UTF-8")


def _hibernating(_instance: Instance, _request: web.Request, _fault: Fault) -> web.Response:
    return _page(200, HIBERNATING)


def _redirected(_instance: Instance, _request: web.Request, _fault: Fault) -> web.Response:
    return web.Response(status=302, headers={"Location": ELSEWHERE})


def _maintenance(instance: Instance, _request: web.Request, fault: Fault) -> web.Response:
    return _with_retry(instance, _page(503, MAINTENANCE), fault)


def _failing(instance: Instance, request: web.Request, fault: Fault) -> web.Response:
    is_own = fault.status == web.HTTPInternalServerError.status_code
    response = (
        replies.failure(request, fault.status, "Internal server error")
        if is_own
        else _page(fault.status, GATEWAY)
    )
    return _with_retry(instance, response, fault)


def _throttled(instance: Instance, request: web.Request, fault: Fault) -> web.Response:
    return _with_retry(instance, replies.failure(request, 429, "Rate limit exceeded"), fault)


def _dropped(_instance: Instance, _request: web.Request, _fault: Fault) -> web.Response:
    return web.Response(status=202)


def _said(_instance: Instance, _request: web.Request, fault: Fault) -> web.Response:
    body = fault.text.encode("utf-8", "surrogatepass")
    return web.Response(status=fault.status, body=body, headers={"Content-Type": fault.content_type})


def _gzip_bomb(_instance: Instance, _request: web.Request, fault: Fault) -> web.Response:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return web.Response(body=_pack_bomb(max(fault.size_bytes, _LEAST_BOMB_BYTES)), headers=headers)


@lru_cache(maxsize=2)
def _pack_bomb(size_bytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP_WINDOW_BITS)
    pieces = [packer.compress(b'{"result":[')]
    pieces += [packer.compress(_BOMB_PIECE) for _ in range(size_bytes // len(_BOMB_PIECE))]
    return b"".join([*pieces, packer.compress(b"]}"), packer.flush()])


def _with_retry(instance: Instance, response: web.Response, fault: Fault) -> web.Response:
    if fault.retry_date_seconds is not None:
        response.headers["Retry-After"] = _http_date(instance.now() + fault.retry_date_seconds)
    elif fault.retry_after:
        response.headers["Retry-After"] = fault.retry_after
    return response


_INSTEAD: Final[dict[str, Callable[[Instance, web.Request, Fault], web.Response]]] = {
    "hibernating": _hibernating,
    "redirected": _redirected,
    "maintenance": _maintenance,
    "failing": _failing,
    "throttled": _throttled,
    "dropped": _dropped,
    "said": _said,
    "gzip_bomb": _gzip_bomb,
}

# The instance's own answer, altered. What is no page of rows stays as it is.


def _read_body(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


def _read_document(response: web.Response) -> dict[str, Any]:
    body = _read_body(response)
    if response.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    try:
        document = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _put_body(response: web.Response, body: bytes) -> None:
    response.headers.pop("Content-Encoding", None)
    response.body = body


def _cancelled(_instance: Instance, response: web.Response, fault: Fault) -> None:
    document = _read_document(response)
    if isinstance(rows := document.get("result"), list):
        told = {"result": rows[: fault.row], "error": CANCELLED, "status": "failure"}
        body = msgspec.json.encode(told)
        _put_body(response, body[: len(body) - fault.cut_bytes])


def _truncated(_instance: Instance, response: web.Response, fault: Fault) -> None:
    if isinstance(rows := _read_document(response).get("result"), list):
        whole = msgspec.json.encode({"result": rows[: fault.row + 1]})
        last = msgspec.json.encode(rows[fault.row]) if fault.row < len(rows) else b""
        _put_body(response, whole[: len(whole) - 2 - len(last) // 2])


def _null_body(_instance: Instance, response: web.Response, _fault: Fault) -> None:
    _put_body(response, b"null")


def _duplicated(_instance: Instance, response: web.Response, fault: Fault) -> None:
    document = _read_document(response)
    if isinstance(rows := document.get("result"), list) and fault.row < len(rows):
        rows.insert(fault.row, rows[fault.row])
        _put_body(response, msgspec.json.encode(document))


def _uncounted(_instance: Instance, response: web.Response, _fault: Fault) -> None:
    response.headers.pop("X-Total-Count", None)


def _undercounted(_instance: Instance, response: web.Response, fault: Fault) -> None:
    total = response.headers.get("X-Total-Count")
    if total is not None:
        response.headers["X-Total-Count"] = str(max(0, int(total) - fault.row))
    document = _read_document(response) if total is None else {}
    if isinstance(result := document.get("result"), dict) and "stats" in result:
        stats = result["stats"]
        stats["count"] = str(max(0, int(stats.get("count", "0")) - fault.row))
        _put_body(response, msgspec.json.encode(document))


def _rate_told(instance: Instance, response: web.Response, fault: Fault) -> None:
    told = {
        "X-RateLimit-Limit": str(fault.limit),
        "X-RateLimit-Reset": str(int(instance.now() + fault.reset_seconds)),
        "X-RateLimit-Rule": RULE_ID,
    }
    if fault.remaining is not None:
        told["X-RateLimit-Remaining"] = str(fault.remaining)
    response.headers.update(told)


_ALTERED: Final[dict[str, Callable[[Instance, web.Response, Fault], None]]] = {
    "cancelled": _cancelled,
    "truncated": _truncated,
    "null_body": _null_body,
    "duplicated": _duplicated,
    "uncounted": _uncounted,
    "undercounted": _undercounted,
    "rate_told": _rate_told,
}

# The way an answer is sent.


async def _slow(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    await _wait(request, fault.seconds)
    return response


async def _dripping(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    body = _read_body(response)
    stream = await _begin(request, response)
    for place in range(len(body)):
        if not _is_there(request):
            break
        await stream.write(body[place : place + 1])
        await _wait(request, fault.seconds)
    return stream


async def _reset(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    stream = await _begin(request, response)
    await stream.write(_read_body(response)[: fault.size_bytes])
    if request.transport:
        request.transport.abort()
    return stream


async def _begin(request: web.Request, response: web.Response) -> web.StreamResponse:
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.enable_chunked_encoding()
    stream.headers.pop("Content-Length", None)
    await stream.prepare(request)
    return stream


async def _wait(request: web.Request, seconds: float) -> None:
    """Wait, but for nobody."""
    until = time.monotonic() + seconds
    while _is_there(request) and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110  nothing else tells of it
        await asyncio.sleep(min(left, _LOOK_SECONDS))


def _is_there(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


_SENT: Final[dict[str, Callable[[web.Request, web.Response, Fault], Awaitable[web.StreamResponse]]]] = {
    "slow": _slow,
    "dripping": _dripping,
    "reset": _reset,
}
DONE: Final = frozenset({*CHANGES, *_INSTEAD, *_ALTERED, *_SENT})
"""Every kind that somebody does."""
