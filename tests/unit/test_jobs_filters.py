"""Our filters mean here what they mean on an instance: the simulator's own evaluation is the measure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import OrderIgnored, PredicateIgnored
from jobs.filters import check_rows, name_fields, parse_filter
from jobs.surface import read_surface
from ops.simulator import Store
from ops.simulator.instance import Instance
from ops.simulator.oauth import OAuth

FIELDS = ("name", "element", "type")
FILTERS = [
    *sorted({table.filter for table in read_surface().tables.values() if table.filter}),
    "nameINu_one,x_two", "name=u_one^type!=password^type!=password2", "elementISEMPTY^nameSTARTSWITHu_",
    "elementISNOTEMPTY^nameINu_one,element", "name!=u_one^ORelement=u_one^typeSTARTSWITHpass",
]  # fmt: skip
TEXTS = st.sampled_from(
    ["", "u_one", "U_ONE", "u", "x_two", "X_", "name", "u_one,x_two", "password", "password2", "élan"]
)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXTS)), max_size=8)


def answers(text: str, row: dict[str, str]) -> bool:
    try:
        check_rows([row], table="u_tests", filter_text=text, fields=FIELDS)
    except PredicateIgnored:
        return False
    return True


@given(st.sampled_from(FILTERS), ROWS)
def test_a_row_answers_a_filter_just_when_the_instance_gives_it(
    text: str, rows: list[dict[str, str]]
) -> None:
    store = Store()
    table = store.declare("u_tests")
    keyed = [{"sys_id": f"{number:032x}", **row} for number, row in enumerate(rows)]
    store.put("u_tests", [*keyed, {"sys_id": "f" * 32, **dict.fromkeys(FIELDS, "z")}])
    instance = Instance(store, OAuth(client_id="client", client_secret="secret"))
    window = instance.select(table, f"{text}^ORDERBYsys_id")
    given_ids = {row["sys_id"] for row in window.page(0, window.total)} - {"f" * 32}
    assert {row["sys_id"] for row in keyed if answers(text, row)} == given_ids


def test_no_filter_is_answered_by_every_row() -> None:
    assert parse_filter("") == ()
    assert answers("", {})


def test_a_row_without_the_field_answers_nothing_about_it() -> None:
    """A field that an account may not read is dropped from its queries too."""
    for text in ("name=a", "name!=a", "nameISEMPTY", "nameSTARTSWITHa"):
        assert not answers(text, {"type": "a"})


def test_a_condition_on_a_field_that_was_not_asked_for_is_not_checked_and_the_rest_is() -> None:
    check_rows([{"sys_id": "a"}], table="u_tests", filter_text="scriptISNOTEMPTY", fields=("sys_id",))
    with pytest.raises(PredicateIgnored):
        check_rows(
            [{"name": "b"}], table="u_tests", filter_text="name=a^scriptISNOTEMPTY", fields=("sys_id", "name")
        )


def test_what_was_dropped_is_named_with_what_to_do_and_no_value_is_repeated() -> None:
    with pytest.raises(PredicateIgnored, match=r"nameSTARTSWITHu_ on u_tests.*query_range") as raised:
        check_rows([{"name": "secret"}], table="u_tests", filter_text="nameSTARTSWITHu_", fields=("name",))
    assert "secret" not in raised.value.message
    assert isinstance(raised.value, OrderIgnored), "it is not asked again at once"


def test_the_fields_of_a_filter_are_named() -> None:
    assert name_fields("elementISNOTEMPTY^nameSTARTSWITHu_^ORelementSTARTSWITHu_") == {"element", "name"}
    assert name_fields("super_class.name=task") == {"super_class.name"}


@pytest.mark.parametrize(
    "text",
    ["name", "nameLIKEu_", "name>u", "^name=a", "ORname=a", "NQname=a", "name=a^NQname=b", "name=a^EQ",
     "name=a^ORDERBYname", "manager.email=x", "javascript:gs.now()", "NAME=a"],
)  # fmt: skip
def test_what_cannot_be_checked_here_is_no_filter_of_ours(text: str) -> None:
    with pytest.raises(ValueError, match="no term of a filter"):
        parse_filter(text)
