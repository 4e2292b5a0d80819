-- Written by `python -m ops.snapshot` from the migrations: change those, not this page.
-- A tenant's schema, of a tenant called `example`. Owned by zaptik_owner.

CREATE SCHEMA tenant_example;

CREATE TYPE tenant_example.graph_v1_affected_node AS (
	node_id text,
	kind text,
	table_name text,
	name text,
	steps integer
);

CREATE TYPE tenant_example.graph_v1_change AS (
	what text,
	change text,
	id text,
	before jsonb,
	after jsonb
);

CREATE TYPE tenant_example.graph_v1_neighbour AS (
	direction text,
	kind text,
	node_id text,
	name text,
	state text,
	source text
);

CREATE TYPE tenant_example.graph_v1_route_step AS (
	route bigint,
	step integer,
	from_id text,
	kind text,
	to_id text,
	reason text,
	certain boolean,
	direction text
);

CREATE FUNCTION tenant_example.check_node(wanted text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE ROWS 1
    SET search_path TO ''
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM "tenant_example".node n WHERE n.node_id = wanted)
       AND NOT EXISTS (SELECT FROM "tenant_example".edge e WHERE e.to_id = wanted) THEN
        RAISE EXCEPTION 'there is no node %, nor does any edge lead to it', coalesce(quote_literal(wanted), 'NULL')
            USING ERRCODE = 'no_data_found',
                  HINT = 'A node is called TABLE:SYS_ID, with the base table; graph_v1_nodes has them all.';
    END IF;
END
$$;

