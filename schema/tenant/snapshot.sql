-- Written by `python -m ops.snapshot` from the migrations: change those, not this page.
-- A tenant's schema, of a tenant called `example`. Owned by zaptik_owner.

CREATE SCHEMA tenant_example;

CREATE FUNCTION tenant_example.forget_revisions(keep_days integer) RETURNS TABLE(oldest bigint, revisions bigint, feed bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    kept_since timestamptz := clock_timestamp() - keep_days * interval '1 day';
BEGIN
    IF keep_days IS NULL OR keep_days < 30 THEN
        RAISE EXCEPTION 'revisions are kept for 30 days at least' USING ERRCODE = 'invalid_parameter_value';
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

CREATE FUNCTION tenant_example.graph_v1_findings_at(revision bigint) RETURNS TABLE(finding text, node_id text, detail jsonb, certain boolean, rests_on text[])
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
    SELECT f.finding, f.node_id, f.detail, f.certain, f.rests_on FROM "tenant_example".finding f WHERE f.since <= revision
    UNION ALL
    SELECT h.finding, h.node_id, h.detail, h.certain, h.rests_on FROM "tenant_example".finding_history h
    WHERE h.since <= revision AND h.until > revision
$$;

CREATE FUNCTION tenant_example.prune_history(batch integer) RETURNS TABLE(nodes bigint, edges bigint, findings bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    oldest bigint := (SELECT min(r.revision) FROM "tenant_example".revision r WHERE r.state = 'published');
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

CREATE TABLE tenant_example.feed (
    number bigint NOT NULL,
    revision bigint NOT NULL,
    published_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    added bigint NOT NULL,
    changed bigint NOT NULL,
    removed bigint NOT NULL
);

ALTER TABLE ONLY tenant_example.feed FORCE ROW LEVEL SECURITY;

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

CREATE TABLE tenant_example.finding_basis (
    table_name text NOT NULL COLLATE pg_catalog."C",
    verdict text NOT NULL
);

ALTER TABLE ONLY tenant_example.finding_basis FORCE ROW LEVEL SECURITY;

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

CREATE TABLE tenant_example.gone (
    run_id uuid NOT NULL,
    table_name text NOT NULL,
    sys_id text NOT NULL COLLATE pg_catalog."C",
    fate text,
    CONSTRAINT gone_fate CHECK ((fate = ANY (ARRAY['deleted'::text, 'hidden'::text, 'unknown'::text, 'moved'::text])))
);

ALTER TABLE ONLY tenant_example.gone FORCE ROW LEVEL SECURITY;

CREATE VIEW tenant_example.graph_v1_findings WITH (security_invoker='true') AS
 SELECT finding,
    node_id,
    detail,
    certain,
    rests_on
   FROM tenant_example.finding;

CREATE TABLE tenant_example.missing (
    node_id text NOT NULL COLLATE pg_catalog."C",
    fate text NOT NULL,
    CONSTRAINT missing_fate CHECK ((fate = ANY (ARRAY['deleted'::text, 'hidden'::text])))
);

ALTER TABLE ONLY tenant_example.missing FORCE ROW LEVEL SECURITY;

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

CREATE TABLE tenant_example.record (
    table_name text NOT NULL COLLATE pg_catalog."C",
    sys_id text NOT NULL COLLATE pg_catalog."C",
    mod_count bigint NOT NULL,
    updated_on text NOT NULL COLLATE pg_catalog."C"
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
    CONSTRAINT revision_state CHECK ((state = ANY (ARRAY['published'::text, 'quarantined'::text, 'rejected'::text, 'superseded'::text])))
);

ALTER TABLE ONLY tenant_example.revision FORCE ROW LEVEL SECURITY;

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
    CONSTRAINT table_read_kind CHECK ((read = ANY (ARRAY['whole'::text, 'delta'::text, 'skipped'::text]))),
    CONSTRAINT table_read_verdict CHECK ((verdict = ANY (ARRAY['complete'::text, 'partial'::text, 'hidden'::text, 'denied'::text, 'absent'::text, 'failed'::text, 'unknown'::text]))),
    CONSTRAINT table_read_way CHECK ((way = ANY (ARRAY['whole'::text, 'delta'::text, 'scan'::text, 'fetch'::text, 'skipped'::text])))
);

ALTER TABLE ONLY tenant_example.table_read FORCE ROW LEVEL SECURITY;

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

CREATE INDEX edge_history_until ON tenant_example.edge_history USING btree (until);

CREATE INDEX edge_to ON tenant_example.edge USING btree (to_id);

CREATE INDEX feed_of_revision ON tenant_example.feed USING btree (revision);

CREATE INDEX finding_history_until ON tenant_example.finding_history USING btree (until);

CREATE INDEX finding_node ON tenant_example.finding USING btree (node_id);

CREATE INDEX node_history_until ON tenant_example.node_history USING btree (until);

ALTER TABLE ONLY tenant_example.feed
    ADD CONSTRAINT feed_revision_fkey FOREIGN KEY (revision) REFERENCES tenant_example.revision(revision);

ALTER TABLE tenant_example.edge ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.edge_history ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.feed ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.finding ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.finding_basis ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.finding_history ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.gone ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.missing ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.node ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.node_history ENABLE ROW LEVEL SECURITY;

CREATE POLICY owner ON tenant_example.schema_version TO zaptik_owner USING (true);

ALTER TABLE tenant_example.record ENABLE ROW LEVEL SECURITY;

CREATE POLICY retention ON tenant_example.edge_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(r.revision) AS min
   FROM tenant_example.revision r
  WHERE (r.state = 'published'::text)))));

