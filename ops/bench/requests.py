"""How many requests a run makes of an instance: reading everything, after nothing happened, after 1 % changed.

`python -m ops.bench.requests` prints the tables of `docs/explanation/reading-less.md`. Counts, not times: they are
the same on every machine, but that a run of several slices asks once more after each table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from jobs.surface import read_surface
from ops.local.failure import StepFailure
from ops.local.instance import Instance, Tenant
from ops.local.report import print_rows, print_title
from ops.local.stack import Stack

Run = dict[str, Any]
NAME = "counted"
GROUPS, ITEMS = "sys_user_group", "sc_cat_item"
SYNC_SECONDS = 900
LINKS = {table.name for table in read_surface().tables.values() if table.link}


def main() -> int:
    """Count and print; 1 where a step failed."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.requests", description=__doc__)
    parser.add_argument("--groups", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--page-rows", type=int, default=20, help="small pages make few rows many requests")
    asked = parser.parse_args()
    tenant = Tenant(NAME, groups=asked.groups, items=asked.items, seed=1)
    overrides = {"ZAPTIK_PAGE_ROWS": str(asked.page_rows)}
    try:
        with (
            tempfile.TemporaryDirectory(prefix="zaptik-bench-") as logs,
            Stack(logs=Path(logs), tenants=[tenant], overrides=overrides) as stack,
        ):
            runs = count_runs(stack)
    except StepFailure as failure:
        print(f"\nthe count failed: {failure}", file=sys.stderr)
        return 1
    print_counts(runs, page_rows=asked.page_rows)
    return 0


def count_runs(stack: Stack) -> dict[str, Run]:
    """Do the runs, one after the other."""
    instance = stack.instances[NAME]
    _sync(stack)
    runs = {"whole": _sync(stack, "--full"), "idle": _sync(stack)}
    change(instance, share=0.01)
    runs["1 % changed"] = _sync(stack)
    delete(instance, share=0.001)
    runs["0.1 % deleted"] = _sync(stack)
    return runs


def change(instance: Instance, *, share: float) -> None:
    """Rename a share of the groups and items, spread over all of them."""
    for table in (GROUPS, ITEMS):
        rows = instance.fetch_rows(table)[:: round(1 / share)]
        renamed = [{"sys_id": row["sys_id"], "name": f"{row['name']} (renamed)"} for row in rows]
        instance.put_rows(table, renamed)


def delete(instance: Instance, *, share: float) -> None:
    """Delete a share of the groups."""
    for row in instance.fetch_rows(GROUPS)[:: round(1 / share)]:
        instance.delete_row(GROUPS, row["sys_id"])


def print_counts(runs: dict[str, Run], *, page_rows: int) -> None:
    """Print the requests of each run by kind of table, and those of each table."""
    whole = runs["whole"]
    records = sum(table["rows"] for table in whole["tables"])
    print_title(f"{records} records, {page_rows} rows a page")
    lines: list[list[object]] = [
        ["run", "requests", "of them for links", "for other tables", "of a whole read's"]
    ]
    for name, run in runs.items():
        links = _requests(run, links=True)
        others = run["requests"] - links
        share = run["requests"] / whole["requests"]
        lines.append([name, run["requests"], links, others, f"{100 * share:.1f} %"])
    print_rows(lines)
    tables: list[list[object]] = [["table", *runs]]
    for table in whole["tables"]:
        cells = [_describe(run, table["table"]) for run in runs.values()]
        tables.append([table["table"], *cells])
    print_title("Requests by table, and how it was read")
    print_rows(tables)


def _requests(run: Run, *, links: bool) -> int:
    return sum(table["requests"] for table in run["tables"] if (table["table"] in LINKS) == links)


def _describe(run: Run, name: str) -> str:
    [found] = [table for table in run["tables"] if table["table"] == name]
    return f"{found['requests']} {found['read']}"


def _sync(stack: Stack, *options: str) -> Run:
    return stack.run_zaptik("sync", NAME, "--wait", *options, deadline_seconds=SYNC_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
