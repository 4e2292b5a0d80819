-- A consumer's login asks for a tenant's runs a thousand times an hour at most: each request is a row and an event of
-- the trail, which nothing else that such a login may do is, and those of others wait behind them in the batch.
CREATE INDEX sync_request_of_login ON control.sync_request (tenant_id, requested_by, request_id);

GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- Runs as zaptik_fleet, as it did: who asks sees no row of `control`, and gets nothing but the request's number.
CREATE OR REPLACE FUNCTION control.request_sync(tenant text, sync_mode text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    most_an_hour CONSTANT integer := 1000;
    request bigint;
    asked control.tenant;
BEGIN
    SELECT t.* INTO asked FROM control.tenant t WHERE t.name = tenant;
    PERFORM control.check_one_tenant(asked.tenant_id);
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
    -- The thousandth last one, of this transaction too; the app's login asks for operators, and is not counted.
    IF session_user <> 'zaptik_app' AND clock_timestamp() - interval '1 hour' < (
           SELECT q.requested_at FROM control.sync_request q
           WHERE q.tenant_id = asked.tenant_id AND q.requested_by = session_user
           ORDER BY q.request_id DESC OFFSET most_an_hour - 1 LIMIT 1) THEN
        RAISE EXCEPTION '% asked for % runs of % within an hour: no more is asked for', session_user, most_an_hour,
                quote_literal(tenant)
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = 'Requests that wait become one run: ask once, and follow it.';
    END IF;
    INSERT INTO control.sync_request (tenant_id, mode) VALUES (asked.tenant_id, sync_mode)
    RETURNING request_id INTO request;
    PERFORM pg_notify('zaptik_wake', '');
    RETURN request;
END
$$;

SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
