from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.observability.traffic import SHORTEST, SPAN, Rate, Traffic


def counted(to_server: int, to_client: int, name: str = "orders") -> dict[str, Any]:
    return {"databases": [{"name": name, "to_server_bytes": to_server, "to_client_bytes": to_client}]}


def test_a_rate_needs_two_looks() -> None:
    traffic = Traffic()
    assert traffic.rates("orders") == []
    traffic.note(counted(100, 1000), 10.0)
    assert traffic.rates("orders") == []
    traffic.note(counted(300, 5000), 12.0)
    assert traffic.rates("orders") == [Rate(2.0, 0.0, 100.0, 2000.0)]


def test_a_second_look_at_once_does_not_shorten_the_picture() -> None:
    traffic = Traffic()
    for at in (10.0, 10.1, 10.2, 10.0 + SHORTEST):
        traffic.note(counted(int(at * 100), 0), at)
    assert traffic.rates("orders") == [Rate(SHORTEST, 0.0, 100.0, 0.0)]


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    traffic = Traffic()
    for at in range(200):
        traffic.note(counted(at, at), float(at))
    rates = traffic.rates("orders")
    assert (rates[0].began, rates[-1].ended, len(rates)) == (SPAN, 0.0, SPAN)


def test_counters_that_begin_anew_are_another_picture() -> None:
    traffic = Traffic()
    traffic.note(counted(100, 1000), 1.0)
    traffic.note(counted(200, 10), 2.0)
    assert traffic.rates("orders") == []
    traffic.note(counted(210, 20), 3.0)
    assert traffic.rates("orders") == [Rate(1.0, 0.0, 10.0, 10.0)]


def test_a_database_that_is_gone_is_forgotten() -> None:
    traffic = Traffic()
    traffic.note(counted(100, 1000), 1.0)
    traffic.note(counted(0, 0, name="carts"), 2.0)
    traffic.note(counted(200, 2000), 3.0)
    assert traffic.rates("orders") == []


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10**12), st.integers(0, 10**12)), max_size=40))
def test_no_rate_is_negative_and_none_has_no_end(looks: list[tuple[float, int, int]]) -> None:
    traffic = Traffic()
    now = 0.0
    for later, to_server, to_client in looks:
        now += later
        traffic.note(counted(to_server, to_client), now)
        for rate in traffic.rates("orders"):
            assert rate.to_server >= 0
            assert rate.to_client >= 0
            assert SPAN + 0.001 > rate.began >= rate.ended + SHORTEST - 0.001
            assert rate.ended >= 0
