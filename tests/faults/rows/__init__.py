"""All rows of the matrix, in the order of the table."""

from __future__ import annotations

from tests.faults.rows import mariadb, names, network, servers
from tests.faults.scenario import Scenario

ALL: tuple[Scenario, ...] = (*servers.ROWS, *network.ROWS, *names.ROWS, *mariadb.ROWS)


def named(name: str) -> Scenario:
    """The row of this name. Raises KeyError."""
    return {scenario.name: scenario for scenario in ALL}[name]
