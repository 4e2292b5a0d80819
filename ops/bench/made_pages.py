"""Staged pages of a made graph, by SQL: what a crawl would have left, without a crawl.

Two edges a node. Of ten nodes one is a group, four are items, four are variables; rules and categories share the
last. A tenth of a percent of the groups are inactive, so that there is something to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import sql

from worker.postgres.connection import Connection, compose_text

_PAGE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class _Made:
    """A table of the surface: its part of a thousand nodes, and its edges as (kind, table, field, number, for whom)."""

    name: str
    kind: str
    part: int
    attributes: str
    edges: tuple[tuple[str, str, str, str, str], ...]


_ALWAYS = "true"
_MADE = (
    _Made("sys_user_group", "assignment_group", 100,
          "'active', CASE WHEN n % 1000 = 7 THEN 'false' ELSE 'true' END, 'description', 'Works on queue ' || n",
          (("CHILD_OF", "sys_user_group", "parent", "n / 10", "n > 0"),)),
    _Made("sc_cat_item", "catalogue_item", 400,
          "'active', 'true', 'short_description', 'Ask for ' || n, 'order', (n % 100)::text, 'type', 'item'",
          (("FULFILLED_BY", "sys_user_group", "group", "n / 4", _ALWAYS),
           ("IN_CATEGORY", "sc_category", "category", "n / 8", _ALWAYS),
           ("RUNS_FLOW", "sys_hub_flow", "flow_designer_flow", "n % 60", _ALWAYS))),
    _Made("item_option_new", "variable", 400, "'name', 'v' || n, 'order', (n % 20)::text, 'mandatory', 'false'",
          (("VARIABLE_OF", "sc_cat_item", "cat_item", "n", _ALWAYS),
           ("REFERS_TO", "sys_user_group", "reference", "n / 4", "n % 8 < 3"))),
    _Made("sysrule_assignment", "assignment_rule", 50,
          "'active', 'true', 'order', n::text, 'condition', 'category=c' || n || '^EQ', 'opaque', 'false'",
          (("APPLIES_TO", "sys_db_object", "table", "n % 4", _ALWAYS),
           ("ROUTES_TO", "sys_user_group", "group", "n * 2", _ALWAYS))),
    _Made("sc_category", "category", 50, "'active', 'true', 'order', (n % 100)::text",
          (("CHILD_OF", "sc_category", "parent", "n / 10", "n > 0"),)),
)  # fmt: skip
TABLES = tuple(made.name for made in _MADE)

_STAGE = """
INSERT INTO {tenant}.staged_page (run_id, table_name, page, depth, nodes, edges, base, keys)
SELECT %(run)s::uuid, %(table)s::text, n / %(page_rows)s::integer + 1, 0,
       jsonb_agg(jsonb_build_object('id', %(table)s::text || ':' || lpad(to_hex(n), 32, '0'), 'kind', %(kind)s::text,
                                    'table', %(table)s::text, 'name', %(table)s::text || ' ' || n || said,
                                    'attributes', had, 'hash',
                                    encode(sha256(convert_to(n || said || %(table)s::text, 'UTF8')), 'hex'))),
       '[]', %(table)s::text, jsonb_agg(key)
FROM (SELECT n, CASE WHEN n %% 100 = 0 THEN %(version)s::text ELSE '' END AS said
      FROM generate_series(0, %(rows)s::integer - 1) AS n WHERE n %% %(step)s::integer = 0) made,
     LATERAL (SELECT jsonb_build_object({attributes}) AS had,
                     jsonb_build_object('id', lpad(to_hex(n), 32, '0'), 'mod', 1, 'on', '2026-01-01 00:00:00') AS key
     ) told
GROUP BY n / %(page_rows)s::integer
"""
_EDGES = """
UPDATE {tenant}.staged_page p SET edges = made.edges
FROM (SELECT n / %(page_rows)s::integer + 1 AS page, jsonb_agg(jsonb_build_object(
          'from', %(table)s::text || ':' || lpad(to_hex(n), 32, '0'), 'kind', kind,
          'to', target || ':' || lpad(to_hex(number), 32, '0'),
          'source', %(table)s::text || ':' || lpad(to_hex(n), 32, '0') || ':' || field, 'attributes', '{{}}'::jsonb,
          'hash', encode(sha256(convert_to(n || kind || number || field || %(table)s::text, 'UTF8')), 'hex')
      )) AS edges
      FROM generate_series(0, %(rows)s::integer - 1) AS n,
           LATERAL (VALUES {edges}) AS e (kind, target, field, number, there)
      WHERE n %% %(step)s::integer = 0 AND there GROUP BY 1) made
WHERE p.run_id = %(run)s::uuid AND p.table_name = %(table)s::text AND p.page = made.page
"""
_READ = """
INSERT INTO {tenant}.table_read (run_id, table_name, verdict, rows, counted, newest, changes, way, read)
SELECT %(run)s::uuid, %(table)s::text, 'complete', n, n, '2026-01-01 00:00:00', n, way, way
FROM (SELECT %(rows)s::integer AS n, CASE WHEN %(step)s::integer = 1 THEN 'whole' ELSE 'delta' END AS way) known
"""


async def stage_made(
    admin: Connection, schema_name: str, run_id: UUID, *, nodes: int, version: str = "", step: int = 1
) -> None:
    """Stage a graph of so many nodes, as the administrator; of each hundredth the name ends with `version`.

    With a `step` of 100 only those that differ are staged, as a run does that read what changed.
    """
    for made in _MADE:
        values = {
            "run": run_id, "table": made.name, "kind": made.kind, "version": version, "step": step,
            "page_rows": _PAGE_ROWS, "rows": max(1, nodes * made.part // 1_000),
        }  # fmt: skip
        rows = ", ".join(
            f"('{kind}', '{target}', '{field}', {number}, {there})"
            for kind, target, field, number, there in made.edges
        )
        for text in (
            _STAGE.replace("{attributes}", made.attributes.replace("%", "%%")),
            _EDGES.replace("{edges}", rows.replace("%", "%%")),
            _READ,
        ):
            query: sql.SQL = compose_text(text.replace("{{}}", "{}"), within=schema_name)
            await admin.execute(query, values)
