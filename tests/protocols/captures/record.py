"""Records all captures anew: `python -m tests.protocols.captures.record`, with the servers of this machine.

Those of servers that are not here are left as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from dbambassador.demo.installations import installations
from dbambassador.demo.processes import temporary_directory
from tests.protocols.captures import DIRECTORY, Words, mariadb, mysql, postgresql, written
from tests.testbed.requirements import find
from tests.testbed.sid import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.protocols.captures.record", description=__doc__)
    parser.add_argument("--into", type=Path, default=DIRECTORY, metavar="DIR", help="another directory")
    into: Path = parser.parse_args().into
    for installation in installations():
        major = installation.version.partition(".")[0]
        with temporary_directory("dbambassador-capture-") as directory:
            what = f"PostgreSQL {installation.version}"
            _write(into, f"postgresql-{major}", what, postgresql.scenes(installation, directory))
    if find("mariadbd") is not None:
        with temporary_directory("dbambassador-capture-") as directory:
            _write(into, "mariadb", "MariaDB", mariadb.scenes(directory))
    if (ROOT / "usr/sbin/mysqld").exists():
        with temporary_directory("dbambassador-capture-") as directory:
            _write(into, "mysql", "MySQL", mysql.scenes(directory))
    return 0


def _write(into: Path, prefix: str, what: str, recorded: Iterable[tuple[str, Words]]) -> None:
    for name, words in recorded:
        path = into / f"{prefix}-{name}.hex"
        path.write_text(written(f"{what}: {name.replace('-', ' ')}", words))
        print(f"{path.name}: {sum(len(data) for _, data in words)} bytes", flush=True)


if __name__ == "__main__":
    sys.exit(main())
