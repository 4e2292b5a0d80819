-- What consumers read: views and functions `graph_v1_*`, as the role {reader}. It sees published revisions alone: none
-- that waits for a person or was rejected, nothing that a run has staged, no verdict of a run that came to nothing.
-- Names and columns are promises (docs/reference/sql.md): columns may be added, none is taken away.

-- The newest run that found the revision in force unchanged: as of when it is still so.
ALTER TABLE {tenant}.revision
    ADD COLUMN checked_run_id uuid,
    ADD COLUMN checked_as_of timestamptz,
    ADD COLUMN checked_complete_as_of timestamptz;
GRANT UPDATE (checked_run_id, checked_as_of, checked_complete_as_of) ON {tenant}.revision TO {tenant};

-- What NOTIFY says of the tenant: anybody may listen, so it is random and names nobody.
CREATE TABLE {tenant}.reference (reference uuid NOT NULL DEFAULT gen_random_uuid());
INSERT INTO {tenant}.reference DEFAULT VALUES;

-- For the difference of two revisions, and for what led to a node. On `node` and `edge` BRIN, which leaves updates HOT
-- (from PostgreSQL 16 on); by intervals, since a page has rows of many revisions.
CREATE INDEX node_history_since ON {tenant}.node_history (since);
CREATE INDEX edge_history_since ON {tenant}.edge_history (since);
CREATE INDEX edge_history_to ON {tenant}.edge_history (to_id);
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 160000 THEN
        CREATE INDEX node_since ON {tenant}.node USING brin (since int8_minmax_multi_ops)
            WITH (pages_per_range = 8, autosummarize = on);
        CREATE INDEX edge_since ON {tenant}.edge USING brin (since int8_minmax_multi_ops)
            WITH (pages_per_range = 8, autosummarize = on);
    END IF;
END
$$;

CREATE VIEW {tenant}.graph_v1_revisions WITH (security_invoker = true) AS
SELECT revision,
       CASE WHEN revision = max(revision) OVER () THEN 'current' ELSE 'superseded' END AS state,
       greatest(as_of, checked_as_of) AS as_of,
       greatest(complete_as_of, checked_complete_as_of) AS complete_as_of,
       nodes, edges, digest, published_at, added, changed, removed,
       CASE WHEN revision = max(revision) OVER () THEN
           extract(epoch FROM statement_timestamp() - greatest(as_of, checked_as_of))::double precision
       END AS staleness_seconds
FROM {tenant}.revision WHERE state = 'published';

-- A revision's verdicts are those of the run that made it; of the one in force, of the newest run that left it so.
CREATE VIEW {tenant}.graph_v1_tables WITH (security_invoker = true) AS
SELECT r.revision, t.table_name, coalesce(t.verdict, 'unknown') AS verdict, t.read, t.as_of,
       coalesce(t.known, t.rows) AS rows, t.hidden, t.reason
FROM {tenant}.revision r JOIN {tenant}.table_read t ON t.run_id = CASE
         WHEN r.revision = (SELECT max(revision) FROM {tenant}.revision WHERE state = 'published')
         THEN coalesce(r.checked_run_id, r.run_id) ELSE r.run_id END
WHERE r.state = 'published';

CREATE VIEW {tenant}.graph_v1_nodes WITH (security_invoker = true) AS
SELECT node_id, kind, table_name, substr(node_id, strpos(node_id, ':') + 1) AS sys_id, name, attributes, since
FROM {tenant}.node;

CREATE VIEW {tenant}.graph_v1_edges WITH (security_invoker = true) AS
SELECT from_id, kind, to_id, state, source, attributes, since FROM {tenant}.edge;

CREATE VIEW {tenant}.graph_v1_feed WITH (security_invoker = true) AS
SELECT f.number, f.revision, f.published_at, f.added, f.changed, f.removed, r.reference
FROM {tenant}.feed f CROSS JOIN {tenant}.reference r;

