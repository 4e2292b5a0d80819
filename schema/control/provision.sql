-- Run by `tenant add` and by every `migrate`, as the administrator: one tenant's role and schema.
DO $$
BEGIN
    IF to_regrole('{tenant}') IS NULL THEN CREATE ROLE {tenant} NOLOGIN; END IF;
END
$$;
ALTER ROLE {tenant} NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB;
CREATE SCHEMA IF NOT EXISTS {tenant} AUTHORIZATION zaptik_owner;
-- zaptik_app is NOINHERIT: it has none of the tenant's rights until it becomes the role, for one transaction.
GRANT {tenant} TO zaptik_app;
GRANT USAGE ON SCHEMA control TO {tenant};
GRANT EXECUTE ON FUNCTION control.record_events(uuid, bigint, jsonb, bigint, bigint),
    control.finish_run(uuid, bigint, text, bigint, timestamptz, jsonb) TO {tenant};
