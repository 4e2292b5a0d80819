-- The audit trail, sealed: its months are made ahead while the fleet runs, and what is settled is put under a chain of
-- signed checkpoints. The mechanism is told in docs/explanation/audit.md, the bytes in docs/reference/audit-format.md.

-- Who gave a command, as the command says itself (user and host); NULL for what a process does.
ALTER TABLE control.audit_events ADD COLUMN caller text;
ALTER TABLE control.audit_events ALTER COLUMN caller SET DEFAULT
    CASE WHEN current_setting('application_name') LIKE 'zaptik command %'
         THEN substr(current_setting('application_name'), 16) END;

-- The order of the trail. A transaction's events become visible when it commits, so neither the time nor the id says
-- that no earlier one will come. Below the oldest running transaction none can: there the order is settled.
CREATE INDEX audit_events_in_order ON control.audit_events (xid, audit_id);

-- A checkpoint seals a segment: at most 1,000 events of one partition, in their order, after those of the segment
-- before. `entries` has 40 bytes for each: the id (big-endian) and the SHA-256 of its bytes. `digest` is that of what
-- is signed, and `previous` the digest of the checkpoint before.
CREATE TABLE control.audit_checkpoint (
    segment bigint PRIMARY KEY,
    bound text NOT NULL,                          -- the partition: a month as 2026-11, or rest
    after_id bigint NOT NULL,                     -- raised when a restored server counts transactions from lower again
    last_xid xid8 NOT NULL,
    last_id bigint NOT NULL,
    highest_id bigint NOT NULL,                   -- of the partition, up to this segment
    events integer NOT NULL,
    first_at timestamptz NOT NULL,                -- the least and the greatest time of an event, not in the order
    last_at timestamptz NOT NULL,
    sealed_at timestamptz NOT NULL,               -- by the sealer's clock
    entries bytea NOT NULL,
    previous bytea NOT NULL,
    digest bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT audit_checkpoint_bound CHECK (bound ~ '^([0-9]{4}-(0[1-9]|1[0-2])|rest)$'),
    CONSTRAINT audit_checkpoint_size CHECK (events BETWEEN 1 AND 1000 AND octet_length(entries) = 40 * events),
    CONSTRAINT audit_checkpoint_bytes CHECK (octet_length(previous) = 32 AND octet_length(digest) = 32
                                             AND octet_length(signature) = 64)
);
ALTER TABLE control.audit_checkpoint ALTER COLUMN entries SET STORAGE EXTERNAL;  -- hashes do not compress
CREATE INDEX audit_checkpoint_of_bound ON control.audit_checkpoint (bound, after_id, segment);
CREATE TRIGGER audit_checkpoint_stays BEFORE UPDATE OR DELETE ON control.audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION control.refuse_change();
CREATE TRIGGER audit_checkpoint_not_emptied BEFORE TRUNCATE ON control.audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change();

