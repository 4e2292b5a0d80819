"""Reading a small table at once, outside the crawl: for what the crawl must know before it reads others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.errors import ResponseInvalid
from jobs.events import Emit
from jobs.page import Position, next_position
from jobs.surface import Table
from worker.servicenow import Client

_MOST_ROWS = 500_000


@dataclass(slots=True)
class Answer:
    """The rows of a read, the total that its first page told, hidden rows counted, and where it stands."""

    rows: list[Mapping[str, str]] = field(default_factory=list)
    total: int | None = None
    position: Position = Position()  # noqa: RUF009  a frozen value


async def fetch_whole(
    client: Client, table: Table, *, emit: Emit, to_first_row: bool = False, begun: Answer | None = None
) -> Answer:
    """Fetch all rows of a table into memory, or only on to the first page that has any; go on with what was begun."""
    answer = begun or Answer()
    while not answer.position.ended and not (to_first_row and answer.rows):
        position = answer.position
        fetched = await client.fetch_page(table, position, emit=emit)
        answer.total = fetched.total if position == Position() else answer.total
        position = next_position(position, fetched.page, limit_rows=fetched.limit_rows, total=fetched.total)
        answer.position = position
        answer.rows += fetched.page.rows
        if len(answer.rows) + position.offset > _MOST_ROWS:
            raise ResponseInvalid(
                f"{table.name} has more than {_MOST_ROWS} rows, which are not read at once: what rests on them stays "
                "unread."
            )
    return answer
