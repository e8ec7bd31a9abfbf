from __future__ import annotations

from dbambassador import events
from dbambassador.observability.latencies import KEPT, Latencies
from dbambassador.values import Address
from tests.observability import samples

UP, DOWN = Address("10.0.0.8", 5432), Address("10.0.0.7", 5432)


def found(latencies: Latencies) -> dict[str, tuple[float | None, str | None]]:
    snapshot = samples.running()
    for address in snapshot["databases"][0]["addresses"]:
        del address["latency_seconds"], address["latency_of"]
    orders = latencies.within(snapshot)["databases"][0]["addresses"]
    return {each["address"]: (each["latency_seconds"], each["latency_of"]) for each in orders}


def test_the_last_success_counts_be_it_a_dial_or_a_check() -> None:
    latencies = Latencies()
    assert found(latencies) == {str(DOWN): (None, None), str(UP): (None, None)}
    latencies(events.ProbeEnded("orders", UP, "answered", 0.0123456789))
    assert found(latencies)[str(UP)] == (0.012346, "check")
    latencies(events.DialEnded("orders", UP, "connected", 0.001))
    assert found(latencies)[str(UP)] == (0.001, "dial")


def test_a_failure_and_another_database_say_nothing() -> None:
    latencies = Latencies()
    latencies(events.ProbeEnded("orders", DOWN, "silent", 2.0))
    latencies(events.DialEnded("orders", DOWN, "refused", 0.001))
    latencies(events.DialEnded("carts", DOWN, "connected", 0.001))
    assert found(latencies)[str(DOWN)] == (None, None)


def test_addresses_that_come_and_go_are_forgotten() -> None:
    latencies = Latencies()
    latencies(events.DialEnded("orders", UP, "connected", 0.001))
    for port in range(1, KEPT):
        latencies(events.DialEnded("orders", Address("10.0.0.7", port), "connected", 0.001))
    assert found(latencies)[str(UP)] == (0.001, "dial")
    latencies(events.DialEnded("orders", DOWN, "connected", 0.001))
    assert found(latencies) == {str(DOWN): (0.001, "dial"), str(UP): (None, None)}
