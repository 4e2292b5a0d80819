"""The tree of failures is the one drawn, and each leaf says its code, whether to retry, and whose move it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import pytest

from jobs import errors
from jobs.errors import Audience, Failure, Retry


def give_descendants(kind: type[Failure]) -> Iterator[type[Failure]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from give_descendants(child)


BRANCHES = [kind for kind in Failure.__subclasses__() if kind.__module__ == errors.__name__]
LEAVES = [leaf for branch in BRANCHES for leaf in give_descendants(branch)]
every_leaf = pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)


def parse_drawing(text: str) -> dict[str, set[str]]:
    """Read the docstring's drawing: each branch with the names below it."""
    drawn: dict[str, set[str]] = {}
    branch = ""
    for line in text.partition("Failure\n")[2].partition("\n\n")[0].splitlines():
        names = re.findall(r"\b[A-Z]\w*\b", line)
        if line.lstrip().startswith(("├── ", "└── ")) and not line.startswith(("    │   ", "        ")):
            branch = names[0]
            drawn[branch] = set()
        else:
            drawn[branch].update(names)
    return drawn


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    assert errors.__doc__
    drawn = parse_drawing(errors.__doc__)
    assert len(drawn) == 4
    assert drawn == {
        branch.__name__: {leaf.__name__ for leaf in give_descendants(branch)} for branch in BRANCHES
    }


def test_the_test_reads_a_drawing_as_it_is_drawn() -> None:
    drawing = "Failure\n    ├── One   because   (exit 2)\n    │   ├── A  B\n    └── Two\n        ├── C\n\nEnd"
    assert parse_drawing(drawing) == {"One": {"A", "B"}, "Two": {"C"}}


@every_leaf
def test_a_leaf_has_a_code_of_its_own_a_retry_and_an_audience(leaf: type[Failure]) -> None:
    assert "code" in leaf.__dict__, "a code of its own, not its parent's"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", leaf.code)
    assert leaf.retry in get_args(Retry)
    assert leaf.audience in get_args(Audience)
    assert (leaf.__doc__ or "").endswith(".")


def test_codes_are_unique() -> None:
    kinds: list[type[Failure]] = [Failure, *BRANCHES, *LEAVES]
    codes = [kind.code for kind in kinds]
    assert sorted(codes) == sorted(set(codes))


@every_leaf
def test_a_failure_is_told_as_data(leaf: type[Failure]) -> None:
    failure = leaf("The table x could not be read.", after_seconds=5)
    assert (str(failure), failure.after_seconds) == ("The table x could not be read.", 5)
    assert failure.document() == {
        "code": leaf.code,
        "message": "The table x could not be read.",
        "retry": leaf.retry,
        "audience": leaf.audience,
    }


@pytest.mark.parametrize(
    ("name", "retry", "audience"),
    [
        ("CredentialsRejected", "never", "tenant"),
        ("InstanceThrottled", "later", "tenant"),
        ("InstanceUnreachable", "later", "tenant"),
        ("TableDenied", "never", "tenant"),
        ("ResponseInvalid", "later", "developer"),
        ("SealBroken", "never", "operator"),
        ("DatabaseAway", "later", "operator"),
        ("LeaseLost", "now", "operator"),
        ("RunGaveUp", "never", "operator"),
        ("InvalidName", "never", "operator"),
    ],
)
def test_what_others_decide_by_does_not_change_unseen(name: str, retry: str, audience: str) -> None:
    leaf = getattr(errors, name)
    assert (leaf.retry, leaf.audience) == (retry, audience)
