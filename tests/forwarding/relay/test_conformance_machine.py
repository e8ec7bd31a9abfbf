"""The conformance suite's machine: two sessions at once, and peers that do whatever peers can do.

The law: what a side received is a prefix of what the other one sent, byte for byte, and equal to it where
both ended in order; the engine gives back how it ended, and keeps no socket.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from random import Random

import pytest
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from dbambassador.forwarding.relay.engine import Carried, Engine, How, Link
from tests.forwarding.relay.relaying import ENGINES, RESET_ON_CLOSE, MakeEngine, tcp_pair, unix_pair

PATIENCE = 10.0
"""Seconds for anything that must come; a loaded machine takes a few."""

_LENGTH = (1 << 20) + 7
PATTERN = Random("every byte").randbytes(_LENGTH) * 3
"""What is sent, from a place of its own for each direction, so that no two directions look alike."""


class Host:
    """An engine on a trio loop in a thread of its own, for tests that block."""

    def __init__(self, make: MakeEngine) -> None:
        self._make = make
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def relay(self, client: socket.socket, server: socket.socket) -> Relay:
        relay = Relay(self.token, Link(client, server))
        self.token.run_sync_soon(relay.begin, self._engine)
        return relay

    def stop(self) -> None:
        self.token.run_sync_soon(self._scope.cancel)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        with trio.CancelScope() as self._scope:
            async with self._make() as self._engine:
                self.token = trio.lowlevel.current_trio_token()
                self._ready.set()
                await trio.sleep_forever()


class Relay:
    """A session that the host's engine carries."""

    def __init__(self, token: trio.lowlevel.TrioToken, link: Link) -> None:
        self._token = token
        self._carried: Carried | None = None
        self.link = link
        self.ended = threading.Event()
        self.outcome: How | Exception | None = None

    def begin(self, engine: Engine) -> None:
        self._carried = engine.carry(self.link, self._over)

    def cut(self) -> None:
        self._token.run_sync_soon(self._cut)

    def _cut(self) -> None:
        assert self._carried is not None
        self._carried.cut()

    def _over(self, outcome: How | Exception) -> None:
        assert self.outcome is None
        self.outcome = outcome
        self.ended.set()


class End:
    """A peer: one outer end of a session, and the model of what passed there."""

    def __init__(self, sock: socket.socket, start: int) -> None:
        self.socket = sock
        self.start = start
        """Where in the pattern its own direction begins."""
        self.sent = 0
        self.received = 0
        self.shut = False
        self.gone = False
        self.reset = False
        """It left with a reset, and before it had said its last word."""
        self.told = False
        """Sending failed, which takes the news of a reset away from reading."""
        self.urgent = False
        self.saw: str | None = None
        """How what it receives ended: EOF or RESET."""
        self.peer: End

    @property
    def may_speak(self) -> bool:
        return not (self.shut or self.gone)

    def write(self, size: int) -> None:
        while size:
            begin = (self.start + self.sent) % _LENGTH
            try:
                taken = self.socket.send(memoryview(PATTERN)[begin : begin + min(size, _LENGTH)])
            except BlockingIOError:
                return
            self.sent += taken
            size -= taken

    def read(self, limit: int) -> bool:
        """Reads once. False: there is nothing now, or never again."""
        if self.gone or self.saw:
            return False
        try:
            data = self.socket.recv(limit)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.saw = "RESET"
            return False
        if not data:
            self.saw = "EOF"
            return False
        begin = (self.peer.start + self.received) % _LENGTH
        assert data == PATTERN[begin : begin + len(data)], f"other bytes after {self.received}"
        self.received += len(data)
        assert self.received <= self.peer.sent
        return True

    def read_to_the_end(self) -> None:
        if self.gone:
            return
        deadline = time.monotonic() + PATIENCE
        self.socket.setblocking(True)
        while not self.saw:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            self.read(1 << 20)

    def shut_down(self) -> None:
        self.shut = True
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # reset in the meantime

    def leave(self, *, by_reset: bool) -> None:
        if by_reset and self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.reset = not self.shut
        self.socket.close()
        self.gone = True


