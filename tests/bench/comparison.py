"""dbambassador beside other relays: the same loads, way by way in each round, told as ratios to HAProxy.

`python -m tests.bench.comparison FILE` makes the documentation's part anew from the JSON of a whole run.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from dbambassador import __version__
from dbambassador.demo.postgresql import Ground
from tests.bench import picture, tables
from tests.bench.figures import OURS, REFERENCE, Figure
from tests.bench.relay_ways import NGINX, PGBOUNCER, SOCAT, Way
from tests.bench.scenes import ACTS
from tests.bench.trials import FULL, QUICK, Scene, Stage, Trial
from tests.testbed.requirements import find

TITLE = "Comparison: direct, HAProxy, nginx, PgBouncer, socat and dbambassador"

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "performance.md"
PART = "comparison"

DESCRIPTORS = 65_536
"""As many as a relay with thousands of sessions may need. Where a billion are allowed, a program that goes
through all of them would be slow."""

MEASURES = tuple(dict.fromkeys(name for act in ACTS for name in act.measures))

VERSIONS = {
    REFERENCE: ("haproxy", "-v"),
    NGINX: ("nginx", "-v"),
    PGBOUNCER: ("pgbouncer", "--version"),
    SOCAT: ("socat", "-V"),
    "MariaDB": ("mariadbd", "--version"),
    "Redis": ("redis-server", "--version"),
    "sysbench": ("sysbench", "--version"),
}


def run(
    ground: Ground, directory: Path, only: Sequence[str] = (), *, quick: bool = False
) -> dict[str, object]:
    """Measures and prints as it goes. `only` these measures; `quick`: HAProxy alone, shorter, fewer rounds.

    The documentation's tables and picture are made anew when everything was measured in full.
    Raises ValueError for a measure that does not exist.
    """
    unknown = set(only) - set(MEASURES)
    if unknown:
        raise ValueError(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    stage = Stage(ground, ground.directory, QUICK if quick else FULL)
    started = time.monotonic()
    about = _about(ground)
    print(told(about) + "\n", flush=True)
    figures: list[Figure] = []
    whole = not only and not quick
    for act in ACTS:
        wanted = [name for name in act.measures if not only or name in only]
        if not wanted:
            continue
        try:
            with act.open(stage, wanted) as scene:
                if scene is not None:
                    before = figures[-1].group if figures else ""
                    figures += _play(scene, stage.effort.rounds, before)
        except Exception:  # a scene that cannot be played leaves the others to be played
            traceback.print_exc()
            whole = False
    print(f"\n{sum(figure.missed() for figure in figures)} goals missed; {time.monotonic() - started:.0f} s")
    if whole:
        write(about, figures)
    return {"about": about, "figures": [figure.document() for figure in figures]}


def write(about: Mapping[str, str], figures: Sequence[Figure]) -> None:
    """The documentation's part that is generated: the tables, and the picture for both themes."""
    tables.replace_part(PAGE, PART, f"{told(about)}\n\n{tables.groups(figures)}")
    for theme in picture.THEMES:
        (DOCS / f"performance-{theme}.svg").write_text(picture.drawn(figures, theme))


def told(about: Mapping[str, str]) -> str:
    """Where and when it was measured, and what."""
    machine = f"Measured on {about['date']}: {about['machine']}."
    versions = ", ".join(f"{name} {text}" for name, text in about.items() if name not in ("date", "machine"))
    return f"{machine} {versions}."


def _play(scene: Scene, rounds: int, group: str) -> list[Figure]:
    """Prints as it goes; the table of `group` has been begun."""
    figures: list[Figure] = []
    names = tables.in_order(way.name for way in scene.ways)
    for trial in scene.trials:
        if trial.group != group:
            group = trial.group
            print(f"\n### {group}\n", *tables.head(names), sep="\n")
        ways = [way for way in scene.ways if way.name not in trial.without]
        for figure in tried(trial, ways, trial.rounds or rounds):
            figures.append(figure)
            print(tables.row(figure, names), flush=True)
    return figures


def tried(trial: Trial, ways: Sequence[Way], rounds: int) -> list[Figure]:
    """A way that fails is left out from there on."""
    found: list[dict[str, Sequence[float | None]]] = []
    failed: set[str] = set()
    for number in range(rounds):
        one: dict[str, Sequence[float | None]] = {}
        # There and back, so that a machine that becomes slower meets first and last alike.
        for way in ways if number % 2 == 0 else reversed(ways):
            if way.name in failed:
                continue
            try:
                one[way.name] = trial.run(way)
            except Exception as fault:  # of a peer or a load generator: the others are compared without it
                failed.add(way.name)
                print(f"({way.name} is left out of {trial.group}, {trial.case}: {fault!r})")
        found.append(one)
    return [
        Figure.collected(
            trial.group,
            trial.case,
            quantity,
            [{way.name: one[way.name][at] if way.name in one else None for way in ways} for one in found],
        )
        for at, quantity in enumerate(trial.quantities)
    ]


def _about(ground: Ground) -> dict[str, str]:
    about = {
        "date": date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"load average {os.getloadavg()[0]:.1f} before",
        OURS: f"{__version__} (Python {platform.python_version()})",
        "PostgreSQL": ground.installation.version,
    }
    for name, (command, flag) in VERSIONS.items():
        program = find(command)
        if program is not None:
            done = subprocess.run([program, flag], capture_output=True, text=True, timeout=10)
            number = re.search(r"\d+\.\d+[.\d]*\d", done.stdout + done.stderr)
            about[name] = number[0] if number else "?"
    return about


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    kept = json.loads(Path(sys.argv[1]).read_text())[PART]
    write(kept["about"], [Figure.of_document(document) for document in kept["figures"]])
