"""Made rows: a plausible configuration of any size, the same for the same seed and sizes.

Columns and tables that a crawler must not ask for hold recognisable values, `CANARY-...`, so that a test can
look for them in what was stored.
"""

from __future__ import annotations

from random import Random

from ops.simulator.columns import known_tables
from ops.simulator.made_catalog import catalog_tables
from ops.simulator.made_dictionary import dictionary_tables
from ops.simulator.made_forbidden import forbidden_tables
from ops.simulator.made_groups import group_tables
from ops.simulator.made_rules import rule_tables
from ops.simulator.made_services import service_tables
from ops.simulator.made_settings import setting_tables
from ops.simulator.making import Maker
from ops.simulator.store import Store


def made_store(*, seed: int = 1, groups: int = 200, items: int = 300) -> Store:
    """Make a store with so many groups and catalogue items, and what belongs to them."""
    store = Store(seed=seed)
    maker = Maker(seed, Random(f"{seed}:{groups}:{items}"))  # noqa: S311  not for secrets
    tables = {
        **group_tables(maker, groups),
        **catalog_tables(maker, items, groups),
        **forbidden_tables(maker),
        **service_tables(maker, items, groups),
        **rule_tables(maker, groups),
        **setting_tables(maker, groups),
        **dictionary_tables(maker, known_tables().values()),
    }
    for name, rows in tables.items():
        store.load(name, rows)
    return store
