"""How work finds its group: the moves from a record along edges, or against them, that stand for something real.

The database's view `routing_move` has the same moves, and `graph_v1_routes` tells routes in the same words: a test
compares both. No winner is claimed between two engines:
ServiceNow defines no order between assignment rules, data lookups, work assignment and what an item says itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["out", "in"]

GROUP, TABLE, LOOKUP, ROW = "sys_user_group", "sys_db_object", "dl_definition", "dl_matcher"
UNREAD_ENGINES = frozenset({"a workflow", "a flow"})
# Whether these have a script is asked; what they do is then not known.
SCRIPTED = frozenset(
    {"sysrule_assignment", "sc_cat_item_delivery_plan", "sc_cat_item_delivery_task", "awa_queue"}
)
# What stands in an order; an item's is only where it is shown.
ORDERED = frozenset(
    {
        "awa_queue",
        "dl_matcher",
        "sc_cat_item_delivery_plan",
        "sc_cat_item_delivery_task",
        "sysrule_assignment",
    }
)
# Where one of these is not known whole, an engine may assign that is not seen.
ENGINE_TABLES = (
    "awa_eligibility_pool", "awa_queue", "awa_service_channel", "dl_definition", "dl_matcher", "sysrule_assignment",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Move:
    """From a record of table `at` along edges of a kind (`in`: against them), to a record of table `to`, if named.

    `first` moves are only from the start; `after` is the kind that must lead there, `not_after` one that must not.
    In `words`, {start} and {end} are names, {start_key} and {end_key} keys, {field} the source's field.
    """

    at: str
    direction: Direction
    kind: str
    words: str
    engine: str = ""
    to: str = ""
    after: str = ""
    not_after: str = ""
    is_first: bool = False


MOVES: tuple[Move, ...] = (
    Move("sc_cat_item", "out", "FULFILLED_BY", "fulfilment group of the item", "the catalogue"),
    Move("sc_cat_item", "out", "DELIVERED_BY", "delivery plan {end} of the item", "the catalogue"),
    Move("sc_cat_item_delivery_plan", "in", "STEP_OF", "delivery task {end} of its plan"),
    Move("sc_cat_item_delivery_task", "out", "FULFILLED_BY", "group of the delivery task {start}", "the catalogue"),
    Move("sc_cat_item_delivery_plan", "out", "CREATES_RECORD_IN", "the plan creates its tasks in table {end_key}"),
    Move("sc_cat_item", "out", "RUNS_WORKFLOW", "the item runs a workflow", "a workflow"),
    Move("sc_cat_item", "out", "RUNS_FLOW", "the item runs a flow", "a flow"),
    Move("sc_cat_item", "out", "CREATES_RECORD_IN", "the producer creates records in table {end_key}"),
    Move("sc_cat_item", "in", "ASKED_BY", "the producer asks for the HR service {end}", is_first=True),
    Move("sn_hr_core_service", "out", "ASKED_BY", "the service is asked for by the record producer {end}",
         is_first=True),
    Move("sn_hr_core_service", "out", "USES_TEMPLATE", "template {end} of the service", "an HR template"),
    Move("sn_hr_core_service", "out", "CREATES_RECORD_IN", "the service creates cases in table {end_key}"),
    Move("sn_hr_core_service", "out", "RUNS_WORKFLOW", "the service runs a workflow", "a workflow"),
    Move("sn_hr_core_service", "out", "RUNS_FLOW", "the service runs a flow", "a flow"),
    Move("sn_hr_core_template", "out", "ROUTES_TO", "assignment group of the template", "an HR template"),
    Move("sn_hr_core_template", "out", "CREATES_RECORD_IN", "the template is for cases in table {end_key}",
         is_first=True),
    Move(TABLE, "in", "APPLIES_TO", "assignment rule {end} of table {start_key}", "assignment rules",
         to="sysrule_assignment", not_after="LOOKS_IN"),
    Move(TABLE, "in", "APPLIES_TO", "data lookup {end} of table {start_key}", "data lookups",
         to=LOOKUP, not_after="LOOKS_IN"),
    Move("sysrule_assignment", "out", "ROUTES_TO", "group of the assignment rule", "assignment rules"),
    Move(LOOKUP, "out", "LOOKS_IN", "the lookup looks in table {end_key}", "data lookups"),
    Move(TABLE, "in", "ROW_OF", "a row of that table", "data lookups", after="LOOKS_IN"),
    Move("dl_matcher", "out", "NAMES", "group in the row's column {field}", "data lookups", to=GROUP),
    Move(TABLE, "in", "CHANNEL_OF", "service channel {end} takes records of table {start_key}", "work assignment",
         not_after="LOOKS_IN"),
    Move("awa_service_channel", "in", "IN_CHANNEL", "queue {end} of the channel", "work assignment"),
    Move("awa_queue", "in", "POOL_OF", "a pool of the queue", "work assignment"),
    Move("awa_eligibility_pool", "out", "ROUTES_TO", "group of the pool", "work assignment"),
)  # fmt: skip

# What leads to a group by one step, for whoever asks of a group.
TO_A_GROUP = frozenset(move.kind for move in MOVES if move.kind in {"FULFILLED_BY", "ROUTES_TO", "NAMES"})


def table_of(node_id: str) -> str:
    """Give the base table in a node's id."""
    return node_id.partition(":")[0]


def key_of(node_id: str) -> str:
    """Give what follows the table in a node's id."""
    return node_id.partition(":")[2]


def moves_from(node_id: str, *, arrived_by: str) -> list[Move]:
    """Give the moves from a node that was reached by an edge of a kind; by none ("") where it is the start."""
    return [
        move
        for move in MOVES
        if move.at == table_of(node_id)
        and not (move.is_first and arrived_by)
        and (not move.after or move.after == arrived_by)
        and (not move.not_after or move.not_after != arrived_by)
    ]