-- Functions are one SELECT each, with names bound when they are made: the planner takes them into the query that
-- calls them, so that a condition reaches the indexes. What raises an error is a branch of its own, a function that
-- gives no row; its columns are made from that row, each otherwise, so that no condition on them is known to be false
-- beforehand.
CREATE FUNCTION {tenant}.check_revision(wanted bigint) RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM {tenant}.revision r WHERE r.revision = wanted AND r.state = 'published') THEN
        RAISE EXCEPTION 'there is no published revision %', coalesce(wanted::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = 'The view graph_v1_revisions names those that there are.';
    END IF;
END
$$;

CREATE FUNCTION {tenant}.check_node(wanted text) RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM {tenant}.node n WHERE n.node_id = wanted)
       AND NOT EXISTS (SELECT FROM {tenant}.edge e WHERE e.to_id = wanted) THEN
        RAISE EXCEPTION 'there is no node %, nor does any edge lead to it', coalesce(quote_literal(wanted), 'NULL')
            USING ERRCODE = 'no_data_found',
                  HINT = 'A node is called TABLE:SYS_ID, with the base table; graph_v1_nodes has them all.';
    END IF;
END
$$;

-- They give the rows of the views, so that texts are compared byte by byte as the indexes are.
CREATE FUNCTION {tenant}.graph_v1_nodes_at(revision bigint) RETURNS SETOF {tenant}.graph_v1_nodes LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT h.node_id, h.kind, h.table_name, substr(h.node_id, strpos(h.node_id, ':') + 1), h.name, h.attributes,
           h.since
    FROM (SELECT c AS node_id, c AS kind, c AS table_name, c AS name, c::jsonb AS attributes,
                 length(c)::bigint AS since, octet_length(c)::bigint AS until FROM {tenant}.check_revision($1) c
          UNION ALL
          SELECT n.node_id, n.kind, n.table_name, n.name, n.attributes, n.since, 9223372036854775807
          FROM {tenant}.node n
          UNION ALL
          SELECT o.node_id, o.kind, o.table_name, o.name, o.attributes, o.since, o.until FROM {tenant}.node_history o) h
    WHERE h.since <= coalesce($1, 0) AND h.until > coalesce($1, 0);  -- NULL would be a condition that nothing meets
END;

CREATE FUNCTION {tenant}.graph_v1_edges_at(revision bigint) RETURNS SETOF {tenant}.graph_v1_edges LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT h.from_id, h.kind, h.to_id, h.state, h.source, h.attributes, h.since
    FROM (SELECT c AS from_id, c AS kind, c AS to_id, c AS state, c AS source, c::jsonb AS attributes,
                 length(c)::bigint AS since, octet_length(c)::bigint AS until FROM {tenant}.check_revision($1) c
          UNION ALL
          SELECT e.from_id, e.kind, e.to_id, e.state, e.source, e.attributes, e.since, 9223372036854775807
          FROM {tenant}.edge e
          UNION ALL
          SELECT o.from_id, o.kind, o.to_id, o.state, o.source, o.attributes, o.since, o.until
          FROM {tenant}.edge_history o) h
    WHERE h.since <= coalesce($1, 0) AND h.until > coalesce($1, 0);  -- NULL would be a condition that nothing meets
END;

-- The difference, in either direction. What is as it was at both ends is none, whatever happened between.
CREATE TYPE {tenant}.graph_v1_change AS (what text, change text, id text, before jsonb, after jsonb);