CREATE FUNCTION tenant_example.check_revision(wanted bigint) RETURNS SETOF text
    LANGUAGE plpgsql STABLE ROWS 1
    SET search_path TO ''
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM "tenant_example".revision r WHERE r.revision = wanted AND r.state = 'published') THEN
        RAISE EXCEPTION 'there is no published revision %', coalesce(wanted::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = 'The view graph_v1_revisions names those that there are.';
    END IF;
END
$$;

CREATE FUNCTION tenant_example.forget_revisions(keep_days integer) RETURNS TABLE(oldest bigint, revisions bigint, feed bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    kept_since timestamptz := clock_timestamp() - keep_days * interval '1 day';
BEGIN
    IF keep_days IS NULL OR keep_days < 365 THEN
        RAISE EXCEPTION 'revisions are kept for 365 days at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT coalesce(min(r.revision) FILTER (WHERE r.published_at >= kept_since), max(r.revision)) INTO oldest
    FROM "tenant_example".revision r WHERE r.state = 'published';
    DELETE FROM "tenant_example".feed f WHERE f.revision < oldest;
    GET DIAGNOSTICS feed = ROW_COUNT;
    DELETE FROM "tenant_example".revision r WHERE r.revision < oldest AND r.state <> 'quarantined';
    GET DIAGNOSTICS revisions = ROW_COUNT;
    RETURN NEXT;
END
$$;

CREATE TABLE tenant_example.edge (
    from_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    to_id text NOT NULL COLLATE pg_catalog."C",
    source text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    attributes jsonb NOT NULL,
    read_table text NOT NULL,
    hash bytea NOT NULL,
    since bigint NOT NULL,
    CONSTRAINT edge_state CHECK ((state = ANY (ARRAY['resolved'::text, 'hidden'::text, 'deleted'::text, 'outside'::text, 'unknown'::text])))
)
WITH (fillfactor='90');

ALTER TABLE ONLY tenant_example.edge FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.node (
    node_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    table_name text NOT NULL,
    name text NOT NULL,
    attributes jsonb NOT NULL,
    read_table text NOT NULL,
    hash bytea NOT NULL,
    since bigint NOT NULL
)
WITH (fillfactor='90');

ALTER TABLE ONLY tenant_example.node FORCE ROW LEVEL SECURITY;

CREATE VIEW tenant_example.routing_move WITH (security_invoker='true') AS
 SELECT move,
    at_table,
    direction,
    kind,
    next_table,
    only_after,
    never_after,
    engine,
    reason
   FROM ( VALUES (1,'sc_cat_item'::text,'out'::text,'FULFILLED_BY'::text,NULL::text,NULL::text[],NULL::text[],'the catalogue'::text,'fulfilment group of the item'::text), (2,'sc_cat_item'::text,'out'::text,'DELIVERED_BY'::text,NULL::text,NULL::text[],NULL::text[],'the catalogue'::text,'delivery plan %2$s of the item'::text), (3,'sc_cat_item_delivery_plan'::text,'in'::text,'STEP_OF'::text,NULL::text,NULL::text[],NULL::text[],NULL::text,'delivery task %2$s of its plan'::text), (4,'sc_cat_item_delivery_task'::text,'out'::text,'FULFILLED_BY'::text,NULL::text,NULL::text[],NULL::text[],'the catalogue'::text,'group of the delivery task %1$s'::text), (5,'sc_cat_item_delivery_plan'::text,'out'::text,'CREATES_RECORD_IN'::text,NULL::text,NULL::text[],NULL::text[],NULL::text,'the plan creates its tasks in table %4$s'::text), (6,'sc_cat_item'::text,'out'::text,'RUNS_WORKFLOW'::text,NULL::text,NULL::text[],NULL::text[],'a workflow'::text,'the item runs a workflow'::text), (7,'sc_cat_item'::text,'out'::text,'RUNS_FLOW'::text,NULL::text,NULL::text[],NULL::text[],'a flow'::text,'the item runs a flow'::text), (8,'sc_cat_item'::text,'out'::text,'CREATES_RECORD_IN'::text,NULL::text,NULL::text[],NULL::text[],NULL::text,'the producer creates records in table %4$s'::text), (9,'sc_cat_item'::text,'in'::text,'ASKED_BY'::text,NULL::text,'{}'::text[],NULL::text[],NULL::text,'the producer asks for the HR service %2$s'::text), (10,'sn_hr_core_service'::text,'out'::text,'ASKED_BY'::text,NULL::text,'{}'::text[],NULL::text[],NULL::text,'the service is asked for by the record producer %2$s'::text), (11,'sn_hr_core_service'::text,'out'::text,'USES_TEMPLATE'::text,NULL::text,NULL::text[],NULL::text[],'an HR template'::text,'template %2$s of the service'::text), (12,'sn_hr_core_service'::text,'out'::text,'CREATES_RECORD_IN'::text,NULL::text,NULL::text[],NULL::text[],NULL::text,'the service creates cases in table %4$s'::text), (13,'sn_hr_core_service'::text,'out'::text,'RUNS_WORKFLOW'::text,NULL::text,NULL::text[],NULL::text[],'a workflow'::text,'the service runs a workflow'::text), (14,'sn_hr_core_service'::text,'out'::text,'RUNS_FLOW'::text,NULL::text,NULL::text[],NULL::text[],'a flow'::text,'the service runs a flow'::text), (15,'sn_hr_core_template'::text,'out'::text,'ROUTES_TO'::text,NULL::text,NULL::text[],NULL::text[],'an HR template'::text,'assignment group of the template'::text), (16,'sn_hr_core_template'::text,'out'::text,'CREATES_RECORD_IN'::text,NULL::text,'{}'::text[],NULL::text[],NULL::text,'the template is for cases in table %4$s'::text), (17,'sys_db_object'::text,'in'::text,'APPLIES_TO'::text,'sysrule_assignment'::text,NULL::text[],'{LOOKS_IN}'::text[],'assignment rules'::text,'assignment rule %2$s of table %3$s'::text), (18,'sys_db_object'::text,'in'::text,'APPLIES_TO'::text,'dl_definition'::text,NULL::text[],'{LOOKS_IN}'::text[],'data lookups'::text,'data lookup %2$s of table %3$s'::text), (19,'sysrule_assignment'::text,'out'::text,'ROUTES_TO'::text,NULL::text,NULL::text[],NULL::text[],'assignment rules'::text,'group of the assignment rule'::text), (20,'dl_definition'::text,'out'::text,'LOOKS_IN'::text,NULL::text,NULL::text[],NULL::text[],'data lookups'::text,'the lookup looks in table %4$s'::text), (21,'sys_db_object'::text,'in'::text,'ROW_OF'::text,NULL::text,'{LOOKS_IN}'::text[],NULL::text[],'data lookups'::text,'a row of that table'::text), (22,'dl_matcher'::text,'out'::text,'NAMES'::text,'sys_user_group'::text,NULL::text[],NULL::text[],'data lookups'::text,'group in the row''s column %5$s'::text), (23,'sys_db_object'::text,'in'::text,'CHANNEL_OF'::text,NULL::text,NULL::text[],'{LOOKS_IN}'::text[],'work assignment'::text,'service channel %2$s takes records of table %3$s'::text), (24,'awa_service_channel'::text,'in'::text,'IN_CHANNEL'::text,NULL::text,NULL::text[],NULL::text[],'work assignment'::text,'queue %2$s of the channel'::text), (25,'awa_queue'::text,'in'::text,'POOL_OF'::text,NULL::text,NULL::text[],NULL::text[],'work assignment'::text,'a pool of the queue'::text), (26,'awa_eligibility_pool'::text,'out'::text,'ROUTES_TO'::text,NULL::text,NULL::text[],NULL::text[],'work assignment'::text,'group of the pool'::text)) m(move, at_table, direction, kind, next_table, only_after, never_after, engine, reason);

CREATE VIEW tenant_example.routing_step WITH (security_invoker='true') AS
 SELECT e.from_id AS at,
    'out'::text AS direction,
    e.kind,
    e.to_id AS next,
    e.source,
    e.state,
    e.read_table
   FROM tenant_example.edge e
UNION ALL
 SELECT e.to_id AS at,
    'in'::text AS direction,
    e.kind,
    e.from_id AS next,
    e.source,
    e.state,
    e.read_table
   FROM tenant_example.edge e;

CREATE FUNCTION tenant_example.graph_v1_affected(node_id text) RETURNS SETOF tenant_example.graph_v1_affected_node
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 WITH RECURSIVE walk(id, only_after, never_after, steps) AS (
          SELECT (graph_v1_affected.node_id COLLATE "C") AS "?column?",
             NULL::text[] AS text,
             NULL::text[] AS text,
             0 AS "?column?"
         UNION
          SELECT s.next,
             m.only_after,
             m.never_after,
             (w.steps + 1)
            FROM ((walk w
              JOIN tenant_example.routing_step s ON ((s.at = w.id)))
              JOIN tenant_example.routing_move m ON (((m.kind = s.kind) AND (m.direction <> s.direction) AND (m.at_table = split_part(s.next, ':'::text, 1)) AND ((m.next_table IS NULL) OR (m.next_table = split_part(w.id, ':'::text, 1))))))
           WHERE ((w.steps < 12) AND ((w.only_after IS NULL) OR (m.kind = ANY (w.only_after))) AND ((w.never_after IS NULL) OR (m.kind <> ALL (w.never_after))))
         )
  SELECT c.c,
     c.c,
     c.c,
     c.c,
     (c.c)::integer AS c
    FROM tenant_example.check_node(graph_v1_affected.node_id) c(c)
 UNION ALL
  SELECT w.id,
     n.kind,
     COALESCE(n.table_name, split_part(w.id, ':'::text, 1)) AS "coalesce",
     n.name,
     min(w.steps) AS min
    FROM (walk w
      LEFT JOIN tenant_example.node n ON ((n.node_id = w.id)))
   WHERE ((w.id <> graph_v1_affected.node_id) AND ((w.only_after IS NULL) OR (w.only_after = '{}'::text[])))
   GROUP BY w.id, n.kind, n.table_name, n.name;
END;

CREATE TABLE tenant_example.edge_history (
    from_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    to_id text NOT NULL COLLATE pg_catalog."C",
    source text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    attributes jsonb NOT NULL,
    read_table text NOT NULL,
    hash bytea NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    CONSTRAINT edge_history_held CHECK ((since < until))
);

ALTER TABLE ONLY tenant_example.edge_history FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.node_history (
    node_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    table_name text NOT NULL,
    name text NOT NULL,
    attributes jsonb NOT NULL,
    read_table text NOT NULL,
    hash bytea NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    CONSTRAINT node_history_held CHECK ((since < until))
);

ALTER TABLE ONLY tenant_example.node_history FORCE ROW LEVEL SECURITY;

CREATE FUNCTION tenant_example.graph_v1_diff(from_revision bigint, to_revision bigint) RETURNS SETOF tenant_example.graph_v1_change
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT c.c,
     c.c,
     c.c,
     (c.c)::jsonb AS c,
     (c.c)::jsonb AS c
    FROM tenant_example.check_revision(graph_v1_diff.from_revision) c(c)
 UNION ALL
  SELECT c.c,
     c.c,
     c.c,
     (c.c)::jsonb AS c,
     (c.c)::jsonb AS c
    FROM tenant_example.check_revision(graph_v1_diff.to_revision) c(c)
 UNION ALL
  SELECT 'node'::text,
         CASE
             WHEN (d.before IS NULL) THEN 'added'::text
             WHEN (d.after IS NULL) THEN 'removed'::text
             ELSE 'changed'::text
         END AS "case",
     d.node_id,
     d.before,
     d.after
    FROM ( SELECT node_id,
                 CASE
                     WHEN (graph_v1_diff.from_revision <= graph_v1_diff.to_revision) THEN lost.line
                     ELSE won.line
                 END AS before,
                 CASE
                     WHEN (graph_v1_diff.from_revision <= graph_v1_diff.to_revision) THEN won.line
                     ELSE lost.line
                 END AS after
            FROM (( SELECT h.node_id,
                     h.hash,
                     jsonb_build_object('id', h.node_id, 'kind', h.kind, 'table', h.table_name, 'sys_id', substr(h.node_id, (strpos(h.node_id, ':'::text) + 1)), 'name', h.name, 'attributes', h.attributes) AS line
                    FROM tenant_example.node_history h
                   WHERE ((h.until > LEAST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)) AND (h.until <= GREATEST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)) AND (h.since <= LEAST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)))) lost
              FULL JOIN ( SELECT h.node_id,
                     h.hash,
                     jsonb_build_object('id', h.node_id, 'kind', h.kind, 'table', h.table_name, 'sys_id', substr(h.node_id, (strpos(h.node_id, ':'::text) + 1)), 'name', h.name, 'attributes', h.attributes) AS line
                    FROM ( SELECT n.node_id,
                             n.kind,
                             n.table_name,
                             n.name,
                             n.attributes,
                             n.hash,
                             n.since,
                             '9223372036854775807'::bigint AS until
                            FROM tenant_example.node n
                         UNION ALL
                          SELECT o.node_id,
                             o.kind,
                             o.table_name,
                             o.name,
                             o.attributes,
                             o.hash,
                             o.since,
                             o.until
                            FROM tenant_example.node_history o) h
                   WHERE ((h.since > LEAST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)) AND (h.since <= GREATEST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)) AND (h.until > GREATEST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)))) won USING (node_id))
           WHERE (lost.hash IS DISTINCT FROM won.hash)) d
 UNION ALL
  SELECT 'edge'::text,
         CASE
             WHEN (d.before IS NULL) THEN 'added'::text
             WHEN (d.after IS NULL) THEN 'removed'::text
             ELSE 'changed'::text
         END AS "case",
     concat_ws(' '::text, d.from_id, d.kind, d.to_id, d.source) AS concat_ws,
     d.before,
     d.after
    FROM ( SELECT from_id,
             kind,
             to_id,
             source,
                 CASE
                     WHEN (graph_v1_diff.from_revision <= graph_v1_diff.to_revision) THEN lost.line
                     ELSE won.line
                 END AS before,
                 CASE
                     WHEN (graph_v1_diff.from_revision <= graph_v1_diff.to_revision) THEN won.line
                     ELSE lost.line
                 END AS after
            FROM (( SELECT h.from_id,
                     h.kind,
                     h.to_id,
                     h.source,
                     h.hash,
                     h.state,
                     jsonb_build_object('kind', h.kind, 'from', h.from_id, 'to', h.to_id, 'source', jsonb_build_object('table', split_part(h.source, ':'::text, 1), 'sys_id', split_part(h.source, ':'::text, 2), 'field', split_part(h.source, ':'::text, 3)), 'attributes', h.attributes, 'state', h.state) AS line
                    FROM tenant_example.edge_history h
                   WHERE ((h.until > LEAST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)) AND (h.until <= GREATEST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)) AND (h.since <= LEAST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)))) lost
              FULL JOIN ( SELECT h.from_id,
                     h.kind,
                     h.to_id,
                     h.source,
                     h.hash,
                     h.state,
                     jsonb_build_object('kind', h.kind, 'from', h.from_id, 'to', h.to_id, 'source', jsonb_build_object('table', split_part(h.source, ':'::text, 1), 'sys_id', split_part(h.source, ':'::text, 2), 'field', split_part(h.source, ':'::text, 3)), 'attributes', h.attributes, 'state', h.state) AS line
                    FROM ( SELECT e.from_id,
                             e.kind,
                             e.to_id,
                             e.source,
                             e.state,
                             e.attributes,
                             e.hash,
                             e.since,
                             '9223372036854775807'::bigint AS until
                            FROM tenant_example.edge e
                         UNION ALL
                          SELECT o.from_id,
                             o.kind,
                             o.to_id,
                             o.source,
                             o.state,
                             o.attributes,
                             o.hash,
                             o.since,
                             o.until
                            FROM tenant_example.edge_history o) h
                   WHERE ((h.since > LEAST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)) AND (h.since <= GREATEST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)) AND (h.until > GREATEST(graph_v1_diff.from_revision, graph_v1_diff.to_revision)))) won USING (from_id, kind, to_id, source))
           WHERE ((lost.hash IS DISTINCT FROM won.hash) OR (lost.state IS DISTINCT FROM won.state))) d;
