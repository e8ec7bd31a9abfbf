"""Runs every benchmark and prints its table."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from dbambassador.demo.installations import installations
from dbambassador.demo.postgresql import Ground
from dbambassador.demo.processes import temporary_directory
from tests.bench import failover, idle, reflection, throughput


def main() -> int:
    """`--json FILE` keeps the figures as well."""
    results: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}",
        "python": platform.python_version(),
    }
    print(f"# {results['machine']}, Python {results['python']}")
    with temporary_directory("dbambassador-bench-") as directory, TemporaryDirectory() as own:
        ground = Ground.prepared(installations()[0], directory)
        for benchmark in (idle, reflection, failover, throughput):
            print(f"\n## {benchmark.TITLE}\n", flush=True)
            results[benchmark.__name__.rpartition(".")[2]] = benchmark.run(ground, Path(own))
    if sys.argv[1:2] == ["--json"]:
        Path(sys.argv[2]).write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