CREATE FUNCTION {tenant}.graph_v1_diff(from_revision bigint, to_revision bigint)
RETURNS SETOF {tenant}.graph_v1_change LANGUAGE sql STABLE
BEGIN ATOMIC
    -- `lost` held at the earlier of the two and no longer at the later; `won` holds at the later and did not yet.
    SELECT c, c, c, c::jsonb, c::jsonb FROM {tenant}.check_revision($1) c
    UNION ALL
    SELECT c, c, c, c::jsonb, c::jsonb FROM {tenant}.check_revision($2) c
    UNION ALL
    SELECT 'node', CASE WHEN d.before IS NULL THEN 'added' WHEN d.after IS NULL THEN 'removed' ELSE 'changed' END,
           d.node_id, d.before, d.after
    FROM (SELECT node_id,
                 CASE WHEN $1 <= $2 THEN lost.line ELSE won.line END AS before,
                 CASE WHEN $1 <= $2 THEN won.line ELSE lost.line END AS after
          FROM (SELECT h.node_id, h.hash, jsonb_build_object(
                           'id', h.node_id, 'kind', h.kind, 'table', h.table_name,
                           'sys_id', substr(h.node_id, strpos(h.node_id, ':') + 1), 'name', h.name,
                           'attributes', h.attributes) AS line
                FROM {tenant}.node_history h
                WHERE h.until > least($1, $2) AND h.until <= greatest($1, $2) AND h.since <= least($1, $2)) lost
          FULL JOIN (
                SELECT h.node_id, h.hash, jsonb_build_object(
                           'id', h.node_id, 'kind', h.kind, 'table', h.table_name,
                           'sys_id', substr(h.node_id, strpos(h.node_id, ':') + 1), 'name', h.name,
                           'attributes', h.attributes) AS line
                FROM (SELECT n.node_id, n.kind, n.table_name, n.name, n.attributes, n.hash, n.since,
                             9223372036854775807 AS until FROM {tenant}.node n
                      UNION ALL
                      SELECT o.node_id, o.kind, o.table_name, o.name, o.attributes, o.hash, o.since, o.until
                      FROM {tenant}.node_history o) h
                WHERE h.since > least($1, $2) AND h.since <= greatest($1, $2) AND h.until > greatest($1, $2)) won
          USING (node_id)
          WHERE lost.hash IS DISTINCT FROM won.hash) d
    UNION ALL
    SELECT 'edge', CASE WHEN d.before IS NULL THEN 'added' WHEN d.after IS NULL THEN 'removed' ELSE 'changed' END,
           concat_ws(' ', d.from_id, d.kind, d.to_id, d.source), d.before, d.after
    FROM (SELECT from_id, kind, to_id, source,
                 CASE WHEN $1 <= $2 THEN lost.line ELSE won.line END AS before,
                 CASE WHEN $1 <= $2 THEN won.line ELSE lost.line END AS after
          FROM (SELECT h.from_id, h.kind, h.to_id, h.source, h.hash, h.state, jsonb_build_object(
                           'kind', h.kind, 'from', h.from_id, 'to', h.to_id, 'source', jsonb_build_object(
                               'table', split_part(h.source, ':', 1), 'sys_id', split_part(h.source, ':', 2),
                               'field', split_part(h.source, ':', 3)),
                           'attributes', h.attributes, 'state', h.state) AS line
                FROM {tenant}.edge_history h
                WHERE h.until > least($1, $2) AND h.until <= greatest($1, $2) AND h.since <= least($1, $2)) lost
          FULL JOIN (
                SELECT h.from_id, h.kind, h.to_id, h.source, h.hash, h.state, jsonb_build_object(
                           'kind', h.kind, 'from', h.from_id, 'to', h.to_id, 'source', jsonb_build_object(
                               'table', split_part(h.source, ':', 1), 'sys_id', split_part(h.source, ':', 2),
                               'field', split_part(h.source, ':', 3)),
                           'attributes', h.attributes, 'state', h.state) AS line
                FROM (SELECT e.from_id, e.kind, e.to_id, e.source, e.state, e.attributes, e.hash, e.since,
                             9223372036854775807 AS until FROM {tenant}.edge e
                      UNION ALL
                      SELECT o.from_id, o.kind, o.to_id, o.source, o.state, o.attributes, o.hash, o.since, o.until
                      FROM {tenant}.edge_history o) h
                WHERE h.since > least($1, $2) AND h.since <= greatest($1, $2) AND h.until > greatest($1, $2)) won
          USING (from_id, kind, to_id, source)
          WHERE (lost.hash, lost.state) IS DISTINCT FROM (won.hash, won.state)) d;
END;

CREATE TYPE {tenant}.graph_v1_neighbour AS
    (direction text, kind text, node_id text, name text, state text, source text);

CREATE FUNCTION {tenant}.graph_v1_neighbours(node_id text) RETURNS SETOF {tenant}.graph_v1_neighbour
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c, c, c, c, c, c FROM {tenant}.check_node($1) c
    UNION ALL
    SELECT 'out', e.kind, e.to_id, n.name, e.state, e.source
    FROM {tenant}.edge e LEFT JOIN {tenant}.node n ON n.node_id = e.to_id WHERE e.from_id = $1
    UNION ALL
    SELECT 'in', e.kind, e.from_id, n.name, e.state, e.source
    FROM {tenant}.edge e LEFT JOIN {tenant}.node n ON n.node_id = e.from_id WHERE e.to_id = $1;
END;

