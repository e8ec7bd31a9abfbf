"""What a failed dial says of the address, and what only of this host."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio

from dbambassador.transport.dial import HEAD_START, Outcome, dial, dial_host
from dbambassador.values import Address
from tests.testbed.netns import Host, lan


@pytest.fixture
def host() -> Iterator[Host]:
    with lan("app") as hosts:
        yield hosts["app"]


def test_without_ipv6_an_ipv6_address_is_unreachable(host: Host) -> None:
    for interface in ("all", "lo"):
        host.run("sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1")
    dialled = host.call(lambda: trio.run(dial, Address("2001:db8::1", 5432)))
    assert (dialled.outcome, dialled.detail) == (Outcome.UNREACHABLE, "cannot assign requested address")


def test_used_up_ports_say_nothing_about_the_address(host: Host) -> None:
    host.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40000")

    def dial_twice() -> list[Outcome]:
        async def both() -> list[Outcome]:
            with socket.create_server(("127.0.0.1", 3000)) as server:
                address = Address(*server.getsockname())
                first, second = await dial(address), await dial(address)
                assert first.socket is not None
                first.socket.close()
                return [first.outcome, second.outcome]

        return trio.run(both)

    assert host.call(dial_twice) == [Outcome.CONNECTED, Outcome.EXHAUSTED]


async def test_a_closed_port_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(*server.getsockname())
    assert (await dial(address)).outcome is Outcome.REFUSED


@contextmanager
def silent() -> Iterator[Address]:
    """An address whose kernel drops the wish for a connection: its backlog is full."""
    with ExitStack() as everything:
        server = everything.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            client = everything.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield Address(*server.getsockname())


@pytest.fixture
def answering() -> Iterator[Address]:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        yield Address(*server.getsockname()[:2])


async def test_the_other_address_of_a_silent_host_is_dialled_after_a_quarter_second(
    answering: Address,
) -> None:
    with silent() as first:
        started = trio.current_time()
        race = await dial_host((first, answering))
        taken = trio.current_time() - started
    assert race.dialled.socket is not None
    race.dialled.socket.close()
    assert race.address == answering
    assert race.lost == ((first, None),)
    assert HEAD_START <= taken < HEAD_START + 0.2


async def test_an_address_that_refuses_costs_no_head_start(answering: Address) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        refusing = Address(*server.getsockname())
    started = trio.current_time()
    race = await dial_host((refusing, answering))
    assert race.dialled.socket is not None
    race.dialled.socket.close()
    assert race.address == answering
    ((address, lost),) = race.lost
    assert address == refusing
    assert lost is not None
    assert lost.outcome is Outcome.REFUSED
    assert trio.current_time() - started < HEAD_START


async def test_the_first_address_wins_if_it_answers(answering: Address) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        race = await dial_host((Address(*server.getsockname()), answering))
    assert race.dialled.socket is not None
    race.dialled.socket.close()
    assert race.address.host == "127.0.0.1"
    assert race.lost == ()


async def test_a_race_that_nobody_wins_or_that_is_cancelled_leaves_no_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, silent() as slow:
        gone = Address(*server.getsockname())
        server.close()
        before = len(os.listdir("/proc/self/fd"))
        race = await dial_host((slow, gone), timeout=0.6)
        assert race.dialled.socket is None
        assert {race.address, race.lost[0][0]} == {slow, gone}
        with trio.move_on_after(0.1):
            await dial_host((slow, gone))
        assert len(os.listdir("/proc/self/fd")) == before
