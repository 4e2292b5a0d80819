"""`docs/reference/surface.md`, from the read surface: table by table, what is asked and what it becomes."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.keys import STATE_FIELDS
from jobs.surface import Discovery, Surface, Table, read_surface
from ops.markdown import build_table, code

_HEAD = """\
# Read surface

All that is ever asked of an instance. A table or field that is not here is not asked for, a field that comes
unasked is dropped, and a row that does not answer the filter fails its table. Values are read as they are stored,
never as they are displayed. The role is one that permits the read; others may, and [the integration
guide](integration-guide.md) says what to grant. A word in brackets says what of a node or an edge the field
becomes; `state` says whether a record changed, and stands in no node.
"""
_DISCOVERED = """\
An instance names these tables itself. Such a table is read by the columns that the dictionary describes, if they
are of a plain type and their names speak of no person, code or secret; a reference to people is left out. Its name
must begin with `dl_`, `u_` or `x_`. Where its columns cannot be read whole, it is not read, and its verdict is
`unknown`. Columns that it inherits from another such table are not read.
"""


def build_surface() -> list[str]:
    """Build the page's lines."""
    surface = read_surface()
    lines = [_HEAD, f"{len(surface.tables)} tables; surface version `{surface.version}`.", ""]
    for domain in name_domains(surface):
        lines += [f"## {domain[0].upper()}{domain[1:]}", ""]
        for table in surface.tables.values():
            if table.domain == domain:
                lines += _describe_table(table)
        if surface.discovery and surface.discovery.domain == domain:
            lines += _describe_discovery(surface.discovery)
    return lines


def name_domains(surface: Surface) -> list[str]:
    """Name the domains, in the order in which they are read."""
    return list(dict.fromkeys(table.domain for table in surface.tables.values()))


def describe_use(table: Table, name: str) -> str:
    """Say what becomes of a field, for people who grant it."""
    if reference := table.references.get(name):
        each = ", one for each in the list" if reference.many else ""
        return f"an edge `{reference.kind}` to a record of `{reference.to}`{each}"
    if table.link and name in {table.link.start.field, table.link.end.field}:
        return f"one end of an edge `{table.link.kind}`"
    uses = {"sys_id": "tells records apart", "sys_class_name": "the record's own class"}
    uses |= dict.fromkeys(STATE_FIELDS, "says whether the record changed; stands in no node")
    if name == table.label:
        uses[name] = "the node's name"
    if name == table.key != "sys_id":
        uses[name] = "what the node is called by"
    return uses.get(name, "kept as it is")


def _describe_table(table: Table) -> Iterator[str]:
    yield f"### {table.name}"
    yield ""
    yield table.why
    yield ""
    yield f"- Role: `{table.role}`. Plugin: {f'`{table.plugin}`' if table.plugin else 'none'}."
    if table.filter:
        yield f"- Filter: `{table.filter}`."
    yield f"- Fields: {', '.join(_describe_field(table, name) for name in table.asked)}."
    if table.link:
        yield from _describe_link(table)
    else:
        key = "SYS_ID" if table.key == "sys_id" else table.key.upper()
        yield f"- Becomes: a node of kind `{table.kind}` with the id `{table.base}:{key}`."
        for name, reference in table.references.items():
            each = ", one for each value in the list" if reference.many else ""
            yield f"- `{name}` becomes: an edge `{reference.kind}` to `{reference.to}:` its value{each}."
    for flag, columns in table.flags.items():
        yield f"- Attribute `{flag}`: whether any of these is not empty; they are never read: {code(columns)}."
    yield ""
    if table.values:
        yield "Of these records alone the field `value` is read too, unless their type is a secret's:"
        yield ""
        yield from build_table(("name", "why"), ((f"`{name}`", why) for name, why in table.values.items()))


def _describe_link(table: Table) -> Iterator[str]:
    assert table.link is not None
    start, end = table.link.start, table.link.end
    kept = f", with the attributes {code(table.attributes)}" if table.attributes else ""
    yield (
        f"- Becomes: an edge `{table.link.kind}` from `{start.table}:` the value of `{start.field}` to "
        f"`{end.table}:` the value of `{end.field}`{kept}."
    )


def _describe_field(table: Table, name: str) -> str:
    marks = {"sys_id": "id", "sys_class_name": "table", **dict.fromkeys(STATE_FIELDS, "state")}
    marks |= {table.label: "name"} if table.kind and table.label != "sys_id" else {}
    mark = "edge" if name in table.references else marks.get(name, "")
    return f"`{name}`" + (f" ({mark})" if mark else "")


def _describe_discovery(discovery: Discovery) -> Iterator[str]:
    yield f"### The tables named in {discovery.named_in}"
    yield ""
    yield discovery.why
    yield ""
    yield _DISCOVERED
    yield f"- Named in: `{discovery.field}` of `{discovery.named_in}`. Described in: `{discovery.described_in}`."
    yield "- Filter: `sys_class_name=` its own name."
    yield (
        f"- Becomes: what a record of `{discovery.extends}` becomes, with its own columns; each reference an edge "
        f"`{discovery.reference}`."
    )
    yield ""
