"""Real clients, through an ambassador, to real servers: each gets what the tables of this package say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.clients.stage import STAGES, Stage
from tests.clients.tables import TABLES, Table, try_all


class Stages:
    """One at a time: the tests of a server come after one another."""

    def __init__(self, ending: ExitStack) -> None:
        self._ending = ending
        self._standing: tuple[str, Stage] | None = None

    def of(self, server: str) -> Stage:
        """The server's stage, built where another one stands."""
        if self._standing is None or self._standing[0] != server:
            self._standing = None
            self._ending.close()
            self._standing = (server, self._ending.enter_context(STAGES[server]()))
        return self._standing[1]


@pytest.fixture(scope="session")
def stages() -> Iterator[Stages]:
    with ExitStack() as ending:
        yield Stages(ending)


@pytest.mark.parametrize(
    ("table", "server", "client"),
    [
        pytest.param(table, server, client, id=f"{server}-{client}")
        for table in TABLES
        for server in table.servers
        for client in table.clients
    ],
)
def test_a_client_gets_what_the_table_says(stages: Stages, table: Table, server: str, client: str) -> None:
    tried = try_all(table, server, client, stages.of(server))
    assert not tried.wrong, "\n".join(("", *tried.wrong))