class Session:
    """Two peers and the relay between them."""

    def __init__(self, host: Host, kind: str, buffer: int, number: int) -> None:
        self.tcp = kind == "tcp"
        make = tcp_pair if self.tcp else unix_pair
        (client, inner_client), (server, inner_server) = make(), make()
        for sock in (client, inner_client, server, inner_server):
            if buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.client, self.server = End(client, 1000 * number), End(server, 1000 * number + 500)
        self.client.peer, self.server.peer = self.server, self.client
        self.cut = False
        self.relay = host.relay(inner_client, inner_server)

    @property
    def ends(self) -> tuple[End, End]:
        return self.client, self.server

    @property
    def disturbed(self) -> bool:
        """Somebody did not wait for the other's last word."""
        return self.cut or any(end.gone for end in self.ends)

    def attempt(self, end: End, action: Callable[[], object]) -> None:
        """Sending may fail, if the other side has done something that explains it."""
        try:
            action()
        except (BrokenPipeError, ConnectionResetError):
            assert self.cut or end.peer.gone
            end.told = True

    def finish(self) -> None:
        for end in self.ends:
            if end.may_speak and not end.peer.reset:
                end.shut_down()
        # Both at once: each may have to be read before the other's last bytes can pass.
        readers = [threading.Thread(target=self._read_out, args=(end,)) for end in self.ends]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        try:
            assert self.relay.ended.wait(PATIENCE), "the relay did not end"
            self._check()
        finally:
            for end in self.ends:
                end.socket.close()

    def _read_out(self, end: End) -> None:
        try:
            end.read_to_the_end()
        except BaseException as error:
            self.failure = error

    failure: BaseException | None = None

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
        traffic = self.relay.link.traffic
        assert traffic.server is None
        assert isinstance(self.relay.outcome, How)
        if self.cut:
            return
        assert self.relay.outcome is not How.CUT
        for end, delivered in ((self.server, traffic.to_server), (self.client, traffic.to_client)):
            assert end.received <= delivered <= end.peer.sent
        if not self.disturbed:
            assert [end.saw for end in self.ends] == ["EOF", "EOF"]
            assert (self.server.received, self.client.received) == (self.client.sent, self.server.sent)
            assert (traffic.to_server, traffic.to_client) == (self.client.sent, self.server.sent)
            assert self.relay.outcome in (How.CLIENT_CLOSED, How.SERVER_CLOSED)
        for end in self.ends:
            if end.reset and not end.peer.gone:
                assert end.peer.saw == "RESET" or end.peer.told
                assert self.relay.outcome in (How.CLIENT_RESET, How.SERVER_RESET) or end.peer.shut


SESSIONS = st.sampled_from([0, 1])
SIDES = st.sampled_from([0, 1])
SIZES = st.sampled_from([1, 7, 4096, 16_384, 65_536, 300_000, 1 << 20])


class Conformance(RuleBasedStateMachine):
    """What two pairs of peers can do to an engine."""

    host: Host

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[Session] = []

    @initialize(
        kinds=st.tuples(st.sampled_from(["tcp", "unix"]), st.sampled_from(["tcp", "unix"])),
        buffers=st.tuples(st.sampled_from([0, 40_000]), st.sampled_from([0, 40_000])),
        calm=st.booleans(),
    )
    def begin(self, kinds: tuple[str, str], buffers: tuple[int, int], calm: bool) -> None:
        """`calm`: nobody leaves before everything has been said and heard."""
        self.calm = calm
        for number, (kind, buffer) in enumerate(zip(kinds, buffers, strict=True)):
            self.sessions.append(Session(self.host, kind, buffer, number))

    def end(self, session: int, side: int) -> tuple[Session, End]:
        return self.sessions[session], self.sessions[session].ends[side]

    @rule(session=SESSIONS, side=SIDES, size=SIZES)
    def write(self, session: int, side: int, size: int) -> None:
        whole, end = self.end(session, side)
        if end.may_speak:
            whole.attempt(end, lambda: end.write(size))

    @rule(session=SESSIONS, side=SIDES, size=SIZES)
    def write_and_end(self, session: int, side: int, size: int) -> None:
        self.write(session, side, size)
        self.half_close(session, side)

    @rule(session=SESSIONS, side=SIDES, size=SIZES)
    def write_and_reset(self, session: int, side: int, size: int) -> None:
        self.write(session, side, size)
        self.break_off(session, side)

    @rule(session=SESSIONS, side=SIDES, limit=SIZES)
    def read(self, session: int, side: int, limit: int) -> None:
        self.end(session, side)[1].read(limit)

    @rule(session=SESSIONS, side=SIDES)
    def read_what_comes(self, session: int, side: int) -> None:
        _, end = self.end(session, side)
        while end.read(65_536):
            pass

    @rule(session=SESSIONS, side=SIDES)
    def half_close(self, session: int, side: int) -> None:
        _, end = self.end(session, side)
        if end.may_speak:
            end.shut_down()

    @rule(session=SESSIONS, side=SIDES)
    def break_off(self, session: int, side: int) -> None:
        _, end = self.end(session, side)
        if not (self.calm or end.gone):
            end.leave(by_reset=True)

    @rule(session=SESSIONS, side=SIDES)
    def close(self, session: int, side: int) -> None:
        _, end = self.end(session, side)
        if not (self.calm or end.gone):
            end.leave(by_reset=False)

    @rule(session=SESSIONS, side=SIDES)
    def send_urgent(self, session: int, side: int) -> None:
        """Once for each direction: a second mark would turn an unread first one into a byte of the stream."""
        whole, end = self.end(session, side)
        if whole.tcp and end.may_speak and not end.urgent:
            end.urgent = True
            try:
                whole.attempt(end, lambda: end.socket.send(b"!", socket.MSG_OOB))
            except BlockingIOError:
                pass

    @rule(session=SESSIONS)
    def cut(self, session: int) -> None:
        if not self.calm:
            self.sessions[session].cut = True
            self.sessions[session].relay.cut()

    def teardown(self) -> None:
        for session in self.sessions:
            session.finish()


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_peers_do(engine: str) -> None:
    host = Host(ENGINES[engine])
    machine = type("Conformance", (Conformance,), {"host": host})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=100,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        host.stop()
