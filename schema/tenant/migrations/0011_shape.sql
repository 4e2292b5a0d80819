-- How a run asked for a table, kept with its read: another release may end the run, and asks otherwise. Of reads that
-- are under way it is not known, and their tables are read anew.
ALTER TABLE {tenant}.table_read ADD COLUMN shape text;
