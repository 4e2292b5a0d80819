-- Run by `tenant add` for its tenant and by every `migrate` for all at once, as the administrator: what tenants' roles
-- may do in `control`. These few rows of the catalogue name every tenant, and who changes one of them while another
-- does fails ("tuple concurrently updated"): one at a time.
GRANT USAGE ON SCHEMA control TO {tenants}, {readers};
GRANT EXECUTE ON FUNCTION control.record_events(uuid, bigint, jsonb, bigint, bigint),
    control.finish_run(uuid, bigint, text, bigint, timestamptz, jsonb) TO {tenants};
GRANT EXECUTE ON FUNCTION control.request_sync(text, text) TO {readers};
