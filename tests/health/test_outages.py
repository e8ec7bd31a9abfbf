"""How often, and for how long, a database had no usable address."""

from __future__ import annotations

from dbambassador.health.outages import Outages


def test_a_start_is_no_outage_but_its_seconds_count() -> None:
    outages = Outages(100.0)
    assert outages.seconds(101.0) == 1.0
    assert outages.note(100.0, 101.0) == 0.0
    assert outages.note(None, 103.0) == 3.0
    assert (outages.count, outages.seconds(150.0)) == (0, 3.0)


def test_each_loss_counts_once_and_its_seconds_while_they_pass() -> None:
    outages = Outages(100.0)
    outages.note(None, 100.0)
    assert outages.note(110.0, 110.0) == 0.0
    assert outages.note(110.0, 112.0) == 0.0
    assert (outages.count, outages.seconds(114.0)) == (1, 4.0)
    assert outages.note(None, 115.0) == 5.0
    assert outages.note(None, 116.0) == 0.0
    outages.note(120.0, 120.0)
    assert (outages.count, outages.seconds(121.0)) == (2, 6.0)
