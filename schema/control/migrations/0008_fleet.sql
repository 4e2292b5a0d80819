-- The fleet: moves of a run as constraints, cancelling, a breaker for each instance, who is rung for next.

-- `served_seconds`: under lease, in the slices that have ended; who was served least is rung for first.
-- `claimed_records`: those read before the last claim; more of them since then are progress.
ALTER TABLE control.run
    ADD COLUMN claimed_at timestamptz,
    ADD COLUMN claimed_records bigint NOT NULL DEFAULT 0,
    ADD COLUMN served_seconds double precision NOT NULL DEFAULT 0;

-- The states and the moves between them; drawn in docs/explanation/fleet.md. Ended is ended, but for a quarantined run
-- that a person accepts. A claim and a cancel raise the fence, so that whoever held the run before writes nothing more.
CREATE FUNCTION control.check_move() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
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
REVOKE ALL ON FUNCTION control.check_move() FROM PUBLIC;
CREATE TRIGGER run_moves BEFORE UPDATE ON control.run FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.fence IS DISTINCT FROM NEW.fence)
    EXECUTE FUNCTION control.check_move();

-- How many slices in a row an instance did not answer. While `open_until` lies ahead nothing is asked of it; after it
-- the tenant's next run, of which there is one at most, is the probe. An instance that answers has no row.
CREATE TABLE control.instance_breaker (
    tenant_id uuid PRIMARY KEY REFERENCES control.tenant,
    failures integer NOT NULL,
    code text NOT NULL,
    open_until timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT instance_breaker_failures CHECK (failures >= 1)
);

-- One row: how many turns may begin now. It fills by the second, up to ten seconds' worth.
CREATE TABLE control.start_budget (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT start_budget_only_row CHECK (only_row),
    starts double precision NOT NULL,
    filled_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO control.start_budget (starts) VALUES (0);

DO $$
DECLARE
    relation regclass;
BEGIN
    FOREACH relation IN ARRAY '{control.instance_breaker,control.start_budget}'::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner ON %s TO zaptik_owner USING (true)', relation);
        EXECUTE format('CREATE POLICY fleet ON %s TO zaptik_fleet USING (true)', relation);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON control.instance_breaker TO zaptik_fleet;
GRANT SELECT, UPDATE ON control.start_budget TO zaptik_fleet;
CREATE POLICY fleet ON control.process FOR SELECT TO zaptik_fleet USING (true);
GRANT SELECT ON control.process TO zaptik_fleet;

GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- How long an instance is left alone after so many slices in a row without an answer: not at all for two, a minute
-- for the third, then twice as long each time, an hour at most.
CREATE FUNCTION control.breaker_pause(failures integer) RETURNS interval
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
BEGIN
    RETURN CASE WHEN failures >= 3 THEN least(3600, 60 * 2 ^ least(failures - 3, 6)) * interval '1 second' END;
END
$$;
REVOKE ALL ON FUNCTION control.breaker_pause(integer) FROM PUBLIC;

-- As before, at `starts_per_second` at most all schedulers together: after an outage all are due, and the longest
-- overdue come first. The run of an instance whose breaker is open waits until it may be probed.
CREATE FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision)
RETURNS TABLE (run_id uuid, tenant_id uuid) LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- As before, for twice as many runs as there are slots at most, those included that were rung for and not yet taken:
-- what waits in Redis cannot be put in another order any more. First comes who waits longest, where time that a run was
-- already served counts against it, and a run that somebody asked for counts as a minute older. So many small tenants
-- pass a large one, and none of them waits for ever.
CREATE OR REPLACE FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision)
RETURNS SETOF uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- As before, but that a worker which was lost after progress is no attempt of the run's.
CREATE OR REPLACE FUNCTION control.rescue_runs(max_attempts integer)
RETURNS TABLE (run_id uuid, tenant_id uuid, gave_up boolean, worker text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

CREATE OR REPLACE FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision)
RETURNS TABLE (tenant_id uuid, tenant text, schema_name text, url text, mode text, attempt integer, fence bigint,
               started_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- How a slice ends that did not publish: `yielded` with progress; `handed_over` without any, since its process stops,
-- which is no attempt of the run's; `stalled` without any, which is one; `retried` later; or `failed`. What is the
-- instance's fault counts towards its breaker, and progress closes it. `opened_seconds` is how long the breaker is
-- open from now on, where this slice opened it or failed as its probe.
CREATE FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision,
                                  failure jsonb, blames_instance boolean)
RETURNS TABLE (released boolean, opened_seconds double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- Workers of an earlier release end their slices by this, until they are gone.
CREATE OR REPLACE FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision,
                                    failure jsonb)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    RETURN (SELECT e.released FROM control.end_slice(run, held_fence, ending, wait_seconds, failure, false) e);
END
$$;

-- Gives the state the run was in, NULL where there is none such; one that had ended stays as it is.
CREATE FUNCTION control.cancel_run(run uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- An instance that answered to the end needs no breaker; all else as it was.
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
    DELETE FROM control.instance_breaker b WHERE b.tenant_id = ended.tenant_id;
    INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
    VALUES ('run.ended', ended.tenant_id, run,
            counts || jsonb_build_object('outcome', outcome, 'revision', at_revision,
                                         'requests', ended.requests, 'records', ended.records));
    RETURN true;
END
$$;

-- As before; a scheduler that listens need not wait for its next round.
CREATE OR REPLACE FUNCTION control.request_sync(tenant text, sync_mode text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
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
    INSERT INTO control.sync_request (tenant_id, mode) VALUES (asked.tenant_id, sync_mode)
    RETURNING request_id INTO request;
    PERFORM pg_notify('zaptik_wake', '');
    RETURN request;
END
$$;

-- With the state of each instance's breaker, and of the newest run.
DROP FUNCTION control.read_fleet();
CREATE FUNCTION control.read_fleet()
RETURNS TABLE (tenant_id uuid, tenant text, url text, schema_name text, every_seconds integer, state text,
               state_reason text, revision bigint, published_at timestamptz, as_of timestamptz,
               staleness_seconds double precision, waiting_seconds double precision, last_state text,
               last_error jsonb, breaker text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
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

-- Runs that live; those that ended are counted by the workers, as they end.
CREATE OR REPLACE FUNCTION control.count_runs() RETURNS TABLE (state text, runs bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT r.state, count(*) FROM control.run r WHERE r.state IN ('requested', 'running') GROUP BY r.state
    UNION ALL
    SELECT 'asked', count(*) FROM control.sync_request q WHERE q.run_id IS NULL;
END
$$;

REVOKE ALL ON FUNCTION control.claim_due_tenants(integer, double precision), control.cancel_run(uuid),
    control.end_slice(uuid, bigint, text, double precision, jsonb, boolean), control.read_fleet() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.claim_due_tenants(integer, double precision), control.cancel_run(uuid),
    control.end_slice(uuid, bigint, text, double precision, jsonb, boolean), control.read_fleet() TO zaptik_app;
SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
