"""The filters of the read surface, evaluated here too: what an instance gave must answer what it was asked.

An instance drops a term it will not run (a query ACL, a field that may not be read) and gives more rows, with
200. So each row is held against the filter once more. Only the operators that our filters use are known; this
is no evaluator of customers' queries. Text compares without regard to case, as the instance's database does,
and of an AND and an OR the OR binds closer: `a^b^ORc` is a and (b or c).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from jobs.errors import PredicateIgnored

_TERM = re.compile(
    r"(?P<field>[a-z][a-z0-9_]*(?:\.name)?)(?P<operator>STARTSWITH|ISNOTEMPTY|ISEMPTY|IN|!=|=)(?P<value>[^^]*)\Z"
)
_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda text, value: text == value,
    "!=": lambda text, value: text != value,
    "STARTSWITH": lambda text, value: text.startswith(value),
    "IN": lambda text, value: text in value.split(","),
    "ISEMPTY": lambda text, _: not text,
    "ISNOTEMPTY": lambda text, _: bool(text),
}


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a field with a value."""

    field: str
    operator: str
    value: str

    def holds(self, row: Mapping[str, str]) -> bool:
        """Say whether it holds for a row; it does not for one that lacks the field."""
        text = row.get(self.field)
        return text is not None and _TESTS[self.operator](text.lower(), self.value.lower())


AnyOf = tuple[Term, ...]


@lru_cache(maxsize=512)
def parse_filter(text: str) -> tuple[AnyOf, ...]:
    """Parse an encoded query of our own; a term that cannot be evaluated here is a ValueError."""
    conditions: list[list[Term]] = []
    for part in text.split("^") if text else ():
        # Names of fields are in lower case, so that none begins like this.
        is_alternative = part.startswith("OR") and bool(conditions)
        match = _TERM.match(part.removeprefix("OR") if is_alternative else part)
        if match is None:
            raise ValueError(f"{part!r} is no term of a filter that can be checked here")
        term = Term(match["field"], match["operator"], match["value"])
        if is_alternative:
            conditions[-1].append(term)
        else:
            conditions.append([term])
    return tuple(map(tuple, conditions))


def name_fields(text: str) -> frozenset[str]:
    """Name the fields that a filter compares."""
    return frozenset(term.field for any_of in parse_filter(text) for term in any_of)


def check_rows(
    rows: Collection[Mapping[str, str]], *, table: str, filter_text: str, fields: Collection[str]
) -> None:
    """Raise PredicateIgnored when a row does not answer the filter.

    A condition on a field that was not asked for cannot be checked here; whoever asks so must know otherwise
    that it held. A row without a field that was asked for does not answer it: a field that an account may not
    read is dropped from its queries too.
    """
    asked = frozenset(fields)
    conditions = [
        any_of for any_of in parse_filter(filter_text) if all(term.field in asked for term in any_of)
    ]
    for row in rows if conditions else ():
        if not all(any(term.holds(row) for term in any_of) for any_of in conditions):
            raise PredicateIgnored(
                f"The instance dropped a part of the filter {filter_text} on {table} (it does so silently where a "
                "field may not be queried): grant the integration user read access to the filter's fields, and "
                "query_range on them."
            )