-- One row: which scheduler seals.
CREATE TABLE control.audit_sealer (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT audit_sealer_only_row CHECK (only_row),
    holder text,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO control.audit_sealer DEFAULT VALUES;

DO $$
DECLARE
    relation regclass;
BEGIN
    FOREACH relation IN ARRAY '{control.audit_checkpoint,control.audit_sealer}'::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner ON %s TO zaptik_owner USING (true)', relation);
    END LOOP;
END
$$;
CREATE POLICY fleet_reads ON control.audit_checkpoint FOR SELECT TO zaptik_fleet USING (true);
CREATE POLICY fleet_adds ON control.audit_checkpoint FOR INSERT TO zaptik_fleet WITH CHECK (true);
GRANT SELECT, INSERT ON control.audit_checkpoint TO zaptik_fleet;
CREATE POLICY fleet ON control.audit_sealer TO zaptik_fleet USING (true);
GRANT SELECT, UPDATE (holder, lease_until) ON control.audit_sealer TO zaptik_fleet;
CREATE POLICY fleet_reads ON control.audit_events FOR SELECT TO zaptik_fleet USING (true);
GRANT SELECT ON control.audit_events TO zaptik_fleet;
-- no range of times names this partition, so it is read by its name
CREATE POLICY fleet_reads ON control.audit_events_rest FOR SELECT TO zaptik_fleet USING (true);
GRANT SELECT ON control.audit_events_rest TO zaptik_fleet;

-- As before, but attached: nobody who writes an event waits for it, nor it for them.
CREATE OR REPLACE FUNCTION control.make_audit_partition(bound text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    month date := CASE WHEN bound <> 'rest' THEN (bound || '-01')::date END;
    begins timestamptz := month::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    partition text := 'audit_events_' || replace(bound, '-', '_');
BEGIN
    IF to_regclass('control.' || partition) IS NOT NULL THEN RETURN; END IF;
    -- A month that nobody made in time has its rows in `rest`, where they stay: none may be moved.
    PERFORM FROM control.audit_events_rest WHERE occurred_at >= begins AND occurred_at < ends LIMIT 1;
    IF FOUND THEN RETURN; END IF;
    EXECUTE format('CREATE TABLE control.%I (LIKE control.audit_events INCLUDING DEFAULTS)', partition);
    EXECUTE format('ALTER TABLE control.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('CREATE TRIGGER not_emptied BEFORE TRUNCATE ON control.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change()', partition);
    EXECUTE format('ALTER TABLE control.audit_events ATTACH PARTITION control.%I FOR VALUES FROM (%L) TO (%L)',
                   partition, begins, ends);
END
$$;

-- For the scheduler: makes the current month and so many after it, by the server's clock, and gives how many months in
-- a row are there after the current one. Runs as the owner, since nobody else may make a table in `control`.
CREATE FUNCTION control.make_audit_months(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET lock_timeout = 2000 AS $$
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
REVOKE ALL ON FUNCTION control.make_audit_months(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.make_audit_months(integer) TO zaptik_app;

GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- Whoever asks for a run, by the command or by SQL, is named by the login, which is not the scheduler's that makes it.
CREATE FUNCTION control.tell_request() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO control.audit_events (action, tenant_ref, detail)
    VALUES ('run.asked', NEW.tenant_id, jsonb_build_object('request', NEW.request_id, 'mode', NEW.mode));
    RETURN NULL;
END
$$;

-- The events of one partition after a place in the order, with ids above `above_id` up to `upto_id`; `settled` alone,
-- after which no earlier one can come, or all. Times are microseconds since 1970 in UTC.
CREATE FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint,
                                   settled boolean, batch integer)
RETURNS TABLE (audit_id bigint, occurred_us bigint, xid text, actor text, caller text, action text, tenant_ref text,
               run_id text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- Each partition, the months in their order, with where its sealing stands. Unsealed is what comes after the last
-- segment, and what has a higher id than all that is sealed: where a restored server counts from lower again, its
-- events stand before that segment. `went_back` says that this is so. At most so many are counted.
CREATE FUNCTION control.read_audit_partitions(most_counted integer)
RETURNS TABLE (part text, after_id bigint, last_xid text, last_id bigint, highest_id bigint, went_back boolean,
               unsealed bigint, oldest_unsealed timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    WITH partition AS (
        SELECT replace(substr(c.relname::text, 14), '_', '-') AS part FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'control.audit_events'::regclass
    ), frontier AS (
        SELECT p.part, coalesce(s.after_id, 0) AS after_id, coalesce(s.last_xid, '0'::xid8) AS last_xid,
               coalesce(s.last_id, 0) AS last_id, coalesce(s.highest_id, 0) AS highest_id,
               CASE WHEN p.part <> 'rest' THEN (p.part || '-01')::timestamp END AS month
        FROM partition p
        LEFT JOIN LATERAL (SELECT c.after_id, c.last_xid, c.last_id, c.highest_id FROM control.audit_checkpoint c
                           WHERE c.bound = p.part ORDER BY c.after_id DESC, c.segment DESC LIMIT 1) s ON true
    )
    SELECT f.part, f.after_id, f.last_xid::text, f.last_id, f.highest_id,
           pg_snapshot_xmax(pg_current_snapshot()) <= f.last_xid, open.events, open.oldest
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
               AND pg_snapshot_xmax(pg_current_snapshot()) <= f.last_xid
               AND e.audit_id > f.highest_id AND (e.xid, e.audit_id) <= (f.last_xid, f.last_id) LIMIT most_counted)
        ) u
    ) open
    ORDER BY f.part;
END
$$;

-- Whether a month is over and each of its events is under a checkpoint; false where nobody made the month's partition.
CREATE FUNCTION control.is_month_sealed(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    begins timestamp := date_trunc('month', month::timestamp);
    ends timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    sealed control.audit_checkpoint;
BEGIN
    PERFORM control.check_no_tenant();
    IF ends + interval '1 hour' > clock_timestamp()
       OR to_regclass('control.audit_events_' || to_char(begins, 'YYYY_MM')) IS NULL THEN
        RETURN false;
    END IF;
    SELECT c.* INTO sealed FROM control.audit_checkpoint c
    WHERE c.bound = to_char(begins, 'YYYY-MM') ORDER BY c.after_id DESC, c.segment DESC LIMIT 1;
    RETURN NOT EXISTS (
        SELECT FROM control.audit_events e
        WHERE e.occurred_at >= begins AT TIME ZONE 'UTC' AND e.occurred_at < ends
          AND (sealed.segment IS NULL OR e.audit_id > sealed.highest_id
               OR (e.audit_id > sealed.after_id AND (e.xid, e.audit_id) > (sealed.last_xid, sealed.last_id))));
END
$$;

CREATE FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    UPDATE control.audit_sealer s
    SET holder = by_holder,
        lease_until = clock_timestamp() + least(greatest(lease_seconds, 0), 3600) * interval '1 second'
    WHERE s.holder = by_holder OR s.lease_until < clock_timestamp();
    RETURN FOUND;
END
$$;

-- Adds the next checkpoint and holds the lease for longer; false where it is another's or the chain has grown. Another
-- key than before is an event of its own.
CREATE FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    added control.audit_checkpoint := jsonb_populate_record(NULL::control.audit_checkpoint, checkpoint);
    newest control.audit_checkpoint;
BEGIN
    PERFORM control.check_no_tenant();
    UPDATE control.audit_sealer s SET lease_until = greatest(s.lease_until, clock_timestamp() + interval '1 minute')
    WHERE s.holder = by_holder AND s.lease_until > clock_timestamp();
    IF NOT FOUND THEN RETURN false; END IF;
    SELECT c.* INTO newest FROM control.audit_checkpoint c ORDER BY c.segment DESC LIMIT 1;
    IF added.segment <> coalesce(newest.segment, 0) + 1
       OR added.previous <> coalesce(newest.digest, decode(repeat('00', 32), 'hex')) THEN
        RETURN false;
    END IF;
    INSERT INTO control.audit_checkpoint SELECT added.*;
    IF added.key_id IS DISTINCT FROM newest.key_id THEN
        INSERT INTO control.audit_events (action, detail)
        VALUES ('audit.key_used', jsonb_build_object('key_id', added.key_id, 'before', newest.key_id));
    END IF;
    RETURN true;
END
$$;

-- The chain after a segment, or its newest checkpoint alone where that is NULL. Ids above `upto_id` are those of a
-- later server's events, which may stand before these in the order; the partition's segment before ends at `before_xid`
-- and `before_id`.
CREATE FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer)
RETURNS TABLE (segment bigint, bound text, after_id bigint, last_xid text, last_id bigint, highest_id bigint,
               events integer, first_us bigint, last_us bigint, sealed_us bigint, entries bytea, previous bytea,
               key_id text, digest bytea, signature bytea, upto_id bigint, before_xid text, before_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_column
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT c.segment, c.bound, c.after_id, c.last_xid::text, c.last_id, c.highest_id, c.events,
           (extract(epoch FROM c.first_at) * 1000000)::bigint, (extract(epoch FROM c.last_at) * 1000000)::bigint,
           (extract(epoch FROM c.sealed_at) * 1000000)::bigint, c.entries, c.previous, c.key_id, c.digest, c.signature,
           (SELECT min(n.after_id) FROM control.audit_checkpoint n
            WHERE n.bound = c.bound AND n.after_id > c.after_id),
           coalesce(b.last_xid, '0'::xid8)::text, coalesce(b.last_id, 0)
    FROM control.audit_checkpoint c
    LEFT JOIN LATERAL (SELECT p.last_xid, p.last_id FROM control.audit_checkpoint p
                       WHERE p.bound = c.bound AND p.after_id = c.after_id AND p.segment < c.segment
                       ORDER BY p.segment DESC LIMIT 1) b ON true
    WHERE c.segment > coalesce(after_segment, (SELECT max(m.segment) - 1 FROM control.audit_checkpoint m))
    ORDER BY c.segment LIMIT batch;
END
$$;

-- The newest events, of a tenant, a run or an action where these are given.
CREATE FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer)
RETURNS TABLE (audit_id bigint, occurred_at timestamptz, actor text, caller text, action text, tenant_ref uuid,
               run_id uuid, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
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

-- An act of a person with the trail itself, which names no tenant.
CREATE FUNCTION control.tell_audit_act(act text, detail jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    IF act NOT IN ('audit.verified', 'audit.exported') THEN
        RAISE EXCEPTION 'this is no act with the trail' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO control.audit_events (action, detail) VALUES (act, detail);
END
$$;

REVOKE ALL ON FUNCTION control.read_audit(text, bigint, bigint, text, bigint, boolean, integer),
    control.read_audit_partitions(integer), control.is_month_sealed(date),
    control.hold_audit_lease(text, double precision), control.add_audit_checkpoint(text, jsonb),
    control.read_audit_checkpoints(bigint, integer), control.tell_audit_act(text, jsonb),
    control.read_audit_tail(uuid, uuid, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.read_audit(text, bigint, bigint, text, bigint, boolean, integer),
    control.read_audit_partitions(integer), control.is_month_sealed(date),
    control.hold_audit_lease(text, double precision), control.add_audit_checkpoint(text, jsonb),
    control.read_audit_checkpoints(bigint, integer), control.tell_audit_act(text, jsonb),
    control.read_audit_tail(uuid, uuid, text, integer) TO zaptik_app;
GRANT EXECUTE ON FUNCTION control.is_month_sealed(date) TO zaptik_owner;
REVOKE ALL ON FUNCTION control.tell_request() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.tell_request() TO zaptik_owner;  -- to make the trigger; nobody calls it
SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
CREATE TRIGGER sync_request_is_told AFTER INSERT ON control.sync_request
    FOR EACH ROW EXECUTE FUNCTION control.tell_request();
