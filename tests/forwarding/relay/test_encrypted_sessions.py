"""The epoll loop with an encrypted server, turned by hand: whatever the order in which client, wire and
server move, all arrives once, and nothing waits for an event that does not come."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbambassador.forwarding.relay.engine import How, Link
from dbambassador.forwarding.relay.epoll_loop import Command, EpollLoop
from dbambassador.forwarding.relay.sides import Session
from dbambassador.transport.encrypted_socket import EncryptedSocket
from dbambassador.transport.tls import TlsEnd
from tests.forwarding.relay.relaying import MakePair, tcp_pair, unix_pair
from tests.transport.tls_peer import CLIENT, HOST, OLD_SERVER, SERVER, Server, shaken

ENOUGH = 1000
"""Turns; each moves something, or there is nothing to move."""
LITTLE = 4096
"""Bytes of a kernel's buffer, about."""


class Relayed:
    """A session under relay, the client's end, and a server whose bytes pass a wire that is moved by hand."""

    def __init__(self, context: ssl.SSLContext, make: MakePair) -> None:
        self.outcomes: list[How | Exception] = []
        self.loop = EpollLoop(_make)
        self.client, inner_client = make()
        self.wire, inner_server = make()
        for each in (self.client, self.wire):
            each.setblocking(False)
        if make is unix_pair:  # TCP would wait for its timers
            for each in (inner_client, inner_server):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LITTLE)
        tls, self.server = TlsEnd(CLIENT, HOST), Server(context)
        shaken(tls, self.server)
        self.session = Session(Link(inner_client, EncryptedSocket(inner_server, tls)), self.outcomes.append)
        self.to_server, self.to_client = Flow(b"to server"), Flow(b"to client")
        self.cipher = b""
        """On its way from the server to us."""
        self.loop.adopt(self.session)

    def turn(self, _: int = 1) -> None:
        self.loop.post(lambda: None)
        self.loop.turn()

    def client_says(self, size: int) -> None:
        with suppress(BlockingIOError):
            self.to_server.sent += self.client.send(self.to_server.next(size))

    def server_says(self, size: int) -> None:
        self.server.tls.write(text := self.to_client.next(size))
        self.to_client.sent += len(text)
        self.cipher += self.server.outgoing.read()

    def wire_carries(self, size: int) -> None:
        with suppress(BlockingIOError):
            self.cipher = self.cipher[self.wire.send(self.cipher[:size]) :]

    def client_hears(self, size: int) -> None:
        with suppress(BlockingIOError):
            self.to_client.heard(self.client.recv(size))

    def server_hears(self, size: int) -> None:
        with suppress(BlockingIOError):
            self.server.incoming.write(self.wire.recv(size))
            self.to_server.heard(self.server.read())

    def rest(self) -> None:
        """Has all arrive that is under way."""
        for _ in range(ENOUGH):
            if self.to_server.arrived and self.to_client.arrived:
                return
            self.wire_carries(1 << 20)
            self.turn()
            self.client_hears(1 << 20)
            self.server_hears(1 << 20)
        raise AssertionError(f"{self.to_server} and {self.to_client} wait for ever")

    def close(self) -> None:
        self.loop.end(self.session)
        while not self.outcomes:
            self.turn()
        self.loop.close()
        self.client.close()
        self.wire.close()


class Flow:
    """What one side says and the other hears."""

    def __init__(self, seed: bytes) -> None:
        self._text = Random(seed).randbytes(1 << 20)
        self.sent = self._heard = 0

    def __str__(self) -> str:
        return f"{self.sent - self._heard} of {self.sent} bytes"

    def next(self, size: int) -> bytes:
        return self._text[self.sent : self.sent + size]

    def heard(self, text: bytes) -> None:
        assert text == self._text[self._heard : self._heard + len(text)]
        self._heard += len(text)

    @property
    def arrived(self) -> bool:
        return self._heard == self.sent


def _make(news: list[Command]) -> None:
    for call in news:
        call()


@contextmanager
def relayed(context: ssl.SSLContext, make: MakePair) -> Iterator[Relayed]:
    pair = Relayed(context, make)
    try:
        yield pair
    finally:
        pair.close()


MOVES: dict[str, Callable[[Relayed, int], None]] = {
    "client says": Relayed.client_says,
    "server says": Relayed.server_says,
    "wire carries": Relayed.wire_carries,
    "client hears": Relayed.client_hears,
    "server hears": Relayed.server_hears,
    "turn": Relayed.turn,
}
SIZES = st.one_of(st.integers(1, 100), st.integers(1, 40_000))


@pytest.mark.parametrize("context", [SERVER, OLD_SERVER], ids=["1.3", "1.2"])
@pytest.mark.parametrize("make", [tcp_pair, unix_pair])
@given(
    moves=st.lists(st.tuples(st.sampled_from(sorted(MOVES)), SIZES), max_size=25),
    leaves=st.booleans(),
)
@example(moves=[("server says", 40_000), ("wire carries", 60_000), ("turn", 1)], leaves=True)
def test_all_arrives_once_in_whatever_order_they_move(
    context: ssl.SSLContext, make: MakePair, moves: list[tuple[str, int]], leaves: bool
) -> None:
    with relayed(context, make) as pair:
        for move, size in moves:
            MOVES[move](pair, size)
        if leaves:
            pair.client.shutdown(socket.SHUT_WR)
        pair.rest()
        for _ in range(3):
            pair.turn()
        assert pair.session.endings.begun is leaves
        traffic = pair.session.traffic
        assert (traffic.to_server, traffic.to_client) == (pair.to_server.sent, pair.to_client.sent)
