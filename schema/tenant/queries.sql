-- name: read_schema_version
-- The version of the tenant's schema.
SELECT max(version) FROM {tenant}.schema_version

-- name: read_table_reads
-- How far a run has come with each table, and its verdicts.
SELECT table_name, cursor, "offset", pages, rows, requests, counted, hidden, read, verdict, reason, as_of, way, newest,
       changes, known, begun_at, shape
FROM {tenant}.table_read WHERE run_id = %(run)s::uuid ORDER BY table_name

-- name: begin_table
-- Note that a run begins to read a table, with the instance's aggregates before; no row when it has begun.
INSERT INTO {tenant}.table_read (run_id, table_name, counted, newest, changes, way, read, shape, requests)
VALUES (%(run)s::uuid, %(table)s, %(counted)s::bigint, %(newest)s, %(changes)s::bigint, %(way)s,
        CASE %(way)s WHEN 'whole' THEN 'whole' ELSE 'delta' END, %(shape)s, %(requests)s::bigint)
ON CONFLICT (run_id, table_name) DO NOTHING RETURNING table_name

-- name: stage_page
-- Keep one checked page until the run publishes; a page that is there already stays as it is.
INSERT INTO {tenant}.staged_page (run_id, table_name, page, depth, nodes, edges, base, keys, scanned)
VALUES (%(run)s::uuid, %(table)s, %(page)s::integer, %(depth)s::integer, %(nodes)s::jsonb, %(edges)s::jsonb, %(base)s,
        %(keys)s::jsonb, %(scanned)s::boolean)
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

-- name: restart_table
-- Read a table another way, from its beginning: what the first way staged is forgotten.
WITH dropped AS (
    DELETE FROM {tenant}.staged_page WHERE run_id = %(run)s::uuid AND table_name = %(table)s
)
UPDATE {tenant}.table_read
SET way = %(way)s, read = CASE %(way)s WHEN 'whole' THEN 'whole' ELSE 'delta' END, shape = %(shape)s, cursor = '',
    "offset" = 0, pages = 0, rows = 0, known = NULL, verdict = NULL, reason = NULL,
    -- Skipped, it had the time of the read that it stood on.
    as_of = CASE way WHEN 'skipped' THEN clock_timestamp() ELSE as_of END,
    requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: note_unknown
-- Keep what is not known of the records of a table that is being read.
UPDATE {tenant}.table_read SET reason = %(reason)s, requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: turn_to_fetch
-- Go on from a table's scanned keys to the records that differ.
UPDATE {tenant}.table_read SET way = 'fetch', "offset" = 0, requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: skip_table
-- Let a table stand as the last read left it.
INSERT INTO {tenant}.table_read
    (run_id, table_name, counted, newest, changes, known, hidden, way, read, verdict, reason, as_of, shape, requests)
SELECT %(run)s::uuid, table_name, counted, newest, changes, rows, hidden, 'skipped', 'skipped', verdict, reason, as_of,
       shape, %(requests)s::bigint
FROM {tenant}.table_state WHERE table_name = %(table)s

-- name: verify_table
-- Keep the aggregates that what is known of a table has been found to come to.
UPDATE {tenant}.table_read
SET counted = %(counted)s::bigint, newest = %(newest)s, changes = %(changes)s::bigint, known = %(counted)s::bigint,
    requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: doubt_table
-- Let no later run go on from this read of a table.
UPDATE {tenant}.table_read SET changes = NULL, requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: read_table_states
-- What earlier runs left of each table that can be gone on from.
SELECT table_name, shape, verdict, hidden, reason, rows, counted, newest, changes, as_of, checked_at, runs_since_scan,
       runs_since_whole
FROM {tenant}.table_state

-- name: read_differing
-- Scanned records that are new or not as they were, and not fetched yet; with each how many there are.
WITH fetched AS MATERIALIZED (
    SELECT k.id FROM {tenant}.staged_page p, jsonb_to_recordset(p.keys) AS k (id text COLLATE "C")
    WHERE p.run_id = %(run)s::uuid AND p.table_name = %(table)s AND NOT p.scanned
)
SELECT k.id, count(*) OVER () AS differing
FROM {tenant}.staged_page p, jsonb_to_recordset(p.keys) AS k (id text COLLATE "C", mod bigint, "on" text)
     LEFT JOIN {tenant}.record r ON r.table_name = %(table)s AND r.sys_id = k.id
WHERE p.run_id = %(run)s::uuid AND p.table_name = %(table)s AND p.scanned
  AND (k.mod IS NULL OR k."on" IS NULL
       OR (r.mod_count, r.updated_on) IS DISTINCT FROM (k.mod, k."on"))
  AND NOT EXISTS (SELECT FROM fetched f WHERE f.id = k.id)
ORDER BY k.id LIMIT %(limit)s::integer

-- name: read_known_aggregates
-- What is known of a table with what the run staged, as aggregates would say it; after a scan, that alone.
WITH staged AS MATERIALIZED (
    SELECT DISTINCT ON (k.id) k.id, k.mod, k."on"
    FROM {tenant}.staged_page p,
         jsonb_to_recordset(p.keys) AS k (id text COLLATE "C", mod bigint, "on" text COLLATE "C")
    WHERE p.run_id = %(run)s::uuid AND p.table_name = %(table)s
    ORDER BY k.id, p.page DESC
), known AS (
    SELECT mod, "on" FROM staged
    UNION ALL
    SELECT r.mod_count, r.updated_on FROM {tenant}.record r
    WHERE r.table_name = %(table)s AND NOT %(scanned)s::boolean
      AND NOT EXISTS (SELECT FROM staged s WHERE s.id = r.sys_id)
)
SELECT count(*) AS counted, coalesce(max("on"), '') AS newest, coalesce(sum(mod), 0)::bigint AS changes FROM known

-- name: judge_table
-- Close a table's read with its verdict.
INSERT INTO {tenant}.table_read AS t (run_id, table_name, requests, hidden, verdict, reason)
VALUES (%(run)s::uuid, %(table)s, %(requests)s::bigint, %(hidden)s::bigint, %(verdict)s, %(reason)s)
ON CONFLICT (run_id, table_name) DO UPDATE
SET requests = t.requests + excluded.requests, hidden = excluded.hidden, verdict = excluded.verdict,
    reason = excluded.reason

-- name: restart_unkeyed
-- Have tables read anew of which an earlier release staged pages: those do not say which records they hold.
WITH old AS (
    SELECT DISTINCT table_name FROM {tenant}.staged_page WHERE run_id = %(run)s::uuid AND keys IS NULL
), dropped AS (
    DELETE FROM {tenant}.staged_page p USING old WHERE p.run_id = %(run)s::uuid AND p.table_name = old.table_name
)
DELETE FROM {tenant}.table_read t USING old WHERE t.run_id = %(run)s::uuid AND t.table_name = old.table_name

-- name: note_gone
-- Note the records of the graph that complete reads of the run, which gave every key, did not give.
-- Of a record read by a subclass's name, that read and its base's must both be complete: it may have changed its class.
WITH seen AS MATERIALIZED (
    SELECT DISTINCT p.base, p.table_name, k.id
    FROM {tenant}.staged_page p, jsonb_to_recordset(p.keys) AS k (id text COLLATE "C")
    WHERE p.run_id = %(run)s::uuid
), had AS (
    SELECT split_part(node_id, ':', 1) AS base, split_part(node_id, ':', 2) AS id
    FROM {tenant}.node WHERE read_table = ANY (%(closing)s::text[])
    UNION
    SELECT read_table, split_part(source, ':', 2)
    FROM {tenant}.edge WHERE read_table = ANY (%(links)s::text[])
)
INSERT INTO {tenant}.gone (run_id, table_name, sys_id, fate)
SELECT %(run)s::uuid, had.base, had.id, NULL FROM had
WHERE had.base = ANY (%(listed)s::text[])
  AND NOT EXISTS (SELECT FROM seen WHERE seen.base = had.base AND seen.id = had.id)
