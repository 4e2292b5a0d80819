-- Run by `tenant add` and by every `migrate`, as the administrator: one tenant's role and schema.
DO $$
BEGIN
    IF to_regrole('{tenant}') IS NULL THEN CREATE ROLE {tenant} NOLOGIN; END IF;
END
$$;
ALTER ROLE {tenant} NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
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
GRANT USAGE ON SCHEMA control TO {tenant};
GRANT EXECUTE ON FUNCTION control.record_events(uuid, bigint, jsonb, bigint, bigint),
    control.finish_run(uuid, bigint, text, bigint, timestamptz, jsonb) TO {tenant};
