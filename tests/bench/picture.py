"""The picture of a comparison: how many times as good as HAProxy each way is; better is right. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.bench.figures import OURS, REFERENCE, Better, Figure
from tests.bench.relay_ways import NGINX, PGBOUNCER


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of GitHub's themes, and of Okabe and Ito's palette, which colour-blind eyes tell apart."""

    text: str
    faint: str
    line: str
    ground: str
    better: str
    worse: str


THEMES: Mapping[str, Theme] = {
    "light": Theme("#1f2328", "#59636e", "#d1d9e0", "#ffffff", "#0072b2", "#d55e00"),
    "dark": Theme("#f0f6fc", "#9198a1", "#3d444d", "#0d1117", "#56b4e9", "#e69f00"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the picture."""

    caption: str
    group: str
    case: str
    quantity: str


_PREPARED = "PostgreSQL, pgbench select-only, prepared"
_MARIADB = "MariaDB, sysbench oltp_point_select"
_REDIS = "Redis through a `tcp` listener, redis-benchmark GET, 50 clients"
_BULK = "PostgreSQL, bulk"
_CONNECT = "PostgreSQL, a new connection for each transaction"
_CHURN = "PostgreSQL, latency at 3,000 transactions and 100 new connections a second"
_NEW = "New connection, from connect to the first answer of a stub"
_SPEED, _CPU, _ADDED = "throughput", "CPU of the relay", "what the way adds"

SECTIONS: Mapping[str, tuple[Row, ...]] = {
    "Throughput": (
        Row("PostgreSQL, 1 client", _PREPARED, "1 client", _SPEED),
        Row("8 clients", _PREPARED, "8 clients", _SPEED),
        Row("32 clients", _PREPARED, "32 clients", _SPEED),
        Row("128 clients", _PREPARED, "128 clients", _SPEED),
        Row("MariaDB, 1 client", _MARIADB, "1 thread", _SPEED),
        Row("8 clients", _MARIADB, "8 threads", _SPEED),
        Row("32 clients", _MARIADB, "32 threads", _SPEED),
        Row("Redis, 50 clients", _REDIS, "1 in flight each", _SPEED),
        Row("the same, pipelined", _REDIS, "16 in flight each", _SPEED),
        Row("bulk COPY out", _BULK, "COPY TO STDOUT", _SPEED),
        Row("bulk COPY in", _BULK, "COPY FROM STDIN", _SPEED),
    ),
    "Latency at a fixed rate, with churn": (
        Row("p50", _CHURN, "", "p50"),
        Row("p99", _CHURN, "", "p99"),
        Row("p99.9", _CHURN, "", "p99.9"),
    ),
    "CPU of the relay": (
        Row("PostgreSQL, 8 clients", _PREPARED, "8 clients", _CPU),
        Row("128 clients", _PREPARED, "128 clients", _CPU),
        Row("MariaDB, 8 clients", _MARIADB, "8 threads", _CPU),
        Row("Redis, 50 clients", _REDIS, "1 in flight each", _CPU),
        Row("bulk COPY out", _BULK, "COPY TO STDOUT", _CPU),
        Row("bulk COPY in", _BULK, "COPY FROM STDIN", _CPU),
    ),
    "New connections": (
        Row("PostgreSQL, each second", _CONNECT, "2 clients", _SPEED),
        Row("time added: tcp", _NEW, "`tcp`", _ADDED),
        Row("PostgreSQL", _NEW, "`postgresql`", _ADDED),
        Row("MySQL", _NEW, "`mysql`", _ADDED),
    ),
    "Memory": (
        Row("an idle connection", "Memory", "`tcp`", "resident, at 5,000 connections"),
        Row("the idle process", "Memory", "`tcp`", "resident, no connection yet"),
    ),
}

TICKS = {1 / 16: "1/16 ×", 1 / 8: "⅛ ×", 1 / 4: "¼ ×", 1 / 2: "½ ×", 1: "1 ×", 2: "2 ×"}
MOST = max(TICKS)
EVEN = 0.1
"""As good as HAProxy: within a tenth of it, which is a goal of ours and about what rounds differ by."""

WIDTH, LEFT, RIGHT = 820, 196, 86
TOP, STEP, BETWEEN, BOTTOM = 124, 19, 30, 24
AXIS = 104
"""Where the scale begins, below title, legend and directions."""
FONT = "-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic one: twice as good is as far to the right as half as good is to the left."""

    least: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Scale:
        """One that has room for all of these that are no better than MOST, and for half as good."""
        least = min(0.5, *ratios)
        return cls(max((tick for tick in TICKS if tick <= least), default=min(TICKS)))

    def x(self, ratio: float) -> float:
        clamped = min(max(ratio, self.least), MOST)
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(clamped / self.least) / math.log(MOST / self.least)


def drawn(figures: Sequence[Figure], theme: str) -> str:
    """As SVG, for one of THEMES. What was not measured is left out."""
    colours = THEMES[theme]
    known = {(figure.group, figure.case, figure.quantity.name): figure for figure in figures}
    sections = {
        heading: [
            (row.caption, figure)
            for row in rows
            if (figure := known.get((row.group, row.case, row.quantity))) and goodness(figure, OURS)
        ]
        for heading, rows in SECTIONS.items()
    }
    scale = Scale.of([goodness(figure, OURS) or 1 for members in sections.values() for _, figure in members])
    parts: list[str] = []
    y = TOP
    for heading, members in sections.items():
        if not members:
            continue
        parts.append(_text(16, y + 4, heading, colours.text, weight=600))
        y += STEP + 3
        for caption, figure in members:
            parts += _line(y, caption, figure, colours, scale)
            y += STEP
        y += BETWEEN - STEP
    height = y + BOTTOM - BETWEEN + STEP
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" font-family="{FONT}" font-size="13" role="img" '
            f'aria-label="dbambassador as a multiple of HAProxy, measure by measure">',
            f'<rect width="{WIDTH}" height="{height}" fill="{colours.ground}" rx="6"/>',
            *_frame(y - BETWEEN + STEP - 4, colours, scale),
            *parts,
            "</svg>\n",
        )
    )


