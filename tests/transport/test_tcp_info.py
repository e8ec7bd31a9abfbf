"""What the kernel tells of a connection, over real ones."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from dbambassador.transport.tcp_info import delivery, has_left
from tests.testbed.netns import Lan, lan


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as near,
        server.accept()[0] as far,
    ):
        yield near, far


def test_what_arrives_is_acknowledged() -> None:
    with connected() as (near, _):
        before = delivery(near)
        near.send(bytes(1000))
        after = delivery(near)
        assert before is not None
        assert after is not None
        assert (after.unacknowledged, after.acknowledged - before.acknowledged) == (False, 1000)


def test_a_closed_socket_and_a_unix_one_tell_nothing() -> None:
    with connected() as (near, _):
        pass
    assert delivery(near) is None
    one, other = socket.socketpair()
    with one, other:
        assert delivery(one) is None


@pytest.fixture
def hosts() -> Iterator[Lan]:
    with lan("app", "db") as made:
        yield made


def test_a_host_that_is_cut_off_acknowledges_nothing(hosts: Lan) -> None:
    app, db = hosts["app"], hosts["db"]
    server = db.call(lambda: socket.create_server((db.ip, 5432)))
    with server, app.call(lambda: socket.create_connection((db.ip, 5432))) as near, server.accept()[0]:
        near.send(b"x")
        time.sleep(0.05)
        sound = delivery(near)
        assert sound is not None
        assert not sound.unacknowledged
        db.unplug()
        near.send(b"y")
        deadline = time.monotonic() + 10
        while (lost := delivery(near)) is not None and lost.retransmits < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert lost is not None
        assert (lost.unacknowledged, lost.acknowledged) == (True, sound.acknowledged)
        assert lost.silent >= 0.2


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_a_peer_that_closed_has_left_unless_it_said_something(family: int) -> None:
    if family == socket.AF_INET:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        async with listener:
            near = await trio.open_tcp_stream(*listener.socket.getsockname())
            far = await listener.accept()
    else:
        near, far = (trio.SocketStream(each) for each in trio.socket.socketpair())
    async with near, far:
        assert not has_left(near.socket)
        await far.send_all(b"x")
        await far.aclose()
        await trio.lowlevel.wait_readable(near.socket)
        assert not has_left(near.socket)
        await near.receive_some(1)
        await trio.lowlevel.wait_readable(near.socket)
        assert has_left(near.socket)
