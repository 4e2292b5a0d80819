-- name: read_schema_version
-- The version of the tenant's schema.
SELECT max(version) FROM {tenant}.schema_version

-- name: read_table_reads
-- How far a run has come with each table, and its verdicts.
SELECT table_name, cursor, "offset", pages, rows, requests, counted, hidden, read, verdict, reason, as_of
FROM {tenant}.table_read WHERE run_id = %(run)s::uuid ORDER BY table_name

-- name: begin_table
-- Note that a run begins to read a table, with the count the instance gave before; no row when it has begun.
INSERT INTO {tenant}.table_read (run_id, table_name, counted, requests)
VALUES (%(run)s::uuid, %(table)s, %(counted)s::bigint, %(requests)s::bigint)
ON CONFLICT (run_id, table_name) DO NOTHING RETURNING table_name

-- name: stage_page
-- Keep one checked page until the run publishes; a page that is there already stays as it is.
INSERT INTO {tenant}.staged_page (run_id, table_name, page, depth, nodes, edges)
VALUES (%(run)s::uuid, %(table)s, %(page)s::integer, %(depth)s::integer, %(nodes)s::jsonb, %(edges)s::jsonb)
ON CONFLICT (run_id, table_name, page) DO NOTHING

-- name: advance_table
-- Move a table's cursor past the page staged in the same transaction; no row when that is not the next page.
UPDATE {tenant}.table_read
SET cursor = %(cursor)s, "offset" = 0, pages = %(page)s::integer, rows = rows + %(rows)s::bigint,
    requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s AND pages = %(page)s::integer - 1
RETURNING pages

-- name: keep_offset
-- Note how far past hidden rows a table's read has come.
UPDATE {tenant}.table_read SET "offset" = %(offset)s::bigint, requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: judge_table
-- Close a table's read with its verdict.
INSERT INTO {tenant}.table_read AS t (run_id, table_name, requests, hidden, verdict, reason)
VALUES (%(run)s::uuid, %(table)s, %(requests)s::bigint, %(hidden)s::bigint, %(verdict)s, %(reason)s)
ON CONFLICT (run_id, table_name) DO UPDATE
SET requests = t.requests + excluded.requests, hidden = excluded.hidden, verdict = excluded.verdict,
    reason = excluded.reason

-- name: publish_nodes
-- Bring the nodes to what the run staged, keeping what they were; gives how many were added, changed, removed.
WITH staged AS MATERIALIZED (
    SELECT DISTINCT ON (s.id) s.id, s.kind, s."table", s.name, s.attributes, decode(s.hash, 'hex') AS hash,
           p.table_name AS read_table
    FROM {tenant}.staged_page p,
         jsonb_to_recordset(p.nodes) AS s (id text COLLATE "C", kind text, "table" text, name text, attributes jsonb,
                                           hash text)
    WHERE p.run_id = %(run)s::uuid
    ORDER BY s.id, p.depth DESC, p.page DESC
), delta AS MATERIALIZED (
    SELECT coalesce(s.id, n.node_id) AS id, s.kind, s."table", s.name, s.attributes, s.hash, s.read_table,
           CASE WHEN n.node_id IS NULL THEN 'added' WHEN s.id IS NULL THEN 'removed' ELSE 'changed' END AS change
    FROM staged s FULL JOIN {tenant}.node n ON n.node_id = s.id
    WHERE CASE
        WHEN n.node_id IS NULL THEN true
        -- read whole under its own name, and under the base's, where a record shows that changed its class
        WHEN s.id IS NULL THEN n.read_table = ANY (%(closing)s::text[])
                               AND split_part(n.node_id, ':', 1) = ANY (%(closing)s::text[])
        -- a subclass that could not be read this time does not lose what it said before
        ELSE s.hash <> n.hash AND (s.read_table = n.read_table OR n.read_table = ANY (%(closing)s::text[])
                                   OR s.read_table = ANY (%(subclasses)s::text[]))
    END
), kept AS (
    INSERT INTO {tenant}.node_history
        (node_id, kind, table_name, name, attributes, read_table, hash, since, until)
    SELECT n.node_id, n.kind, n.table_name, n.name, n.attributes, n.read_table, n.hash, n.since, %(revision)s::bigint
    FROM delta d JOIN {tenant}.node n ON n.node_id = d.id WHERE d.change <> 'added'
), removed AS (
    DELETE FROM {tenant}.node n USING delta d WHERE d.change = 'removed' AND n.node_id = d.id
), changed AS (
    UPDATE {tenant}.node n
    SET kind = d.kind, table_name = d."table", name = d.name, attributes = d.attributes, read_table = d.read_table,
        hash = d.hash, since = %(revision)s::bigint
    FROM delta d WHERE d.change = 'changed' AND n.node_id = d.id
), added AS (
    INSERT INTO {tenant}.node (node_id, kind, table_name, name, attributes, read_table, hash, since)
    SELECT d.id, d.kind, d."table", d.name, d.attributes, d.read_table, d.hash, %(revision)s::bigint
    FROM delta d WHERE d.change = 'added'
)
SELECT count(*) FILTER (WHERE change = 'added') AS added, count(*) FILTER (WHERE change = 'changed') AS changed,
       count(*) FILTER (WHERE change = 'removed') AS removed
