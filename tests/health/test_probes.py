"""Checks of whatever kind: their deadlines, what they leave behind, and who pays for which driver."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from dbambassador.health import probes
from dbambassador.health.evidence import Evidence, Signal, of_denied_login
from dbambassador.health.peer import Peer
from dbambassador.protocols import mysql
from dbambassador.settings.schema import Database, HttpCheck, Login, Protocol
from dbambassador.transport import own_listeners
from dbambassador.values import Address
from tests.health.checking import black_hole, database, descriptors, greeting, probe, silent, stub, written

NOBODY = Address("127.0.0.1", 1)
"""tcpmux: refused."""
LOGIN = Login("probe")

KINDS = [
    database(Protocol.POSTGRESQL),
    database(Protocol.MYSQL),
    database(Protocol.POSTGRESQL, login=LOGIN),
    database(Protocol.MYSQL, login=LOGIN),
]


def kinds(address: Address) -> list[Database]:
    """Every kind of check that says something, also over HTTP at this address."""
    return [*KINDS, database(Protocol.TCP, http=HttpCheck(address.port))]


@pytest.mark.waits
async def test_a_silent_kernel_is_told_sooner_than_a_silent_server() -> None:
    ended: list[tuple[Address, str, float]] = []

    async def check(asked: Database, address: Address) -> None:
        started = trio.current_time()
        evidence = await probe(asked, address)
        assert evidence is not None
        assert evidence.signal is Signal.SILENT
        ended.append((address, evidence.detail, trio.current_time() - started))

    await _drivers_imported()
    with black_hole() as gone, silent() as busy:
        async with trio.open_nursery() as nursery:
            for address in (gone, busy):
                for asked in kinds(address):
                    nursery.start_soon(check, asked, address)
    of_gone = [(detail, took) for address, detail, took in ended if address == gone]
    of_busy = [(detail, took) for address, detail, took in ended if address == busy]
    assert (len(of_gone), len(of_busy)) == (5, 5)
    for detail, took in of_gone:
        assert detail.startswith("no answer in 1.4 s")
        assert 1.15 < took < 1.9
    for detail, took in of_busy:
        assert detail == "no answer in 2 s"
        assert 1.95 < took < 2.7


async def _drivers_imported() -> None:
    for asked in KINDS:
        await probe(asked, NOBODY)


async def test_a_cancelled_check_leaves_nothing_behind() -> None:
    async def greets(stream: trio.SocketStream) -> None:
        await stream.send_all(greeting())
        async for _ in stream:
            pass

    await _drivers_imported()
    with silent() as busy:
        async with stub(greets) as half_way:
            await _cancelled(KINDS, busy, half_way)
            files, threads = descriptors(), threading.active_count()
            for _ in range(20):
                await _cancelled(KINDS, busy, half_way)
            with trio.fail_after(2):
                while descriptors() > files:  # the stub closes its ends a moment after ours
                    await trio.testing.wait_all_tasks_blocked()
    assert threading.active_count() <= threads + len(KINDS)


async def _cancelled(asked: list[Database], *addresses: Address) -> None:
    with trio.move_on_after(0.03):
        async with trio.open_nursery() as nursery:
            for each in asked:
                for address in addresses:
                    nursery.start_soon(probe, each, address)


@pytest.mark.parametrize("protocol", [Protocol.POSTGRESQL, Protocol.MYSQL])
async def test_a_denied_login_that_is_kept_waiting_condemns_no_server(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MySQL's connection_control has it: the third refusal comes late, and each one later."""
    monkeypatch.setattr(probes, "LOGIN_TIMEOUT", 0.1)
    logins = 0

    async def log_in(login: Login, peer: Peer) -> Evidence | None:
        nonlocal logins
        logins += 1
        if logins > 1:
            await trio.sleep_forever()
        return of_denied_login(peer.address, "refused the check's login: wrong password")

    async def answers(stream: trio.SocketStream) -> None:
        if protocol is Protocol.MYSQL:
            await stream.send_all(greeting())
        await stream.receive_some(4096)
        refused = mysql.packet(2, b"\xff\x15\x04#28000no")
        await stream.send_all(refused if protocol is Protocol.MYSQL else b"R\0\0\0\x08\0\0\0\x05")

    monkeypatch.setitem(probes._logins, protocol, log_in)
    asked = database(protocol, login=LOGIN)
    async with stub(answers) as address:
        denied = False
        for why in ("wrong password", "no answer in 0.1 s", "no answer in 0.1 s"):
            evidence = await probe(asked, address, denied=denied)
            assert evidence is not None
            assert (evidence.signal, evidence.denied) == (Signal.ANSWERED, True)
            assert evidence.detail.endswith(why)
            denied = True
    evidence = await probe(asked, address, denied=True)
    assert evidence is not None
    assert (evidence.signal, evidence.detail) == (Signal.FAILED, "connection refused")


@pytest.mark.parametrize("asked", KINDS)
async def test_the_ambassador_never_checks_itself(asked: Database) -> None:
    with silent() as address:
        own_listeners.note(address)
        try:
            evidence = await probe(asked, address)
        finally:
            own_listeners.forget(address)
    assert evidence is not None
    assert (evidence.signal, evidence.detail) == (Signal.FAILED, "this is the ambassador's own listener")


DRIVERS = """
import sys, trio
from dbambassador.ambassador import lifecycle
from dbambassador.values import Address
from tests.health.checking import Login, Protocol, database, probe

for login, drivers in ((None, []), (Login("probe"), {drivers})):
    asked = database(Protocol.{protocol}, login=login)
    trio.run(probe, asked, Address("127.0.0.1", 1))
    imported = [name for name in ("psycopg", "pymysql") if name in sys.modules]
    assert imported == drivers, imported
"""


@pytest.mark.parametrize(("protocol", "driver"), [("POSTGRESQL", "psycopg"), ("MYSQL", "pymysql")])
def test_only_a_check_with_a_login_pays_for_its_driver(protocol: str, driver: str) -> None:
    code = DRIVERS.format(protocol=protocol, drivers=[driver])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE, timeout=30)
    assert done.returncode == 0, done.stderr


HERE = Path(__file__).parents[2]


async def test_the_password_is_no_part_of_what_is_told(tmp_path: Path) -> None:
    file = written(tmp_path / "password")
    for protocol in (Protocol.POSTGRESQL, Protocol.MYSQL):
        evidence = await probe(database(protocol, login=Login("probe", file)), NOBODY)
        assert evidence is not None
        assert "secret" not in repr(evidence)
