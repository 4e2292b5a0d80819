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
            lease_until = clock_timestamp() + lease_seconds * interval '1 second'
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
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;
REVOKE ALL ON FUNCTION control.claim_quarantined(uuid, text, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.claim_quarantined(uuid, text, double precision) TO zaptik_app;
SET LOCAL ROLE zaptik_owner;
