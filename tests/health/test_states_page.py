"""The diagram and the table of states in the documentation are those of the code."""

from __future__ import annotations

from dbambassador.health.states import TRANSITIONS
from tests.health.states_page import rendered, written


def test_the_page_shows_the_table_of_the_code() -> None:
    assert written() == rendered(), "run: python -m tests.health.states_page"


def test_every_transition_is_drawn_and_tabled() -> None:
    page = rendered()
    for (before, cause), after in TRANSITIONS.items():
        drawn = [line for line in page.splitlines() if cause.value in line and "-->" in line]
        ends = (before.value.replace("-", "_"), after.value.replace("-", "_"))
        assert any(line.strip().startswith(f"{ends[0]} --> {ends[1]}:") for line in drawn)
