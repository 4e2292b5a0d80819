-- Runs are asked for by consumers, for their tenants, and by the platform's scheduler, for any: the login decides.

-- The test is on the session's user: a role that somebody has become says nothing of who they are. Who may not ask and
-- who asks for a tenant that is not there are told the same.
GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;
CREATE OR REPLACE FUNCTION control.request_sync(tenant text, sync_mode text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    request bigint;
    asked control.tenant;
BEGIN
    SELECT t.* INTO asked FROM control.tenant t WHERE t.name = tenant;
    IF asked.tenant_id IS NULL OR NOT coalesce(
           session_user = 'zaptik_app'
           OR pg_has_role(session_user, 'zaptik_requester', 'MEMBER')
           OR pg_has_role(session_user, to_regrole('reader_' || substr(asked.schema_name, 8)), 'MEMBER'), false) THEN
        RAISE EXCEPTION 'there is no tenant % that % may ask a run for', coalesce(quote_literal(tenant), 'NULL'),
                session_user
            USING ERRCODE = 'no_data_found',
                  HINT = '`zaptik consumer list` shows the administrator which login may ask for which tenant.';
    END IF;
    IF sync_mode IS NULL OR sync_mode NOT IN ('full', 'delta') THEN
        RAISE EXCEPTION 'a run is asked for as ''full'' or ''delta'', not as %',
                coalesce(quote_literal(sync_mode), 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO control.sync_request (tenant_id, mode) VALUES (asked.tenant_id, sync_mode)
    RETURNING request_id INTO request;
    RETURN request;
END
$$;
SET LOCAL ROLE zaptik_owner;

-- What a requester asked for and what became of it; until the scheduler takes it up there is no run yet. It runs as
-- the role that may look across tenants, and lets no condition of the caller see another's row.
CREATE VIEW control.request_v1 WITH (security_barrier = true) AS
SELECT q.request_id AS request, t.name AS tenant, q.run_id, coalesce(r.state, 'requested') AS state, r.revision,
       r.error ->> 'code' AS error_code, q.mode, q.requested_at, r.ended_at
FROM control.sync_request q
JOIN control.tenant t ON t.tenant_id = q.tenant_id
LEFT JOIN control.run r ON r.run_id = q.run_id
WHERE q.requested_by = session_user;
ALTER VIEW control.request_v1 OWNER TO zaptik_fleet;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;

GRANT USAGE ON SCHEMA control TO zaptik_requester;
SET LOCAL ROLE zaptik_fleet;
GRANT EXECUTE ON FUNCTION control.request_sync(text, text) TO zaptik_requester;
GRANT SELECT ON control.request_v1 TO zaptik_requester;
SET LOCAL ROLE zaptik_owner;
