-- name: claim_due_tenants
-- Request a run for each tenant whose turn has come.
SELECT run_id, tenant_id
FROM control.claim_due_tenants(%(batch)s::integer, %(starts_per_second)s::double precision)

-- name: fold_requests
-- Turn what was asked for into runs.
SELECT run_id, tenant_id FROM control.fold_requests(%(batch)s::integer)

-- name: rescue_runs
-- Offer again the runs whose lease ran out.
SELECT run_id, tenant_id, gave_up, worker FROM control.rescue_runs(%(max_attempts)s::integer)

-- name: runs_to_ring
-- The runs to ring for, as many as the slots bear: new, due again, or rung too long ago without an answer.
SELECT control.runs_to_ring(%(batch)s::integer, %(again_after_seconds)s::double precision)

-- name: claim_run
-- Take a run under lease; no row when another has it or it ended.
SELECT tenant_id, tenant, schema_name, url, mode, attempt, fence, started_at
FROM control.claim_run(%(run)s::uuid, %(worker)s::text, %(lease_seconds)s::double precision)

-- name: claim_quarantined
-- Take the run of a quarantined revision, to publish it; no row when another run lives or it is not quarantined.
SELECT tenant_id, tenant, schema_name, url, mode, attempt, fence, started_at
FROM control.claim_quarantined(%(run)s::uuid, %(worker)s::text, %(lease_seconds)s::double precision)

-- name: renew_lease
-- Hold a run for longer; false when it is no longer ours.
SELECT control.renew_lease(%(run)s::uuid, %(fence)s::bigint, %(lease_seconds)s::double precision)

-- name: end_slice
-- End a slice that did not publish, and count what its instance did towards the breaker.
SELECT released, opened_seconds
FROM control.end_slice(%(run)s::uuid, %(fence)s::bigint, %(ending)s::text, %(wait_seconds)s::double precision,
                       %(failure)s::jsonb, %(blames_instance)s::boolean)

-- name: cancel_run
-- End a run that lives; gives the state it was in, null where there is none such.
SELECT control.cancel_run(%(run)s::uuid)

-- name: read_run_state
-- The state of a run of the tenant that the transaction names.
SELECT state FROM control.run WHERE run_id = %(run)s::uuid

-- name: record_events
-- Write audit events in the tenant's transaction; false when the lease is lost.
SELECT control.record_events(%(run)s::uuid, %(fence)s::bigint, %(events)s::jsonb, %(requests)s::bigint,
                             %(records)s::bigint)

-- name: finish_run
-- End the run that published or found nothing new; false when the lease is lost.
SELECT control.finish_run(%(run)s::uuid, %(fence)s::bigint, %(outcome)s::text, %(revision)s::bigint,
                          %(as_of)s::timestamptz, %(counts)s::jsonb)

-- name: request_sync
-- Ask for a run of a tenant.
SELECT control.request_sync(%(tenant)s::text, %(mode)s::text)

-- name: read_request
-- Which run a request became; null until the scheduler folds it.
SELECT run_id FROM control.sync_request WHERE request_id = %(request)s::bigint

-- name: find_tenant
-- A tenant by its name.
SELECT tenant_id, name, schema_name, url, every_seconds, state, state_reason
FROM control.find_tenant(%(tenant)s::text)

-- name: read_fleet
-- Every tenant with its state and freshness.
SELECT tenant_id, tenant, url, schema_name, every_seconds, state, state_reason, revision, published_at, as_of,
       staleness_seconds, waiting_seconds, last_state, last_error, breaker
FROM control.read_fleet()

-- name: count_runs
-- How many runs wait and are under way, and how many requests are not yet a run ("asked").
SELECT state, runs FROM control.count_runs()

-- name: keys_in_use
-- The ids of the deployment keys that some tenant's data key is wrapped by.
SELECT control.keys_in_use()

-- name: read_processes
-- The workers and schedulers seen within so many seconds.
SELECT process_id, kind, host, pid, version, threads, key_ids, started_at, seen_at
FROM control.process WHERE seen_at > clock_timestamp() - %(within_seconds)s::double precision * interval '1 second'
ORDER BY kind, started_at

-- name: report_process
-- Say that a process lives.
INSERT INTO control.process (process_id, kind, host, pid, version, threads, key_ids)
VALUES (%(process_id)s::uuid, %(kind)s, %(host)s, %(pid)s::integer, %(version)s, %(threads)s::integer,
        %(key_ids)s::text[])
ON CONFLICT (process_id) DO UPDATE SET seen_at = clock_timestamp(), key_ids = excluded.key_ids

-- name: forget_process
-- Take a process off the list when it stops, and those that died long ago with it.
DELETE FROM control.process
WHERE process_id = %(process_id)s::uuid OR seen_at < clock_timestamp() - interval '1 day'

-- name: read_runs
-- The newest runs of the tenant that the transaction names, with what their canaries found and how coverage changed.
SELECT r.run_id, r.state, r.mode, r.revision, r.requests, r.records, r.nodes, r.edges, r.added, r.changed, r.removed,
       r.error, r.requested_at, r.not_before, r.started_at, r.ended_at, r.canaries,
       (SELECT coalesce(jsonb_agg(e.detail ORDER BY e.audit_id), '[]') FROM control.audit_events e
        WHERE e.run_id = r.run_id AND e.action = 'coverage.changed') AS coverage_changes
FROM control.run r WHERE r.run_id = %(run)s::uuid OR %(run)s::uuid IS NULL
ORDER BY requested_at DESC LIMIT %(limit)s::integer

-- name: read_canaries
-- What a run's canaries found; null while they were not sent.
SELECT canaries FROM control.run WHERE run_id = %(run)s::uuid

-- name: read_run_before
-- The newest other run of the tenant that came to a graph in force.
SELECT run_id FROM control.run WHERE run_id <> %(run)s::uuid AND state IN ('published', 'unchanged')
ORDER BY ended_at DESC LIMIT 1

-- name: read_pace
-- What an instance asked of its last reader, in seconds from now; sizes only while they are fresh.
SELECT greatest(0, extract(epoch FROM cooldown_until - clock_timestamp()))::double precision AS cooldown_seconds,
       limit_requests, used_requests,
       extract(epoch FROM hour_ends_at - clock_timestamp())::double precision AS hour_ends_in_seconds,
       at_once, page_rows, updated_at > clock_timestamp() - interval '1 hour' AS is_fresh
FROM control.instance_pace WHERE tenant_id = %(tenant_id)s::uuid

-- name: keep_pace
-- Keep what an instance asked for; a pause is lengthened and never cut short, and of one hour all requests count.
INSERT INTO control.instance_pace AS p
    (tenant_id, cooldown_until, limit_requests, used_requests, hour_ends_at, at_once, page_rows)
VALUES (%(tenant_id)s::uuid, clock_timestamp() + %(cooldown_seconds)s::double precision * interval '1 second',
        %(limit_requests)s::bigint, %(used_requests)s::bigint,
        clock_timestamp() + %(hour_ends_in_seconds)s::double precision * interval '1 second',
        %(at_once)s::real, %(page_rows)s::jsonb)
ON CONFLICT (tenant_id) DO UPDATE
SET cooldown_until = greatest(p.cooldown_until, excluded.cooldown_until),
    limit_requests = excluded.limit_requests,
    used_requests = CASE WHEN p.hour_ends_at BETWEEN excluded.hour_ends_at - interval '1 minute'
                                                 AND excluded.hour_ends_at + interval '1 minute'
                         THEN greatest(excluded.used_requests, p.used_requests + %(more_requests)s::bigint)
                         ELSE excluded.used_requests END,
    hour_ends_at = excluded.hour_ends_at, at_once = excluded.at_once, page_rows = excluded.page_rows,
    updated_at = clock_timestamp()

-- name: read_data_key
-- The tenant's wrapped data key.
SELECT key_id, wrapped FROM control.data_key WHERE tenant_id = %(tenant_id)s::uuid

-- name: store_data_key
-- Keep a tenant's first data key; no row when it has one.
INSERT INTO control.data_key (tenant_id, key_id, wrapped)
VALUES (%(tenant_id)s::uuid, %(key_id)s, %(wrapped)s::bytea)
ON CONFLICT (tenant_id) DO NOTHING RETURNING key_id

-- name: read_credential
-- The tenant's newest sealed credentials.
SELECT c.version, c.envelope, k.key_id, k.wrapped
FROM control.credential c JOIN control.data_key k USING (tenant_id)
WHERE c.tenant_id = %(tenant_id)s::uuid ORDER BY c.version DESC LIMIT 1

-- name: next_credential_version
-- The version that the next stored credentials will have.
SELECT coalesce(max(version), 0) + 1 FROM control.credential WHERE tenant_id = %(tenant_id)s::uuid

-- name: hold_tenant_state
-- A tenant's name and state, which no other transaction changes until this one ends.
SELECT name, state FROM control.tenant WHERE tenant_id = %(tenant_id)s::uuid FOR SHARE

-- name: store_credential
-- Keep sealed credentials under a new version; an earlier version goes.
WITH earlier AS (
    DELETE FROM control.credential WHERE tenant_id = %(tenant_id)s::uuid AND version < %(version)s::integer
)
INSERT INTO control.credential (tenant_id, version, envelope)
VALUES (%(tenant_id)s::uuid, %(version)s::integer, %(envelope)s::bytea)

-- name: change_tenant_state
-- Let a tenant run, at once, or hold it with a reason.
UPDATE control.tenant SET state = %(state)s, state_reason = %(reason)s,
    next_due_at = CASE WHEN %(state)s = 'active' THEN clock_timestamp() ELSE next_due_at END
WHERE tenant_id = %(tenant_id)s::uuid AND state <> 'offboarding'

-- name: let_run_with_credentials
-- Let a tenant run, at once, that waited for credentials or has other ones now; no row where a person paused it.
UPDATE control.tenant SET state = 'active', state_reason = NULL, next_due_at = clock_timestamp()
WHERE tenant_id = %(tenant_id)s::uuid AND state IN ('awaiting_credentials', 'active', 'paused')
  AND NOT (state = 'paused' AND state_reason = %(by_a_person)s) RETURNING tenant_id

-- name: insert_event
-- Write one audit event of an act outside a run.
INSERT INTO control.audit_events (action, tenant_ref, run_id, detail)
VALUES (%(action)s, %(tenant_id)s::uuid, %(run)s::uuid, %(detail)s::jsonb)

-- name: add_tenant
-- Register a tenant; no row when one of that name is there.
INSERT INTO control.tenant (name, schema_name, url, every_seconds)
VALUES (%(name)s, %(schema_name)s, %(url)s, %(every_seconds)s::integer)
ON CONFLICT (name) DO NOTHING RETURNING tenant_id

-- name: list_schemas
-- Every tenant's schema, for `migrate`.
SELECT name, schema_name, tenant_id FROM control.tenant ORDER BY name

-- name: read_control_version
-- The version of the control schema.
SELECT max(version) FROM control.schema_version

