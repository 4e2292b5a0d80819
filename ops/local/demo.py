"""The story of `make demo`: two instances are read, change, are read again, and the graph follows.

It checks what it tells: a second revision with rows added, changed and removed, for each tenant.
"""

from __future__ import annotations

import secrets
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.local.failure import StepFailure
from ops.local.report import print_changes, print_tables, print_title
from ops.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ops.local.instance import Instance, Row

Run = dict[str, Any]
SYNC_SECONDS = 180
DONE_OR_IN_PART = (0, 3)
GROUPS, ITEMS = "sys_user_group", "sc_cat_item"


@dataclass(frozen=True, slots=True)
class Story:
    """What happened to one tenant: its first and second revision's runs, and what was changed between."""

    tenant: str
    first: Run
    second: Run
    done: tuple[str, ...]


def run_demo(*, logs: Path, say: Callable[[str], None]) -> None:
    """Run the whole story and print it; `StepFailure` where a step or a check fails, and the logs stay."""
    began = time.monotonic()
    with Stack(logs=logs, say=say) as stack:
        started = time.monotonic()
        stories = _tell(stack, say=say)
        read = time.monotonic()
        say("stopping everything")
    shutil.rmtree(logs)
    for story in stories:
        _print_story(story)
    print_title("How long it took")
    print(f"  starting {started - began:.1f} s, reading twice {read - started:.1f} s,", end=" ")
    print(f"all in all {time.monotonic() - began:.1f} s; nothing is left running")


def _tell(stack: Stack, *, say: Callable[[str], None]) -> list[Story]:
    names = list(stack.instances)
    for name in names:
        say(f"reading {name} for the first time")
        _sync(stack, name)
    firsts = {name: find_published(stack, name, revision=1) for name in names}
    done = {name: change_instance(stack.instances[name], say=say) for name in names}
    for name in names:
        say(f"reading {name} again")
        _sync(stack, name, "--full")
    seconds = {name: find_published(stack, name, revision=2) for name in names}
    for name in names:
        check_changes(seconds[name])
    return [Story(name, firsts[name], seconds[name], done[name]) for name in names]


def _sync(stack: Stack, name: str, *options: str) -> Run:
    waiting = ["--wait", *options]
    return stack.run_zaptik("sync", name, *waiting, accepted=DONE_OR_IN_PART, deadline_seconds=SYNC_SECONDS)


def find_published(stack: Stack, name: str, *, revision: int) -> Run:
    """Find the run that published a revision, whoever asked for it: the scheduler may have been first."""
    runs: list[Run] = stack.run_zaptik("runs", name)["runs"]
    found = [run for run in runs if run["state"] == "published" and run["revision"] == revision]
    if found:
        return found[0]
    told = "; ".join(_describe(run) for run in runs) or "none"
    raise StepFailure(f"revision {revision} of {name}", f"was not published; its runs: {told}")


def _describe(run: Run) -> str:
    error = f" ({run['error']['code']}: {run['error']['message']})" if run["error"] else ""
    return f"{run['mode']} {run['state']}, revision {run['revision']}{error}"


def change_instance(instance: Instance, *, say: Callable[[str], None]) -> tuple[str, ...]:
    """Change an instance as its administrators would; say what was done."""
    name = instance.tenant.name
    say(f"changing the instance of {name}")
    renamed, retired, *_ = _fetch_active(instance, GROUPS)
    removed, *_ = _fetch_active(instance, ITEMS)
    founded: Row = {"sys_id": secrets.token_hex(16), "name": f"Night shift of {name}", "active": "true"}
    new_name = f"{renamed['name']} (renamed)"
    instance.put_rows(
        GROUPS,
        [
            founded,
            {"sys_id": renamed["sys_id"], "name": new_name},
            {"sys_id": retired["sys_id"], "active": "false"},
        ],
    )
    instance.delete_row(ITEMS, removed["sys_id"])
    return (
        f"inserted the group {founded['name']!r}",
        f"renamed the group {renamed['name']!r} to {new_name!r}",
        f"made the group {retired['name']!r} inactive",
        f"deleted the catalog item {removed['name']!r}",
    )


def _fetch_active(instance: Instance, table: str) -> list[Row]:
    return [row for row in instance.fetch_rows(table) if row.get("active") == "true"]


def check_changes(run: Run) -> None:
    """Raise `StepFailure` unless the run added, changed and removed something."""
    without = [change for change in ("added", "changed", "removed") if run[change] < 1]
    if without:
        reason = f"nothing was {' or '.join(without)}, although the instance changed so"
        raise StepFailure(f"revision {run['revision']} of {run['tenant']}", reason)


def _print_story(story: Story) -> None:
    print_title(f"{story.tenant}: what was read")
    print_tables(story.first, story.second)
    print_title(f"{story.tenant}: what changed")
    for line in story.done:
        print(f"  {line}")
    print_changes(story.first, story.second)
