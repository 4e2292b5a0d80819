"""All dashboards, with a panel for each figure that stands on none of them: nothing that is measured is unseen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ops.alerts import name_series, read_alerts
from ops.dashboards.fleet import FLEET
from ops.dashboards.instances import INSTANCES
from ops.dashboards.panel import Dashboard, Panel, Row, Unit, lines
from ops.dashboards.runs import RUNS
from ops.dashboards.security import SECURITY
from ops.series import PROCESSES, Family, read_families


def build_dashboards() -> list[Dashboard]:
    """Give every dashboard, the last with what no other shows."""
    made = [FLEET, RUNS, INSTANCES, SECURITY]
    seen = {
        series
        for board in made
        for panel in board.panels
        for query in panel.queries
        for series in name_series(query.expr)
    }
    families = {family.name: family for process in PROCESSES for family in read_families(process)}
    unseen = [family for family in families.values() if not seen.intersection(family.series)]
    if not unseen:
        return made
    further = Row("Further figures", tuple(_draw(family) for family in unseen))
    return [*made[:-1], dataclasses.replace(SECURITY, rows=(*SECURITY.rows, further))]


def find_alerts(panel: Panel) -> Sequence[str]:
    """Name the alerts that a panel belongs to: those it names, or those that rest on what it shows."""
    if panel.alerts:
        return panel.alerts
    shown = {series for query in panel.queries for series in name_series(query.expr)}
    named = {
        name for board in (FLEET, RUNS, INSTANCES, SECURITY) for each in board.panels for name in each.alerts
    }
    return [
        alert.name
        for alert in read_alerts()
        if alert.name not in named and shown.intersection(name_series(alert.expr))
    ]


def _draw(family: Family) -> Panel:
    name = family.name.removeprefix("zaptik_").removesuffix("_total")
    by = f" by ({', '.join(family.labels)})" if family.labels else ""
    legend = " ".join(f"{{{{{label}}}}}" for label in family.labels)
    meaning = family.meaning
    unit: Unit = "s" if name.endswith("_seconds") else "short"
    if family.kind == "histogram":
        of = f"sum by ({', '.join(('le', *family.labels))}) (rate({family.name}_bucket[1h]))"
        expr = f"histogram_quantile(0.95, {of})"
    elif family.kind == "counter":
        expr, meaning = f"sum{by} (increase({family.name}[1h]))", f"{meaning} Within the hour before."
    elif name.endswith("_timestamp_seconds"):
        expr, meaning = f"time() - max{by} ({family.name} > 0)", f"{meaning} How long ago."
    else:
        expr = f"max{by} ({family.name})"
    title = name.removesuffix("_timestamp_seconds").replace("_", " ").capitalize()
    return lines(title, meaning, (expr, legend), unit=unit)
