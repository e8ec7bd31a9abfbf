"""The figures of a comparison as Markdown, and their place in a page. Pure but for the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from tests.bench.figures import DIRECT, OURS, REFERENCE, Better, Figure, shown

MISSED = "✗"
NOTHING = "–"


def groups(figures: Sequence[Figure]) -> str:
    """A heading and a table for each group."""
    parts = []
    for name, members in groupby(figures, lambda figure: figure.group):
        parts.append(f"### {name}\n\n{table(list(members))}\n")
    return "\n".join(parts)


def table(figures: Sequence[Figure]) -> str:
    """A row for each figure, a column for each way that any of them has."""
    found = dict.fromkeys(way for figure in figures for way in figure.samples)
    ways = in_order(found)
    return "\n".join([*head(ways), *(row(figure, ways) for figure in figures)])


def in_order(ways: Iterable[str]) -> list[str]:
    """As a reader wants them: the direct one, ours, HAProxy, and the others."""
    return sorted(ways, key=lambda way: (way != DIRECT, way != OURS, way != REFERENCE))


def head(ways: Sequence[str]) -> tuple[str, str]:
    """The two lines that begin a table of these ways."""
    return f"| | {' | '.join(ways)} | goal |", "|---" * (len(ways) + 2) + "|"


def row(figure: Figure, ways: Sequence[str]) -> str:
    what = f"{figure.case}: {figure.quantity.name}" if figure.case else figure.quantity.name
    cells = [_cell(figure, way) for way in ways]
    return f"| {what}, {figure.quantity.unit} | {' | '.join(cells)} | {_goal(figure)} |"


def replace_part(page: Path, name: str, text: str) -> None:
    """Replaces what stands between the markers of this name. Raises ValueError where the page has none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, begun, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"{page} has no {begin} … {end}")
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")


def _cell(figure: Figure, way: str) -> str:
    value = figure.value(way)
    if value is None:
        return NOTHING
    text = f"{shown(value.median)} ({shown(value.least)}–{shown(value.most)})"
    ratio = None if way == REFERENCE else figure.ratio(way)
    if ratio is not None:
        times = f"{ratio.median:.2f} ×"
        text = f"{f'**{times}**' if way == OURS else times}, {text}"
    return f"{MISSED} {text}" if way == OURS and figure.missed() else text


def _goal(figure: Figure) -> str:
    goal = figure.quantity.goal
    if goal is None:
        return ""
    sign = "≥" if figure.quantity.better is Better.MORE else "≤"
    return f"{sign} {goal.bound:g} {figure.quantity.unit if goal.absolute else '×'}"
