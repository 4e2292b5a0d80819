-- Run by every `migrate`, as the administrator: the roles of the deployment, and what PUBLIC may no longer do.
-- Each revoke closes a way out of a tenant's transaction; see docs/explanation/architecture.md, "The boundary".
DO $roles$
BEGIN
    IF to_regrole('zaptik_owner') IS NULL THEN CREATE ROLE zaptik_owner NOLOGIN; END IF;
    IF to_regrole('zaptik_fleet') IS NULL THEN CREATE ROLE zaptik_fleet NOLOGIN; END IF;
    IF to_regrole('zaptik_app') IS NULL THEN CREATE ROLE zaptik_app LOGIN; END IF;
    EXECUTE format('GRANT CREATE, CONNECT ON DATABASE %I TO zaptik_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO zaptik_app', current_database());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('ALTER ROLE zaptik_app IN DATABASE %I RESET ALL', current_database());
    EXECUTE format('COMMENT ON ROLE zaptik_owner IS %L', 'zaptik deployment in database ' || current_database());
    -- so that the owner's migrations can hand functions to it
    IF NOT pg_has_role('zaptik_owner', 'zaptik_fleet', 'MEMBER') THEN GRANT zaptik_fleet TO zaptik_owner; END IF;
END
$roles$;

ALTER ROLE zaptik_owner NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
ALTER ROLE zaptik_fleet NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
ALTER ROLE zaptik_app LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION;
-- A role may give itself settings and a password: each migrate takes the settings away again.
ALTER ROLE zaptik_app RESET ALL;
-- A worker that is stopped, or cut off, in mid-transaction keeps its run's row locked, and nobody could rescue it.
ALTER ROLE zaptik_app SET idle_in_transaction_session_timeout = '10s';

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE USAGE ON LANGUAGE sql, plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE sql, plpgsql TO zaptik_owner, zaptik_fleet;

-- Each of these evaluates a text given at run time as a query or as a setting, or (`lo_`) makes an object.
DO $functions$
DECLARE
    evaluator regprocedure;
BEGIN
    FOR evaluator IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND (proname IN ('set_config', 'ts_stat', 'lo_creat', 'lo_create', 'lo_from_bytea')
               OR proname ~ '^(query|table|schema|database|cursor)_to_xml'
               OR (proname = 'ts_rewrite' AND pronargs = 2))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', evaluator);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO zaptik_owner', evaluator);
    END LOOP;
END
$functions$;
