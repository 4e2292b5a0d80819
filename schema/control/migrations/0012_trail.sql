-- What the check of the trail did not see: events numbered below one, partitions made by hand, months that went too
-- early, and checkpoints that seal nothing. And what fell into the partition `rest` goes when its time is over.

-- Not looked for in what is there: that would lock a long trail for long. `audit verify` counts every event.
ALTER TABLE control.audit_events ADD CONSTRAINT audit_events_numbered CHECK (audit_id > 0) NOT VALID;

-- Segments that do not hold and that an administrator let sealing go past; they stay in the chain, and are told of.
CREATE TABLE control.audit_passed (
    segment bigint PRIMARY KEY,
    passed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER audit_passed_stays BEFORE UPDATE OR DELETE ON control.audit_passed
    FOR EACH ROW EXECUTE FUNCTION control.refuse_change();
CREATE TRIGGER audit_passed_not_emptied BEFORE TRUNCATE ON control.audit_passed
    FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change();
ALTER TABLE control.audit_passed ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON control.audit_passed TO zaptik_owner USING (true);
CREATE POLICY fleet_reads ON control.audit_passed FOR SELECT TO zaptik_fleet USING (true);
GRANT SELECT ON control.audit_passed TO zaptik_fleet;

-- As before, with the trail's constraints, and able to make `rest` anew.
CREATE OR REPLACE FUNCTION control.make_audit_partition(bound text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
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

-- Every table that holds events, and which part of the trail it is: a month as 2026-11, `rest`, or none, where somebody
-- made it by hand.
CREATE FUNCTION control.list_audit_partitions() RETURNS TABLE (relation oid, name text, part text)
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
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
$$;
REVOKE ALL ON FUNCTION control.list_audit_partitions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.list_audit_partitions() TO zaptik_fleet;

-- What reads or adds to every tenant's part of the trail runs as this role, which no login can be (ADR 5).
GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- Where the sealing of one part stood at a segment, or stands; segments that were passed are as if they were not there.
CREATE FUNCTION control.find_audit_frontier(of_part text, upto_segment bigint DEFAULT NULL)
RETURNS TABLE (after_id bigint, last_xid xid8, last_id bigint, highest_id bigint)
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
BEGIN
    RETURN QUERY
    SELECT c.after_id, c.last_xid, c.last_id, c.highest_id FROM control.audit_checkpoint c
    WHERE c.bound = of_part AND (upto_segment IS NULL OR c.segment <= upto_segment)
      AND NOT EXISTS (SELECT FROM control.audit_passed p WHERE p.segment = c.segment)
    ORDER BY c.after_id DESC, c.segment DESC LIMIT 1;
    IF NOT FOUND THEN RETURN QUERY SELECT 0::bigint, '0'::xid8, 0::bigint, 0::bigint; END IF;
END
$$;

-- As before, of the partitions that are what their names say; what a restored server adds to `rest` counts too.
CREATE OR REPLACE FUNCTION control.read_audit_partitions(most_counted integer)
RETURNS TABLE (part text, after_id bigint, last_xid text, last_id bigint, highest_id bigint, went_back boolean,
               unsealed bigint, oldest_unsealed timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- Every event, counted once, by the table that holds it: beside them those that are not sealed up to a segment, and the
-- least and the greatest number of those that no check reads, whatever their place.
CREATE FUNCTION control.count_audit(upto_segment bigint)
RETURNS TABLE (name text, part text, events bigint, unsealed bigint, lowest bigint, highest bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
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

-- What the schema itself told of months that it dropped, the newest first. Nobody but who owns the trail names another
-- actor than the login, so the app's login cannot write such an event.
CREATE FUNCTION control.read_audit_drops(batch integer) RETURNS TABLE (occurred_us bigint, detail text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.detail::text FROM control.audit_events e
    WHERE e.action = 'retention.audit' AND e.tenant_ref IS NULL AND e.actor = 'zaptik_owner'
    ORDER BY e.occurred_at DESC, e.audit_id DESC LIMIT batch;
END
$$;

-- As before; and no event numbered below one may be there. Without a month it is `rest` that is asked about, which is
-- never over.
CREATE OR REPLACE FUNCTION control.is_month_sealed(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- As before, but that a checkpoint must seal the events that come next: just these, in their order, and settled. Its
-- signature and hashes PostgreSQL cannot check; a checkpoint that does not hold is found by them, and stops nothing.
CREATE OR REPLACE FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET enable_sort = off SET jit = off AS $$
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

-- As before, with the segment before, and a later server's, looked for among those that were not passed.
CREATE OR REPLACE FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer)
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

REVOKE ALL ON FUNCTION control.find_audit_frontier(text, bigint), control.count_audit(bigint),
    control.read_audit_drops(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.count_audit(bigint), control.read_audit_drops(integer) TO zaptik_app;
SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;

-- For an administrator alone: lets sealing go past the newest segment of its part, which does not hold. What it should
-- have sealed is sealed by the next ones. docs/runbooks/audit-does-not-hold.md says when.
CREATE FUNCTION control.pass_audit_checkpoint(of_segment bigint) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
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
REVOKE ALL ON FUNCTION control.pass_audit_checkpoint(bigint) FROM PUBLIC;

-- As before; and `rest`, as the month of its youngest event, which has no month here and comes last.
CREATE OR REPLACE FUNCTION control.list_old_audit_months(keep_months integer, at timestamptz)
RETURNS TABLE (month date, goes_at timestamptz) LANGUAGE plpgsql STABLE SET search_path = '' AS $$
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

-- As before; and `rest` is dropped whole and made anew. The event's actor is the owner of the trail, which no login of
-- the app can name, and so it is believed; `by` is the login.
CREATE OR REPLACE FUNCTION control.drop_audit_month(keep_months integer, at timestamptz)
RETURNS TABLE (month date, events bigint) LANGUAGE plpgsql SET search_path = '' SET lock_timeout = 3000 AS $$
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
