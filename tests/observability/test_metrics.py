from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dbambassador import events
from dbambassador.events import Refusal
from dbambassador.observability.metrics import COUNTERS, MAX_SERIES, Metrics
from tests.choices import lost, serving
from tests.observability import samples
from tests.observability.occurrences import ADDRESS, EVERY, TARGET

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')


def parsed(text: str) -> dict[str, float]:
    """Samples by name and labels; fails on a line that the format does not allow."""
    found: dict[str, float] = {}
    typed: set[str] = set()
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# TYPE "):
            name = line.split(" ")[2]
            assert name not in typed
            typed.add(name)
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] in typed
            key = line.rpartition(" ")[0]
            assert key not in found
            found[key] = float(match[3])
    return found


def test_a_scrape_of_a_running_ambassador() -> None:
    metrics = Metrics()
    for event in (
        events.SessionOpened("orders", ADDRESS),
        events.SessionOpened("orders", ADDRESS),
        events.SessionEnded("orders", ADDRESS, "client closed", 1.5, 100, 2000),
        events.DialEnded("orders", ADDRESS, "refused", 0.1),
        events.ClientRefused("orders", Refusal.NO_TARGET),
        events.LookupEnded("orders.db.test.", "A", "nxdomain", 0.1),
        events.SessionsEvicted("orders", ADDRESS, 3, "why"),
    ):
        metrics(event)
    found = parsed(metrics.text(samples.running()))
    expected = {
        'dbambassador_build_info{version="0.1.0"}': 1,
        'dbambassador_environment_info{environment="production-aws",kind="production"}': 1,
        "dbambassador_uptime_seconds": 7384.2,
        "dbambassador_ready": 1,
        'dbambassador_sessions_opened_total{database="orders"}': 2,
        'dbambassador_sessions_opened_total{database="carts"}': 0,
        'dbambassador_sessions_ended_total{database="orders",how="client closed"}': 1,
        'dbambassador_relayed_bytes_total{database="orders",direction="to_server"}': 100,
        'dbambassador_relayed_bytes_total{database="orders",direction="to_client"}': 2000,
        'dbambassador_dials_total{database="orders",outcome="refused"}': 1,
        'dbambassador_clients_refused_total{database="orders",reason="no_target"}': 1,
        'dbambassador_dns_lookups_total{kind="A",outcome="nxdomain"}': 1,
        'dbambassador_sessions_evicted_total{database="orders"}': 3,
        'dbambassador_sessions{database="orders"}': 3,
        'dbambassador_held_clients{database="carts"}': 1,
        'dbambassador_database_usable{database="orders"}': 1,
        'dbambassador_database_usable{database="carts"}': 0,
        'dbambassador_choice_epoch{database="orders"}': 2,
        'dbambassador_chosen_address_info{database="orders",address="10.0.0.8:5432"}': 1,
        'dbambassador_address_state{database="orders",address="10.0.0.7:5432",state="down"}': 1,
        'dbambassador_address_role{database="orders",address="10.0.0.8:5432",role="primary"}': 1,
    }
    assert {key: found.get(key) for key in expected} == expected


def test_without_an_environment_and_while_draining() -> None:
    found = parsed(Metrics().text(samples.awaiting()))
    assert found["dbambassador_ready"] == 0
    assert not any(key.startswith("dbambassador_environment_info") for key in found)
    assert parsed(Metrics().text({**samples.running(), "phase": "draining"}))["dbambassador_ready"] == 0


def test_drift() -> None:
    metrics = Metrics()
    assert parsed(metrics.text(samples.running()))["dbambassador_drifts_total"] == 0
    assert parsed(metrics.text(samples.running()))["dbambassador_drifted"] == 0
    metrics(events.DriftNoticed(("k8s.pod.label.tier",), "production", "staging", "why"))
    metrics(events.DriftEnded("production"))
    assert parsed(metrics.text(samples.drifted()))["dbambassador_drifts_total"] == 1
    assert parsed(metrics.text(samples.drifted()))["dbambassador_drifted"] == 1


def test_failovers_are_new_starts_on_an_address() -> None:
    metrics = Metrics()
    for choice in (
        lost(0),
        serving(1, TARGET),
        serving(1, TARGET, why="another reason"),
        lost(2, settled=False),
        serving(3, TARGET),
        lost(3, settled=False),
        serving(3, TARGET),
    ):
        metrics(events.ChoiceChanged("orders", choice))
    assert parsed(metrics.text(samples.running()))['dbambassador_failovers_total{database="orders"}'] == 1


def test_every_event_can_be_counted() -> None:
    metrics = Metrics()
    for event in EVERY:
        metrics(event)
    parsed(metrics.text(samples.running()))


@given(st.text())
def test_any_label_value_is_escaped(value: str) -> None:
    metrics = Metrics()
    metrics(events.DialEnded("orders", ADDRESS, value, 0.1))
    parsed(metrics.text(samples.running()))


def test_series_are_bounded() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES * 2):
        metrics(events.DialEnded("orders", ADDRESS, f"odd {number}", 0.1))
    found = parsed(metrics.text(samples.running()))
    dials = {key: value for key, value in found.items() if key.startswith("dbambassador_dials_total")}
    assert len(dials) == MAX_SERIES + 1
    assert sum(dials.values()) == MAX_SERIES * 2


def test_names_follow_openmetrics() -> None:
    assert all(
        family.name.endswith("_total") and family.name.startswith("dbambassador_") for family in COUNTERS
    )