def goodness(figure: Figure, way: str) -> float | None:
    """How many times as good as HAProxy; above 1 is better whatever the quantity."""
    ratio = figure.ratio(way)
    if ratio is None or ratio.median <= 0:
        return None
    return ratio.median if figure.quantity.better is Better.MORE else 1 / ratio.median


def _line(y: float, caption: str, figure: Figure, colours: Theme, scale: Scale) -> Iterator[str]:
    yield _text(LEFT - 12, y + 4, caption, colours.text, anchor="end")
    for way, marker in ((NGINX, _diamond), (PGBOUNCER, _square)):
        times = goodness(figure, way)
        if times is None:
            continue
        if times <= MOST:
            yield marker(scale.x(times), y, colours)
        else:
            yield marker(scale.x(MOST) - 66, y, colours)
            yield _text(scale.x(MOST) - 6, y + 4, f"{times:.0f} × ▶", colours.faint, anchor="end")
    ours = goodness(figure, OURS)
    assert ours is not None
    colour = colours.better if round(ours, 2) >= 1 - EVEN else colours.worse
    x = scale.x(ours)
    yield (f'<line x1="{scale.x(1):.1f}" y1="{y}" x2="{x:.1f}" y2="{y}" stroke="{colour}" stroke-width="5"/>')
    yield f'<circle cx="{x:.1f}" cy="{y}" r="6" fill="{colour}"/>'
    yield _text(WIDTH - 16, y + 4, f"{ours:.2f} ×", colour, anchor="end", weight=600)


def _frame(bottom: float, colours: Theme, scale: Scale) -> Iterator[str]:
    yield _text(16, 30, f"{OURS} beside {REFERENCE}, which is 1 ×", colours.text, size=18, weight=600)
    y = 57
    for at, colour, text in (
        (22, colours.better, f"{OURS}: as good (within 10 %) or better"),
        (372, colours.worse, "worse"),
    ):
        yield f'<circle cx="{at}" cy="{y}" r="6" fill="{colour}"/>'
        yield _text(at + 12, y + 4, text, colours.text)
    for at, marker, text in ((452, _diamond, NGINX), (576, _square, PGBOUNCER)):
        yield marker(at, y, colours)
        yield _text(at + 12, y + 4, text, colours.faint)
    for ratio, text in TICKS.items():
        if ratio < scale.least:
            continue
        x = scale.x(ratio)
        colour, width = (colours.text, 2) if ratio == 1 else (colours.line, 1)
        yield (
            f'<line x1="{x:.1f}" y1="{AXIS}" x2="{x:.1f}" y2="{bottom}" stroke="{colour}" '
            f'stroke-width="{width}"/>'
        )
        yield _text(x, bottom + 18, text, colours.faint, anchor="middle")
    yield _text(scale.x(1), AXIS - 8, REFERENCE, colours.text, anchor="middle", weight=600)
    yield _text(scale.x(1) - 44, AXIS - 8, "◀ worse", colours.worse, anchor="end", weight=600)
    yield _text(scale.x(1) + 44, AXIS - 8, "better ▶", colours.better, weight=600)


def _diamond(x: float, y: float, colours: Theme) -> str:
    points = f"{x:.1f},{y - 5} {x + 5:.1f},{y} {x:.1f},{y + 5} {x - 5:.1f},{y}"
    return f'<polygon points="{points}" fill="none" stroke="{colours.faint}" stroke-width="1.5"/>'


def _square(x: float, y: float, colours: Theme) -> str:
    return (
        f'<rect x="{x - 4:.1f}" y="{y - 4}" width="8" height="8" fill="none" stroke="{colours.faint}" '
        'stroke-width="1.5"/>'
    )


def _text(
    x: float, y: float, text: str, colour: str, *, anchor: str = "start", size: int = 13, weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{colour}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )
