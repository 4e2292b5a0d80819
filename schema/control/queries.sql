-- name: claim_due_tenants
-- Request a run for each tenant whose turn has come.
SELECT run_id, tenant_id FROM control.claim_due_tenants(%(batch)s::integer)

-- name: fold_requests
-- Turn what was asked for into runs.
SELECT run_id, tenant_id FROM control.fold_requests(%(batch)s::integer)

-- name: rescue_runs
-- Offer again the runs whose lease ran out.
SELECT run_id, tenant_id, gave_up, worker FROM control.rescue_runs(%(max_attempts)s::integer)

-- name: runs_to_ring
-- The runs to ring for: new, due again, or rung too long ago without an answer.
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

-- name: release_run
-- End a slice that did not publish.
SELECT control.release_run(%(run)s::uuid, %(fence)s::bigint, %(ending)s::text, %(wait_seconds)s::double precision,
                           %(failure)s::jsonb)

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
       staleness_seconds, waiting_seconds, last_error
FROM control.read_fleet()

-- name: count_runs
-- How many runs are in each state, and how many requests are not yet a run ("asked").
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
WHERE tenant_id = %(tenant_id)s::uuid

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
SELECT name, schema_name FROM control.tenant ORDER BY name

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
-- Privileges of PUBLIC that `migrate` took away and that are there again.
SELECT 'TEMPORARY on the database' AS door
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'TEMPORARY'
UNION ALL
SELECT 'CREATE on schema public' FROM pg_namespace n, aclexplode(n.nspacl) a
WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE'
UNION ALL
SELECT 'USAGE on language ' || l.lanname
FROM pg_language l, aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) a
WHERE l.lanname IN ('sql', 'plpgsql') AND a.grantee = 0
UNION ALL
SELECT 'EXECUTE on ' || p.oid::regprocedure::text
FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND a.grantee = 0
  AND (p.proname IN ('set_config', 'ts_stat', 'lo_creat', 'lo_create', 'lo_from_bytea', 'pg_logical_emit_message')
       OR p.proname ~ '^((query|table|schema|database|cursor)_to_xml|pg_(try_)?advisory_(xact_)?lock)'
       OR (p.proname = 'ts_rewrite' AND p.pronargs = 2))
ORDER BY 1

-- name: read_foreign_role
-- The role of a tenant's readers, where somebody else made one of that name.
SELECT rolname FROM pg_roles
WHERE rolname = %(role)s
  AND shobj_description(oid, 'pg_authid') IS DISTINCT FROM 'zaptik: reads the graph of one tenant'

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
