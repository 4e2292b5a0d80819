"""ServiceNow's encoded query, from text to terms; it knows neither tables nor rows.

`a=1^ORb=2^c=3^NQd=4^ORDERBYe` is ((a=1 or b=2) and c=3) or d=4, in the order of e. Names and operators are
case-sensitive; nothing escapes a caret. A term that cannot be read is kept aside in `garbage`, since the
instance drops it and answers with more rows instead of an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATORS = (
    "=", "!=", "<", "<=", ">", ">=", "LIKE", "NOTLIKE", "NOT LIKE", "STARTSWITH", "ENDSWITH", "IN", "NOT IN",
    "ISEMPTY", "ISNOTEMPTY", "EMPTYSTRING", "ANYTHING", "SAMEAS", "NSAMEAS", "BETWEEN", "ON", "NOTON",
    "GT_FIELD", "LT_FIELD", "GT_OR_EQUALS_FIELD", "LT_OR_EQUALS_FIELD",
)  # fmt: skip
UNSUPPORTED = (
    "DATEPART", "RELATIVEGT", "RELATIVEGE", "RELATIVELT", "RELATIVELE", "RELATIVEEE", "MORETHAN", "LESSTHAN",
    "DYNAMIC", "INSTANCEOF",
)  # fmt: skip
RANGE_OPERATORS = frozenset(OPERATORS) - {
    "=",
    "!=",
    "IN",
    "NOT IN",
    "ISEMPTY",
    "ISNOTEMPTY",
    "EMPTYSTRING",
    "ANYTHING",
}

_NAMED = "|".join(sorted(map(re.escape, OPERATORS + UNSUPPORTED), key=len, reverse=True))
_TERM = re.compile(
    rf"(?P<path>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*)(?P<operator>{_NAMED})(?P<value>.*)\Z", re.DOTALL
)
_REFUSED = re.compile(r"javascript:|^(?:ENDRLQUERY|RLQUERY|123TEXTQUERY321)")


class QueryRefused(ValueError):  # noqa: N818  it says what happened
    """A query that a real instance would run and this one cannot, so it says so."""


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison: a field, perhaps dot-walked, an operator and a value."""

    path: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Order:
    """One key of the order."""

    path: str
    descending: bool = False


AnyOf = tuple[Term, ...]
Group = tuple[AnyOf, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """Groups of which one must hold; in a group every `AnyOf` must; the order; what was not understood."""

    groups: tuple[Group, ...] = ((),)
    order: tuple[Order, ...] = ()
    garbage: tuple[str, ...] = ()

    def paths(self) -> Iterator[str]:
        """Give every field that is compared or ordered by."""
        yield from (term.path for group in self.groups for any_of in group for term in any_of)
        yield from (key.path for key in self.order)


def parse_query(text: str) -> Query:
    """Read an encoded query; raise `QueryRefused` for what the simulator does not evaluate."""
    reader = _Reader()
    for token in text.split("^") if text else ():
        reader.take(token)
    groups = tuple(tuple(tuple(any_of) for any_of in group) for group in reader.groups)
    return Query(groups, tuple(reader.order), tuple(reader.garbage))


class _Reader:
    """Takes tokens from left to right; `^OR` belongs to the condition before it."""

    def __init__(self) -> None:
        self.groups: list[list[list[Term]]] = [[]]
        self.order: list[Order] = []
        self.garbage: list[str] = []

    def take(self, token: str) -> None:
        if _REFUSED.search(token):
            raise QueryRefused(f"the simulator does not evaluate {token[:60]!r}")
        if token in ("", "EQ"):
            return
        if token.startswith("ORDERBYDESC"):
            self.order.append(Order(token.removeprefix("ORDERBYDESC"), descending=True))
        elif token.startswith("ORDERBY"):
            self.order.append(Order(token.removeprefix("ORDERBY")))
        elif token.startswith("NQ"):
            self.groups.append([])
            self.take(token.removeprefix("NQ"))
        else:
            self._take_term(token)

    def _take_term(self, token: str) -> None:
        alternative = token.startswith("OR")
        match = _TERM.match(token.removeprefix("OR"))
        if match is None:
            self.garbage.append(token)
            if not alternative:
                self.groups[-1].append([])
            return
        term = Term(match["path"], match["operator"], match["value"])
        if term.operator in UNSUPPORTED:
            raise QueryRefused(f"the simulator does not evaluate the operator {term.operator}")
        if alternative and self.groups[-1]:
            self.groups[-1][-1].append(term)
        else:
            self.groups[-1].append([term])