END;

CREATE VIEW tenant_example.graph_v1_edges WITH (security_invoker='true') AS
 SELECT from_id,
    kind,
    to_id,
    state,
    source,
    attributes,
    since
   FROM tenant_example.edge;

CREATE FUNCTION tenant_example.graph_v1_edges_at(revision bigint) RETURNS SETOF tenant_example.graph_v1_edges
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT h.from_id,
     h.kind,
     h.to_id,
     h.state,
     h.source,
     h.attributes,
     h.since
    FROM ( SELECT c.c AS from_id,
             c.c AS kind,
             c.c AS to_id,
             c.c AS state,
             c.c AS source,
             (c.c)::jsonb AS attributes,
             (length(c.c))::bigint AS since,
             (octet_length(c.c))::bigint AS until
            FROM tenant_example.check_revision(graph_v1_edges_at.revision) c(c)
         UNION ALL
          SELECT e.from_id,
             e.kind,
             e.to_id,
             e.state,
             e.source,
             e.attributes,
             e.since,
             '9223372036854775807'::bigint
            FROM tenant_example.edge e
         UNION ALL
          SELECT o.from_id,
             o.kind,
             o.to_id,
             o.state,
             o.source,
             o.attributes,
             o.since,
             o.until
            FROM tenant_example.edge_history o) h
   WHERE ((h.since <= COALESCE(graph_v1_edges_at.revision, (0)::bigint)) AND (h.until > COALESCE(graph_v1_edges_at.revision, (0)::bigint)));
END;

CREATE TABLE tenant_example.finding (
    finding text NOT NULL COLLATE pg_catalog."C",
    node_id text NOT NULL COLLATE pg_catalog."C",
    about text NOT NULL COLLATE pg_catalog."C",
    detail jsonb NOT NULL,
    certain boolean NOT NULL,
    rests_on text[] NOT NULL,
    since bigint NOT NULL
)
WITH (fillfactor='90');

ALTER TABLE ONLY tenant_example.finding FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.finding_history (
    finding text NOT NULL COLLATE pg_catalog."C",
    node_id text NOT NULL COLLATE pg_catalog."C",
    about text NOT NULL COLLATE pg_catalog."C",
    detail jsonb NOT NULL,
    certain boolean NOT NULL,
    rests_on text[] NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    CONSTRAINT finding_history_held CHECK ((since < until))
);

ALTER TABLE ONLY tenant_example.finding_history FORCE ROW LEVEL SECURITY;

CREATE VIEW tenant_example.graph_v1_findings WITH (security_invoker='true') AS
 SELECT finding,
    node_id,
    detail,
    certain,
    rests_on
   FROM tenant_example.finding;

CREATE FUNCTION tenant_example.graph_v1_findings_at(revision bigint) RETURNS SETOF tenant_example.graph_v1_findings
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT h.finding,
     h.node_id,
     h.detail,
     h.certain,
     h.rests_on
    FROM ( SELECT c.c AS finding,
             c.c AS node_id,
             (c.c)::jsonb AS detail,
             (c.c = ''::text) AS certain,
             ARRAY[c.c] AS rests_on,
             (length(c.c))::bigint AS since,
             (octet_length(c.c))::bigint AS until
            FROM tenant_example.check_revision(graph_v1_findings_at.revision) c(c)
         UNION ALL
          SELECT f.finding,
             f.node_id,
             f.detail,
             f.certain,
             f.rests_on,
             f.since,
             '9223372036854775807'::bigint
            FROM tenant_example.finding f
         UNION ALL
          SELECT o.finding,
             o.node_id,
             o.detail,
             o.certain,
             o.rests_on,
             o.since,
             o.until
            FROM tenant_example.finding_history o) h
   WHERE ((h.since <= COALESCE(graph_v1_findings_at.revision, (0)::bigint)) AND (h.until > COALESCE(graph_v1_findings_at.revision, (0)::bigint)));
END;

CREATE FUNCTION tenant_example.graph_v1_neighbours(node_id text) RETURNS SETOF tenant_example.graph_v1_neighbour
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT c.c,
     c.c,
     c.c,
     c.c,
     c.c,
     c.c
    FROM tenant_example.check_node(graph_v1_neighbours.node_id) c(c)
 UNION ALL
  SELECT 'out'::text,
     e.kind,
     e.to_id,
     n.name,
     e.state,
     e.source
    FROM (tenant_example.edge e
      LEFT JOIN tenant_example.node n ON ((n.node_id = e.to_id)))
   WHERE (e.from_id = graph_v1_neighbours.node_id)
 UNION ALL
  SELECT 'in'::text,
     e.kind,
     e.from_id,
     n.name,
     e.state,
     e.source
    FROM (tenant_example.edge e
      LEFT JOIN tenant_example.node n ON ((n.node_id = e.from_id)))
   WHERE (e.to_id = graph_v1_neighbours.node_id);
END;

CREATE VIEW tenant_example.graph_v1_nodes WITH (security_invoker='true') AS
 SELECT node_id,
    kind,
    table_name,
    substr(node_id, (strpos(node_id, ':'::text) + 1)) AS sys_id,
    name,
    attributes,
    since
   FROM tenant_example.node;

