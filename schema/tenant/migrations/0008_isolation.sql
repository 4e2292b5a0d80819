-- A marked row of each tenant, which the schedulers try to read as another: docs/runbooks/isolation-reached.md.

CREATE TABLE {tenant}.isolation_canary (
    is_the_one boolean PRIMARY KEY DEFAULT true,
    marker uuid NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT isolation_canary_is_one_row CHECK (is_the_one)
);
-- Before its row security, which binds the owner too: nobody adds or changes one afterwards.
INSERT INTO {tenant}.isolation_canary DEFAULT VALUES;
ALTER TABLE {tenant}.isolation_canary ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {tenant}.isolation_canary FOR SELECT TO {tenant} USING (true);
GRANT SELECT ON {tenant}.isolation_canary TO {tenant};
