"""The table of states in the documentation is the table in the code."""

from __future__ import annotations

from pathlib import Path

from dbambassador.health.evidence import Signal
from dbambassador.health.states import TRANSITIONS, State

PAGE = Path(__file__).parents[2] / "docs/failover.md"

COLUMNS = (
    Signal.ANSWERED,
    Signal.NOT_READY,
    Signal.FALTERED,
    Signal.FAILED,
    Signal.SILENT,
    Signal.SESSION_BROKE,
    Signal.RETRY_DUE,
)


def test_every_transition_is_in_the_table() -> None:
    lines = PAGE.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| from |"))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[start + 2 :][: len(State)]
    ]
    told = {
        (State(row[0]), signal): State(cell)
        for row in rows
        for signal, cell in zip(COLUMNS, row[1:], strict=True)
        if cell != "–"
    }
    assert told == TRANSITIONS
