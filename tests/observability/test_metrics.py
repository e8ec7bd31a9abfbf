from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from dbambassador import events
from dbambassador.events import Departure, Event, Refusal
from dbambassador.observability.metrics import families, process
from dbambassador.observability.metrics.counting import MAX_SERIES
from dbambassador.observability.metrics.exposition import Format
from dbambassador.observability.metrics.metrics import Metrics
from tests.choices import lost, serving
from tests.observability import samples
from tests.observability.occurrences import ADDRESS, EVERY, FACTS, TARGET
from tests.testbed.requirements import require

PARSERS: dict[Format, Callable[[str], Iterable[Metric]]] = {
    Format.TEXT: plain,
    Format.OPENMETRICS: openmetrics,
}
"""Prometheus' own."""


def counted(*published: Event) -> Metrics:
    metrics = Metrics(process.measured)
    for event in published:
        metrics(event)
    return metrics


def scrape(
    metrics: Metrics, snapshot: dict[str, object] | None = None, form: Format = Format.TEXT
) -> dict[str, float]:
    """Values by series, as Prometheus' own parser reads them; fails where it does, and on a series twice."""
    text = metrics.exposed(samples.running() if snapshot is None else snapshot, form)
    found: dict[str, float] = {}
    for family in PARSERS[form](text):
        for sample in family.samples:
            pairs = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            series = f"{sample.name}{{{pairs}}}" if pairs else sample.name
            assert series not in found
            found[series] = sample.value
    return found