UNION ALL
-- A record that a subclass's read no longer has is of another class by now: what its base says of it counts again.
SELECT %(run)s::uuid, n.read_table, split_part(n.node_id, ':', 2), 'moved' FROM {tenant}.node n
WHERE n.read_table = ANY (%(listed)s::text[]) AND n.read_table <> split_part(n.node_id, ':', 1)
  AND NOT EXISTS (SELECT FROM seen WHERE seen.table_name = n.read_table AND seen.id = split_part(n.node_id, ':', 2))
ON CONFLICT DO NOTHING

-- name: count_gone
-- How many records of each table are gone and not looked up yet.
SELECT table_name, count(*) AS gone FROM {tenant}.gone WHERE run_id = %(run)s::uuid AND fate IS NULL
GROUP BY table_name ORDER BY table_name

-- name: read_gone
-- Some of the records of a table that are gone and not looked up yet.
SELECT sys_id FROM {tenant}.gone
WHERE run_id = %(run)s::uuid AND table_name = %(table)s AND fate IS NULL ORDER BY sys_id LIMIT %(limit)s::integer

-- name: count_fates
-- What the look-ups of a table's records told so far.
SELECT fate, count(*) AS met FROM {tenant}.gone
WHERE run_id = %(run)s::uuid AND table_name = %(table)s AND fate IN ('deleted', 'hidden', 'unknown') GROUP BY fate

-- name: settle_gone
-- Keep what looking records up has told.
UPDATE {tenant}.gone SET fate = %(fate)s
WHERE run_id = %(run)s::uuid AND table_name = %(table)s AND sys_id = ANY (%(sys_ids)s::text[])

-- name: count_requests
-- Count requests that were made for a table after its read.
UPDATE {tenant}.table_read SET requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: read_removals
-- What would leave, by kind of node and by table of links: how many the graph has, and how many the run would remove.
WITH gone AS MATERIALIZED (
    -- Without a fate: more were gone than are looked up, so that none was. The guard takes them as deleted.
    SELECT table_name, sys_id FROM {tenant}.gone
    WHERE run_id = %(run)s::uuid AND coalesce(fate, 'deleted') = 'deleted'
), linked AS (
    SELECT e.read_table, count(DISTINCT split_part(e.source, ':', 2)) AS had
    FROM {tenant}.edge e
    WHERE e.read_table = ANY (%(links)s::text[]) AND e.read_table IN (SELECT table_name FROM gone)
    GROUP BY e.read_table
)
SELECT 'nodes of kind ' || n.kind AS what, count(*) AS had, count(g.sys_id) AS removed
FROM {tenant}.node n LEFT JOIN gone g ON g.table_name || ':' || g.sys_id = n.node_id
GROUP BY n.kind HAVING count(g.sys_id) > 0
UNION ALL
-- Links are made anew under other keys, whole tables of them each night: what came in their place is no loss.
SELECT 'rows of ' || l.read_table, l.had,
       least(l.had - coalesce(t.known, t.rows), (SELECT count(*) FROM gone g WHERE g.table_name = l.read_table))
FROM linked l JOIN {tenant}.table_read t ON t.run_id = %(run)s::uuid AND t.table_name = l.read_table
WHERE l.had > coalesce(t.known, t.rows)
ORDER BY what

-- name: read_emptied
-- The tables that the run read completely and without a row, and that the graph has something of.
SELECT t.table_name FROM {tenant}.table_read t
WHERE t.run_id = %(run)s::uuid AND t.verdict = 'complete' AND coalesce(t.known, t.rows) = 0
  AND (EXISTS (SELECT FROM {tenant}.node n
               WHERE n.read_table = t.table_name OR split_part(n.node_id, ':', 1) = t.table_name)
       OR EXISTS (SELECT FROM {tenant}.edge e WHERE e.read_table = t.table_name))
ORDER BY t.table_name

-- name: has_rows_of
-- Whether the graph has anything of some tables.
SELECT EXISTS (SELECT FROM {tenant}.node WHERE read_table = ANY (%(tables)s::text[]))
    OR EXISTS (SELECT FROM {tenant}.edge WHERE read_table = ANY (%(tables)s::text[]))

-- name: note_missing
-- Keep which records are known to be deleted or hidden, and forget it of those that were read again.
WITH seen AS (
    DELETE FROM {tenant}.missing m USING (
        SELECT DISTINCT p.base || ':' || k.id AS node_id
        FROM {tenant}.staged_page p, jsonb_to_recordset(p.keys) AS k (id text)
        WHERE p.run_id = %(run)s::uuid AND EXISTS (SELECT FROM {tenant}.missing)) read
    WHERE m.node_id = read.node_id
)
INSERT INTO {tenant}.missing AS m (node_id, fate)
SELECT table_name || ':' || sys_id, fate FROM {tenant}.gone
WHERE run_id = %(run)s::uuid AND fate IN ('deleted', 'hidden') AND table_name = ANY (%(surface)s::text[])
ON CONFLICT (node_id) DO UPDATE SET fate = excluded.fate WHERE m.fate <> excluded.fate

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
        WHEN s.id IS NULL THEN n.node_id IN (
            SELECT table_name || ':' || sys_id FROM {tenant}.gone
            WHERE run_id = %(run)s::uuid AND coalesce(fate, 'deleted') = 'deleted')
        -- What a subclass said stays while its table has the record, though only the base's was read this time.
        ELSE s.hash <> n.hash AND (
            s.read_table = n.read_table OR s.read_table = ANY (%(subclasses)s::text[])
            OR EXISTS (SELECT FROM {tenant}.gone g WHERE g.run_id = %(run)s::uuid AND g.table_name = n.read_table
                       AND g.sys_id = split_part(n.node_id, ':', 2))
            OR (n.read_table IN (SELECT table_name FROM {tenant}.table_state)
                AND NOT EXISTS (SELECT FROM {tenant}.record r WHERE r.table_name = n.read_table
                                AND r.sys_id = split_part(n.node_id, ':', 2))))
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
WITH seen AS MATERIALIZED (
    SELECT p.table_name, k.id, bool_and(p.scanned) AS scanned, string_to_array(string_agg(k.no, ','), ',') AS withheld,
           count(*) FILTER (WHERE NOT p.scanned) AS times, max(p.page) FILTER (WHERE NOT p.scanned) AS last,
           min(p.base) AS base, max(p.depth) AS depth
    FROM {tenant}.staged_page p, jsonb_to_recordset(p.keys) AS k (id text COLLATE "C", no text)
    WHERE p.run_id = %(run)s::uuid GROUP BY p.table_name, k.id
), again AS MATERIALIZED (
    -- What was read more than once: only what was read last counts, since what it says no more stands in no page.
    SELECT table_name, id, last FROM seen WHERE times > 1
), deepest AS MATERIALIZED (
    -- What was read by several tables is said by a subclass alone, as the node's attributes are: it may have changed
    -- between both reads.
    SELECT DISTINCT ON (base, id) base, id, depth, withheld FROM seen WHERE depth > 0 AND NOT scanned
    ORDER BY base, id, depth DESC
), given AS MATERIALIZED (
    SELECT DISTINCT ON (s."from", s.kind, s."to", s.source)
           s."from", s.kind, s."to", s.source, s.attributes, decode(s.hash, 'hex') AS hash, p.table_name AS read_table
    FROM {tenant}.staged_page p
    CROSS JOIN jsonb_to_recordset(p.edges) AS s ("from" text COLLATE "C", kind text COLLATE "C", "to" text COLLATE "C",
                                                 source text COLLATE "C", attributes jsonb, hash text)
    LEFT JOIN again a ON a.table_name = p.table_name AND a.id = split_part(s.source, ':', 2)
    LEFT JOIN deepest d ON d.base = p.base AND d.id = split_part(s.source, ':', 2) AND d.depth > p.depth
    WHERE p.run_id = %(run)s::uuid AND p.page >= coalesce(a.last, 0)
      AND (d.id IS NULL OR split_part(s.source, ':', 3) = ANY (d.withheld))
    ORDER BY s."from", s.kind, s."to", s.source, p.depth DESC, p.page DESC
), doubtful AS MATERIALIZED (
    -- What a base's read says otherwise than a subclass said before, which has the record and did not read it anew.
    SELECT s."from", s.kind, s.source
    FROM given s JOIN {tenant}.edge o
      ON o.from_id = s."from" AND o.kind = s.kind AND o.source = s.source AND o.to_id <> s."to"
    WHERE s.read_table = ANY (%(parents)s::text[])
      AND o.read_table = ANY (%(subclasses)s::text[]) AND o.read_table = ANY (%(closing)s::text[])
      AND EXISTS (SELECT FROM {tenant}.record r
                  WHERE r.table_name = o.read_table AND r.sys_id = split_part(o.source, ':', 2))
      AND (o.read_table, split_part(o.source, ':', 2)) NOT IN (
          SELECT g.table_name, g.sys_id FROM {tenant}.gone g WHERE g.run_id = %(run)s::uuid)
      AND (o.read_table, split_part(o.source, ':', 2)) NOT IN (SELECT table_name, id FROM seen WHERE NOT scanned)
), staged AS (
    -- By NOT IN, which is hashed: of what is staged the planner knows no numbers.
    SELECT s.* FROM given s WHERE (s."from", s.kind, s.source) NOT IN (SELECT "from", kind, source FROM doubtful)
), compared AS (
    SELECT coalesce(s."from", e.from_id) AS from_id, coalesce(s.kind, e.kind) AS kind,
           coalesce(s."to", e.to_id) AS to_id, coalesce(s.source, e.source) AS source,
           coalesce(s.attributes, e.attributes) AS attributes,
           coalesce(s.hash, e.hash) AS hash, coalesce(s.read_table, e.read_table) AS read_table,
           -- With its record, as that one's fate says. Else where the table that said it was read completely, and
           -- gave the record anew, or no longer has it while the record's base gave it anew or has it no longer. A
           -- record that is given without the field says nothing of it.
           s."from" IS NULL AND CASE
               WHEN g.sys_id IS NOT NULL THEN coalesce(g.fate, 'deleted') = 'deleted'
               -- A subclass that could not be read now does not hold against its base, which gave the field anew.
               WHEN e.read_table = ANY (%(subclasses)s::text[]) AND e.read_table <> ALL (%(closing)s::text[])
                    AND (e.from_id, e.kind, e.source) IN (
                        SELECT "from", kind, source FROM given WHERE read_table = ANY (%(parents)s::text[])) THEN true
               WHEN NOT (e.read_table = ANY (%(closing)s::text[])
                         AND split_part(e.source, ':', 1) = ANY (%(closing)s::text[])) THEN false
               WHEN split_part(e.source, ':', 3) = ANY (own.withheld || base.withheld) THEN false
               WHEN own.id IS NOT NULL THEN NOT own.scanned
               WHEN base.id IS NULL THEN split_part(e.source, ':', 1) = ANY (%(listed)s::text[])
               ELSE NOT base.scanned AND (
                   e.read_table = ANY (%(listed)s::text[])
                   OR (e.read_table = ANY (%(subclasses)s::text[])
                       AND e.read_table IN (SELECT table_name FROM {tenant}.table_state)
                       AND NOT EXISTS (SELECT FROM {tenant}.record k WHERE k.table_name = e.read_table
                                       AND k.sys_id = split_part(e.source, ':', 2)))) END AS gone,
           e.from_id IS NULL AS new, e.hash AS old_hash, e.state AS old_state
    FROM staged s FULL JOIN {tenant}.edge e
      ON e.from_id = s."from" AND e.kind = s.kind AND e.to_id = s."to" AND e.source = s.source
    -- The record that said it: the node it is from, which may be called by another key than the source, or a link.
    LEFT JOIN {tenant}.gone g ON g.run_id = %(run)s::uuid AND g.table_name = split_part(e.source, ':', 1)
                             AND g.sys_id = split_part(CASE split_part(e.from_id, ':', 1)
                                 WHEN split_part(e.source, ':', 1) THEN e.from_id ELSE e.source END, ':', 2)
    LEFT JOIN seen own ON own.table_name = e.read_table AND own.id = split_part(e.source, ':', 2)
    LEFT JOIN seen base ON base.table_name = split_part(e.source, ':', 1) AND base.id = split_part(e.source, ':', 2)
), judged AS (
    SELECT c.*, CASE WHEN m.node_id IS NOT NULL AND (n.node_id IS NULL OR m.fate = 'hidden') THEN m.fate
                     WHEN n.node_id IS NOT NULL THEN 'resolved'
                     WHEN split_part(c.to_id, ':', 1) = ANY (%(surface)s::text[]) THEN 'unknown'
                     ELSE 'outside' END AS state
    FROM compared c LEFT JOIN {tenant}.node n ON n.node_id = c.to_id
                    LEFT JOIN {tenant}.missing m ON m.node_id = c.to_id
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
    FROM delta d WHERE d.change = 'added' ORDER BY d.from_id, d.kind, d.to_id, d.source
)
SELECT count(*) FILTER (WHERE change = 'added') AS added, count(*) FILTER (WHERE change = 'changed') AS changed,
       count(*) FILTER (WHERE change = 'removed') AS removed
FROM delta

-- name: forget_missing
-- Forget what is known of deleted records to which nothing refers any more: rows come and go, for years.
DELETE FROM {tenant}.missing m
WHERE m.fate = 'deleted' AND NOT EXISTS (SELECT FROM {tenant}.edge e WHERE e.to_id = m.node_id)

-- name: remember_records
-- Keep which records each table has, and in which state, if it can be seen: of tables that gave every key, no others.
WITH staged AS MATERIALIZED (
    SELECT DISTINCT ON (p.table_name, k.id) p.table_name, k.id, k.mod, k."on"
    FROM {tenant}.staged_page p, jsonb_to_recordset(p.keys) AS k (id text COLLATE "C", mod bigint, "on" text)
    WHERE p.run_id = %(run)s::uuid AND p.table_name = ANY (%(tables)s::text[])
    ORDER BY p.table_name, k.id, p.page DESC
), dropped AS (
    DELETE FROM {tenant}.record r
    WHERE r.table_name = ANY (%(listed)s::text[])
      AND NOT EXISTS (SELECT FROM staged s WHERE s.table_name = r.table_name AND s.id = r.sys_id)
      AND NOT EXISTS (SELECT FROM {tenant}.gone g WHERE g.run_id = %(run)s::uuid AND g.sys_id = r.sys_id
                      AND g.fate IN ('hidden', 'unknown'))
)
INSERT INTO {tenant}.record (table_name, sys_id, mod_count, updated_on)
SELECT s.table_name, s.id, s.mod, s."on"
FROM staged s LEFT JOIN {tenant}.record r ON r.table_name = s.table_name AND r.sys_id = s.id
-- Only what differs: a conflict locks its row, which writes to it even where nothing is set.
WHERE r.sys_id IS NULL OR (r.mod_count, r.updated_on) IS DISTINCT FROM (s.mod, s."on")
ON CONFLICT (table_name, sys_id) DO UPDATE SET mod_count = excluded.mod_count, updated_on = excluded.updated_on

-- name: remember_tables
-- Keep how each table was left, where the next run can go on from it, and forget it where it cannot.
-- And how it was asked for when it was read: whoever publishes may be of another release.
WITH read AS (
    -- `changes` is null where no aggregates came, or the read is in doubt (doubt_table).
    SELECT t.*, t.verdict IN ('complete', 'hidden') AND t.changes IS NOT NULL AND t.shape IS NOT NULL AS lasts
    FROM {tenant}.table_read t
    WHERE t.run_id = %(run)s::uuid AND t.table_name = ANY (%(tables)s::text[])
), forgotten AS (
    DELETE FROM {tenant}.table_state s USING read WHERE s.table_name = read.table_name AND NOT read.lasts
)
INSERT INTO {tenant}.table_state AS s
    (table_name, shape, verdict, hidden, reason, rows, counted, newest, changes, as_of, checked_at, runs_since_scan,
     runs_since_whole)
SELECT table_name, shape, verdict, hidden, reason, coalesce(known, rows), counted, newest, changes, as_of, begun_at,
       0, 0
