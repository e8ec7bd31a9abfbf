"""What a failed dial says of the address, and what only of this host."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio

from dbambassador.transport.dial import Outcome, dial
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
