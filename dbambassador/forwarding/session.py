"""One client's session, top to bottom: hello, a choice, a dial, the relay, its ending."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import trio

from dbambassador.events import (
    CancelForwarded,
    ClientLeft,
    ClientRefused,
    DialEnded,
    Publish,
    Refusal,
    SessionEnded,
    SessionOpened,
)
from dbambassador.forwarding.descriptors import Descriptors
from dbambassador.forwarding.engine import Engine, How, Link
from dbambassador.forwarding.hold import Hold
from dbambassador.forwarding.ledger import Lease, Ledger
from dbambassador.forwarding.wire import (
    FAREWELL_TIMEOUT,
    Cancel,
    Denied,
    Hello,
    Left,
    NotOpened,
    Opened,
    Seen,
    Wire,
    Witness,
)
from dbambassador.health.evidence import Evidence, Role, Signal, of_failed_dial
from dbambassador.health.judge import Judge
from dbambassador.transport.dial import Outcome, dial
from dbambassador.values import Address, Choice

MAX_FAILURES = 5
"""Failed attempts after which a client is told. A failover takes one or two; more are a server that passes
its checks and still drops sessions, which another attempt would not cure. Attempts at a target on trial are
not counted: they are bounded by the hold."""
CANCEL_TIMEOUT = 10.0
"""Seconds for the server to take a cancel request; it closes as soon as it has sent the signal."""


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt ended before the client saw anything: another decision is wanted."""

    failed: bool = False
    """At its server; otherwise the decision it followed was overtaken."""


@dataclass(frozen=True, slots=True)
class Service:
    """What all sessions of one database share."""

    database: str
    wire: Wire
    judge: Judge
    ledger: Ledger
    hold: Hold
    engine: Engine
    descriptors: Descriptors
    publish: Publish


