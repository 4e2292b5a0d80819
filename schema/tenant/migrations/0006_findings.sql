-- What a revision has that somebody should look at, and how what was leaves again.

-- Findings as they are; `since` is the revision they came with. `about` is the other end or the rule that stands in
-- the way, where there is one. `rests_on` are the tables whose verdicts a finding is as good as.
CREATE TABLE {tenant}.finding (
    finding text COLLATE "C" NOT NULL,
    node_id text COLLATE "C" NOT NULL,
    about text COLLATE "C" NOT NULL,
    detail jsonb NOT NULL,
    certain boolean NOT NULL,
    rests_on text[] NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (finding, node_id, about)
) WITH (fillfactor = 90);
CREATE INDEX finding_node ON {tenant}.finding (node_id);

CREATE TABLE {tenant}.finding_history (
    finding text COLLATE "C" NOT NULL,
    node_id text COLLATE "C" NOT NULL,
    about text COLLATE "C" NOT NULL,
    detail jsonb NOT NULL,
    certain boolean NOT NULL,
    rests_on text[] NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (finding, node_id, about, since),
    CONSTRAINT finding_history_held CHECK (since < until)
);
CREATE INDEX finding_history_until ON {tenant}.finding_history (until);

-- The verdicts that the findings were judged by: where a run has the same and the graph did not change, so have they.
CREATE TABLE {tenant}.finding_basis (
    table_name text COLLATE "C" PRIMARY KEY,
    verdict text NOT NULL
);

-- Whose turn it is to let old revisions go, and when it was last done. One row.
CREATE TABLE {tenant}.retention (
    is_the_one boolean PRIMARY KEY DEFAULT true,
    holder text,
    lease_until timestamptz,
    done_at timestamptz,
    CONSTRAINT retention_is_one_row CHECK (is_the_one)
);
INSERT INTO {tenant}.retention DEFAULT VALUES;

GRANT SELECT, INSERT, UPDATE, DELETE ON {tenant}.finding, {tenant}.finding_basis TO {tenant};
GRANT SELECT, INSERT ON {tenant}.finding_history TO {tenant};
GRANT SELECT, UPDATE (holder, lease_until, done_at) ON {tenant}.retention TO {tenant};
DO $$
DECLARE
    relation regclass;
BEGIN
    FOREACH relation IN ARRAY ARRAY['{tenant}.finding', '{tenant}.finding_history', '{tenant}.finding_basis',
                                    '{tenant}.retention']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY tenant ON %s TO {tenant} USING (true)', relation);
    END LOOP;
END
$$;

-- For consumers: the findings of the revision in force, and those of any revision that is kept.
CREATE VIEW {tenant}.graph_v1_findings WITH (security_invoker) AS
    SELECT finding, node_id, detail, certain, rests_on FROM {tenant}.finding;
CREATE FUNCTION {tenant}.graph_v1_findings_at(revision bigint) RETURNS SETOF {tenant}.graph_v1_findings
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT h.finding, h.node_id, h.detail, h.certain, h.rests_on
    FROM (SELECT c AS finding, c AS node_id, c::jsonb AS detail, c = '' AS certain, ARRAY[c] AS rests_on,
                 length(c)::bigint AS since, octet_length(c)::bigint AS until FROM {tenant}.check_revision($1) c
          UNION ALL
          SELECT f.finding, f.node_id, f.detail, f.certain, f.rests_on, f.since, 9223372036854775807
          FROM {tenant}.finding f
          UNION ALL
          SELECT o.finding, o.node_id, o.detail, o.certain, o.rests_on, o.since, o.until
          FROM {tenant}.finding_history o) h
    WHERE h.since <= coalesce($1, 0) AND h.until > coalesce($1, 0);
END;
REVOKE ALL ON FUNCTION {tenant}.graph_v1_findings_at(bigint) FROM PUBLIC;
GRANT SELECT ON {tenant}.graph_v1_findings TO {tenant};
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_findings_at(bigint) TO {tenant}, {reader};
GRANT SELECT ON {tenant}.finding, {tenant}.finding_history, {tenant}.graph_v1_findings TO {reader};
CREATE POLICY reader ON {tenant}.finding FOR SELECT TO {reader} USING (true);
CREATE POLICY reader ON {tenant}.finding_history FOR SELECT TO {reader} USING (true);

