"""The functions that PostgreSQL brings, and calls of them that lead to another tenant: the catalogue lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.integration.postgres_steps import read_own
from worker.postgres.connection import Connection

QUERY = "SELECT (1 / (length(''b'') - 1))::text"
DIVISION_BY_ZERO = "22012"  # by which it is known that the text was run as a query
TEXTS = (QUERY, "{other}.node", "{other}")

_FUNCTIONS = """
    SELECT p.oid::regprocedure::text AS name, 'pg_catalog.' || quote_ident(p.proname) AS called,
           ARRAY(SELECT t::regtype::text FROM unnest(p.proargtypes) t) AS types
    FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.proname !~ '^(pg_sleep|binary_upgrade)'
      AND has_function_privilege(p.oid, 'EXECUTE')
      AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)
      AND NOT 'internal'::regtype = ANY (p.proargtypes)
      AND p.proargtypes::oid[] && '{text,name,cstring,regclass,oid,regnamespace}'::regtype[]::oid[]
    ORDER BY 1"""
_NUMBERS = "smallint|integer|bigint|real|double precision|numeric"
_SAMPLES = {"boolean": "true", "tsquery": "'a'::tsquery", "tsvector": "'a'::tsvector", "jsonb": "'{}'::jsonb"}


@dataclass(frozen=True, slots=True)
class Function:
    """A function with a text, a name or a relation among its arguments."""

    name: str
    called: str
    types: tuple[str, ...]

    def build_call(self, text: str) -> str:
        """Call it with a text wherever it takes one, and the other tenant's table wherever it takes a relation."""
        return f"{self.called}({', '.join(_fill(kind, text) for kind in self.types)})"


async def read_functions(connection: Connection) -> list[Function]:
    """Give those that the current role may call."""
    rows = await read_own(connection, _FUNCTIONS)
    return [Function(row["name"], row["called"], tuple(row["types"])) for row in rows]


def _fill(kind: str, text: str) -> str:
    if kind in {"text", "name", "cstring"}:
        return f"'{text}'::{kind}"
    if kind.startswith(('"any"', "any")):
        return f"'{text}'::text"
    if kind in {"regclass", "oid"}:
        return f"{{other_oid}}::{kind}"
    if kind == "regnamespace":
        return "(SELECT relnamespace FROM pg_class WHERE oid = {other_oid})::regnamespace"
    if re.fullmatch(_NUMBERS, kind):
        return f"1::{kind}"
    return _SAMPLES.get(kind, "'{}'::" + kind if kind.endswith("[]") else f"NULL::{kind}")