CREATE FUNCTION tenant_example.graph_v1_nodes_at(revision bigint) RETURNS SETOF tenant_example.graph_v1_nodes
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT h.node_id,
     h.kind,
     h.table_name,
     substr(h.node_id, (strpos(h.node_id, ':'::text) + 1)) AS substr,
     h.name,
     h.attributes,
     h.since
    FROM ( SELECT c.c AS node_id,
             c.c AS kind,
             c.c AS table_name,
             c.c AS name,
             (c.c)::jsonb AS attributes,
             (length(c.c))::bigint AS since,
             (octet_length(c.c))::bigint AS until
            FROM tenant_example.check_revision(graph_v1_nodes_at.revision) c(c)
         UNION ALL
          SELECT n.node_id,
             n.kind,
             n.table_name,
             n.name,
             n.attributes,
             n.since,
             '9223372036854775807'::bigint
            FROM tenant_example.node n
         UNION ALL
          SELECT o.node_id,
             o.kind,
             o.table_name,
             o.name,
             o.attributes,
             o.since,
             o.until
            FROM tenant_example.node_history o) h
   WHERE ((h.since <= COALESCE(graph_v1_nodes_at.revision, (0)::bigint)) AND (h.until > COALESCE(graph_v1_nodes_at.revision, (0)::bigint)));
END;

CREATE TABLE tenant_example.revision (
    revision bigint NOT NULL,
    run_id uuid NOT NULL,
    state text NOT NULL,
    as_of timestamp with time zone NOT NULL,
    complete_as_of timestamp with time zone,
    published_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    nodes bigint NOT NULL,
    edges bigint NOT NULL,
    added bigint NOT NULL,
    changed bigint NOT NULL,
    removed bigint NOT NULL,
    digest text NOT NULL,
    reason text,
    checked_run_id uuid,
    checked_as_of timestamp with time zone,
    checked_complete_as_of timestamp with time zone,
    CONSTRAINT revision_state CHECK ((state = ANY (ARRAY['published'::text, 'quarantined'::text, 'rejected'::text, 'superseded'::text])))
);

ALTER TABLE ONLY tenant_example.revision FORCE ROW LEVEL SECURITY;

CREATE VIEW tenant_example.graph_v1_revisions WITH (security_invoker='true') AS
 SELECT revision,
        CASE
            WHEN (revision = max(revision) OVER ()) THEN 'current'::text
            ELSE 'superseded'::text
        END AS state,
    GREATEST(as_of, checked_as_of) AS as_of,
    GREATEST(complete_as_of, checked_complete_as_of) AS complete_as_of,
    nodes,
    edges,
    digest,
    published_at,
    added,
    changed,
    removed,
        CASE
            WHEN (revision = max(revision) OVER ()) THEN (EXTRACT(epoch FROM (statement_timestamp() - GREATEST(as_of, checked_as_of))))::double precision
            ELSE NULL::double precision
        END AS staleness_seconds
   FROM tenant_example.revision
  WHERE (state = 'published'::text);

CREATE TABLE tenant_example.table_read (
    run_id uuid NOT NULL,
    table_name text NOT NULL,
    cursor text DEFAULT ''::text NOT NULL,
    "offset" bigint DEFAULT 0 NOT NULL,
    pages integer DEFAULT 0 NOT NULL,
    rows bigint DEFAULT 0 NOT NULL,
    requests bigint DEFAULT 0 NOT NULL,
    counted bigint,
    hidden bigint DEFAULT 0 NOT NULL,
    read text DEFAULT 'whole'::text NOT NULL,
    verdict text,
    reason text,
    as_of timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    way text DEFAULT 'whole'::text NOT NULL,
    newest text,
    changes bigint,
    known bigint,
    begun_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    closing_at timestamp with time zone,
    shape text,
    CONSTRAINT table_read_kind CHECK ((read = ANY (ARRAY['whole'::text, 'delta'::text, 'skipped'::text]))),
    CONSTRAINT table_read_verdict CHECK ((verdict = ANY (ARRAY['complete'::text, 'partial'::text, 'hidden'::text, 'denied'::text, 'absent'::text, 'failed'::text, 'unknown'::text]))),
    CONSTRAINT table_read_way CHECK ((way = ANY (ARRAY['whole'::text, 'delta'::text, 'scan'::text, 'fetch'::text, 'skipped'::text])))
);

ALTER TABLE ONLY tenant_example.table_read FORCE ROW LEVEL SECURITY;

CREATE VIEW tenant_example.graph_v1_tables WITH (security_invoker='true') AS
 SELECT r.revision,
    t.table_name,
    COALESCE(t.verdict, 'unknown'::text) AS verdict,
    t.read,
    t.as_of,
    COALESCE(t.known, t.rows) AS rows,
    t.hidden,
    t.reason
   FROM (tenant_example.revision r
     JOIN tenant_example.table_read t ON ((t.run_id =
        CASE
            WHEN (r.revision = ( SELECT max(revision.revision) AS max
               FROM tenant_example.revision
              WHERE (revision.state = 'published'::text))) THEN COALESCE(r.checked_run_id, r.run_id)
            ELSE r.run_id
        END)))
  WHERE (r.state = 'published'::text);

