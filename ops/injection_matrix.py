"""The injection matrix as data: what one statement may try, by whom, and how it ends.

`tests/integration/injection/*.toml` holds it, `tests/integration/test_postgres_injection.py` tries each row on a
real server, and `docs/reference/injections.md` is made from it here. Whose a verdict is: the app's login without a
tenant, a transaction that has become a tenant's role, a consumer's login.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ops.markdown import build_table, code

Who: TypeAlias = Literal["app", "tenant", "reader"]

FOLDER = Path(__file__).parents[1] / "tests" / "integration" / "injection"
THREATS = "../explanation/threat-model.md"
NO_ROW, RUNS = "no row", "runs"

_HEAD = """\
# Injections

What one statement can try that somebody slips into a transaction, and how PostgreSQL ends it, on every supported
version of it. A test runs each row on a server with two tenants; this page is made from its data. `{{own}}` is the
schema and role of the transaction's tenant, `{{other}}` another's, `{{reader}}` and `{{other_reader}}` the roles of
their readers, `{{other_id}}`, `{{other_name}}`, `{{other_run}}` and `{{other_pid}}` the other's id, name, run, and
session, `{{own_run}}` a run that waits.

- **app**: `zaptik_app` in a transaction that has become nobody, as the scheduler sends it.
- **tenant**: a transaction that has become a tenant's role, as a worker's slice is.
- **reader**: a consumer's login, granted that one tenant.

A verdict is the SQLSTATE with which PostgreSQL refuses (`42501` is a missing privilege; of two, it is the one or
the other by version), `no row` where it answers and shows none, or `runs`. What runs shows no value of the other
tenant's: the test plants one and looks for it in rows, notices and errors. What it can do is the last column, and
[the threat model]({threats}) says why that is left. {count} attacks.
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """One statement and its verdicts; `left` names what is left where it runs, a heading of the threat model.

    `alone`: PostgreSQL refuses it in any transaction, so that it is tried outside of one too.
    """

    theme: str
    name: str
    sql: str
    verdicts: Mapping[Who, tuple[str, ...]]
    left: str
    alone: bool

    @property
    def id(self) -> str:
        """Name it for people and tests."""
        return f"{self.theme}: {self.name}"

    @property
    def runs(self) -> bool:
        """Whether it runs for anybody, on some version."""
        return any(RUNS in ends for ends in self.verdicts.values())


def read_matrix() -> list[Attack]:
    """Read every attack, by theme; raises ValueError where a verdict is of no attack, or says too little."""
    return [attack for path in sorted(FOLDER.glob("*.toml")) for attack in _read_theme(path)]


def build_injections() -> list[str]:
    """Build the page's lines."""
    attacks = read_matrix()
    lines = [_HEAD.format(threats=THREATS, count=len(attacks))]
    for theme in dict.fromkeys(attack.theme for attack in attacks):
        rows = [_build_row(attack) for attack in attacks if attack.theme == theme]
        lines += [f"## {theme}", "", *build_table(["attack", "statement", *get_args(Who), "left"], rows)]
    return lines


def _read_theme(path: Path) -> Iterator[Attack]:
    document = tomllib.loads(path.read_text("utf-8"))
    attacks, verdicts = document["attacks"], document["verdicts"]
    for surplus in {*verdicts, *document.get("alone", [])} - set(attacks):
        raise ValueError(f"{path.name} has a verdict and no attack {surplus!r}")
    for name, statement in attacks.items():
        said = verdicts.get(name, {})
        said = {"all": said} if isinstance(said, str) else said
        usual = said.get("all", document["usual"])
        ends = {who: tuple(said.get(who, usual).split("|")) for who in get_args(Who)}
        left = said.get("left", document.get("left", ""))
        attack = Attack(document["theme"], name, statement, ends, left, name in document.get("alone", []))
        if attack.runs and not left:
            raise ValueError(f"{attack.id} runs: say what is left")
        yield attack


def _build_row(attack: Attack) -> list[str]:
    ends = [
        " or ".join(end if end in {NO_ROW, RUNS} else code([end]) for end in attack.verdicts[who])
        for who in get_args(Who)
    ]
    left = f"[{attack.left}]({THREATS}#what-is-left)" if attack.runs else ""
    return [attack.name, code([attack.sql.replace("\n", " ")]), *ends, left]