-- How work finds its group: from a record of `at_table` along edges of a kind, `out` to their other end or `in`
-- against them, to a record of `next_table`. `only_after` and `never_after` are kinds of the step before; an empty
-- `only_after` is a first step alone. In `reason`, %1 and %2 are the names at both ends, quoted, %3 and %4 their keys,
-- %5 the field. `engine` is what assigns; ServiceNow defines no order between two of them. jobs/routing/moves.py has
-- the same; a test compares them, and what is told of each route.
CREATE VIEW {tenant}.routing_move WITH (security_invoker = true) AS
SELECT * FROM (VALUES
    (1, 'sc_cat_item', 'out', 'FULFILLED_BY', NULL, NULL::text[], NULL::text[], 'the catalogue',
        'fulfilment group of the item'),
    (2, 'sc_cat_item', 'out', 'DELIVERED_BY', NULL, NULL, NULL, 'the catalogue', 'delivery plan %2$s of the item'),
    (3, 'sc_cat_item_delivery_plan', 'in', 'STEP_OF', NULL, NULL, NULL, NULL, 'delivery task %2$s of its plan'),
    (4, 'sc_cat_item_delivery_task', 'out', 'FULFILLED_BY', NULL, NULL, NULL, 'the catalogue',
        'group of the delivery task %1$s'),
    (5, 'sc_cat_item_delivery_plan', 'out', 'CREATES_RECORD_IN', NULL, NULL, NULL, NULL,
        'the plan creates its tasks in table %4$s'),
    (6, 'sc_cat_item', 'out', 'RUNS_WORKFLOW', NULL, NULL, NULL, 'a workflow', 'the item runs a workflow'),
    (7, 'sc_cat_item', 'out', 'RUNS_FLOW', NULL, NULL, NULL, 'a flow', 'the item runs a flow'),
    (8, 'sc_cat_item', 'out', 'CREATES_RECORD_IN', NULL, NULL, NULL, NULL,
        'the producer creates records in table %4$s'),
    (9, 'sc_cat_item', 'in', 'ASKED_BY', NULL, '{}', NULL, NULL, 'the producer asks for the HR service %2$s'),
    (10, 'sn_hr_core_service', 'out', 'ASKED_BY', NULL, '{}', NULL, NULL,
        'the service is asked for by the record producer %2$s'),
    (11, 'sn_hr_core_service', 'out', 'USES_TEMPLATE', NULL, NULL, NULL, 'an HR template',
        'template %2$s of the service'),
    (12, 'sn_hr_core_service', 'out', 'CREATES_RECORD_IN', NULL, NULL, NULL, NULL,
        'the service creates cases in table %4$s'),
    (13, 'sn_hr_core_service', 'out', 'RUNS_WORKFLOW', NULL, NULL, NULL, 'a workflow', 'the service runs a workflow'),
    (14, 'sn_hr_core_service', 'out', 'RUNS_FLOW', NULL, NULL, NULL, 'a flow', 'the service runs a flow'),
    (15, 'sn_hr_core_template', 'out', 'ROUTES_TO', NULL, NULL, NULL, 'an HR template',
        'assignment group of the template'),
    (16, 'sn_hr_core_template', 'out', 'CREATES_RECORD_IN', NULL, '{}', NULL, NULL,
        'the template is for cases in table %4$s'),
    (17, 'sys_db_object', 'in', 'APPLIES_TO', 'sysrule_assignment', NULL, '{LOOKS_IN}', 'assignment rules',
        'assignment rule %2$s of table %3$s'),
    (18, 'sys_db_object', 'in', 'APPLIES_TO', 'dl_definition', NULL, '{LOOKS_IN}', 'data lookups',
        'data lookup %2$s of table %3$s'),
    (19, 'sysrule_assignment', 'out', 'ROUTES_TO', NULL, NULL, NULL, 'assignment rules',
        'group of the assignment rule'),
    (20, 'dl_definition', 'out', 'LOOKS_IN', NULL, NULL, NULL, 'data lookups', 'the lookup looks in table %4$s'),
    (21, 'sys_db_object', 'in', 'ROW_OF', NULL, '{LOOKS_IN}', NULL, 'data lookups', 'a row of that table'),
    (22, 'dl_matcher', 'out', 'NAMES', 'sys_user_group', NULL, NULL, 'data lookups', 'group in the row''s column %5$s'),
    (23, 'sys_db_object', 'in', 'CHANNEL_OF', NULL, NULL, '{LOOKS_IN}', 'work assignment',
        'service channel %2$s takes records of table %3$s'),
    (24, 'awa_service_channel', 'in', 'IN_CHANNEL', NULL, NULL, NULL, 'work assignment',
        'queue %2$s of the channel'),
    (25, 'awa_queue', 'in', 'POOL_OF', NULL, NULL, NULL, 'work assignment', 'a pool of the queue'),
    (26, 'awa_eligibility_pool', 'out', 'ROUTES_TO', NULL, NULL, NULL, 'work assignment', 'group of the pool')
) AS m (move, at_table, direction, kind, next_table, only_after, never_after, engine, reason);

