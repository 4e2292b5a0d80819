-- What became of records that a read no longer gave, and revisions that wait for a person.

-- The records that a read gave, as {"id", "mod", "on"}: sys_id, and where it is read sys_mod_count and
-- sys_updated_on. `base` is the table that ids and sources name. Pages of an earlier release have neither.
ALTER TABLE {tenant}.staged_page ADD COLUMN base text, ADD COLUMN keys jsonb;
ALTER TABLE {tenant}.staged_page ALTER keys SET STORAGE EXTERNAL;

-- Records that the graph has and a complete read of the run did not give. `table_name` is their base table, or the
-- many-to-many table; `fate` what looking them up told. Without a look-up a record goes by its table's count.
CREATE TABLE {tenant}.gone (
    run_id uuid NOT NULL,
    table_name text NOT NULL,
    sys_id text COLLATE "C" NOT NULL,
    fate text,
    PRIMARY KEY (run_id, table_name, sys_id),
    CONSTRAINT gone_fate CHECK (fate IN ('deleted', 'hidden', 'unknown'))
);

-- Records known to be deleted, or to be there and hidden from the account: edges to them say so.
CREATE TABLE {tenant}.missing (
    node_id text COLLATE "C" PRIMARY KEY,
    fate text NOT NULL,
    CONSTRAINT missing_fate CHECK (fate IN ('deleted', 'hidden'))
);

-- A quarantined revision is accepted (published), rejected, or superseded by what a newer run found.
ALTER TABLE {tenant}.revision ADD COLUMN reason text;
ALTER TABLE {tenant}.revision DROP CONSTRAINT revision_state;
ALTER TABLE {tenant}.revision ADD CONSTRAINT revision_state
    CHECK (state IN ('published', 'quarantined', 'rejected', 'superseded'));

GRANT SELECT, INSERT, UPDATE, DELETE ON {tenant}.gone, {tenant}.missing TO {tenant};
GRANT UPDATE (state, published_at) ON {tenant}.revision TO {tenant};
DO $$
DECLARE
    relation regclass;
BEGIN
    FOREACH relation IN ARRAY ARRAY['{tenant}.gone', '{tenant}.missing']::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY tenant ON %s TO {tenant} USING (true)', relation);
    END LOOP;
END
$$;
