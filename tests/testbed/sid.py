"""Programs of Debian's unstable release, which scripts/install-sid-servers fetches.

Tests with them are optional.
"""

from __future__ import annotations

import os
from pathlib import Path

from dbambassador.demo.installations import Installation, installation
from tests.testbed.requirements import optional

VARIABLE = "DBAMBASSADOR_TEST_SID"
ROOT = Path(os.environ.get(VARIABLE) or "/var/lib/dbambassador-test/sid")


def sid_program(path: str) -> Path:
    """The program at `path` of the release, as `usr/sbin/mysqld`; skips the test where it is missing."""
    program = ROOT / path
    if not program.exists():
        optional(f"{program} is missing: run scripts/install-sid-servers, or set {VARIABLE}")
    return program


def sid_postgresql() -> Installation:
    """The release's PostgreSQL, newer than stable's; skips the test where it is missing."""
    found = sorted(ROOT.glob("usr/lib/postgresql/*/bin/postgres"))
    usable = installation((found or [sid_program("usr/lib/postgresql/18/bin/postgres")])[-1].parent)
    if usable is None:
        optional(f"PostgreSQL below {ROOT} does not run: remove it and run scripts/install-sid-servers")
    return usable
