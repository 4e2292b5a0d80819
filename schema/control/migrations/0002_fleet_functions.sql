-- The only doors across tenants, each as narrow as its one caller needs. They run as `zaptik_fleet`.

CREATE FUNCTION control.claim_due_tenants(batch integer)
RETURNS TABLE (run_id uuid, tenant_id uuid) LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    -- Missed turns coalesce into one run; the next turn is a cadence from now, jittered by a tenth either way.
    -- Deadlocks are kept out by three rules: the lock leaves foreign keys to the tenant alone (NO KEY); a run that
    -- lives is not waited for, since its worker's last statement waits for the tenant; runs go in in one order.
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
    SELECT q.run_id, q.tenant_id FROM requested q
$$;

CREATE FUNCTION control.request_sync(tenant text, sync_mode text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    request bigint;
BEGIN
    INSERT INTO control.sync_request (tenant_id, mode)
    SELECT t.tenant_id, sync_mode FROM control.tenant t WHERE t.name = tenant
    RETURNING request_id INTO request;
    IF request IS NULL THEN
        RAISE EXCEPTION 'there is no tenant %', tenant USING ERRCODE = 'no_data_found';
    END IF;
    RETURN request;
END
$$;

CREATE FUNCTION control.fold_requests(batch integer)
RETURNS TABLE (run_id uuid, tenant_id uuid) LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    asked record;
    target uuid;
BEGIN
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

CREATE FUNCTION control.rescue_runs(max_attempts integer)
RETURNS TABLE (run_id uuid, tenant_id uuid, gave_up boolean, worker text)
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH lost AS (
        SELECT r.run_id, r.attempt >= max_attempts AS gave_up, r.worker FROM control.run r
        WHERE r.state = 'running' AND r.lease_until < clock_timestamp()
        FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE control.run r
        SET state = CASE WHEN lost.gave_up THEN 'failed' ELSE 'requested' END,
            lease_until = NULL, worker = NULL, rung_at = NULL,
            not_before = clock_timestamp(),
            ended_at = CASE WHEN lost.gave_up THEN clock_timestamp() END,
            error = CASE WHEN lost.gave_up THEN jsonb_build_object(
                'code', 'gave_up', 'retry', 'never', 'audience', 'operator', 'message',
                format('The run was claimed %s times without an end, and its last worker, %s, fell silent; read '
                       'that worker''s log.', r.attempt, lost.worker)) END
        FROM lost WHERE r.run_id = lost.run_id
        RETURNING r.run_id, r.tenant_id, lost.gave_up, lost.worker
    ), told AS (
        INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
        SELECT CASE WHEN m.gave_up THEN 'run.ended' ELSE 'run.rescued' END, m.tenant_id, m.run_id,
               CASE WHEN m.gave_up THEN '{"outcome": "failed", "code": "gave_up"}'::jsonb
                    ELSE jsonb_build_object('worker', m.worker) END
        FROM moved m
    )
    SELECT m.run_id, m.tenant_id, m.gave_up, m.worker FROM moved m
$$;

CREATE FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision)
RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH waiting AS (
        SELECT r.run_id FROM control.run r JOIN control.tenant t ON t.tenant_id = r.tenant_id
        WHERE r.state = 'requested' AND r.not_before <= clock_timestamp() AND t.state = 'active'
          AND (r.rung_at IS NULL OR r.rung_at < clock_timestamp() - again_after_seconds * interval '1 second')
        ORDER BY r.not_before LIMIT batch FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE control.run r SET rung_at = clock_timestamp() FROM waiting WHERE r.run_id = waiting.run_id
    RETURNING r.run_id
$$;

CREATE FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision)
RETURNS TABLE (tenant_id uuid, tenant text, schema_name text, url text, mode text, attempt integer, fence bigint,
               started_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH claimed AS (
        UPDATE control.run r
        SET state = 'running', attempt = r.attempt + 1, fence = r.fence + 1, worker = by_worker,
            mode = CASE WHEN t.revision IS NULL THEN 'full' ELSE r.mode END,  -- there is nothing to compare with
            lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 86400) * interval '1 second',
            started_at = coalesce(r.started_at, clock_timestamp())
        FROM control.tenant t
        WHERE r.run_id = run AND r.state = 'requested' AND r.not_before <= clock_timestamp()
          AND t.tenant_id = r.tenant_id AND t.state = 'active'
        RETURNING t.tenant_id, t.name, t.schema_name, t.url, r.mode, r.attempt, r.fence, r.started_at
    ), told AS (
        INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
        SELECT 'run.claimed', c.tenant_id, run,
               jsonb_build_object('attempt', c.attempt, 'fence', c.fence, 'worker', by_worker)
        FROM claimed c
    )
    SELECT c.tenant_id, c.name, c.schema_name, c.url, c.mode, c.attempt, c.fence, c.started_at FROM claimed c
$$;

CREATE FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision)
RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    WITH renewed AS (
        UPDATE control.run r
        SET lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 86400) * interval '1 second'
        WHERE r.run_id = run AND r.fence = held_fence AND r.state = 'running' RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM renewed)
