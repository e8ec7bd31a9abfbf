"""MySQL's defences against strangers: no check of ours is taken for an attack, nor the server for dead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from dbambassador.health.evidence import Blocked, Evidence, Role, Signal
from dbambassador.settings.schema import Database, Login, Protocol
from dbambassador.values import Address
from tests.health.checking import database, greeting, probe, stub, written
from tests.health.counting import LIMIT, Counting, CountingMariaDB, counting
from tests.testbed.freezing import freeze, thaw
from tests.testbed.netns import Host


@pytest.fixture
def hosts(mariadb_directory: Path) -> Iterator[tuple[Counting, Host]]:
    with counting(CountingMariaDB, mariadb_directory, "counting-strangers") as made:
        yield made


async def _again_and_again(times: int, asked: Database, address: Address, patience: float) -> Evidence | None:
    evidence = None
    for _ in range(times):
        with trio.move_on_after(patience):
            evidence = await probe(asked, address)
    return evidence


def test_no_check_is_an_aborted_handshake(hosts: tuple[Counting, Host], tmp_path: Path) -> None:
    server, app = hosts
    right = Login("probe", written(tmp_path / "right"))
    wrong = Login("probe", written(tmp_path / "wrong", "wrong"))
    stranger = database(Protocol.MYSQL)
    refused, known = database(Protocol.MYSQL, login=wrong), database(Protocol.MYSQL, login=right)

    def check(times: int, asked: Database, patience: float = 2.0) -> Evidence | None:
        return app.call(lambda: trio.run(_again_and_again, times, asked, server.address, patience))

    for asked in (stranger, refused):
        evidence = check(50, asked)
        assert evidence is not None
        assert evidence.signal is Signal.ANSWERED
    assert server.counted() == 0

    freeze(server.pid)
    try:
        assert check(2 * LIMIT, stranger, patience=0.05) is None
        assert check(2 * LIMIT, known, patience=0.05) is None
    finally:
        thaw(server.pid)
    evidence = check(1, known)
    assert evidence is not None
    assert (evidence.signal, evidence.role) == (Signal.ANSWERED, Role.PRIMARY)
    assert server.counted() == 0

    # What a bare connect does, to show that the counter counts.
    for _ in range(LIMIT + 1):
        app.call(lambda: trio.run(_leave_early, server.address))
    for asked in (stranger, known):
        with pytest.raises(Blocked, match="many connection errors"):
            check(1, asked)


def test_a_stranger_who_is_asked_as_an_account_is_gives_an_answer_that_its_plugin_can_read(
    mariadb_directory: Path,
) -> None:
    """MariaDB takes one of its accounts for whom it does not know: here nearly all have ed25519."""
    with counting(CountingMariaDB, mariadb_directory, "counting-edwards") as (server, app):
        server.query("INSTALL SONAME 'auth_ed25519'")
        for number in range(200):
            server.query(f"CREATE USER edwards{number} IDENTIFIED VIA ed25519 USING PASSWORD('{number}')")
        stranger = database(Protocol.MYSQL)
        evidence = app.call(lambda: trio.run(_again_and_again, 2 * LIMIT, stranger, server.address, 2.0))
        assert evidence is not None
        assert evidence.signal is Signal.ANSWERED
        assert server.counted() == 0


async def _leave_early(address: Address) -> None:
    async with await trio.open_tcp_stream(address.host, address.port) as stream:
        await stream.receive_some(4096)


async def test_a_server_that_keeps_strangers_waiting_is_alive() -> None:
    async def wait(stream: trio.SocketStream) -> None:
        await stream.send_all(greeting())
        async for _ in stream:
            pass

    async with stub(wait) as address:
        evidence = await probe(database(Protocol.MYSQL), address)
    assert evidence is not None
    assert (evidence.signal, evidence.denied) == (Signal.ANSWERED, True)
    assert "give its check a user" in evidence.detail
