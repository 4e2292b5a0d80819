"""A grammar of single statements: what a query builder, or somebody who wants another tenant's rows, could write.

`{own}`, `{other}` and the like stand as in the injection matrix. Most of it is refused; that is what is to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.integration.injection_functions import TEXTS, Function

_OTHERS = (
    "{other}.node", "{other}.node", "{other}.node", "{other}.graph_v1_nodes", "{other}.graph_v1_nodes_at(1)",
    "{other}.edge", "{other}.node_history",
)  # fmt: skip
_RELATIONS = (
    *_OTHERS, *_OTHERS, "{other}.graph_v1_diff(1, 1)", "{own}.node", "{own}.edge", "{own}.graph_v1_nodes",
    "{own}.staged_page", "control.tenant", "control.credential", "control.read_fleet()", "pg_catalog.pg_stats",
    "pg_catalog.pg_class", "pg_catalog.pg_stat_activity", "pg_catalog.pg_settings", "generate_series(1, 3)",
)  # fmt: skip
_OF_ANY = (
    "a",
    "a.*",
    "a::text",
    "to_jsonb(a)",
    "row_to_json(a)::text",
    "to_jsonb(a) ->> 'name'",
    "to_json(a)",
    "1",
    "NULL",
)
_OF_SOME = (
    "a.name", "name", "node_id", "attributes", "tableoid::regclass", "xmin", "current_user", "envelope", "query",
    "most_common_vals::text",
)  # fmt: skip
_WRAPPINGS = (
    "{}", "({})::text", "({})::text::int", "({})::text::regclass", "({})::text::jsonb", "lower(({})::text)",
    "coalesce({}, NULL)", "CASE WHEN ({}) IS NULL THEN 1 / 0 END", "string_agg(({})::text, ',')", "array_agg({})",
    "jsonb_agg({})", "max(({})::text)", "first_value({}) OVER ()", "ARRAY[{}]", "ROW({})", "1 / length(({})::text)",
    "encode(convert_to(({})::text, 'UTF8'), 'base64')",
)  # fmt: skip
_CONDITIONS = (
    "true", "false", "a IS NOT NULL", "a::text ~ '.'", "a::text::int = 1", "1 / length(a::text) > 0",
    "EXISTS (SELECT FROM {other}.node)", "a::text IN (SELECT name FROM {other}.node)", "name = 'x'",
)  # fmt: skip
_TEXTS_THAT_RUN = (
    "set_config('role', '{other}', true)", "set_config('role', '{other}', false)",
    "set_config('zaptik.tenant', '{other_id}', true)", "current_setting('zaptik.tenant', true)",
    "query_to_xml('SELECT * FROM {other}.node', true, true, '')",
    "(SELECT string_agg(word, '') FROM ts_stat('SELECT to_tsvector(name) FROM {other}.node'))",
    "ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, to_tsquery(name) FROM {other}.node')",
    "{other}.forget_revisions(0)", "control.request_sync('{other_name}', 'full')",
)  # fmt: skip
_SHORT = (
    "SET LOCAL ROLE {other}", "RESET ROLE", "SET LOCAL row_security = off", "LISTEN zaptik_revision",
    "DO $$ BEGIN RAISE NOTICE '%', (SELECT min(name) FROM {other}.node); END $$", "TRUNCATE {other}.node",
    "LOCK TABLE {other}.node", "TABLE {other}.node",
)  # fmt: skip


def statements(functions: Sequence[Function]) -> st.SearchStrategy[str]:
    """Give single statements in which any of these functions may be called."""
    expressions, queries = _queries(functions)
    relations = st.sampled_from([one for one in _RELATIONS if "(" not in one and "pg_" not in one])
    return st.one_of(
        *[queries] * 8,
        queries.map("EXPLAIN (ANALYZE, VERBOSE) {}".format),
        queries.map("COPY ({}) TO STDOUT".format),
        queries.map("DECLARE x CURSOR FOR {}".format),
        queries.map("CREATE TEMPORARY VIEW x AS {}".format),
        st.builds("WITH b AS ({}) SELECT * FROM b, {} a".format, queries, relations),
        st.builds("WITH b AS (DELETE FROM {} a RETURNING a.*) SELECT * FROM b".format, relations),
        st.builds("INSERT INTO {} {}".format, relations, queries),
        st.builds("INSERT INTO {} (node_id, name) SELECT 'x', ({})::text FROM {} a".format, relations, expressions,
                  relations),
        st.builds("UPDATE {} a SET name = ({})::text RETURNING a.*".format, relations, expressions),
        st.builds("UPDATE {} n SET name = a.name FROM {} a RETURNING n.*, a.*".format, relations, relations),
        st.builds("DELETE FROM {} n USING {} a WHERE {} RETURNING a.*".format, relations, relations,
                  st.sampled_from(_CONDITIONS)),
        st.builds("MERGE INTO {} n USING {} a ON n.name = a.name WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN "
                  "INSERT (node_id, name) VALUES ('x', a.name)".format, relations, relations),
        st.builds("COPY {} TO STDOUT".format, relations),
        st.sampled_from(_SHORT),
    )  # fmt: skip


def _queries(functions: Sequence[Function]) -> tuple[st.SearchStrategy[str], st.SearchStrategy[str]]:
    """Give expressions and queries, each of which may hold the other."""
    # by number, since Hypothesis writes out what it samples from
    numbers = st.integers(0, len(functions) - 1)
    calls = st.builds(
        lambda number, text: functions[number].build_call(text), numbers, st.sampled_from(TEXTS)
    )
    some = st.sampled_from
    atoms = st.one_of(*[some(_OF_ANY)] * 5, some(_OF_SOME), some(_TEXTS_THAT_RUN), calls)
    queries: st.SearchStrategy[str] = st.deferred(lambda: selects)
    wrapped = st.builds(str.replace, some(_WRAPPINGS), st.just("{}"), atoms)
    scalar = st.builds("(SELECT ({}) FROM {} a LIMIT 1)".format, wrapped, some(_RELATIONS))
    expressions = st.one_of(*[wrapped] * 5, scalar)
    tables = some(_RELATIONS).map("{} a".format)
    sources = st.one_of(
        *[tables] * 8,
        calls.map("{} a".format),
        queries.map("({}) a".format),
        st.builds("{} a JOIN {} b ON true".format, some(_RELATIONS), some(_RELATIONS)),
        st.builds("{} b, LATERAL ({}) a".format, some(_RELATIONS), queries),
    )
    bare = st.builds("SELECT {} FROM {}".format, expressions, sources)
    plain = st.builds("{} WHERE {}".format, bare, some(_CONDITIONS))
    union = st.builds("{} UNION ALL {}".format, bare, plain)
    selects = st.one_of(*[bare] * 4, plain, scalar.map("SELECT {}".format), union)
    return expressions, selects
