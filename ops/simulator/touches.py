"""Which forbidden tables a request touches: those of people and their work, which no crawler may ask for.

A request touches the table in its path and every table that a field or a term of its query walks into
(`manager.name` reads sys_user). It counts whatever the answer is: to ask is to touch.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from ops.simulator.query import QueryRefused, parse_query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.simulator.store import Store

_FORBIDDEN = re.compile(
    r"sys_user|sys_user_grmember|sys_user_has_role|sys_user_delegate|live_profile|sys_attachment(_doc)?|sys_email"
    r"|sys_journal_field|sys_audit|task|incident|problem|change_request|interaction"
    r"|sc_request|sc_req_item|sc_task|sc_item_option(_mtom)?|kb_knowledge|sys_certificate|oauth_credential"
    r"|oauth_entity|discovery_credentials|awa_agent_\w+|awa_work_item\w*|awa_offer_details"
    r"|sn_hr_core_(case|task|profile|beneficiary|bank|salary|stock|retirement)\w*|sn_hr_le_case\w*|sn_hr_er_\w+"
)


def is_forbidden(table: str) -> bool:
    """Say whether a table holds people, their work, or secrets."""
    return _FORBIDDEN.fullmatch(table) is not None


def find_touched(store: Store, table: str, query: Mapping[str, str]) -> set[str]:
    """Give the forbidden tables that a request touches."""
    paths = [name.strip() for name in query.get("sysparm_fields", "").split(",") if "." in name]
    with suppress(QueryRefused):
        paths += [path for path in parse_query(query.get("sysparm_query", "")).paths() if "." in path]
    walked = {target for path in paths for target in _walk(store, table, path)}
    return {name for name in {table, *walked} if is_forbidden(name)}


def _walk(store: Store, table: str, path: str) -> Iterator[str]:
    """Give the tables that a dot-walked path reads beside its own."""
    first, _, rest = path.partition(".")
    found = store.table(table)
    column = found.column(first) if found else None
    if column and column.target and rest:
        yield column.target
        yield from _walk(store, column.target, rest)