$$;

-- Called inside a tenant's transaction: what was asked of the instance commits with what came of it. The fence
-- is held by the row, so a worker that lost its lease stages nothing more.
CREATE FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint,
                                      more_records bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    tenant uuid;
BEGIN
    IF more_requests < 0 OR more_records < 0 OR EXISTS (
        SELECT FROM jsonb_to_recordset(events) AS e (action text)
        WHERE e.action IS NULL OR e.action NOT IN ('request.answered', 'request.failed', 'token.fetched',
                                                   'token.refused', 'credential.opened')) THEN
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

-- The last statement of the transaction that publishes. Its compare-and-set is the fence.
CREATE FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint,
                                   graph_as_of timestamptz, counts jsonb)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    ended record;
BEGIN
    IF outcome NOT IN ('published', 'unchanged') OR NOT isfinite(graph_as_of) OR EXISTS (
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

-- How a slice ends that did not publish: yielded (to go on), retried (later), or failed.
CREATE FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision,
                                    failure jsonb)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    released record;
BEGIN
    IF ending NOT IN ('yielded', 'retried', 'failed') OR NOT wait_seconds BETWEEN 0 AND 31 * 86400 THEN
        RAISE EXCEPTION 'a slice does not end like this' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE control.run r
    SET state = CASE WHEN ending = 'failed' THEN 'failed' ELSE 'requested' END,
        attempt = CASE WHEN ending = 'yielded' THEN 0 ELSE r.attempt END,
        lease_until = NULL, worker = NULL, rung_at = NULL, error = failure,
        not_before = clock_timestamp() + wait_seconds * interval '1 second',
        ended_at = CASE WHEN ending = 'failed' THEN clock_timestamp() END
    WHERE r.run_id = run AND r.fence = held_fence AND r.state = 'running'
    RETURNING r.tenant_id INTO released;
    IF released.tenant_id IS NULL THEN RETURN false; END IF;
    IF ending <> 'yielded' THEN
        INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
        VALUES (CASE ending WHEN 'failed' THEN 'run.ended' ELSE 'run.retried' END, released.tenant_id, run,
                jsonb_build_object('outcome', ending, 'code', failure ->> 'code', 'after_seconds', wait_seconds));
    END IF;
    RETURN true;
END
$$;

CREATE FUNCTION control.find_tenant(tenant text)
RETURNS TABLE (tenant_id uuid, name text, schema_name text, url text, every_seconds integer, state text,
               state_reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT t.tenant_id, t.name, t.schema_name, t.url, t.every_seconds, t.state, t.state_reason
    FROM control.tenant t WHERE t.name = tenant
$$;

CREATE FUNCTION control.read_fleet()
RETURNS TABLE (tenant_id uuid, tenant text, url text, schema_name text, every_seconds integer, state text,
               state_reason text, revision bigint, published_at timestamptz, as_of timestamptz,
               staleness_seconds double precision, waiting_seconds double precision, last_error jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    -- What waits: a turn that no scheduler has taken up, or a run that no worker has.
    SELECT t.tenant_id, t.name, t.url, t.schema_name, t.every_seconds, t.state, t.state_reason, t.revision,
           t.published_at, t.as_of,
           extract(epoch FROM clock_timestamp() - coalesce(t.as_of, t.created_at))::double precision,
           CASE WHEN t.state = 'active' THEN greatest(0, extract(epoch FROM clock_timestamp() - least(t.next_due_at,
               (SELECT r.not_before FROM control.run r
                WHERE r.tenant_id = t.tenant_id AND r.state = 'requested'))))::double precision ELSE 0 END,
           (SELECT r.error FROM control.run r WHERE r.tenant_id = t.tenant_id
            ORDER BY r.requested_at DESC LIMIT 1)
    FROM control.tenant t ORDER BY t.name
$$;

CREATE FUNCTION control.count_runs() RETURNS TABLE (state text, runs bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT r.state, count(*) FROM control.run r GROUP BY r.state
    UNION ALL
    SELECT 'asked', count(*) FROM control.sync_request q WHERE q.run_id IS NULL
$$;

CREATE FUNCTION control.keys_in_use() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT DISTINCT k.key_id FROM control.data_key k
$$;

-- Owned by the minimal role, callable by those who need them and nobody else.
GRANT CREATE ON SCHEMA control TO zaptik_fleet;
DO $$
DECLARE
    door regprocedure;
BEGIN
    FOR door IN SELECT oid FROM pg_proc WHERE pronamespace = 'control'::regnamespace AND prosecdef LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO zaptik_fleet', door);
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;
DO $$
DECLARE
    door regprocedure;
BEGIN
    FOR door IN SELECT oid FROM pg_proc WHERE pronamespace = 'control'::regnamespace AND prosecdef LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', door);
        CONTINUE WHEN door::text ~ 'record_events|finish_run';  -- for tenants' roles alone
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO zaptik_app', door);
    END LOOP;
END
$$;
SET LOCAL ROLE zaptik_owner;