-- Retention. The tenant's role adds to history and takes nothing away: two functions do, as the owner. To the owner
-- these policies show what may go, and that only while the tenant's role calls. A revision and its line in the feed
-- go after 29 days at the earliest, whatever a caller asks for; what was goes when no revision that is kept shows it.
-- Which are kept the feed tells: its lines can only be added, while a revision's state is the tenant's role's to
-- change.
DO $$
DECLARE
    called text := format('current_setting(''role'') = %L', trim('{tenant}', '"'));
    old text := 'published_at < clock_timestamp() - interval ''29 days''';
    unseen text := 'until <= (SELECT min(f.revision) FROM {tenant}.feed f)';
    relation regclass;
BEGIN
    EXECUTE format('CREATE POLICY retention_sees ON {tenant}.revision FOR SELECT TO zaptik_owner USING (%s)', called);
    EXECUTE format('CREATE POLICY retention ON {tenant}.revision FOR DELETE TO zaptik_owner '
                   'USING (%s AND state <> ''quarantined'' AND %s)', called, old);
    EXECUTE format('CREATE POLICY retention_sees ON {tenant}.feed FOR SELECT TO zaptik_owner USING (%s)', called);
    EXECUTE format('CREATE POLICY retention ON {tenant}.feed FOR DELETE TO zaptik_owner USING (%s AND %s)',
                   called, old);
    FOREACH relation IN ARRAY ARRAY['{tenant}.node_history', '{tenant}.edge_history',
                                    '{tenant}.finding_history']::regclass[] LOOP
        EXECUTE format('CREATE POLICY retention_sees ON %s FOR SELECT TO zaptik_owner USING (%s AND %s)',
                       relation, called, unseen);
        EXECUTE format('CREATE POLICY retention ON %s FOR DELETE TO zaptik_owner USING (%s AND %s)',
                       relation, called, unseen);
    END LOOP;
END
$$;

-- A revision that goes is looked for in the feed, which must not be read whole for each.
CREATE INDEX feed_of_revision ON {tenant}.feed (revision);

-- Let the revisions go that were published longer ago than so many days, and their lines in the feed. The revision in
-- force and one that waits for a person stay, however old. What only they showed is pruned after.
CREATE FUNCTION {tenant}.forget_revisions(keep_days integer)
RETURNS TABLE (oldest bigint, revisions bigint, feed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    kept_since timestamptz := clock_timestamp() - keep_days * interval '1 day';
BEGIN
    IF keep_days IS NULL OR keep_days < 30 THEN
        RAISE EXCEPTION 'revisions are kept for 30 days at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT coalesce(min(r.revision) FILTER (WHERE r.published_at >= kept_since), max(r.revision)) INTO oldest
    FROM {tenant}.revision r WHERE r.state = 'published';
    DELETE FROM {tenant}.feed f WHERE f.revision < oldest;
    GET DIAGNOSTICS feed = ROW_COUNT;
    DELETE FROM {tenant}.revision r WHERE r.revision < oldest AND r.state <> 'quarantined';
    GET DIAGNOSTICS revisions = ROW_COUNT;
    RETURN NEXT;
END
$$;

-- Delete at most so many rows of each history that no kept revision shows.
CREATE FUNCTION {tenant}.prune_history(batch integer)
RETURNS TABLE (nodes bigint, edges bigint, findings bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    oldest bigint := (SELECT min(f.revision) FROM {tenant}.feed f);
BEGIN
    DELETE FROM {tenant}.node_history WHERE ctid = ANY (ARRAY(
        SELECT h.ctid FROM {tenant}.node_history h WHERE h.until <= oldest LIMIT batch));
    GET DIAGNOSTICS nodes = ROW_COUNT;
    DELETE FROM {tenant}.edge_history WHERE ctid = ANY (ARRAY(
        SELECT h.ctid FROM {tenant}.edge_history h WHERE h.until <= oldest LIMIT batch));
    GET DIAGNOSTICS edges = ROW_COUNT;
    DELETE FROM {tenant}.finding_history WHERE ctid = ANY (ARRAY(
        SELECT h.ctid FROM {tenant}.finding_history h WHERE h.until <= oldest LIMIT batch));
    GET DIAGNOSTICS findings = ROW_COUNT;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION {tenant}.forget_revisions(integer), {tenant}.prune_history(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {tenant}.forget_revisions(integer), {tenant}.prune_history(integer) TO {tenant};
