"""Making the guards what they must be, as an administrator: what `migrate` does where somebody changed them by hand.

A guard that is lacking is its own statement. What is there beside them is undone by the statement's opposite. What has
neither, as a function with another body, stays and is told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import psycopg

from worker.postgres.connection import Connection, compose_text
from worker.postgres.guards import Deviation, read_deviation

_ROUNDS = 3  # an owner set right changes what its rights look like
_PER_GRANT_INHERITANCE = 160000
_UNDOING = [
    (re.compile(pattern), undoing)
    for pattern, undoing in (
        (r"^GRANT (\S+) TO (\S+?)(?: WITH .*)?$", r"REVOKE \1 FROM \2"),
        (r"^GRANT (.+?) ON (.+) TO (\S+?)(?: WITH GRANT OPTION)?$", r"REVOKE \1 ON \2 FROM \3 CASCADE"),
        (r"^CREATE (POLICY|RULE) (\S+) ON (\S+).*$", r"DROP \1 \2 ON \3"),
        (r"^CREATE TRIGGER (\S+) .*? ON (\S+) .*$", r"DROP TRIGGER \1 ON \2"),
        (r"^CREATE EVENT TRIGGER (\S+) .*$", r"DROP EVENT TRIGGER \1"),
        (r"^ALTER TABLE (\S+) DISABLE TRIGGER ALL$", r"ALTER TABLE \1 ENABLE TRIGGER ALL"),
        (r"^ALTER TABLE (\S+) (?:DISABLE|ENABLE REPLICA|ENABLE ALWAYS) TRIGGER .*$",
         r"ALTER TABLE \1 ENABLE TRIGGER USER"),
        (r"^ALTER FUNCTION (.+?) SET (\S+) TO .*$", r"ALTER FUNCTION \1 RESET \2"),
        (r"^ALTER ROLE (\S+(?: IN DATABASE \S+)?) SET (\S+) TO .*$", r"ALTER ROLE \1 RESET \2"),
        (r"^ALTER VIEW (\S+) SET \((\w+)=.*\)$", r"ALTER VIEW \1 RESET (\2)"),
        (r"^ALTER DEFAULT PRIVILEGES (.+) GRANT (.+) TO (\S+)$",
         r"ALTER DEFAULT PRIVILEGES \1 REVOKE \2 FROM \3"),
    )
]  # fmt: skip
_ORDER = (
    r"^ALTER ROLE", r" OWNER TO ", r"^GRANT \S+ TO ", r"^DROP ", r"^REVOKE ", r"^CREATE ", r"^GRANT ", r"^ALTER ",
)  # fmt: skip


async def mend(
    connection: Connection, place: str, *, accepted: Collection[str] = ()
) -> tuple[list[str], Deviation | None]:
    """Make a schema's guards what they must be; gives what was run, and what could not be mended."""
    run: list[str] = []
    for _ in range(_ROUNDS):
        deviation = await read_deviation(connection, place, accepted=accepted)
        if deviation is None:
            return run, None
        done = [
            text
            for text in plan_mending(deviation, server_version=connection.info.server_version)
            if await _try(connection, text)
        ]
        run += [text for text in done if text not in run]
    return run, await read_deviation(connection, place, accepted=accepted)


async def mend_version_table(connection: Connection, place: str) -> None:
    """Mend what keeps the owner from reading a schema's version, and nothing else: it may be of an older release."""
    deviation = await read_deviation(connection, place)
    if deviation is None:
        return
    for text in plan_mending(deviation, server_version=connection.info.server_version):
        if f" {place}.schema_version " in text or text.startswith(f"ALTER SCHEMA {place} "):
            await _try(connection, text)


def plan_mending(deviation: Deviation, *, server_version: int) -> list[str]:
    """Give the statements that make a schema's guards what they must be, in an order in which they can run."""
    planned = [undo for line in deviation.has for undo in _undo(line)]
    planned += [_make(line, server_version) for line in deviation.lacks if not line.startswith("--")]
    return sorted(dict.fromkeys(planned), key=_rank)


def _undo(line: str) -> Iterator[str]:
    for pattern, undoing in _UNDOING:
        if pattern.match(line):
            yield pattern.sub(undoing, line)
            return


def _make(line: str, server_version: int) -> str:
    membership = re.match(r"^(GRANT \S+ TO \S+)( WITH INHERIT TRUE)?$", line)
    if membership is None:
        return line
    if server_version < _PER_GRANT_INHERITANCE:
        return membership[1]
    return line if membership[2] else f"{line} WITH ADMIN FALSE, INHERIT FALSE, SET TRUE"


def _rank(text: str) -> int:
    return next((place for place, pattern in enumerate(_ORDER) if re.search(pattern, text)), len(_ORDER))


async def _try(connection: Connection, text: str) -> bool:
    """Run a statement; where it may not be run, or what it names is gone, the comparison after says what stays."""
    try:
        async with connection.transaction():
            await connection.execute(compose_text(text))
    except psycopg.Error as error:
        # The connection is gone, or we are stopped.
        if error.sqlstate is None or error.sqlstate.startswith("57"):
            raise
        return False
    return True