CREATE FUNCTION tenant_example.graph_v1_routes(node_id text) RETURNS SETOF tenant_example.graph_v1_route_step
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 WITH RECURSIVE walk(ids, moves, kinds, sources, states, reads) AS (
          SELECT ARRAY[(graph_v1_routes.node_id COLLATE "C")] AS "array",
             ARRAY[]::integer[] AS "array",
             ARRAY[]::text[] AS "array",
             (ARRAY[]::text[] COLLATE "C") AS "array",
             ARRAY[]::text[] AS "array",
             ARRAY[]::text[] AS "array"
         UNION ALL
          SELECT (w.ids || s.next),
             (w.moves || m.move),
             (w.kinds || m.kind),
             (w.sources || s.source),
             (w.states || s.state),
             (w.reads || s.read_table)
            FROM ((walk w
              JOIN tenant_example.routing_move m ON (((m.at_table = split_part(w.ids[cardinality(w.ids)], ':'::text, 1)) AND ((m.only_after IS NULL) OR (w.kinds[cardinality(w.kinds)] = ANY (m.only_after)) OR ((m.only_after = '{}'::text[]) AND (w.kinds = '{}'::text[]))) AND ((m.never_after IS NULL) OR (w.kinds = '{}'::text[]) OR (w.kinds[cardinality(w.kinds)] <> ALL (m.never_after))))))
              CROSS JOIN LATERAL ( SELECT t.at,
                     t.direction,
                     t.kind,
                     t.next,
                     t.source,
                     t.state,
                     t.read_table
                    FROM tenant_example.routing_step t
                   WHERE ((t.at = w.ids[cardinality(w.ids)]) AND (t.direction = m.direction) AND (t.kind = m.kind) AND ((m.next_table IS NULL) OR (split_part(t.next, ':'::text, 1) = m.next_table)))
                  OFFSET 0) s)
           WHERE ((cardinality(w.ids) <= 12) AND (s.next <> ALL (w.ids)))
         ), found AS MATERIALIZED (
          SELECT row_number() OVER (ORDER BY (cardinality(w.ids)), w.ids, w.moves, w.sources) AS route,
             w.ids,
             w.moves,
             w.kinds,
             w.sources,
             w.states,
             w.reads
            FROM walk w
           WHERE (((split_part(w.ids[cardinality(w.ids)], ':'::text, 1) = 'sys_user_group'::text) OR (w.kinds[cardinality(w.kinds)] = ANY (ARRAY['RUNS_WORKFLOW'::text, 'RUNS_FLOW'::text]))) AND (w.kinds <> '{}'::text[]) AND (NOT ((w.kinds[cardinality(w.kinds)] = 'NAMES'::text) AND COALESCE(( SELECT bool_and((e.kind = 'MATCHES_FOR'::text)) AS bool_and
                    FROM ((unnest(
                         CASE
                             WHEN (cardinality(w.ids) > 2) THEN ARRAY( SELECT i.id
                                FROM unnest(w.ids) i(id)
                               WHERE (split_part(i.id, ':'::text, 1) = 'dl_definition'::text))
                             ELSE ARRAY( SELECT looks.from_id
                                FROM (tenant_example.edge lies
                                  JOIN tenant_example.edge looks ON ((looks.to_id = lies.to_id)))
                               WHERE ((lies.from_id = w.ids[1]) AND (lies.kind = 'ROW_OF'::text) AND (looks.kind = 'LOOKS_IN'::text)))
                         END) l(id)
                      CROSS JOIN LATERAL ( SELECT b.kind,
                             b.from_id
                            FROM tenant_example.edge b
                           WHERE ((b.to_id = l.id) AND (b.kind = ANY (ARRAY['MATCHES_FOR'::text, 'SETS_FOR'::text])))
                          OFFSET 0) e)
                      CROSS JOIN LATERAL ( SELECT c.attributes
                            FROM tenant_example.node c
                           WHERE (c.node_id = e.from_id)
                          OFFSET 0) n)
                   WHERE ((n.attributes ->> 'matcher_table_field'::text) = split_part(w.sources[cardinality(w.sources)], ':'::text, 3))), false))))
         ), verdict AS MATERIALIZED (
          SELECT t.table_name,
             t.verdict
            FROM tenant_example.graph_v1_tables t
           WHERE (t.revision = ( SELECT max(r.revision) AS max
                    FROM tenant_example.graph_v1_revisions r))
         ), step AS MATERIALIZED (
          SELECT f.route,
             i.step,
             f.moves[i.step] AS move,
             f.ids[i.step] AS from_id,
             f.ids[(i.step + 1)] AS to_id,
             f.sources[i.step] AS source,
             f.states[i.step] AS state,
             f.reads[i.step] AS read_table,
             (i.step = cardinality(f.kinds)) AS is_last
            FROM (found f
              CROSS JOIN LATERAL generate_subscripts(f.kinds, 1) i(step))
         ), rival AS MATERIALIZED (
          SELECT r.at,
             r.rule,
             (
                 CASE
                     WHEN (r.place IS NULL) THEN count(*) OVER (PARTITION BY r.at)
                     ELSE count(*) OVER (PARTITION BY r.at ORDER BY r.place NULLS FIRST)
                 END > 1) AS is_late
            FROM ( SELECT e.to_id AS at,
                     e.from_id AS rule,
                         CASE
                             WHEN ((n.attributes ->> 'order'::text) ~ '^-?[0-9]{1,9}$'::text) THEN ((n.attributes ->> 'order'::text))::integer
                             ELSE NULL::integer
                         END AS place
                    FROM ((( SELECT DISTINCT s.from_id
                            FROM step s
                           WHERE (s.move = 17)) t
                      CROSS JOIN LATERAL ( SELECT a.from_id,
                             a.to_id
                            FROM tenant_example.edge a
                           WHERE ((a.to_id = t.from_id) AND (a.kind = 'APPLIES_TO'::text))
                          OFFSET 0) e)
                      JOIN tenant_example.node n ON ((n.node_id = e.from_id)))
                   WHERE ((split_part(e.from_id, ':'::text, 1) = 'sysrule_assignment'::text) AND ((n.attributes ->> 'active'::text) IS DISTINCT FROM 'false'::text))) r
         ), ends AS MATERIALIZED (
          SELECT s.route,
             s.step,
             s.move,
             s.from_id,
             s.to_id,
             s.source,
             s.state,
             s.read_table,
             s.is_last,
             m.direction,
             m.kind,
             m.engine,
             m.reason,
             a.name AS from_name,
             b.name AS to_name,
             substr(s.from_id, (strpos(s.from_id, ':'::text) + 1)) AS from_key,
             substr(s.to_id, (strpos(s.to_id, ':'::text) + 1)) AS to_key,
                 CASE
                     WHEN (s.move = ANY (ARRAY[2, 3, 17, 21, 24])) THEN (b.attributes ->> 'order'::text)
                     ELSE NULL::text
                 END AS place,
                 CASE
                     WHEN (s.step = 1) THEN a.attributes
                     ELSE NULL::jsonb
                 END AS begins,
             b.attributes AS leads,
             split_part(s.from_id, ':'::text, 1) AS from_table,
             split_part(s.to_id, ':'::text, 1) AS to_table,
             COALESCE(v.is_late, false) AS is_late
            FROM ((((step s
              JOIN tenant_example.routing_move m USING (move))
              LEFT JOIN tenant_example.node a ON ((a.node_id = s.from_id)))
              LEFT JOIN tenant_example.node b ON ((b.node_id = s.to_id)))
              LEFT JOIN rival v ON (((s.move = 17) AND (v.at = s.from_id) AND (v.rule = s.to_id))))
         ), rests AS MATERIALIZED (
          SELECT t.read_table,
             t.source_table,
             t.ruled,
             string_agg(format('table %s is %s'::text, k.name, COALESCE(v.verdict, 'not read'::text)), '; '::text ORDER BY (k.name COLLATE "C")) AS told
            FROM ((( SELECT DISTINCT s.read_table,
                     split_part(s.source, ':'::text, 1) AS source_table,
                         CASE
                             WHEN (s.move = ANY (ARRAY[17, 18, 23])) THEN s.from_id
                             ELSE ''::text
                         END AS ruled
                    FROM step s) t
              CROSS JOIN LATERAL ( SELECT a.name,
                     bool_or(a.is_own) AS is_own
                    FROM ( SELECT t.read_table AS name,
                             true AS is_own
                         UNION ALL
                          SELECT t.source_table,
                             true
                         UNION ALL
                          SELECT o.name,
                             false
                            FROM unnest(ARRAY['sysrule_assignment'::text, 'dl_definition'::text, 'dl_matcher'::text, 'awa_service_channel'::text, 'awa_queue'::text, 'awa_eligibility_pool'::text]) o(name)
                           WHERE (t.ruled <> ''::text)
                         UNION ALL
                          SELECT substr(looks.to_id, (strpos(looks.to_id, ':'::text) + 1)) AS substr,
                             false
                            FROM ((tenant_example.edge rules
                              JOIN tenant_example.edge looks ON (((looks.from_id = rules.from_id) AND (looks.kind = 'LOOKS_IN'::text))))
                              LEFT JOIN tenant_example.node n ON ((n.node_id = rules.from_id)))
                           WHERE ((rules.to_id = t.ruled) AND (rules.kind = 'APPLIES_TO'::text) AND ((n.attributes ->> 'active'::text) IS DISTINCT FROM 'false'::text))) a
                   GROUP BY a.name) k)
              LEFT JOIN verdict v ON ((v.table_name = k.name)))
           WHERE ((COALESCE(v.verdict, 'unknown'::text) <> 'complete'::text) AND (k.is_own OR (v.verdict IS DISTINCT FROM 'absent'::text)))
           GROUP BY t.read_table, t.source_table, t.ruled
         ), engine AS MATERIALIZED (
          SELECT DISTINCT e.engine
            FROM ends e
           WHERE (e.is_last AND (NOT (EXISTS ( SELECT
                    FROM ends other
                   WHERE ((other.route = e.route) AND ((('false'::text = (other.begins ->> 'active'::text)) OR ('false'::text = (other.leads ->> 'active'::text))) IS TRUE))))))
         ), others AS MATERIALIZED (
          SELECT e.engine,
             ( SELECT string_agg(o.engine, ', '::text ORDER BY (o.engine COLLATE "C")) AS string_agg
                    FROM engine o
                   WHERE (o.engine <> e.engine)) AS told
            FROM ( SELECT DISTINCT d.engine
                    FROM ends d
                   WHERE d.is_last) e
         ), judged AS MATERIALIZED (
          SELECT e.route,
             e.step,
             e.move,
             e.from_id,
             e.to_id,
             e.source,
             e.state,
             e.read_table,
             e.is_last,
             e.direction,
             e.kind,
             e.engine,
             e.reason,
             e.from_name,
             e.to_name,
             e.from_key,
             e.to_key,
             e.place,
             e.begins,
             e.leads,
             e.from_table,
             e.to_table,
             e.is_late,
             array_remove(ARRAY[
                 CASE
                     WHEN (e.engine = ANY (ARRAY['a workflow'::text, 'a flow'::text])) THEN 'what it assigns is never read'::text
                     ELSE NULL::text
                 END,
                 CASE
                     WHEN ((e.begins ->> 'active'::text) = 'false'::text) THEN 'the start is inactive'::text
                     ELSE NULL::text
                 END,
                 CASE
                     WHEN ((e.leads ->> 'active'::text) = 'false'::text) THEN 'it is inactive'::text
                     ELSE NULL::text
                 END,
                 CASE
                     WHEN ((e.state <> 'resolved'::text) AND (e.direction = 'out'::text) AND (e.kind !~ '^RUNS_'::text) AND (e.to_table <> 'sys_db_object'::text)) THEN ('the other end is '::text || e.state)
                     ELSE NULL::text
                 END, t.begin_condition, t.begin_script, NULLIF(t.lead_condition, t.begin_condition), NULLIF(t.lead_script, t.begin_script),
                 CASE
                     WHEN (e.move = 21) THEN 'only for records that the row fits'::text
                     ELSE NULL::text
                 END,
                 CASE
                     WHEN e.is_late THEN 'unless an earlier rule matches'::text
                     ELSE NULL::text
                 END, r.told,
                 CASE
                     WHEN e.is_last THEN (('so may '::text || o.told) || ', in no defined order'::text)
                     ELSE NULL::text
                 END], NULL::text) AS notes
            FROM (((ends e
              CROSS JOIN LATERAL ( SELECT ('only if '::text || NULLIF((e.begins ->> 'condition'::text), ''::text)) AS begin_condition,
                     ('only if '::text || NULLIF((e.leads ->> 'condition'::text), ''::text)) AS lead_condition,
                         CASE
                             WHEN ((e.begins ->> 'opaque'::text) = 'true'::text) THEN 'a script decides, which is never read'::text
                             WHEN ((e.step = 1) AND ((e.begins ->> 'opaque'::text) IS NULL) AND (e.from_table = ANY (ARRAY['sysrule_assignment'::text, 'sc_cat_item_delivery_plan'::text, 'sc_cat_item_delivery_task'::text, 'awa_queue'::text]))) THEN 'whether a script decides is not known'::text
                             ELSE NULL::text
                         END AS begin_script,
                         CASE
                             WHEN ((e.leads ->> 'opaque'::text) = 'true'::text) THEN 'a script decides, which is never read'::text
                             WHEN (((e.leads ->> 'opaque'::text) IS NULL) AND (e.to_table = ANY (ARRAY['sysrule_assignment'::text, 'sc_cat_item_delivery_plan'::text, 'sc_cat_item_delivery_task'::text, 'awa_queue'::text]))) THEN 'whether a script decides is not known'::text
                             ELSE NULL::text
                         END AS lead_script) t)
              LEFT JOIN rests r ON (((r.read_table = e.read_table) AND (r.source_table = split_part(e.source, ':'::text, 1)) AND (r.ruled =
                 CASE
                     WHEN (e.move = ANY (ARRAY[17, 18, 23])) THEN e.from_id
                     ELSE ''::text
                 END))))
              LEFT JOIN others o ON ((o.engine = e.engine)))
         )
  SELECT (c.c)::bigint AS c,
     (c.c)::integer AS c,
     c.c,
     c.c,
     c.c,
     c.c,
     (c.c)::boolean AS c,
     c.c
    FROM tenant_example.check_node(graph_v1_routes.node_id) c(c)
 UNION ALL
  SELECT j.route,
     j.step,
     j.from_id,
     j.kind,
     j.to_id,
     ((format(j.reason, COALESCE(((''''::text || j.from_name) || ''''::text), '?'::text), COALESCE(((''''::text || j.to_name) || ''''::text), '?'::text), j.from_key, j.to_key, split_part(j.source, ':'::text, 3)) || COALESCE(((' (order '::text || NULLIF(j.place, ''::text)) || ')'::text), ''::text)) ||
         CASE
             WHEN (j.notes = '{}'::text[]) THEN ''::text
             ELSE ('; '::text || array_to_string(j.notes, '; '::text))
         END),
     (j.notes = '{}'::text[]),
     j.direction
    FROM judged j;
END;

CREATE FUNCTION tenant_example.keep_revision() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    IF current_user <> tg_table_schema THEN RETURN NEW; END IF;
    IF tg_op = 'UPDATE' AND OLD.state = NEW.state THEN
        NEW.published_at := OLD.published_at;
    ELSIF tg_op = 'UPDATE' AND OLD.state <> 'quarantined' THEN
        RAISE EXCEPTION 'a revision that is % stays so', OLD.state USING ERRCODE = 'insufficient_privilege';
    ELSE
        NEW.published_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION tenant_example.prune_history(batch integer) RETURNS TABLE(nodes bigint, edges bigint, findings bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    oldest bigint := (SELECT min(f.revision) FROM "tenant_example".feed f);
BEGIN
    DELETE FROM "tenant_example".node_history WHERE ctid = ANY (ARRAY(
        SELECT h.ctid FROM "tenant_example".node_history h WHERE h.until <= oldest LIMIT batch));
    GET DIAGNOSTICS nodes = ROW_COUNT;
    DELETE FROM "tenant_example".edge_history WHERE ctid = ANY (ARRAY(
        SELECT h.ctid FROM "tenant_example".edge_history h WHERE h.until <= oldest LIMIT batch));
    GET DIAGNOSTICS edges = ROW_COUNT;
    DELETE FROM "tenant_example".finding_history WHERE ctid = ANY (ARRAY(
        SELECT h.ctid FROM "tenant_example".finding_history h WHERE h.until <= oldest LIMIT batch));
    GET DIAGNOSTICS findings = ROW_COUNT;
    RETURN NEXT;
END
$$;

CREATE TABLE tenant_example.described (
    tables text[] NOT NULL,
    run_id uuid NOT NULL,
    columns jsonb NOT NULL,
    counted bigint NOT NULL,
    newest text NOT NULL,
    changes bigint NOT NULL,
    checked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY tenant_example.described FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.feed (
    number bigint NOT NULL,
    revision bigint NOT NULL,
    published_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    added bigint NOT NULL,
    changed bigint NOT NULL,
    removed bigint NOT NULL
);

ALTER TABLE ONLY tenant_example.feed FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.finding_basis (
    table_name text NOT NULL COLLATE pg_catalog."C",
    verdict text NOT NULL
);

ALTER TABLE ONLY tenant_example.finding_basis FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.gone (
    run_id uuid NOT NULL,
    table_name text NOT NULL,
    sys_id text NOT NULL COLLATE pg_catalog."C",
    fate text,
    CONSTRAINT gone_fate CHECK ((fate = ANY (ARRAY['deleted'::text, 'hidden'::text, 'unknown'::text, 'moved'::text])))
);

ALTER TABLE ONLY tenant_example.gone FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.reference (
    reference uuid DEFAULT gen_random_uuid() NOT NULL
);

ALTER TABLE ONLY tenant_example.reference FORCE ROW LEVEL SECURITY;

CREATE VIEW tenant_example.graph_v1_feed WITH (security_invoker='true') AS
 SELECT f.number,
    f.revision,
    f.published_at,
    f.added,
    f.changed,
    f.removed,
    r.reference
   FROM (tenant_example.feed f
     CROSS JOIN tenant_example.reference r);

CREATE TABLE tenant_example.isolation_canary (
    is_the_one boolean DEFAULT true NOT NULL,
    marker uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT isolation_canary_is_one_row CHECK (is_the_one)
);

ALTER TABLE ONLY tenant_example.isolation_canary FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.missing (
    node_id text NOT NULL COLLATE pg_catalog."C",
    fate text NOT NULL,
    CONSTRAINT missing_fate CHECK ((fate = ANY (ARRAY['deleted'::text, 'hidden'::text])))
);

ALTER TABLE ONLY tenant_example.missing FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.record (
    table_name text NOT NULL COLLATE pg_catalog."C",
    sys_id text NOT NULL COLLATE pg_catalog."C",
    mod_count bigint,
    updated_on text COLLATE pg_catalog."C"
)
WITH (fillfactor='90');

ALTER TABLE ONLY tenant_example.record FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.retention (
    is_the_one boolean DEFAULT true NOT NULL,
    holder text,
    lease_until timestamp with time zone,
    done_at timestamp with time zone,
    CONSTRAINT retention_is_one_row CHECK (is_the_one)
);

ALTER TABLE ONLY tenant_example.retention FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.schema_version (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY tenant_example.schema_version FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.staged_page (
    run_id uuid NOT NULL,
    table_name text NOT NULL,
    page integer NOT NULL,
    depth integer NOT NULL,
    nodes jsonb NOT NULL,
    edges jsonb NOT NULL,
    base text,
    keys jsonb,
    scanned boolean DEFAULT false NOT NULL
);
ALTER TABLE ONLY tenant_example.staged_page ALTER COLUMN nodes SET STORAGE EXTERNAL;
ALTER TABLE ONLY tenant_example.staged_page ALTER COLUMN edges SET STORAGE EXTERNAL;
ALTER TABLE ONLY tenant_example.staged_page ALTER COLUMN keys SET STORAGE EXTERNAL;

ALTER TABLE ONLY tenant_example.staged_page FORCE ROW LEVEL SECURITY;

CREATE TABLE tenant_example.table_state (
    table_name text NOT NULL COLLATE pg_catalog."C",
    shape text NOT NULL,
    verdict text NOT NULL,
    hidden bigint NOT NULL,
    reason text,
    rows bigint NOT NULL,
    counted bigint NOT NULL,
    newest text NOT NULL,
    changes bigint NOT NULL,
    as_of timestamp with time zone NOT NULL,
    checked_at timestamp with time zone NOT NULL,
    runs_since_scan integer NOT NULL,
    runs_since_whole integer NOT NULL,
    CONSTRAINT table_state_verdict CHECK ((verdict = ANY (ARRAY['complete'::text, 'hidden'::text])))
)
WITH (fillfactor='50');

ALTER TABLE ONLY tenant_example.table_state FORCE ROW LEVEL SECURITY;

ALTER TABLE ONLY tenant_example.described
    ADD CONSTRAINT described_pkey PRIMARY KEY (tables);

ALTER TABLE ONLY tenant_example.edge_history
    ADD CONSTRAINT edge_history_pkey PRIMARY KEY (from_id, kind, to_id, source, since);

ALTER TABLE ONLY tenant_example.edge
    ADD CONSTRAINT edge_pkey PRIMARY KEY (from_id, kind, to_id, source);

ALTER TABLE ONLY tenant_example.feed
    ADD CONSTRAINT feed_pkey PRIMARY KEY (number);

ALTER TABLE ONLY tenant_example.finding_basis
    ADD CONSTRAINT finding_basis_pkey PRIMARY KEY (table_name);

ALTER TABLE ONLY tenant_example.finding_history
    ADD CONSTRAINT finding_history_pkey PRIMARY KEY (finding, node_id, about, since);

ALTER TABLE ONLY tenant_example.finding
    ADD CONSTRAINT finding_pkey PRIMARY KEY (finding, node_id, about);

ALTER TABLE ONLY tenant_example.gone
    ADD CONSTRAINT gone_pkey PRIMARY KEY (run_id, table_name, sys_id);

ALTER TABLE ONLY tenant_example.isolation_canary
    ADD CONSTRAINT isolation_canary_pkey PRIMARY KEY (is_the_one);

ALTER TABLE ONLY tenant_example.missing
    ADD CONSTRAINT missing_pkey PRIMARY KEY (node_id);

ALTER TABLE ONLY tenant_example.node_history
    ADD CONSTRAINT node_history_pkey PRIMARY KEY (node_id, since);

ALTER TABLE ONLY tenant_example.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (node_id);

ALTER TABLE ONLY tenant_example.record
    ADD CONSTRAINT record_pkey PRIMARY KEY (table_name, sys_id);

ALTER TABLE ONLY tenant_example.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (is_the_one);

ALTER TABLE ONLY tenant_example.revision
    ADD CONSTRAINT revision_pkey PRIMARY KEY (revision);

ALTER TABLE ONLY tenant_example.revision
    ADD CONSTRAINT revision_run_id_key UNIQUE (run_id);

ALTER TABLE ONLY tenant_example.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);

ALTER TABLE ONLY tenant_example.staged_page
    ADD CONSTRAINT staged_page_pkey PRIMARY KEY (run_id, table_name, page);

ALTER TABLE ONLY tenant_example.table_read
    ADD CONSTRAINT table_read_pkey PRIMARY KEY (run_id, table_name);

ALTER TABLE ONLY tenant_example.table_state
    ADD CONSTRAINT table_state_pkey PRIMARY KEY (table_name);

CREATE INDEX edge_history_since ON tenant_example.edge_history USING btree (since);

CREATE INDEX edge_history_to ON tenant_example.edge_history USING btree (to_id);

CREATE INDEX edge_history_until ON tenant_example.edge_history USING btree (until);

CREATE INDEX edge_since ON tenant_example.edge USING brin (since int8_minmax_multi_ops) WITH (pages_per_range='8', autosummarize='on');

CREATE INDEX edge_to ON tenant_example.edge USING btree (to_id);

CREATE INDEX feed_of_revision ON tenant_example.feed USING btree (revision);

CREATE INDEX finding_history_until ON tenant_example.finding_history USING btree (until);

CREATE INDEX finding_node ON tenant_example.finding USING btree (node_id);

CREATE INDEX node_history_since ON tenant_example.node_history USING btree (since);

CREATE INDEX node_history_until ON tenant_example.node_history USING btree (until);

CREATE INDEX node_since ON tenant_example.node USING brin (since int8_minmax_multi_ops) WITH (pages_per_range='8', autosummarize='on');

CREATE TRIGGER revision_stays BEFORE INSERT OR UPDATE ON tenant_example.revision FOR EACH ROW EXECUTE FUNCTION tenant_example.keep_revision();

ALTER TABLE ONLY tenant_example.feed
    ADD CONSTRAINT feed_revision_fkey FOREIGN KEY (revision) REFERENCES tenant_example.revision(revision);

ALTER TABLE tenant_example.described ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.edge ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.edge_history ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.feed ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.finding ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.finding_basis ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.finding_history ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.gone ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.isolation_canary ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.missing ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.node ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.node_history ENABLE ROW LEVEL SECURITY;

CREATE POLICY owner ON tenant_example.schema_version TO zaptik_owner USING (true);

CREATE POLICY reader ON tenant_example.edge FOR SELECT TO reader_example USING (true);

CREATE POLICY reader ON tenant_example.edge_history FOR SELECT TO reader_example USING (true);

CREATE POLICY reader ON tenant_example.feed FOR SELECT TO reader_example USING (true);

CREATE POLICY reader ON tenant_example.finding FOR SELECT TO reader_example USING (true);

CREATE POLICY reader ON tenant_example.finding_history FOR SELECT TO reader_example USING (true);

CREATE POLICY reader ON tenant_example.node FOR SELECT TO reader_example USING (true);

CREATE POLICY reader ON tenant_example.node_history FOR SELECT TO reader_example USING (true);

CREATE POLICY reader ON tenant_example.reference FOR SELECT TO reader_example USING (true);

CREATE POLICY reader ON tenant_example.revision FOR SELECT TO reader_example USING ((state = 'published'::text));

CREATE POLICY reader ON tenant_example.table_read FOR SELECT TO reader_example USING ((run_id IN ( SELECT unnest(ARRAY[r.run_id, r.checked_run_id]) AS unnest
   FROM tenant_example.revision r
  WHERE (r.state = 'published'::text))));

ALTER TABLE tenant_example.record ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.reference ENABLE ROW LEVEL SECURITY;

CREATE POLICY retention ON tenant_example.edge_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(f.revision) AS min
   FROM tenant_example.feed f))));

CREATE POLICY retention ON tenant_example.feed FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (published_at < (clock_timestamp() - '364 days'::interval))));

CREATE POLICY retention ON tenant_example.finding_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(f.revision) AS min
   FROM tenant_example.feed f))));