class Session:
    """A client from accept to end. Whatever happens to it stays in it."""

    def __init__(self, service: Service, client: trio.SocketStream) -> None:
        self._service = service
        self._client = client
        self._rejected = False

    async def run(self, refusal: Refusal | None = None) -> None:
        """Serves the client until the end; with a `refusal`, only tells it in its own protocol."""
        with self._client.socket:
            hello = await self._service.wire.hello(self._client)
            if isinstance(hello, Left):
                self._left(hello)
            elif isinstance(hello, Cancel):
                await self._cancel(hello)
            elif refusal is not None:
                await self._refuse(hello, refusal, "")
            else:
                await self._serve(hello)

    async def _serve(self, hello: Hello) -> None:
        failures = 0
        while failures < MAX_FAILURES:
            choice = await self._service.hold.choice(self._client)
            if isinstance(choice, Left):
                self._left(choice)
                return
            if isinstance(choice, Refusal):
                await self._refuse(hello, choice, self._service.judge.choices.value.why)
                return
            result = await self._attempt(hello, choice)
            if not isinstance(result, Again):
                await self._conclude(hello, result)
                return
            failures += result.failed and not choice.on_trial
        await self._refuse(hello, Refusal.NO_TARGET, "the server passes its checks but drops sessions")

    async def _conclude(self, hello: Hello, result: Cancel | Left | Denied | Refusal | None) -> None:
        if isinstance(result, Refusal):
            await self._refuse(hello, result, "")
        elif isinstance(result, Denied):
            await self._refuse(hello, Refusal.UNSAFE, result.why)
        elif isinstance(result, Cancel):
            await self._cancel(result)
        elif isinstance(result, Left):
            self._left(result)

    async def _attempt(self, hello: Hello, choice: Choice) -> Again | Cancel | Left | Denied | Refusal | None:
        """One try at the chosen address. None: there was a session, and it is over."""
        assert choice.target is not None
        address = choice.target.address
        service = self._service
        await service.ledger.admission(choice.epoch)
        if service.judge.choices.value.epoch != choice.epoch:
            return Again()
        overtaken: Again | None = Again()
        with service.ledger.lease(choice.epoch, address) as lease, lease.scope:
            dialled = await dial(address)
            service.publish(DialEnded(service.database, address, dialled.outcome.value, dialled.seconds))
            if dialled.socket is None:
                if dialled.outcome is Outcome.EXHAUSTED:
                    service.descriptors.exhausted()
                    return Refusal.NO_DESCRIPTORS
                self._observe(of_failed_dial(address, dialled, Signal.FALTERED))
                return Again(failed=True)
            service.descriptors.sufficed()
            with dialled.socket:
                server = trio.SocketStream(dialled.socket)
                opened = await self._open(hello, lease, server)
                if not isinstance(opened, Opened):
                    return opened
                overtaken = None  # evicted from here on, the client must begin anew by itself
                link = Link(
                    self._client,
                    server,
                    opened.to_server,
                    opened.to_client,
                    opened.tap,
                    on_server_end=partial(self._server_ended, address),
                )
                await self._relay(lease, link)
        return overtaken

    async def _open(
        self, hello: Hello, lease: Lease, server: trio.SocketStream
    ) -> Opened | Again | Cancel | Left | Denied:
        service = self._service
        opened = await service.wire.open(self._client, server, hello, self._witness(lease))
        if isinstance(opened, NotOpened):
            self._observe(Evidence(lease.address, opened.signal, opened.detail))
            return Again(failed=opened.signal is Signal.FALTERED)
        if isinstance(opened, Opened) and not opened.to_server:
            self._observe(Evidence(lease.address, Signal.ANSWERED, "takes sessions"))
        return opened

    async def _relay(self, lease: Lease, link: Link) -> None:
        service, address, started = self._service, lease.address, trio.current_time()
        service.publish(SessionOpened(service.database, address))
        how: How | None = None
        try:
            how = await service.engine.relay(link)
        finally:
            traffic = link.traffic
            service.publish(
                SessionEnded(
                    service.database,
                    address,
                    how.value if how is not None else "cut",
                    trio.current_time() - started,
                    traffic.to_server,
                    traffic.to_client,
                )
            )

    def _server_ended(self, address: Address) -> None:
        if not self._rejected:
            self._observe(Evidence(address, Signal.SESSION_BROKE, "it ended a session"))

    def _witness(self, lease: Lease) -> Witness:
        def witness(seen: Seen) -> None:
            self._rejected = seen.rejected
            if seen.key is not None:
                self._service.ledger.keep_key(lease, seen.key)
            if seen.role is not Role.UNKNOWN:
                self._observe(Evidence(lease.address, Signal.ANSWERED, "takes sessions", seen.role))

        return witness

    async def _cancel(self, cancel: Cancel) -> None:
        """Forwards a cancel request to the server that gave its key, and closes when that server did."""
        service = self._service
        address = service.ledger.address_of(cancel.key) or self._current_address()
        service.publish(CancelForwarded(service.database, address is not None))
        if address is None:
            return
        with trio.move_on_after(CANCEL_TIMEOUT):
            dialled = await dial(address)
            if dialled.socket is None:
                return
            async with trio.SocketStream(dialled.socket) as server:
                try:
                    await server.send_all(cancel.packet)
                    await server.receive_some(1)
                except trio.BrokenResourceError:
                    pass

    def _current_address(self) -> Address | None:
        """For a key that nobody saw, because the session is encrypted end to end."""
        target = self._service.judge.choices.value.target
        return target.address if target else None

    async def _refuse(self, hello: Hello, refusal: Refusal, why: str) -> None:
        self._service.publish(ClientRefused(self._service.database, refusal, why))
        with trio.CancelScope() as last_words:
            if refusal is Refusal.DRAINING:  # the end of the process waits for them
                last_words.shield, last_words.deadline = True, trio.current_time() + FAREWELL_TIMEOUT
            await self._service.wire.refuse(self._client, hello, refusal, why)

    def _left(self, left: Left) -> None:
        self._service.publish(ClientLeft(self._service.database, left.reason))

    def _observe(self, evidence: Evidence | None) -> None:
        if evidence is not None:
            self._service.judge.observe(evidence)