-- name: read_unsafe_rights
-- The connected role, and in words what it has that the app's role must not have.
WITH me AS (SELECT * FROM pg_roles WHERE rolname = current_user
), membership AS (  -- from PostgreSQL 16 on each grant says whether it inherits, before it the role does
    SELECT m.member, m.roleid, m.admin_option, member.rolname AS member_name, role.rolname, role.rolsuper,
           role.rolbypassrls, coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, member.rolinherit) AS inherits
    FROM pg_auth_members m JOIN pg_roles member ON member.oid = m.member JOIN pg_roles role ON role.oid = m.roleid
), unsafe (what) AS (
    SELECT 'a superuser' FROM me WHERE rolsuper
    UNION ALL SELECT 'exempt from row security (BYPASSRLS)' FROM me WHERE rolbypassrls
    UNION ALL SELECT 'inheriting the tenants'' rights (INHERIT)' FROM me WHERE rolinherit
    UNION ALL SELECT 'allowed to make roles, databases or replicas' FROM me
              WHERE rolcreaterole OR rolcreatedb OR rolreplication
    UNION ALL SELECT 'the owner of objects' FROM me WHERE EXISTS (
        SELECT FROM pg_shdepend d
        WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = me.oid AND d.deptype = 'o')
    UNION ALL SELECT 'a member of ' || m.rolname FROM me JOIN membership m ON m.member = me.oid
              WHERE m.rolname !~ '^tenant_' OR m.rolsuper OR m.rolbypassrls
    UNION ALL SELECT 'inheriting from ' || m.rolname || ' by a grant WITH INHERIT'
              FROM me JOIN membership m ON m.member = me.oid WHERE m.inherits AND NOT me.rolinherit
    UNION ALL SELECT 'allowed to grant ' || m.rolname
              FROM me JOIN membership m ON m.member = me.oid WHERE m.admin_option
    UNION ALL SELECT 'through ' || m.member_name || ' a member of ' || m.rolname
              FROM me JOIN membership own ON own.member = me.oid JOIN membership m ON m.member = own.roleid
              WHERE own.rolname ~ '^tenant_'
)
SELECT me.rolname, (SELECT coalesce(array_agg(what ORDER BY what), '{}') FROM unsafe) AS unsafe FROM me

-- name: read_open_doors
-- What `migrate` closes and is open, each with the name of its gap (jobs/gaps.py): privileges of PUBLIC, a trigger.
SELECT 'TEMPORARY on the database' AS door, 'temporary:database' AS gap
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'TEMPORARY'
UNION ALL
SELECT 'CREATE on schema public', 'create:public' FROM pg_namespace n, aclexplode(n.nspacl) a
WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE'
UNION ALL
SELECT 'USAGE on language ' || l.lanname, 'usage:' || l.lanname
FROM pg_language l, aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) a
WHERE l.lanname IN ('sql', 'plpgsql') AND a.grantee = 0
UNION ALL
SELECT 'EXECUTE on ' || p.oid::regprocedure::text,
       'execute:' || CASE WHEN p.proname ~ '^lo_' THEN 'large_objects' WHEN p.proname ~ 'advisory' THEN 'advisory_locks'
                          WHEN p.proname = 'pg_logical_emit_message' THEN 'write_log'
                          WHEN p.proname = 'set_config' THEN 'set_config' ELSE 'texts' END
FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND a.grantee = 0
  AND (p.proname IN ('set_config', 'ts_stat', 'lo_creat', 'lo_create', 'lo_from_bytea', 'pg_logical_emit_message')
       OR p.proname ~ '^((query|table|schema|database|cursor)_to_xml|pg_(try_)?advisory_(xact_)?lock)'
       OR (p.proname = 'ts_rewrite' AND p.pronargs = 2))
UNION ALL
SELECT 'no event trigger zaptik_keep_policies', 'trigger:drop_owned'
WHERE NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'zaptik_keep_policies' AND evtenabled = 'A')
ORDER BY 1

-- name: read_login
-- A login, and in words what it is that no consumer's may be; no row when there is none of that name.
WITH RECURSIVE held (oid) AS (
    SELECT oid FROM pg_roles WHERE rolname = %(login)s
    UNION SELECT m.roleid FROM pg_auth_members m JOIN held ON held.oid = m.member
), unfit (what) AS (
    SELECT 'no login' FROM pg_roles WHERE rolname = %(login)s AND NOT rolcanlogin
    UNION ALL SELECT 'a role of Zaptik''s own' WHERE %(login)s ~ '^(zaptik|tenant|reader)_'
    UNION ALL SELECT 'the owner of the database' FROM pg_database d JOIN held ON held.oid = d.datdba
              WHERE d.datname = current_database()
    UNION ALL SELECT CASE r.rolname WHEN %(login)s THEN '' ELSE 'through ' || r.rolname || ' ' END || right_of.name
              FROM held JOIN pg_roles r USING (oid),
                   LATERAL (VALUES ('a superuser', r.rolsuper), ('exempt from row security', r.rolbypassrls),
                                   ('allowed to make roles', r.rolcreaterole),
                                   ('allowed to replicate', r.rolreplication)) AS right_of (name, is_held)
              WHERE right_of.is_held
    UNION ALL SELECT 'a member of ' || r.rolname FROM held JOIN pg_roles r USING (oid)
              WHERE r.rolname <> %(login)s
                -- PostgreSQL's own roles: read or write all, see others' statements, lock any table, end sessions
                AND (r.rolname ~ '^(tenant|pg)_' OR r.rolname IN ('zaptik_owner', 'zaptik_fleet', 'zaptik_app'))
    -- Whoever is a member of the login would read with it. From PostgreSQL 16 on who made it may be one.
    UNION ALL SELECT 'a role that ' || l.rolname || ' is a member of'
              FROM pg_auth_members m JOIN pg_roles l ON l.oid = m.member JOIN pg_roles r ON r.oid = m.roleid
              WHERE r.rolname = %(login)s AND NOT l.rolsuper AND l.rolname <> session_user
)
SELECT r.rolname, r.rolinherit, (SELECT coalesce(array_agg(what ORDER BY what), '{}') FROM unfit) AS unfit
FROM pg_roles r WHERE r.rolname = %(login)s

-- name: list_consumers
-- Who is a member of a tenant's readers, or of the requesters.
SELECT l.rolname AS login, t.name AS tenant, r.rolname = 'zaptik_requester' AS requester
FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles l ON l.oid = m.member
LEFT JOIN control.tenant t ON 'reader_' || substr(t.schema_name, 8) = r.rolname
WHERE t.name IS NOT NULL OR r.rolname = 'zaptik_requester'
GROUP BY l.rolname, t.name, r.rolname ORDER BY l.rolname, t.name NULLS FIRST