CREATE POLICY retention ON tenant_example.node_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(f.revision) AS min
   FROM tenant_example.feed f))));

ALTER TABLE tenant_example.retention ENABLE ROW LEVEL SECURITY;

CREATE POLICY retention ON tenant_example.revision FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (state <> 'quarantined'::text) AND (published_at < (clock_timestamp() - '364 days'::interval))));

CREATE POLICY retention_sees ON tenant_example.edge_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(f.revision) AS min
   FROM tenant_example.feed f))));

CREATE POLICY retention_sees ON tenant_example.feed FOR SELECT TO zaptik_owner USING ((current_setting('role'::text) = 'tenant_example'::text));

CREATE POLICY retention_sees ON tenant_example.finding_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(f.revision) AS min
   FROM tenant_example.feed f))));

CREATE POLICY retention_sees ON tenant_example.node_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(f.revision) AS min
   FROM tenant_example.feed f))));

CREATE POLICY retention_sees ON tenant_example.revision FOR SELECT TO zaptik_owner USING ((current_setting('role'::text) = 'tenant_example'::text));

ALTER TABLE tenant_example.revision ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.schema_version ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.staged_page ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.table_read ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.table_state ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant ON tenant_example.described TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.edge TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.edge_history TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.feed TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.finding TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.finding_basis TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.finding_history TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.gone TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.isolation_canary FOR SELECT TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.missing TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.node TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.node_history TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.record TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.reference FOR SELECT TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.retention TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.revision TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.schema_version TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.staged_page TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.table_read TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.table_state TO tenant_example USING (true);

