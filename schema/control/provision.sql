-- Run by `tenant add` and by every `migrate`, as the administrator: one tenant's roles and schema.
DO $$
BEGIN
    IF to_regrole('{tenant}') IS NULL THEN CREATE ROLE {tenant} NOLOGIN; END IF;
    -- for consumers' logins, by `zaptik consumer grant`; the comment says that it is ours
    IF to_regrole('{reader}') IS NULL THEN
        CREATE ROLE {reader} NOLOGIN;
        COMMENT ON ROLE {reader} IS 'zaptik: reads the graph of one tenant';
    END IF;
END
$$;
ALTER ROLE {tenant} NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
ALTER ROLE {reader} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
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
GRANT USAGE ON SCHEMA control TO {tenant}, {reader};
GRANT EXECUTE ON FUNCTION control.record_events(uuid, bigint, jsonb, bigint, bigint),
    control.finish_run(uuid, bigint, text, bigint, timestamptz, jsonb) TO {tenant};
GRANT EXECUTE ON FUNCTION control.request_sync(text, text) TO {reader};