FROM delta

-- name: publish_edges
-- The same for edges, after the nodes: an edge's state follows whether its target is there.
WITH staged AS MATERIALIZED (
    SELECT DISTINCT ON (s."from", s.kind, s."to", s.source)
           s."from", s.kind, s."to", s.source, s.attributes, decode(s.hash, 'hex') AS hash, p.table_name AS read_table
    FROM {tenant}.staged_page p,
         jsonb_to_recordset(p.edges) AS s ("from" text COLLATE "C", kind text COLLATE "C", "to" text COLLATE "C",
                                           source text COLLATE "C", attributes jsonb, hash text)
    WHERE p.run_id = %(run)s::uuid
    ORDER BY s."from", s.kind, s."to", s.source, p.depth DESC, p.page DESC
), compared AS (
    SELECT coalesce(s."from", e.from_id) AS from_id, coalesce(s.kind, e.kind) AS kind,
           coalesce(s."to", e.to_id) AS to_id, coalesce(s.source, e.source) AS source,
           coalesce(s.attributes, e.attributes) AS attributes,
           coalesce(s.hash, e.hash) AS hash, coalesce(s.read_table, e.read_table) AS read_table,
           s."from" IS NULL AND e.read_table = ANY (%(closing)s::text[])
               AND split_part(e.source, ':', 1) = ANY (%(closing)s::text[]) AS gone,
           e.from_id IS NULL AS new, e.hash AS old_hash, e.state AS old_state
    FROM staged s FULL JOIN {tenant}.edge e
      ON e.from_id = s."from" AND e.kind = s.kind AND e.to_id = s."to" AND e.source = s.source
), judged AS (
    SELECT c.*, CASE WHEN n.node_id IS NOT NULL THEN 'resolved'
                     WHEN split_part(c.to_id, ':', 1) = ANY (%(surface)s::text[]) THEN 'unknown'
                     ELSE 'outside' END AS state
    FROM compared c LEFT JOIN {tenant}.node n ON n.node_id = c.to_id
), delta AS MATERIALIZED (
    SELECT j.*, CASE WHEN j.new THEN 'added' WHEN j.gone THEN 'removed' ELSE 'changed' END AS change
    FROM judged j
    WHERE j.new OR j.gone OR j.hash <> j.old_hash OR j.state <> j.old_state
), kept AS (
    INSERT INTO {tenant}.edge_history
        (from_id, kind, to_id, source, state, attributes, read_table, hash, since, until)
    SELECT e.from_id, e.kind, e.to_id, e.source, e.state, e.attributes, e.read_table, e.hash, e.since,
           %(revision)s::bigint
    FROM delta d JOIN {tenant}.edge e USING (from_id, kind, to_id, source) WHERE d.change <> 'added'
), removed AS (
    DELETE FROM {tenant}.edge e USING delta d
    WHERE d.change = 'removed' AND (e.from_id, e.kind, e.to_id, e.source) = (d.from_id, d.kind, d.to_id, d.source)
), changed AS (
    UPDATE {tenant}.edge e
    SET state = d.state, attributes = d.attributes, read_table = d.read_table, hash = d.hash,
        since = %(revision)s::bigint
    FROM delta d
    WHERE d.change = 'changed' AND (e.from_id, e.kind, e.to_id, e.source) = (d.from_id, d.kind, d.to_id, d.source)
), added AS (
    INSERT INTO {tenant}.edge (from_id, kind, to_id, source, state, attributes, read_table, hash, since)
    SELECT d.from_id, d.kind, d.to_id, d.source, d.state, d.attributes, d.read_table, d.hash, %(revision)s::bigint
    FROM delta d WHERE d.change = 'added'
)
SELECT count(*) FILTER (WHERE change = 'added') AS added, count(*) FILTER (WHERE change = 'changed') AS changed,
       count(*) FILTER (WHERE change = 'removed') AS removed
