"""PostgreSQL: connections, roles, migrations, runs, staging, revisions. The SQL itself is in `schema`."""
