"""Runs benchmarks and prints their tables: `python -m tests.bench [NAME…]`, all of them without a name."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from dbambassador.demo.installations import installations
from dbambassador.demo.postgresql import Ground
from dbambassador.demo.processes import temporary_directory
from tests.bench import comparison, endurance, failover, faults, fuzz, idle, integrity, reflection, tls

BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module
    for module in (idle, reflection, failover, comparison, tls, integrity, endurance, faults, fuzz)
}


def main() -> int:
    told = _arguments()
    results: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}",
        "python": platform.python_version(),
    }
    print(f"# {results['machine']}, Python {results['python']}")
    with ExitStack() as ending:
        directory = ending.enter_context(temporary_directory("dbambassador-bench-"))
        own = told.logs or Path(ending.enter_context(TemporaryDirectory()))
        own.mkdir(parents=True, exist_ok=True)
        ground = Ground.prepared(installations()[0], directory)
        for name in told.names or BENCHMARKS:
            benchmark = BENCHMARKS[name]
            run: Callable[[Ground, Path], dict[str, object]] = benchmark.run
            if benchmark is faults:
                run = partial(faults.run, only=told.only)
            elif benchmark is fuzz:
                run = partial(fuzz.run, only=told.only)
            elif benchmark is comparison:
                run = partial(comparison.run, only=told.only, quick=told.quick)
            print(f"\n## {benchmark.TITLE}\n", flush=True)
            results[name] = run(ground, own)
    if told.json:
        told.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keeps the figures as well")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keeps the logs; a new or empty directory")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help=f"rows of faults, targets of fuzz, or measures of comparison: {', '.join(comparison.MEASURES)}",
    )
    parser.add_argument("--quick", action="store_true", help="a short comparison, with HAProxy alone")
    told = parser.parse_args()
    unknown = set(told.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    if told.only and len(told.names) != 1:
        parser.error("--only is for one benchmark, so name it")
    return told


if __name__ == "__main__":
    sys.exit(main())