@pytest.mark.parametrize("form", Format)
def test_a_scrape_of_a_running_ambassador(form: Format) -> None:
    metrics = counted(
        events.FactsGathered(FACTS, 0.02, False),
        events.SessionOpened("orders", ADDRESS),
        events.SessionOpened("orders", ADDRESS),
        events.SessionEnded("orders", ADDRESS, "client closed", 1.5, 100, 2000),
        events.DialEnded("orders", ADDRESS, "connected", 0.004),
        events.DialEnded("orders", ADDRESS, "connected", 0.025),
        events.DialEnded("orders", ADDRESS, "timeout", 10.0),
        events.ProbeEnded("orders", ADDRESS, "failed", 3.0),
        events.CheckDenied("orders", ADDRESS, "takes sessions, but refused the check's login"),
        events.ClientRefused("orders", Refusal.NO_TARGET),
        events.ClientHeld("orders", "served", 1.2),
        events.LookupEnded("orders.db.test.", "A", "nxdomain", 0.1),
        events.SessionsEvicted("orders", ADDRESS, 3, "why"),
    )
    found = scrape(metrics, form=form)
    expected = {
        'dbambassador_build_info{version="0.1.0"}': 1,
        'dbambassador_environment_info{environment="production-aws",kind="production"}': 1,
        'dbambassador_facts{state="unknown"}': 2,
        "dbambassador_uptime_seconds": 7384.2,
        "dbambassador_ready": 1,
        "dbambassador_clients": 4,
        "dbambassador_clients_limit": 512,
        'dbambassador_sessions_opened_total{database="orders"}': 2,
        'dbambassador_sessions_opened_total{database="carts"}': 0,
        'dbambassador_sessions_ended_total{database="orders",how="client closed"}': 1,
        'dbambassador_relayed_bytes_total{database="orders",direction="to_server"}': 40960,
        'dbambassador_relayed_bytes_total{database="orders",direction="to_client"}': 1310720,
        'dbambassador_dials_total{database="orders",outcome="connected"}': 2,
        'dbambassador_dials_total{database="orders",outcome="timeout"}': 1,
        'dbambassador_dial_duration_seconds_bucket{database="orders",le="0.001"}': 0,
        'dbambassador_dial_duration_seconds_bucket{database="orders",le="0.005"}': 1,
        'dbambassador_dial_duration_seconds_bucket{database="orders",le="0.025"}': 2,
        'dbambassador_dial_duration_seconds_bucket{database="orders",le="+Inf"}': 2,
        'dbambassador_dial_duration_seconds_count{database="orders"}': 2,
        'dbambassador_dial_duration_seconds_sum{database="orders"}': 0.029,
        'dbambassador_dial_duration_seconds_count{database="carts"}': 0,
        'dbambassador_check_duration_seconds_bucket{database="orders",le="2.5"}': 0,
        'dbambassador_check_duration_seconds_bucket{database="orders",le="+Inf"}': 1,
        'dbambassador_check_problems_total{database="orders",problem="denied"}': 1,
        'dbambassador_check_problems_total{database="orders",problem="blocked"}': 0,
        'dbambassador_hold_seconds_count{database="orders",outcome="served"}': 1,
        'dbambassador_clients_refused_total{database="orders",reason="no_target"}': 1,
        'dbambassador_dns_lookups_total{kind="A",outcome="nxdomain"}': 1,
        'dbambassador_dns_ttl_seconds{database="orders"}': 27,
        'dbambassador_dns_failing{database="orders"}': 0,
        'dbambassador_dns_failing{database="carts"}': 1,
        'dbambassador_dns_addresses{database="orders"}': 2,
        'dbambassador_sessions_evicted_total{database="orders"}': 3,
        'dbambassador_sessions{database="orders"}': 3,
        'dbambassador_held_clients{database="carts"}': 1,
        'dbambassador_database_usable{database="orders"}': 1,
        'dbambassador_database_usable{database="carts"}': 0,
        'dbambassador_outages_total{database="orders"}': 1,
        'dbambassador_outage_seconds_total{database="orders"}': 12.5,
        'dbambassador_choice_epoch{database="orders"}': 2,
        'dbambassador_chosen_address_info{database="orders",address="10.0.0.8:5432"}': 1,
        'dbambassador_address_state{database="orders",address="10.0.0.7:5432",state="down"}': 1,
        'dbambassador_address_role{database="orders",address="10.0.0.8:5432",role="primary"}': 1,
        'dbambassador_address_sessions{database="orders",address="10.0.0.8:5432"}': 3,
        "dbambassador_relay_wakes_total": 5000,
        "dbambassador_relay_events_total": 12000,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert 'dbambassador_dns_ttl_seconds{database="carts"}' not in found


def test_promtool_has_nothing_against_a_scrape() -> None:
    promtool = require("promtool", package="prometheus")
    text = counted(*EVERY).exposed(samples.running(), Format.TEXT)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_openmetrics_has_types_and_units() -> None:
    text = counted(*EVERY).exposed(samples.running(), Format.OPENMETRICS)
    found = {family.name: family for family in PARSERS[Format.OPENMETRICS](text)}
    assert {family.type for family in found.values()} == {"counter", "gauge", "histogram", "info"}
    assert found["dbambassador_relayed_bytes"].unit == "bytes"
    assert found["dbambassador_dial_duration_seconds"].unit == "seconds"
    assert found["process_cpu_seconds"].unit == "seconds"
    assert {family.unit for name, family in found.items() if not name.endswith(("seconds", "bytes"))} == {""}
    assert text.endswith("\n# EOF\n")


def test_every_family_is_exposed_and_no_other() -> None:
    text = counted(*EVERY).exposed(samples.running(), Format.TEXT)
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert sorted(names) == sorted(family.name for family in families.EVERY)


def test_without_an_environment_and_while_draining() -> None:
    found = scrape(Metrics(), samples.awaiting())
    assert found["dbambassador_ready"] == 0
    assert not any(key.startswith("dbambassador_environment_info") for key in found)
    assert scrape(Metrics(), {**samples.running(), "phase": "draining"})["dbambassador_ready"] == 0


def test_drift() -> None:
    metrics = Metrics()
    assert scrape(metrics)["dbambassador_drifts_total"] == 0
    assert scrape(metrics)["dbambassador_drifted"] == 0
    metrics(events.DriftNoticed(("k8s.pod.label.tier",), "production", "staging", "why"))
    metrics(events.DriftEnded("production"))
    assert scrape(metrics, samples.drifted())["dbambassador_drifts_total"] == 1
    assert scrape(metrics, samples.drifted())["dbambassador_drifted"] == 1


def test_reloads() -> None:
    metrics = Metrics()
    found = scrape(metrics)
    assert found['dbambassador_config_reloads_total{outcome="applied"}'] == 0
    assert found["dbambassador_config_last_reload_successful"] == 1
    assert found["dbambassador_config_last_reload_success_timestamp_seconds"] == 1767348184.567
    metrics(events.CatalogueReloaded("SIGHUP", ()))
    metrics(events.ReloadRefused("SIGHUP", ("a problem",)))
    metrics(events.ReloadUntimely("SIGHUP", "shutting down"))
    found = scrape(metrics, samples.refused())
    assert found['dbambassador_config_reloads_total{outcome="applied"}'] == 1
    assert found['dbambassador_config_reloads_total{outcome="refused"}'] == 1
    assert found["dbambassador_config_last_reload_successful"] == 0
    assert "dbambassador_config_last_reload_successful" not in scrape(metrics, samples.awaiting())


def test_failovers_are_new_starts_on_an_address() -> None:
    choices = (
        lost(0),
        serving(1, TARGET),
        serving(1, TARGET, why="another reason"),
        lost(2, settled=False),
        serving(3, TARGET),
        lost(3, settled=False),
        serving(3, TARGET),
    )
    metrics = counted(*(events.ChoiceChanged("orders", choice) for choice in choices))
    assert scrape(metrics)['dbambassador_failovers_total{database="orders"}'] == 1


def test_a_client_without_a_session_counts_once_by_how_it_ended() -> None:
    metrics = counted(
        events.ClientLeft("orders", "closed the connection"),
        events.ClientLeft("orders", "not a startup packet", Departure.GARBLED),
        events.ClientRefused("orders", Refusal.GARBLED),
        events.ClientLeft("orders", "said nothing for 60 s", Departure.TIMED_OUT),
        events.ClientCrowdedOut("orders"),
        events.ClientLeft("orders", "said nothing, and made room for others", Departure.CROWDED_OUT),
    )
    found = scrape(metrics)
    assert found['dbambassador_clients_left_total{database="orders"}'] == 1
    assert found['dbambassador_preamble_errors_total{database="orders",reason="garbled"}'] == 2
    assert found['dbambassador_preamble_errors_total{database="orders",reason="timed_out"}'] == 1
    assert found['dbambassador_clients_crowded_out_total{database="orders"}'] == 1


@settings(max_examples=50)
@given(st.text(), st.sampled_from(Format))
def test_any_label_value_is_escaped(value: str, form: Format) -> None:
    assert f'dbambassador_dials_total{{database="orders",outcome="{value}"}}' in scrape(
        counted(events.DialEnded("orders", ADDRESS, value, 0.1)), form=form
    )


def test_series_are_bounded() -> None:
    odd = range(MAX_SERIES * 2)
    metrics = counted(
        *(events.DialEnded("orders", ADDRESS, f"odd {number}", 0.1) for number in odd),
        *(events.LookupEnded("orders.db.test", f"odd {number}", "ok", 0.1) for number in odd),
    )
    snapshot = samples.running()
    address = snapshot["databases"][0]["addresses"][0]
    snapshot["databases"][0]["addresses"] = [{**address, "address": f"10.0.0.1:{n}"} for n in odd]
    found = scrape(metrics, snapshot)

    def series(name: str) -> dict[str, float]:
        return {key: value for key, value in found.items() if key.startswith(name + "{")}

    assert len(series("dbambassador_dials_total")) == MAX_SERIES + 1
    assert sum(series("dbambassador_dials_total").values()) == len(odd)
    assert len(series("dbambassador_dns_lookup_duration_seconds_count")) == MAX_SERIES + 1
    assert len(series("dbambassador_address_state")) == MAX_SERIES


def test_names_follow_openmetrics() -> None:
    suffixes = {families.Kind.COUNTER: "_total", families.Kind.INFO: "_info"}
    for family in families.EVERY:
        assert family.name.startswith(("dbambassador_", "process_"))
        assert family.name.endswith(suffixes.get(family.kind, ""))
        others = {suffix for kind, suffix in suffixes.items() if kind is not family.kind}
        assert not family.name.endswith((*others, "_count", "_sum", "_bucket"))
