-- The doors across tenants ask what the transaction is: no statement that was slipped into a tenant's reaches another.

-- A setting cannot be changed in the middle of a statement, since `set_config` is not PUBLIC's. So a transaction that
-- has become a tenant's role, or names a tenant in `zaptik.tenant`, stays that tenant's for the whole statement.
GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- For what looks at all tenants: refused in a transaction that is one tenant's.
CREATE FUNCTION control.check_no_tenant() RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF current_setting('role') ~ '^tenant_'
       OR (session_user = 'zaptik_app' AND current_setting('role') NOT IN ('none', 'zaptik_app')) THEN
        RAISE EXCEPTION 'not while the transaction is %', current_setting('role')
            USING ERRCODE = 'insufficient_privilege';
    ELSIF nullif(current_setting('zaptik.tenant', true), '') IS NOT NULL THEN
        RAISE EXCEPTION 'not while the transaction names a tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- For what is done for one tenant, NULL where there is none such: refused in a transaction that is another's, in the
-- same words whether the other exists or not. Without a tenant named, the first one that the app reaches is the only
-- one until the transaction's end. That has a setting of its own: `zaptik.tenant` would show the tenant's rows.
CREATE FUNCTION control.check_one_tenant(reached uuid) RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    named text := coalesce(nullif(current_setting('zaptik.tenant', true), ''),
                           nullif(current_setting('zaptik.reached', true), ''));
BEGIN
    IF current_setting('role') ~ '^tenant_'
       OR (session_user = 'zaptik_app' AND current_setting('role') NOT IN ('none', 'zaptik_app')) THEN
        RAISE EXCEPTION 'not while the transaction is %', current_setting('role')
            USING ERRCODE = 'insufficient_privilege';
    ELSIF named IS NOT NULL AND named IS DISTINCT FROM reached::text THEN
        RAISE EXCEPTION 'not in a transaction of another tenant' USING ERRCODE = 'insufficient_privilege';
    ELSIF session_user = 'zaptik_app' AND reached IS NOT NULL THEN
        PERFORM set_config('zaptik.reached', reached::text, true);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION control.check_no_tenant(), control.check_one_tenant(uuid) FROM PUBLIC;

-- The doors for all tenants: as they were, but for the question first. Those that 0008 writes anew ask it there.

CREATE OR REPLACE FUNCTION control.claim_due_tenants(batch integer)
RETURNS TABLE (run_id uuid, tenant_id uuid) LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    -- Missed turns coalesce into one run; the next turn is a cadence from now, jittered by a tenth either way.
    -- Deadlocks are kept out by three rules: the lock leaves foreign keys to the tenant alone (NO KEY); a run that
    -- lives is not waited for, since its worker's last statement waits for the tenant; runs go in in one order.
    RETURN QUERY
    WITH due AS (
        SELECT t.tenant_id, t.every_seconds FROM control.tenant t
        WHERE t.state = 'active' AND t.next_due_at <= clock_timestamp()
        ORDER BY t.next_due_at LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE control.tenant t
        SET next_due_at = clock_timestamp() + due.every_seconds * (0.9 + 0.2 * random()) * interval '1 second'
        FROM due WHERE t.tenant_id = due.tenant_id
        RETURNING t.tenant_id
    ), requested AS (
        INSERT INTO control.run AS r (tenant_id, mode, reason)
        SELECT moved.tenant_id, 'delta', 'cadence' FROM moved
        WHERE NOT EXISTS (SELECT FROM control.run live
                          WHERE live.tenant_id = moved.tenant_id AND live.state IN ('requested', 'running'))
        ORDER BY moved.tenant_id
        ON CONFLICT (tenant_id) WHERE state IN ('requested', 'running') DO NOTHING
        RETURNING r.run_id, r.tenant_id
    ), told AS (
        INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
        SELECT 'run.requested', q.tenant_id, q.run_id, '{"mode": "delta", "reason": "cadence"}' FROM requested q
    )
    SELECT q.run_id, q.tenant_id FROM requested q;
