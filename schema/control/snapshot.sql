-- Written by `python -m ops.snapshot` from the migrations: change those, not this page.
-- The control schema. Owned by zaptik_owner but for the functions given to zaptik_fleet.

CREATE SCHEMA control;

CREATE FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    added control.audit_checkpoint := jsonb_populate_record(NULL::control.audit_checkpoint, checkpoint);
    newest control.audit_checkpoint;
    frontier record;
    went_back boolean;
    due record;
BEGIN
    PERFORM control.check_no_tenant();
    UPDATE control.audit_sealer s SET lease_until = greatest(s.lease_until, clock_timestamp() + interval '1 minute')
    WHERE s.holder = by_holder AND s.lease_until > clock_timestamp();
    IF NOT FOUND THEN RETURN false; END IF;
    SELECT c.* INTO newest FROM control.audit_checkpoint c ORDER BY c.segment DESC LIMIT 1;
    IF added.segment IS DISTINCT FROM coalesce(newest.segment, 0) + 1
       OR added.previous IS DISTINCT FROM coalesce(newest.digest, decode(repeat('00', 32), 'hex')) THEN
        RETURN false;
    END IF;
    IF NOT EXISTS (SELECT FROM control.list_audit_partitions() p WHERE p.part = added.bound) THEN
        RAISE EXCEPTION 'the trail has no part %', added.bound USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT f.* INTO frontier FROM control.find_audit_frontier(added.bound) f;
    went_back := pg_snapshot_xmax(pg_current_snapshot()) <= frontier.last_xid;
    IF went_back AND added.after_id IS NOT DISTINCT FROM frontier.highest_id THEN  -- the new server's own order begins
        frontier.after_id := frontier.highest_id;
        frontier.last_xid := '0';
        frontier.last_id := 0;
        went_back := false;
    END IF;
    -- What a server that was left had not sealed is settled, whatever its transactions' numbers are here.
    SELECT string_agg(int8send(e.audit_id), ''::bytea ORDER BY e.place) AS ids, max(e.audit_id) AS highest,
           min(e.occurred_us) AS first_us, max(e.occurred_us) AS last_us,
           (array_agg(e.xid ORDER BY e.place DESC))[1] AS xid,
           (array_agg(e.audit_id ORDER BY e.place DESC))[1] AS audit_id
    INTO due
    FROM control.read_audit(added.bound, frontier.after_id, 9223372036854775807, frontier.last_xid::text,
                            frontier.last_id, NOT went_back, least(added.events, 1000))
         WITH ORDINALITY AS e (audit_id, occurred_us, xid, actor, caller, action, tenant_ref, run_id, detail, place);
    IF (added.after_id, added.last_xid::text, added.last_id, added.highest_id) IS DISTINCT FROM
           (frontier.after_id, due.xid, due.audit_id, greatest(frontier.highest_id, due.highest))
       OR (extract(epoch FROM added.first_at) * 1000000)::bigint IS DISTINCT FROM due.first_us
       OR (extract(epoch FROM added.last_at) * 1000000)::bigint IS DISTINCT FROM due.last_us
       OR due.ids IS DISTINCT FROM (SELECT string_agg(substr(added.entries, 40 * n + 1, 8), ''::bytea ORDER BY n)
                                     FROM generate_series(0, least(added.events, 1000) - 1) n) THEN
        RAISE EXCEPTION 'segment % does not seal the events that come next', added.segment
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO control.audit_checkpoint SELECT added.*;
    IF added.key_id IS DISTINCT FROM newest.key_id THEN
        INSERT INTO control.audit_events (action, detail)
        VALUES ('audit.key_used', jsonb_build_object('key_id', added.key_id, 'before', newest.key_id));
    END IF;
    RETURN true;
END
$$;

ALTER FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) OWNER TO zaptik_fleet;

CREATE FUNCTION control.breaker_pause(failures integer) RETURNS interval
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO ''
    AS $$
BEGIN
    RETURN CASE WHEN failures >= 3 THEN least(3600, 60 * 2 ^ least(failures - 3, 6)) * interval '1 second' END;
END
$$;

