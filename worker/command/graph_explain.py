"""`graph explain`: from an item, a service, a rule or a group to who handles it, in words."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from jobs.export.inert import quote_text, show_text
from jobs.routing.routes import find_routes
from jobs.routing.words import Named, Teller, ToldStep
from worker.command.database import ask_as_app
from worker.command.output import Output
from worker.postgres import reading, tenants
from worker.postgres.connection import Connection
from worker.postgres.routing import Surroundings, find_node, read_surroundings
from worker.settings import Settings

_NOBODY = Named("", "", {})


def explain(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Print the routes from a node, each step with its reason and with what is not certain about it."""

    async def read(connection: Connection) -> tuple[reading.GraphHead, Surroundings]:
        tenant = await tenants.find_tenant(connection, asked.name)
        await tenants.note_reading(connection, tenant, "graph explain", revision=asked.revision)
        async with reading.at_one_moment(connection, tenant):
            head = await reading.read_head(connection, tenant, asked.revision)
            start = await find_node(connection, tenant, head.revision, asked.node)
            return head, await read_surroundings(connection, tenant, head.revision, start)

    head, found = ask_as_app(settings, read)
    document = _describe(head, found)
    output.document({"tenant": asked.name, **document})
    output.lines(_tell(document))
    return 0


def _describe(head: reading.GraphHead, found: Surroundings) -> dict[str, Any]:
    teller = Teller(found.around, found.nodes, found.verdicts)
    routes = teller.tell(find_routes(found.around))
    start = found.nodes.get(found.around.start, _NOBODY)
    return {
        "revision": head.revision,
        "node": {"id": found.around.start, "kind": start.kind, "name": start.name},
        "routes": [_describe_route(number, route, found) for number, route in enumerate(routes, 1)],
        "routed_here": [
            {**_describe_end(hop.from_id, found), "edge": hop.kind, "field": hop.source.rpartition(":")[2]}
            for hop in found.around.leading_to_group()
        ],
        "truncated": found.around.truncated,
        "doubts": teller.doubts(),
    }


def _describe_route(number: int, route: list[ToldStep], found: Surroundings) -> dict[str, Any]:
    last = route[-1]
    return {
        "route": number,
        "certain": not any(step.notes for step in route),
        "to": _describe_end(last.to_id if last.direction == "out" else last.from_id, found),
        "steps": [
            {
                "step": index,
                "from_id": step.from_id,
                "kind": step.kind,
                "to_id": step.to_id,
                "direction": step.direction,
                "reason": step.reason,
                "certain": not step.notes,
                "notes": list(step.notes),
            }
            for index, step in enumerate(route, 1)
        ],
    }


def _describe_end(node_id: str, found: Surroundings) -> dict[str, Any]:
    node = found.nodes.get(node_id)
    return {"id": node_id, "kind": node and node.kind, "name": node and node.name}


def _tell(document: dict[str, Any]) -> Iterator[str]:
    node = document["node"]
    yield f"{_name(node)}, {show_text(node['kind'])}, in revision {document['revision']}"
    for route in document["routes"]:
        yield ""
        yield f"{route['route']}. {_name(route['to'])}{'' if route['certain'] else ' (not certain)'}"
        for step in route["steps"]:
            yield f"   {step['step']}. {show_text(step['reason'])}"
            yield from (f"      but: {show_text(note)}" for note in step["notes"])
    if here := document["routed_here"]:
        yield ""
        yield f"{len(here)} lead here by one step:"
        yield from (
            f"   {_name(end)}, {show_text(end['kind'] or 'unknown')}, by {end['edge']}" for end in here
        )
    yield from _tell_limits(document)


def _tell_limits(document: dict[str, Any]) -> Iterator[str]:
    is_group = document["node"]["kind"] == "assignment_group"
    if not document["routes"] and not is_group:
        yield ""
        yield "nothing that was read says who handles it"
    if is_group:
        yield ""
        yield "a group handles what is routed to it; who is in it is never read"
    if document["doubts"]:
        yield f"it cannot be known whether there are more routes: {', '.join(map(show_text, document['doubts']))}"
    if document["truncated"]:
        yield "there are more routes than are shown"


def _name(end: dict[str, Any]) -> str:
    return f"{quote_text(end['name'])} {show_text(end['id'])}" if end["name"] else show_text(end["id"])
