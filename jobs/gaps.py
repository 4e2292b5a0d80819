"""What a server may leave open that `migrate` would close, by name, and what each leaves open.

On a managed server whose administrator is no superuser some rights of PUBLIC cannot be taken away. An operator accepts
each by its name (`ZAPTIK_ACCEPTED_GAPS`); the names are those that `read_open_doors` gives. See
docs/how-to/managed-servers.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

GAPS: Final[Mapping[str, str]] = {
    "usage:plpgsql": (
        "a statement injected into a tenant's transaction runs any number of others (a DO block), becomes another "
        "tenant and reads its graph"
    ),
    "usage:sql": "who may make an object anywhere makes functions too, which lie in wait for others' statements",
    "execute:set_config": (
        "one statement names another tenant and reads its rows of `control`, sealed credentials among them; with "
        "`execute:texts` it becomes that tenant"
    ),
    "execute:texts": (
        "one statement runs another that it holds as a text; with `execute:set_config` it reads any tenant's graph"
    ),
    "execute:large_objects": "anybody stores large objects, which no retention deletes",
    "execute:advisory_locks": "anybody holds the locks for which `migrate` and `consumer revoke` wait",
    "execute:write_log": "anybody fills the log of writes",
    "temporary:database": "anybody makes temporary tables, views and functions, in a session of its own",
    "create:public": "anybody makes objects in the schema `public`, which lie in wait for others' statements",
    "trigger:drop_owned": (
        "one statement of a tenant's role or of zaptik_app (DROP OWNED) takes that role's policies away: nobody sees "
        "its rows until `migrate` has run again"
    ),
}
"""Each gap's name, and what it leaves open."""

TRIGGER_GAP: Final = "trigger:drop_owned"


def describe_gaps(doors: Mapping[str, Collection[str]]) -> str:
    """Say of each gap which doors it is and what it leaves open; `doors` are its doors by its name."""
    return "; ".join(f"{gap} ({_count_doors(doors[gap])}): {GAPS[gap]}" for gap in sorted(doors))


def find_unknown_gaps(names: Iterable[str]) -> list[str]:
    """Give the names that are no gap's."""
    return sorted(set(names) - GAPS.keys())


def _count_doors(doors: Collection[str]) -> str:
    first, *more = sorted(doors)
    return first + (f" and {len(more)} more" if more else "")