FROM delta

-- name: read_digest
-- How many nodes and edges the current graph has, and the digest of their lines; docs/reference/graph.md has the rule.
SELECT n.nodes, e.edges, encode(sha256(n.hashes || e.hashes), 'hex') AS digest
FROM (SELECT count(*) AS nodes, coalesce(string_agg(hash, ''::bytea ORDER BY node_id), '') AS hashes
      FROM {tenant}.node) n,
     (SELECT count(*) AS edges,
             coalesce(string_agg(hash || convert_to(state, 'UTF8'), ''::bytea
                                 ORDER BY from_id, kind, to_id, source), '') AS hashes
      FROM {tenant}.edge) e

-- name: read_current_revision
-- The published revision in force; no row before the first.
SELECT revision, as_of, nodes, edges, digest FROM {tenant}.revision
WHERE state = 'published' ORDER BY revision DESC LIMIT 1

-- name: read_revision
-- One published revision and the run that made it.
SELECT revision, run_id, as_of, nodes, edges, digest FROM {tenant}.revision
WHERE revision = %(revision)s::bigint AND state = 'published'

-- name: next_revision
-- The number that the next revision will have.
SELECT coalesce(max(revision), 0) + 1 FROM {tenant}.revision

-- name: add_revision
-- Record a revision and tell of it in the feed.
WITH added AS (
    INSERT INTO {tenant}.revision
        (revision, run_id, state, as_of, complete_as_of, nodes, edges, added, changed, removed, digest)
    VALUES (%(revision)s::bigint, %(run)s::uuid, 'published', %(as_of)s::timestamptz, %(complete_as_of)s::timestamptz,
            %(nodes)s::bigint, %(edges)s::bigint, %(added)s::bigint, %(changed)s::bigint, %(removed)s::bigint,
            %(digest)s)
)
INSERT INTO {tenant}.feed (number, revision, added, changed, removed)
SELECT coalesce(max(number), 0) + 1, %(revision)s::bigint, %(added)s::bigint, %(changed)s::bigint, %(removed)s::bigint
FROM {tenant}.feed

-- name: drop_staged
-- Forget what a run staged.
DELETE FROM {tenant}.staged_page WHERE run_id = %(run)s::uuid

-- name: drop_abandoned
-- Forget what runs staged that ended without publishing: only this run may be live.
DELETE FROM {tenant}.staged_page WHERE run_id <> %(run)s::uuid

-- name: read_nodes_at
-- The nodes of a revision, in the order of the export.
-- The conditions stand outside: only so does the planner take the order from the two indexes, without a sort.
SELECT node_id, kind, table_name, name, attributes FROM (
    SELECT node_id, kind, table_name, name, attributes, since, 9223372036854775807 AS until FROM {tenant}.node
    UNION ALL
    SELECT node_id, kind, table_name, name, attributes, since, until FROM {tenant}.node_history
) held WHERE since <= %(revision)s::bigint AND until > %(revision)s::bigint ORDER BY node_id

-- name: read_edges_at
-- The edges of a revision, in the order of the export.
SELECT from_id, kind, to_id, source, state, attributes FROM (
    SELECT from_id, kind, to_id, source, state, attributes, since, 9223372036854775807 AS until FROM {tenant}.edge
    UNION ALL
    SELECT from_id, kind, to_id, source, state, attributes, since, until FROM {tenant}.edge_history
) held WHERE since <= %(revision)s::bigint AND until > %(revision)s::bigint ORDER BY from_id, kind, to_id, source
