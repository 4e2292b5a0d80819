"""The committed snapshots of both schemas, `schema/*/snapshot.sql`: `python -m ops.snapshot` writes them.

Beside each stand its guards, `schema/*/guards.sql`: what holds the tenants' boundary in a fresh schema, with which
`migrate` and every process compare the database.

Each is what the migrations come to, as `pg_dump` tells it: the page to read first. Left out are what `pg_dump`
says about itself, who owns what where that is `zaptik_owner`, what belongs to the database (`roles.sql`), and
the audit trail's months, which follow the calendar. A test compares the snapshots with the migrations.
"""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from ops.local.commands import run_command
from ops.local.postgres import WITHOUT_DURABILITY, EmbeddedPostgres
from worker.postgres.connection import fetch_rows, open_connection
from worker.postgres.guards import build_template
from worker.postgres.migrate import make_control
from worker.postgres.tenants import add_tenant

FOLDER = Path(__file__).parents[1] / "schema"
COMMAND = "python -m ops.snapshot"
TENANT = "example"

_HEAD = """-- Written by `{command}` from the migrations: change those, not this page.
-- {what}
"""
_WHAT = {
    "control": "The control schema. Owned by zaptik_owner but for the functions given to zaptik_fleet.",
    "tenant": "A tenant's schema, of a tenant called `example`. Owned by zaptik_owner.",
}
_GUARDS_HEAD = """-- Written by `{command}` from a fresh schema: what holds the tenants' boundary, a statement a line.
-- `migrate` and every process compare the database with it; a line that begins with -- is compared alone.
"""
_NOISE = re.compile(
    r"""^(SET\ .*|SELECT\ pg_catalog\.set_config.*|\\(un)?restrict.*|--.*
    |ALTER\ .*\ OWNER\ TO\ zaptik_owner;|.*\ ON\ LANGUAGE\ .*
    |REVOKE\ ALL\ ON\ .*\ FROM\ zaptik_(owner|fleet);|GRANT\ ALL\ ON\ .*\ TO\ zaptik_(owner|fleet);)$""",
    re.VERBOSE,
)


def build_snapshots() -> dict[Path, str]:
    """Give each snapshot's text by its path, from a server of its own."""
    with EmbeddedPostgres(settings=WITHOUT_DURABILITY) as server:
        guards = asyncio.run(_deploy(server.admin_url()))
        schemas = {"control": "control", "tenant": f"tenant_{TENANT}"}
        snapshots = {
            FOLDER / area / "snapshot.sql": _HEAD.format(command=COMMAND, what=_WHAT[area])
            + _tidy(_dump(server, schema))
            for area, schema in schemas.items()
        }
    head = _GUARDS_HEAD.format(command=COMMAND)
    return snapshots | {
        FOLDER / area / "guards.sql": "\n".join([head, *guards[schema], ""])
        for area, schema in schemas.items()
    }


def main() -> int:
    """Write the snapshots; they are committed."""
    for path, text in build_snapshots().items():
        path.write_text(text, "utf-8")
        print(path.relative_to(FOLDER.parent))
    return 0


async def _deploy(admin_url: str) -> dict[str, list[str]]:
    """Make both schemas; gives the guards of each."""
    async with open_connection(admin_url, purpose="snapshot") as connection:
        await make_control(connection, today=datetime.now(UTC).date())
        await add_tenant(connection, TENANT, url=f"https://{TENANT}.service-now.com", every_seconds=3600)
        places = ["control", f"tenant_{TENANT}"]
        rows = await fetch_rows(connection, "control", "read_guards", schemas=places, whole=True)
        database = connection.info.dbname
        return {row["place"]: build_template(row["place"], row["lines"], database=database) for row in rows}


def _dump(server: EmbeddedPostgres, schema: str) -> str:
    months = "control.audit_events_[0-9]*"
    options = ["--schema-only", f"--schema={schema}", f"--exclude-table={months}"]
    url = server.admin_url()
    return run_command(
        "pg_dump",
        [server.binaries / "pg_dump", *options, url.replace(f":{server.password}@", "@")],
        log_file=server.log_file,
        environment={"PATH": "", "LC_ALL": "C", "PGPASSWORD": server.password},
        folder=server.folder,
    ).output


def _tidy(dump: str) -> str:
    lines = [line for line in dump.splitlines() if not _NOISE.match(line)]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    return f"\n{text}\n"


if __name__ == "__main__":
    sys.exit(main())
