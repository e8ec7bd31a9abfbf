"""Alert rules and the dashboard: Prometheus takes them, and they ask for metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbambassador.observability.metrics.families import EVERY, Kind
from tests.deployment.files import REPOSITORY, parsed
from tests.observability import dashboard
from tests.testbed.requirements import require

MONITORING = REPOSITORY / "manifests" / "monitoring"
RULES, UNIT_TESTS = MONITORING / "alerts.yaml", MONITORING / "alerts.test.yaml"
PAGE = REPOSITORY / "docs" / "observability.md"
METRIC = re.compile(r"\b(?:dbambassador|process)_[a-z0-9_]+")


def series() -> set[str]:
    """Every name that a scrape has."""
    names = {family.name for family in EVERY if family.kind is not Kind.HISTOGRAM}
    histograms = {family.name for family in EVERY if family.kind is Kind.HISTOGRAM}
    parts = {name + suffix for name in histograms for suffix in ("_bucket", "_sum", "_count")}
    return names | parts


def alerts() -> list[dict[str, Any]]:
    return [rule for group in parsed(RULES)["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    """All of the dashboard's, with Grafana's variables filled in."""
    document = json.loads(dashboard.FILE.read_text())
    found = [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]
    found += [each["expr"] for each in document["annotations"]["list"]]
    return [re.sub(r"\$(instance|database)", ".*", re.sub(r"\$__[a-z_]+", "5m", query)) for query in found]


def promtool(*arguments: str | Path, text: str = "") -> str:
    """What it says. Fails where it has an objection."""
    command = [require("promtool", package="prometheus"), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, cwd=MONITORING)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", RULES)


def test_the_rules_fire_when_they_should_and_not_otherwise() -> None:
    promtool("test", "rules", UNIT_TESTS)


def test_a_rule_that_is_wrong_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(RULES.read_text().replace("== 0", "== 2"))
    (tmp_path / "alerts.test.yaml").write_text(UNIT_TESTS.read_text())
    with pytest.raises(AssertionError, match="DbambassadorNoUsableAddress"):
        promtool("test", "rules", tmp_path / "alerts.test.yaml")


def test_every_alert_is_seen_firing() -> None:
    tested = [case for group in parsed(UNIT_TESTS)["tests"] for case in group.get("alert_rule_test", [])]
    fired = {case["alertname"] for case in tested if case["exp_alerts"]}
    assert fired == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_leads_to_what_helps(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    text = (REPOSITORY / page).read_text()
    headings = [line.lstrip("#").strip().lower() for line in text.splitlines() if line.startswith("#")]
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading).replace(" ", "-") for heading in headings}
    anchors |= set(re.findall('<a id="(.*?)"', text))
    assert anchor in anchors


def test_every_alert_is_documented() -> None:
    rows = re.findall(r"^\| `(Dbambassador\w+)` \| (\w+)", PAGE.read_text(), re.MULTILINE)
    severities = {alert["alert"]: alert["labels"]["severity"] for alert in alerts()}
    assert [name for name, _ in rows] == list(severities)
    assert all(severity in severities[name] for name, severity in rows)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_asks_for_metrics_that_there_are(alert: dict[str, Any]) -> None:
    assert set(METRIC.findall(alert["expr"])) <= series()


def test_the_dashboard_is_that_of_its_table() -> None:
    assert dashboard.FILE.read_text() == dashboard.rendered(), "run: python -m tests.observability.dashboard"


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_the_dashboard_asks_for_metrics_that_there_are_and_leaves_none_of_ours_out() -> None:
    asked = {name for query in queries() for name in METRIC.findall(query)}
    assert asked <= series()
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
    ours = {family.name for family in EVERY if family.name.startswith("dbambassador_")}
    assert ours <= shown | asked


def test_no_panel_covers_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads(dashboard.FILE.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= dashboard.WIDTH
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_the_documented_line_makes_a_prometheus_rule_of_them() -> None:
    block = re.compile(r"^```sh\n(\{ echo .*) \| kubectl apply -f -$", re.MULTILINE | re.DOTALL)
    (line,) = block.findall(PAGE.read_text())
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    made = yaml.safe_load(done.stdout)
    assert (made["apiVersion"], made["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert made["metadata"]["name"] == "dbambassador"
    assert made["spec"] == parsed(RULES)