-- name: read_guards
-- What holds the boundary, each as the statement that makes it: of `control` and all roles, or of tenants' schemas.
WITH place AS (
    SELECT n.oid, n.nspname::text AS name, n.nspowner AS owner, n.nspacl AS acl,
           CASE n.nspname WHEN 'control'
                THEN ARRAY['zaptik_owner', 'zaptik_fleet', 'zaptik_app', 'zaptik_requester']
                ELSE ARRAY[n.nspname::text, 'reader_' || substr(n.nspname, 8)] END AS roles
    FROM pg_namespace n
    WHERE n.nspname = 'control' OR n.nspname = ANY (%(schemas)s::text[])
), role AS (
    SELECT p.name AS place, r.* FROM place p CROSS JOIN unnest(p.roles) u JOIN pg_roles r ON r.rolname = u
), relation AS (
    SELECT p.name AS place, c.oid, c.relkind, c.relowner AS owner, c.relacl AS acl, c.relrowsecurity,
           c.relforcerowsecurity, c.reloptions, p.name || '.' || quote_ident(c.relname) AS name,
           CASE c.relkind WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'S' THEN 'SEQUENCE '
                          WHEN 'f' THEN 'FOREIGN TABLE ' ELSE 'TABLE ' END AS kind
    FROM place p JOIN pg_class c ON c.relnamespace = p.oid WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
), routine AS (  -- a column without a name has one, its type's, once it went through `pg_dump`
    SELECT p.name AS place, f.oid, f.proowner AS owner, f.prosecdef, f.proconfig,
           coalesce(f.proacl, acldefault('f', f.proowner)) AS acl,
           md5(replace(f.prosrc, '"' || p.name || '"', '@')
               || regexp_replace(replace(coalesce(pg_get_function_sqlbody(f.oid), ''), p.name || '.', '@.'),
                                 '::(text|bigint) AS (text|int8)\M', '::\1', 'g')) AS body,
           p.name || '.' || quote_ident(f.proname) || '(' || pg_get_function_identity_arguments(f.oid) || ')' AS name
    FROM place p JOIN pg_proc f ON f.pronamespace = p.oid
    UNION ALL  -- its owner is whoever ran the first `migrate`
    SELECT p.name, f.oid, NULL, f.prosecdef, f.proconfig, NULL, md5(f.prosrc), 'public.zaptik_keep_policies()'
    FROM place p JOIN pg_proc f ON f.proname = 'zaptik_keep_policies' AND f.pronamespace = 'public'::regnamespace
    WHERE p.name = 'control'
), granted (place, owner, what, acl) AS (
    SELECT name, owner, 'SCHEMA ' || name, acl FROM place
    UNION ALL SELECT place, owner, CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || name, acl FROM relation
    UNION ALL SELECT place, owner, 'FUNCTION ' || name, acl FROM routine
), grants AS (  -- those to others than these are the administrator's business
    SELECT g.place, o.name AS grantee, 'GRANT ' || g.privilege_type || g.on_what || ' TO ' || o.name
           || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS line
    FROM (SELECT g.place, g.owner, ' ON ' || g.what AS on_what, a.* FROM granted g, aclexplode(g.acl) a
          UNION ALL
          SELECT r.place, r.owner, ' (' || quote_ident(t.attname) || ') ON TABLE ' || r.name, a.*
          FROM relation r JOIN pg_attribute t ON t.attrelid = r.oid AND t.attacl IS NOT NULL, aclexplode(t.attacl) a) g,
         LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END) o (name)
    WHERE g.grantee <> g.owner AND o.name ~ '^(PUBLIC$|zaptik_|tenant_|reader_)'
), membership AS (  -- from PostgreSQL 16 on each grant says whether it inherits, before it the role does
    SELECT m.roleid, m.member, g.rolname AS granted, r.rolname AS holder, m.admin_option,
           coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, r.rolinherit) AS inherits,
           r.rolsuper OR r.rolcreaterole AS is_administrator
    FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
), guard (place, line) AS (
    SELECT name, 'ALTER SCHEMA ' || name || ' OWNER TO ' || pg_get_userbyid(owner) FROM place
    UNION ALL
    SELECT place, 'ALTER ' || kind || name || ' OWNER TO ' || pg_get_userbyid(owner) FROM relation
    UNION ALL
    SELECT place, 'ALTER TABLE ' || name || ' ENABLE ROW LEVEL SECURITY' FROM relation WHERE relrowsecurity
    UNION ALL
    SELECT place, 'ALTER TABLE ' || name || ' FORCE ROW LEVEL SECURITY' FROM relation WHERE relforcerowsecurity
    UNION ALL
    SELECT place, 'ALTER VIEW ' || name || ' SET (' || option || ')'
    FROM relation, unnest(reloptions) option WHERE relkind = 'v'
    UNION ALL  -- one that runs as its owner shows what it says, whoever asks
    SELECT place, '-- VIEW ' || name || ' has the body ' || md5(pg_get_viewdef(oid)) FROM relation
    WHERE relkind = 'v' AND NOT 'security_invoker=true' = ANY (coalesce(reloptions, '{}'))
    UNION ALL
    SELECT CASE WHEN place = 'control' AND grantee ~ '^(tenant|reader)_' THEN 'tenant_' || substr(grantee, 8)
                ELSE place END, line FROM grants
    UNION ALL
    SELECT r.place, 'CREATE POLICY ' || quote_ident(p.polname) || ' ON ' || r.name
           || CASE WHEN p.polpermissive THEN '' ELSE ' AS RESTRICTIVE' END
           || CASE p.polcmd WHEN 'r' THEN ' FOR SELECT' WHEN 'a' THEN ' FOR INSERT' WHEN 'w' THEN ' FOR UPDATE'
                            WHEN 'd' THEN ' FOR DELETE' ELSE '' END || ' TO '
           || (SELECT string_agg(CASE u WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(u) END, ', ' ORDER BY u)
               FROM unnest(p.polroles) u)
           || coalesce(' USING (' || regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\s+', ' ', 'g') || ')', '')
           || coalesce(' WITH CHECK (' || regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\s+', ' ', 'g')
                       || ')', '')
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT r.place, pg_get_triggerdef(t.oid) FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT r.place, 'ALTER TABLE ' || r.name
           || CASE t.tgenabled WHEN 'D' THEN ' DISABLE TRIGGER ' WHEN 'A' THEN ' ENABLE ALWAYS TRIGGER '
                               WHEN 'R' THEN ' ENABLE REPLICA TRIGGER ' ELSE ' ENABLE TRIGGER ' END
           || CASE WHEN t.tgisinternal THEN 'ALL' ELSE quote_ident(t.tgname) END
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal OR t.tgenabled <> 'O'
    UNION ALL
    SELECT r.place, 'CREATE RULE ' || quote_ident(w.rulename) || ' ON ' || r.name
    FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'
    UNION ALL
    SELECT place, 'ALTER FUNCTION ' || name || ' OWNER TO ' || pg_get_userbyid(owner) FROM routine WHERE acl IS NOT NULL
    UNION ALL
    SELECT place, 'ALTER FUNCTION ' || name || ' SECURITY ' || CASE WHEN prosecdef THEN 'DEFINER' ELSE 'INVOKER' END
    FROM routine
    UNION ALL
    SELECT place, 'ALTER FUNCTION ' || name || ' SET ' || split_part(setting, '=', 1) || ' TO '
           || CASE setting WHEN 'search_path=""' THEN '''''' ELSE substr(setting, strpos(setting, '=') + 1) END
    FROM routine, unnest(proconfig) setting
    UNION ALL
    SELECT place, '-- FUNCTION ' || name || ' has the body ' || body FROM routine
    UNION ALL
    SELECT place, 'ALTER ROLE ' || rolname || CASE WHEN rolcanlogin THEN ' LOGIN' ELSE ' NOLOGIN' END
           || CASE WHEN rolinherit THEN ' INHERIT' ELSE ' NOINHERIT' END
           || CASE WHEN rolsuper THEN ' SUPERUSER' ELSE ' NOSUPERUSER' END
           || CASE WHEN rolbypassrls THEN ' BYPASSRLS' ELSE ' NOBYPASSRLS' END
           || CASE WHEN rolcreaterole THEN ' CREATEROLE' ELSE ' NOCREATEROLE' END
           || CASE WHEN rolcreatedb THEN ' CREATEDB' ELSE ' NOCREATEDB' END
           || CASE WHEN rolreplication THEN ' REPLICATION' ELSE ' NOREPLICATION' END
    FROM role
    UNION ALL
    SELECT r.place, 'ALTER ROLE ' || r.rolname
           || CASE s.setdatabase WHEN 0 THEN '' ELSE ' IN DATABASE ' || quote_ident(current_database()) END
           || ' SET ' || split_part(setting, '=', 1) || ' TO '
           || quote_literal(substr(setting, strpos(setting, '=') + 1))
    FROM role r JOIN pg_db_role_setting s ON s.setrole = r.oid, unnest(s.setconfig) setting
    WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    UNION ALL
    SELECT r.place, 'GRANT ' || a.privilege_type || ' ON DATABASE ' || quote_ident(d.datname) || ' TO ' || r.rolname
    FROM role r, pg_database d, aclexplode(d.datacl) a
    WHERE d.datname = current_database() AND a.grantee = r.oid AND a.grantee <> d.datdba
    UNION ALL  -- consumers are members of readers and requesters, an administrator may be a member of any
    SELECT m.place, 'GRANT ' || m.granted || ' TO ' || m.holder
           || CASE WHEN m.inherits THEN ' WITH INHERIT TRUE' ELSE '' END
           || CASE WHEN m.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END
    FROM (SELECT r.place, m.* FROM role r JOIN membership m ON m.roleid = r.oid
          UNION SELECT r.place, m.* FROM role r JOIN membership m ON m.member = r.oid) m
    WHERE (m.holder ~ '^(zaptik|tenant|reader)_'
           OR NOT (m.is_administrator OR m.granted ~ '^(reader_|zaptik_requester$)'))
      AND NOT (m.place = 'control' AND m.holder = 'zaptik_app' AND m.granted ~ '^tenant_')
    UNION ALL  -- rights outside of the schemas, of those who are or become somebody's login
    SELECT r.place, CASE d.deptype WHEN 'o' THEN 'ALTER ' ELSE 'GRANT ALL ON ' END || upper(i.type) || ' ' || i.identity
           || CASE d.deptype WHEN 'o' THEN ' OWNER TO ' ELSE ' TO ' END || r.rolname
    FROM role r,
         LATERAL (SELECT d.* FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
                  AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) OFFSET 0) d,
         LATERAL pg_identify_object(d.classid, d.objid, 0) i
    WHERE r.rolname NOT IN ('zaptik_owner', 'zaptik_fleet') AND d.deptype IN ('a', 'o')
      AND d.classid <> 'pg_database'::regclass
      AND d.classid <> 'pg_default_acl'::regclass
      AND (SELECT n.nspname ~ '^(tenant_|control$)' FROM pg_namespace n WHERE n.oid = CASE d.classid
           WHEN 'pg_namespace'::regclass THEN d.objid
           WHEN 'pg_class'::regclass THEN (SELECT c.relnamespace FROM pg_class c WHERE c.oid = d.objid)
           WHEN 'pg_proc'::regclass THEN (SELECT f.pronamespace FROM pg_proc f WHERE f.oid = d.objid) END) IS NOT TRUE
    UNION ALL  -- what new objects would be given away by, and what new functions are not
    SELECT p.name, 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || pg_get_userbyid(d.defaclrole)
           || coalesce(' IN SCHEMA ' || quote_ident(n.nspname), '') || ' GRANT ' || a.privilege_type
           || ' ON ' || k.name || ' TO ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
         JOIN place p ON p.name = CASE WHEN n.nspname ~ '^tenant_' THEN n.nspname ELSE 'control' END
         JOIN (VALUES ('r', 'TABLES'), ('S', 'SEQUENCES'), ('f', 'FUNCTIONS'), ('T', 'TYPES'), ('n', 'SCHEMAS'),
                      ('L', 'LARGE OBJECTS')) AS k (type, name) ON k.type = d.defaclobjtype,
         aclexplode(d.defaclacl) a
    WHERE a.grantee <> d.defaclrole AND NOT (d.defaclnamespace = 0 AND d.defaclobjtype = 'T' AND a.grantee = 0)
      AND (n.nspname ~ '^(tenant_|control$)' OR pg_get_userbyid(d.defaclrole) ~ '^zaptik_'
           OR pg_get_userbyid(a.grantee) ~ '^(zaptik|tenant|reader)_')
    UNION ALL
    SELECT p.name, 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || pg_get_userbyid(d.defaclrole)
                   || ' REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC'
    FROM place p JOIN pg_default_acl d ON d.defaclnamespace = 0 AND d.defaclobjtype = 'f'
                                      AND pg_get_userbyid(d.defaclrole) ~ '^zaptik_'
    WHERE p.name = 'control' AND NOT EXISTS (SELECT FROM aclexplode(d.defaclacl) a WHERE a.grantee = 0)
    UNION ALL
    SELECT p.name, v.line FROM place p JOIN pg_event_trigger e ON e.evtname = 'zaptik_keep_policies',
         LATERAL (VALUES ('CREATE EVENT TRIGGER zaptik_keep_policies ON ' || e.evtevent || ' WHEN TAG IN ('
                          || (SELECT string_agg(quote_literal(tag), ', ' ORDER BY tag) FROM unnest(e.evttags) tag)
                          || ') EXECUTE FUNCTION ' || (SELECT n.nspname || '.' || f.proname FROM pg_proc f
                              JOIN pg_namespace n ON n.oid = f.pronamespace WHERE f.oid = e.evtfoid) || '()'),
                         ('ALTER EVENT TRIGGER zaptik_keep_policies '
                          || CASE e.evtenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'D' THEN 'DISABLE'
                                               WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END)) AS v (line)
    WHERE p.name = 'control'
)
SELECT place, md5(string_agg(DISTINCT line COLLATE "C", E'\n' ORDER BY line COLLATE "C")) AS digest,
       CASE WHEN %(whole)s::boolean THEN array_agg(DISTINCT line COLLATE "C" ORDER BY line COLLATE "C") END AS lines
