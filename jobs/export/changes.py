"""How two revisions differ, as one JSON document or as lines for people; a piece for each change, so that none waits.

Changes come nodes first, then edges; of each the added, the changed, then the removed. The lines are grouped by kind,
and names and values in them are shown as `inert` shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from jobs.export.inert import quote_text, show_text

What = Literal["node", "edge"]
ChangeName = Literal["added", "changed", "removed"]

_SECTIONS: list[tuple[What, ChangeName]] = [
    ("node", "added"), ("node", "changed"), ("node", "removed"),
    ("edge", "added"), ("edge", "changed"), ("edge", "removed"),
]  # fmt: skip
_OPENINGS = [
    '"nodes":{"added":[', '],"changed":[', '],"removed":[',
    ']},"edges":{"added":[', '],"changed":[', '],"removed":[',
]  # fmt: skip
_MARKS: Mapping[ChangeName, str] = {"added": "+", "changed": "~", "removed": "-"}


@dataclass(frozen=True, slots=True)
class Change:
    """A node or an edge that is not as it was; `before` and `after` as in the export, one of them None if it was not.

    `alike` is how many of its kind changed so; `names` are those of an edge's ends, where known.
    """

    what: What
    change: ChangeName
    kind: str
    id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    alike: int = 1
    names: tuple[str | None, str | None] = (None, None)


@dataclass(slots=True)
class ChangesDocument:
    """The JSON document, in pieces: `begin`, `add` for each change in order, `end`."""

    tenant: str
    from_revision: int
    to_revision: int
    _section: int = field(default=-1, init=False)
    _is_first: bool = field(default=True, init=False)

    def begin(self) -> str:
        """Give what stands before the changes."""
        name = msgspec.json.encode(self.tenant).decode()
        return f'{{"tenant":{name},"from":{self.from_revision},"to":{self.to_revision},'

    def add(self, change: Change) -> str:
        """Give a change, and what leads to its section."""
        opening = self._turn_to(_SECTIONS.index((change.what, change.change)))
        comma = "" if self._is_first else ","
        self._is_first = False
        return f"{opening}{comma}\n{msgspec.json.encode(_describe(change), order='sorted').decode()}"

    def end(self) -> str:
        """Give what closes the document."""
        return self._turn_to(len(_SECTIONS) - 1) + "]}}\n"

    def _turn_to(self, section: int) -> str:
        if section == self._section:
            return ""
        opening = "".join(_OPENINGS[self._section + 1 : section + 1])
        self._section, self._is_first = section, True
        return opening


@dataclass(slots=True)
class ChangesText:
    """The lines for people, in pieces: `begin`, `add` for each change in order, `end`."""

    tenant: str
    from_revision: int
    to_revision: int
    _counts: dict[tuple[What, ChangeName], int] = field(
        default_factory=lambda: dict.fromkeys(_SECTIONS, 0), init=False
    )
    _group: tuple[str, ...] = field(default=(), init=False)

    def begin(self) -> str:
        """Give the first line."""
        return f"{self.tenant}: from revision {self.from_revision} to {self.to_revision}\n"

    def add(self, change: Change) -> str:
        """Give a change's lines, under the heading of its kind where it is the first."""
        self._counts[change.what, change.change] += 1
        lines = []
        group = (change.what, change.change, change.kind)
        if group != self._group:
            self._group = group
            lines.append(f"{change.what}s {change.change}: {change.alike} {show_text(change.kind)}")
        lines.append(f"  {_MARKS[change.change]} {_name(change)}")
        lines += [f"      {line}" for line in _tell_differences(change)]
        return "".join(f"{line}\n" for line in lines)

    def end(self) -> str:
        """Give the totals."""
        told = [
            f"{what}s: " + ", ".join(f"{self._counts[what, change]} {change}" for change in _MARKS) + "\n"
            for what in ("node", "edge")
        ]
        return "".join(told) if any(self._counts.values()) else "nothing differs\n"


def _describe(change: Change) -> Mapping[str, Any]:
    if change.change == "changed":
        return {"id": change.id, "before": change.before, "after": change.after}
    return change.after or change.before or {}


def _name(change: Change) -> str:
    line = change.after or change.before or {}
    if change.what == "node":
        return f"{quote_text(line['name'])} {show_text(change.id)}"
    ends = [
        (f"{quote_text(name)} " if name else "") + show_text(line[end])
        for name, end in zip(change.names, ("from", "to"), strict=True)
    ]
    return f"{' -> '.join(ends)} ({show_text(line['source']['field'])}, {line['state']})"


def _tell_differences(change: Change) -> Iterator[str]:
    if change.before is None or change.after is None:
        return
    before, after = _flatten(change.before), _flatten(change.after)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{show_text(name)}: {_tell(before.get(name))} -> {_tell(after.get(name))}"


def _flatten(line: Mapping[str, Any]) -> dict[str, str]:
    """Give an export's line as one level: what it says of itself, and each attribute by its name."""
    own = {name: value for name, value in line.items() if isinstance(value, str)}
    return own | {f"attributes.{name}": value for name, value in line["attributes"].items()}


def _tell(value: str | None) -> str:
    return "absent" if value is None else quote_text(value)
