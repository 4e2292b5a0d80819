-- Leaving: runs and months of the audit trail go when their time is over, and a tenant does that asked to.

-- When a tenant's turn of retention last came to its end. A row for each that has had one.
CREATE TABLE control.retention (
    tenant_id uuid PRIMARY KEY REFERENCES control.tenant,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Whose turn it is to let months of the audit trail go, and when that was last done. One row.
CREATE TABLE control.audit_retention (
    is_the_one boolean PRIMARY KEY DEFAULT true,
    holder text,
    lease_until timestamptz,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT audit_retention_is_one_row CHECK (is_the_one)
);
INSERT INTO control.audit_retention DEFAULT VALUES;

-- A tenant whose deletion was asked for in writing. While `begun_at` is null it can be called off; from then on its
-- credentials are gone. The row goes with the tenant.
CREATE TABLE control.offboarding (
    tenant_id uuid PRIMARY KEY REFERENCES control.tenant,
    reference text NOT NULL,
    requested_at timestamptz NOT NULL,
    requested_by text NOT NULL DEFAULT session_user,
    due_at timestamptz NOT NULL,
    state_before text NOT NULL,
    reason_before text,
    begun_at timestamptz,
    gone jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT offboarding_has_a_reference CHECK (length(reference) BETWEEN 1 AND 200),
    CONSTRAINT offboarding_within_thirty_days
        CHECK (due_at > requested_at AND due_at <= requested_at + interval '30 days')
);

ALTER TABLE control.tenant DROP CONSTRAINT tenant_state;
ALTER TABLE control.tenant ADD CONSTRAINT tenant_state
    CHECK (state IN ('awaiting_credentials', 'active', 'paused', 'offboarding'));

DO $$
DECLARE
    relation regclass;
BEGIN
    FOREACH relation IN ARRAY
        '{control.retention,control.audit_retention,control.offboarding}'::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner ON %s TO zaptik_owner USING (true)', relation);
        EXECUTE format('CREATE POLICY fleet ON %s FOR SELECT TO zaptik_fleet USING (true)', relation);
        EXECUTE format('GRANT SELECT ON %s TO zaptik_fleet', relation);
    END LOOP;
END
$$;
CREATE POLICY own_tenant ON control.retention TO zaptik_app
    USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid);
GRANT SELECT, INSERT (tenant_id), UPDATE (done_at) ON control.retention TO zaptik_app;
CREATE POLICY turn ON control.audit_retention TO zaptik_app USING (true);
GRANT SELECT, UPDATE (holder, lease_until, done_at) ON control.audit_retention TO zaptik_app;

-- Offboarding is begun and called off by the administrator alone: the app's login, which changes states, cannot.
CREATE FUNCTION control.check_offboarding() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF current_user = 'zaptik_app' THEN
        RAISE EXCEPTION 'a tenant''s offboarding is the administrator''s' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION control.check_offboarding() FROM PUBLIC;
CREATE TRIGGER tenant_offboarding BEFORE UPDATE OF state ON control.tenant FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND 'offboarding' IN (OLD.state, NEW.state))
    EXECUTE FUNCTION control.check_offboarding();

-- A request goes with its run, and is found by it.
CREATE INDEX sync_request_of_run ON control.sync_request (run_id);
GRANT DELETE ON control.run, control.sync_request TO zaptik_fleet;

GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- Let at most so many of a tenant's runs go that ended longer ago than so many days, with the requests that became
-- them. The newest stays, the newest that came to a graph in force, and those whose revision waits for a person.
CREATE FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer)
RETURNS TABLE (runs bigint, requests bigint) LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- Tenants on their way out, the first to be deleted first.
CREATE FUNCTION control.read_offboardings()
RETURNS TABLE (tenant_id uuid, tenant text, schema_name text, url text, reference text, requested_at timestamptz,
               due_at timestamptz, begun_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT o.tenant_id, t.name, t.schema_name, t.url, o.reference, o.requested_at, o.due_at, o.begun_at
    FROM control.offboarding o JOIN control.tenant t ON t.tenant_id = o.tenant_id ORDER BY o.due_at, t.name;
END
$$;

-- For how long the tenant that waits longest has been past its daily turn of retention; 0 where none is.
CREATE FUNCTION control.read_retention_overdue() RETURNS double precision
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN (SELECT greatest(0, max(extract(epoch FROM
                clock_timestamp() - coalesce(r.done_at, t.created_at) - interval '1 day')))::double precision
            FROM control.tenant t LEFT JOIN control.retention r ON r.tenant_id = t.tenant_id
            WHERE t.state <> 'offboarding');
END
$$;

-- As before, but that no revision of a tenant that leaves is published any more.
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

REVOKE ALL ON FUNCTION control.forget_runs(uuid, integer, integer), control.read_offboardings(),
    control.read_retention_overdue() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.forget_runs(uuid, integer, integer), control.read_offboardings(),
    control.read_retention_overdue() TO zaptik_app;
SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;

-- Months of the audit trail. Only who owns a partition drops it, so these are the owner's.

-- The months whose time is over at a moment, the oldest first: so many months after their last moment. A month ends on
-- a first, so that no leap day or short month moves its time.
CREATE FUNCTION control.list_old_audit_months(keep_months integer, at timestamptz)
RETURNS TABLE (month date, goes_at timestamptz) LANGUAGE plpgsql STABLE SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    IF keep_months IS NULL OR keep_months NOT BETWEEN 24 AND 1200 THEN
        RAISE EXCEPTION 'audit events are kept for 24 months at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT d.month, d.goes_at
    FROM (SELECT m.month, (m.month + (1 + keep_months) * interval '1 month') AT TIME ZONE 'UTC' AS goes_at
          FROM (SELECT to_date(substr(c.relname, 14), 'YYYY_MM') AS month
                FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'control.audit_events'::regclass
                  AND c.relname ~ '^audit_events_[0-9]{4}_[0-9]{2}$') m) d
    WHERE d.goes_at <= at ORDER BY d.month;
END
$$;

-- The same, now, and whether each is sealed: for who reports what should have gone.
CREATE FUNCTION control.read_old_audit_months(keep_months integer)
RETURNS TABLE (month date, overdue_seconds double precision, is_sealed boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT m.month, extract(epoch FROM clock_timestamp() - m.goes_at)::double precision,
           control.is_month_sealed(m.month)
    FROM control.list_old_audit_months(keep_months, clock_timestamp()) m;
END
$$;

-- Drop the oldest month whose time is over at a moment, unless it is not sealed; no row where there is none to drop.
-- Its events are counted before anybody is locked out: nothing is added to a month that is sealed.
CREATE FUNCTION control.drop_audit_month(keep_months integer, at timestamptz)
RETURNS TABLE (month date, events bigint) LANGUAGE plpgsql SET search_path = '' SET lock_timeout = 3000 AS $$
#variable_conflict use_column
DECLARE
    oldest date := (SELECT min(m.month) FROM control.list_old_audit_months(keep_months, at) m);
    partition text := 'audit_events_' || to_char(oldest, 'YYYY_MM');
BEGIN
    IF oldest IS NULL OR NOT control.is_month_sealed(oldest) THEN RETURN; END IF;
    month := oldest;
    SELECT count(*) INTO events FROM control.audit_events e
    WHERE e.occurred_at >= oldest::timestamp AT TIME ZONE 'UTC'
      AND e.occurred_at < (oldest + interval '1 month') AT TIME ZONE 'UTC';
    EXECUTE format('ALTER TABLE control.audit_events DETACH PARTITION control.%I', partition);
    EXECUTE format('DROP TABLE control.%I', partition);
    INSERT INTO control.audit_events (action, detail)
    VALUES ('retention.audit', jsonb_build_object('month', to_char(oldest, 'YYYY-MM'), 'events', events));
    RETURN NEXT;
END
$$;

-- The same, now: the app's way in, which names no moment.
CREATE FUNCTION control.forget_audit_month(keep_months integer)
RETURNS TABLE (month date, events bigint) LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY SELECT d.month, d.events FROM control.drop_audit_month(keep_months, clock_timestamp()) d;
END
$$;

REVOKE ALL ON FUNCTION control.list_old_audit_months(integer, timestamptz), control.read_old_audit_months(integer),
    control.drop_audit_month(integer, timestamptz), control.forget_audit_month(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.read_old_audit_months(integer), control.forget_audit_month(integer) TO zaptik_app;
