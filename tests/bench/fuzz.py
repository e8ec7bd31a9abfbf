"""Ten minutes of fuzzing, on all processors: executions, lines reached, and what was found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dbambassador.demo.postgresql import Ground
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import Target

TITLE = "Fuzzing: every parser, from the captures of real handshakes"
SECONDS = 600.0
"""Of all targets together, on all processors."""
GRACE = 60.0
"""Seconds for a target beyond its own, to make an input smaller; then it hangs where no signal reaches it."""


def run(
    ground: Ground, directory: Path, only: Sequence[str] = (), seconds: float = SECONDS
) -> dict[str, object]:
    targets = [target for target in TARGETS if not only or target.name in only]
    if unknown := set(only) - {target.name for target in targets}:
        raise SystemExit(f"no target {', '.join(sorted(unknown))}")
    workers = os.cpu_count() or 1
    each = seconds * min(workers, len(targets)) / len(targets)
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}, {each:.0f} s for each target, {workers} at a time\n")
    print("| target | executions | a second | inputs kept | lines reached | findings |")
    print("|---|---|---|---|---|---|", flush=True)
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda target: _fuzzed(target, each, seed, directory), targets))
    found = [finding for result in results for finding in result["findings"]]
    executions = sum(result["executions"] for result in results)
    print(f"\n{executions} executions, {len(found)} findings")
    for finding in found:
        print(f"\n{finding}")
    return {"seed": seed, "executions": executions, **{result["target"]: result for result in results}}


def _fuzzed(target: Target, seconds: float, seed: int, directory: Path) -> dict[str, Any]:
    """What one process made of one target; its row is printed."""
    last = directory / f"{target.name}.last"
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        target.name,
        "--seconds",
        f"{seconds}",
        "--seed",
        f"{seed}",
    ]
    result: dict[str, Any]
    try:
        done = subprocess.run(
            [*command, "--last", str(last)],
            capture_output=True,
            text=True,
            timeout=seconds + GRACE,
            cwd=Path(__file__).parents[2],
        )
        result = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        how = "hangs" if isinstance(error, subprocess.TimeoutExpired) else "has crashed"
        finding = (
            f"{target.name}: the process {how}\nreplay: {' '.join(command[2:4])} --replay {_input(last)}"
        )
        result = {"executions": 0, "kept": 0, "lines": 0, "reached": 0, "findings": [finding]}
    rate = result["executions"] / seconds
    lines = f"{result['reached']} of {result['lines']}"
    cells = (target.name, result["executions"], f"{rate:.0f}", result["kept"], lines, len(result["findings"]))
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return {"target": target.name, **result}


def _input(last: Path) -> str:
    """The one that was being run."""
    kept = last.read_bytes()
    return kept[4 : 4 + int.from_bytes(kept[:4], "big")].hex() or "-"
