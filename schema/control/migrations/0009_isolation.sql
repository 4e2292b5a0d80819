-- Whether the tenants' boundary holds is tried all the time: whose turn it is to try, and what was found.

-- One row. `after_tenant` is where the last turn stopped; `checked_at` is when one last proved something, `reached_at`
-- when a tenant was last read as another.
CREATE TABLE control.isolation_check (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT isolation_check_only_row CHECK (only_row),
    holder text,
    lease_until timestamptz,
    ended_at timestamptz,
    after_tenant uuid,
    checked_at timestamptz,
    reached_at timestamptz
);
INSERT INTO control.isolation_check DEFAULT VALUES;
ALTER TABLE control.isolation_check ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON control.isolation_check TO zaptik_owner USING (true);
CREATE POLICY fleet ON control.isolation_check TO zaptik_fleet USING (true);
GRANT SELECT, UPDATE ON control.isolation_check TO zaptik_fleet;

GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- Take a turn: gives the next tenants to try, the first ones again after the last; none where another has the turn, or
-- the last one was not so long ago.
CREATE FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision,
                                             every_seconds double precision, batch integer)
RETURNS TABLE (tenant_id uuid, schema_name text) LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- End a turn that one still has, with the last tenant that was tried and how many held, were reached, could not be
-- tried.
CREATE FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

CREATE FUNCTION control.read_isolation_check() RETURNS TABLE (checked_at timestamptz, reached_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY SELECT c.checked_at, c.reached_at FROM control.isolation_check c;
END
$$;

REVOKE ALL ON FUNCTION control.hold_isolation_check(text, double precision, double precision, integer),
    control.end_isolation_check(text, uuid, integer, integer, integer), control.read_isolation_check() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.hold_isolation_check(text, double precision, double precision, integer),
    control.end_isolation_check(text, uuid, integer, integer, integer), control.read_isolation_check() TO zaptik_app;
SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
