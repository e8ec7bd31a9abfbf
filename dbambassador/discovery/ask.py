"""One DNS question to the nameservers.

Theory of operation. The first server is asked over UDP; whenever one fails, or says nothing for `PATIENCE`,
the next one is asked too, and all go on listening: the first definite answer wins. A silent server is asked
again every `PATIENCE`, with the same packet, until the lifetime is over; so a lost packet costs 0.4 s, a dead
first server costs 0.4 s, and a slow one still gets to answer. A truncated answer is fetched over TCP.

Every question has a random id and a socket of its own (a random source port) that is connected: an ICMP "port
unreachable" ends the wait at once, and datagrams of strangers never arrive. What does not answer the question
is passed over, for it may be forged, and listening goes on.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace

import trio
from trio.socket import SocketType

from dbambassador.discovery.answers import Answer, Outcome, Question
from dbambassador.discovery.dns import Malformed, NotAName, Query, Truncated, may_answer, query, read
from dbambassador.values import Address

PATIENCE = 0.4
"""Seconds of silence before the next server is asked, and a silent one again. Unbound takes 0.376 s for a
server it does not know yet; glibc's 5 s would be most of the time that a failover may take."""
ORDINARY = 512
"""Octets of a reply over UDP (RFC 1035 section 2.3.4). Longer ones are read in a thread: 64 KiB of names of
127 labels keep dnspython busy for 11 s, which must not stop the sessions."""
MAX_MESSAGE = 65535

_readers: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("readers of long replies")


async def ask(question: Question, servers: Sequence[Address], lifetime: float) -> Answer:
    """Asks the servers, in order of preference, for at most `lifetime` seconds.

    Never raises for what the network, a server or the name does: that is the answer's outcome. All sockets
    are closed when it returns or is cancelled.
    """
    try:
        asked = query(question)
    except NotAName as error:
        return Answer(question, Outcome.INVALID, detail=str(error))
    started = trio.current_time()
    conversation = _Conversation(asked)
    with trio.move_on_after(lifetime):
        await conversation.hold(servers)
    return replace(conversation.result(servers), seconds=trio.current_time() - started)


class _Conversation:
    """One question to several servers, until one answers or all have failed."""

    def __init__(self, asked: Query) -> None:
        self._asked = asked
        self._definite: Answer | None = None
        self._failures: dict[Address, Answer] = {}

    def result(self, servers: Sequence[Address]) -> Answer:
        """The definite answer, else the failure of the first server that said anything, else a timeout."""
        if self._definite:
            return self._definite
        for server in servers:
            if server in self._failures:
                return self._failures[server]
        return Answer(self._asked.question, Outcome.TIMEOUT, ", ".join(map(str, servers)))

    async def hold(self, servers: Sequence[Address]) -> None:
        async with trio.open_nursery() as nursery:
            for server in servers:
                failed = trio.Event()
                nursery.start_soon(self._with, server, failed, nursery.cancel_scope)
                with trio.move_on_after(PATIENCE):
                    await failed.wait()

    async def _with(self, server: Address, failed: trio.Event, everyone: trio.CancelScope) -> None:
        try:
            answer = await self._exchange(server, failed)
        except OSError as error:
            answer = self._failure(Outcome.UNREACHABLE, server, error.strerror or str(error))
        except (trio.BrokenResourceError, EOFError):
            answer = self._failure(Outcome.UNREACHABLE, server, "connection closed")
        except Malformed as error:
            answer = self._failure(Outcome.MALFORMED, server, str(error))
        except RuntimeError as error:  # no thread can be had
            answer = self._failure(Outcome.MALFORMED, server, f"a long reply: {error}")
        if answer.outcome.definite:
            self._definite = answer
            everyone.cancel()
        else:
            self._failures[server] = answer
            failed.set()

    async def _exchange(self, server: Address, failed: trio.Event) -> Answer:
        try:
            return await self._over_udp(server, failed)
        except Truncated:
            pass
        try:
            return replace(await self._over_tcp(server), over_tcp=True)
        except Truncated:
            raise Malformed("truncated over TCP") from None

    async def _over_udp(self, server: Address, failed: trio.Event) -> Answer:
        with trio.socket.socket(_family(server), socket.SOCK_DGRAM) as udp:
            await udp.connect((server.host, server.port))
            while True:
                await udp.send(self._asked.wire)
                with trio.move_on_after(PATIENCE):
                    return await self._reply(udp, server, failed)

    async def _reply(self, udp: SocketType, server: Address, failed: trio.Event) -> Answer:
        while True:
            wire = await udp.recv(MAX_MESSAGE)
            try:
                return await self._read(wire, server)
            except Malformed as error:
                self._failures[server] = self._failure(Outcome.MALFORMED, server, str(error))
                failed.set()

    async def _over_tcp(self, server: Address) -> Answer:
        with trio.socket.socket(_family(server), socket.SOCK_STREAM) as tcp:
            await tcp.connect((server.host, server.port))
            stream = trio.SocketStream(tcp)
            await stream.send_all(len(self._asked.wire).to_bytes(2, "big") + self._asked.wire)
            length = int.from_bytes(await _exactly(stream, 2), "big")
            return await self._read(await _exactly(stream, length), server)

    async def _read(self, wire: bytes, server: Address) -> Answer:
        if not may_answer(self._asked, wire):
            raise Malformed("not a reply to this query")
        if len(wire) <= ORDINARY:
            return read(self._asked, wire, str(server))
        return await trio.to_thread.run_sync(
            read, self._asked, wire, str(server), abandon_on_cancel=True, limiter=_one_reader()
        )

    def _failure(self, outcome: Outcome, server: Address, detail: str) -> Answer:
        return Answer(self._asked.question, outcome, str(server), detail=detail)


def _one_reader() -> trio.CapacityLimiter:
    """One thread at a time, for all questions of this run."""
    try:
        return _readers.get()
    except LookupError:
        limiter = trio.CapacityLimiter(1)
        _readers.set(limiter)
        return limiter


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    """So many bytes. Raises EOFError if the stream ends before."""
    received = b""
    while len(received) < count:
        more = await stream.receive_some(count - len(received))
        if not more:
            raise EOFError
        received += more
    return received


def _family(server: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server.host else socket.AF_INET
