"""The fault matrix: every row of `tests.faults`, its figures against their goals, the table of the docs."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from dbambassador.demo.postgresql import Ground
from tests.faults.building import Stock
from tests.faults.play import play
from tests.faults.rows import ALL, named
from tests.faults.verdict import Verdict, shown

TITLE = "Faults: what clients see of each, against goals"

PAGE = Path(__file__).parents[2] / "docs/failover.md"
BEGIN, END = "<!-- faults:begin -->", "<!-- faults:end -->"

COLUMNS = (
    "detect",
    "follow",
    "failed",
    "gap",
    "ended",
    "lost",
    "stray",
    "bystander",
    "memory",
    "descriptors",
)
MISSED = "✗"


def run(ground: Ground, directory: Path, only: Sequence[str] = ()) -> dict[str, object]:
    """Plays all rows, or `only` those named, and prints each as it comes. `directory` keeps their logs.

    The table in the documentation is written anew when all rows were played.
    """
    rows = [named(name) for name in only] or list(ALL)
    stock = Stock.prepared(ground, ground.directory)
    verdicts = []
    for scenario in rows:
        started = time.monotonic()
        try:
            verdict = play(scenario, stock, directory / scenario.name)
        except Exception as fault:  # one row that cannot be played leaves the others to be played
            traceback.print_exc()
            verdict = Verdict(scenario, (), (), not_yet=repr(fault))
        verdicts.append(verdict)
        _tell(verdict, time.monotonic() - started)
    reached = sum(not verdict.missed() and not verdict.not_yet for verdict in verdicts)
    print(f"{reached} of {len(verdicts)} rows reach all their goals")
    if not only:
        write_table(PAGE, verdicts)
    return {verdict.scenario.name: _figures(verdict) for verdict in verdicts}


def write_table(page: Path, verdicts: Sequence[Verdict]) -> None:
    """Replaces what stands between the two markers of the page. Raises ValueError where it has none."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n{table(verdicts)}\n{END}{after}")


def table(verdicts: Sequence[Verdict]) -> str:
    """In Markdown; a figure that misses its goal has a mark."""
    lines = ["| fault | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for verdict in verdicts:
        if verdict.not_yet:
            cells = ["not played"] + [""] * (len(COLUMNS) - 1)
        else:
            cells = [_cell(verdict, name) for name in COLUMNS]
        lines.append(f"| {verdict.scenario.fault} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(verdict: Verdict, name: str) -> str:
    figure = verdict[name]
    return shown(figure) if figure.reached() else f"{MISSED} {shown(figure)}"


def _tell(verdict: Verdict, seconds: float) -> None:
    name = verdict.scenario.name
    if verdict.not_yet:
        print(f"- {name}: not played: {verdict.not_yet.splitlines()[-1]}", flush=True)
        return
    missed = verdict.missed()
    print(f"{MISSED if missed else '✓'} {name} ({seconds:.1f} s): {'; '.join(map(str, verdict.figures))}")
    for text in missed:
        print(f"    missed: {text}")
    for text in (*verdict.errors, *verdict.notes):
        print(f"    told: {text.splitlines()[0][:160]}")
    print(end="", flush=True)


def _figures(verdict: Verdict) -> dict[str, object]:
    return {
        "fault": verdict.scenario.fault,
        "figures": {
            figure.name: {"value": figure.value, "goal": figure.goal, "unit": figure.unit}
            for figure in verdict.figures
        },
        "missed": verdict.missed(),
        "errors": verdict.errors,
        "not_yet": verdict.not_yet,
    }
