"""Dashboards as Grafana's JSON (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ops.dashboards.catalogue import find_alerts
from ops.dashboards.panel import Dashboard, Panel

_SCHEMA: Final = 39  # of Grafana 10 and 11; later ones migrate it when they load it
_WIDTH: Final = 24
_SIZES: Final = {"stat": (4, 4), "timeseries": (8, 8), "table": (8, 8), "heatmap": (8, 8)}
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_FIRING: Final = 'ALERTS{alertname=~"Zaptik.*",alertstate="firing"}'


def render_dashboard(board: Dashboard) -> str:
    """Give a dashboard's file."""
    document = {
        "uid": f"zaptik-{board.name}",
        "title": board.title,
        "description": board.meaning,
        "tags": ["zaptik"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "links": [
            {
                "type": "dashboards", "tags": ["zaptik"], "title": "Zaptik", "tooltip": "", "icon": "dashboard",
                "asDropdown": False, "keepTime": True, "includeVars": True, "targetBlank": False,
            }
        ],
        "templating": {
            "list": [{"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {
            "list": [
                {
                    "name": "Alerts", "datasource": _SOURCE, "enable": True, "iconColor": "red", "expr": _FIRING,
                    "titleFormat": "{{alertname}}", "textFormat": "{{severity}}",
                }
            ]
        },
        "panels": list(_place(board)),
    }  # fmt: skip
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _place(board: Dashboard) -> Iterator[dict[str, Any]]:
    """Put panels side by side under their rows, from left to right and then below."""
    number, top = 1, 0
    for row in board.rows:
        yield {
            "id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [],
            "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": top},
        }  # fmt: skip
        number, top, left, tallest = number + 1, top + 1, 0, 0
        for panel in row.panels:
            width, height = _SIZES[panel.kind]
            if left + width > _WIDTH:
                left, top, tallest = 0, top + tallest, 0
            place = {"h": height, "w": width, "x": left, "y": top}
            yield {"id": number, "gridPos": place, **_render_panel(panel)}
            number, left, tallest = number + 1, left + width, max(tallest, height)
        top += tallest


def _render_panel(panel: Panel) -> dict[str, Any]:
    alerts = find_alerts(panel)
    told = f" Alerts: {', '.join(alerts)}." if alerts else ""
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning + told,
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                **({"format": "table", "instant": True} if panel.kind == "table" else {}),
                **({"format": "heatmap"} if panel.kind == "heatmap" else {}),
            }
            for number, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, **_build_thresholds(panel)},
            "overrides": [],
        },
        "options": _build_options(panel),
    }


def _build_thresholds(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [
        {"color": color, "value": value}
        for color, value in (("orange", panel.warn), ("red", panel.alarm))
        if value is not None
    ]
    return {"thresholds": {"mode": "absolute", "steps": steps}} if len(steps) > 1 else {}


def _build_options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    if panel.kind == "timeseries":
        return {
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {"calculate": False} if panel.kind == "heatmap" else {}
