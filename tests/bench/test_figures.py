"""What is said of a comparison's samples."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import comparison, picture, tables
from tests.bench.figures import DIRECT, OURS, REFERENCE, Better, Figure, Quantity, Spread
from tests.bench.relay_ways import PGBOUNCER, Way
from tests.bench.trials import Trial

TPS = Quantity("throughput", "tps", Better.MORE)
TIME = Quantity("time", "µs", Better.LESS)


def figure(quantity: Quantity, **samples: list[float]) -> Figure:
    names = {"direct": DIRECT, "theirs": REFERENCE, "ours": OURS}
    return Figure("Group", "case", quantity, {names[name]: values for name, values in samples.items()})


def test_a_ratio_is_the_median_of_those_within_each_round() -> None:
    # The machine became ten times as fast, and ours was always half as fast as theirs.
    found = figure(TPS, theirs=[100, 1000, 200], ours=[50, 500, 100])
    assert found.ratio(OURS) == Spread(0.5, 0.5, 0.5)
    assert found.value(OURS) == Spread(100, 50, 500)


def test_what_a_way_adds_is_beyond_the_direct_way_of_the_same_round() -> None:
    added = Quantity("added", "µs", Better.LESS, beyond_direct=True)
    rounds = [
        {DIRECT: 100.0, REFERENCE: 200.0, OURS: 250.0},
        {DIRECT: 1000.0, REFERENCE: 1100.0, OURS: 1150.0},
    ]
    assert Figure.collected("", "", added, rounds).samples == {REFERENCE: [100, 100], OURS: [150, 150]}


def test_a_way_that_lacks_a_round_is_left_out() -> None:
    rounds: list[dict[str, float | None]] = [{REFERENCE: 1.0, OURS: 2.0}, {REFERENCE: 1.0, OURS: None}]
    found = Figure.collected("", "", TPS, rounds)
    assert found.samples == {REFERENCE: [1, 1]}
    assert found.ratio(OURS) is None


@pytest.mark.parametrize(
    ("quantity", "ours", "missed"),
    [
        (TPS.aiming(0.9), 91, False),
        (TPS.aiming(0.9), 89, True),
        (TIME.aiming(1.1), 109, False),
        (TIME.aiming(1.1), 112, True),
        (TIME.aiming(105, absolute=True), 104, False),
        (TIME.aiming(105, absolute=True), 106, True),
        (TIME, 1000, False),
    ],
)
def test_a_goal_is_missed_on_its_wrong_side_alone(quantity: Quantity, ours: float, missed: bool) -> None:
    found = figure(quantity, theirs=[100], ours=[ours])
    assert found.missed() is missed
    assert ("✗" in tables.table([found])) is missed


def test_a_table_has_values_spreads_and_ratios() -> None:
    found = figure(TPS.aiming(0.9), direct=[300, 300, 310], theirs=[100, 200, 300], ours=[95, 196, 330])
    assert tables.table([found]).splitlines() == [
        "| | direct | dbambassador | HAProxy | goal |",
        "|---|---|---|---|---|",
        "| case: throughput, tps | 1.50 ×, 300 (300–310) | **0.98 ×**, 196 (95.0–330) "
        "| 200 (100–300) | ≥ 0.9 × |",
    ]


def test_a_figure_survives_json() -> None:
    found = figure(TIME.aiming(5, absolute=True), theirs=[1.5, 2], ours=[3, 4])
    assert Figure.of_document(json.loads(json.dumps(found.document()))) == found


def test_a_part_of_a_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- it:begin -->\nold\n<!-- it:end -->\nafter\n")
    tables.replace_part(page, "it", "new\n")
    assert page.read_text() == "before\n<!-- it:begin -->\nnew\n<!-- it:end -->\nafter\n"
    with pytest.raises(ValueError, match="has no"):
        tables.replace_part(page, "other", "")


def test_better_is_above_one_whatever_the_quantity() -> None:
    assert picture.goodness(figure(TPS, theirs=[100], ours=[200]), OURS) == 2
    assert picture.goodness(figure(TIME, theirs=[100], ours=[200]), OURS) == 0.5


@pytest.mark.parametrize("theme", picture.THEMES)
def test_the_picture_has_a_line_for_each_row_that_was_measured(theme: str) -> None:
    figures = [
        Figure(
            row.group,
            row.case,
            Quantity(row.quantity, "", Better.MORE),
            {REFERENCE: [1], OURS: [1.5], PGBOUNCER: [30]},
        )
        for rows in picture.SECTIONS.values()
        for row in rows[:2]
    ]
    drawn = picture.drawn(figures, theme)
    ElementTree.fromstring(drawn)
    assert drawn.count(">1.50 ×<") == drawn.count("30 × ▶") == len(figures)


def test_a_way_that_fails_is_left_out_and_the_others_go_there_and_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    order = []

    def run(way: Way) -> list[float]:
        order.append(way.name)
        if way.name == REFERENCE and len(order) > 3:
            raise AssertionError("broken")
        return [1.0]

    trial = Trial("Group", "case", (TPS,), run)
    ways = [Way(name, 1) for name in (DIRECT, REFERENCE, OURS)]
    [found] = comparison.tried(trial, ways, 3)
    assert order == [DIRECT, REFERENCE, OURS, OURS, REFERENCE, DIRECT, DIRECT, OURS]
    assert found.samples == {DIRECT: [1, 1, 1], OURS: [1, 1, 1]}
    assert "HAProxy is left out of Group, case: AssertionError('broken')" in capsys.readouterr().out