GRANT USAGE ON SCHEMA tenant_example TO tenant_example;
GRANT USAGE ON SCHEMA tenant_example TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.check_node(wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.check_node(wanted text) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.check_node(wanted text) TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.check_revision(wanted bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.check_revision(wanted bigint) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.check_revision(wanted bigint) TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.forget_revisions(keep_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.forget_revisions(keep_days integer) TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.edge TO tenant_example;
GRANT SELECT ON TABLE tenant_example.edge TO reader_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.node TO tenant_example;
GRANT SELECT ON TABLE tenant_example.node TO reader_example;

GRANT SELECT ON TABLE tenant_example.routing_move TO tenant_example;
GRANT SELECT ON TABLE tenant_example.routing_move TO reader_example;

GRANT SELECT ON TABLE tenant_example.routing_step TO tenant_example;
GRANT SELECT ON TABLE tenant_example.routing_step TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.graph_v1_affected(node_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.graph_v1_affected(node_id text) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.graph_v1_affected(node_id text) TO reader_example;

GRANT SELECT,INSERT ON TABLE tenant_example.edge_history TO tenant_example;
GRANT SELECT ON TABLE tenant_example.edge_history TO reader_example;

GRANT SELECT,INSERT ON TABLE tenant_example.node_history TO tenant_example;
GRANT SELECT ON TABLE tenant_example.node_history TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.graph_v1_diff(from_revision bigint, to_revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.graph_v1_diff(from_revision bigint, to_revision bigint) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.graph_v1_diff(from_revision bigint, to_revision bigint) TO reader_example;

GRANT SELECT ON TABLE tenant_example.graph_v1_edges TO tenant_example;
GRANT SELECT ON TABLE tenant_example.graph_v1_edges TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.graph_v1_edges_at(revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.graph_v1_edges_at(revision bigint) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.graph_v1_edges_at(revision bigint) TO reader_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.finding TO tenant_example;
GRANT SELECT ON TABLE tenant_example.finding TO reader_example;

GRANT SELECT,INSERT ON TABLE tenant_example.finding_history TO tenant_example;
GRANT SELECT ON TABLE tenant_example.finding_history TO reader_example;

GRANT SELECT ON TABLE tenant_example.graph_v1_findings TO tenant_example;
GRANT SELECT ON TABLE tenant_example.graph_v1_findings TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.graph_v1_findings_at(revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.graph_v1_findings_at(revision bigint) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.graph_v1_findings_at(revision bigint) TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.graph_v1_neighbours(node_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.graph_v1_neighbours(node_id text) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.graph_v1_neighbours(node_id text) TO reader_example;

GRANT SELECT ON TABLE tenant_example.graph_v1_nodes TO tenant_example;
GRANT SELECT ON TABLE tenant_example.graph_v1_nodes TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.graph_v1_nodes_at(revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.graph_v1_nodes_at(revision bigint) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.graph_v1_nodes_at(revision bigint) TO reader_example;

GRANT SELECT,INSERT ON TABLE tenant_example.revision TO tenant_example;

GRANT SELECT(revision) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(run_id) ON TABLE tenant_example.revision TO reader_example;

GRANT UPDATE(state) ON TABLE tenant_example.revision TO tenant_example;
GRANT SELECT(state) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(as_of) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(complete_as_of) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(published_at) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(nodes) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(edges) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(added) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(changed) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(removed) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT(digest) ON TABLE tenant_example.revision TO reader_example;

GRANT UPDATE(checked_run_id) ON TABLE tenant_example.revision TO tenant_example;
GRANT SELECT(checked_run_id) ON TABLE tenant_example.revision TO reader_example;

GRANT UPDATE(checked_as_of) ON TABLE tenant_example.revision TO tenant_example;
GRANT SELECT(checked_as_of) ON TABLE tenant_example.revision TO reader_example;

GRANT UPDATE(checked_complete_as_of) ON TABLE tenant_example.revision TO tenant_example;
GRANT SELECT(checked_complete_as_of) ON TABLE tenant_example.revision TO reader_example;

GRANT SELECT ON TABLE tenant_example.graph_v1_revisions TO tenant_example;
GRANT SELECT ON TABLE tenant_example.graph_v1_revisions TO reader_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.table_read TO tenant_example;

GRANT SELECT(run_id) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT(table_name) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT(rows) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT(hidden) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT(read) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT(verdict) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT(reason) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT(as_of) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT(known) ON TABLE tenant_example.table_read TO reader_example;

GRANT SELECT ON TABLE tenant_example.graph_v1_tables TO tenant_example;
GRANT SELECT ON TABLE tenant_example.graph_v1_tables TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.graph_v1_routes(node_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.graph_v1_routes(node_id text) TO tenant_example;
GRANT ALL ON FUNCTION tenant_example.graph_v1_routes(node_id text) TO reader_example;

REVOKE ALL ON FUNCTION tenant_example.keep_revision() FROM PUBLIC;

REVOKE ALL ON FUNCTION tenant_example.prune_history(batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.prune_history(batch integer) TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.described TO tenant_example;

GRANT SELECT,INSERT ON TABLE tenant_example.feed TO tenant_example;
GRANT SELECT ON TABLE tenant_example.feed TO reader_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.finding_basis TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.gone TO tenant_example;

GRANT SELECT ON TABLE tenant_example.reference TO reader_example;
GRANT SELECT ON TABLE tenant_example.reference TO tenant_example;

GRANT SELECT ON TABLE tenant_example.graph_v1_feed TO tenant_example;
GRANT SELECT ON TABLE tenant_example.graph_v1_feed TO reader_example;

GRANT SELECT ON TABLE tenant_example.isolation_canary TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.missing TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.record TO tenant_example;

GRANT SELECT ON TABLE tenant_example.retention TO tenant_example;

GRANT UPDATE(holder) ON TABLE tenant_example.retention TO tenant_example;

GRANT UPDATE(lease_until) ON TABLE tenant_example.retention TO tenant_example;

GRANT UPDATE(done_at) ON TABLE tenant_example.retention TO tenant_example;

GRANT SELECT ON TABLE tenant_example.schema_version TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.staged_page TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.table_state TO tenant_example;
