"""The law of edge-triggered events, for bytes that come encrypted: none is lost, doubled, or held back with
nothing to come that would tell of it. A real server speaks on memory; its bytes come in whatever pieces."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbambassador.forwarding.relay.sides import WAKES_BLOCKED
from dbambassador.transport.dial import reset_on_close
from dbambassador.transport.encrypted_socket import EncryptedSocket
from dbambassador.transport.tls import TlsEnd
from tests.transport.tls_peer import CLIENT, HOST, OLD_SERVER, SERVER, Server, shaken

CONTEXTS = pytest.mark.parametrize("context", [SERVER, OLD_SERVER], ids=["1.3", "1.2"])
HEADER = 5
"""Bytes before a record's body, the last two of which tell its length (RFC 8446, 5.1)."""
RECORD = 16 * 1024


class Ending(Enum):
    GOODBYE = "close_notify alone"
    FIN = "an end of the stream alone"
    BOTH = "both"
    RESET = "a reset"


class Reader:
    """Reads when an event tells of something, by the laws of the relay's loop, and never else."""

    def __init__(self, ours: EncryptedSocket, room: int) -> None:
        self._ours = ours
        self._buffer = memoryview(bytearray(room))
        self._epoll = select.epoll()
        self._epoll.register(ours.fileno(), WAKES_BLOCKED)
        self.heard = b""
        self.ended = self.broke = False

    def serve(self) -> None:
        """Serves events until there are none."""
        while events := self._epoll.poll(0):
            for _, event in events:
                if not self.ended:
                    self._read(bool(event & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)))

    def _read(self, odd: bool) -> None:
        while True:
            try:
                count = self._ours.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError:
                self.ended = self.broke = True
                return
            self.heard += self._buffer[:count]
            if not count:
                self.ended = True
            if self.ended or (count < len(self._buffer) and not odd):
                return

    def close(self) -> None:
        self._epoll.close()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


@contextmanager
def connected(
    context: ssl.SSLContext, made: tuple[socket.socket, socket.socket] | None = None
) -> Iterator[tuple[socket.socket, EncryptedSocket, Server]]:
    """The wire's far end, ours, and the server whose bytes go there."""
    ours, theirs = made or tcp_pair()
    tls, server = TlsEnd(CLIENT, HOST), Server(context)
    shaken(tls, server)
    with theirs, EncryptedSocket(ours, tls) as encrypted:
        yield theirs, encrypted, server


def whole_text(cipher: bytes, texts: Sequence[int]) -> int:
    """Bytes of text in the records that are there from the first to the last byte.

    Args:
      texts: bytes of text of each record.
    """
    total = at = 0
    for text in texts:
        at += HEADER + int.from_bytes(cipher[at + HEADER - 2 : at + HEADER], "big")
        if at > len(cipher):
            break
        total += text
    return total


def texts_of(sizes: Sequence[int]) -> list[int]:
    """Bytes of text of each record, where so many bytes are written at a time."""
    return [min(RECORD, size - begin) for size in sizes for begin in range(0, size, RECORD)]


