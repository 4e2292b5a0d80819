-- The control schema: tenants, runs, credentials, processes, the audit trail; no customer's configuration.
-- Rows of a tenant are seen by `zaptik_app` only while the transaction's setting `zaptik.tenant` names it.
-- `zaptik_fleet` owns the few functions that look across tenants; nobody logs in as it.

CREATE SCHEMA control;
GRANT USAGE ON SCHEMA control TO zaptik_app, zaptik_fleet;

CREATE TABLE control.schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE control.tenant (
    tenant_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    schema_name text NOT NULL,
    url text NOT NULL,
    every_seconds integer NOT NULL,
    state text NOT NULL DEFAULT 'awaiting_credentials',
    state_reason text,
    next_due_at timestamptz NOT NULL DEFAULT now(),
    revision bigint,
    published_at timestamptz,
    as_of timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenant_name_once UNIQUE (name),
    CONSTRAINT tenant_schema_once UNIQUE (schema_name),
    CONSTRAINT tenant_schema_follows_name CHECK (schema_name = 'tenant_' || replace(name, '-', '_')),
    CONSTRAINT tenant_name_is_an_instance CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    CONSTRAINT tenant_url_is_https CHECK (url LIKE 'https://%'),
    CONSTRAINT tenant_cadence CHECK (every_seconds BETWEEN 60 AND 31 * 86400),
    CONSTRAINT tenant_state CHECK (state IN ('awaiting_credentials', 'active', 'paused'))
);
CREATE INDEX tenant_due ON control.tenant (next_due_at) WHERE state = 'active';