FROM read WHERE lasts
ON CONFLICT (table_name) DO UPDATE
SET shape = excluded.shape, verdict = excluded.verdict, hidden = excluded.hidden, reason = excluded.reason,
    rows = excluded.rows, counted = excluded.counted, newest = excluded.newest, changes = excluded.changes,
    as_of = excluded.as_of, checked_at = excluded.checked_at,
    runs_since_scan = CASE (SELECT way FROM read r WHERE r.table_name = s.table_name)
                      WHEN 'skipped' THEN s.runs_since_scan + 1 WHEN 'delta' THEN s.runs_since_scan + 1 ELSE 0 END,
    runs_since_whole = CASE (SELECT way FROM read r WHERE r.table_name = s.table_name)
                       WHEN 'whole' THEN 0 ELSE s.runs_since_whole + 1 END

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
-- The number of the run's revision: the next one, or the one it has where it waits for a person.
SELECT coalesce(max(revision) FILTER (WHERE run_id = %(run)s::uuid), max(revision) + 1, 1) FROM {tenant}.revision

-- name: hold_revision
-- Record a revision that waits for a person, with what it would come to.
INSERT INTO {tenant}.revision
    (revision, run_id, state, as_of, complete_as_of, nodes, edges, added, changed, removed, digest, reason)
VALUES (%(revision)s::bigint, %(run)s::uuid, 'quarantined', %(as_of)s::timestamptz, %(complete_as_of)s::timestamptz,
        %(nodes)s::bigint, %(edges)s::bigint, %(added)s::bigint, %(changed)s::bigint, %(removed)s::bigint,
        %(digest)s, %(reason)s)
ON CONFLICT (run_id) DO NOTHING

-- name: read_held
-- The revision that waits for a person, with its run; no row when none does.
SELECT revision, run_id FROM {tenant}.revision WHERE state = 'quarantined' ORDER BY revision DESC LIMIT 1

-- name: release_revision
-- Say that a revision waits no more: accepted as published, rejected, or superseded by a newer run's.
UPDATE {tenant}.revision SET state = %(state)s
WHERE state = 'quarantined' AND run_id = %(run)s::uuid RETURNING revision

-- name: announce_revision
-- Tell of an accepted revision in the feed.
INSERT INTO {tenant}.feed (number, revision, added, changed, removed)
SELECT coalesce(max(f.number), 0) + 1, r.revision, r.added, r.changed, r.removed
FROM {tenant}.revision r LEFT JOIN {tenant}.feed f ON true
WHERE r.run_id = %(run)s::uuid GROUP BY r.revision, r.added, r.changed, r.removed

-- name: supersede_held
-- Put what other runs left waiting out of force, when a run has come to its own end.
UPDATE {tenant}.revision SET state = 'superseded' WHERE state = 'quarantined' AND run_id <> %(run)s::uuid

-- name: read_revisions
-- All revisions, the newest first; of those published the newest is in force.
SELECT revision, CASE WHEN state <> 'published' THEN state
                      WHEN revision = max(revision) FILTER (WHERE state = 'published') OVER () THEN 'current'
                      ELSE 'superseded' END AS state,
       as_of, nodes, edges, added, changed, removed, digest, reason
FROM {tenant}.revision ORDER BY revision DESC

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
WITH gone AS (DELETE FROM {tenant}.gone WHERE run_id = %(run)s::uuid)
DELETE FROM {tenant}.staged_page WHERE run_id = %(run)s::uuid

-- name: drop_abandoned
-- Forget what runs staged that ended without publishing, but for a revision that waits: only this run may be live.
WITH kept AS (
    SELECT %(run)s::uuid AS run_id UNION SELECT run_id FROM {tenant}.revision WHERE state = 'quarantined'
), gone AS (
    DELETE FROM {tenant}.gone WHERE run_id NOT IN (SELECT run_id FROM kept)
)
DELETE FROM {tenant}.staged_page WHERE run_id NOT IN (SELECT run_id FROM kept)

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

-- name: read_named
-- What the records of a table name in a field: by what the run read of them, and of all others by what is known.
WITH seen AS MATERIALIZED (
    SELECT k.id, bool_and(p.scanned) AS scanned
    FROM {tenant}.staged_page p, jsonb_to_recordset(p.keys) AS k (id text COLLATE "C")
    WHERE p.run_id = %(run)s::uuid AND p.table_name = %(table)s GROUP BY k.id
)
SELECT split_part(s."to", ':', 2) AS name
FROM {tenant}.staged_page p, jsonb_to_recordset(p.edges) AS s ("to" text, source text)
WHERE p.run_id = %(run)s::uuid AND p.table_name = %(table)s AND split_part(s.source, ':', 3) = %(field)s
UNION
SELECT split_part(e.to_id, ':', 2)
FROM {tenant}.edge e LEFT JOIN seen s ON s.id = split_part(e.source, ':', 2)
-- Character 59 comes next after the colon: a range of ids, for which there is an index.
WHERE e.from_id >= %(table)s::text || ':' AND e.from_id < %(table)s::text || chr(59) AND e.read_table = %(table)s
  AND split_part(e.source, ':', 3) = %(field)s
  AND CASE WHEN s.id IS NULL THEN NOT %(listed)s::boolean ELSE s.scanned END

-- name: read_nodes_by_id
-- The nodes of a revision with these ids.
SELECT node_id, kind, name, attributes FROM (
    SELECT node_id, kind, name, attributes, since, 9223372036854775807 AS until FROM {tenant}.node
    UNION ALL
    SELECT node_id, kind, name, attributes, since, until FROM {tenant}.node_history
) held WHERE since <= %(revision)s::bigint AND until > %(revision)s::bigint AND node_id = ANY (%(nodes)s::text[])

-- name: read_described
-- What the dictionary answered before, and whether this run asked.
SELECT tables, columns, counted, newest, changes, checked_at, run_id = %(run)s::uuid AS is_own FROM {tenant}.described

-- name: keep_described
-- Keep what the dictionary answered, and which run asked last.
INSERT INTO {tenant}.described AS d (tables, run_id, columns, counted, newest, changes)
VALUES (%(tables)s::text[], %(run)s::uuid, %(columns)s::jsonb, %(counted)s::bigint, %(newest)s, %(changes)s::bigint)
ON CONFLICT (tables) DO UPDATE
SET run_id = excluded.run_id, columns = excluded.columns, counted = excluded.counted, newest = excluded.newest,
    changes = excluded.changes, checked_at = excluded.checked_at

-- name: forget_described
-- Forget the dictionary's answers to questions that the run asked no more.
DELETE FROM {tenant}.described WHERE run_id <> %(run)s::uuid

-- name: read_unnamed
-- The tables by which nodes of a base table were read and that are none of these.
SELECT DISTINCT read_table AS name FROM {tenant}.node
-- Character 59 comes next after the colon.
WHERE node_id >= %(base)s::text || ':' AND node_id < %(base)s::text || chr(59) AND read_table <> ALL (%(named)s::text[])
ORDER BY 1

-- name: leave_to_base
-- Say that what is left of tables that are read no more was read by their base: they closed, and the run had none.
WITH dropped AS MATERIALIZED (
    SELECT name FROM unnest(%(listed)s::text[]) AS name
    WHERE NOT EXISTS (SELECT FROM {tenant}.table_read t WHERE t.run_id = %(run)s::uuid AND t.table_name = name)
), edges AS (
    UPDATE {tenant}.edge e SET read_table = split_part(e.source, ':', 1) FROM dropped d WHERE e.read_table = d.name
)
UPDATE {tenant}.node n SET read_table = split_part(n.node_id, ':', 1) FROM dropped d WHERE n.read_table = d.name

-- name: forget_tables
-- Forget how tables were left that the run did not read, or not so that the next could go on from it.
DELETE FROM {tenant}.table_state WHERE table_name <> ALL (%(tables)s::text[])

-- name: read_closable
-- The tables that a run read completely and long ago, or in earlier slices, and did not ask after since.
SELECT table_name FROM {tenant}.table_read
WHERE run_id = %(run)s::uuid AND verdict = 'complete' AND reason IS NULL AND changes IS NOT NULL AND closing_at IS NULL
  AND (table_name = ANY (%(earlier)s::text[])
       OR begun_at < clock_timestamp() - make_interval(secs => %(overlap_seconds)s::float8))
ORDER BY table_name

