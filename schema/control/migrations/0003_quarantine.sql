-- A run whose revision is quarantined may be taken again, to publish it as it is. It is claimed as any run is, with a
-- lease and a new fence, and only while no other run of its tenant lives.
CREATE FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision)
RETURNS TABLE (tenant_id uuid, tenant text, schema_name text, url text, mode text, attempt integer, fence bigint,
               started_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH claimed AS (
        UPDATE control.run r
        SET state = 'running', attempt = 1, fence = r.fence + 1, worker = by_worker, ended_at = NULL,
            lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 86400) * interval '1 second'
        FROM control.tenant t
        WHERE r.run_id = run AND r.state = 'quarantined' AND t.tenant_id = r.tenant_id
        RETURNING t.tenant_id, t.name, t.schema_name, t.url, r.mode, r.attempt, r.fence, r.started_at
    ), told AS (
        INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
        SELECT 'run.claimed', c.tenant_id, run,
               jsonb_build_object('attempt', c.attempt, 'fence', c.fence, 'worker', by_worker)
        FROM claimed c
    )
    SELECT c.tenant_id, c.name, c.schema_name, c.url, c.mode, c.attempt, c.fence, c.started_at FROM claimed c;
EXCEPTION
    WHEN unique_violation THEN RETURN;  -- another run of the tenant lives
END
$$;

GRANT CREATE ON SCHEMA control TO zaptik_fleet;
ALTER FUNCTION control.claim_quarantined(uuid, text, double precision) OWNER TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- What a run may record and how it may end, with what a quarantine adds; all else as it was.
CREATE OR REPLACE FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint,
                                      more_records bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    tenant uuid;
BEGIN
    IF more_requests < 0 OR more_records < 0 OR EXISTS (
        SELECT FROM jsonb_to_recordset(events) AS e (action text)
        WHERE e.action IS NULL OR e.action NOT IN ('request.answered', 'request.failed', 'token.fetched',
                                                   'token.refused', 'credential.opened',
                                                   'revision.quarantined', 'revision.accepted')) THEN
        RAISE EXCEPTION 'these are no events of a run''s work' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE control.run r SET requests = r.requests + more_requests, records = r.records + more_records
    FROM control.tenant t
    WHERE r.run_id = run AND r.fence = held_fence AND r.state = 'running'
      AND t.tenant_id = r.tenant_id AND t.schema_name = current_setting('role')
    RETURNING r.tenant_id INTO tenant;
    IF tenant IS NULL THEN RETURN false; END IF;
    INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
    SELECT e.action, tenant, run, e.detail FROM jsonb_to_recordset(events) AS e (action text, detail jsonb);
    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint,
                                   graph_as_of timestamptz, counts jsonb)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    ended record;
BEGIN
    IF outcome NOT IN ('published', 'unchanged', 'quarantined') OR NOT isfinite(graph_as_of) OR EXISTS (
        SELECT FROM jsonb_each_text(counts) AS c (name, count) WHERE c.count::bigint < 0) THEN
        RAISE EXCEPTION 'this is no end of a run' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE control.run r
    SET state = outcome, lease_until = NULL, ended_at = clock_timestamp(), error = NULL, revision = at_revision,
        nodes = (counts ->> 'nodes')::bigint, edges = (counts ->> 'edges')::bigint,
        added = (counts ->> 'added')::bigint, changed = (counts ->> 'changed')::bigint,
        removed = (counts ->> 'removed')::bigint
    FROM control.tenant t
    WHERE r.run_id = run AND r.fence = held_fence AND r.state = 'running'
      AND t.tenant_id = r.tenant_id AND t.schema_name = current_setting('role')
    RETURNING r.tenant_id, r.requests, r.records INTO ended;
    IF ended.tenant_id IS NULL THEN RETURN false; END IF;
    UPDATE control.tenant t
    SET revision = at_revision, as_of = graph_as_of,
        published_at = CASE WHEN outcome = 'published' THEN clock_timestamp() ELSE t.published_at END
    WHERE t.tenant_id = ended.tenant_id AND outcome IN ('published', 'unchanged');
    INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
    VALUES ('run.ended', ended.tenant_id, run,
            counts || jsonb_build_object('outcome', outcome, 'revision', at_revision,
                                         'requests', ended.requests, 'records', ended.records));
    RETURN true;
END
$$;

SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;
REVOKE ALL ON FUNCTION control.claim_quarantined(uuid, text, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.claim_quarantined(uuid, text, double precision) TO zaptik_app;
SET LOCAL ROLE zaptik_owner;
