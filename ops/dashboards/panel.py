"""What a dashboard consists of, before it is Grafana's JSON.

Queries are PromQL; `$__rate_interval` in them is Grafana's, four scrapes at least. No figure names a tenant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["short", "percentunit", "s", "reqps", "ops", "dateTimeFromNow"]
Kind = Literal["stat", "timeseries", "table", "heatmap"]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its lines are called: `{{label}}` stands for a label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: what it shows and what it is good for; `alerts` are those whose runbook looks at it.

    From `warn` on a value is orange, from `alarm` on red.
    """

    title: str
    meaning: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Kind = "timeseries"
    alerts: tuple[str, ...] = ()
    warn: float | None = None
    alarm: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page of Grafana; `name` is its file's and the end of its uid."""

    name: str
    title: str
    meaning: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> list[Panel]:
        """Give all of its panels."""
        return [panel for row in self.rows for panel in row.panels]


def stat(
    title: str,
    expr: str,
    meaning: str,
    *,
    unit: Unit = "short",
    alerts: tuple[str, ...] = (),
    warn: float | None = None,
    alarm: float | None = None,
) -> Panel:
    """Make a panel of one number."""
    return Panel(title, meaning, (Query(expr),), unit, "stat", alerts, warn, alarm)


def lines(
    title: str, meaning: str, *queries: tuple[str, str], unit: Unit = "short", alerts: tuple[str, ...] = ()
) -> Panel:
    """Make a panel of lines over time, each query with its legend."""
    return Panel(title, meaning, tuple(Query(expr, legend) for expr, legend in queries), unit, alerts=alerts)


def quantiles(title: str, meaning: str, histogram: str, *, by: str = "", unit: Unit = "s") -> Panel:
    """Make a panel of a histogram's median and 95th percentile, for each value of a label where one is given."""
    labels = f"le, {by}" if by else "le"
    of = f"sum by ({labels}) (rate({histogram}_bucket[$__rate_interval]))"
    name = f" {{{{{by}}}}}" if by else ""
    return lines(
        title,
        meaning,
        (f"histogram_quantile(0.5, {of})", f"median{name}"),
        (f"histogram_quantile(0.95, {of})", f"95 %{name}"),
        unit=unit,
    )