FROM guard WHERE place = ANY (%(schemas)s::text[]) GROUP BY place

-- name: read_places
-- The tenants' schemas, and those of roles that have no schema: what may hold guards.
SELECT nspname::text AS place FROM pg_namespace WHERE nspname ~ '^tenant_'
UNION SELECT 'tenant_' || substr(rolname, 8) FROM pg_roles WHERE rolname ~ '^(tenant|reader)_'
ORDER BY 1

-- name: read_foreign_objects
-- The roles and the schema of a tenant's names that somebody else made.
SELECT 'schema' AS kind, nspname AS name FROM pg_namespace
WHERE nspname = %(schema_name)s AND nspowner <> 'zaptik_owner'::regrole
UNION ALL
SELECT 'role', rolname FROM pg_roles
WHERE rolname = %(role)s
  AND shobj_description(oid, 'pg_authid') IS DISTINCT FROM 'zaptik: reads the graph of one tenant'
UNION ALL
-- one made before roles said whose they are is known by its schema, or by its tenant
SELECT 'role', rolname FROM pg_roles
WHERE rolname = %(schema_name)s AND shobj_description(oid, 'pg_authid') IS DISTINCT FROM 'zaptik: one tenant'
  AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema_name)s)
  AND NOT EXISTS (SELECT FROM control.tenant WHERE schema_name = %(schema_name)s)

