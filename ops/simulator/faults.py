"""What can go wrong with an instance, on demand: which faults there are, and which requests they strike.

A fault strikes the requests that match it (`endpoint`, `table`), from the `first` matching one on, `times` times
(0: for ever), each with the chance `share`. Draws follow from the seed, the fault's place in the list and the
number of the request, so that the same requests always meet the same faults. All faults of a request come to pass:
rows are changed first, then the first answer that stands in for the instance's own is taken, then answers are
altered in the order of the list, then sent by the first that says how. `skew_seconds` puts the instance's clock
forward (Date, hours of a rate limit, dates of Retry-After, timestamps of rows), or back.

`docs/reference/simulator.md` has them all; `fault_answers` and `fault_changes` do them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

if TYPE_CHECKING:
    from ops.simulator.store import Row

Endpoint = Literal["table", "stats", "token", "api", "any"]
Count = Annotated[int, msgspec.Meta(ge=0)]

KINDS: Final = {
    "hibernating": "200 with the page of a hibernating instance",
    "redirected": "302 to developer.servicenow.com",
    "maintenance": "503 with a page for people, and `retry_after`",
    "failing": "`status` (500 with the error envelope, any other as a gateway's page), and `retry_after`",
    "throttled": "429 with `retry_after` or a date `retry_date_seconds` from now (less than 0: past), or neither",
    "dropped": "202 without a result, as for an eleventh request that waits on one session",
    "said": "`status`, `content_type` and `text` as they are given",
    "cancelled": "200: `row` rows, then the error of a cancelled transaction; `cut_bytes` are missing at the end",
    "truncated": "200: `row` rows and half of the next, and no end",
    "null_body": "200 with `null`",
    "duplicated": "row number `row` comes twice in its page",
    "uncounted": "no X-Total-Count",
    "undercounted": "X-Total-Count and the Aggregate API count `row` rows less than there are",
    "rate_told": "X-RateLimit-Limit `limit`, -Reset in `reset_seconds`, and -Remaining where `remaining` is given",
    "slow": "the answer comes after `seconds`",
    "dripping": "the answer comes byte by byte, `seconds` apart",
    "reset": "the connection is reset after `size_bytes` of the body",
    "gzip_bomb": "200 whose body unpacks to `size_bytes` and more",
    "row_inserted": "`rows` are inserted, or one that the seed makes",
    "row_updated": "`rows` are changed, or one that the seed chooses",
    "row_updated_silently": "the same, and neither sys_updated_on nor sys_mod_count moves",
    "row_deleted": "the rows `sys_ids` are deleted, or one that the seed chooses",
    "rewound": "all rows of all tables are again as when the faults were set, as after a clone from a backup",
}
"""Each kind and what it does; what names no table does it to the one that is asked for."""


class Fault(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One fault: which requests it strikes, and what its kind needs to know; see `KINDS`.

    `endpoint` is `table`, `stats`, `token`, `api` (both of the first) or `any`. `change_table` is the table whose
    rows are changed, where it is not the one that is asked for.
    """

    kind: str
    endpoint: Endpoint = "api"
    table: str = ""
    first: Annotated[int, msgspec.Meta(ge=1)] = 1
    times: Count = 1
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 500
    retry_after: str = ""
    retry_date_seconds: float | None = None
    text: str = ""
    content_type: str = "application/json"
    row: Count = 0
    cut_bytes: Count = 0
    limit: Count = 0
    remaining: Count | None = None
    reset_seconds: float = 3_600
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    size_bytes: Count = 0
    change_table: str = ""
    rows: list[dict[str, str]] = []
    sys_ids: list[str] = []

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no kind of fault: {self.kind!r}")
        if any(not row.get("sys_id") for row in self.rows):
            raise ValueError("a row needs a sys_id")

    def matches(self, endpoint: str, table: str) -> bool:
        """Say whether requests to an endpoint for a table are this fault's."""
        endpoints = {"api": ("table", "stats"), "any": ("table", "stats", "token")}
        is_asked = endpoint in endpoints.get(self.endpoint, (self.endpoint,))
        return is_asked and self.table in ("", table)


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that comes to pass in one request; `draw` is for what its kind leaves to chance."""

    fault: Fault
    draw: random.Random


class Faults:
    """The faults of one instance, and how many requests each has seen."""

    def __init__(
        self,
        *faults: Fault,
        seed: int = 1,
        skew_seconds: float = 0.0,
        snapshot: Mapping[str, Mapping[str, Row]] | None = None,
    ) -> None:
        self.faults = faults
        self.seed = seed
        self.skew_seconds = skew_seconds
        self.snapshot = snapshot or {}
        """The rows as they were when the faults were set, by table and sys_id."""
        self._seen = [0] * len(faults)

    def __repr__(self) -> str:
        return f"<Faults seed={self.seed} {[fault.kind for fault in self.faults]} seen={self._seen}>"

    def strike(self, endpoint: str, table: str) -> list[Strike]:
        """Count a request and give what strikes it."""
        return list(self._strikes(endpoint, table))

    def _strikes(self, endpoint: str, table: str) -> Iterator[Strike]:
        for place, fault in enumerate(self.faults):
            if not fault.matches(endpoint, table):
                continue
            self._seen[place] = number = self._seen[place] + 1
            is_due = fault.first <= number and (not fault.times or number < fault.first + fault.times)
            draw = random.Random(f"{self.seed}:{place}:{number}")  # noqa: S311  not for secrets
            if is_due and draw.random() < fault.share:
                yield Strike(fault, draw)
