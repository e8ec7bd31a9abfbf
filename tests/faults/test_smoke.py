"""The rows of the matrix that every change is held against; `python -m tests.bench faults` plays all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbambassador.demo.postgresql import Ground
from dbambassador.demo.processes import temporary_directory
from tests.faults.building import Stock
from tests.faults.play import BEYOND, play
from tests.faults.rows import ALL
from tests.faults.scenario import Scenario

SLACK = BEYOND - 0.1
"""Seconds that a machine with other work may add. With more, the change of DNS would pass for a notice."""

SMOKE = [scenario for scenario in ALL if scenario.smoke]


@pytest.fixture(scope="session")
def stock(postgresql_ground: Ground) -> Iterator[Stock]:
    with temporary_directory("dbambassador-faults-") as directory:
        yield Stock.prepared(postgresql_ground, directory)


@pytest.mark.waits
@pytest.mark.parametrize("scenario", SMOKE, ids=lambda scenario: scenario.name)
def test_a_fault_costs_no_more_than_its_goals(scenario: Scenario, stock: Stock, tmp_path: Path) -> None:
    verdict = play(scenario, stock, tmp_path / "row")
    assert not verdict.not_yet
    assert verdict.missed(SLACK) == [], verdict.errors