-- name: read_with_roles
-- Of some tenants' schemas, those whose own role and readers' role are there.
SELECT name AS schema_name FROM unnest(%(schema_names)s::text[]) AS s (name)
WHERE to_regrole(name) IS NOT NULL AND to_regrole('reader_' || substr(name, 8)) IS NOT NULL

-- name: read_keys
-- Every key that the deployment had, and how many tenants' data keys each wraps.
SELECT key_id, seen_at, primary_at, dropped_at, age_seconds, tenants FROM control.read_keys()

-- name: register_key
-- Note the id of a key that was made; false when it is known already.
SELECT control.register_key(%(key_id)s::text)

-- name: promote_key
-- Note that a key wraps data keys from now on; false when that is known already.
SELECT control.promote_key(%(key_id)s::text)

-- name: drop_key
-- Drop a key, unless some tenants need it; gives how many.
SELECT control.drop_key(%(key_id)s::text)

-- name: tenants_to_rewrap
-- Tenants whose data key is wrapped by another key than this one.
SELECT control.tenants_to_rewrap(%(key_id)s::text, %(after)s::uuid, %(batch)s::integer)

-- name: rewrap_data_key
-- Put a rewrapped data key in the place of the one that was read, and tell of it; no row where that is another by now.
WITH rewrapped AS (
    UPDATE control.data_key SET key_id = %(key_id)s, wrapped = %(wrapped)s::bytea
    WHERE tenant_id = %(tenant_id)s::uuid AND wrapped = %(before)s::bytea RETURNING tenant_id
)
INSERT INTO control.audit_events (action, tenant_ref, detail)
SELECT %(action)s, tenant_id, %(detail)s::jsonb FROM rewrapped RETURNING action

-- name: forget_runs
-- Let some of a tenant's runs go that ended longer ago than so many days, with the requests that became them.
SELECT runs, requests FROM control.forget_runs(%(tenant_id)s::uuid, %(keep_days)s::integer, %(batch)s::integer)

-- name: note_retention
-- Keep when the turn of retention of the tenant that the transaction names came to its end.
INSERT INTO control.retention AS r (tenant_id) VALUES (%(tenant_id)s::uuid)
ON CONFLICT (tenant_id) DO UPDATE SET done_at = clock_timestamp()

