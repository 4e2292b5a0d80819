-- Run by `tenant add` and by every `migrate`, as the administrator: one tenant's roles and schema. It changes no row of
-- the catalogue that another tenant's would change too: what does stands in `grants.sql`.
DO $$
BEGIN
    -- the comments say that they are ours
    IF to_regrole('{tenant}') IS NULL THEN CREATE ROLE {tenant} NOLOGIN; END IF;
    COMMENT ON ROLE {tenant} IS 'zaptik: one tenant';
    -- for consumers' logins, by `zaptik consumer grant`
    IF to_regrole('{reader}') IS NULL THEN
        CREATE ROLE {reader} NOLOGIN;
        COMMENT ON ROLE {reader} IS 'zaptik: reads the graph of one tenant';
    END IF;
END
$$;
ALTER ROLE {tenant} NOLOGIN NOINHERIT NOCREATEROLE NOCREATEDB;
ALTER ROLE {reader} NOLOGIN NOCREATEROLE NOCREATEDB;
DO $$
DECLARE
    exalted name;
BEGIN
    FOR exalted IN SELECT rolname FROM pg_roles
                   WHERE oid IN ('{tenant}'::regrole, '{reader}'::regrole)
                     AND (rolsuper OR rolbypassrls OR rolreplication) LOOP
        EXECUTE format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOREPLICATION', exalted);
    END LOOP;
END
$$;
CREATE SCHEMA IF NOT EXISTS {tenant} AUTHORIZATION zaptik_owner;
-- zaptik_app has none of the tenant's rights until it becomes the role, for one transaction. From PostgreSQL 16
-- on the grant says so itself; on 15 it follows from zaptik_app's NOINHERIT.
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 160000 THEN
        EXECUTE 'GRANT {tenant} TO zaptik_app WITH ADMIN FALSE, INHERIT FALSE, SET TRUE';
    ELSE
        GRANT {tenant} TO zaptik_app;
    END IF;
END
$$;
