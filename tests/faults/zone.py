"""Nameservers on hosts of their own: a real one, and one that answers with one address at random."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import dns.message
import dns.rdatatype
import dns.update

from tests.testbed.dns import Knot, knot, reply_to
from tests.testbed.netns import Host

ZONE = "db.test"
NAME = f"orders.{ZONE}"
"""Of the database under fault."""
BYSTANDER = f"catalog.{ZONE}"


class Nameserver(Protocol):
    """What an ambassador is told of it."""

    @property
    def address(self) -> str:
        """As `--nameserver` takes it."""


class Zone:
    """Knot with the zone of all names. Changes take effect at once, and return when they have."""

    def __init__(self, server: Knot, host: Host, ttl: int) -> None:
        self._server = server
        self._host = host
        self._ttl = ttl

    @property
    def address(self) -> str:
        return f"{self._host.ip}:{self._server.address.port}"

    def name(self, *addresses: str) -> None:
        """The database under fault is at these addresses, and no others."""
        self._host.call(partial(self._server.replace, "orders", "A", *addresses, ttl=self._ttl))

    def forget(self) -> None:
        """NXDOMAIN."""
        self._host.call(partial(self._server.delete, "orders"))

    def empty(self) -> None:
        """The name is there and has no address."""

        def change(update: dns.update.UpdateMessage) -> None:
            update.replace("orders", 1, "TXT", "moving")
            update.delete("orders", "A")

        self._host.call(partial(self._server.update, change))

    def fail(self) -> None:
        """SERVFAIL for every name, for good."""
        self._host.call(self._server.lose_zone)

    def pause(self) -> None:
        self._server.pause()

    def resume(self) -> None:
        self._server.resume()

    def kill(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._host.call(self._server.start)


@contextmanager
def zone(host: Host, addresses: Sequence[str], bystander: str, *, ttl: int, rotate: bool) -> Iterator[Zone]:
    """A zone in which the database under fault is at `addresses`. `rotate`: in another order each time."""
    records = [f"catalog 1 A {bystander}", *(f"orders {ttl} A {address}" for address in addresses)]
    making = knot(ZONE, records=records, also_on=host.ip, rotate=rotate)
    server = host.call(making.__enter__)
    try:
        yield Zone(server, host, ttl)
    finally:
        making.__exit__(None, None, None)


@contextmanager
def random_answers(host: Host, addresses: Sequence[str], bystander: str) -> Iterator[Nameserver]:
    """Each answer names one of the addresses, at random, with TTL 1: as reader endpoints of Amazon RDS do."""

    def listening() -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((host.ip, 0))
        return listener

    with host.call(listening) as listener:
        server = _Random(listener, addresses, bystander)
        server.start()
        try:
            yield server
        finally:
            server.stop()


class _Random(threading.Thread):
    def __init__(self, listener: socket.socket, addresses: Sequence[str], bystander: str) -> None:
        super().__init__(name="random answers", daemon=True)
        self._listener = listener
        self._addresses = addresses
        self._bystander = bystander

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def run(self) -> None:
        while True:
            wire, client = self._listener.recvfrom(4096)
            if not wire:
                return
            self._listener.sendto(self._answer(wire), client)

    def stop(self) -> None:
        self._listener.sendto(b"", self._listener.getsockname())  # the end that `run` waits for
        self.join()

    def _answer(self, wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True)
        address = self._bystander if name == BYSTANDER else random.choice(self._addresses)
        records = [f"{name} 1 A {address}"] if asked.rdtype == dns.rdatatype.A else []
        return reply_to(query, *records).to_wire()
