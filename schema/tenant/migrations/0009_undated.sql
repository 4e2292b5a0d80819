-- A record is known to be in its table even where nobody may see its state: a field ACL can hide either column.
-- Whether a table still has a record is told by `record`; a record of unknown state counts as changed whenever it is
-- scanned, and its table is read anew.
ALTER TABLE {tenant}.record ALTER COLUMN mod_count DROP NOT NULL, ALTER COLUMN updated_on DROP NOT NULL;