CREATE POLICY retention ON tenant_example.feed FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (published_at < (clock_timestamp() - '29 days'::interval))));

CREATE POLICY retention ON tenant_example.finding_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(r.revision) AS min
   FROM tenant_example.revision r
  WHERE (r.state = 'published'::text)))));

CREATE POLICY retention ON tenant_example.node_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(r.revision) AS min
   FROM tenant_example.revision r
  WHERE (r.state = 'published'::text)))));

ALTER TABLE tenant_example.retention ENABLE ROW LEVEL SECURITY;

CREATE POLICY retention ON tenant_example.revision FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (state <> 'quarantined'::text) AND (published_at < (clock_timestamp() - '29 days'::interval))));

CREATE POLICY retention_sees ON tenant_example.edge_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(r.revision) AS min
   FROM tenant_example.revision r
  WHERE (r.state = 'published'::text)))));

CREATE POLICY retention_sees ON tenant_example.feed FOR SELECT TO zaptik_owner USING ((current_setting('role'::text) = 'tenant_example'::text));

CREATE POLICY retention_sees ON tenant_example.finding_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(r.revision) AS min
   FROM tenant_example.revision r
  WHERE (r.state = 'published'::text)))));

CREATE POLICY retention_sees ON tenant_example.node_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = 'tenant_example'::text) AND (until <= ( SELECT min(r.revision) AS min
   FROM tenant_example.revision r
  WHERE (r.state = 'published'::text)))));

CREATE POLICY retention_sees ON tenant_example.revision FOR SELECT TO zaptik_owner USING ((current_setting('role'::text) = 'tenant_example'::text));

ALTER TABLE tenant_example.revision ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.schema_version ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.staged_page ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.table_read ENABLE ROW LEVEL SECURITY;

ALTER TABLE tenant_example.table_state ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant ON tenant_example.edge TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.edge_history TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.feed TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.finding TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.finding_basis TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.finding_history TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.gone TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.missing TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.node TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.node_history TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.record TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.retention TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.revision TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.schema_version TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.staged_page TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.table_read TO tenant_example USING (true);

CREATE POLICY tenant ON tenant_example.table_state TO tenant_example USING (true);

GRANT USAGE ON SCHEMA tenant_example TO tenant_example;

REVOKE ALL ON FUNCTION tenant_example.forget_revisions(keep_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.forget_revisions(keep_days integer) TO tenant_example;

REVOKE ALL ON FUNCTION tenant_example.graph_v1_findings_at(revision bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.graph_v1_findings_at(revision bigint) TO tenant_example;

REVOKE ALL ON FUNCTION tenant_example.prune_history(batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION tenant_example.prune_history(batch integer) TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.edge TO tenant_example;

GRANT SELECT,INSERT ON TABLE tenant_example.edge_history TO tenant_example;

GRANT SELECT,INSERT ON TABLE tenant_example.feed TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.finding TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.finding_basis TO tenant_example;

GRANT SELECT,INSERT ON TABLE tenant_example.finding_history TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.gone TO tenant_example;

GRANT SELECT ON TABLE tenant_example.graph_v1_findings TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.missing TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.node TO tenant_example;

GRANT SELECT,INSERT ON TABLE tenant_example.node_history TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.record TO tenant_example;

GRANT SELECT ON TABLE tenant_example.retention TO tenant_example;

GRANT UPDATE(holder) ON TABLE tenant_example.retention TO tenant_example;

GRANT UPDATE(lease_until) ON TABLE tenant_example.retention TO tenant_example;

GRANT UPDATE(done_at) ON TABLE tenant_example.retention TO tenant_example;

GRANT SELECT,INSERT ON TABLE tenant_example.revision TO tenant_example;

GRANT UPDATE(state) ON TABLE tenant_example.revision TO tenant_example;

GRANT UPDATE(published_at) ON TABLE tenant_example.revision TO tenant_example;

GRANT SELECT ON TABLE tenant_example.schema_version TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.staged_page TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.table_read TO tenant_example;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenant_example.table_state TO tenant_example;
