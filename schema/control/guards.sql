-- Written by `python -m ops.snapshot` from a fresh schema: what holds the tenants' boundary, a statement a line.
-- `migrate` and every process compare the database with it; a line that begins with -- is compared alone.

-- FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) has the body 0b1b1968d257390622ae01ea323ca5ef
-- FUNCTION control.breaker_pause(failures integer) has the body 00b92f466aa12282084981ede85b7f3a
-- FUNCTION control.cancel_run(run uuid) has the body 9c3b458de4b87dd18f877be53280c8c1
-- FUNCTION control.check_move() has the body 509f898f7a8b035d8f98143f96b133b9
-- FUNCTION control.check_no_tenant() has the body bfd702568c1e50c882b4a8727e3c8a76
-- FUNCTION control.check_offboarding() has the body 0e3b6a34ffbcdd0606f99e262d93e112
-- FUNCTION control.check_one_tenant(reached uuid) has the body 9aa285c5a86d594d5e047d3bad0cfcf1
-- FUNCTION control.claim_due_tenants(batch integer) has the body f04a9a72d24216d57525096d99704580
-- FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) has the body 6bc6c8954cda015bc204c0786939a1d8
-- FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) has the body 96378bf4d6abee5e3fc99002887f0f5a
-- FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) has the body 99f5b33d8a2d50af149cefa383e52df5
-- FUNCTION control.count_audit(upto_segment bigint) has the body 181c476c48879e69a5b9ffd4d2318a35
-- FUNCTION control.count_runs() has the body 5e80d6780dedf949f82acc85fe51803e
-- FUNCTION control.drop_audit_month(keep_months integer, at timestamp with time zone) has the body 1f45b32f6842ef316c28b44969c14721
-- FUNCTION control.drop_key(key text) has the body 8f669fe67e4bf7dfa53fba630d79fbd8
-- FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) has the body ad482b21d45062e9fb029a0f1d7d1262
-- FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) has the body 343e8de8ce38d3f607403b427e972637
-- FUNCTION control.find_audit_frontier(of_part text, upto_segment bigint) has the body 07e9b1e10b5bcfb7158255d4c493e753
-- FUNCTION control.find_tenant(tenant text) has the body 994a47ba9b0da4f79a9561ef3fe8a6d4
-- FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) has the body f8e6568b452db9544043acd81f06400d
-- FUNCTION control.fold_requests(batch integer) has the body b96335ca1c9a80f6109ea0ff4ebb28f2
-- FUNCTION control.forget_audit_month(keep_months integer) has the body 2a48c04a65396bb5760d71b0d906cdcb
-- FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) has the body 0eddeb468cbff0a1e95c75af0a7eac31
-- FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) has the body 29b7760b51621f76fdf036c3446224ac
-- FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) has the body 6fd772eda362f211ad2ca642637084ae
-- FUNCTION control.hold_key() has the body 32da3f5304ad90b61362e626f237ce5e
-- FUNCTION control.is_month_sealed(month date) has the body e492335a05a3e44d626d354da1f824f7
-- FUNCTION control.keys_in_use() has the body 5d1186c4f4e27f90e7c870456ca04cd5
-- FUNCTION control.list_audit_partitions() has the body a6f5552e4ba57228c2afa883f4dd1a72
-- FUNCTION control.list_old_audit_months(keep_months integer, at timestamp with time zone) has the body 447a0671eb5edcf230d1d9684307430b
-- FUNCTION control.make_audit_months(ahead integer) has the body b568f17810a446ed94d890120e0277d5
-- FUNCTION control.make_audit_partition(bound text) has the body c9dede7f52b7fcd08ff4c810a39240f5
-- FUNCTION control.pass_audit_checkpoint(of_segment bigint) has the body 18d74b8ce74d29117aeccfd5689c09c6
-- FUNCTION control.promote_key(key text) has the body feb89275121ad9614a3db621bb63618e
-- FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) has the body 514a9c1ac67e6361eb82bf88f00006af
-- FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) has the body 8742c826b8487e3d192ae4c1a240b04c
-- FUNCTION control.read_audit_drops(batch integer) has the body c955d87a086ff37f138c999386e917f9
-- FUNCTION control.read_audit_partitions(most_counted integer) has the body 10685e715f114573309efab87c41602e
-- FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) has the body 74cdc807089b7b6052bd35156a33d963
-- FUNCTION control.read_fleet() has the body c2f004ffcc785c2ef8856fb9bada6fdc
-- FUNCTION control.read_isolation_check() has the body 75b60a136e662960c7f0108fa470791c
-- FUNCTION control.read_keys() has the body 229b7cb484e2269f1fc59fea1c9ab49b
-- FUNCTION control.read_offboardings() has the body 1ed9ee4af90f4c06d7d57576fc78b9b0
-- FUNCTION control.read_old_audit_months(keep_months integer) has the body 2b94704e05e36a8143c205e38a9f18b8
-- FUNCTION control.read_retention_overdue() has the body e15ac97a15929e6955dc86fd12e53c36
-- FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) has the body ac6332945c2f2c193b2c32bcbb4e4d4b
-- FUNCTION control.refuse_change() has the body 5befb533fd1496055e2c4d0813e343de
-- FUNCTION control.register_key(key text) has the body 29786207b341f9062c208d2725d50f4b
-- FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) has the body 646439c88449fcef7af373653b780c56
-- FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) has the body a189fc029afb4e07f4fd166cb9a99cdb
-- FUNCTION control.request_sync(tenant text, sync_mode text) has the body 1d7146d74b2254944b76072474bfce4b
-- FUNCTION control.rescue_runs(max_attempts integer) has the body d5e86f9853090574cd8e233143b2ee66
-- FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) has the body 1a81093584e070af16625cb372e6fc38
-- FUNCTION control.tell_audit_act(act text, detail jsonb) has the body 9aba21b0e953735c694f3b4b8fdaef14
-- FUNCTION control.tell_request() has the body 9229231cb97642d0a8e7373b395467f2
-- FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) has the body 0612927d870e77387cc3c86a1652d30c
-- FUNCTION public.zaptik_keep_policies() has the body 7f119d1d312f73cf78af3b1848f41dc7
-- VIEW control.request_v1 has the body f499b28c0b2ab89d973e72405e8ef3dd
ALTER DEFAULT PRIVILEGES FOR ROLE zaptik_fleet REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC
ALTER DEFAULT PRIVILEGES FOR ROLE zaptik_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC
ALTER EVENT TRIGGER zaptik_keep_policies ENABLE ALWAYS
ALTER FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) OWNER TO zaptik_fleet
ALTER FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) SECURITY DEFINER
ALTER FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) SET enable_sort TO off
ALTER FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) SET jit TO off
ALTER FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) SET search_path TO ''
ALTER FUNCTION control.breaker_pause(failures integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.breaker_pause(failures integer) SECURITY INVOKER
ALTER FUNCTION control.breaker_pause(failures integer) SET search_path TO ''
ALTER FUNCTION control.cancel_run(run uuid) OWNER TO zaptik_fleet
ALTER FUNCTION control.cancel_run(run uuid) SECURITY DEFINER
ALTER FUNCTION control.cancel_run(run uuid) SET search_path TO ''
ALTER FUNCTION control.check_move() OWNER TO zaptik_owner
ALTER FUNCTION control.check_move() SECURITY INVOKER
ALTER FUNCTION control.check_move() SET search_path TO ''
ALTER FUNCTION control.check_no_tenant() OWNER TO zaptik_fleet
ALTER FUNCTION control.check_no_tenant() SECURITY INVOKER
ALTER FUNCTION control.check_no_tenant() SET search_path TO ''
ALTER FUNCTION control.check_offboarding() OWNER TO zaptik_owner
ALTER FUNCTION control.check_offboarding() SECURITY INVOKER
ALTER FUNCTION control.check_offboarding() SET search_path TO ''
ALTER FUNCTION control.check_one_tenant(reached uuid) OWNER TO zaptik_fleet
ALTER FUNCTION control.check_one_tenant(reached uuid) SECURITY INVOKER
ALTER FUNCTION control.check_one_tenant(reached uuid) SET search_path TO ''
ALTER FUNCTION control.claim_due_tenants(batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.claim_due_tenants(batch integer) SECURITY DEFINER
ALTER FUNCTION control.claim_due_tenants(batch integer) SET search_path TO ''
ALTER FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) OWNER TO zaptik_fleet
ALTER FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) SECURITY DEFINER
ALTER FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) SET search_path TO ''
ALTER FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) OWNER TO zaptik_fleet
ALTER FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) SECURITY DEFINER
ALTER FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) SET search_path TO ''
ALTER FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) OWNER TO zaptik_fleet
ALTER FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) SECURITY DEFINER
ALTER FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) SET search_path TO ''
ALTER FUNCTION control.count_audit(upto_segment bigint) OWNER TO zaptik_fleet
ALTER FUNCTION control.count_audit(upto_segment bigint) SECURITY DEFINER
ALTER FUNCTION control.count_audit(upto_segment bigint) SET search_path TO ''
ALTER FUNCTION control.count_runs() OWNER TO zaptik_fleet
ALTER FUNCTION control.count_runs() SECURITY DEFINER
ALTER FUNCTION control.count_runs() SET search_path TO ''
ALTER FUNCTION control.drop_audit_month(keep_months integer, at timestamp with time zone) OWNER TO zaptik_owner
ALTER FUNCTION control.drop_audit_month(keep_months integer, at timestamp with time zone) SECURITY INVOKER
ALTER FUNCTION control.drop_audit_month(keep_months integer, at timestamp with time zone) SET lock_timeout TO 3000
ALTER FUNCTION control.drop_audit_month(keep_months integer, at timestamp with time zone) SET search_path TO ''
ALTER FUNCTION control.drop_key(key text) OWNER TO zaptik_fleet
ALTER FUNCTION control.drop_key(key text) SECURITY DEFINER
ALTER FUNCTION control.drop_key(key text) SET search_path TO ''
ALTER FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) SECURITY DEFINER
ALTER FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) SET search_path TO ''
ALTER FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) OWNER TO zaptik_fleet
ALTER FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) SECURITY DEFINER
ALTER FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) SET search_path TO ''
ALTER FUNCTION control.find_audit_frontier(of_part text, upto_segment bigint) OWNER TO zaptik_fleet
ALTER FUNCTION control.find_audit_frontier(of_part text, upto_segment bigint) SECURITY INVOKER
ALTER FUNCTION control.find_audit_frontier(of_part text, upto_segment bigint) SET search_path TO ''
ALTER FUNCTION control.find_tenant(tenant text) OWNER TO zaptik_fleet
ALTER FUNCTION control.find_tenant(tenant text) SECURITY DEFINER
ALTER FUNCTION control.find_tenant(tenant text) SET search_path TO ''
ALTER FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) OWNER TO zaptik_fleet
ALTER FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) SECURITY DEFINER
ALTER FUNCTION control.finish_run(run uuid, held_fence bigint, outcome text, at_revision bigint, graph_as_of timestamp with time zone, counts jsonb) SET search_path TO ''
ALTER FUNCTION control.fold_requests(batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.fold_requests(batch integer) SECURITY DEFINER
ALTER FUNCTION control.fold_requests(batch integer) SET search_path TO ''
ALTER FUNCTION control.forget_audit_month(keep_months integer) OWNER TO zaptik_owner
ALTER FUNCTION control.forget_audit_month(keep_months integer) SECURITY DEFINER
ALTER FUNCTION control.forget_audit_month(keep_months integer) SET search_path TO ''
ALTER FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) SECURITY DEFINER
ALTER FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) SET search_path TO ''
ALTER FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) OWNER TO zaptik_fleet
ALTER FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) SECURITY DEFINER
ALTER FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) SET search_path TO ''
ALTER FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) SECURITY DEFINER
ALTER FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) SET search_path TO ''
ALTER FUNCTION control.hold_key() OWNER TO zaptik_fleet
ALTER FUNCTION control.hold_key() SECURITY DEFINER
ALTER FUNCTION control.hold_key() SET search_path TO ''
ALTER FUNCTION control.is_month_sealed(month date) OWNER TO zaptik_fleet
ALTER FUNCTION control.is_month_sealed(month date) SECURITY DEFINER
ALTER FUNCTION control.is_month_sealed(month date) SET search_path TO ''
ALTER FUNCTION control.keys_in_use() OWNER TO zaptik_fleet
ALTER FUNCTION control.keys_in_use() SECURITY DEFINER
ALTER FUNCTION control.keys_in_use() SET search_path TO ''
ALTER FUNCTION control.list_audit_partitions() OWNER TO zaptik_owner
ALTER FUNCTION control.list_audit_partitions() SECURITY INVOKER
ALTER FUNCTION control.list_audit_partitions() SET search_path TO ''
ALTER FUNCTION control.list_old_audit_months(keep_months integer, at timestamp with time zone) OWNER TO zaptik_owner
ALTER FUNCTION control.list_old_audit_months(keep_months integer, at timestamp with time zone) SECURITY INVOKER
ALTER FUNCTION control.list_old_audit_months(keep_months integer, at timestamp with time zone) SET search_path TO ''
ALTER FUNCTION control.make_audit_months(ahead integer) OWNER TO zaptik_owner
ALTER FUNCTION control.make_audit_months(ahead integer) SECURITY DEFINER
ALTER FUNCTION control.make_audit_months(ahead integer) SET lock_timeout TO 2000
ALTER FUNCTION control.make_audit_months(ahead integer) SET search_path TO ''
ALTER FUNCTION control.make_audit_partition(bound text) OWNER TO zaptik_owner
ALTER FUNCTION control.make_audit_partition(bound text) SECURITY INVOKER
ALTER FUNCTION control.make_audit_partition(bound text) SET search_path TO ''
ALTER FUNCTION control.pass_audit_checkpoint(of_segment bigint) OWNER TO zaptik_owner
ALTER FUNCTION control.pass_audit_checkpoint(of_segment bigint) SECURITY INVOKER
ALTER FUNCTION control.pass_audit_checkpoint(of_segment bigint) SET search_path TO ''
ALTER FUNCTION control.promote_key(key text) OWNER TO zaptik_fleet
ALTER FUNCTION control.promote_key(key text) SECURITY DEFINER
ALTER FUNCTION control.promote_key(key text) SET search_path TO ''
ALTER FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) SECURITY DEFINER
ALTER FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) SET search_path TO ''
ALTER FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) SECURITY DEFINER
ALTER FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) SET search_path TO ''
ALTER FUNCTION control.read_audit_drops(batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.read_audit_drops(batch integer) SECURITY DEFINER
ALTER FUNCTION control.read_audit_drops(batch integer) SET search_path TO ''
ALTER FUNCTION control.read_audit_partitions(most_counted integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.read_audit_partitions(most_counted integer) SECURITY DEFINER
ALTER FUNCTION control.read_audit_partitions(most_counted integer) SET search_path TO ''
ALTER FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) SECURITY DEFINER
ALTER FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) SET search_path TO ''
ALTER FUNCTION control.read_fleet() OWNER TO zaptik_fleet
ALTER FUNCTION control.read_fleet() SECURITY DEFINER
ALTER FUNCTION control.read_fleet() SET search_path TO ''
ALTER FUNCTION control.read_isolation_check() OWNER TO zaptik_fleet
ALTER FUNCTION control.read_isolation_check() SECURITY DEFINER
ALTER FUNCTION control.read_isolation_check() SET search_path TO ''
ALTER FUNCTION control.read_keys() OWNER TO zaptik_fleet
ALTER FUNCTION control.read_keys() SECURITY DEFINER
ALTER FUNCTION control.read_keys() SET search_path TO ''
ALTER FUNCTION control.read_offboardings() OWNER TO zaptik_fleet
ALTER FUNCTION control.read_offboardings() SECURITY DEFINER
ALTER FUNCTION control.read_offboardings() SET search_path TO ''
ALTER FUNCTION control.read_old_audit_months(keep_months integer) OWNER TO zaptik_owner
ALTER FUNCTION control.read_old_audit_months(keep_months integer) SECURITY DEFINER
ALTER FUNCTION control.read_old_audit_months(keep_months integer) SET search_path TO ''
ALTER FUNCTION control.read_retention_overdue() OWNER TO zaptik_fleet
ALTER FUNCTION control.read_retention_overdue() SECURITY DEFINER
ALTER FUNCTION control.read_retention_overdue() SET search_path TO ''
ALTER FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) OWNER TO zaptik_fleet
ALTER FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) SECURITY DEFINER
ALTER FUNCTION control.record_events(run uuid, held_fence bigint, events jsonb, more_requests bigint, more_records bigint) SET search_path TO ''
ALTER FUNCTION control.refuse_change() OWNER TO zaptik_owner
ALTER FUNCTION control.refuse_change() SECURITY INVOKER
ALTER FUNCTION control.refuse_change() SET search_path TO ''
ALTER FUNCTION control.register_key(key text) OWNER TO zaptik_fleet
ALTER FUNCTION control.register_key(key text) SECURITY DEFINER
ALTER FUNCTION control.register_key(key text) SET search_path TO ''
ALTER FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) OWNER TO zaptik_fleet
ALTER FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) SECURITY DEFINER
ALTER FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) SET search_path TO ''
ALTER FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) OWNER TO zaptik_fleet
ALTER FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) SECURITY DEFINER
ALTER FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) SET search_path TO ''
ALTER FUNCTION control.request_sync(tenant text, sync_mode text) OWNER TO zaptik_fleet
ALTER FUNCTION control.request_sync(tenant text, sync_mode text) SECURITY DEFINER
ALTER FUNCTION control.request_sync(tenant text, sync_mode text) SET search_path TO ''
ALTER FUNCTION control.rescue_runs(max_attempts integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.rescue_runs(max_attempts integer) SECURITY DEFINER
ALTER FUNCTION control.rescue_runs(max_attempts integer) SET search_path TO ''
ALTER FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) OWNER TO zaptik_fleet
ALTER FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) SECURITY DEFINER
ALTER FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) SET search_path TO ''
ALTER FUNCTION control.tell_audit_act(act text, detail jsonb) OWNER TO zaptik_fleet
ALTER FUNCTION control.tell_audit_act(act text, detail jsonb) SECURITY DEFINER
ALTER FUNCTION control.tell_audit_act(act text, detail jsonb) SET search_path TO ''
ALTER FUNCTION control.tell_request() OWNER TO zaptik_fleet
ALTER FUNCTION control.tell_request() SECURITY DEFINER
ALTER FUNCTION control.tell_request() SET search_path TO ''
ALTER FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) OWNER TO zaptik_fleet
ALTER FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) SECURITY DEFINER
ALTER FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) SET search_path TO ''
ALTER FUNCTION public.zaptik_keep_policies() SECURITY INVOKER
ALTER FUNCTION public.zaptik_keep_policies() SET search_path TO ''
ALTER ROLE zaptik_app LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION
ALTER ROLE zaptik_app SET idle_in_transaction_session_timeout TO '10s'
ALTER ROLE zaptik_app SET jit TO 'off'
ALTER ROLE zaptik_fleet NOLOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION
ALTER ROLE zaptik_owner NOLOGIN INHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION
ALTER ROLE zaptik_requester NOLOGIN INHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION
ALTER SCHEMA control OWNER TO zaptik_owner
ALTER SEQUENCE control.audit_events_audit_id_seq OWNER TO zaptik_owner
ALTER SEQUENCE control.sync_request_request_id_seq OWNER TO zaptik_owner
ALTER TABLE control.audit_checkpoint ENABLE ROW LEVEL SECURITY
ALTER TABLE control.audit_checkpoint ENABLE TRIGGER audit_checkpoint_not_emptied
ALTER TABLE control.audit_checkpoint ENABLE TRIGGER audit_checkpoint_stays
ALTER TABLE control.audit_checkpoint FORCE ROW LEVEL SECURITY
ALTER TABLE control.audit_checkpoint OWNER TO zaptik_owner
ALTER TABLE control.audit_events ENABLE ROW LEVEL SECURITY
ALTER TABLE control.audit_events ENABLE TRIGGER audit_events_not_emptied
ALTER TABLE control.audit_events ENABLE TRIGGER audit_events_stay
ALTER TABLE control.audit_events FORCE ROW LEVEL SECURITY
ALTER TABLE control.audit_events OWNER TO zaptik_owner
ALTER TABLE control.audit_events_rest ENABLE ROW LEVEL SECURITY
ALTER TABLE control.audit_events_rest ENABLE TRIGGER audit_events_stay
ALTER TABLE control.audit_events_rest ENABLE TRIGGER not_emptied
ALTER TABLE control.audit_events_rest FORCE ROW LEVEL SECURITY
ALTER TABLE control.audit_events_rest OWNER TO zaptik_owner
ALTER TABLE control.audit_events_{month} ENABLE ROW LEVEL SECURITY
ALTER TABLE control.audit_events_{month} ENABLE TRIGGER audit_events_stay
ALTER TABLE control.audit_events_{month} ENABLE TRIGGER not_emptied
ALTER TABLE control.audit_events_{month} FORCE ROW LEVEL SECURITY
ALTER TABLE control.audit_events_{month} OWNER TO zaptik_owner
ALTER TABLE control.audit_passed ENABLE ROW LEVEL SECURITY
ALTER TABLE control.audit_passed ENABLE TRIGGER audit_passed_not_emptied
ALTER TABLE control.audit_passed ENABLE TRIGGER audit_passed_stays
ALTER TABLE control.audit_passed FORCE ROW LEVEL SECURITY
ALTER TABLE control.audit_passed OWNER TO zaptik_owner
ALTER TABLE control.audit_retention ENABLE ROW LEVEL SECURITY
ALTER TABLE control.audit_retention FORCE ROW LEVEL SECURITY
ALTER TABLE control.audit_retention OWNER TO zaptik_owner
ALTER TABLE control.audit_sealer ENABLE ROW LEVEL SECURITY
ALTER TABLE control.audit_sealer FORCE ROW LEVEL SECURITY
ALTER TABLE control.audit_sealer OWNER TO zaptik_owner
ALTER TABLE control.credential ENABLE ROW LEVEL SECURITY
ALTER TABLE control.credential FORCE ROW LEVEL SECURITY
ALTER TABLE control.credential OWNER TO zaptik_owner
ALTER TABLE control.data_key ENABLE ROW LEVEL SECURITY
ALTER TABLE control.data_key ENABLE TRIGGER data_key_holds_its_key
ALTER TABLE control.data_key FORCE ROW LEVEL SECURITY
ALTER TABLE control.data_key OWNER TO zaptik_owner
ALTER TABLE control.deployment_key ENABLE ROW LEVEL SECURITY
ALTER TABLE control.deployment_key FORCE ROW LEVEL SECURITY
ALTER TABLE control.deployment_key OWNER TO zaptik_owner
ALTER TABLE control.instance_breaker ENABLE ROW LEVEL SECURITY
ALTER TABLE control.instance_breaker FORCE ROW LEVEL SECURITY
ALTER TABLE control.instance_breaker OWNER TO zaptik_owner
ALTER TABLE control.instance_pace ENABLE ROW LEVEL SECURITY
ALTER TABLE control.instance_pace FORCE ROW LEVEL SECURITY
ALTER TABLE control.instance_pace OWNER TO zaptik_owner
ALTER TABLE control.isolation_check ENABLE ROW LEVEL SECURITY
ALTER TABLE control.isolation_check FORCE ROW LEVEL SECURITY
ALTER TABLE control.isolation_check OWNER TO zaptik_owner
ALTER TABLE control.offboarding ENABLE ROW LEVEL SECURITY
ALTER TABLE control.offboarding FORCE ROW LEVEL SECURITY
ALTER TABLE control.offboarding OWNER TO zaptik_owner
ALTER TABLE control.process ENABLE ROW LEVEL SECURITY
ALTER TABLE control.process FORCE ROW LEVEL SECURITY
ALTER TABLE control.process OWNER TO zaptik_owner
ALTER TABLE control.retention ENABLE ROW LEVEL SECURITY
ALTER TABLE control.retention FORCE ROW LEVEL SECURITY
ALTER TABLE control.retention OWNER TO zaptik_owner
ALTER TABLE control.run ENABLE ROW LEVEL SECURITY
ALTER TABLE control.run ENABLE TRIGGER run_moves
ALTER TABLE control.run FORCE ROW LEVEL SECURITY
ALTER TABLE control.run OWNER TO zaptik_owner
ALTER TABLE control.schema_version ENABLE ROW LEVEL SECURITY
ALTER TABLE control.schema_version FORCE ROW LEVEL SECURITY
ALTER TABLE control.schema_version OWNER TO zaptik_owner
ALTER TABLE control.start_budget ENABLE ROW LEVEL SECURITY
ALTER TABLE control.start_budget FORCE ROW LEVEL SECURITY
ALTER TABLE control.start_budget OWNER TO zaptik_owner
ALTER TABLE control.sync_request ENABLE ROW LEVEL SECURITY
ALTER TABLE control.sync_request ENABLE TRIGGER sync_request_is_told
ALTER TABLE control.sync_request FORCE ROW LEVEL SECURITY
ALTER TABLE control.sync_request OWNER TO zaptik_owner
ALTER TABLE control.tenant ENABLE ROW LEVEL SECURITY
ALTER TABLE control.tenant ENABLE TRIGGER tenant_offboarding
ALTER TABLE control.tenant FORCE ROW LEVEL SECURITY
ALTER TABLE control.tenant OWNER TO zaptik_owner
ALTER VIEW control.request_v1 OWNER TO zaptik_fleet
ALTER VIEW control.request_v1 SET (security_barrier=true)
CREATE EVENT TRIGGER zaptik_keep_policies ON ddl_command_start WHEN TAG IN ('DROP OWNED') EXECUTE FUNCTION public.zaptik_keep_policies()
CREATE POLICY anybody ON control.schema_version FOR SELECT TO zaptik_app USING (true)
CREATE POLICY fleet ON control.audit_events FOR INSERT TO zaptik_fleet WITH CHECK (true)
CREATE POLICY fleet ON control.audit_retention FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.audit_sealer TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.data_key FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.deployment_key TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.instance_breaker TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.isolation_check TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.offboarding FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.process FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.retention FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.run TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.start_budget TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.sync_request TO zaptik_fleet USING (true)
CREATE POLICY fleet ON control.tenant TO zaptik_fleet USING (true)
CREATE POLICY fleet_adds ON control.audit_checkpoint FOR INSERT TO zaptik_fleet WITH CHECK (true)
CREATE POLICY fleet_reads ON control.audit_checkpoint FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY fleet_reads ON control.audit_events FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY fleet_reads ON control.audit_events_rest FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY fleet_reads ON control.audit_passed FOR SELECT TO zaptik_fleet USING (true)
CREATE POLICY own_tenant ON control.audit_events TO zaptik_app USING ((tenant_ref = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid)) WITH CHECK (((tenant_ref = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid) AND ((run_id IS NULL) OR (EXISTS ( SELECT FROM control.run r WHERE (r.run_id = audit_events.run_id))))))
CREATE POLICY own_tenant ON control.credential TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid))
CREATE POLICY own_tenant ON control.data_key TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid))
CREATE POLICY own_tenant ON control.instance_pace TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid))
CREATE POLICY own_tenant ON control.retention TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid))
CREATE POLICY own_tenant ON control.run FOR SELECT TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid))
CREATE POLICY own_tenant ON control.sync_request FOR SELECT TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid))
CREATE POLICY own_tenant ON control.tenant TO zaptik_app USING ((tenant_id = (NULLIF(current_setting('zaptik.tenant'::text, true), ''::text))::uuid))
CREATE POLICY owner ON control.audit_checkpoint TO zaptik_owner USING (true)
CREATE POLICY owner ON control.audit_events TO zaptik_owner USING (true)
CREATE POLICY owner ON control.audit_events_rest TO zaptik_owner USING (true)
CREATE POLICY owner ON control.audit_passed TO zaptik_owner USING (true)
CREATE POLICY owner ON control.audit_retention TO zaptik_owner USING (true)
CREATE POLICY owner ON control.audit_sealer TO zaptik_owner USING (true)
CREATE POLICY owner ON control.credential TO zaptik_owner USING (true)
CREATE POLICY owner ON control.data_key TO zaptik_owner USING (true)
CREATE POLICY owner ON control.deployment_key TO zaptik_owner USING (true)
CREATE POLICY owner ON control.instance_breaker TO zaptik_owner USING (true)
CREATE POLICY owner ON control.instance_pace TO zaptik_owner USING (true)
CREATE POLICY owner ON control.isolation_check TO zaptik_owner USING (true)
CREATE POLICY owner ON control.offboarding TO zaptik_owner USING (true)
CREATE POLICY owner ON control.process TO zaptik_owner USING (true)
CREATE POLICY owner ON control.retention TO zaptik_owner USING (true)
CREATE POLICY owner ON control.run TO zaptik_owner USING (true)
CREATE POLICY owner ON control.schema_version TO zaptik_owner USING (true)
CREATE POLICY owner ON control.start_budget TO zaptik_owner USING (true)
CREATE POLICY owner ON control.sync_request TO zaptik_owner USING (true)
CREATE POLICY owner ON control.tenant TO zaptik_owner USING (true)
CREATE POLICY processes ON control.process TO zaptik_app USING (true)
CREATE POLICY turn ON control.audit_retention TO zaptik_app USING (true)
CREATE TRIGGER audit_checkpoint_not_emptied BEFORE TRUNCATE ON control.audit_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER audit_checkpoint_stays BEFORE DELETE OR UPDATE ON control.audit_checkpoint FOR EACH ROW EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER audit_events_not_emptied BEFORE TRUNCATE ON control.audit_events FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER audit_events_stay BEFORE DELETE OR UPDATE ON control.audit_events FOR EACH ROW EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER audit_events_stay BEFORE DELETE OR UPDATE ON control.audit_events_rest FOR EACH ROW EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER audit_events_stay BEFORE DELETE OR UPDATE ON control.audit_events_{month} FOR EACH ROW EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER audit_passed_not_emptied BEFORE TRUNCATE ON control.audit_passed FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER audit_passed_stays BEFORE DELETE OR UPDATE ON control.audit_passed FOR EACH ROW EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER data_key_holds_its_key BEFORE INSERT OR UPDATE OF key_id ON control.data_key FOR EACH ROW EXECUTE FUNCTION control.hold_key()
CREATE TRIGGER not_emptied BEFORE TRUNCATE ON control.audit_events_rest FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER not_emptied BEFORE TRUNCATE ON control.audit_events_{month} FOR EACH STATEMENT EXECUTE FUNCTION control.refuse_change()
CREATE TRIGGER run_moves BEFORE UPDATE ON control.run FOR EACH ROW WHEN (((old.state IS DISTINCT FROM new.state) OR (old.fence IS DISTINCT FROM new.fence))) EXECUTE FUNCTION control.check_move()
CREATE TRIGGER sync_request_is_told AFTER INSERT ON control.sync_request FOR EACH ROW EXECUTE FUNCTION control.tell_request()
CREATE TRIGGER tenant_offboarding BEFORE UPDATE OF state ON control.tenant FOR EACH ROW WHEN (((old.state <> new.state) AND (('offboarding'::text = old.state) OR ('offboarding'::text = new.state)))) EXECUTE FUNCTION control.check_offboarding()
GRANT CONNECT ON DATABASE {database} TO zaptik_app
GRANT CONNECT ON DATABASE {database} TO zaptik_owner
GRANT CREATE ON DATABASE {database} TO zaptik_owner
GRANT DELETE ON TABLE control.credential TO zaptik_app
GRANT DELETE ON TABLE control.instance_breaker TO zaptik_fleet
GRANT DELETE ON TABLE control.process TO zaptik_app
GRANT DELETE ON TABLE control.run TO zaptik_fleet
GRANT DELETE ON TABLE control.sync_request TO zaptik_fleet
GRANT EXECUTE ON FUNCTION control.add_audit_checkpoint(by_holder text, checkpoint jsonb) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.cancel_run(run uuid) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.claim_due_tenants(batch integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.claim_due_tenants(batch integer, starts_per_second double precision) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.claim_quarantined(run uuid, by_worker text, lease_seconds double precision) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.claim_run(run uuid, by_worker text, lease_seconds double precision) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.count_audit(upto_segment bigint) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.count_runs() TO zaptik_app
GRANT EXECUTE ON FUNCTION control.drop_key(key text) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.end_isolation_check(by_whom text, last uuid, held integer, reached integer, failed integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.end_slice(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb, blames_instance boolean) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.find_tenant(tenant text) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.fold_requests(batch integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.forget_audit_month(keep_months integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.forget_runs(of_tenant uuid, keep_days integer, batch integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.hold_audit_lease(by_holder text, lease_seconds double precision) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.hold_isolation_check(by_whom text, lease_seconds double precision, every_seconds double precision, batch integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.hold_key() TO zaptik_owner
GRANT EXECUTE ON FUNCTION control.is_month_sealed(month date) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.is_month_sealed(month date) TO zaptik_owner
GRANT EXECUTE ON FUNCTION control.keys_in_use() TO zaptik_app
GRANT EXECUTE ON FUNCTION control.list_audit_partitions() TO zaptik_fleet
GRANT EXECUTE ON FUNCTION control.make_audit_months(ahead integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.promote_key(key text) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_audit(part text, above_id bigint, upto_id bigint, after_xid text, after_id bigint, settled boolean, batch integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_audit_checkpoints(after_segment bigint, batch integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_audit_drops(batch integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_audit_partitions(most_counted integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_audit_tail(tenant uuid, run uuid, act text, batch integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_fleet() TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_isolation_check() TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_keys() TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_offboardings() TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_old_audit_months(keep_months integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.read_retention_overdue() TO zaptik_app
GRANT EXECUTE ON FUNCTION control.register_key(key text) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.release_run(run uuid, held_fence bigint, ending text, wait_seconds double precision, failure jsonb) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.renew_lease(run uuid, held_fence bigint, lease_seconds double precision) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.request_sync(tenant text, sync_mode text) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.request_sync(tenant text, sync_mode text) TO zaptik_requester
GRANT EXECUTE ON FUNCTION control.rescue_runs(max_attempts integer) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.runs_to_ring(batch integer, again_after_seconds double precision) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.tell_audit_act(act text, detail jsonb) TO zaptik_app
GRANT EXECUTE ON FUNCTION control.tell_request() TO zaptik_owner
GRANT EXECUTE ON FUNCTION control.tenants_to_rewrap(to_key text, after uuid, batch integer) TO zaptik_app
GRANT INSERT (action) ON TABLE control.audit_events TO zaptik_app
GRANT INSERT (action) ON TABLE control.audit_events TO zaptik_fleet
GRANT INSERT (detail) ON TABLE control.audit_events TO zaptik_app
GRANT INSERT (detail) ON TABLE control.audit_events TO zaptik_fleet
GRANT INSERT (envelope) ON TABLE control.credential TO zaptik_app
GRANT INSERT (key_id) ON TABLE control.deployment_key TO zaptik_fleet
GRANT INSERT (mode) ON TABLE control.sync_request TO zaptik_fleet
GRANT INSERT (run_id) ON TABLE control.audit_events TO zaptik_app
GRANT INSERT (run_id) ON TABLE control.audit_events TO zaptik_fleet
GRANT INSERT (tenant_id) ON TABLE control.credential TO zaptik_app
GRANT INSERT (tenant_id) ON TABLE control.retention TO zaptik_app
GRANT INSERT (tenant_id) ON TABLE control.sync_request TO zaptik_fleet
GRANT INSERT (tenant_ref) ON TABLE control.audit_events TO zaptik_app
GRANT INSERT (tenant_ref) ON TABLE control.audit_events TO zaptik_fleet
GRANT INSERT (version) ON TABLE control.credential TO zaptik_app
GRANT INSERT ON TABLE control.audit_checkpoint TO zaptik_fleet
GRANT INSERT ON TABLE control.data_key TO zaptik_app
GRANT INSERT ON TABLE control.instance_breaker TO zaptik_fleet
GRANT INSERT ON TABLE control.instance_pace TO zaptik_app
GRANT INSERT ON TABLE control.process TO zaptik_app
GRANT INSERT ON TABLE control.run TO zaptik_fleet
GRANT SELECT (key_id) ON TABLE control.data_key TO zaptik_fleet
GRANT SELECT (tenant_id) ON TABLE control.data_key TO zaptik_fleet
GRANT SELECT ON TABLE control.audit_checkpoint TO zaptik_fleet
GRANT SELECT ON TABLE control.audit_events TO zaptik_app
GRANT SELECT ON TABLE control.audit_events TO zaptik_fleet
GRANT SELECT ON TABLE control.audit_events_rest TO zaptik_fleet
GRANT SELECT ON TABLE control.audit_passed TO zaptik_fleet
GRANT SELECT ON TABLE control.audit_retention TO zaptik_app
GRANT SELECT ON TABLE control.audit_retention TO zaptik_fleet
GRANT SELECT ON TABLE control.audit_sealer TO zaptik_fleet
GRANT SELECT ON TABLE control.credential TO zaptik_app
GRANT SELECT ON TABLE control.data_key TO zaptik_app
GRANT SELECT ON TABLE control.deployment_key TO zaptik_fleet
GRANT SELECT ON TABLE control.instance_breaker TO zaptik_fleet
GRANT SELECT ON TABLE control.instance_pace TO zaptik_app
GRANT SELECT ON TABLE control.isolation_check TO zaptik_fleet
GRANT SELECT ON TABLE control.offboarding TO zaptik_fleet
GRANT SELECT ON TABLE control.process TO zaptik_app
GRANT SELECT ON TABLE control.process TO zaptik_fleet
GRANT SELECT ON TABLE control.request_v1 TO zaptik_requester
GRANT SELECT ON TABLE control.retention TO zaptik_app
GRANT SELECT ON TABLE control.retention TO zaptik_fleet
GRANT SELECT ON TABLE control.run TO zaptik_app
GRANT SELECT ON TABLE control.run TO zaptik_fleet
GRANT SELECT ON TABLE control.schema_version TO zaptik_app
GRANT SELECT ON TABLE control.start_budget TO zaptik_fleet
GRANT SELECT ON TABLE control.sync_request TO zaptik_app
GRANT SELECT ON TABLE control.sync_request TO zaptik_fleet
GRANT SELECT ON TABLE control.tenant TO zaptik_app
GRANT SELECT ON TABLE control.tenant TO zaptik_fleet
GRANT UPDATE (as_of) ON TABLE control.tenant TO zaptik_fleet
GRANT UPDATE (done_at) ON TABLE control.audit_retention TO zaptik_app
GRANT UPDATE (done_at) ON TABLE control.retention TO zaptik_app
GRANT UPDATE (dropped_at) ON TABLE control.deployment_key TO zaptik_fleet
GRANT UPDATE (holder) ON TABLE control.audit_retention TO zaptik_app
GRANT UPDATE (holder) ON TABLE control.audit_sealer TO zaptik_fleet
GRANT UPDATE (key_id) ON TABLE control.data_key TO zaptik_app
GRANT UPDATE (key_ids) ON TABLE control.process TO zaptik_app
GRANT UPDATE (lease_until) ON TABLE control.audit_retention TO zaptik_app
GRANT UPDATE (lease_until) ON TABLE control.audit_sealer TO zaptik_fleet
GRANT UPDATE (next_due_at) ON TABLE control.tenant TO zaptik_app
GRANT UPDATE (next_due_at) ON TABLE control.tenant TO zaptik_fleet
GRANT UPDATE (primary_at) ON TABLE control.deployment_key TO zaptik_fleet
GRANT UPDATE (published_at) ON TABLE control.tenant TO zaptik_fleet
GRANT UPDATE (revision) ON TABLE control.tenant TO zaptik_fleet
GRANT UPDATE (run_id) ON TABLE control.sync_request TO zaptik_fleet
GRANT UPDATE (seen_at) ON TABLE control.process TO zaptik_app
GRANT UPDATE (state) ON TABLE control.tenant TO zaptik_app
GRANT UPDATE (state_reason) ON TABLE control.tenant TO zaptik_app
GRANT UPDATE (wrapped) ON TABLE control.data_key TO zaptik_app
GRANT UPDATE ON TABLE control.instance_breaker TO zaptik_fleet
GRANT UPDATE ON TABLE control.instance_pace TO zaptik_app
GRANT UPDATE ON TABLE control.isolation_check TO zaptik_fleet
GRANT UPDATE ON TABLE control.run TO zaptik_fleet
GRANT UPDATE ON TABLE control.start_budget TO zaptik_fleet
GRANT USAGE ON SCHEMA control TO zaptik_app
GRANT USAGE ON SCHEMA control TO zaptik_fleet
GRANT USAGE ON SCHEMA control TO zaptik_requester
GRANT zaptik_fleet TO zaptik_owner WITH INHERIT TRUE