-- name: note_closing
-- Note that a run asks whether a table changed since its read, which it does once.
UPDATE {tenant}.table_read
SET closing_at = clock_timestamp(), known = coalesce(known, rows), requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: stand_table
-- A table that is as it was read: what is known of it is known as of when it was asked after.
UPDATE {tenant}.table_read SET begun_at = closing_at, requests = requests + %(requests)s::bigint
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: close_table
-- Move a table to when it was asked after: what is known of it, with what was staged since, comes to these aggregates.
UPDATE {tenant}.table_read
SET as_of = closing_at, begun_at = closing_at, counted = %(counted)s::bigint, newest = %(newest)s,
    changes = %(changes)s::bigint, known = %(counted)s::bigint, requests = requests + %(requests)s::bigint,
    way = CASE way WHEN 'skipped' THEN 'delta' ELSE way END, read = CASE read WHEN 'skipped' THEN 'delta' ELSE read END
WHERE run_id = %(run)s::uuid AND table_name = %(table)s

-- name: keep_check
-- Note that a run found the revision in force unchanged: it is as of that run now.
UPDATE {tenant}.revision
SET checked_run_id = %(run)s::uuid, checked_as_of = %(as_of)s::timestamptz,
    checked_complete_as_of = coalesce(%(complete_as_of)s::timestamptz, checked_complete_as_of)
WHERE revision = %(revision)s::bigint

-- name: notify_revision
-- Wake those who listen when the transaction commits: a hint that names nobody; the feed is the truth.
SELECT pg_notify('zaptik_revision', reference::text) FROM {tenant}.reference

-- name: read_node_changes
-- The nodes that differ between two revisions, in either order; with each how many of its kind changed so.
-- `lost` held at the earlier of the two and no longer at the later, `won` holds at the later and did not yet.
WITH ends AS (
    SELECT least(%(from)s::bigint, %(to)s::bigint) AS low, greatest(%(from)s::bigint, %(to)s::bigint) AS high,
           %(from)s::bigint <= %(to)s::bigint AS forth
), lost AS (
    SELECT node_id, kind, hash, table_name, name, attributes FROM {tenant}.node_history
    WHERE until > (SELECT low FROM ends) AND until <= (SELECT high FROM ends) AND since <= (SELECT low FROM ends)
), won AS (
    SELECT node_id, kind, hash, table_name, name, attributes FROM {tenant}.node
    WHERE since > (SELECT low FROM ends) AND since <= (SELECT high FROM ends)
    UNION ALL
    SELECT node_id, kind, hash, table_name, name, attributes FROM {tenant}.node_history
    WHERE since > (SELECT low FROM ends) AND since <= (SELECT high FROM ends) AND until > (SELECT high FROM ends)
), differing AS (
    SELECT node_id AS id,
           CASE WHEN l.node_id IS NOT NULL AND w.node_id IS NOT NULL THEN 'changed'
                WHEN (w.node_id IS NOT NULL) = (SELECT forth FROM ends) THEN 'added' ELSE 'removed' END AS change,
           coalesce(w.kind, l.kind) AS kind,
           CASE WHEN l.node_id IS NOT NULL THEN jsonb_build_object(
               'id', node_id, 'kind', l.kind, 'table', l.table_name,
               'sys_id', substr(node_id, strpos(node_id, ':') + 1), 'name', l.name, 'attributes', l.attributes)
           END AS old,
           CASE WHEN w.node_id IS NOT NULL THEN jsonb_build_object(
               'id', node_id, 'kind', w.kind, 'table', w.table_name,
               'sys_id', substr(node_id, strpos(node_id, ':') + 1), 'name', w.name, 'attributes', w.attributes)
           END AS new
    FROM lost l FULL JOIN won w USING (node_id)
    WHERE l.hash IS DISTINCT FROM w.hash
)
SELECT change, kind, id,
       CASE WHEN forth THEN old ELSE new END AS before, CASE WHEN forth THEN new ELSE old END AS after,
       count(*) OVER (PARTITION BY change, kind) AS alike, NULL AS from_name, NULL AS to_name
FROM differing CROSS JOIN ends
ORDER BY change, CASE WHEN %(by_kind)s::boolean THEN kind END, id

-- name: read_edge_changes
-- The edges that differ between two revisions, in either order; with each its ends' names as last held between them.
WITH ends AS (
    SELECT least(%(from)s::bigint, %(to)s::bigint) AS low, greatest(%(from)s::bigint, %(to)s::bigint) AS high,
           %(from)s::bigint <= %(to)s::bigint AS forth
), lost AS (
    SELECT from_id, kind, to_id, source, hash, state, attributes FROM {tenant}.edge_history
    WHERE until > (SELECT low FROM ends) AND until <= (SELECT high FROM ends) AND since <= (SELECT low FROM ends)
), won AS (
    SELECT from_id, kind, to_id, source, hash, state, attributes FROM {tenant}.edge
    WHERE since > (SELECT low FROM ends) AND since <= (SELECT high FROM ends)
    UNION ALL
    SELECT from_id, kind, to_id, source, hash, state, attributes FROM {tenant}.edge_history
    WHERE since > (SELECT low FROM ends) AND since <= (SELECT high FROM ends) AND until > (SELECT high FROM ends)
), differing AS (
    SELECT from_id, kind, to_id, source,
           CASE WHEN l.hash IS NOT NULL AND w.hash IS NOT NULL THEN 'changed'
                WHEN (w.hash IS NOT NULL) = (SELECT forth FROM ends) THEN 'added' ELSE 'removed' END AS change,
           jsonb_build_object('state', l.state, 'attributes', l.attributes) AS old,
           jsonb_build_object('state', w.state, 'attributes', w.attributes) AS new,
           jsonb_build_object('kind', kind, 'from', from_id, 'to', to_id, 'source', jsonb_build_object(
               'table', split_part(source, ':', 1), 'sys_id', split_part(source, ':', 2),
               'field', split_part(source, ':', 3))) AS line
    FROM lost l FULL JOIN won w USING (from_id, kind, to_id, source)
    WHERE (l.hash, l.state) IS DISTINCT FROM (w.hash, w.state)
), named AS NOT MATERIALIZED (
    -- Looked up by the index for each edge: kept, it would be gone through for each.
    SELECT node_id, name, since, 9223372036854775807 AS until FROM {tenant}.node
    UNION ALL
    SELECT node_id, name, since, until FROM {tenant}.node_history
)
SELECT change, kind, concat_ws(' ', from_id, kind, to_id, source) AS id,
       CASE WHEN change <> 'added' THEN line || CASE WHEN forth THEN old ELSE new END END AS before,
       CASE WHEN change <> 'removed' THEN line || CASE WHEN forth THEN new ELSE old END END AS after,
       count(*) OVER (PARTITION BY change, kind) AS alike,
       (SELECT n.name FROM named n WHERE n.node_id = from_id AND n.since <= high AND n.until > low
        ORDER BY n.until DESC LIMIT 1) AS from_name,
       (SELECT n.name FROM named n WHERE n.node_id = to_id AND n.since <= high AND n.until > low
        ORDER BY n.until DESC LIMIT 1) AS to_name
FROM differing CROSS JOIN ends
ORDER BY change, CASE WHEN %(by_kind)s::boolean THEN kind END, from_id, kind, to_id, source

-- name: read_called
-- The nodes of a revision that are called so: by id, or by name whatever the case. An id to which an edge leads is one.
SELECT node_id FROM (
    SELECT node_id, name, since, 9223372036854775807 AS until FROM {tenant}.node
    UNION ALL
    SELECT node_id, name, since, until FROM {tenant}.node_history
    UNION ALL
    SELECT to_id, '', since, 9223372036854775807 FROM {tenant}.edge WHERE to_id = %(called)s
    UNION ALL
    SELECT to_id, '', since, until FROM {tenant}.edge_history WHERE to_id = %(called)s
) held WHERE since <= %(revision)s::bigint AND until > %(revision)s::bigint
  AND (node_id = %(called)s OR lower(name) = lower(%(called)s))
GROUP BY node_id ORDER BY node_id <> %(called)s, node_id LIMIT %(limit)s::integer

