-- The deployment's keys by their ids, so that they can be replaced while the fleet runs. The keys are never here.

-- When an id was first heard of, when it began to wrap data keys, and when it was dropped: from then on nothing is
-- wrapped under it any more, whatever keyring somebody still has.
CREATE TABLE control.deployment_key (
    key_id text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    primary_at timestamptz,
    dropped_at timestamptz,
    CONSTRAINT deployment_key_has_an_id CHECK (length(key_id) BETWEEN 1 AND 255)
);
INSERT INTO control.deployment_key (key_id, primary_at) SELECT DISTINCT key_id, now() FROM control.data_key;
ALTER TABLE control.deployment_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE control.deployment_key FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON control.deployment_key TO zaptik_owner USING (true);
CREATE POLICY fleet ON control.deployment_key TO zaptik_fleet USING (true);
GRANT SELECT, INSERT (key_id), UPDATE (primary_at, dropped_at) ON control.deployment_key TO zaptik_fleet;
GRANT SELECT (tenant_id) ON control.data_key TO zaptik_fleet;

-- A data key is wrapped anew in its tenant's rows. A worker says which keys it holds; a scheduler holds none (NULL).
GRANT UPDATE (key_id, wrapped) ON control.data_key TO zaptik_app;
ALTER TABLE control.process ADD COLUMN key_ids text[];
GRANT UPDATE (key_ids) ON control.process TO zaptik_app;

GRANT CREATE ON SCHEMA control TO zaptik_fleet;
SET LOCAL ROLE zaptik_fleet;

-- Whoever wraps a data key holds the key's row until the transaction's end, and `drop_key` waits for them: a key that
-- is dropped is in use nowhere, and one in use is not dropped. SQLSTATE ZK001 is told to people as it is.
CREATE FUNCTION control.hold_key() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- Each key that was ever heard of, and how many tenants' data keys are wrapped by it.
CREATE FUNCTION control.read_keys()
RETURNS TABLE (key_id text, seen_at timestamptz, primary_at timestamptz, dropped_at timestamptz,
               age_seconds double precision, tenants bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
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

CREATE FUNCTION control.register_key(key text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    INSERT INTO control.deployment_key (key_id) VALUES (key) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO control.audit_events (action, detail) VALUES ('key.generated', jsonb_build_object('key_id', key));
    RETURN true;
END
$$;

CREATE FUNCTION control.promote_key(key text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- How many tenants still need the key; at 0 it is dropped.
CREATE FUNCTION control.drop_key(key text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

-- Tenants whose data key another key than this one wraps, in the order of their ids.
CREATE FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer)
RETURNS SETOF uuid LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM control.check_no_tenant();
    RETURN QUERY
    SELECT w.tenant_id FROM control.data_key w
    WHERE w.key_id <> to_key AND (after IS NULL OR w.tenant_id > after) ORDER BY w.tenant_id LIMIT batch;
END
$$;

REVOKE ALL ON FUNCTION control.hold_key(), control.read_keys(), control.register_key(text), control.promote_key(text),
    control.drop_key(text), control.tenants_to_rewrap(text, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.read_keys(), control.register_key(text), control.promote_key(text),
    control.drop_key(text), control.tenants_to_rewrap(text, uuid, integer) TO zaptik_app;
GRANT EXECUTE ON FUNCTION control.hold_key() TO zaptik_owner;  -- to make the trigger; nobody calls it

SET LOCAL ROLE zaptik_owner;
REVOKE CREATE ON SCHEMA control FROM zaptik_fleet;
CREATE TRIGGER data_key_holds_its_key BEFORE INSERT OR UPDATE OF key_id ON control.data_key
    FOR EACH ROW EXECUTE FUNCTION control.hold_key();
