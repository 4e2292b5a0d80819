-- Run by every `migrate`, as the administrator: the roles of the deployment, and what PUBLIC may no longer do.
-- Each revoke closes a way out of a tenant's transaction; see docs/explanation/architecture.md, "The boundary".
DO $roles$
BEGIN
    IF to_regrole('zaptik_owner') IS NULL THEN CREATE ROLE zaptik_owner NOLOGIN; END IF;
    IF to_regrole('zaptik_fleet') IS NULL THEN CREATE ROLE zaptik_fleet NOLOGIN; END IF;
    IF to_regrole('zaptik_app') IS NULL THEN CREATE ROLE zaptik_app LOGIN; END IF;
    IF to_regrole('zaptik_requester') IS NULL THEN CREATE ROLE zaptik_requester NOLOGIN; END IF;
    EXECUTE format('GRANT CREATE, CONNECT ON DATABASE %I TO zaptik_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO zaptik_app', current_database());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('ALTER ROLE zaptik_app IN DATABASE %I RESET ALL', current_database());
    EXECUTE format('COMMENT ON ROLE zaptik_owner IS %L', 'zaptik deployment in database ' || current_database());
    -- so that the owner's migrations can hand functions to it
    IF NOT pg_has_role('zaptik_owner', 'zaptik_fleet', 'MEMBER') THEN GRANT zaptik_fleet TO zaptik_owner; END IF;
    -- An administrator who is no superuser acts as the owner of what it makes: docs/how-to/managed-servers.md.
    IF NOT pg_has_role(current_user, 'zaptik_owner', 'USAGE') THEN
        EXECUTE format('GRANT zaptik_owner TO %I', current_user);
    END IF;
END
$roles$;

ALTER ROLE zaptik_owner NOLOGIN NOCREATEROLE NOCREATEDB;
ALTER ROLE zaptik_fleet NOLOGIN NOINHERIT NOCREATEROLE NOCREATEDB;
ALTER ROLE zaptik_requester NOLOGIN NOCREATEROLE NOCREATEDB;
ALTER ROLE zaptik_app LOGIN NOINHERIT NOCREATEROLE NOCREATEDB;
-- Named where they are wrong alone: only a superuser may name them.
DO $$
DECLARE
    exalted name;
BEGIN
    FOR exalted IN SELECT rolname FROM pg_roles
                   WHERE rolname IN ('zaptik_owner', 'zaptik_fleet', 'zaptik_requester', 'zaptik_app')
                     AND (rolsuper OR rolbypassrls OR rolreplication) LOOP
        EXECUTE format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOREPLICATION', exalted);
    END LOOP;
END
$$;
-- A role may give itself settings and a password: each migrate takes the settings away again.
ALTER ROLE zaptik_app RESET ALL;
-- A worker that is stopped, or cut off, in mid-transaction keeps its run's row locked, and nobody could rescue it.
ALTER ROLE zaptik_app SET idle_in_transaction_session_timeout = '10s';
-- Compiling a statement takes longer than running it: the planner's guesses at a tenant's tables, and the price it puts
-- on a way it is told not to go (before PostgreSQL 18), are far above the sum from which it compiles.
ALTER ROLE zaptik_app SET jit = off;

-- A function that some later migration makes is nobody's to call until it is granted.
ALTER DEFAULT PRIVILEGES FOR ROLE zaptik_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE zaptik_fleet REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE USAGE ON LANGUAGE sql, plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE sql, plpgsql TO zaptik_owner, zaptik_fleet;

-- Each of these evaluates a text given at run time as a query or as a setting, makes an object (`lo_`), fills the log
-- of writes, or holds a lock that `migrate` and `consumer revoke` wait for.
DO $functions$
DECLARE
    evaluator regprocedure;
BEGIN
    FOR evaluator IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND (proname IN ('set_config', 'ts_stat', 'lo_creat', 'lo_create', 'lo_from_bytea', 'pg_logical_emit_message')
               OR proname ~ '^(query|table|schema|database|cursor)_to_xml'
               OR proname ~ '^pg_(try_)?advisory_(xact_)?lock'
               OR (proname = 'ts_rewrite' AND pronargs = 2))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', evaluator);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO zaptik_owner', evaluator);
    END LOOP;
    -- for control.check_one_tenant, which sets no other setting than its own
    GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO zaptik_fleet;
END
$functions$;

-- DROP OWNED needs no more than being the role, and takes the role's policies with it: one statement of a tenant's
-- role or of zaptik_app would lock their rows away from all who are that role. It is left to the administrator.
CREATE OR REPLACE FUNCTION public.zaptik_keep_policies() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_event_trigger e
                   WHERE e.evtname = 'zaptik_keep_policies' AND pg_has_role(current_user, e.evtowner, 'MEMBER')) THEN
        RAISE EXCEPTION '% is for the administrator alone', tg_tag USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'zaptik_keep_policies') THEN
        CREATE EVENT TRIGGER zaptik_keep_policies ON ddl_command_start WHEN TAG IN ('DROP OWNED')
            EXECUTE FUNCTION public.zaptik_keep_policies();
    END IF;
    ALTER EVENT TRIGGER zaptik_keep_policies ENABLE ALWAYS;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'no event trigger may be made here';  -- missed by the comparison that follows
END
$$;