CREATE VIEW {tenant}.routing_step WITH (security_invoker = true) AS
SELECT e.from_id AS at, 'out' AS direction, e.kind, e.to_id AS next, e.source, e.state, e.read_table
FROM {tenant}.edge e
UNION ALL
SELECT e.to_id, 'in', e.kind, e.from_id, e.source, e.state, e.read_table FROM {tenant}.edge e;

CREATE TYPE {tenant}.graph_v1_route_step AS
    (route bigint, step integer, from_id text, kind text, to_id text, reason text, certain boolean, direction text);

-- Every way from a node to a group, or to a workflow or flow, where what is read ends; the shortest first.
CREATE FUNCTION {tenant}.graph_v1_routes(node_id text) RETURNS SETOF {tenant}.graph_v1_route_step LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE walk (ids, moves, kinds, sources, states, reads) AS (
        SELECT ARRAY[$1 COLLATE "C"], ARRAY[]::integer[], ARRAY[]::text[], ARRAY[]::text[] COLLATE "C",
               ARRAY[]::text[], ARRAY[]::text[]
        UNION ALL
        SELECT w.ids || s.next, w.moves || m.move, w.kinds || m.kind, w.sources || s.source, w.states || s.state,
               w.reads || s.read_table
        FROM walk w
        JOIN {tenant}.routing_move m ON m.at_table = split_part(w.ids[cardinality(w.ids)], ':', 1)
         AND (m.only_after IS NULL OR w.kinds[cardinality(w.kinds)] = ANY (m.only_after)
              OR (m.only_after = '{}' AND w.kinds = '{}'))
         AND (m.never_after IS NULL OR w.kinds = '{}' OR w.kinds[cardinality(w.kinds)] <> ALL (m.never_after))
        CROSS JOIN LATERAL (  -- OFFSET 0: node by node, by the index, however many are expected
            SELECT t.* FROM {tenant}.routing_step t
            WHERE t.at = w.ids[cardinality(w.ids)] AND t.direction = m.direction AND t.kind = m.kind
              AND (m.next_table IS NULL OR split_part(t.next, ':', 1) = m.next_table) OFFSET 0) s
        WHERE cardinality(w.ids) <= 12 AND s.next <> ALL (w.ids)
    ), found AS MATERIALIZED (
        -- A lookup's row names a group by a column that is set; one that is only matched by leads nowhere.
        SELECT row_number() OVER (ORDER BY cardinality(w.ids), w.ids, w.moves, w.sources) AS route, w.*
        FROM walk w
        WHERE (split_part(w.ids[cardinality(w.ids)], ':', 1) = 'sys_user_group'
               OR w.kinds[cardinality(w.kinds)] IN ('RUNS_WORKFLOW', 'RUNS_FLOW'))
          AND w.kinds <> '{}'
          AND NOT (w.kinds[cardinality(w.kinds)] = 'NAMES' AND coalesce((
              SELECT bool_and(e.kind = 'MATCHES_FOR')
              -- the lookup that was come by, or of a row to begin with, those that look in its table
              FROM unnest(CASE WHEN cardinality(w.ids) > 2 THEN ARRAY(
                       SELECT i.id FROM unnest(w.ids) i (id) WHERE split_part(i.id, ':', 1) = 'dl_definition')
                   ELSE ARRAY(
                       SELECT looks.from_id
                       FROM {tenant}.edge lies JOIN {tenant}.edge looks ON looks.to_id = lies.to_id
                       WHERE lies.from_id = w.ids[1] AND lies.kind = 'ROW_OF' AND looks.kind = 'LOOKS_IN') END) l (id)
              CROSS JOIN LATERAL (
                  SELECT b.kind, b.from_id FROM {tenant}.edge b
                  WHERE b.to_id = l.id AND b.kind IN ('MATCHES_FOR', 'SETS_FOR') OFFSET 0) e
              CROSS JOIN LATERAL (SELECT c.attributes FROM {tenant}.node c WHERE c.node_id = e.from_id OFFSET 0) n
              WHERE n.attributes ->> 'matcher_table_field' = split_part(w.sources[cardinality(w.sources)], ':', 3)
              ), false))
    ), verdict AS MATERIALIZED (
        SELECT t.table_name, t.verdict FROM {tenant}.graph_v1_tables t
        WHERE t.revision = (SELECT max(r.revision) FROM {tenant}.graph_v1_revisions r)
    ), step AS MATERIALIZED (
        SELECT f.route, i.step, f.moves[i.step] AS move, f.ids[i.step] AS from_id, f.ids[i.step + 1] AS to_id,
               f.sources[i.step] AS source, f.states[i.step] AS state, f.reads[i.step] AS read_table,
               i.step = cardinality(f.kinds) AS is_last
        FROM found f CROSS JOIN LATERAL generate_subscripts(f.kinds, 1) AS i (step)
    ), rival AS MATERIALIZED (
        -- The active rules of the tables that are come by, and whether another may come first. Two of the same order,
        -- or of one that is no number: either may.
        SELECT r.at, r.rule, CASE WHEN r.place IS NULL THEN count(*) OVER (PARTITION BY r.at)
                                  ELSE count(*) OVER (PARTITION BY r.at ORDER BY r.place NULLS FIRST) END > 1 AS is_late
        FROM (SELECT e.to_id AS at, e.from_id AS rule,
                     CASE WHEN n.attributes ->> 'order' ~ '^-?[0-9]{1,9}$' THEN (n.attributes ->> 'order')::integer
                     END AS place
              FROM (SELECT DISTINCT s.from_id FROM step s WHERE s.move = 17) t
              CROSS JOIN LATERAL (  -- OFFSET 0: table by table, by the index, however many are expected
                  SELECT a.from_id, a.to_id FROM {tenant}.edge a
                  WHERE a.to_id = t.from_id AND a.kind = 'APPLIES_TO' OFFSET 0) e
              JOIN {tenant}.node n ON n.node_id = e.from_id
              WHERE split_part(e.from_id, ':', 1) = 'sysrule_assignment'
                AND n.attributes ->> 'active' IS DISTINCT FROM 'false') r
    ), ends AS MATERIALIZED (
        -- Each step with the records at both ends; of the one that is walked from, what counts is said at its own step.
        SELECT s.*, m.direction, m.kind, m.engine, m.reason, a.name AS from_name, b.name AS to_name,
               substr(s.from_id, strpos(s.from_id, ':') + 1) AS from_key,
               substr(s.to_id, strpos(s.to_id, ':') + 1) AS to_key,
               CASE WHEN s.move IN (2, 3, 17, 21, 24) THEN b.attributes ->> 'order' END AS place,
               CASE WHEN s.step = 1 THEN a.attributes END AS begins, b.attributes AS leads,
               split_part(s.from_id, ':', 1) AS from_table, split_part(s.to_id, ':', 1) AS to_table,
               coalesce(v.is_late, false) AS is_late
        FROM step s
        JOIN {tenant}.routing_move m USING (move)
        LEFT JOIN {tenant}.node a ON a.node_id = s.from_id
        LEFT JOIN {tenant}.node b ON b.node_id = s.to_id
        LEFT JOIN rival v ON s.move = 17 AND v.at = s.from_id AND v.rule = s.to_id
    ), rests AS MATERIALIZED (
        -- The tables that steps rest on and that were not read whole. Of a table's rules, also those of every engine:
        -- where one is not known whole, another may assign that nobody sees here. So it is of the tables in which that
        -- table's lookups look: each is read by its own name.
        SELECT t.read_table, t.source_table, t.ruled,
               string_agg(format('table %s is %s', k.name, coalesce(v.verdict, 'not read')), '; '
                          ORDER BY k.name COLLATE "C") AS told
        FROM (SELECT DISTINCT s.read_table, split_part(s.source, ':', 1) AS source_table,
                     CASE WHEN s.move IN (17, 18, 23) THEN s.from_id ELSE '' END AS ruled FROM step s) t
        CROSS JOIN LATERAL (
            SELECT a.name, bool_or(a.is_own) AS is_own
            FROM (SELECT t.read_table AS name, true AS is_own
                  UNION ALL SELECT t.source_table, true
                  UNION ALL SELECT o.name, false
                  FROM unnest(ARRAY['sysrule_assignment', 'dl_definition', 'dl_matcher', 'awa_service_channel',
                                    'awa_queue', 'awa_eligibility_pool']) o (name) WHERE t.ruled <> ''
                  UNION ALL SELECT substr(looks.to_id, strpos(looks.to_id, ':') + 1), false
                  FROM {tenant}.edge rules
                  JOIN {tenant}.edge looks ON looks.from_id = rules.from_id AND looks.kind = 'LOOKS_IN'
                  LEFT JOIN {tenant}.node n ON n.node_id = rules.from_id
                  WHERE rules.to_id = t.ruled AND rules.kind = 'APPLIES_TO'
                    AND n.attributes ->> 'active' IS DISTINCT FROM 'false') a
            GROUP BY a.name) k
        LEFT JOIN verdict v ON v.table_name = k.name
        WHERE coalesce(v.verdict, 'unknown') <> 'complete'
          AND (k.is_own OR v.verdict IS DISTINCT FROM 'absent')
        GROUP BY t.read_table, t.source_table, t.ruled
    ), engine AS MATERIALIZED (
        SELECT DISTINCT e.engine FROM ends e
        WHERE e.is_last AND NOT EXISTS (
            SELECT FROM ends other WHERE other.route = e.route
              AND 'false' IN (other.begins ->> 'active', other.leads ->> 'active') IS TRUE)
    ), others AS MATERIALIZED (
        SELECT e.engine, (SELECT string_agg(o.engine, ', ' ORDER BY o.engine COLLATE "C")
                          FROM engine o WHERE o.engine <> e.engine) AS told
        FROM (SELECT DISTINCT d.engine FROM ends d WHERE d.is_last) e
    ), judged AS MATERIALIZED (
        SELECT e.*, array_remove(ARRAY[
                   CASE WHEN e.engine IN ('a workflow', 'a flow') THEN 'what it assigns is never read' END,
                   CASE WHEN e.begins ->> 'active' = 'false' THEN 'the start is inactive' END,
                   CASE WHEN e.leads ->> 'active' = 'false' THEN 'it is inactive' END,
                   -- a table is called by its name, and routes by it whether or not its description is read
                   CASE WHEN e.state <> 'resolved' AND e.direction = 'out' AND e.kind !~ '^RUNS_'
                             AND e.to_table <> 'sys_db_object' THEN 'the other end is ' || e.state END,
                   t.begin_condition, t.begin_script,
                   nullif(t.lead_condition, t.begin_condition), nullif(t.lead_script, t.begin_script),
                   CASE WHEN e.move = 21 THEN 'only for records that the row fits' END,
                   CASE WHEN e.is_late THEN 'unless an earlier rule matches' END,
                   r.told,
                   CASE WHEN e.is_last THEN 'so may ' || o.told || ', in no defined order' END
               ], NULL) AS notes
        FROM ends e
        CROSS JOIN LATERAL (
            SELECT 'only if ' || nullif(e.begins ->> 'condition', '') AS begin_condition,
                   'only if ' || nullif(e.leads ->> 'condition', '') AS lead_condition,
                   CASE WHEN e.begins ->> 'opaque' = 'true' THEN 'a script decides, which is never read'
                        WHEN e.step = 1 AND e.begins ->> 'opaque' IS NULL AND e.from_table IN ('sysrule_assignment',
                             'sc_cat_item_delivery_plan', 'sc_cat_item_delivery_task', 'awa_queue')
                        THEN 'whether a script decides is not known' END AS begin_script,
                   CASE WHEN e.leads ->> 'opaque' = 'true' THEN 'a script decides, which is never read'
                        WHEN e.leads ->> 'opaque' IS NULL AND e.to_table IN ('sysrule_assignment',
                             'sc_cat_item_delivery_plan', 'sc_cat_item_delivery_task', 'awa_queue')
                        THEN 'whether a script decides is not known' END AS lead_script) t
        LEFT JOIN rests r ON r.read_table = e.read_table AND r.source_table = split_part(e.source, ':', 1)
                         AND r.ruled = CASE WHEN e.move IN (17, 18, 23) THEN e.from_id ELSE '' END
        LEFT JOIN others o ON o.engine = e.engine
    )
    SELECT c::bigint, c::integer, c, c, c, c, c::boolean, c FROM {tenant}.check_node($1) c
    UNION ALL
    SELECT j.route, j.step, j.from_id, j.kind, j.to_id,
           format(j.reason, coalesce('''' || j.from_name || '''', '?'), coalesce('''' || j.to_name || '''', '?'),
                  j.from_key, j.to_key,
                  split_part(j.source, ':', 3))
           || coalesce(' (order ' || nullif(j.place, '') || ')', '')
           || CASE WHEN j.notes = '{}' THEN '' ELSE '; ' || array_to_string(j.notes, '; ') END,
           j.notes = '{}', j.direction
    FROM judged j;
END;

CREATE TYPE {tenant}.graph_v1_affected_node AS (node_id text, kind text, table_name text, name text, steps integer);

-- Whatever has a route that leads to a node or over it, and in how few steps: the same moves, walked backwards. A
-- lookup's row counts by every column that names the node, also by one that it is only matched by.
CREATE FUNCTION {tenant}.graph_v1_affected(node_id text) RETURNS SETOF {tenant}.graph_v1_affected_node
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH RECURSIVE walk (id, only_after, never_after, steps) AS (
        SELECT $1 COLLATE "C", NULL::text[], NULL::text[], 0
        UNION
        SELECT s.next, m.only_after, m.never_after, w.steps + 1
        FROM walk w
        JOIN {tenant}.routing_step s ON s.at = w.id
        -- Who stands at `next` came here by the same edge, seen from the other side.
        JOIN {tenant}.routing_move m ON m.kind = s.kind AND m.direction <> s.direction
         AND m.at_table = split_part(s.next, ':', 1)
         AND (m.next_table IS NULL OR m.next_table = split_part(w.id, ':', 1))
        WHERE w.steps < 12
          AND (w.only_after IS NULL OR m.kind = ANY (w.only_after))
          AND (w.never_after IS NULL OR m.kind <> ALL (w.never_after))
    )
    SELECT c, c, c, c, c::integer FROM {tenant}.check_node($1) c
    UNION ALL
    SELECT w.id, n.kind, coalesce(n.table_name, split_part(w.id, ':', 1)), n.name, min(w.steps)
    FROM walk w LEFT JOIN {tenant}.node n ON n.node_id = w.id
    -- who could have come to the first move only by another is on the way, and no start
    WHERE w.id <> $1 AND (w.only_after IS NULL OR w.only_after = '{}')
    GROUP BY w.id, n.kind, n.table_name, n.name;
END;

-- The role reads what these need and no more. Row security binds it as it binds everybody.
GRANT USAGE ON SCHEMA {tenant} TO {reader};
GRANT SELECT ON {tenant}.node, {tenant}.edge, {tenant}.node_history, {tenant}.edge_history, {tenant}.feed,
    {tenant}.reference TO {reader};
GRANT SELECT (revision, run_id, state, as_of, complete_as_of, published_at, nodes, edges, added, changed, removed,
    digest, checked_run_id, checked_as_of, checked_complete_as_of) ON {tenant}.revision TO {reader};
GRANT SELECT (run_id, table_name, rows, known, hidden, read, verdict, reason, as_of) ON {tenant}.table_read TO {reader};
GRANT SELECT ON {tenant}.reference TO {tenant};
ALTER TABLE {tenant}.reference ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {tenant}.reference FOR SELECT TO {tenant} USING (true);
CREATE POLICY reader ON {tenant}.reference FOR SELECT TO {reader} USING (true);
CREATE POLICY reader ON {tenant}.node FOR SELECT TO {reader} USING (true);
CREATE POLICY reader ON {tenant}.edge FOR SELECT TO {reader} USING (true);
CREATE POLICY reader ON {tenant}.node_history FOR SELECT TO {reader} USING (true);
CREATE POLICY reader ON {tenant}.edge_history FOR SELECT TO {reader} USING (true);
CREATE POLICY reader ON {tenant}.feed FOR SELECT TO {reader} USING (true);
CREATE POLICY reader ON {tenant}.revision FOR SELECT TO {reader} USING (state = 'published');
CREATE POLICY reader ON {tenant}.table_read FOR SELECT TO {reader} USING (run_id IN (
    SELECT unnest(ARRAY[r.run_id, r.checked_run_id]) FROM {tenant}.revision r WHERE r.state = 'published'));

GRANT SELECT ON {tenant}.graph_v1_revisions, {tenant}.graph_v1_tables, {tenant}.graph_v1_nodes, {tenant}.graph_v1_edges,
    {tenant}.graph_v1_feed, {tenant}.routing_move, {tenant}.routing_step TO {tenant}, {reader};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {tenant} FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {tenant} TO {tenant}, {reader};