END
$$;

CREATE OR REPLACE FUNCTION control.fold_requests(batch integer)
RETURNS TABLE (run_id uuid, tenant_id uuid) LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    asked record;
    target uuid;
BEGIN
    PERFORM control.check_no_tenant();
    -- A run that has not begun serves every request so far; one that has begun, be it between two slices, may
    -- have passed what was asked about, so the request waits for its end and causes one further run. Requests
    -- that must wait, and those of tenants that are held, take no place in the batch. In order of the tenants,
    -- and nothing locked is waited for: see claim_due_tenants.
    FOR asked IN
        SELECT q.tenant_id, CASE WHEN bool_or(q.mode = 'full') THEN 'full' ELSE 'delta' END AS mode,
               array_agg(q.request_id) AS requests
        FROM (SELECT s.request_id, s.tenant_id, s.mode FROM control.sync_request s
              WHERE s.run_id IS NULL
                AND EXISTS (SELECT FROM control.tenant t WHERE t.tenant_id = s.tenant_id AND t.state = 'active')
                AND NOT EXISTS (SELECT FROM control.run r WHERE r.tenant_id = s.tenant_id
                                AND r.state IN ('requested', 'running') AND r.started_at IS NOT NULL)
              ORDER BY s.request_id LIMIT batch FOR UPDATE SKIP LOCKED) q
        GROUP BY q.tenant_id ORDER BY q.tenant_id
    LOOP
        target := NULL;
        SELECT r.run_id INTO target FROM control.run r
        WHERE r.tenant_id = asked.tenant_id AND r.state = 'requested' AND r.started_at IS NULL
        FOR UPDATE SKIP LOCKED;
        IF target IS NULL THEN
            INSERT INTO control.run (tenant_id, mode, reason) VALUES (asked.tenant_id, asked.mode, 'request')
            ON CONFLICT (tenant_id) WHERE state IN ('requested', 'running') DO NOTHING
            RETURNING control.run.run_id INTO target;
            CONTINUE WHEN target IS NULL;  -- somebody else's run came first: next time
            INSERT INTO control.audit_events (action, tenant_ref, run_id, detail) VALUES
                ('run.requested', asked.tenant_id, target,
                 jsonb_build_object('mode', asked.mode, 'reason', 'request'));
        ELSIF asked.mode = 'full' THEN
            UPDATE control.run r SET mode = 'full' WHERE r.run_id = target;
        END IF;
        UPDATE control.sync_request s SET run_id = target WHERE s.request_id = ANY (asked.requests);
        run_id := target;
        tenant_id := asked.tenant_id;
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION control.keys_in_use() RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY SELECT DISTINCT k.key_id FROM control.data_key k;
END
$$;

-- The doors for one tenant.

CREATE OR REPLACE FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision)
RETURNS TABLE (tenant_id uuid, tenant text, schema_name text, url text, mode text, attempt integer, fence bigint,
               started_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_one_tenant((SELECT r.tenant_id FROM control.run r WHERE r.run_id = run));
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

CREATE OR REPLACE FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_one_tenant((SELECT r.tenant_id FROM control.run r WHERE r.run_id = run));
    UPDATE control.run r
    SET lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 86400) * interval '1 second'
    WHERE r.run_id = run AND r.fence = held_fence AND r.state = 'running';
    RETURN FOUND;
END
$$;

CREATE OR REPLACE FUNCTION control.find_tenant(tenant text)
RETURNS TABLE (tenant_id uuid, name text, schema_name text, url text, every_seconds integer, state text,
               state_reason text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    found control.tenant;
BEGIN
    SELECT t.* INTO found FROM control.tenant t WHERE t.name = tenant;
    PERFORM control.check_one_tenant(found.tenant_id);
    IF found.tenant_id IS NOT NULL THEN
        RETURN QUERY SELECT found.tenant_id, found.name, found.schema_name, found.url, found.every_seconds, found.state,
                            found.state_reason;
    END IF;
END
$$;

SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
