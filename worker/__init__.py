"""Everything that talks: the processes, the command, ServiceNow, PostgreSQL, Redis, the vault, logs, metrics.

It stands on `jobs` (what the work means) and `schema` (the database as SQL). Inside, `command` and `fleet`
stand on `sync`, the composition of a run, and that on one room for each thing talked to, which do not know
each other.
"""

__version__ = "0.1.0"
