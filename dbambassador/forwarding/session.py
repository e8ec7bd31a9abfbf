"""One client's session, top to bottom: hello, a choice, a dial, the relay, its ending."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import trio
from trio.socket import SocketType

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
from dbambassador.forwarding.balance import Balancer
from dbambassador.forwarding.cancels import forward
from dbambassador.forwarding.descriptors import Descriptors
from dbambassador.forwarding.engine import Engine, How, Link
from dbambassador.forwarding.hold import Hold
from dbambassador.forwarding.ledger import Lease, Ledger, Stage
from dbambassador.forwarding.wire import (
    FAREWELL_TIMEOUT,
    Cancel,
    Denied,
    Hello,
    Left,
    NotOpened,
    Opened,
    Request,
    Seen,
    Wire,
    Witness,
)
from dbambassador.health.evidence import Evidence, Role, Signal, of_failed_dial
from dbambassador.health.judge import Judge
from dbambassador.settings.schema import Balance, Database, TargetSessionAttrs
from dbambassador.transport.dial import Outcome, dial_host
from dbambassador.values import Address, Choice, Target

MAX_FAILURES = 5
"""Failed attempts after which a client is told. A failover takes one or two; more are a server that passes
its checks and still drops sessions, which another attempt would not cure. Attempts at a target on trial are
not counted: they are bounded by the hold."""
LEFT_IN_OPENING = Left("closed the connection before the server answered")


@dataclass(frozen=True, slots=True)
class Again:
    """The attempt ended before the client saw anything: another decision is wanted."""

    failed: bool = False
    """At its server; otherwise the decision it followed was overtaken."""
    unfit: bool = False
    """Its server is of the wrong role."""


@dataclass(frozen=True, slots=True)
class Service:
    """What all sessions of one database share."""

    database: Database
    wire: Wire
    judge: Judge
    ledger: Ledger
    hold: Hold
    balancer: Balancer
    engine: Engine
    descriptors: Descriptors
    publish: Publish


class Session:
    """A client from accept to end. Whatever happens to it stays in it."""

    def __init__(self, service: Service, client: trio.SocketStream) -> None:
        self._service = service
        self._name = service.database.name
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
        key: bytes | Cancel | Left = b""
        if self._service.database.balance is Balance.HASH:
            key = await self._service.wire.identify(self._client, hello)
        if isinstance(key, bytes):
            await self._seek(hello, key)
        else:
            await self._conclude(hello, key)

    async def _seek(self, hello: Hello, key: bytes) -> None:
        """Tries until there is a session, or none is to be had."""
        failures, unfit = 0, set[Address]()
        while failures < MAX_FAILURES:
            choice = await self._service.hold.choice(self._client)
            if isinstance(choice, Left):
                self._left(choice)
                return
            if isinstance(choice, Refusal):
                await self._refuse(hello, choice, self._service.judge.choices.value.why)
                return
            target = self._service.balancer.pick(choice.pool, key)
            on_trial = target.address in choice.trials
            if on_trial and not self._service.judge.try_out(target.address):
                await trio.lowlevel.checkpoint()
                continue
            result = await self._attempt(hello, choice, target)
            if not isinstance(result, Again):
                await self._conclude(hello, result)
                return
            failures += not on_trial and (result.failed or (result.unfit and target.address in unfit))
            if result.unfit:
                unfit.add(target.address)
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

    async def _attempt(
        self, hello: Hello, choice: Choice, target: Target
    ) -> Again | Cancel | Left | Denied | Refusal | None:
        """One try at one of the chosen addresses. None: there was a session, and it is over."""
        service, address = self._service, target.address
        epoch = choice.tenures[address]
        outcome: Again | Cancel | Left | Denied | Refusal | None = Again()
        with service.ledger.lease(epoch, address, self._client) as lease:
            with lease.scope:
                await service.ledger.admission(choice.epoch)
                if service.judge.choices.value.tenures.get(address) != epoch:
                    return Again()
                lease.enter(Stage.DIALLING)
                outcome = await self._reach(hello, choice, target, lease)
            if lease.left:
                return LEFT_IN_OPENING
            if lease.stage is Stage.RELAYING:
                return None  # however it ended, the client has seen the server: it must begin anew by itself
        return outcome

    async def _reach(
        self, hello: Hello, choice: Choice, target: Target, lease: Lease
    ) -> Again | Cancel | Left | Denied | Refusal | None:
        connection = await self._dial(target, choice, lease)
        if not isinstance(connection, SocketType):
            return connection
        with connection:
            lease.enter(Stage.OPENING)
            server = trio.SocketStream(connection)
            request = Request(
                self._wanted(choice, lease), self._service.database.target_session_attrs, self._witness(lease)
            )
            opened = await self._open(hello, request, lease, server)
            if not isinstance(opened, Opened):
                return opened
            lease.enter(Stage.RELAYING)
            link = Link(
                self._client,
                server,
                opened.to_server,
                opened.to_client,
                opened.tap,
                lease.traffic,
                on_server_end=partial(self._server_ended, lease),
            )
            await self._relay(lease, link)
        return None

    async def _dial(self, target: Target, choice: Choice, lease: Lease) -> SocketType | Again | Refusal:
        service = self._service
        race = await dial_host(target.addresses)
        for address, dialled in (*race.lost, (race.address, race.dialled)):
            if dialled is None:
                self._observe(Evidence(address, Signal.HESITATED, "its other address answered first"))
                continue
            service.publish(DialEnded(self._name, address, dialled.outcome.value, dialled.seconds))
            if dialled.socket is None and dialled.outcome is not Outcome.EXHAUSTED:
                self._observe(of_failed_dial(address, dialled, Signal.FALTERED))
        if race.dialled.socket is None:
            if race.dialled.outcome is Outcome.EXHAUSTED:
                service.descriptors.exhausted()
                return Refusal.NO_DESCRIPTORS
            return Again(failed=True)
        service.descriptors.sufficed()
        if race.address != lease.address:
            lease.move(race.address, choice.tenures[race.address])
        return race.dialled.socket

    async def _open(
        self, hello: Hello, request: Request, lease: Lease, server: trio.SocketStream
    ) -> Opened | Again | Cancel | Left | Denied:
        opened = await self._service.wire.open(self._client, server, hello, request)
        if isinstance(opened, NotOpened):
            self._observe(Evidence(lease.address, opened.signal, opened.detail))
            return Again(opened.signal is not Signal.SERVED, opened.signal is Signal.SERVED)
        if isinstance(opened, Opened) and not opened.to_server:
            self._observe(Evidence(lease.address, Signal.SERVED, "takes sessions"))
        return opened

    def _wanted(self, choice: Choice, lease: Lease) -> TargetSessionAttrs:
        """What this session asks of its server.

        Where a standby is preferred, one whose role is not known yet is left again if it is none, as long as
        there are others; one that is known to be none was chosen for lack of others.
        """
        wanted = self._service.database.target_session_attrs
        known = self._service.judge.role(lease.address) is not Role.UNKNOWN
        if wanted is TargetSessionAttrs.PREFER_STANDBY and len(choice.pool) > 1 and not known:
            return TargetSessionAttrs.STANDBY
        return wanted

    async def _relay(self, lease: Lease, link: Link) -> None:
        service, address, started = self._service, lease.address, trio.current_time()
        service.publish(SessionOpened(self._name, address))
        how: How | None = None
        try:
            how = await service.engine.relay(link)
        finally:
            traffic = link.traffic
            service.publish(
                SessionEnded(
                    self._name,
                    address,
                    how.value if how is not None else lease.fate,
                    trio.current_time() - started,
                    traffic.to_server,
                    traffic.to_client,
                )
            )

    def _server_ended(self, lease: Lease) -> None:
        if not self._rejected:
            self._observe(Evidence(lease.address, Signal.SESSION_BROKE, "it ended a session"))

    def _witness(self, lease: Lease) -> Witness:
        def witness(seen: Seen) -> None:
            self._rejected = seen.rejected
            if seen.key is not None:
                self._service.ledger.keep_key(lease, seen.key)
            if seen.role is not Role.UNKNOWN or seen.encrypted:
                self._observe(
                    Evidence(
                        lease.address, Signal.SERVED, "takes sessions", seen.role, role_hidden=seen.encrypted
                    )
                )

        return witness

    async def _cancel(self, cancel: Cancel) -> None:
        """Forwards a cancel request to the server that gave its key, and closes when that server did.

        A key that nobody saw belongs to a session that is encrypted end to end, at any of the addresses.
        """
        service = self._service
        address = service.ledger.address_of(cancel.key)
        addresses = (address,) if address else tuple(service.judge.choices.value.tenures)
        service.publish(CancelForwarded(self._name, bool(addresses)))
        await forward(cancel, addresses)

    async def _refuse(self, hello: Hello, refusal: Refusal, why: str) -> None:
        self._service.publish(ClientRefused(self._name, refusal, why))
        with trio.CancelScope() as last_words:
            if refusal is Refusal.DRAINING:  # the end of the process waits for them
                last_words.shield, last_words.deadline = True, trio.current_time() + FAREWELL_TIMEOUT
            await self._service.wire.refuse(self._client, hello, refusal, why)

    def _left(self, left: Left) -> None:
        self._service.publish(ClientLeft(self._name, left.reason))

    def _observe(self, evidence: Evidence | None) -> None:
        if evidence is not None:
            self._service.judge.observe(evidence)
