-- One tenant's schema: its graph, its revisions, and what a run has staged. Owned by `zaptik_owner`, which row
-- security binds too: only the role `{tenant}` sees a row, and `zaptik_app` must become it to do so.
-- Texts that order the graph are compared byte by byte (collation C), so that every server agrees.

CREATE TABLE {tenant}.schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- The current graph. `read_table` is the table of the read surface that gave the row: only a complete read of
-- that table may close it. `hash` is the SHA-256 of the row's canonical form; `since` the revision it came with.
CREATE TABLE {tenant}.node (
    node_id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    table_name text NOT NULL,
    name text NOT NULL,
    attributes jsonb NOT NULL,
    read_table text NOT NULL,
    hash bytea NOT NULL,
    since bigint NOT NULL
) WITH (fillfactor = 90);

-- `source` is TABLE:SYS_ID:FIELD, the record and the field that say so.
CREATE TABLE {tenant}.edge (
    from_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    to_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    state text NOT NULL,
    attributes jsonb NOT NULL,
    read_table text NOT NULL,
    hash bytea NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (from_id, kind, to_id, source),
    CONSTRAINT edge_state CHECK (state IN ('resolved', 'hidden', 'deleted', 'outside', 'unknown'))
) WITH (fillfactor = 90);
CREATE INDEX edge_to ON {tenant}.edge (to_id);

-- What was: each row held from revision `since` until before revision `until`.
CREATE TABLE {tenant}.node_history (
    node_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    table_name text NOT NULL,
    name text NOT NULL,
    attributes jsonb NOT NULL,
    read_table text NOT NULL,
    hash bytea NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (node_id, since),
    CONSTRAINT node_history_held CHECK (since < until)
);
CREATE INDEX node_history_until ON {tenant}.node_history (until);

CREATE TABLE {tenant}.edge_history (
    from_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    to_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    state text NOT NULL,
    attributes jsonb NOT NULL,
    read_table text NOT NULL,
    hash bytea NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (from_id, kind, to_id, source, since),
    CONSTRAINT edge_history_held CHECK (since < until)
);
CREATE INDEX edge_history_until ON {tenant}.edge_history (until);

-- A revision is what one run changed. `as_of`: every row was read at this time or later.
CREATE TABLE {tenant}.revision (
    revision bigint PRIMARY KEY,
    run_id uuid NOT NULL UNIQUE,
    state text NOT NULL,
    as_of timestamptz NOT NULL,
    complete_as_of timestamptz,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    nodes bigint NOT NULL,
    edges bigint NOT NULL,
    added bigint NOT NULL,
    changed bigint NOT NULL,
    removed bigint NOT NULL,
    digest text NOT NULL,
    CONSTRAINT revision_state CHECK (state IN ('published', 'quarantined', 'rejected'))
);

CREATE TABLE {tenant}.feed (
    number bigint PRIMARY KEY,
    revision bigint NOT NULL REFERENCES {tenant}.revision,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    added bigint NOT NULL,
    changed bigint NOT NULL,
    removed bigint NOT NULL
);

-- How far a run has read a table, and at its end how far to trust what was read. `counted`: the Aggregate API's
-- count before the read; `cursor`: the last sys_id whose page is staged; `offset`: rows after it known to be hidden.
CREATE TABLE {tenant}.table_read (
    run_id uuid NOT NULL,
    table_name text NOT NULL,
    cursor text NOT NULL DEFAULT '',
    "offset" bigint NOT NULL DEFAULT 0,
    pages integer NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0,
    counted bigint,
    hidden bigint NOT NULL DEFAULT 0,
    read text NOT NULL DEFAULT 'whole',
    verdict text,
    reason text,
    as_of timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, table_name),
    CONSTRAINT table_read_kind CHECK (read IN ('whole', 'delta', 'skipped')),
    CONSTRAINT table_read_verdict CHECK (verdict IN
        ('complete', 'partial', 'hidden', 'denied', 'absent', 'failed', 'unknown'))
);

-- A checked page, as nodes and edges, waiting for the run to publish. `depth` is how specific its table is:
-- a subclass read by its own name says more of a row than the parent that lists it.
CREATE TABLE {tenant}.staged_page (
    run_id uuid NOT NULL,
    table_name text NOT NULL,
    page integer NOT NULL,
    depth integer NOT NULL,
    nodes jsonb NOT NULL,
    edges jsonb NOT NULL,
    PRIMARY KEY (run_id, table_name, page)
);
ALTER TABLE {tenant}.staged_page ALTER nodes SET STORAGE EXTERNAL, ALTER edges SET STORAGE EXTERNAL;

GRANT USAGE ON SCHEMA {tenant} TO {tenant};
GRANT SELECT ON ALL TABLES IN SCHEMA {tenant} TO {tenant};
GRANT INSERT, UPDATE, DELETE ON {tenant}.node, {tenant}.edge, {tenant}.staged_page, {tenant}.table_read TO {tenant};
GRANT INSERT ON {tenant}.node_history, {tenant}.edge_history, {tenant}.revision, {tenant}.feed TO {tenant};

DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT oid FROM pg_class
                    WHERE relnamespace = '{tenant}'::regnamespace AND relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY tenant ON %s TO {tenant} USING (true)', relation);
    END LOOP;
END
$$;
CREATE POLICY owner ON {tenant}.schema_version TO zaptik_owner USING (true);
