"""Fuzzes one target, or replays one input: `python -m tests.fuzz TARGET [--seconds S | --replay HEX]`."""

from __future__ import annotations

import argparse
import json
import mmap
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.campaign import Campaign
from tests.fuzz.execution import watching
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import Target

BATCH = 200
"""Inputs between two looks at the clock."""


def main() -> int:
    told = _arguments()
    target = next(target for target in TARGETS if target.name == told.target)
    if told.replay is not None:
        return _replayed(target, bytes.fromhex(told.replay.removeprefix("-")))
    with watching() as watch:
        campaign = Campaign(target, told.seed, watch, len if told.last is None else _noted(told.last))
        campaign.sow()
        deadline = time.monotonic() + told.seconds
        while time.monotonic() < deadline and not campaign.weary:
            campaign.run(BATCH)
    for finding in campaign.findings:
        print(finding, file=sys.stderr)
    print(
        json.dumps(
            {
                "executions": campaign.executions,
                "kept": campaign.kept,
                "lines": len(campaign.coverage.lines),
                "reached": len(campaign.coverage.reached & campaign.coverage.lines),
                "missed": campaign.coverage.missed(),
                "findings": [str(finding) for finding in campaign.findings],
            }
        )
    )
    return bool(campaign.findings)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[target.name for target in TARGETS], metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="other inputs for each")
    parser.add_argument("--replay", metavar="HEX", help="runs this one input, as a finding tells it")
    parser.add_argument("--last", type=Path, metavar="FILE", help="keeps the input that is being run")
    return parser.parse_args()


def _replayed(target: Target, data: bytes) -> int:
    with watching() as watch:
        finding = watch.run(target, data) or watch.measured(target, data)
    print(finding or "as promised")
    return finding is not None


def _noted(path: Path) -> Callable[[bytes], object]:
    """Writes each input where it outlives this process: what no signal can stop is then known as well."""
    longest = max(target.longest for target in TARGETS)
    path.write_bytes(bytes(4 + longest))
    with path.open("r+b") as file:
        kept = mmap.mmap(file.fileno(), 4 + longest)

    def note(data: bytes) -> None:
        data = data[:longest]
        kept[: 4 + len(data)] = len(data).to_bytes(4, "big") + data

    return note


if __name__ == "__main__":
    sys.exit(main())