@CONTEXTS
@given(
    sizes=st.lists(st.one_of(st.integers(1, 300), st.integers(1, 40_000)), max_size=6),
    cuts=st.lists(st.one_of(st.integers(1, 60), st.integers(1, 40_000)), min_size=1, max_size=8),
    room=st.sampled_from([1, 2, 100, 16 * 1024, 32 * 1024]),
    ending=st.sampled_from(Ending),
    at_once=st.booleans(),
)
@example(sizes=[10_000], cuts=[10_000], room=32 * 1024, ending=Ending.BOTH, at_once=False)
def test_all_that_came_whole_is_had_at_the_event_that_told_of_it(
    context: ssl.SSLContext, sizes: list[int], cuts: list[int], room: int, ending: Ending, at_once: bool
) -> None:
    with connected(context) as (theirs, ours, server):
        reader, said, cipher = Reader(ours, room), b"", b""
        for size in sizes:
            said += (piece := Random(size).randbytes(size))
            server.tls.write(piece)
        cipher = server.outgoing.read()
        reader.serve()
        sent = turn = 0
        while sent < len(cipher):
            sent += theirs.send(cipher[sent : sent + max(cuts[turn % len(cuts)], len(cipher) // 50)])
            turn += 1
            reader.serve()
            assert not reader.ended
            assert len(reader.heard) >= whole_text(cipher[:sent], texts_of(sizes))
        assert reader.heard == said

        with suppress(ssl.SSLWantReadError):
            server.tls.write(b"last words" * at_once)
            if ending in (Ending.GOODBYE, Ending.BOTH):
                server.tls.unwrap()
        theirs.sendall(server.outgoing.read())
        if ending in (Ending.FIN, Ending.BOTH):
            theirs.shutdown(socket.SHUT_WR)
        if ending is Ending.RESET:
            reader.serve()
            reset_on_close(theirs, True)
            theirs.close()
        reader.serve()
        assert reader.heard == said + b"last words" * at_once
        assert reader.ended
        assert reader.broke is (ending is Ending.RESET)
        reader.close()


@CONTEXTS
@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=8),
    reads=st.lists(st.integers(1, 60_000), min_size=1, max_size=8),
    answers=st.integers(0, 3),
)
def test_all_that_was_taken_arrives_once_however_little_room_there_is(
    context: ssl.SSLContext, sizes: list[int], reads: list[int], answers: int
) -> None:
    """The server speaks meanwhile, and is heard."""
    # No TCP: where there is as little room, it waits for its timers.
    with connected(context, socket.socketpair()) as (theirs, ours, server):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that there is
        theirs.settimeout(10)
        reader, heard, turn = Reader(ours, 1000), b"", 0
        for number, size in enumerate(sizes):
            block = Random(number).randbytes(size)
            while True:
                try:
                    assert ours.send(block) == size
                    break
                except BlockingIOError:
                    server.incoming.write(theirs.recv(reads[turn % len(reads)]))
                    heard += server.read()
                    turn += 1
                if turn <= answers:
                    server.tls.write(b"answer")
                    theirs.sendall(server.outgoing.read())
                    reader.serve()
        ours.shutdown(socket.SHUT_WR)
        while more := theirs.recv(60_000):
            server.incoming.write(more)
        heard += server.read()
        assert heard == b"".join(Random(number).randbytes(size) for number, size in enumerate(sizes))
        assert reader.heard == b"answer" * min(turn, answers)
        reader.close()


@CONTEXTS
@given(
    sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=4),
    read=st.lists(st.integers(1, 20_000), min_size=1, max_size=4),
    room=st.integers(1000, 40_000),
    goodbye=st.booleans(),
    fin=st.booleans(),
)
def test_what_came_before_our_goodbye_is_read_after_it(
    context: ssl.SSLContext, sizes: list[int], read: list[int], room: int, goodbye: bool, fin: bool
) -> None:
    """As where a client has asked all that it wants to ask, and is slow to hear the answer."""
    with connected(context) as (theirs, ours, server):
        heard = b""
        said = b"".join(Random(size).randbytes(size) for size in sizes)
        server.tls.write(said)
        theirs.sendall(server.outgoing.read())
        with suppress(BlockingIOError):
            for size in read:
                buffer = memoryview(bytearray(size))
                heard += buffer[: ours.recv_into(buffer)]
        ours.shutdown(socket.SHUT_WR)
        ours.shutdown(socket.SHUT_WR)
        if goodbye:
            with suppress(ssl.SSLWantReadError):
                server.tls.unwrap()
            theirs.sendall(server.outgoing.read())
        reader = Reader(ours, room)
        reader.serve()
        if fin:
            theirs.shutdown(socket.SHUT_WR)
        reader.serve()
        assert heard + reader.heard == said
        assert reader.ended is (goodbye or fin)
        reader.close()
