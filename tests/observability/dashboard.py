"""The Grafana dashboard, made from the table of its panels in manifests/monitoring/dashboard.yaml.

`python -m tests.observability.dashboard` writes it into manifests/monitoring/grafana-dashboard.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[2] / "manifests/monitoring"
PANELS, FILE = MONITORING / "dashboard.yaml", MONITORING / "grafana-dashboard.json"

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
"""Of Grafana's grid."""
WIDTHS = {"number": 4, "light": 4, "states": 12, "picture": 8}
HEIGHTS = {"number": 4, "light": 4}

HERE = 'instance=~"$instance"'
OF = f'{HERE},database=~"$database"'

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel; the head of the table says what each word of it means."""

    title: str
    says: str
    queries: dict[str, str]
    kind: str = "picture"
    unit: str = "short"
    width: int = 0
    good: int = 1
    words: tuple[str, str] = ("no", "yes")

    @classmethod
    def read(cls, document: Json) -> Panel:
        queries = {legend: _whole(expression) for legend, expression in document["queries"].items()}
        kind = document.pop("as", "picture")
        return cls(**{"kind": kind, "width": WIDTHS[kind], **document, "queries": queries})

    @property
    def height(self) -> int:
        return HEIGHTS.get(self.kind, 8)


def _whole(expression: str) -> str:
    whole = expression.replace("$of", OF).replace("$here", HERE)
    return whole.replace("$rate", "$__rate_interval")


def rows() -> dict[str, list[Panel]]:
    """The panels, by the title of their row."""
    table: dict[str, list[Json]] = yaml.safe_load(PANELS.read_text())
    return {title: [Panel.read(panel) for panel in panels] for title, panels in table.items()}


def rendered() -> str:
    """The dashboard as Grafana imports it."""
    return json.dumps(_dashboard(), indent=1) + "\n"


def _dashboard() -> Json:
    return {
        "title": "dbambassador",
        "uid": "dbambassador",
        "description": "Where each application's database is, who uses it, and how it has been.",
        "tags": ["dbambassador"],
        "schemaVersion": 38,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables())},
        "annotations": {"list": [_failovers()]},
        "panels": list(_panels()),
    }


def _variables() -> Iterator[Json]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    info = "dbambassador_environment_info"
    environment = 'environment=~"$environment"'
    for name, label, query in (
        ("environment", "Environment", f"label_values({info}, environment)"),
        ("instance", "Instance", f"label_values({info}{{{environment}}}, instance)"),
        ("database", "Database", f"label_values(dbambassador_database_usable{{{HERE}}}, database)"),
    ):
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": DATASOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "current": {"text": "All", "value": "$__all"},
        }


def _failovers() -> Json:
    return {
        "name": "Failovers",
        "datasource": DATASOURCE,
        "enable": True,
        "expr": f"increase(dbambassador_failovers_total{{{OF}}}[1m]) > 0",
        "titleFormat": "{{database}} failed over",
        "iconColor": "orange",
    }


def _panels() -> Iterator[Json]:
    number, y = 0, 0
    for title, panels in rows().items():
        number += 1
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": place,
        }
        x, y, height = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            number += 1
            place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            x, height = x + panel.width, max(height, panel.height)
        y += height


def _panel(panel: Panel) -> Json:
    kinds = {"number": "stat", "light": "stat", "states": "state-timeline"}
    field, options = _looks(panel)
    return {
        "title": panel.title,
        "description": panel.says,
        "type": kinds.get(panel.kind, "timeseries"),
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, **field}, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": panel.kind in ("number", "light"),
            }
            for place, (legend, expression) in enumerate(panel.queries.items())
        ],
    }


def _looks(panel: Panel) -> tuple[Json, Json]:
    match panel.kind:
        case "light":
            words = {
                str(value): {"text": word, "color": "green" if value == panel.good else "red"}
                for value, word in enumerate(panel.words)
            }
            field: Json = {"mappings": [{"type": "value", "options": words}], "color": {"mode": "thresholds"}}
            return field, {"colorMode": "background", "graphMode": "none", "textMode": "value_and_name"}
        case "number":
            field = {"color": {"mode": "fixed", "fixedColor": "text"}}
            return field, {"colorMode": "none", "graphMode": "none", "textMode": "value_and_name"}
        case "states":
            field = {"custom": {"fillOpacity": 70, "lineWidth": 0}, "color": {"mode": "palette-classic"}}
            return field, {"showValue": "never", "legend": {"showLegend": False}, "mergeValues": True}
    field = {"min": 0, "custom": {"fillOpacity": 8, "spanNulls": False}}
    return field, {"legend": {"placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


if __name__ == "__main__":
    FILE.write_text(rendered())
