-- Written by `python -m ops.snapshot` from a fresh schema: what holds the tenants' boundary, a statement a line.
-- `migrate` and every process compare the database with it; a line that begins with -- is compared alone.

-- FUNCTION {tenant}.check_node(wanted text) has the body 16a4191a1269cc95f9ab5440c9e8495e
-- FUNCTION {tenant}.check_revision(wanted bigint) has the body 11fe19521da328bed16c4ce1ca4275a7
-- FUNCTION {tenant}.forget_revisions(keep_days integer) has the body b26715606d86dd64405834b0646a22b8
-- FUNCTION {tenant}.graph_v1_affected(node_id text) has the body ca5079e0c7cc81420256609da36d7ca5
-- FUNCTION {tenant}.graph_v1_diff(from_revision bigint, to_revision bigint) has the body e16e0ff293737d4683e039bbdbbd4721
-- FUNCTION {tenant}.graph_v1_edges_at(revision bigint) has the body fa1198bc8e4560c2576e90dde35f63a2
-- FUNCTION {tenant}.graph_v1_findings_at(revision bigint) has the body dfdd3f7ed0a0248a984ba370480009be
-- FUNCTION {tenant}.graph_v1_neighbours(node_id text) has the body 9a4898c40ff31e01ce886842d9727efe
-- FUNCTION {tenant}.graph_v1_nodes_at(revision bigint) has the body f2e14b8f7232da9d0b074d9d8a47d9bd
-- FUNCTION {tenant}.graph_v1_routes(node_id text) has the body 2df41f455d49fd3a7bd127932bde724b
-- FUNCTION {tenant}.keep_revision() has the body 4868834c7080461734dc889e49c62e15
-- FUNCTION {tenant}.prune_history(batch integer) has the body 992f28f05f5941d615fd2f353f247a4b
ALTER FUNCTION {tenant}.check_node(wanted text) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.check_node(wanted text) SECURITY INVOKER
ALTER FUNCTION {tenant}.check_node(wanted text) SET search_path TO ''
ALTER FUNCTION {tenant}.check_revision(wanted bigint) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.check_revision(wanted bigint) SECURITY INVOKER
ALTER FUNCTION {tenant}.check_revision(wanted bigint) SET search_path TO ''
ALTER FUNCTION {tenant}.forget_revisions(keep_days integer) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.forget_revisions(keep_days integer) SECURITY DEFINER
ALTER FUNCTION {tenant}.forget_revisions(keep_days integer) SET search_path TO ''
ALTER FUNCTION {tenant}.graph_v1_affected(node_id text) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.graph_v1_affected(node_id text) SECURITY INVOKER
ALTER FUNCTION {tenant}.graph_v1_diff(from_revision bigint, to_revision bigint) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.graph_v1_diff(from_revision bigint, to_revision bigint) SECURITY INVOKER
ALTER FUNCTION {tenant}.graph_v1_edges_at(revision bigint) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.graph_v1_edges_at(revision bigint) SECURITY INVOKER
ALTER FUNCTION {tenant}.graph_v1_findings_at(revision bigint) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.graph_v1_findings_at(revision bigint) SECURITY INVOKER
ALTER FUNCTION {tenant}.graph_v1_neighbours(node_id text) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.graph_v1_neighbours(node_id text) SECURITY INVOKER
ALTER FUNCTION {tenant}.graph_v1_nodes_at(revision bigint) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.graph_v1_nodes_at(revision bigint) SECURITY INVOKER
ALTER FUNCTION {tenant}.graph_v1_routes(node_id text) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.graph_v1_routes(node_id text) SECURITY INVOKER
ALTER FUNCTION {tenant}.keep_revision() OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.keep_revision() SECURITY INVOKER
ALTER FUNCTION {tenant}.keep_revision() SET search_path TO ''
ALTER FUNCTION {tenant}.prune_history(batch integer) OWNER TO zaptik_owner
ALTER FUNCTION {tenant}.prune_history(batch integer) SECURITY DEFINER
ALTER FUNCTION {tenant}.prune_history(batch integer) SET search_path TO ''
ALTER ROLE {reader} NOLOGIN INHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION
ALTER ROLE {tenant} NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION
ALTER SCHEMA {tenant} OWNER TO zaptik_owner
ALTER TABLE {tenant}.described ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.described FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.described OWNER TO zaptik_owner
ALTER TABLE {tenant}.edge ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.edge FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.edge OWNER TO zaptik_owner
ALTER TABLE {tenant}.edge_history ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.edge_history FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.edge_history OWNER TO zaptik_owner
ALTER TABLE {tenant}.feed ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.feed FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.feed OWNER TO zaptik_owner
ALTER TABLE {tenant}.finding ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.finding FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.finding OWNER TO zaptik_owner
ALTER TABLE {tenant}.finding_basis ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.finding_basis FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.finding_basis OWNER TO zaptik_owner
ALTER TABLE {tenant}.finding_history ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.finding_history FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.finding_history OWNER TO zaptik_owner
ALTER TABLE {tenant}.gone ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.gone FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.gone OWNER TO zaptik_owner
ALTER TABLE {tenant}.isolation_canary ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.isolation_canary FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.isolation_canary OWNER TO zaptik_owner
ALTER TABLE {tenant}.missing ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.missing FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.missing OWNER TO zaptik_owner
ALTER TABLE {tenant}.node ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.node FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.node OWNER TO zaptik_owner
ALTER TABLE {tenant}.node_history ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.node_history FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.node_history OWNER TO zaptik_owner
ALTER TABLE {tenant}.record ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.record FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.record OWNER TO zaptik_owner
ALTER TABLE {tenant}.reference ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.reference FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.reference OWNER TO zaptik_owner
ALTER TABLE {tenant}.retention ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.retention FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.retention OWNER TO zaptik_owner
ALTER TABLE {tenant}.revision ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.revision ENABLE TRIGGER revision_stays
ALTER TABLE {tenant}.revision FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.revision OWNER TO zaptik_owner
ALTER TABLE {tenant}.schema_version ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.schema_version FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.schema_version OWNER TO zaptik_owner
ALTER TABLE {tenant}.staged_page ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.staged_page FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.staged_page OWNER TO zaptik_owner
ALTER TABLE {tenant}.table_read ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.table_read FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.table_read OWNER TO zaptik_owner
ALTER TABLE {tenant}.table_state ENABLE ROW LEVEL SECURITY
ALTER TABLE {tenant}.table_state FORCE ROW LEVEL SECURITY
ALTER TABLE {tenant}.table_state OWNER TO zaptik_owner
ALTER VIEW {tenant}.graph_v1_edges OWNER TO zaptik_owner
ALTER VIEW {tenant}.graph_v1_edges SET (security_invoker=true)
ALTER VIEW {tenant}.graph_v1_feed OWNER TO zaptik_owner
ALTER VIEW {tenant}.graph_v1_feed SET (security_invoker=true)
ALTER VIEW {tenant}.graph_v1_findings OWNER TO zaptik_owner
ALTER VIEW {tenant}.graph_v1_findings SET (security_invoker=true)
ALTER VIEW {tenant}.graph_v1_nodes OWNER TO zaptik_owner
ALTER VIEW {tenant}.graph_v1_nodes SET (security_invoker=true)
ALTER VIEW {tenant}.graph_v1_revisions OWNER TO zaptik_owner
ALTER VIEW {tenant}.graph_v1_revisions SET (security_invoker=true)
ALTER VIEW {tenant}.graph_v1_tables OWNER TO zaptik_owner
ALTER VIEW {tenant}.graph_v1_tables SET (security_invoker=true)
ALTER VIEW {tenant}.routing_move OWNER TO zaptik_owner
ALTER VIEW {tenant}.routing_move SET (security_invoker=true)
ALTER VIEW {tenant}.routing_step OWNER TO zaptik_owner
ALTER VIEW {tenant}.routing_step SET (security_invoker=true)
CREATE POLICY owner ON {tenant}.schema_version TO zaptik_owner USING (true)
CREATE POLICY reader ON {tenant}.edge FOR SELECT TO {reader} USING (true)
CREATE POLICY reader ON {tenant}.edge_history FOR SELECT TO {reader} USING (true)
CREATE POLICY reader ON {tenant}.feed FOR SELECT TO {reader} USING (true)
CREATE POLICY reader ON {tenant}.finding FOR SELECT TO {reader} USING (true)
CREATE POLICY reader ON {tenant}.finding_history FOR SELECT TO {reader} USING (true)
CREATE POLICY reader ON {tenant}.node FOR SELECT TO {reader} USING (true)
CREATE POLICY reader ON {tenant}.node_history FOR SELECT TO {reader} USING (true)
CREATE POLICY reader ON {tenant}.reference FOR SELECT TO {reader} USING (true)
CREATE POLICY reader ON {tenant}.revision FOR SELECT TO {reader} USING ((state = 'published'::text))
CREATE POLICY reader ON {tenant}.table_read FOR SELECT TO {reader} USING ((run_id IN ( SELECT unnest(ARRAY[r.run_id, r.checked_run_id]) AS unnest FROM {tenant}.revision r WHERE (r.state = 'published'::text))))
CREATE POLICY retention ON {tenant}.edge_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = '{tenant}'::text) AND (until <= ( SELECT min(f.revision) AS min FROM {tenant}.feed f))))
CREATE POLICY retention ON {tenant}.feed FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = '{tenant}'::text) AND (published_at < (clock_timestamp() - '364 days'::interval))))
CREATE POLICY retention ON {tenant}.finding_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = '{tenant}'::text) AND (until <= ( SELECT min(f.revision) AS min FROM {tenant}.feed f))))
CREATE POLICY retention ON {tenant}.node_history FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = '{tenant}'::text) AND (until <= ( SELECT min(f.revision) AS min FROM {tenant}.feed f))))
CREATE POLICY retention ON {tenant}.revision FOR DELETE TO zaptik_owner USING (((current_setting('role'::text) = '{tenant}'::text) AND (state <> 'quarantined'::text) AND (published_at < (clock_timestamp() - '364 days'::interval))))
CREATE POLICY retention_sees ON {tenant}.edge_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = '{tenant}'::text) AND (until <= ( SELECT min(f.revision) AS min FROM {tenant}.feed f))))
CREATE POLICY retention_sees ON {tenant}.feed FOR SELECT TO zaptik_owner USING ((current_setting('role'::text) = '{tenant}'::text))
CREATE POLICY retention_sees ON {tenant}.finding_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = '{tenant}'::text) AND (until <= ( SELECT min(f.revision) AS min FROM {tenant}.feed f))))
CREATE POLICY retention_sees ON {tenant}.node_history FOR SELECT TO zaptik_owner USING (((current_setting('role'::text) = '{tenant}'::text) AND (until <= ( SELECT min(f.revision) AS min FROM {tenant}.feed f))))
CREATE POLICY retention_sees ON {tenant}.revision FOR SELECT TO zaptik_owner USING ((current_setting('role'::text) = '{tenant}'::text))
CREATE POLICY tenant ON {tenant}.described TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.edge TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.edge_history TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.feed TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.finding TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.finding_basis TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.finding_history TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.gone TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.isolation_canary FOR SELECT TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.missing TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.node TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.node_history TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.record TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.reference FOR SELECT TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.retention TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.revision TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.schema_version TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.staged_page TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.table_read TO {tenant} USING (true)
CREATE POLICY tenant ON {tenant}.table_state TO {tenant} USING (true)
CREATE TRIGGER revision_stays BEFORE INSERT OR UPDATE ON {tenant}.revision FOR EACH ROW EXECUTE FUNCTION {tenant}.keep_revision()
GRANT DELETE ON TABLE {tenant}.described TO {tenant}
GRANT DELETE ON TABLE {tenant}.edge TO {tenant}
GRANT DELETE ON TABLE {tenant}.finding TO {tenant}
GRANT DELETE ON TABLE {tenant}.finding_basis TO {tenant}
GRANT DELETE ON TABLE {tenant}.gone TO {tenant}
GRANT DELETE ON TABLE {tenant}.missing TO {tenant}
GRANT DELETE ON TABLE {tenant}.node TO {tenant}
GRANT DELETE ON TABLE {tenant}.record TO {tenant}
GRANT DELETE ON TABLE {tenant}.staged_page TO {tenant}
GRANT DELETE ON TABLE {tenant}.table_read TO {tenant}
GRANT DELETE ON TABLE {tenant}.table_state TO {tenant}
GRANT EXECUTE ON FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) TO {tenant}
GRANT EXECUTE ON FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) TO {tenant}
GRANT EXECUTE ON FUNCTION control.request_sync(tenant text, sync_mode text) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.check_node(wanted text) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.check_node(wanted text) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.check_revision(wanted bigint) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.check_revision(wanted bigint) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.forget_revisions(keep_days integer) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_affected(node_id text) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_affected(node_id text) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_diff(from_revision bigint, to_revision bigint) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_diff(from_revision bigint, to_revision bigint) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_edges_at(revision bigint) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_edges_at(revision bigint) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_findings_at(revision bigint) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_findings_at(revision bigint) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_neighbours(node_id text) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_neighbours(node_id text) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_nodes_at(revision bigint) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_nodes_at(revision bigint) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_routes(node_id text) TO {reader}
GRANT EXECUTE ON FUNCTION {tenant}.graph_v1_routes(node_id text) TO {tenant}
GRANT EXECUTE ON FUNCTION {tenant}.prune_history(batch integer) TO {tenant}
GRANT INSERT ON TABLE {tenant}.described TO {tenant}
GRANT INSERT ON TABLE {tenant}.edge TO {tenant}
GRANT INSERT ON TABLE {tenant}.edge_history TO {tenant}
GRANT INSERT ON TABLE {tenant}.feed TO {tenant}
GRANT INSERT ON TABLE {tenant}.finding TO {tenant}
GRANT INSERT ON TABLE {tenant}.finding_basis TO {tenant}
GRANT INSERT ON TABLE {tenant}.finding_history TO {tenant}
GRANT INSERT ON TABLE {tenant}.gone TO {tenant}
GRANT INSERT ON TABLE {tenant}.missing TO {tenant}
GRANT INSERT ON TABLE {tenant}.node TO {tenant}
GRANT INSERT ON TABLE {tenant}.node_history TO {tenant}
GRANT INSERT ON TABLE {tenant}.record TO {tenant}
GRANT INSERT ON TABLE {tenant}.revision TO {tenant}
GRANT INSERT ON TABLE {tenant}.staged_page TO {tenant}
GRANT INSERT ON TABLE {tenant}.table_read TO {tenant}
GRANT INSERT ON TABLE {tenant}.table_state TO {tenant}
GRANT SELECT (added) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (as_of) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (as_of) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT (changed) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (checked_as_of) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (checked_complete_as_of) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (checked_run_id) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (complete_as_of) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (digest) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (edges) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (hidden) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT (known) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT (nodes) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (published_at) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (read) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT (reason) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT (removed) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (revision) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (rows) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT (run_id) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (run_id) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT (state) ON TABLE {tenant}.revision TO {reader}
GRANT SELECT (table_name) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT (verdict) ON TABLE {tenant}.table_read TO {reader}
GRANT SELECT ON TABLE {tenant}.described TO {tenant}
GRANT SELECT ON TABLE {tenant}.edge TO {reader}
GRANT SELECT ON TABLE {tenant}.edge TO {tenant}
GRANT SELECT ON TABLE {tenant}.edge_history TO {reader}
GRANT SELECT ON TABLE {tenant}.edge_history TO {tenant}
GRANT SELECT ON TABLE {tenant}.feed TO {reader}
GRANT SELECT ON TABLE {tenant}.feed TO {tenant}
GRANT SELECT ON TABLE {tenant}.finding TO {reader}
GRANT SELECT ON TABLE {tenant}.finding TO {tenant}
GRANT SELECT ON TABLE {tenant}.finding_basis TO {tenant}
GRANT SELECT ON TABLE {tenant}.finding_history TO {reader}
GRANT SELECT ON TABLE {tenant}.finding_history TO {tenant}
GRANT SELECT ON TABLE {tenant}.gone TO {tenant}
GRANT SELECT ON TABLE {tenant}.graph_v1_edges TO {reader}
GRANT SELECT ON TABLE {tenant}.graph_v1_edges TO {tenant}
GRANT SELECT ON TABLE {tenant}.graph_v1_feed TO {reader}
GRANT SELECT ON TABLE {tenant}.graph_v1_feed TO {tenant}
GRANT SELECT ON TABLE {tenant}.graph_v1_findings TO {reader}
GRANT SELECT ON TABLE {tenant}.graph_v1_findings TO {tenant}
GRANT SELECT ON TABLE {tenant}.graph_v1_nodes TO {reader}
GRANT SELECT ON TABLE {tenant}.graph_v1_nodes TO {tenant}
GRANT SELECT ON TABLE {tenant}.graph_v1_revisions TO {reader}
GRANT SELECT ON TABLE {tenant}.graph_v1_revisions TO {tenant}
GRANT SELECT ON TABLE {tenant}.graph_v1_tables TO {reader}
GRANT SELECT ON TABLE {tenant}.graph_v1_tables TO {tenant}
GRANT SELECT ON TABLE {tenant}.isolation_canary TO {tenant}
GRANT SELECT ON TABLE {tenant}.missing TO {tenant}
GRANT SELECT ON TABLE {tenant}.node TO {reader}
GRANT SELECT ON TABLE {tenant}.node TO {tenant}
GRANT SELECT ON TABLE {tenant}.node_history TO {reader}
GRANT SELECT ON TABLE {tenant}.node_history TO {tenant}
GRANT SELECT ON TABLE {tenant}.record TO {tenant}
GRANT SELECT ON TABLE {tenant}.reference TO {reader}
GRANT SELECT ON TABLE {tenant}.reference TO {tenant}
GRANT SELECT ON TABLE {tenant}.retention TO {tenant}
GRANT SELECT ON TABLE {tenant}.revision TO {tenant}
GRANT SELECT ON TABLE {tenant}.routing_move TO {reader}
GRANT SELECT ON TABLE {tenant}.routing_move TO {tenant}
GRANT SELECT ON TABLE {tenant}.routing_step TO {reader}
GRANT SELECT ON TABLE {tenant}.routing_step TO {tenant}
GRANT SELECT ON TABLE {tenant}.schema_version TO {tenant}
GRANT SELECT ON TABLE {tenant}.staged_page TO {tenant}
GRANT SELECT ON TABLE {tenant}.table_read TO {tenant}
GRANT SELECT ON TABLE {tenant}.table_state TO {tenant}
GRANT UPDATE (checked_as_of) ON TABLE {tenant}.revision TO {tenant}
GRANT UPDATE (checked_complete_as_of) ON TABLE {tenant}.revision TO {tenant}
GRANT UPDATE (checked_run_id) ON TABLE {tenant}.revision TO {tenant}
GRANT UPDATE (done_at) ON TABLE {tenant}.retention TO {tenant}
GRANT UPDATE (holder) ON TABLE {tenant}.retention TO {tenant}
GRANT UPDATE (lease_until) ON TABLE {tenant}.retention TO {tenant}
GRANT UPDATE (state) ON TABLE {tenant}.revision TO {tenant}
GRANT UPDATE ON TABLE {tenant}.described TO {tenant}
GRANT UPDATE ON TABLE {tenant}.edge TO {tenant}
GRANT UPDATE ON TABLE {tenant}.finding TO {tenant}
GRANT UPDATE ON TABLE {tenant}.finding_basis TO {tenant}
GRANT UPDATE ON TABLE {tenant}.gone TO {tenant}
GRANT UPDATE ON TABLE {tenant}.missing TO {tenant}
GRANT UPDATE ON TABLE {tenant}.node TO {tenant}
GRANT UPDATE ON TABLE {tenant}.record TO {tenant}
GRANT UPDATE ON TABLE {tenant}.staged_page TO {tenant}
GRANT UPDATE ON TABLE {tenant}.table_read TO {tenant}
GRANT UPDATE ON TABLE {tenant}.table_state TO {tenant}
GRANT USAGE ON SCHEMA control TO {reader}
GRANT USAGE ON SCHEMA control TO {tenant}
GRANT USAGE ON SCHEMA {tenant} TO {reader}
GRANT USAGE ON SCHEMA {tenant} TO {tenant}
GRANT {tenant} TO zaptik_app
