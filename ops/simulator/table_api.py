"""The Table API: rows of a table, page by page, and single rows. It reads; every write is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.simulator import replies
from ops.simulator.values import Projector, Shaping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from ops.simulator.instance import Instance
    from ops.simulator.selection import Window
    from ops.simulator.store import Table

DEFAULT_LIMIT_ROWS = 10_000
_PAGING = ("sysparm_limit", "sysparm_offset")
_LONGEST_NUMBER = 18


def answer_list(instance: Instance, request: web.Request, table: Table) -> web.Response:
    """Answer a page of a table. The limit comes before row ACLs, so a page may be short or empty."""
    offset, limit = page_bounds(request)
    window = instance.select(table, encoded_query(request), salt=str(offset))
    headers = _page_headers(instance, request, window, offset=offset, limit=limit)
    access = instance.access_of(table.name)
    rows = [row for row in window.page(offset, limit) if access.shows(row)]
    if not rows and request.match_info.get("version") == "v1":
        return replies.failure(request, 404, *replies.NO_RECORD)
    return replies.result(request, projector(instance, request, table).project(rows), headers)


def answer_single(instance: Instance, request: web.Request, table: Table, sys_id: str) -> web.Response:
    """Answer one row, or 404 when there is none or it is hidden."""
    row = instance.find(table, sys_id)
    if row is None:
        return replies.failure(request, 404, *replies.NO_RECORD)
    (shaped,) = projector(instance, request, table).project([row])
    return replies.result(request, shaped)


def projector(instance: Instance, request: web.Request, table: Table) -> Projector:
    """Give what shapes rows as the request asks."""
    asked = request.query.get("sysparm_fields", "")
    names: Sequence[str] = [name.strip() for name in asked.split(",")] if asked else sorted(table.columns())
    shaping = Shaping(
        display=request.query.get("sysparm_display_value", "false"),
        links=request.query.get("sysparm_exclude_reference_link", "false") != "true",
        base_url=instance.base_url,
    )
    return Projector(
        instance.store, table, [name for name in names if not instance.hides(table, name)], shaping
    )


def encoded_query(request: web.Request) -> str:
    """Give the query; without sysparm_query the other parameters are `field=value` pairs."""
    if "sysparm_query" in request.query:
        return request.query["sysparm_query"]
    pairs = ((name, value) for name, value in request.query.items() if not name.startswith("sysparm_"))
    return "^".join(f"{name}={value}" for name, value in pairs)


def page_bounds(request: web.Request) -> tuple[int, int]:
    """Give offset and limit, in rows; what is no number counts as not said."""
    limit, offset = (request.query.get(name, "") for name in _PAGING)
    return _number(offset, otherwise=0), _number(limit, otherwise=DEFAULT_LIMIT_ROWS)


def _number(text: str, *, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_NUMBER else otherwise


def _page_headers(
    instance: Instance, request: web.Request, window: Window, *, offset: int, limit: int
) -> dict[str, str]:
    headers = {}
    if request.query.get("sysparm_no_count") != "true":
        headers["X-Total-Count"] = str(window.total)
    if request.query.get("sysparm_suppress_pagination_header") != "true":
        links = page_links(offset=offset, limit=limit, total=window.total)
        if links:
            headers["Link"] = ",".join(
                f'<{_page_url(instance, request, o, limit)}>;rel="{r}"' for r, o in links
            )
    return headers


def page_links(*, offset: int, limit: int, total: int) -> list[tuple[str, int]]:
    """Give the relations of the Link header with their offsets; none when one page holds everything."""
    if limit == 0 or total <= limit:
        return []
    links = [("first", 0)]
    if offset > 0 or limit == 1:  # with a limit of one the instance writes an offset of -1
        links.append(("prev", max(0, offset - limit) if offset else -1))
    if offset + limit < total:
        links.append(("next", offset + limit))
    return [*links, ("last", (total - 1) // limit * limit)]


def _page_url(instance: Instance, request: web.Request, offset: int, limit: int) -> str:
    """Give the address of a page: the parameters as they came, then limit and offset."""
    parts = request.rel_url.raw_query_string.split("&")
    kept = [part for part in parts if part and part.split("=")[0] not in _PAGING]
    query = "&".join([*kept, f"sysparm_limit={limit}", f"sysparm_offset={offset}"])
    return f"{instance.base_url}{request.rel_url.raw_path}?{query}"