-- name: read_steps
-- The edges of a revision that leave or reach nodes by given kinds.
SELECT from_id, kind, to_id, source, state, read_table FROM (
    SELECT from_id, kind, to_id, source, state, read_table, since, 9223372036854775807 AS until FROM {tenant}.edge
    UNION ALL
    SELECT from_id, kind, to_id, source, state, read_table, since, until FROM {tenant}.edge_history
) held WHERE since <= %(revision)s::bigint AND until > %(revision)s::bigint
  AND ((from_id = ANY (%(out_of)s::text[]) AND kind = ANY (%(out_kinds)s::text[]))
    OR (to_id = ANY (%(in_to)s::text[]) AND kind = ANY (%(in_kinds)s::text[])))
ORDER BY from_id, kind, to_id, source LIMIT %(limit)s::integer

-- name: read_verdicts_at
-- What is known of each table by a revision; of the one in force, by the newest run that left it so.
SELECT table_name, verdict FROM {tenant}.graph_v1_tables WHERE revision = %(revision)s::bigint ORDER BY table_name

-- name: read_attribute_names
-- The names of all attributes of a revision, of its nodes and of its edges.
SELECT DISTINCT what, jsonb_object_keys(attributes) AS name FROM (
    SELECT 'node' AS what, attributes, since, 9223372036854775807 AS until FROM {tenant}.node
    UNION ALL
    SELECT 'node', attributes, since, until FROM {tenant}.node_history
    UNION ALL
    SELECT 'edge', attributes, since, 9223372036854775807 FROM {tenant}.edge
    UNION ALL
    SELECT 'edge', attributes, since, until FROM {tenant}.edge_history
) held WHERE since <= %(revision)s::bigint AND until > %(revision)s::bigint ORDER BY what, name

-- name: read_missing_at
-- What edges of a revision name and is no node of it, with the state of the edges that lead there.
WITH held AS (
    SELECT from_id, to_id, state FROM (
        SELECT from_id, to_id, state, since, 9223372036854775807 AS until FROM {tenant}.edge
        UNION ALL
        SELECT from_id, to_id, state, since, until FROM {tenant}.edge_history
    ) e WHERE since <= %(revision)s::bigint AND until > %(revision)s::bigint
), nodes AS (
    SELECT node_id FROM (
        SELECT node_id, since, 9223372036854775807 AS until FROM {tenant}.node
        UNION ALL
        SELECT node_id, since, until FROM {tenant}.node_history
    ) n WHERE since <= %(revision)s::bigint AND until > %(revision)s::bigint
), named AS (
    SELECT to_id AS node_id, state FROM held WHERE state <> 'resolved'
    UNION ALL
    SELECT from_id, 'unknown' FROM held
)
SELECT node_id, min(state) AS state FROM named
WHERE NOT EXISTS (SELECT FROM nodes n WHERE n.node_id = named.node_id)
GROUP BY node_id ORDER BY node_id

-- name: remember_verdicts
-- Keep the verdicts by which findings are judged, and by which rules; gives how many are not as they were.
WITH read AS (
    SELECT table_name, verdict FROM {tenant}.table_read WHERE run_id = %(run)s::uuid AND verdict IS NOT NULL
    UNION ALL
    SELECT '#rules', %(rules)s
), dropped AS (
    DELETE FROM {tenant}.finding_basis b WHERE NOT EXISTS (SELECT FROM read r WHERE r.table_name = b.table_name)
    RETURNING 1
), kept AS (
    INSERT INTO {tenant}.finding_basis AS b (table_name, verdict) SELECT table_name, verdict FROM read
    ON CONFLICT (table_name) DO UPDATE SET verdict = excluded.verdict WHERE b.verdict <> excluded.verdict
    RETURNING 1
)
SELECT (SELECT count(*) FROM dropped) + (SELECT count(*) FROM kept) AS differing

