-- Tables that an instance names itself, as its dictionary described them; and links and flags by their records' states.

-- `record` and `table_state` hold many-to-many tables and discovered ones too from here on.

-- The answer of the dictionary to one question: the columns of some tables, and the aggregates that the answer goes
-- with. While those stay the columns do, and are not asked for again. `run_id` asked last; it asks no second time.
CREATE TABLE {tenant}.described (
    tables text[] PRIMARY KEY,
    run_id uuid NOT NULL,
    columns jsonb NOT NULL,
    counted bigint NOT NULL,
    newest text NOT NULL,
    changes bigint NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- When the run asked whether a table changed since it was read: at most once.
ALTER TABLE {tenant}.table_read ADD COLUMN closing_at timestamptz;

GRANT SELECT, INSERT, UPDATE, DELETE ON {tenant}.described TO {tenant};
ALTER TABLE {tenant}.described ENABLE ROW LEVEL SECURITY;
ALTER TABLE {tenant}.described FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {tenant}.described TO {tenant} USING (true);