-- A run is the record of the work; the message in Redis carries its id and nothing else.
CREATE TABLE control.run (
    run_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES control.tenant,
    mode text NOT NULL,
    state text NOT NULL DEFAULT 'requested',
    reason text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    not_before timestamptz NOT NULL DEFAULT clock_timestamp(),
    rung_at timestamptz,
    attempt integer NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    worker text,
    lease_until timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    requests bigint NOT NULL DEFAULT 0,
    records bigint NOT NULL DEFAULT 0,
    revision bigint,
    nodes bigint,
    edges bigint,
    added bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    removed bigint NOT NULL DEFAULT 0,
    error jsonb,
    CONSTRAINT run_mode CHECK (mode IN ('full', 'delta')),
    CONSTRAINT run_reason CHECK (reason IN ('cadence', 'request')),
    CONSTRAINT run_state CHECK (state IN
        ('requested', 'running', 'published', 'unchanged', 'quarantined', 'failed', 'cancelled')),
    CONSTRAINT run_leased_while_running CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT run_ended_has_a_time CHECK ((state IN ('requested', 'running')) = (ended_at IS NULL)),
    CONSTRAINT run_published_has_a_revision CHECK (state <> 'published' OR revision IS NOT NULL)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX run_one_live_a_tenant ON control.run (tenant_id) WHERE state IN ('requested', 'running');
CREATE INDEX run_newest_of_tenant ON control.run (tenant_id, requested_at DESC);
CREATE INDEX run_to_ring ON control.run (not_before) WHERE state = 'requested';
CREATE INDEX run_leases ON control.run (lease_until) WHERE state = 'running';

-- Appended to by whoever asks; folded into runs by the scheduler, so that an open transaction of theirs
-- never stands in the way of a batch of claims.
CREATE TABLE control.sync_request (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES control.tenant,
    mode text NOT NULL,
    requested_by text NOT NULL DEFAULT session_user,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id uuid REFERENCES control.run,
    CONSTRAINT sync_request_mode CHECK (mode IN ('full', 'delta'))
);
CREATE INDEX sync_request_open ON control.sync_request (request_id) WHERE run_id IS NULL;

-- A tenant's data key, wrapped by the deployment's key that `key_id` names; without it nothing of the tenant opens.
CREATE TABLE control.data_key (
    tenant_id uuid PRIMARY KEY REFERENCES control.tenant,
    key_id text NOT NULL,
    wrapped bytea NOT NULL
);

CREATE TABLE control.credential (
    tenant_id uuid NOT NULL REFERENCES control.tenant,
    version integer NOT NULL,
    envelope bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE control.process (
    process_id uuid PRIMARY KEY,
    kind text NOT NULL CONSTRAINT process_kind CHECK (kind IN ('worker', 'scheduler')),
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    threads integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE control.audit_events (
    audit_id bigint GENERATED ALWAYS AS IDENTITY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    actor text NOT NULL DEFAULT session_user,
    action text NOT NULL,
    tenant_ref uuid,
    run_id uuid,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (occurred_at, audit_id)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX audit_events_of_run ON control.audit_events (run_id);

CREATE FUNCTION control.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE ON control.audit_events
    FOR EACH ROW EXECUTE FUNCTION control.refuse_change();
CREATE TRIGGER audit_events_not_emptied BEFORE TRUNCATE ON control.audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change();

-- A partition's own triggers and RLS: neither a TRUNCATE trigger nor row security is inherited.
CREATE FUNCTION control.make_audit_partition(bound text) RETURNS void LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    month date := CASE WHEN bound <> 'rest' THEN (bound || '-01')::date END;
    partition text := 'audit_events_' || replace(bound, '-', '_');
BEGIN
    IF to_regclass('control.' || partition) IS NOT NULL THEN RETURN; END IF;
    -- A month that nobody made in time has its rows in `rest`, where they stay: none may be moved.
    IF month IS NOT NULL THEN
        PERFORM FROM control.audit_events_rest
        WHERE occurred_at >= month::timestamp AT TIME ZONE 'UTC'
          AND occurred_at < (month + interval '1 month') AT TIME ZONE 'UTC' LIMIT 1;
        IF FOUND THEN RETURN; END IF;
    END IF;
    EXECUTE format('CREATE TABLE control.%I PARTITION OF control.audit_events %s', partition,
        CASE WHEN month IS NULL THEN 'DEFAULT'
             ELSE format('FOR VALUES FROM (%L) TO (%L)',
                         month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC') END);
    EXECUTE format('ALTER TABLE control.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('CREATE TRIGGER not_emptied BEFORE TRUNCATE ON control.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change()', partition);
END
$$;
REVOKE ALL ON FUNCTION control.refuse_change(), control.make_audit_partition(text) FROM PUBLIC;
SELECT control.make_audit_partition('rest');

-- Row security, on even for the owner.
DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT oid FROM pg_class
                    WHERE relnamespace = 'control'::regnamespace AND relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner ON %s TO zaptik_owner USING (true)', relation);
    END LOOP;
END
$$;

CREATE POLICY anybody ON control.schema_version FOR SELECT TO zaptik_app USING (true);
GRANT SELECT ON control.schema_version TO zaptik_app;
CREATE POLICY processes ON control.process TO zaptik_app USING (true);
GRANT SELECT, INSERT, UPDATE (seen_at), DELETE ON control.process TO zaptik_app;

-- What zaptik_app may do, within the tenant that its transaction names.
CREATE POLICY own_tenant ON control.tenant TO zaptik_app
    USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid);
GRANT SELECT, UPDATE (state, state_reason, next_due_at) ON control.tenant TO zaptik_app;
CREATE POLICY own_tenant ON control.run FOR SELECT TO zaptik_app
    USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid);
GRANT SELECT ON control.run TO zaptik_app;
CREATE POLICY own_tenant ON control.sync_request FOR SELECT TO zaptik_app
    USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid);
GRANT SELECT ON control.sync_request TO zaptik_app;
CREATE POLICY own_tenant ON control.data_key TO zaptik_app
    USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid);
GRANT SELECT, INSERT ON control.data_key TO zaptik_app;
CREATE POLICY own_tenant ON control.credential TO zaptik_app
    USING (tenant_id = nullif(current_setting('zaptik.tenant', true), '')::uuid);
GRANT SELECT, INSERT (tenant_id, version, envelope), DELETE ON control.credential TO zaptik_app;
CREATE POLICY own_tenant ON control.audit_events TO zaptik_app
    USING (tenant_ref = nullif(current_setting('zaptik.tenant', true), '')::uuid)
    -- an event may name a run of the same tenant alone; row security shows no other
    WITH CHECK (tenant_ref = nullif(current_setting('zaptik.tenant', true), '')::uuid
                AND (run_id IS NULL OR EXISTS (SELECT FROM control.run r WHERE r.run_id = audit_events.run_id)));
GRANT SELECT, INSERT (action, tenant_ref, run_id, detail) ON control.audit_events TO zaptik_app;

-- What the functions below may do, across tenants.
CREATE POLICY fleet ON control.tenant TO zaptik_fleet USING (true);
GRANT SELECT, UPDATE (next_due_at, revision, published_at, as_of) ON control.tenant TO zaptik_fleet;
CREATE POLICY fleet ON control.run TO zaptik_fleet USING (true);
GRANT SELECT, INSERT, UPDATE ON control.run TO zaptik_fleet;
CREATE POLICY fleet ON control.sync_request TO zaptik_fleet USING (true);
GRANT SELECT, INSERT (tenant_id, mode), UPDATE (run_id) ON control.sync_request TO zaptik_fleet;
CREATE POLICY fleet ON control.data_key FOR SELECT TO zaptik_fleet USING (true);
GRANT SELECT (key_id) ON control.data_key TO zaptik_fleet;
CREATE POLICY fleet ON control.audit_events FOR INSERT TO zaptik_fleet WITH CHECK (true);
GRANT INSERT (action, tenant_ref, run_id, detail) ON control.audit_events TO zaptik_fleet;