-- name: publish_findings
-- Bring the findings to what the current graph and its verdicts say; docs/reference/findings.md has each rule.
-- `reasons` are what makes a finding uncertain beside a verdict. Whatever is aggregated is ordered: same graph, same
-- bytes.
WITH RECURSIVE verdicts AS MATERIALIZED (
    SELECT table_name, verdict FROM {tenant}.finding_basis WHERE table_name <> '#rules'
), acting AS NOT MATERIALIZED (
    SELECT * FROM {tenant}.node WHERE attributes ->> 'active' IS DISTINCT FROM 'false'
), broken AS MATERIALIZED (
    -- References that do not lead to what they name, and routes to groups that nobody works in.
    SELECT e.from_id, e.to_id, min(e.state) AS state, min(g.name) AS name,
           e.kind IN ('FULFILLED_BY', 'ROUTES_TO', 'NAMES') AND split_part(e.to_id, ':', 1) = 'sys_user_group'
               AS routes,
           bool_or(g.attributes ->> 'active' = 'false') IS TRUE AS inactive,
           jsonb_agg(DISTINCT e.kind || ' ' || split_part(e.source, ':', 3)) AS by,
           array_agg(DISTINCT e.read_table) AS read_tables
    FROM {tenant}.edge e LEFT JOIN {tenant}.node g ON g.node_id = e.to_id
    WHERE e.state IN ('deleted', 'hidden', 'unknown')
       OR (e.kind IN ('FULFILLED_BY', 'ROUTES_TO', 'NAMES') AND split_part(e.to_id, ':', 1) = 'sys_user_group'
           AND g.attributes ->> 'active' = 'false')
    GROUP BY e.from_id, e.to_id,
             e.kind IN ('FULFILLED_BY', 'ROUTES_TO', 'NAMES') AND split_part(e.to_id, ':', 1) = 'sys_user_group'
), routes AS (
    SELECT CASE WHEN b.inactive THEN 'route_to_inactive_group' ELSE 'route_to_missing_group' END AS finding,
           b.from_id AS node_id, b.to_id AS about,
           jsonb_strip_nulls(jsonb_build_object('group', b.to_id, 'name', b.name, 'state', b.state, 'by', b.by))
               AS detail,
           CASE WHEN b.inactive OR b.state = 'deleted' THEN '{}'
                WHEN b.state = 'hidden' THEN ARRAY['the group is there and hidden from the account']
                ELSE ARRAY['the group was never read: it may be deleted or hidden from the account'] END AS reasons,
           b.read_tables || 'sys_user_group'::text AS rests_on
    FROM broken b LEFT JOIN {tenant}.node n ON n.node_id = b.from_id
    WHERE b.routes AND n.attributes ->> 'active' IS DISTINCT FROM 'false'
), dangling AS (
    SELECT 'dangling_reference' AS finding, b.from_id AS node_id, b.to_id AS about,
           jsonb_build_object('to', b.to_id, 'state', b.state, 'by', b.by) AS detail,
           CASE WHEN b.state = 'deleted' THEN '{}'
                ELSE ARRAY['no row of ' || split_part(b.to_id, ':', 1) || ' has it, and it was never seen'] END
               AS reasons,
           b.read_tables || split_part(b.to_id, ':', 1) AS rests_on
    FROM broken b
    WHERE NOT b.routes
      AND (b.state = 'deleted'
           OR (b.state = 'unknown' AND split_part(b.to_id, ':', 1) = ANY (%(unfiltered)s::text[])
               AND split_part(b.to_id, ':', 1) IN (SELECT table_name FROM verdicts WHERE verdict = 'complete')))
), rule_tables AS (
    -- Where something may give a new record its group: a rule, a lookup that sets it, a channel of work. `covered`
    -- are these tables and what extends them.
    SELECT e.to_id FROM {tenant}.edge e JOIN acting r ON r.node_id = e.from_id
    WHERE e.kind = 'CHANNEL_OF' OR (e.kind = 'APPLIES_TO' AND (r.kind = 'assignment_rule' OR EXISTS (
        SELECT FROM {tenant}.edge s JOIN {tenant}.node f ON f.node_id = s.from_id
        WHERE s.to_id = r.node_id AND s.kind = 'SETS_FOR' AND f.attributes ->> 'source_table_field' = 'assignment_group'
    )))
), covered AS (
    SELECT to_id FROM rule_tables
    UNION
    SELECT e.from_id FROM covered c JOIN {tenant}.edge e ON e.to_id = c.to_id AND e.kind = 'EXTENDS'
), undescribed AS (
    SELECT to_id FROM {tenant}.edge WHERE kind IN ('CREATES_RECORD_IN', 'EXTENDS') AND state <> 'resolved'
    UNION
    SELECT e.from_id FROM undescribed u JOIN {tenant}.edge e ON e.to_id = u.to_id AND e.kind = 'EXTENDS'
), worked_plans AS MATERIALIZED (
    SELECT DISTINCT s.to_id FROM {tenant}.edge s JOIN {tenant}.edge f ON f.from_id = s.from_id
    WHERE s.kind = 'STEP_OF' AND f.kind = 'FULFILLED_BY'
), idle_items AS MATERIALIZED (
    SELECT n.node_id, n.kind, n.table_name, n.read_table, n.attributes ->> 'active' AS active FROM acting n
    WHERE n.kind IN ('catalogue_item', 'record_producer')
      AND n.table_name NOT IN ('sc_cat_item_guide', 'sc_cat_item_content')  -- where those are read by the parent alone
      AND NOT EXISTS (SELECT FROM {tenant}.edge e WHERE e.from_id = n.node_id
                      AND e.kind IN ('FULFILLED_BY', 'RUNS_WORKFLOW', 'RUNS_FLOW'))
      AND NOT EXISTS (SELECT FROM {tenant}.edge e JOIN worked_plans p ON p.to_id = e.to_id
                      WHERE e.from_id = n.node_id AND e.kind = 'DELIVERED_BY')
      AND NOT EXISTS (SELECT FROM {tenant}.edge e JOIN covered c ON c.to_id = e.to_id
                      WHERE e.from_id = n.node_id AND e.kind = 'CREATES_RECORD_IN')
      AND NOT EXISTS (SELECT FROM {tenant}.edge e WHERE e.to_id = n.node_id AND e.kind = 'ASKED_BY')
), items AS (
    SELECT 'item_without_route' AS finding, i.node_id, '' AS about,
           jsonb_build_object('kind', i.kind, 'creates_in', to_jsonb(ARRAY(
               SELECT e.to_id FROM {tenant}.edge e
               WHERE e.from_id = i.node_id AND e.kind = 'CREATES_RECORD_IN' ORDER BY 1))) AS detail,
           array_remove(ARRAY[
               CASE WHEN i.active IS NULL THEN 'whether the item is active could not be read' END,
               CASE WHEN i.kind = 'catalogue_item' AND EXISTS (
                   SELECT FROM covered WHERE to_id IN ('sys_db_object:sc_req_item', 'sys_db_object:sc_task'))
               THEN 'a rule of requested items or their tasks may take it' END,
               (SELECT 'its delivery plan ' || CASE WHEN min(p.node_id) IS NULL THEN 'is not there to be read'
                                                    ELSE 'has a script' END
                FROM {tenant}.edge e LEFT JOIN {tenant}.node p ON p.node_id = e.to_id
                WHERE e.from_id = i.node_id AND e.kind = 'DELIVERED_BY' AND e.state <> 'deleted'
                  AND (p.node_id IS NULL OR p.attributes ->> 'opaque' = 'true') HAVING count(*) > 0),
               (SELECT 'what ' || split_part(min(e.to_id), ':', 2) || ' extends is not read'
                FROM {tenant}.edge e JOIN undescribed u ON u.to_id = e.to_id
                WHERE e.from_id = i.node_id AND e.kind = 'CREATES_RECORD_IN' HAVING count(*) > 0)], NULL) AS reasons,
           ARRAY['sc_cat_item', i.read_table, 'sc_cat_item_delivery_plan', 'sc_cat_item_delivery_task',
                 'sysrule_assignment', 'dl_definition']
           || CASE WHEN i.table_name IN (SELECT table_name FROM verdicts) THEN ARRAY[i.table_name] ELSE '{}' END
           || CASE WHEN i.kind = 'record_producer' THEN ARRAY['sn_hr_core_service', 'awa_service_channel']
                   ELSE '{}' END AS rests_on
    FROM idle_items i
), ordered_rules AS MATERIALIZED (
    SELECT r.node_id, e.to_id AS on_table, (r.attributes ->> 'order')::numeric AS place,
           r.attributes ->> 'condition' ~ '^(\^?EQ)?$' AND r.attributes ->> 'opaque' IS DISTINCT FROM 'true'
               AS takes_all,
           array_remove(ARRAY[
               CASE WHEN r.attributes ->> 'active' IS NULL THEN 'whether the rule before it is active' END,
               CASE WHEN r.attributes ->> 'opaque' IS NULL THEN 'whether the rule before it has a script' END,
               CASE WHEN NOT EXISTS (SELECT FROM {tenant}.edge g WHERE g.from_id = r.node_id AND g.kind = 'ROUTES_TO')
                    THEN 'whom the rule before it assigns to' END], NULL) AS doubts
    FROM acting r JOIN {tenant}.edge e ON e.from_id = r.node_id AND e.kind = 'APPLIES_TO'
    WHERE r.kind = 'assignment_rule' AND r.attributes ->> 'order' ~ '^-?[0-9]{1,18}$'
), taking AS MATERIALIZED (
    SELECT DISTINCT ON (on_table, doubts) on_table, doubts, place, node_id FROM ordered_rules WHERE takes_all
    ORDER BY on_table, doubts, place, node_id
), rules AS (
    SELECT DISTINCT ON (r.node_id) 'rule_never_reached' AS finding, r.node_id, t.node_id AS about,
           jsonb_build_object('rule', t.node_id, 'order', t.place, 'table', t.on_table) AS detail,
           ARRAY(SELECT doubt || ' was not read' FROM unnest(t.doubts) AS doubt) AS reasons,
           ARRAY['sysrule_assignment'] AS rests_on
    FROM ordered_rules r JOIN taking t ON t.on_table = r.on_table AND t.place < r.place
    ORDER BY r.node_id, cardinality(t.doubts), t.place, t.node_id
), parents AS MATERIALIZED (
    -- One parent each, the one read last: only who is both a parent and a child can be in a cycle.
    SELECT DISTINCT ON (e.from_id) e.from_id, e.to_id FROM {tenant}.edge e
    WHERE e.kind = 'CHILD_OF' AND e.state = 'resolved' ORDER BY e.from_id, e.since DESC, e.to_id
), linked AS MATERIALIZED (
    SELECT p.from_id, p.to_id, row_number() OVER (ORDER BY p.from_id)::integer AS place FROM parents p
    WHERE EXISTS (SELECT FROM parents q WHERE q.to_id = p.from_id)
), leaps AS (
    -- From each to its parent, then to the parent's parent's parent, and so on: twice as far in each round, so that
    -- no chain is long. Who has not come out at the top (the last place, which leads to itself) goes round.
    SELECT 1 AS distance, array_agg(coalesce(q.place, n.size + 1) ORDER BY p.place) || (max(n.size) + 1) AS above,
           array_agg(p.place ORDER BY p.place) || (max(n.size) + 1) AS least
    FROM linked p CROSS JOIN (SELECT count(*)::integer AS size FROM linked) n LEFT JOIN linked q ON q.from_id = p.to_id
    HAVING count(*) > 0
    UNION ALL
    SELECT 2 * distance, ARRAY(SELECT above[up] FROM unnest(above) WITH ORDINALITY AS u (up, n) ORDER BY n),
           ARRAY(SELECT least(least[n], least[up]) FROM unnest(above) WITH ORDINALITY AS u (up, n) ORDER BY n)
    FROM leaps WHERE distance <= cardinality(above)
), round AS MATERIALIZED (
    SELECT DISTINCT up AS place, least[up] AS least
    FROM (SELECT above, least FROM leaps ORDER BY distance DESC LIMIT 1) last, unnest(above) AS up
    WHERE up < cardinality(above)
), cycles AS (
    SELECT 'parent_cycle' AS finding, min(l.from_id) AS node_id, '' AS about,
           jsonb_build_object('length', count(*), 'nodes', to_jsonb((array_agg(l.from_id ORDER BY l.from_id))[:100]))
               AS detail,
           '{}'::text[] AS reasons, ARRAY[split_part(min(l.from_id), ':', 1)] AS rests_on
    FROM round r JOIN linked l ON l.place = r.place GROUP BY r.least
), services AS MATERIALIZED (
    SELECT n.node_id, n.attributes ->> 'active' AS active, min(t.to_id) AS template, min(t.state) AS state,
           bool_or(EXISTS (SELECT FROM {tenant}.edge g WHERE g.from_id = t.to_id AND g.kind = 'ROUTES_TO')) AS grouped
    FROM acting n LEFT JOIN {tenant}.edge t
      ON t.from_id = n.node_id AND t.kind = 'USES_TEMPLATE' AND t.state <> 'deleted'
    WHERE n.kind = 'hr_service' GROUP BY n.node_id, n.attributes ->> 'active'
), hr AS (
    SELECT CASE WHEN s.template IS NULL THEN 'service_without_template' ELSE 'service_without_group' END AS finding,
           s.node_id, '' AS about,
           jsonb_strip_nulls(jsonb_build_object('template', s.template, 'state', s.state)) AS detail,
           array_remove(ARRAY[
               CASE WHEN s.active IS NULL THEN 'whether the service is active could not be read' END,
               CASE WHEN s.state <> 'resolved' THEN 'its template is ' || s.state END,
               CASE WHEN EXISTS (SELECT FROM {tenant}.edge e WHERE e.from_id = s.node_id
                                 AND e.kind IN ('RUNS_FLOW', 'RUNS_WORKFLOW'))
                    THEN 'its flow or workflow may give it a group' END,
               CASE WHEN EXISTS (SELECT FROM {tenant}.edge e JOIN covered c ON c.to_id = e.to_id
                                 WHERE e.kind = 'CREATES_RECORD_IN' AND e.from_id IN (s.node_id, s.template))
                    THEN 'a rule of the table of its cases may give it a group' END], NULL) AS reasons,
           ARRAY['sn_hr_core_service', 'sn_hr_core_template', 'sysrule_assignment', 'dl_definition'] AS rests_on
    FROM services s WHERE s.template IS NULL OR s.grouped IS NOT TRUE
), found AS MATERIALIZED (
    SELECT * FROM routes UNION ALL SELECT * FROM dangling UNION ALL SELECT * FROM items UNION ALL SELECT * FROM rules
    UNION ALL SELECT * FROM cycles UNION ALL SELECT * FROM hr
), bases AS MATERIALIZED (
    -- A table that the instance does not have hides nothing.
    SELECT b.rests_on AS given, array_agg(DISTINCT t.name COLLATE "C") AS rests_on,
           array_agg(DISTINCT t.name || ' is ' || coalesce(v.verdict, 'not read') COLLATE "C")
               FILTER (WHERE coalesce(v.verdict, '') NOT IN ('complete', 'absent')) AS doubts
    FROM (SELECT DISTINCT rests_on FROM found) b, unnest(b.rests_on) AS t (name)
         LEFT JOIN verdicts v ON v.table_name = t.name
    GROUP BY b.rests_on
), judged AS MATERIALIZED (
    SELECT f.finding COLLATE "C" AS finding, f.node_id, f.about COLLATE "C" AS about, b.rests_on,
           cardinality(f.reasons) = 0 AND b.doubts IS NULL AS certain,
           f.detail || CASE WHEN cardinality(f.reasons) = 0 AND b.doubts IS NULL THEN '{}' ELSE jsonb_build_object(
               'cannot_know', 'cannot know: ' || array_to_string(b.doubts || f.reasons, ', ')) END AS detail
    FROM found f JOIN bases b ON b.given = f.rests_on
), delta AS MATERIALIZED (
    SELECT coalesce(j.finding, f.finding) AS finding, coalesce(j.node_id, f.node_id) AS node_id,
           coalesce(j.about, f.about) AS about, j.detail, j.certain, j.rests_on,
           CASE WHEN f.finding IS NULL THEN 'added' WHEN j.finding IS NULL THEN 'removed' ELSE 'changed' END AS change
    FROM judged j FULL JOIN {tenant}.finding f
      ON f.finding = j.finding AND f.node_id = j.node_id AND f.about = j.about
    WHERE f.finding IS NULL OR j.finding IS NULL
       OR (f.detail, f.certain, f.rests_on) IS DISTINCT FROM (j.detail, j.certain, j.rests_on)
), kept AS (
    -- What the same revision said before, on other verdicts, is not kept: see docs/reference/findings.md.
    INSERT INTO {tenant}.finding_history (finding, node_id, about, detail, certain, rests_on, since, until)
    SELECT f.finding, f.node_id, f.about, f.detail, f.certain, f.rests_on, f.since, %(revision)s::bigint
    FROM delta d JOIN {tenant}.finding f USING (finding, node_id, about)
    WHERE d.change <> 'added' AND f.since < %(revision)s::bigint
), removed AS (
    DELETE FROM {tenant}.finding f USING delta d
    WHERE d.change = 'removed' AND (f.finding, f.node_id, f.about) = (d.finding, d.node_id, d.about)
), changed AS (
    UPDATE {tenant}.finding f
    SET detail = d.detail, certain = d.certain, rests_on = d.rests_on, since = %(revision)s::bigint
    FROM delta d WHERE d.change = 'changed' AND (f.finding, f.node_id, f.about) = (d.finding, d.node_id, d.about)
), added AS (
    INSERT INTO {tenant}.finding (finding, node_id, about, detail, certain, rests_on, since)
    SELECT finding, node_id, about, detail, certain, rests_on, %(revision)s::bigint FROM delta WHERE change = 'added'
)
SELECT count(*) AS differing FROM delta

