-- What the last published reads left of each table, so that the next run reads only what may differ.

-- The records of a table as they were last read. Many-to-many tables, read whole every time, have none here.
CREATE TABLE {tenant}.record (
    table_name text COLLATE "C" NOT NULL,
    sys_id text COLLATE "C" NOT NULL,
    mod_count bigint NOT NULL,
    updated_on text COLLATE "C" NOT NULL,
    PRIMARY KEY (table_name, sys_id)
) WITH (fillfactor = 90);

-- A table whose last read can be gone on from. `shape` says what was asked and made of it; `counted`, `newest` and
-- `changes` are the instance's count, max(sys_updated_on) and sum(sys_mod_count) that the read goes with; `as_of` is
-- when rows were last read, `checked_at` when the instance was last seen to be so.
CREATE TABLE {tenant}.table_state (
    table_name text COLLATE "C" PRIMARY KEY,
    shape text NOT NULL,
    verdict text NOT NULL,
    hidden bigint NOT NULL,
    reason text,
    rows bigint NOT NULL,
    counted bigint NOT NULL,
    newest text NOT NULL,
    changes bigint NOT NULL,
    as_of timestamptz NOT NULL,
    checked_at timestamptz NOT NULL,
    runs_since_scan integer NOT NULL,
    runs_since_whole integer NOT NULL,
    CONSTRAINT table_state_verdict CHECK (verdict IN ('complete', 'hidden'))
) WITH (fillfactor = 50);

-- How a run reads a table: whole, or by one of the ways that read less; and what the instance's aggregates were.
ALTER TABLE {tenant}.table_read
    ADD COLUMN way text NOT NULL DEFAULT 'whole',
    ADD COLUMN newest text,
    ADD COLUMN changes bigint,
    ADD COLUMN known bigint,
    ADD COLUMN begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CONSTRAINT table_read_way CHECK (way IN ('whole', 'delta', 'scan', 'fetch', 'skipped'));

-- A scanned page says which records there are, and nothing of what they say.
ALTER TABLE {tenant}.staged_page ADD COLUMN scanned boolean NOT NULL DEFAULT false;

-- `moved`: no longer in a subclass's table, while its base's still has it.
ALTER TABLE {tenant}.gone DROP CONSTRAINT gone_fate;
ALTER TABLE {tenant}.gone ADD CONSTRAINT gone_fate CHECK (fate IN ('deleted', 'hidden', 'unknown', 'moved'));

GRANT SELECT, INSERT, UPDATE, DELETE ON {tenant}.record, {tenant}.table_state TO {tenant};
DO $$
DECLARE
    relation regclass;
BEGIN
    FOREACH relation IN ARRAY ARRAY['{tenant}.record', '{tenant}.table_state']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY tenant ON %s TO {tenant} USING (true)', relation);
    END LOOP;
END
$$;