-- name: read_retention_overdue
-- For how long the tenant that waits longest has been past its daily turn of retention.
SELECT control.read_retention_overdue()

-- name: hold_audit_retention
-- Take the lease on letting months of the trail go, or hold it longer; no row when another has it, or it is not due.
UPDATE control.audit_retention
SET holder = %(holder)s, lease_until = clock_timestamp() + %(lease_seconds)s::double precision * interval '1 second'
WHERE (lease_until IS NULL OR lease_until < clock_timestamp() OR holder = %(holder)s)
  AND (%(every_seconds)s::double precision = 0
       OR done_at < clock_timestamp() - %(every_seconds)s::double precision * interval '1 second')
RETURNING holder

-- name: end_audit_retention
-- Give that lease back: it is done for now.
UPDATE control.audit_retention SET holder = NULL, lease_until = NULL, done_at = clock_timestamp()
WHERE holder = %(holder)s

-- name: forget_audit_month
-- Drop the oldest month of the trail whose time is over and which is sealed; no row where there is none.
SELECT coalesce(to_char(month, 'YYYY-MM'), 'rest') AS month, events
FROM control.forget_audit_month(%(keep_months)s::integer)

-- name: read_old_audit_months
-- The months of the trail whose time is over, and whether each is sealed; the oldest first.
SELECT coalesce(to_char(month, 'YYYY-MM'), 'rest') AS month, overdue_seconds, is_sealed
FROM control.read_old_audit_months(%(keep_months)s::integer)

-- name: read_audit_turn
-- For how many seconds months of the trail have been past their daily turn.
SELECT greatest(0, extract(epoch FROM clock_timestamp() - done_at - interval '1 day'))::double precision AS late
FROM control.audit_retention

-- name: read_clock
-- The time by the database.
SELECT clock_timestamp()

-- name: read_offboardings
-- Every tenant that leaves, the first to be deleted first.
SELECT tenant_id, tenant, schema_name, url, reference, requested_at, due_at, begun_at FROM control.read_offboardings()

-- name: add_offboarding
-- Record the request to delete a tenant and let it run no more; no row where it was recorded before.
WITH held AS (
    SELECT tenant_id, state, state_reason FROM control.tenant
    WHERE tenant_id = %(tenant_id)s::uuid AND state <> 'offboarding' FOR UPDATE
), added AS (
    INSERT INTO control.offboarding (tenant_id, reference, requested_at, due_at, state_before, reason_before)
    SELECT tenant_id, %(reference)s, %(requested_at)s::timestamptz, %(due_at)s::timestamptz, state, state_reason
    FROM held RETURNING tenant_id
)
UPDATE control.tenant t SET state = 'offboarding', state_reason = 'its deletion was asked for'
FROM added WHERE t.tenant_id = added.tenant_id RETURNING t.tenant_id

-- name: cancel_offboarding
-- Call off a tenant's deletion that has not begun, and let it be as it was; no row where there is none such.
WITH gone AS (
    DELETE FROM control.offboarding WHERE tenant_id = %(tenant_id)s::uuid AND begun_at IS NULL
    RETURNING tenant_id, reference, state_before, reason_before
)
UPDATE control.tenant t SET state = gone.state_before, state_reason = gone.reason_before,
    next_due_at = CASE WHEN gone.state_before = 'active' THEN clock_timestamp() ELSE t.next_due_at END
FROM gone WHERE t.tenant_id = gone.tenant_id RETURNING gone.reference

-- name: cancel_live_run
-- Cancel the run of a tenant that waits or is under way.
SELECT control.cancel_run(run_id) FROM control.run
WHERE tenant_id = %(tenant_id)s::uuid AND state IN ('requested', 'running')

-- name: begin_deletion
-- Mark that a tenant's deletion has begun, from where there is no way back; no row where this request is there no more.
WITH held AS (
    SELECT tenant_id, begun_at FROM control.offboarding
    WHERE tenant_id = %(tenant_id)s::uuid AND reference = %(reference)s
      AND requested_at = %(requested_at)s::timestamptz FOR UPDATE
)
UPDATE control.offboarding o SET begun_at = coalesce(o.begun_at, clock_timestamp())
FROM held WHERE o.tenant_id = held.tenant_id RETURNING held.begun_at IS NULL AS is_new

-- name: shred_tenant
-- Delete a tenant's credentials and data key, without which nothing of it opens, and add to the count of them.
WITH credential AS (
    DELETE FROM control.credential WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
), data_key AS (
    DELETE FROM control.data_key WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
)
UPDATE control.offboarding SET gone = jsonb_build_object(
    'credential', coalesce((gone ->> 'credential')::bigint, 0) + (SELECT count(*) FROM credential),
    'data_key', coalesce((gone ->> 'data_key')::bigint, 0) + (SELECT count(*) FROM data_key))
WHERE tenant_id = %(tenant_id)s::uuid RETURNING gone

-- name: hold_deletion
-- Hold a deletion that has begun, so that nobody else does it too; no row where it is done.
SELECT tenant_id FROM control.offboarding
WHERE tenant_id = %(tenant_id)s::uuid AND begun_at IS NOT NULL FOR UPDATE

-- name: hold_tenant
-- Hold a tenant's row, so that nothing more is added that refers to it.
SELECT tenant_id FROM control.tenant WHERE tenant_id = %(tenant_id)s::uuid FOR UPDATE

-- name: read_run_ids
-- The ids of all runs of a tenant.
SELECT run_id FROM control.run WHERE tenant_id = %(tenant_id)s::uuid

-- name: read_tenant_tables
-- The tables of a tenant's schema.
SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema_name)s AND c.relkind IN ('r', 'p') ORDER BY 1

