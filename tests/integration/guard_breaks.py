"""How each guard can be taken away: from its own line, the statements that undo it.

The lines are those of `schema/*/guards.sql`, so that a guard that a later migration makes is tried without an edit
here; a line of a form that nobody thought of is a ValueError. Beside them stand the rights and policies that could be
added to each object that a line names, and what an administrator might do by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

ROLE_WORDS = ("LOGIN", "INHERIT", "SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION")
PER_GRANT_INHERITANCE = 160000

_GRANTS = {
    "SCHEMA": "USAGE",
    "TABLE": "SELECT",
    "VIEW": "SELECT",
    "SEQUENCE": "SELECT",
    "FUNCTION": "EXECUTE",
}
_FUNCTION = r"""DO $break$
DECLARE changed text;
BEGIN
    SELECT replace(replace(pg_get_functiondef(oid), 'BEGIN ATOMIC', 'BEGIN ATOMIC SELECT 1;'), '$function$', '$f$ ')
    INTO STRICT changed FROM pg_proc
    WHERE pronamespace::regnamespace || '.' || proname || '(' || pg_get_function_identity_arguments(oid) || ')' = '\1';
    EXECUTE changed;
END $break$"""
_VIEW = r"""DO $break$ BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW \1 AS SELECT * FROM (' || rtrim(pg_get_viewdef('\1'::regclass), ';') || ') v';
END $break$"""
_REMOVALS = [
    (r"^-- FUNCTION (.+) has the body .+$", "a body", [_FUNCTION]),
    (r"^-- VIEW (.+) has the body .+$", "a body", [_VIEW]),
    (r"^(ALTER DEFAULT PRIVILEGES .*) REVOKE (.*) FROM PUBLIC$", "default privileges", [r"\1 GRANT \2 TO PUBLIC"]),
    (r"^ALTER EVENT TRIGGER (\S+) ENABLE ALWAYS$", "the event trigger",
     [r"ALTER EVENT TRIGGER \1 DISABLE", r"ALTER EVENT TRIGGER \1 ENABLE"]),
    (r"^CREATE EVENT TRIGGER (\S+) .*$", "the event trigger's being there", [r"DROP EVENT TRIGGER \1"]),
    (r"^(ALTER (SCHEMA|TABLE|VIEW|SEQUENCE|FUNCTION) .+ OWNER TO) \S+$", "an owner", [r"\1 zaptik_app"]),
    (r"^(ALTER FUNCTION .+) SECURITY DEFINER$", "whose rights a function has", [r"\1 SECURITY INVOKER"]),
    (r"^(ALTER FUNCTION .+) SECURITY INVOKER$", "whose rights a function has", [r"\1 SECURITY DEFINER"]),
    (r"^(ALTER FUNCTION .+) SET search_path TO ''$", "a function's search_path",
     [r"\1 RESET search_path", r"\1 SET search_path TO public"]),
    (r"^(ALTER FUNCTION .+) SET (\S+) TO .*$", "a function's setting", [r"\1 RESET \2"]),
    (r"^(ALTER ROLE \S+) SET (\S+) TO .*$", "a role's setting", [r"\1 RESET \2"]),
    (r"^(ALTER TABLE \S+) ENABLE ROW LEVEL SECURITY$", "ENABLE", [r"\1 DISABLE ROW LEVEL SECURITY"]),
    (r"^(ALTER TABLE \S+) FORCE ROW LEVEL SECURITY$", "FORCE", [r"\1 NO FORCE ROW LEVEL SECURITY"]),
    (r"^(ALTER TABLE \S+) ENABLE TRIGGER (\S+)$", "a trigger",
     [r"\1 DISABLE TRIGGER \2", r"\1 ENABLE REPLICA TRIGGER \2"]),
    (r"^CREATE TRIGGER (\S+) .*? ON (\S+) .*$", "a trigger's being there", [r"DROP TRIGGER \1 ON \2"]),
    (r"^(ALTER VIEW \S+) SET \((\w+)=true\)$", "a view's option", [r"\1 RESET (\2)", r"\1 SET (\2=false)"]),
    (r"^GRANT (.+) ON (.+) TO (\S+)$", "a grant", [r"REVOKE \1 ON \2 FROM \3 CASCADE"]),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Break:
    """One statement that opens something, of a kind of guard; `line` is the guard that goes by it, if one does."""

    kind: str
    statement: str
    line: str | None

    def is_possible(self, server_version: int) -> bool:
        """Say whether the server has such a hole: before version 16 no grant says that it inherits."""
        return "WITH INHERIT" not in self.statement or server_version >= PER_GRANT_INHERITANCE


BY_HAND = [
    Break("by hand", statement, None)
    for statement in (
        "ALTER TABLE control.run DISABLE TRIGGER ALL",
        "GRANT zaptik_owner TO zaptik_app",
        "GRANT zaptik_fleet TO tenant_guarded",
        "GRANT pg_read_all_data TO tenant_guarded",
        "GRANT pg_read_all_data TO zaptik_app",
        "GRANT tenant_guarded TO zaptik_owner",
        "GRANT tenant_guarded TO stranger",
        "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO tenant_guarded",
        "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO zaptik_app",
        "GRANT EXECUTE ON FUNCTION pg_catalog.query_to_xml(text, boolean, boolean, text) TO reader_guarded",
        "GRANT USAGE ON LANGUAGE plpgsql TO tenant_guarded",
        "GRANT CREATE ON SCHEMA public TO tenant_guarded",
        "GRANT TEMPORARY ON DATABASE postgres TO zaptik_app",
        "GRANT CREATE ON SCHEMA tenant_guarded TO tenant_guarded",
        "GRANT SELECT (wrapped) ON control.data_key TO tenant_guarded",
        "GRANT SELECT ON control.credential TO reader_guarded",
        "GRANT SELECT ON tenant_guarded.node TO tenant_guarded WITH GRANT OPTION",
        "GRANT TRUNCATE ON tenant_guarded.node_history TO tenant_guarded",
        "ALTER DEFAULT PRIVILEGES FOR ROLE zaptik_owner GRANT SELECT ON TABLES TO zaptik_app",
        "ALTER DEFAULT PRIVILEGES FOR ROLE zaptik_owner IN SCHEMA tenant_guarded GRANT ALL ON TABLES TO PUBLIC",
        "ALTER ROLE zaptik_app SET row_security = off",
        "ALTER ROLE tenant_guarded SET search_path = public",
        "ALTER ROLE tenant_guarded SET application_name = 'x SET y TO z'",
    )
]
"""What no line names, as an administrator might do it to the tenant `guarded`; `stranger` is a login."""


def plan_removals(line: str) -> Iterator[Break]:
    """Give every way in which one guard can be taken away or turned round."""
    for pattern, kind, statements in _REMOVALS:
        if found := re.match(pattern, line):
            for statement in statements:
                yield Break(kind, found.expand(statement), line)
            return
    if line.startswith("ALTER ROLE "):
        yield from _plan_attributes(line)
    elif line.startswith("CREATE POLICY "):
        yield from _plan_policy(line)
    elif found := re.match(r"^GRANT (\S+) TO (\S+?)( WITH .*)?$", line):
        yield from _plan_membership(line, found[1], found[2])
    else:
        raise ValueError(f"nobody said how {line!r} is taken away")


def plan_additions(lines: frozenset[str]) -> Iterator[Break]:
    """Give what could be granted or added by hand to each object that the lines name."""
    for line in sorted(lines):
        found = re.match(r"^ALTER (SCHEMA|TABLE|VIEW|SEQUENCE|FUNCTION) (.+) OWNER TO (\S+)$", line)
        if found is None:
            continue
        kind, name = found[1], found[2]
        for grantee in ("PUBLIC", "zaptik_app"):
            what = f"{'TABLE' if kind == 'VIEW' else kind} {name}"
            given = f"GRANT {_GRANTS[kind]} ON {what} TO {grantee}"
            if given not in lines:
                yield Break("a grant to others", given, None)
        if kind == "TABLE":
            yield Break("a further policy", f"CREATE POLICY more ON {name} USING (true)", None)
            yield Break("a rule", f"CREATE RULE more AS ON INSERT TO {name} DO ALSO NOTHING", None)


def _plan_attributes(line: str) -> Iterator[Break]:
    role = line.split()[2]
    for word in ROLE_WORDS:
        turned = word if f" NO{word}" in line else f"NO{word}"
        yield Break("a role's attribute", f"ALTER ROLE {role} {turned}", line)


def _plan_policy(line: str) -> Iterator[Break]:
    found = re.match(r"^CREATE POLICY (\S+) ON (\S+)(?: FOR \S+)? TO \S+(?: (USING|WITH CHECK) (.*))?$", line)
    assert found is not None, line
    name, table, clause, condition = found.groups()
    yield Break("a policy", f"DROP POLICY {name} ON {table}", line)
    yield Break("a policy's role", f"ALTER POLICY {name} ON {table} TO PUBLIC", line)
    other = "(1 = 1)" if condition == "(true)" else "(true)"
    yield Break("a policy's condition", f"ALTER POLICY {name} ON {table} {clause} {other}", line)


def _plan_membership(line: str, role: str, holder: str) -> Iterator[Break]:
    turned = "FALSE" if line.endswith("WITH INHERIT TRUE") else "TRUE"
    yield Break("a membership", f"REVOKE {role} FROM {holder}", line)
    yield Break("a membership", f"GRANT {role} TO {holder} WITH ADMIN OPTION", line)
    yield Break("a membership", f"GRANT {role} TO {holder} WITH INHERIT {turned}", line)
