-- What an instance asked of its readers, kept for the next slice, worker or command; what a run's canaries found.

-- One row a tenant that was ever asked to go slower. Times are the database's, so that no worker's clock counts.
-- The hour of a rate limit rule (`limit_requests`, `used_requests`, `hour_ends_at`) is known as a whole or not at all.
CREATE TABLE control.instance_pace (
    tenant_id uuid PRIMARY KEY REFERENCES control.tenant,
    cooldown_until timestamptz NOT NULL DEFAULT clock_timestamp(),
    limit_requests bigint,
    used_requests bigint,
    hour_ends_at timestamptz,
    at_once real,
    page_rows jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT instance_pace_hour_is_whole CHECK (num_nulls(limit_requests, used_requests, hour_ends_at) IN (0, 3)),
    CONSTRAINT instance_pace_at_once CHECK (at_once >= 1)
);
ALTER TABLE control.instance_pace ENABLE ROW LEVEL SECURITY;
ALTER TABLE control.instance_pace FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON control.instance_pace TO zaptik_owner USING (true);
CREATE POLICY own_tenant ON control.instance_pace TO zaptik_app
    USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE ON control.instance_pace TO zaptik_app;

-- Null until the run has sent its canaries; see `jobs.canary`.
ALTER TABLE control.run ADD COLUMN canaries jsonb;

GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- What a run may record, with its canaries and the tables whose verdict is another than before; all else as it was.
-- What the canaries found is kept in the run's row by the same statement that counts their requests.
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
                                                   'revision.quarantined', 'revision.accepted',
                                                   'canaries.checked', 'coverage.changed')) THEN
        RAISE EXCEPTION 'these are no events of a run''s work' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE control.run r
    SET requests = r.requests + more_requests, records = r.records + more_records,
        canaries = coalesce((SELECT e.detail FROM jsonb_to_recordset(events) AS e (action text, detail jsonb)
                             WHERE e.action = 'canaries.checked' LIMIT 1), r.canaries)
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

SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
