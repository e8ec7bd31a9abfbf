"""What a failed dial says of the address, and what only of this host."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio
from trio.testing import assert_checkpoints

from dbambassador.transport.dial import HEAD_START, Dialled, Outcome, begin, dial, dial_host, progress
from dbambassador.transport.listen import close_tcp, listen_tcp
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


# Begun, and gone on with


@contextmanager
def listening() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Address(*server.getsockname())


def refusing() -> Address:
    with listening() as address:
        return address


def open_descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")


def begun(address: Address) -> socket.socket:
    """A dial under way, or done."""
    connection = begin(address)
    assert isinstance(connection, socket.socket)
    assert not connection.getblocking()
    return connection


def test_a_begun_connection_tells_how_it_stands_as_often_as_it_is_asked() -> None:
    with listening() as address, begun(address) as connection:
        for _ in range(2):
            end = progress(connection, address)
            assert end is not None
            assert (end.outcome, end.socket) == (Outcome.CONNECTED, None)
        assert connection.getpeername() == (address.host, address.port)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with silent() as address, begun(address) as connection:
        assert [progress(connection, address) for _ in range(2)] == [None, None]


def test_a_begun_connection_that_is_refused_says_so() -> None:
    address = refusing()
    with begun(address) as connection:
        end = progress(connection, address)
        assert end is not None
        assert (end.outcome, end.detail) == (Outcome.REFUSED, "connection refused")


def test_what_cannot_be_begun_leaves_no_socket(host: Host) -> None:
    for interface in ("all", "lo"):
        host.run("sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1")
    before = open_descriptors()
    end = host.call(lambda: begin(Address("2001:db8::1", 5432)))
    assert isinstance(end, Dialled)
    assert (end.outcome, end.socket) == (Outcome.UNREACHABLE, None)
    assert open_descriptors() == before


async def test_an_own_listener_is_not_dialled() -> None:
    listener = await listen_tcp("127.0.0.1", 0)
    address = Address(*listener.socket.getsockname())
    try:
        end = begin(address)
        assert isinstance(end, Dialled)
        assert end.outcome is Outcome.UNREACHABLE
        assert await dial(address) == end
    finally:
        close_tcp(listener)


async def test_a_dial_that_was_begun_is_gone_on_with() -> None:
    with listening() as address:
        connection = begun(address)
        ours = connection.getsockname()
        dialled = await dial(address, begun=connection)
        assert dialled.socket is not None
        with dialled.socket:
            assert dialled.socket.getsockname() == ours
            assert dialled.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert dialled.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_a_dial_that_was_begun_and_does_not_end_leaves_no_socket() -> None:
    with silent() as address:
        before = open_descriptors()
        connection = begun(address)
        assert (await dial(address, 0.05, begun=connection)).outcome is Outcome.TIMED_OUT
        connection = begun(address)
        with trio.move_on_after(0.05) as scope:
            await dial(address, begun=connection)
        assert scope.cancelled_caught
        assert open_descriptors() == before


async def test_a_dial_that_had_ended_before_is_taken_as_it_is() -> None:
    failed = Dialled(Outcome.REFUSED, None, "connection refused", 0.25)
    address = refusing()
    assert await dial(address, begun=failed) is failed
    assert (await dial_host((address,), begun=failed)).dialled is failed


async def test_a_connection_that_was_made_before_is_not_lost_to_a_cancellation() -> None:
    """Whoever is cancelled has it, or it is closed."""
    with listening() as address:
        before = open_descriptors()
        connection = trio.socket.from_stdlib_socket(begun(address))
        made = Dialled(Outcome.CONNECTED, connection)
        with trio.CancelScope() as scope:
            scope.cancel()
            race = await dial_host((address,), begun=made)
            assert race.dialled.socket is connection
            connection.close()
        if connection.fileno() != -1:
            connection.close()
            pytest.fail("it was left open")
        assert open_descriptors() == before


async def test_of_a_host_the_first_address_is_the_one_that_was_begun(answering: Address) -> None:
    with silent() as first:
        before = open_descriptors()
        started = trio.current_time()
        race = await dial_host((first, answering), begun=begun(first))
        assert race.dialled.socket is not None
        race.dialled.socket.close()
        assert (race.address, race.lost) == (answering, ((first, None),))
        assert trio.current_time() - started >= HEAD_START
        assert open_descriptors() == before


async def test_of_a_host_whose_first_dial_had_failed_the_other_is_dialled_at_once(answering: Address) -> None:
    first = refusing()
    failed = Dialled(Outcome.REFUSED, None, "connection refused")
    started = trio.current_time()
    race = await dial_host((first, answering), begun=failed)
    assert race.dialled.socket is not None
    race.dialled.socket.close()
    assert (race.address, race.lost) == (answering, ((first, failed),))
    assert trio.current_time() - started < HEAD_START


async def test_a_dial_that_fails_at_once_lets_others_run() -> None:
    """They may decide that it is not to be repeated."""
    for address in (refusing(), Address("255.255.255.255", 1)):
        with assert_checkpoints():
            assert (await dial(address)).socket is None
