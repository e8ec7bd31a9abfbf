"""A small curve of the last minute's traffic, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dbambassador.observability.page.markup import Html, element
from dbambassador.observability.traffic import SPAN

WIDTH, HEIGHT = 120, 24
"""User units; the page scales them."""


def sparkline(steps: Sequence[tuple[float, float, float]], label: str) -> Html:
    """
    Args:
      steps: as (began, ended, value), in seconds ago, oldest first.
      label: what the curve says, for who cannot see it.
    """
    highest = max((value for *_, value in steps), default=0.0)
    points = []
    for began, ended, value in steps:
        # One pixel stays free above and below, for the width of the line.
        y = HEIGHT - 1 - (value / highest * (HEIGHT - 2) if highest > 0 else 0)
        points += [f"{_x(began)},{y:.1f}", f"{_x(ended)},{y:.1f}"]
    return element(
        "svg",
        *([element("polyline", points=Html(" ".join(points)))] if points else []),
        class_="spark",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def bar(share: float, label: str) -> Html:
    """How much is left of a whole; `share` is between 0 and 1."""
    return element(
        "svg",
        element("rect", class_="whole", width=100, height=4),
        element("rect", class_="left", width=f"{100 * min(max(share, 0.0), 1.0):.0f}", height=4),
        class_="bar",
        viewBox="0 0 100 4",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def _x(ago: float) -> str:
    return f"{max(0.0, 1 - ago / SPAN) * WIDTH:.1f}"