-- name: read_findings_at
-- The findings of a revision, by kind, then by node, with the name of the node as it is now.
SELECT h.finding, h.node_id, n.name, h.detail, h.certain, h.rests_on FROM (
    SELECT finding, node_id, about, detail, certain, rests_on, since, 9223372036854775807 AS until
    FROM {tenant}.finding
    UNION ALL
    SELECT finding, node_id, about, detail, certain, rests_on, since, until FROM {tenant}.finding_history
) h LEFT JOIN {tenant}.node n ON n.node_id = h.node_id
WHERE h.since <= %(revision)s::bigint AND h.until > %(revision)s::bigint ORDER BY h.finding, h.node_id, h.about

-- name: hold_retention
-- Take the lease on letting old revisions go, or hold it for longer; no row when another has it, or it is not due.
UPDATE {tenant}.retention
SET holder = %(holder)s, lease_until = clock_timestamp() + %(lease_seconds)s::double precision * interval '1 second'
WHERE (lease_until IS NULL OR lease_until < clock_timestamp() OR holder = %(holder)s)
  AND (done_at IS NULL OR done_at < clock_timestamp() - %(every_seconds)s::double precision * interval '1 second')
RETURNING holder

-- name: end_retention
-- Give the lease back: it is done for now.
UPDATE {tenant}.retention SET holder = NULL, lease_until = NULL, done_at = clock_timestamp()
WHERE holder = %(holder)s

-- name: forget_revisions
-- Let the revisions go that are older than so many days.
SELECT oldest, revisions, feed FROM {tenant}.forget_revisions(%(keep_days)s::integer)

-- name: prune_history
-- Delete some of what no kept revision shows.
SELECT nodes, edges, findings FROM {tenant}.prune_history(%(batch)s::integer)

-- name: forget_reads
-- Delete some verdicts of runs that made no revision that is kept, when they are a month old and not the newest.
WITH old AS (
    SELECT t.ctid FROM {tenant}.table_read t
    WHERE t.begun_at < clock_timestamp() - interval '30 days'
      AND NOT EXISTS (SELECT FROM {tenant}.revision r WHERE t.run_id IN (r.run_id, r.checked_run_id))
      AND t.run_id <> (SELECT run_id FROM {tenant}.table_read ORDER BY begun_at DESC LIMIT 1)
    LIMIT %(batch)s::integer
), gone AS (
    DELETE FROM {tenant}.table_read WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING 1
)
SELECT count(*) AS reads FROM gone

-- name: read_marker
-- The marked row by which schedulers see whether another tenant can be read.
SELECT marker FROM {tenant}.isolation_canary