ALTER FUNCTION control.breaker_pause(failures integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.cancel_run(run uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    was record;
BEGIN
    PERFORM control.check_one_tenant((SELECT r.tenant_id FROM control.run r WHERE r.run_id = run));
    SELECT r.tenant_id, r.state INTO was FROM control.run r WHERE r.run_id = run FOR UPDATE;
    IF was.state IN ('requested', 'running') THEN
        UPDATE control.run r
        SET state = 'cancelled', fence = r.fence + 1, lease_until = NULL, rung_at = NULL,
            ended_at = clock_timestamp(),
            error = jsonb_build_object('code', 'cancelled', 'retry', 'never', 'audience', 'operator', 'message',
                                       'Somebody cancelled the run.')
        WHERE r.run_id = run;
        INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
        VALUES ('run.ended', was.tenant_id, run, '{"outcome": "cancelled", "code": "cancelled"}');
    END IF;
    RETURN was.state;
END
$$;

ALTER FUNCTION control.cancel_run(run uuid) OWNER TO zaptik_fleet;

CREATE FUNCTION control.check_move() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'the fence of run % never goes back', OLD.run_id USING ERRCODE = 'check_violation';
    ELSIF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
            ('requested', 'running'), ('requested', 'cancelled'),
            ('running', 'requested'), ('running', 'published'), ('running', 'unchanged'),
            ('running', 'quarantined'), ('running', 'failed'), ('running', 'cancelled'),
            ('quarantined', 'running')) THEN
        RAISE EXCEPTION 'run % cannot go from % to %', OLD.run_id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    ELSIF NEW.state <> OLD.state AND (NEW.state = 'running' OR (OLD.state, NEW.state) = ('running', 'cancelled'))
            AND NEW.fence = OLD.fence THEN
        RAISE EXCEPTION 'run % goes to % with a new fence alone', OLD.run_id, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION control.check_no_tenant() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
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

ALTER FUNCTION control.check_no_tenant() OWNER TO zaptik_fleet;

CREATE FUNCTION control.check_offboarding() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    IF current_user = 'zaptik_app' THEN
        RAISE EXCEPTION 'a tenant''s offboarding is the administrator''s' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION control.check_one_tenant(reached uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
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

ALTER FUNCTION control.check_one_tenant(reached uuid) OWNER TO zaptik_fleet;

CREATE FUNCTION control.claim_due_tenants(batch integer) RETURNS TABLE(run_id uuid, tenant_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

ALTER FUNCTION control.claim_due_tenants(batch integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) RETURNS TABLE(run_id uuid, tenant_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
DECLARE
    allowed integer;
    begun integer;
BEGIN
    PERFORM control.check_no_tenant();
    UPDATE control.start_budget b
    SET starts = least(10 * starts_per_second, b.starts + starts_per_second
                       * greatest(0, extract(epoch FROM clock_timestamp() - b.filled_at))::double precision),
        filled_at = greatest(b.filled_at, clock_timestamp())
    RETURNING floor(b.starts)::integer INTO allowed;
    IF allowed < 1 THEN RETURN; END IF;
    -- Missed turns coalesce into one run; the next turn is a cadence from now, jittered by a tenth either way.
    -- Deadlocks are kept out by three rules: the lock leaves foreign keys to the tenant alone (NO KEY); a run that
    -- lives is not waited for, since its worker's last statement waits for the tenant; runs go in in one order.
    RETURN QUERY
    WITH due AS (
        SELECT t.tenant_id, t.every_seconds FROM control.tenant t
        WHERE t.state = 'active' AND t.next_due_at <= clock_timestamp()
        ORDER BY t.next_due_at LIMIT least(batch, allowed) FOR NO KEY UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE control.tenant t
        SET next_due_at = clock_timestamp() + due.every_seconds * (0.9 + 0.2 * random()) * interval '1 second'
        FROM due WHERE t.tenant_id = due.tenant_id
        RETURNING t.tenant_id
    ), requested AS (
        INSERT INTO control.run AS r (tenant_id, mode, reason, not_before)
        SELECT moved.tenant_id, 'delta', 'cadence', greatest(clock_timestamp(), b.open_until)
        FROM moved LEFT JOIN control.instance_breaker b USING (tenant_id)
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
    GET DIAGNOSTICS begun = ROW_COUNT;
    UPDATE control.start_budget b SET starts = b.starts - begun;
END
$$;

ALTER FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) OWNER TO zaptik_fleet;

CREATE FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) RETURNS TABLE(tenant_id uuid, tenant text, schema_name text, url text, mode text, attempt integer, fence bigint, started_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_one_tenant((SELECT r.tenant_id FROM control.run r WHERE r.run_id = run));
    RETURN QUERY
    WITH claimed AS (
        UPDATE control.run r
        SET state = 'running', attempt = 1, fence = r.fence + 1, worker = by_worker, ended_at = NULL,
            lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 86400) * interval '1 second'
        FROM control.tenant t
        WHERE r.run_id = run AND r.state = 'quarantined' AND t.tenant_id = r.tenant_id AND t.state <> 'offboarding'
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

ALTER FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) OWNER TO zaptik_fleet;

CREATE FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) RETURNS TABLE(tenant_id uuid, tenant text, schema_name text, url text, mode text, attempt integer, fence bigint, started_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_one_tenant((SELECT r.tenant_id FROM control.run r WHERE r.run_id = run));
    RETURN QUERY
    WITH claimed AS (
        UPDATE control.run r
        SET state = 'running', attempt = r.attempt + 1, fence = r.fence + 1, worker = by_worker,
            mode = CASE WHEN t.revision IS NULL THEN 'full' ELSE r.mode END,  -- there is nothing to compare with
            lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 86400) * interval '1 second',
            claimed_at = clock_timestamp(), claimed_records = r.records,
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
    SELECT c.tenant_id, c.name, c.schema_name, c.url, c.mode, c.attempt, c.fence, c.started_at FROM claimed c;
END
$$;

ALTER FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) OWNER TO zaptik_fleet;

CREATE FUNCTION control.count_audit(upto_segment bigint) RETURNS TABLE(name text, part text, events bigint, unsealed bigint, lowest bigint, highest bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    WITH place AS MATERIALIZED (
        SELECT p.relation, p.name, p.part, s.after_id, s.last_xid, s.last_id, s.highest_id,
               s.highest_id > 0 AND pg_snapshot_xmax(pg_current_snapshot()) <= s.last_xid AS went_back
        FROM control.list_audit_partitions() p
        CROSS JOIN LATERAL control.find_audit_frontier(p.part, coalesce(upto_segment, 0)) s
    )
    SELECT p.name, p.part, count(*),
           count(*) FILTER (WHERE p.part IS NOT NULL AND e.audit_id > greatest(p.after_id, 0)
                            AND ((e.xid, e.audit_id) > (p.last_xid, p.last_id)
                                 OR (p.went_back AND e.audit_id > p.highest_id))),
           min(e.audit_id) FILTER (WHERE p.part IS NULL OR e.audit_id <= 0),
           max(e.audit_id) FILTER (WHERE p.part IS NULL OR e.audit_id <= 0)
    FROM control.audit_events e JOIN place p ON p.relation = e.tableoid
    GROUP BY p.name, p.part ORDER BY p.name;
END
$$;

ALTER FUNCTION control.count_audit(upto_segment bigint) OWNER TO zaptik_fleet;

CREATE FUNCTION control.count_runs() RETURNS TABLE(state text, runs bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT r.state, count(*) FROM control.run r WHERE r.state IN ('requested', 'running') GROUP BY r.state
    UNION ALL
    SELECT 'asked', count(*) FROM control.sync_request q WHERE q.run_id IS NULL;
END
$$;

ALTER FUNCTION control.count_runs() OWNER TO zaptik_fleet;

CREATE FUNCTION control.drop_audit_month(keep_months integer, at timestamp with time zone) RETURNS TABLE(month date, events bigint)
    LANGUAGE plpgsql
    SET search_path TO ''
    SET lock_timeout TO '3000'
    AS $$
#variable_conflict use_column
DECLARE
    oldest record;
    until text;
    partition text;
BEGIN
    SELECT m.month INTO oldest FROM control.list_old_audit_months(keep_months, at) m LIMIT 1;
    IF NOT FOUND OR NOT control.is_month_sealed(oldest.month) THEN RETURN; END IF;
    month := oldest.month;
    partition := 'audit_events_' || coalesce(to_char(month, 'YYYY_MM'), 'rest');
    IF month IS NULL THEN  -- it is never over: nobody may add to it from here on
        LOCK TABLE ONLY control.audit_events, control.audit_events_rest IN ACCESS EXCLUSIVE MODE;
        PERFORM FROM control.list_old_audit_months(keep_months, at) m WHERE m.month IS NULL;
        IF NOT FOUND OR NOT control.is_month_sealed(NULL) THEN RETURN; END IF;
        SELECT count(*), to_char(max(e.occurred_at) AT TIME ZONE 'UTC', 'YYYY-MM') INTO events, until
        FROM control.audit_events_rest e;
    ELSE
        SELECT count(*) INTO events FROM control.audit_events e
        WHERE e.occurred_at >= oldest.month::timestamp AT TIME ZONE 'UTC'
          AND e.occurred_at < (oldest.month + interval '1 month') AT TIME ZONE 'UTC';
    END IF;
    EXECUTE format('ALTER TABLE control.audit_events DETACH PARTITION control.%I', partition);
    EXECUTE format('DROP TABLE control.%I', partition);
    IF month IS NULL THEN PERFORM control.make_audit_partition('rest'); END IF;
    INSERT INTO control.audit_events (actor, action, detail)
    VALUES ('zaptik_owner', 'retention.audit', jsonb_strip_nulls(jsonb_build_object(
        'month', coalesce(to_char(month, 'YYYY-MM'), 'rest'), 'until', until, 'events', events, 'by', session_user)));
    RETURN NEXT;
END
$$;

CREATE FUNCTION control.drop_key(key text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    needed bigint;
BEGIN
    PERFORM control.check_no_tenant();
    INSERT INTO control.deployment_key (key_id) VALUES (key) ON CONFLICT DO NOTHING;
    PERFORM FROM control.deployment_key k WHERE k.key_id = key FOR UPDATE;
    SELECT count(*) INTO needed FROM control.data_key w WHERE w.key_id = key;
    IF needed = 0 THEN
        UPDATE control.deployment_key k SET dropped_at = clock_timestamp()
        WHERE k.key_id = key AND k.dropped_at IS NULL;
        IF FOUND THEN
            INSERT INTO control.audit_events (action, detail) VALUES ('key.dropped', jsonb_build_object('key_id', key));
        END IF;
    END IF;
    RETURN needed;
END
$$;

ALTER FUNCTION control.drop_key(key text) OWNER TO zaptik_fleet;

CREATE FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    UPDATE control.isolation_check c
    SET holder = NULL, lease_until = NULL, ended_at = clock_timestamp(),
        after_tenant = coalesce(last, c.after_tenant),
        checked_at = CASE WHEN held + reached > 0 THEN clock_timestamp() ELSE c.checked_at END,
        reached_at = CASE WHEN reached > 0 THEN clock_timestamp() ELSE c.reached_at END
    WHERE c.holder = by_whom;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO control.audit_events (action, detail)
    VALUES ('isolation.checked', jsonb_build_object('held', held, 'reached', reached, 'failed', failed));
    RETURN true;
END
$$;

ALTER FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) RETURNS TABLE(released boolean, opened_seconds double precision)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    tenant uuid;
    pause interval;
BEGIN
    PERFORM control.check_one_tenant((SELECT r.tenant_id FROM control.run r WHERE r.run_id = run));
    IF ending NOT IN ('yielded', 'handed_over', 'stalled', 'retried', 'failed')
       OR NOT wait_seconds BETWEEN 0 AND 31 * 86400 THEN
        RAISE EXCEPTION 'a slice does not end like this' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE control.run r
    SET state = CASE WHEN ending = 'failed' THEN 'failed' ELSE 'requested' END,
        attempt = CASE ending WHEN 'yielded' THEN 0 WHEN 'handed_over' THEN greatest(0, r.attempt - 1)
                              ELSE r.attempt END,
        served_seconds = r.served_seconds
            + greatest(0, extract(epoch FROM clock_timestamp() - r.claimed_at))::double precision,
        lease_until = NULL, worker = NULL, rung_at = NULL, error = failure,
        not_before = clock_timestamp() + wait_seconds * interval '1 second',
        ended_at = CASE WHEN ending = 'failed' THEN clock_timestamp() END
    WHERE r.run_id = run AND r.fence = held_fence AND r.state = 'running'
    RETURNING r.tenant_id INTO tenant;
    IF tenant IS NULL THEN
        RETURN QUERY SELECT false, NULL::double precision;
        RETURN;
    END IF;
    IF ending IN ('retried', 'failed') THEN
        INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
        VALUES (CASE ending WHEN 'failed' THEN 'run.ended' ELSE 'run.retried' END, tenant, run,
                jsonb_build_object('outcome', ending, 'code', failure ->> 'code', 'after_seconds', wait_seconds));
    END IF;
    IF ending = 'yielded' THEN
        DELETE FROM control.instance_breaker b WHERE b.tenant_id = tenant;
    ELSIF blames_instance THEN
        INSERT INTO control.instance_breaker AS b (tenant_id, failures, code)
        VALUES (tenant, 1, failure ->> 'code')
        ON CONFLICT (tenant_id) DO UPDATE
        SET failures = b.failures + 1, code = excluded.code, changed_at = clock_timestamp(),
            open_until = clock_timestamp() + control.breaker_pause(b.failures + 1)
        RETURNING control.breaker_pause(b.failures) INTO pause;
        UPDATE control.run r SET not_before = greatest(r.not_before, clock_timestamp() + pause)
        WHERE r.run_id = run AND r.state = 'requested' AND pause IS NOT NULL;
    END IF;
    RETURN QUERY SELECT true, extract(epoch FROM pause)::double precision;
END
$$;

ALTER FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) OWNER TO zaptik_fleet;

CREATE FUNCTION control.find_audit_frontier(of_part text, upto_segment bigint DEFAULT NULL::bigint) RETURNS TABLE(after_id bigint, last_xid xid8, last_id bigint, highest_id bigint)
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
BEGIN
    RETURN QUERY
    SELECT c.after_id, c.last_xid, c.last_id, c.highest_id FROM control.audit_checkpoint c
    WHERE c.bound = of_part AND (upto_segment IS NULL OR c.segment <= upto_segment)
      AND NOT EXISTS (SELECT FROM control.audit_passed p WHERE p.segment = c.segment)
    ORDER BY c.after_id DESC, c.segment DESC LIMIT 1;
    IF NOT FOUND THEN RETURN QUERY SELECT 0::bigint, '0'::xid8, 0::bigint, 0::bigint; END IF;
END
$$;

ALTER FUNCTION control.find_audit_frontier(of_part text, upto_segment bigint) OWNER TO zaptik_fleet;

CREATE FUNCTION control.find_tenant(tenant text) RETURNS TABLE(tenant_id uuid, name text, schema_name text, url text, every_seconds integer, state text, state_reason text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

ALTER FUNCTION control.find_tenant(tenant text) OWNER TO zaptik_fleet;

CREATE FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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
    DELETE FROM control.instance_breaker b WHERE b.tenant_id = ended.tenant_id;
    INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
    VALUES ('run.ended', ended.tenant_id, run,
            counts || jsonb_build_object('outcome', outcome, 'revision', at_revision,
                                         'requests', ended.requests, 'records', ended.records));
    RETURN true;
END
$$;

ALTER FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) OWNER TO zaptik_fleet;

CREATE FUNCTION control.fold_requests(batch integer) RETURNS TABLE(run_id uuid, tenant_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

ALTER FUNCTION control.fold_requests(batch integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.forget_audit_month(keep_months integer) RETURNS TABLE(month date, events bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY SELECT d.month, d.events FROM control.drop_audit_month(keep_months, clock_timestamp()) d;
END
$$;

CREATE FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) RETURNS TABLE(runs bigint, requests bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    old uuid[];
BEGIN
    PERFORM control.check_one_tenant(of_tenant);
    IF keep_days IS NULL OR keep_days < 90 THEN
        RAISE EXCEPTION 'runs are kept for 90 days at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    old := ARRAY(
        SELECT r.run_id FROM control.run r
        WHERE r.tenant_id = of_tenant AND r.ended_at < clock_timestamp() - keep_days * interval '1 day'
          AND r.state <> 'quarantined'
          AND r.run_id NOT IN (SELECT n.run_id FROM control.run n WHERE n.tenant_id = of_tenant
                               ORDER BY n.requested_at DESC LIMIT 1)
          AND r.run_id NOT IN (SELECT n.run_id FROM control.run n
                               WHERE n.tenant_id = of_tenant AND n.state IN ('published', 'unchanged')
                               ORDER BY n.ended_at DESC LIMIT 1)
        ORDER BY r.requested_at LIMIT batch);
    DELETE FROM control.sync_request q WHERE q.run_id = ANY (old);
    GET DIAGNOSTICS requests = ROW_COUNT;
    DELETE FROM control.run r WHERE r.run_id = ANY (old);
    GET DIAGNOSTICS runs = ROW_COUNT;
    RETURN NEXT;
END
$$;

ALTER FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    UPDATE control.audit_sealer s
    SET holder = by_holder,
        lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 3600) * interval '1 second'
    WHERE s.holder = by_holder OR s.lease_until < clock_timestamp();
    RETURN FOUND;
END
$$;

ALTER FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) OWNER TO zaptik_fleet;

CREATE FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) RETURNS TABLE(tenant_id uuid, schema_name text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
DECLARE
    last uuid;
BEGIN
    PERFORM control.check_no_tenant();
    UPDATE control.isolation_check c
    SET holder = by_whom,
        lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 3600) * interval '1 second'
    WHERE (c.lease_until IS NULL OR c.lease_until < clock_timestamp())
      AND (c.ended_at IS NULL OR c.ended_at <= clock_timestamp() - every_seconds * interval '1 second')
    RETURNING c.after_tenant INTO last;
    IF NOT FOUND THEN RETURN; END IF;
    RETURN QUERY
    SELECT t.tenant_id, t.schema_name FROM control.tenant t
    ORDER BY coalesce(t.tenant_id > last, true) DESC, t.tenant_id LIMIT batch;
END
$$;

ALTER FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.hold_key() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    held control.deployment_key;
BEGIN
    INSERT INTO control.deployment_key (key_id) VALUES (NEW.key_id) ON CONFLICT DO NOTHING;
    UPDATE control.deployment_key k SET primary_at = clock_timestamp()
    WHERE k.key_id = NEW.key_id AND k.primary_at IS NULL;
    SELECT k.* INTO held FROM control.deployment_key k WHERE k.key_id = NEW.key_id FOR SHARE;
    IF held.dropped_at IS NOT NULL THEN
        RAISE EXCEPTION 'the key % was dropped: use the keyring that the workers have', NEW.key_id
            USING ERRCODE = 'ZK001';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION control.hold_key() OWNER TO zaptik_fleet;

CREATE FUNCTION control.is_month_sealed(month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    begins timestamp := date_trunc('month', month::timestamp);
    ends timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    of_part text := coalesce(to_char(begins, 'YYYY-MM'), 'rest');
    sealed record;
BEGIN
    PERFORM control.check_no_tenant();
    IF ends + interval '1 hour' > clock_timestamp()
       OR NOT EXISTS (SELECT FROM control.list_audit_partitions() p WHERE p.part = of_part) THEN
        RETURN false;
    END IF;
    SELECT f.* INTO sealed FROM control.find_audit_frontier(of_part) f;
    IF of_part = 'rest' THEN
        RETURN NOT EXISTS (
            SELECT FROM control.audit_events_rest e
            WHERE e.audit_id <= 0 OR e.audit_id > sealed.highest_id
               OR (e.audit_id > sealed.after_id AND (e.xid, e.audit_id) > (sealed.last_xid, sealed.last_id)));
    END IF;
    RETURN NOT EXISTS (
        SELECT FROM control.audit_events e
        WHERE e.occurred_at >= begins AT TIME ZONE 'UTC' AND e.occurred_at < ends
          AND (e.audit_id <= 0 OR e.audit_id > sealed.highest_id
               OR (e.audit_id > sealed.after_id AND (e.xid, e.audit_id) > (sealed.last_xid, sealed.last_id))));
END
$$;

ALTER FUNCTION control.is_month_sealed(month date) OWNER TO zaptik_fleet;

CREATE FUNCTION control.keys_in_use() RETURNS SETOF text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY SELECT DISTINCT k.key_id FROM control.data_key k;
END
$$;

ALTER FUNCTION control.keys_in_use() OWNER TO zaptik_fleet;

CREATE FUNCTION control.list_audit_partitions() RETURNS TABLE(relation oid, name text, part text)
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $_$
BEGIN
    RETURN QUERY
    SELECT c.oid, c.oid::regclass::text,
           CASE WHEN c.relnamespace <> 'control'::regnamespace OR t.level <> 1 THEN NULL
                WHEN c.relname = 'audit_events_rest' THEN CASE b.bound WHEN 'DEFAULT' THEN 'rest' END
                WHEN c.relname !~ '^audit_events_[0-9]{4}_(0[1-9]|1[0-2])$' THEN NULL
                WHEN b.bound = format('FOR VALUES FROM (%L) TO (%L)', m.month AT TIME ZONE 'UTC',
                                      (m.month + interval '1 month') AT TIME ZONE 'UTC')
                THEN to_char(m.month, 'YYYY-MM') END
    FROM pg_catalog.pg_partition_tree('control.audit_events') t
    JOIN pg_catalog.pg_class c ON c.oid = t.relid
    CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid)) b (bound)
    CROSS JOIN LATERAL (SELECT CASE WHEN c.relname ~ '^audit_events_[0-9]{4}_(0[1-9]|1[0-2])$'
                                    THEN to_date(substr(c.relname, 14), 'YYYY_MM')::timestamp END) m (month)
    WHERE t.isleaf;
END
$_$;

CREATE FUNCTION control.list_old_audit_months(keep_months integer, at timestamp with time zone) RETURNS TABLE(month date, goes_at timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET search_path TO ''
    AS $$
#variable_conflict use_column
BEGIN
    IF keep_months IS NULL OR keep_months NOT BETWEEN 24 AND 1200 THEN
        RAISE EXCEPTION 'audit events are kept for 24 months at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT d.month, d.goes_at
    FROM (SELECT m.month, (m.begins + (1 + keep_months) * interval '1 month') AT TIME ZONE 'UTC' AS goes_at
          FROM (SELECT (p.part || '-01')::date AS month, (p.part || '-01')::timestamp AS begins
                FROM control.list_audit_partitions() p WHERE p.part <> 'rest'
                UNION ALL
                SELECT NULL, date_trunc('month', max(e.occurred_at) AT TIME ZONE 'UTC')
                FROM control.audit_events_rest e HAVING max(e.occurred_at) IS NOT NULL) m) d
    WHERE d.goes_at <= at ORDER BY d.month NULLS LAST;
END
$$;

CREATE FUNCTION control.make_audit_months(ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET lock_timeout TO '2000'
    AS $$
DECLARE
    month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    there integer := -1;
BEGIN
    PERFORM control.check_no_tenant();
    FOR months IN 0 .. least(ahead, 24) LOOP
        PERFORM control.make_audit_partition(to_char(month + months * interval '1 month', 'YYYY-MM'));
    END LOOP;
    WHILE to_regclass('control.audit_events_'
                      || to_char(month + (there + 1) * interval '1 month', 'YYYY_MM')) IS NOT NULL LOOP
        there := there + 1;
    END LOOP;
    RETURN there;
END
$$;

CREATE FUNCTION control.make_audit_partition(bound text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
DECLARE
    month date := CASE WHEN bound <> 'rest' THEN (bound || '-01')::date END;
    begins timestamptz := month::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    partition text := 'audit_events_' || replace(bound, '-', '_');
BEGIN
    IF to_regclass('control.' || partition) IS NOT NULL THEN RETURN; END IF;
    IF month IS NOT NULL THEN
        -- A month that nobody made in time has its rows in `rest`, where they stay: none may be moved.
        PERFORM FROM control.audit_events_rest WHERE occurred_at >= begins AND occurred_at < ends LIMIT 1;
        IF FOUND THEN RETURN; END IF;
    END IF;
    EXECUTE format('CREATE TABLE control.%I (LIKE control.audit_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                   partition);
    EXECUTE format('ALTER TABLE control.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('CREATE TRIGGER not_emptied BEFORE TRUNCATE ON control.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change()', partition);
    IF month IS NULL THEN  -- read by its name, since no range of times names it
        EXECUTE format('CREATE POLICY owner ON control.%I TO zaptik_owner USING (true)', partition);
        EXECUTE format('CREATE POLICY fleet_reads ON control.%I FOR SELECT TO zaptik_fleet USING (true)', partition);
        EXECUTE format('GRANT SELECT ON control.%I TO zaptik_fleet', partition);
    END IF;
    EXECUTE format('ALTER TABLE control.audit_events ATTACH PARTITION control.%I %s', partition,
                   CASE WHEN month IS NULL THEN 'DEFAULT'
                        ELSE format('FOR VALUES FROM (%L) TO (%L)', begins, ends) END);
END
$$;

CREATE FUNCTION control.pass_audit_checkpoint(of_segment bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
DECLARE
    of_part text := (SELECT c.bound FROM control.audit_checkpoint c WHERE c.segment = of_segment);
BEGIN
    IF of_part IS NULL OR EXISTS (
        SELECT FROM control.audit_checkpoint c
        WHERE c.bound = of_part AND c.segment >= of_segment
          AND (c.segment > of_segment) <> EXISTS (SELECT FROM control.audit_passed p WHERE p.segment = c.segment)) THEN
        RAISE EXCEPTION 'segment % is not the newest of its part of the trail', of_segment
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO control.audit_passed (segment) VALUES (of_segment);
    INSERT INTO control.audit_events (action, detail)
    VALUES ('audit.passed', jsonb_build_object('segment', of_segment, 'bound', of_part));
END
$$;

CREATE FUNCTION control.promote_key(key text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    held control.deployment_key;
BEGIN
    PERFORM control.check_no_tenant();
    INSERT INTO control.deployment_key (key_id) VALUES (key) ON CONFLICT DO NOTHING;
    SELECT k.* INTO held FROM control.deployment_key k WHERE k.key_id = key FOR UPDATE;
    IF held.dropped_at IS NOT NULL THEN
        RAISE EXCEPTION 'the key % was dropped: use the keyring that the workers have', key USING ERRCODE = 'ZK001';
    ELSIF held.primary_at IS NOT NULL THEN
        RETURN false;
    END IF;
    UPDATE control.deployment_key k SET primary_at = clock_timestamp() WHERE k.key_id = key;
    INSERT INTO control.audit_events (action, detail) VALUES ('key.promoted', jsonb_build_object('key_id', key));
    RETURN true;
END
$$;

ALTER FUNCTION control.promote_key(key text) OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) RETURNS TABLE(audit_id bigint, occurred_us bigint, xid text, actor text, caller text, action text, tenant_ref text, run_id text, detail text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    begins timestamptz;
BEGIN
    PERFORM control.check_no_tenant();
    IF part = 'rest' THEN
        RETURN QUERY
        SELECT e.audit_id, (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.xid::text, e.actor, e.caller,
               e.action, e.tenant_ref::text, e.run_id::text, e.detail::text
        FROM control.audit_events_rest e
        WHERE e.audit_id > above_id AND e.audit_id <= upto_id AND (e.xid, e.audit_id) > (after_xid::xid8, after_id)
          AND (NOT settled OR e.xid < pg_snapshot_xmin(pg_current_snapshot()))
        ORDER BY e.xid, e.audit_id LIMIT batch;
        RETURN;
    END IF;
    begins := (part || '-01')::timestamp AT TIME ZONE 'UTC';
    RETURN QUERY
    SELECT e.audit_id, (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.xid::text, e.actor, e.caller,
           e.action, e.tenant_ref::text, e.run_id::text, e.detail::text
    FROM control.audit_events e
    WHERE e.occurred_at >= begins
      AND e.occurred_at < (begins AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
      AND e.audit_id > above_id AND e.audit_id <= upto_id AND (e.xid, e.audit_id) > (after_xid::xid8, after_id)
      AND (NOT settled OR e.xid < pg_snapshot_xmin(pg_current_snapshot()))
    ORDER BY e.xid, e.audit_id LIMIT batch;
END
$$;

ALTER FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) RETURNS TABLE(segment bigint, bound text, after_id bigint, last_xid text, last_id bigint, highest_id bigint, events integer, first_us bigint, last_us bigint, sealed_us bigint, entries bytea, previous bytea, key_id text, digest bytea, signature bytea, upto_id bigint, before_xid text, before_id bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT c.segment, c.bound, c.after_id, c.last_xid::text, c.last_id, c.highest_id, c.events,
           (extract(epoch FROM c.first_at) * 1000000)::bigint, (extract(epoch FROM c.last_at) * 1000000)::bigint,
           (extract(epoch FROM c.sealed_at) * 1000000)::bigint, c.entries, c.previous, c.key_id, c.digest, c.signature,
           (SELECT min(n.after_id) FROM control.audit_checkpoint n
            WHERE n.bound = c.bound AND n.after_id > c.after_id
              AND NOT EXISTS (SELECT FROM control.audit_passed p WHERE p.segment = n.segment)),
           coalesce(b.last_xid, '0'::xid8)::text, coalesce(b.last_id, 0)
    FROM control.audit_checkpoint c
    LEFT JOIN LATERAL (SELECT o.last_xid, o.last_id FROM control.audit_checkpoint o
                       WHERE o.bound = c.bound AND o.after_id = c.after_id AND o.segment < c.segment
                         AND NOT EXISTS (SELECT FROM control.audit_passed p WHERE p.segment = o.segment)
                       ORDER BY o.segment DESC LIMIT 1) b ON true
    WHERE c.segment > coalesce(after_segment, (SELECT max(m.segment) - 1 FROM control.audit_checkpoint m))
    ORDER BY c.segment LIMIT batch;
END
$$;

ALTER FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_audit_drops(batch integer) RETURNS TABLE(occurred_us bigint, detail text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.detail::text FROM control.audit_events e
    WHERE e.action = 'retention.audit' AND e.tenant_ref IS NULL AND e.actor = 'zaptik_owner'
    ORDER BY e.occurred_at DESC, e.audit_id DESC LIMIT batch;
END
$$;

ALTER FUNCTION control.read_audit_drops(batch integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_audit_partitions(most_counted integer) RETURNS TABLE(part text, after_id bigint, last_xid text, last_id bigint, highest_id bigint, went_back boolean, unsealed bigint, oldest_unsealed timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    WITH frontier AS (
        SELECT p.part, s.after_id, s.last_xid, s.last_id, s.highest_id,
               CASE WHEN p.part <> 'rest' THEN (p.part || '-01')::timestamp END AS month,
               pg_snapshot_xmax(pg_current_snapshot()) <= s.last_xid AS went_back
        FROM control.list_audit_partitions() p CROSS JOIN LATERAL control.find_audit_frontier(p.part) s
        WHERE p.part IS NOT NULL
    )
    SELECT f.part, f.after_id, f.last_xid::text, f.last_id, f.highest_id, f.went_back, open.events, open.oldest
    FROM frontier f
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, min(u.occurred_at) AS oldest FROM (
            (SELECT e.occurred_at FROM control.audit_events e
             WHERE f.month IS NOT NULL AND e.occurred_at >= f.month AT TIME ZONE 'UTC'
               AND e.occurred_at < (f.month + interval '1 month') AT TIME ZONE 'UTC'
               AND e.audit_id > f.after_id AND (e.xid, e.audit_id) > (f.last_xid, f.last_id)
             ORDER BY e.xid, e.audit_id LIMIT most_counted)
            UNION ALL
            (SELECT e.occurred_at FROM control.audit_events_rest e
             WHERE f.month IS NULL AND e.audit_id > f.after_id AND (e.xid, e.audit_id) > (f.last_xid, f.last_id)
             ORDER BY e.xid, e.audit_id LIMIT most_counted)
            UNION ALL
            (SELECT e.occurred_at FROM control.audit_events e
             WHERE f.month IS NOT NULL AND f.highest_id > 0 AND e.occurred_at >= f.month AT TIME ZONE 'UTC'
               AND e.occurred_at < (f.month + interval '1 month') AT TIME ZONE 'UTC'
               AND f.went_back AND e.audit_id > f.highest_id
               AND (e.xid, e.audit_id) <= (f.last_xid, f.last_id) LIMIT most_counted)
            UNION ALL
            (SELECT e.occurred_at FROM control.audit_events_rest e
             WHERE f.month IS NULL AND f.highest_id > 0 AND f.went_back AND e.audit_id > f.highest_id
               AND (e.xid, e.audit_id) <= (f.last_xid, f.last_id) LIMIT most_counted)
        ) u
    ) open
    ORDER BY f.part;
END
$$;

ALTER FUNCTION control.read_audit_partitions(most_counted integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) RETURNS TABLE(audit_id bigint, occurred_at timestamp with time zone, actor text, caller text, action text, tenant_ref uuid, run_id uuid, detail jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT e.audit_id, e.occurred_at, e.actor, e.caller, e.action, e.tenant_ref, e.run_id, e.detail
    FROM control.audit_events e
    WHERE (tenant IS NULL OR e.tenant_ref = tenant) AND (run IS NULL OR e.run_id = run)
      AND (act IS NULL OR e.action = act)
    ORDER BY e.occurred_at DESC, e.audit_id DESC LIMIT batch;
END
$$;

ALTER FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_fleet() RETURNS TABLE(tenant_id uuid, tenant text, url text, schema_name text, every_seconds integer, state text, state_reason text, revision bigint, published_at timestamp with time zone, as_of timestamp with time zone, staleness_seconds double precision, waiting_seconds double precision, last_state text, last_error jsonb, breaker text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    -- What waits: a turn that no scheduler has taken up, or a run that no worker has.
    SELECT t.tenant_id, t.name, t.url, t.schema_name, t.every_seconds, t.state, t.state_reason, t.revision,
           t.published_at, t.as_of,
           extract(epoch FROM clock_timestamp() - coalesce(t.as_of, t.created_at))::double precision,
           CASE WHEN t.state = 'active' THEN greatest(0, extract(epoch FROM clock_timestamp() - least(t.next_due_at,
               (SELECT r.not_before FROM control.run r
                WHERE r.tenant_id = t.tenant_id AND r.state = 'requested'))))::double precision ELSE 0 END,
           newest.state, newest.error,
           CASE WHEN b.open_until > clock_timestamp() THEN 'open' WHEN b.open_until IS NOT NULL THEN 'half_open'
                ELSE 'closed' END
    FROM control.tenant t
    LEFT JOIN control.instance_breaker b ON b.tenant_id = t.tenant_id
    LEFT JOIN LATERAL (SELECT r.state, r.error FROM control.run r WHERE r.tenant_id = t.tenant_id
                       ORDER BY r.requested_at DESC LIMIT 1) newest ON true
    ORDER BY t.name;
END
$$;

ALTER FUNCTION control.read_fleet() OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_isolation_check() RETURNS TABLE(checked_at timestamp with time zone, reached_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY SELECT c.checked_at, c.reached_at FROM control.isolation_check c;
END
$$;

ALTER FUNCTION control.read_isolation_check() OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_keys() RETURNS TABLE(key_id text, seen_at timestamp with time zone, primary_at timestamp with time zone, dropped_at timestamp with time zone, age_seconds double precision, tenants bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT k.key_id, k.seen_at, k.primary_at, k.dropped_at,
           extract(epoch FROM clock_timestamp() - coalesce(k.primary_at, k.seen_at))::double precision,
           coalesce(d.tenants, 0)
    FROM control.deployment_key k
    LEFT JOIN (SELECT w.key_id, count(*) AS tenants FROM control.data_key w GROUP BY w.key_id) d USING (key_id)
    ORDER BY k.seen_at, k.key_id;
END
$$;

ALTER FUNCTION control.read_keys() OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_offboardings() RETURNS TABLE(tenant_id uuid, tenant text, schema_name text, url text, reference text, requested_at timestamp with time zone, due_at timestamp with time zone, begun_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT o.tenant_id, t.name, t.schema_name, t.url, o.reference, o.requested_at, o.due_at, o.begun_at
    FROM control.offboarding o JOIN control.tenant t ON t.tenant_id = o.tenant_id ORDER BY o.due_at, t.name;
END
$$;

ALTER FUNCTION control.read_offboardings() OWNER TO zaptik_fleet;

CREATE FUNCTION control.read_old_audit_months(keep_months integer) RETURNS TABLE(month date, overdue_seconds double precision, is_sealed boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT m.month, extract(epoch FROM clock_timestamp() - m.goes_at)::double precision,
           control.is_month_sealed(m.month)
    FROM control.list_old_audit_months(keep_months, clock_timestamp()) m;
END
$$;

CREATE FUNCTION control.read_retention_overdue() RETURNS double precision
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN (SELECT greatest(0, max(extract(epoch FROM
                clock_timestamp() - coalesce(r.done_at, t.created_at) - interval '1 day')))::double precision
            FROM control.tenant t LEFT JOIN control.retention r ON r.tenant_id = t.tenant_id
            WHERE t.state <> 'offboarding');
END
$$;

ALTER FUNCTION control.read_retention_overdue() OWNER TO zaptik_fleet;

CREATE FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

ALTER FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) OWNER TO zaptik_fleet;

CREATE FUNCTION control.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION control.register_key(key text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    INSERT INTO control.deployment_key (key_id) VALUES (key) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO control.audit_events (action, detail) VALUES ('key.generated', jsonb_build_object('key_id', key));
    RETURN true;
END
$$;

ALTER FUNCTION control.register_key(key text) OWNER TO zaptik_fleet;

CREATE FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    RETURN (SELECT e.released FROM control.end_slice(run, held_fence, ending, wait_seconds, failure, false) e);
END
$$;

ALTER FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) OWNER TO zaptik_fleet;

CREATE FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_one_tenant((SELECT r.tenant_id FROM control.run r WHERE r.run_id = run));
    UPDATE control.run r
    SET lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 86400) * interval '1 second'
    WHERE r.run_id = run AND r.fence = held_fence AND r.state = 'running';
    RETURN FOUND;
END
$$;

ALTER FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) OWNER TO zaptik_fleet;

CREATE FUNCTION control.request_sync(tenant text, sync_mode text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

ALTER FUNCTION control.request_sync(tenant text, sync_mode text) OWNER TO zaptik_fleet;

CREATE FUNCTION control.rescue_runs(max_attempts integer) RETURNS TABLE(run_id uuid, tenant_id uuid, gave_up boolean, worker text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    WITH lost AS (
        SELECT r.run_id, r.worker, r.records > r.claimed_records AS has_advanced,
               r.attempt >= max_attempts AND r.records <= r.claimed_records AS gave_up FROM control.run r
        WHERE r.state = 'running' AND r.lease_until < clock_timestamp()
        FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE control.run r
        SET state = CASE WHEN lost.gave_up THEN 'failed' ELSE 'requested' END,
            attempt = CASE WHEN lost.has_advanced THEN 0 ELSE r.attempt END,
            served_seconds = r.served_seconds
                + greatest(0, extract(epoch FROM r.lease_until - r.claimed_at))::double precision,
            lease_until = NULL, worker = NULL, rung_at = NULL,
            not_before = clock_timestamp(),
            ended_at = CASE WHEN lost.gave_up THEN clock_timestamp() END,
            error = CASE WHEN lost.gave_up THEN jsonb_build_object(
                'code', 'gave_up', 'retry', 'never', 'audience', 'operator', 'message',
                format('The run was claimed %s times without progress, and its last worker, %s, fell silent; '
                       'read that worker''s log.', r.attempt, lost.worker)) END
        FROM lost WHERE r.run_id = lost.run_id
        RETURNING r.run_id, r.tenant_id, lost.gave_up, lost.worker
    ), told AS (
        INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
        SELECT CASE WHEN m.gave_up THEN 'run.ended' ELSE 'run.rescued' END, m.tenant_id, m.run_id,
               CASE WHEN m.gave_up THEN '{"outcome": "failed", "code": "gave_up"}'::jsonb
                    ELSE jsonb_build_object('worker', m.worker) END
        FROM moved m
    )
    SELECT m.run_id, m.tenant_id, m.gave_up, m.worker FROM moved m;
END
$$;

ALTER FUNCTION control.rescue_runs(max_attempts integer) OWNER TO zaptik_fleet;

CREATE FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) RETURNS SETOF uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    room bigint;
BEGIN
    PERFORM control.check_no_tenant();
    SELECT 2 * coalesce(sum(p.threads), 0) INTO room FROM control.process p
    WHERE p.kind = 'worker' AND p.seen_at > clock_timestamp() - interval '40 seconds';
    SELECT room - count(*) INTO room FROM control.run r
    WHERE r.state = 'requested' AND r.rung_at >= clock_timestamp() - again_after_seconds * interval '1 second';
    RETURN QUERY
    WITH waiting AS (
        SELECT r.run_id FROM control.run r JOIN control.tenant t ON t.tenant_id = r.tenant_id
        WHERE r.state = 'requested' AND r.not_before <= clock_timestamp() AND t.state = 'active'
          AND (r.rung_at IS NULL OR r.rung_at < clock_timestamp() - again_after_seconds * interval '1 second')
        ORDER BY r.not_before
            + (r.served_seconds - CASE r.reason WHEN 'request' THEN 60 ELSE 0 END) * interval '1 second'
        LIMIT least(batch, greatest(0, room)) FOR UPDATE OF r SKIP LOCKED
    )
    UPDATE control.run r SET rung_at = clock_timestamp() FROM waiting WHERE r.run_id = waiting.run_id
    RETURNING r.run_id;
END
$$;

ALTER FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) OWNER TO zaptik_fleet;

CREATE FUNCTION control.tell_audit_act(act text, detail jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    IF act NOT IN ('audit.verified', 'audit.exported') THEN
        RAISE EXCEPTION 'this is no act with the trail' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO control.audit_events (action, detail) VALUES (act, detail);
END
$$;

ALTER FUNCTION control.tell_audit_act(act text, detail jsonb) OWNER TO zaptik_fleet;

CREATE FUNCTION control.tell_request() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    INSERT INTO control.audit_events (action, tenant_ref, detail)
    VALUES ('run.asked', NEW.tenant_id, jsonb_build_object('request', NEW.request_id, 'mode', NEW.mode));
    RETURN NULL;
END
$$;

ALTER FUNCTION control.tell_request() OWNER TO zaptik_fleet;

CREATE FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT w.tenant_id FROM control.data_key w
    WHERE w.key_id <> to_key AND (after IS NULL OR w.tenant_id > after) ORDER BY w.tenant_id LIMIT batch;
END
$$;

ALTER FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) OWNER TO zaptik_fleet;

CREATE TABLE control.audit_checkpoint (
    segment bigint NOT NULL,
    bound text NOT NULL,
    after_id bigint NOT NULL,
    last_xid xid8 NOT NULL,
    last_id bigint NOT NULL,
    highest_id bigint NOT NULL,
    events integer NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    entries bytea NOT NULL,
    previous bytea NOT NULL,
    digest bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT audit_checkpoint_bound CHECK ((bound ~ '^([0-9]{4}-(0[1-9]|1[0-2])|rest)$'::text)),
    CONSTRAINT audit_checkpoint_bytes CHECK (((octet_length(previous) = 32) AND (octet_length(digest) = 32) AND (octet_length(signature) = 64))),
    CONSTRAINT audit_checkpoint_size CHECK ((((events >= 1) AND (events <= 1000)) AND (octet_length(entries) = (40 * events))))
);
ALTER TABLE ONLY control.audit_checkpoint ALTER COLUMN entries SET STORAGE EXTERNAL;

ALTER TABLE ONLY control.audit_checkpoint FORCE ROW LEVEL SECURITY;

CREATE TABLE control.audit_events (
    audit_id bigint NOT NULL,
    occurred_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    action text NOT NULL,
    tenant_ref uuid,
    run_id uuid,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    caller text DEFAULT 
CASE
    WHEN (current_setting('application_name'::text) ~~ 'zaptik command %'::text) THEN substr(current_setting('application_name'::text), 16)
    ELSE NULL::text
END
)
PARTITION BY RANGE (occurred_at);

ALTER TABLE ONLY control.audit_events FORCE ROW LEVEL SECURITY;

ALTER TABLE control.audit_events ALTER COLUMN audit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME control.audit_events_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE control.audit_events_rest (
    audit_id bigint CONSTRAINT audit_events_audit_id_not_null NOT NULL,
    occurred_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT audit_events_occurred_at_not_null NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() CONSTRAINT audit_events_xid_not_null NOT NULL,
    actor text DEFAULT SESSION_USER CONSTRAINT audit_events_actor_not_null NOT NULL,
    action text CONSTRAINT audit_events_action_not_null NOT NULL,
    tenant_ref uuid,
    run_id uuid,
    detail jsonb DEFAULT '{}'::jsonb CONSTRAINT audit_events_detail_not_null NOT NULL,
    caller text DEFAULT 
CASE
    WHEN (current_setting('application_name'::text) ~~ 'zaptik command %'::text) THEN substr(current_setting('application_name'::text), 16)
    ELSE NULL::text
END
);

ALTER TABLE ONLY control.audit_events_rest FORCE ROW LEVEL SECURITY;

CREATE TABLE control.audit_passed (
    segment bigint NOT NULL,
    passed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY control.audit_passed FORCE ROW LEVEL SECURITY;

CREATE TABLE control.audit_retention (
    is_the_one boolean DEFAULT true NOT NULL,
    holder text,
    lease_until timestamp with time zone,
    done_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT audit_retention_is_one_row CHECK (is_the_one)
);

ALTER TABLE ONLY control.audit_retention FORCE ROW LEVEL SECURITY;

CREATE TABLE control.audit_sealer (
    only_row boolean DEFAULT true NOT NULL,
    holder text,
    lease_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT audit_sealer_only_row CHECK (only_row)
);

ALTER TABLE ONLY control.audit_sealer FORCE ROW LEVEL SECURITY;

CREATE TABLE control.credential (
    tenant_id uuid NOT NULL,
    version integer NOT NULL,
    envelope bytea NOT NULL,
    stored_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY control.credential FORCE ROW LEVEL SECURITY;

CREATE TABLE control.data_key (
    tenant_id uuid NOT NULL,
    key_id text NOT NULL,
    wrapped bytea NOT NULL
);

ALTER TABLE ONLY control.data_key FORCE ROW LEVEL SECURITY;

CREATE TABLE control.deployment_key (
    key_id text NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    primary_at timestamp with time zone,
    dropped_at timestamp with time zone,
    CONSTRAINT deployment_key_has_an_id CHECK (((length(key_id) >= 1) AND (length(key_id) <= 255)))
);

ALTER TABLE ONLY control.deployment_key FORCE ROW LEVEL SECURITY;

CREATE TABLE control.instance_breaker (
    tenant_id uuid NOT NULL,
    failures integer NOT NULL,
    code text NOT NULL,
    open_until timestamp with time zone,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT instance_breaker_failures CHECK ((failures >= 1))
);

ALTER TABLE ONLY control.instance_breaker FORCE ROW LEVEL SECURITY;

CREATE TABLE control.instance_pace (
    tenant_id uuid NOT NULL,
    cooldown_until timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    limit_requests bigint,
    used_requests bigint,
    hour_ends_at timestamp with time zone,
    at_once real,
    page_rows jsonb DEFAULT '{}'::jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT instance_pace_at_once CHECK ((at_once >= (1)::double precision)),
    CONSTRAINT instance_pace_hour_is_whole CHECK ((num_nulls(limit_requests, used_requests, hour_ends_at) = ANY (ARRAY[0, 3])))
);

ALTER TABLE ONLY control.instance_pace FORCE ROW LEVEL SECURITY;

CREATE TABLE control.isolation_check (
    only_row boolean DEFAULT true NOT NULL,
    holder text,
    lease_until timestamp with time zone,
    ended_at timestamp with time zone,
    after_tenant uuid,
    checked_at timestamp with time zone,
    reached_at timestamp with time zone,
    CONSTRAINT isolation_check_only_row CHECK (only_row)
);

ALTER TABLE ONLY control.isolation_check FORCE ROW LEVEL SECURITY;

CREATE TABLE control.offboarding (
    tenant_id uuid NOT NULL,
    reference text NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    requested_by text DEFAULT SESSION_USER NOT NULL,
    due_at timestamp with time zone NOT NULL,
    state_before text NOT NULL,
    reason_before text,
    begun_at timestamp with time zone,
    gone jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT offboarding_has_a_reference CHECK (((length(reference) >= 1) AND (length(reference) <= 200))),
    CONSTRAINT offboarding_within_thirty_days CHECK (((due_at > requested_at) AND (due_at <= (requested_at + '30 days'::interval))))
);

ALTER TABLE ONLY control.offboarding FORCE ROW LEVEL SECURITY;

CREATE TABLE control.process (
    process_id uuid NOT NULL,
    kind text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    threads integer NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    key_ids text[],
    CONSTRAINT process_kind CHECK ((kind = ANY (ARRAY['worker'::text, 'scheduler'::text])))
);

ALTER TABLE ONLY control.process FORCE ROW LEVEL SECURITY;

CREATE TABLE control.run (
    run_id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id uuid NOT NULL,
    mode text NOT NULL,
    state text DEFAULT 'requested'::text NOT NULL,
    reason text NOT NULL,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    not_before timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    rung_at timestamp with time zone,
    attempt integer DEFAULT 0 NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    worker text,
    lease_until timestamp with time zone,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    requests bigint DEFAULT 0 NOT NULL,
    records bigint DEFAULT 0 NOT NULL,
    revision bigint,
    nodes bigint,
    edges bigint,
    added bigint DEFAULT 0 NOT NULL,
    changed bigint DEFAULT 0 NOT NULL,
    removed bigint DEFAULT 0 NOT NULL,
    error jsonb,
    canaries jsonb,
    claimed_at timestamp with time zone,
    claimed_records bigint DEFAULT 0 NOT NULL,
    served_seconds double precision DEFAULT 0 NOT NULL,
    CONSTRAINT run_ended_has_a_time CHECK (((state = ANY (ARRAY['requested'::text, 'running'::text])) = (ended_at IS NULL))),
    CONSTRAINT run_leased_while_running CHECK (((state = 'running'::text) = (lease_until IS NOT NULL))),
    CONSTRAINT run_mode CHECK ((mode = ANY (ARRAY['full'::text, 'delta'::text]))),
    CONSTRAINT run_published_has_a_revision CHECK (((state <> 'published'::text) OR (revision IS NOT NULL))),
    CONSTRAINT run_reason CHECK ((reason = ANY (ARRAY['cadence'::text, 'request'::text]))),
    CONSTRAINT run_state CHECK ((state = ANY (ARRAY['requested'::text, 'running'::text, 'published'::text, 'unchanged'::text, 'quarantined'::text, 'failed'::text, 'cancelled'::text])))
)
WITH (fillfactor='80');

ALTER TABLE ONLY control.run FORCE ROW LEVEL SECURITY;

CREATE TABLE control.sync_request (
    request_id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    mode text NOT NULL,
    requested_by text DEFAULT SESSION_USER NOT NULL,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    run_id uuid,
    CONSTRAINT sync_request_mode CHECK ((mode = ANY (ARRAY['full'::text, 'delta'::text])))
);

ALTER TABLE ONLY control.sync_request FORCE ROW LEVEL SECURITY;

CREATE TABLE control.tenant (
    tenant_id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    schema_name text NOT NULL,
    url text NOT NULL,
    every_seconds integer NOT NULL,
    state text DEFAULT 'awaiting_credentials'::text NOT NULL,
    state_reason text,
    next_due_at timestamp with time zone DEFAULT now() NOT NULL,
    revision bigint,
    published_at timestamp with time zone,
    as_of timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_cadence CHECK (((every_seconds >= 60) AND (every_seconds <= (31 * 86400)))),
    CONSTRAINT tenant_name_is_an_instance CHECK ((name ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'::text)),
    CONSTRAINT tenant_schema_follows_name CHECK ((schema_name = ('tenant_'::text || replace(name, '-'::text, '_'::text)))),
    CONSTRAINT tenant_state CHECK ((state = ANY (ARRAY['awaiting_credentials'::text, 'active'::text, 'paused'::text, 'offboarding'::text]))),
    CONSTRAINT tenant_url_is_https CHECK ((url ~~ 'https://%'::text))
);

ALTER TABLE ONLY control.tenant FORCE ROW LEVEL SECURITY;

CREATE VIEW control.request_v1 WITH (security_barrier='true') AS
 SELECT q.request_id AS request,
    t.name AS tenant,
    q.run_id,
    COALESCE(r.state, 'requested'::text) AS state,
    r.revision,
    (r.error ->> 'code'::text) AS error_code,
    q.mode,
    q.requested_at,
    r.ended_at
   FROM ((control.sync_request q
     JOIN control.tenant t ON ((t.tenant_id = q.tenant_id)))
     LEFT JOIN control.run r ON ((r.run_id = q.run_id)))
  WHERE (q.requested_by = SESSION_USER);

ALTER VIEW control.request_v1 OWNER TO zaptik_fleet;

CREATE TABLE control.retention (
    tenant_id uuid NOT NULL,
    done_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY control.retention FORCE ROW LEVEL SECURITY;

CREATE TABLE control.schema_version (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY control.schema_version FORCE ROW LEVEL SECURITY;

CREATE TABLE control.start_budget (
    only_row boolean DEFAULT true NOT NULL,
    starts double precision NOT NULL,
    filled_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT start_budget_only_row CHECK (only_row)
);

ALTER TABLE ONLY control.start_budget FORCE ROW LEVEL SECURITY;

ALTER TABLE control.sync_request ALTER COLUMN request_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME control.sync_request_request_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY control.audit_events ATTACH PARTITION control.audit_events_rest DEFAULT;

ALTER TABLE ONLY control.audit_checkpoint
    ADD CONSTRAINT audit_checkpoint_pkey PRIMARY KEY (segment);

ALTER TABLE control.audit_events
    ADD CONSTRAINT audit_events_numbered CHECK ((audit_id > 0)) NOT VALID;

ALTER TABLE ONLY control.audit_events
    ADD CONSTRAINT audit_events_pkey PRIMARY KEY (occurred_at, audit_id);

ALTER TABLE ONLY control.audit_events_rest
    ADD CONSTRAINT audit_events_rest_pkey PRIMARY KEY (occurred_at, audit_id);

ALTER TABLE ONLY control.audit_passed
    ADD CONSTRAINT audit_passed_pkey PRIMARY KEY (segment);

ALTER TABLE ONLY control.audit_retention
    ADD CONSTRAINT audit_retention_pkey PRIMARY KEY (is_the_one);

ALTER TABLE ONLY control.audit_sealer
    ADD CONSTRAINT audit_sealer_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY control.credential
    ADD CONSTRAINT credential_pkey PRIMARY KEY (tenant_id, version);

ALTER TABLE ONLY control.data_key
    ADD CONSTRAINT data_key_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY control.deployment_key
    ADD CONSTRAINT deployment_key_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY control.instance_breaker
    ADD CONSTRAINT instance_breaker_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY control.instance_pace
    ADD CONSTRAINT instance_pace_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY control.isolation_check
    ADD CONSTRAINT isolation_check_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY control.offboarding
    ADD CONSTRAINT offboarding_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY control.process
    ADD CONSTRAINT process_pkey PRIMARY KEY (process_id);

ALTER TABLE ONLY control.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY control.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY control.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);

ALTER TABLE ONLY control.start_budget
    ADD CONSTRAINT start_budget_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY control.sync_request
    ADD CONSTRAINT sync_request_pkey PRIMARY KEY (request_id);

ALTER TABLE ONLY control.tenant
    ADD CONSTRAINT tenant_name_once UNIQUE (name);

ALTER TABLE ONLY control.tenant
    ADD CONSTRAINT tenant_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY control.tenant
    ADD CONSTRAINT tenant_schema_once UNIQUE (schema_name);

CREATE INDEX audit_checkpoint_of_bound ON control.audit_checkpoint USING btree (bound, after_id, segment);

CREATE INDEX audit_events_in_order ON ONLY control.audit_events USING btree (xid, audit_id);

CREATE INDEX audit_events_of_run ON ONLY control.audit_events USING btree (run_id);

CREATE INDEX audit_events_rest_run_id_idx ON control.audit_events_rest USING btree (run_id);

CREATE INDEX audit_events_rest_xid_audit_id_idx ON control.audit_events_rest USING btree (xid, audit_id);

CREATE INDEX run_leases ON control.run USING btree (lease_until) WHERE (state = 'running'::text);

CREATE INDEX run_newest_of_tenant ON control.run USING btree (tenant_id, requested_at DESC);

CREATE UNIQUE INDEX run_one_live_a_tenant ON control.run USING btree (tenant_id) WHERE (state = ANY (ARRAY['requested'::text, 'running'::text]));

CREATE INDEX run_to_ring ON control.run USING btree (not_before) WHERE (state = 'requested'::text);

CREATE INDEX sync_request_of_login ON control.sync_request USING btree (tenant_id, requested_by, request_id);

CREATE INDEX sync_request_of_run ON control.sync_request USING btree (run_id);

CREATE INDEX sync_request_open ON control.sync_request USING btree (request_id) WHERE (run_id IS NULL);

CREATE INDEX tenant_due ON control.tenant USING btree (next_due_at) WHERE (state = 'active'::text);

ALTER INDEX control.audit_events_pkey ATTACH PARTITION control.audit_events_rest_pkey;

ALTER INDEX control.audit_events_of_run ATTACH PARTITION control.audit_events_rest_run_id_idx;

ALTER INDEX control.audit_events_in_order ATTACH PARTITION control.audit_events_rest_xid_audit_id_idx;

CREATE TRIGGER audit_checkpoint_not_emptied BEFORE TRUNCATE ON control.audit_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change();

CREATE TRIGGER audit_checkpoint_stays BEFORE DELETE OR UPDATE ON control.audit_checkpoint FOR EACH ROW EXECUTE FUNCTION control.refuse_change();

CREATE TRIGGER audit_events_not_emptied BEFORE TRUNCATE ON control.audit_events FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change();

CREATE TRIGGER audit_events_stay BEFORE DELETE OR UPDATE ON control.audit_events FOR EACH ROW EXECUTE FUNCTION control.refuse_change();

CREATE TRIGGER audit_passed_not_emptied BEFORE TRUNCATE ON control.audit_passed FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change();

CREATE TRIGGER audit_passed_stays BEFORE DELETE OR UPDATE ON control.audit_passed FOR EACH ROW EXECUTE FUNCTION control.refuse_change();

CREATE TRIGGER data_key_holds_its_key BEFORE INSERT OR UPDATE OF key_id ON control.data_key FOR EACH ROW EXECUTE FUNCTION control.hold_key();

CREATE TRIGGER not_emptied BEFORE TRUNCATE ON control.audit_events_rest FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change();

CREATE TRIGGER run_moves BEFORE UPDATE ON control.run FOR EACH ROW WHEN (((old.state IS DISTINCT FROM new.state) OR (old.fence IS DISTINCT FROM new.fence))) EXECUTE FUNCTION control.check_move();

CREATE TRIGGER sync_request_is_told AFTER INSERT ON control.sync_request FOR EACH ROW EXECUTE FUNCTION control.tell_request();

CREATE TRIGGER tenant_offboarding BEFORE UPDATE OF state ON control.tenant FOR EACH ROW WHEN (((old.state <> new.state) AND (('offboarding'::text = old.state) OR ('offboarding'::text = new.state)))) EXECUTE FUNCTION control.check_offboarding();

ALTER TABLE ONLY control.credential
    ADD CONSTRAINT credential_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES control.tenant(tenant_id);

ALTER TABLE ONLY control.data_key
    ADD CONSTRAINT data_key_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES control.tenant(tenant_id);

ALTER TABLE ONLY control.instance_breaker
    ADD CONSTRAINT instance_breaker_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES control.tenant(tenant_id);

ALTER TABLE ONLY control.instance_pace
    ADD CONSTRAINT instance_pace_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES control.tenant(tenant_id);

ALTER TABLE ONLY control.offboarding
    ADD CONSTRAINT offboarding_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES control.tenant(tenant_id);

ALTER TABLE ONLY control.retention
    ADD CONSTRAINT retention_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES control.tenant(tenant_id);

ALTER TABLE ONLY control.run
    ADD CONSTRAINT run_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES control.tenant(tenant_id);

ALTER TABLE ONLY control.sync_request
    ADD CONSTRAINT sync_request_run_id_fkey FOREIGN KEY (run_id) REFERENCES control.run(run_id);

ALTER TABLE ONLY control.sync_request
    ADD CONSTRAINT sync_request_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES control.tenant(tenant_id);

CREATE POLICY anybody ON control.schema_version FOR SELECT TO zaptik_app USING (true);

ALTER TABLE control.audit_checkpoint ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.audit_events ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.audit_events_rest ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.audit_passed ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.audit_retention ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.audit_sealer ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.credential ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.data_key ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.deployment_key ENABLE ROW LEVEL SECURITY;

CREATE POLICY fleet ON control.audit_events FOR INSERT TO zaptik_fleet WITH CHECK (true);

CREATE POLICY fleet ON control.audit_retention FOR SELECT TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.audit_sealer TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.data_key FOR SELECT TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.deployment_key TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.instance_breaker TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.isolation_check TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.offboarding FOR SELECT TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.process FOR SELECT TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.retention FOR SELECT TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.run TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.start_budget TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.sync_request TO zaptik_fleet USING (true);

CREATE POLICY fleet ON control.tenant TO zaptik_fleet USING (true);

CREATE POLICY fleet_adds ON control.audit_checkpoint FOR INSERT TO zaptik_fleet WITH CHECK (true);

CREATE POLICY fleet_reads ON control.audit_checkpoint FOR SELECT TO zaptik_fleet USING (true);

CREATE POLICY fleet_reads ON control.audit_events FOR SELECT TO zaptik_fleet USING (true);

CREATE POLICY fleet_reads ON control.audit_events_rest FOR SELECT TO zaptik_fleet USING (true);

CREATE POLICY fleet_reads ON control.audit_passed FOR SELECT TO zaptik_fleet USING (true);

ALTER TABLE control.instance_breaker ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.instance_pace ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.isolation_check ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.offboarding ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON control.audit_events TO zaptik_app USING ((tenant_ref = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid)) WITH CHECK (((tenant_ref = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid) AND ((run_id IS NULL) OR (EXISTS ( SELECT
   FROM control.run r
  WHERE (r.run_id = audit_events.run_id))))));

CREATE POLICY own_tenant ON control.credential TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid));

CREATE POLICY own_tenant ON control.data_key TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid));

CREATE POLICY own_tenant ON control.instance_pace TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid));

CREATE POLICY own_tenant ON control.retention TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid));

CREATE POLICY own_tenant ON control.run FOR SELECT TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid));

CREATE POLICY own_tenant ON control.sync_request FOR SELECT TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid));

CREATE POLICY own_tenant ON control.tenant TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid));

CREATE POLICY owner ON control.audit_checkpoint TO zaptik_owner USING (true);

CREATE POLICY owner ON control.audit_events TO zaptik_owner USING (true);

CREATE POLICY owner ON control.audit_events_rest TO zaptik_owner USING (true);

CREATE POLICY owner ON control.audit_passed TO zaptik_owner USING (true);

CREATE POLICY owner ON control.audit_retention TO zaptik_owner USING (true);

CREATE POLICY owner ON control.audit_sealer TO zaptik_owner USING (true);

CREATE POLICY owner ON control.credential TO zaptik_owner USING (true);

CREATE POLICY owner ON control.data_key TO zaptik_owner USING (true);

CREATE POLICY owner ON control.deployment_key TO zaptik_owner USING (true);

CREATE POLICY owner ON control.instance_breaker TO zaptik_owner USING (true);

CREATE POLICY owner ON control.instance_pace TO zaptik_owner USING (true);

CREATE POLICY owner ON control.isolation_check TO zaptik_owner USING (true);

CREATE POLICY owner ON control.offboarding TO zaptik_owner USING (true);

CREATE POLICY owner ON control.process TO zaptik_owner USING (true);

CREATE POLICY owner ON control.retention TO zaptik_owner USING (true);

CREATE POLICY owner ON control.run TO zaptik_owner USING (true);

CREATE POLICY owner ON control.schema_version TO zaptik_owner USING (true);

CREATE POLICY owner ON control.start_budget TO zaptik_owner USING (true);

CREATE POLICY owner ON control.sync_request TO zaptik_owner USING (true);

CREATE POLICY owner ON control.tenant TO zaptik_owner USING (true);

ALTER TABLE control.process ENABLE ROW LEVEL SECURITY;

CREATE POLICY processes ON control.process TO zaptik_app USING (true);

ALTER TABLE control.retention ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.run ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.schema_version ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.start_budget ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.sync_request ENABLE ROW LEVEL SECURITY;

ALTER TABLE control.tenant ENABLE ROW LEVEL SECURITY;

CREATE POLICY turn ON control.audit_retention TO zaptik_app USING (true);

GRANT USAGE ON SCHEMA control TO zaptik_app;
GRANT USAGE ON SCHEMA control TO zaptik_fleet;
GRANT USAGE ON SCHEMA control TO zaptik_requester;
GRANT USAGE ON SCHEMA control TO tenant_example;
GRANT USAGE ON SCHEMA control TO reader_example;

REVOKE ALL ON FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) TO zaptik_app;

REVOKE ALL ON FUNCTION control.breaker_pause(failures integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION control.cancel_run(run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION control.cancel_run(run uuid) TO zaptik_app;

REVOKE ALL ON FUNCTION control.check_move() FROM PUBLIC;

REVOKE ALL ON FUNCTION control.check_no_tenant() FROM PUBLIC;

REVOKE ALL ON FUNCTION control.check_offboarding() FROM PUBLIC;

REVOKE ALL ON FUNCTION control.check_one_tenant(reached uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION control.claim_due_tenants(batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.claim_due_tenants(batch integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) TO zaptik_app;

REVOKE ALL ON FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) TO zaptik_app;

REVOKE ALL ON FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) TO zaptik_app;

REVOKE ALL ON FUNCTION control.count_audit(upto_segment bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION control.count_audit(upto_segment bigint) TO zaptik_app;

REVOKE ALL ON FUNCTION control.count_runs() FROM PUBLIC;
GRANT ALL ON FUNCTION control.count_runs() TO zaptik_app;

REVOKE ALL ON FUNCTION control.drop_audit_month(keep_months integer, at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION control.drop_key(key text) FROM PUBLIC;
GRANT ALL ON FUNCTION control.drop_key(key text) TO zaptik_app;

REVOKE ALL ON FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) TO zaptik_app;

REVOKE ALL ON FUNCTION control.find_audit_frontier(of_part text, upto_segment bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION control.find_tenant(tenant text) FROM PUBLIC;
GRANT ALL ON FUNCTION control.find_tenant(tenant text) TO zaptik_app;

REVOKE ALL ON FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) TO tenant_example;

REVOKE ALL ON FUNCTION control.fold_requests(batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.fold_requests(batch integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.forget_audit_month(keep_months integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.forget_audit_month(keep_months integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) TO zaptik_app;

REVOKE ALL ON FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.hold_key() FROM PUBLIC;

REVOKE ALL ON FUNCTION control.is_month_sealed(month date) FROM PUBLIC;
GRANT ALL ON FUNCTION control.is_month_sealed(month date) TO zaptik_app;

REVOKE ALL ON FUNCTION control.keys_in_use() FROM PUBLIC;
GRANT ALL ON FUNCTION control.keys_in_use() TO zaptik_app;

REVOKE ALL ON FUNCTION control.list_audit_partitions() FROM PUBLIC;

REVOKE ALL ON FUNCTION control.list_old_audit_months(keep_months integer, at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION control.make_audit_months(ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.make_audit_months(ahead integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.make_audit_partition(bound text) FROM PUBLIC;

REVOKE ALL ON FUNCTION control.pass_audit_checkpoint(of_segment bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION control.promote_key(key text) FROM PUBLIC;
GRANT ALL ON FUNCTION control.promote_key(key text) TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_audit_drops(batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_audit_drops(batch integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_audit_partitions(most_counted integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_audit_partitions(most_counted integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_fleet() FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_fleet() TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_isolation_check() FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_isolation_check() TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_keys() TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_offboardings() FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_offboardings() TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_old_audit_months(keep_months integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_old_audit_months(keep_months integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.read_retention_overdue() FROM PUBLIC;
GRANT ALL ON FUNCTION control.read_retention_overdue() TO zaptik_app;

REVOKE ALL ON FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) TO tenant_example;

REVOKE ALL ON FUNCTION control.refuse_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION control.register_key(key text) FROM PUBLIC;
GRANT ALL ON FUNCTION control.register_key(key text) TO zaptik_app;

REVOKE ALL ON FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) TO zaptik_app;

REVOKE ALL ON FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) TO zaptik_app;

REVOKE ALL ON FUNCTION control.request_sync(tenant text, sync_mode text) FROM PUBLIC;
GRANT ALL ON FUNCTION control.request_sync(tenant text, sync_mode text) TO zaptik_app;
GRANT ALL ON FUNCTION control.request_sync(tenant text, sync_mode text) TO zaptik_requester;
GRANT ALL ON FUNCTION control.request_sync(tenant text, sync_mode text) TO reader_example;

REVOKE ALL ON FUNCTION control.rescue_runs(max_attempts integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.rescue_runs(max_attempts integer) TO zaptik_app;

REVOKE ALL ON FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) TO zaptik_app;

REVOKE ALL ON FUNCTION control.tell_audit_act(act text, detail jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION control.tell_audit_act(act text, detail jsonb) TO zaptik_app;

REVOKE ALL ON FUNCTION control.tell_request() FROM PUBLIC;

REVOKE ALL ON FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) FROM PUBLIC;
GRANT ALL ON FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) TO zaptik_app;

GRANT SELECT,INSERT ON TABLE control.audit_checkpoint TO zaptik_fleet;

GRANT SELECT ON TABLE control.audit_events TO zaptik_app;
GRANT SELECT ON TABLE control.audit_events TO zaptik_fleet;

GRANT INSERT(action) ON TABLE control.audit_events TO zaptik_app;
GRANT INSERT(action) ON TABLE control.audit_events TO zaptik_fleet;

GRANT INSERT(tenant_ref) ON TABLE control.audit_events TO zaptik_app;
GRANT INSERT(tenant_ref) ON TABLE control.audit_events TO zaptik_fleet;

GRANT INSERT(run_id) ON TABLE control.audit_events TO zaptik_app;
GRANT INSERT(run_id) ON TABLE control.audit_events TO zaptik_fleet;

GRANT INSERT(detail) ON TABLE control.audit_events TO zaptik_app;
GRANT INSERT(detail) ON TABLE control.audit_events TO zaptik_fleet;

GRANT SELECT ON TABLE control.audit_events_rest TO zaptik_fleet;

GRANT SELECT ON TABLE control.audit_passed TO zaptik_fleet;

GRANT SELECT ON TABLE control.audit_retention TO zaptik_fleet;
GRANT SELECT ON TABLE control.audit_retention TO zaptik_app;

GRANT UPDATE(holder) ON TABLE control.audit_retention TO zaptik_app;

GRANT UPDATE(lease_until) ON TABLE control.audit_retention TO zaptik_app;

GRANT UPDATE(done_at) ON TABLE control.audit_retention TO zaptik_app;

GRANT SELECT ON TABLE control.audit_sealer TO zaptik_fleet;

GRANT UPDATE(holder) ON TABLE control.audit_sealer TO zaptik_fleet;

GRANT UPDATE(lease_until) ON TABLE control.audit_sealer TO zaptik_fleet;

GRANT SELECT,DELETE ON TABLE control.credential TO zaptik_app;

GRANT INSERT(tenant_id) ON TABLE control.credential TO zaptik_app;

GRANT INSERT(version) ON TABLE control.credential TO zaptik_app;

GRANT INSERT(envelope) ON TABLE control.credential TO zaptik_app;

GRANT SELECT,INSERT ON TABLE control.data_key TO zaptik_app;

GRANT SELECT(tenant_id) ON TABLE control.data_key TO zaptik_fleet;

GRANT SELECT(key_id) ON TABLE control.data_key TO zaptik_fleet;
GRANT UPDATE(key_id) ON TABLE control.data_key TO zaptik_app;

GRANT UPDATE(wrapped) ON TABLE control.data_key TO zaptik_app;

GRANT SELECT ON TABLE control.deployment_key TO zaptik_fleet;

GRANT INSERT(key_id) ON TABLE control.deployment_key TO zaptik_fleet;

GRANT UPDATE(primary_at) ON TABLE control.deployment_key TO zaptik_fleet;

GRANT UPDATE(dropped_at) ON TABLE control.deployment_key TO zaptik_fleet;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE control.instance_breaker TO zaptik_fleet;

GRANT SELECT,INSERT,UPDATE ON TABLE control.instance_pace TO zaptik_app;

GRANT SELECT,UPDATE ON TABLE control.isolation_check TO zaptik_fleet;

GRANT SELECT ON TABLE control.offboarding TO zaptik_fleet;

GRANT SELECT,INSERT,DELETE ON TABLE control.process TO zaptik_app;
GRANT SELECT ON TABLE control.process TO zaptik_fleet;

GRANT UPDATE(seen_at) ON TABLE control.process TO zaptik_app;

GRANT UPDATE(key_ids) ON TABLE control.process TO zaptik_app;

GRANT SELECT ON TABLE control.run TO zaptik_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE control.run TO zaptik_fleet;

GRANT SELECT ON TABLE control.sync_request TO zaptik_app;
GRANT SELECT,DELETE ON TABLE control.sync_request TO zaptik_fleet;

GRANT INSERT(tenant_id) ON TABLE control.sync_request TO zaptik_fleet;

GRANT INSERT(mode) ON TABLE control.sync_request TO zaptik_fleet;

GRANT UPDATE(run_id) ON TABLE control.sync_request TO zaptik_fleet;

GRANT SELECT ON TABLE control.tenant TO zaptik_app;
GRANT SELECT ON TABLE control.tenant TO zaptik_fleet;

GRANT UPDATE(state) ON TABLE control.tenant TO zaptik_app;

GRANT UPDATE(state_reason) ON TABLE control.tenant TO zaptik_app;

GRANT UPDATE(next_due_at) ON TABLE control.tenant TO zaptik_app;
GRANT UPDATE(next_due_at) ON TABLE control.tenant TO zaptik_fleet;

GRANT UPDATE(revision) ON TABLE control.tenant TO zaptik_fleet;

GRANT UPDATE(published_at) ON TABLE control.tenant TO zaptik_fleet;

GRANT UPDATE(as_of) ON TABLE control.tenant TO zaptik_fleet;

GRANT SELECT ON TABLE control.request_v1 TO zaptik_requester;

GRANT SELECT ON TABLE control.retention TO zaptik_fleet;
GRANT SELECT ON TABLE control.retention TO zaptik_app;

GRANT INSERT(tenant_id) ON TABLE control.retention TO zaptik_app;

GRANT UPDATE(done_at) ON TABLE control.retention TO zaptik_app;

GRANT SELECT ON TABLE control.schema_version TO zaptik_app;

GRANT SELECT,UPDATE ON TABLE control.start_budget TO zaptik_fleet;