-- name: delete_tenant
-- Delete every row of a tenant in `control`, and give how many of each there were; audit events stay.
WITH sync_request AS (
    DELETE FROM control.sync_request WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
), run AS (
    DELETE FROM control.run WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
), instance_pace AS (
    DELETE FROM control.instance_pace WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
), instance_breaker AS (
    DELETE FROM control.instance_breaker WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
), retention AS (
    DELETE FROM control.retention WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
), credential AS (
    DELETE FROM control.credential WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
), data_key AS (
    DELETE FROM control.data_key WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
), offboarding AS (
    DELETE FROM control.offboarding WHERE tenant_id = %(tenant_id)s::uuid RETURNING gone
), tenant AS (
    DELETE FROM control.tenant WHERE tenant_id = %(tenant_id)s::uuid RETURNING 1
)
SELECT jsonb_build_object(
    'credential', (SELECT (gone ->> 'credential')::bigint FROM offboarding) + (SELECT count(*) FROM credential),
    'data_key', (SELECT (gone ->> 'data_key')::bigint FROM offboarding) + (SELECT count(*) FROM data_key),
    'sync_request', (SELECT count(*) FROM sync_request), 'run', (SELECT count(*) FROM run),
    'instance_pace', (SELECT count(*) FROM instance_pace),
    'instance_breaker', (SELECT count(*) FROM instance_breaker), 'retention', (SELECT count(*) FROM retention),
    'offboarding', (SELECT count(*) FROM offboarding), 'tenant', (SELECT count(*) FROM tenant)) AS gone,
    clock_timestamp() AS deleted_at

-- name: read_role
-- Whether a role is there.
SELECT to_regrole(%(role)s::text) IS NOT NULL

-- name: make_audit_months
-- Make the audit trail's months ahead; gives how many in a row are there after the current one.
SELECT control.make_audit_months(%(ahead)s::integer)

-- name: read_audit_partitions
-- Each partition of the audit trail, with where its sealing stands and how many events are not sealed.
SELECT part AS bound, after_id, last_xid, last_id, highest_id, went_back, unsealed, oldest_unsealed
FROM control.read_audit_partitions(%(most_counted)s::integer)

-- name: count_audit
-- Every event of the trail, counted by the table that holds it, and those that no check reads.
SELECT name, part, events, unsealed, lowest, highest FROM control.count_audit(%(upto_segment)s::bigint)

-- name: read_audit_drops
-- What was told of months of the trail that were dropped, by whom the app's login cannot be; the newest first.
SELECT occurred_us, detail FROM control.read_audit_drops(%(batch)s::integer)

-- name: read_audit
-- The next events of a partition, in the order of the trail.
SELECT audit_id, occurred_us, xid, actor, caller, action, tenant_ref, run_id, detail
FROM control.read_audit(%(bound)s::text, %(above_id)s::bigint, %(upto_id)s::bigint, %(after_xid)s::text,
                        %(after_id)s::bigint, %(settled)s::boolean, %(batch)s::integer)

-- name: read_audit_checkpoints
-- The chain's checkpoints after a segment; the newest alone where none is given.
SELECT segment, bound, after_id, last_xid, last_id, highest_id, events, first_us, last_us, sealed_us, entries, previous,
       key_id, digest, signature, upto_id, before_xid, before_id
FROM control.read_audit_checkpoints(%(after_segment)s::bigint, %(batch)s::integer)

-- name: hold_audit_lease
-- Be the one who seals; false while another is.
SELECT control.hold_audit_lease(%(holder)s::text, %(lease_seconds)s::double precision)

-- name: add_audit_checkpoint
-- Add the chain's next checkpoint; false where the lease is another's or the chain has grown.
SELECT control.add_audit_checkpoint(%(holder)s::text, %(checkpoint)s::jsonb)

-- name: tell_audit_act
-- Write the audit event of an act with the trail itself.
SELECT control.tell_audit_act(%(action)s::text, %(detail)s::jsonb)

-- name: read_audit_tail
-- The newest audit events, of a tenant, a run or an action where one is given.
SELECT audit_id, occurred_at, actor, caller, action, tenant_ref, run_id, detail
FROM control.read_audit_tail(%(tenant_id)s::uuid, %(run)s::uuid, %(action)s::text, %(limit)s::integer)

-- name: read_name
-- The name of a tenant by its reference; no row where it is not there.
SELECT name FROM control.tenant WHERE tenant_id = %(tenant_id)s::uuid

-- name: read_sampled
-- Tables of `control` and of the catalogue whose statistics hold one of these words.
SELECT DISTINCT schemaname::text AS schema_name, tablename::text AS table_name FROM pg_stats s
WHERE schemaname IN ('control', 'pg_catalog')
  AND EXISTS (SELECT FROM unnest(%(words)s::text[]) AS w (word) WHERE strpos(s::text, w.word) > 0)
ORDER BY 1, 2

-- name: hold_isolation_check
-- Take the turn to try the tenants' boundary: the next tenants, none when another has it, or it is not due.
SELECT tenant_id, schema_name
FROM control.hold_isolation_check(%(holder)s::text, %(lease_seconds)s::double precision,
                                  %(every_seconds)s::double precision, %(batch)s::integer)

-- name: end_isolation_check
-- Give the turn back, with what was found.
SELECT control.end_isolation_check(%(holder)s::text, %(last)s::uuid, %(held)s::integer, %(reached)s::integer,
                                   %(failed)s::integer) AS ended

-- name: read_isolation_check
-- When the tenants' boundary was last tried, and when a tenant was last read as another.
SELECT checked_at, reached_at FROM control.read_isolation_check()

-- name: sees_tenant
-- A tenant's row in `control`, for who sees it.
SELECT tenant_id FROM control.tenant WHERE tenant_id = %(tenant_id)s

-- name: read_protection
-- What the server says of its own protection: TLS, checksums, how passwords are kept.
SELECT current_setting('server_version') AS version, current_setting('ssl') = 'on' AS tls_offered,
       current_setting('ssl_min_protocol_version') AS tls_least,
       (SELECT s.version FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()) AS tls_used,
       current_setting('data_checksums') = 'on' AS data_checksums,
       current_setting('password_encryption') AS password_encryption
