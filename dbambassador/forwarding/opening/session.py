"""One client's session, top to bottom: hello, a choice, a dial, the opening. Then an engine has it."""

from __future__ import annotations

import socket
from time import monotonic
from typing import TypeVar

import trio
from trio.socket import SocketType

from dbambassador.events import CancelForwarded, ClientLeft, ClientRefused, Departure, DialEnded, Refusal
from dbambassador.forwarding.admission.preambles import Hearing
from dbambassador.forwarding.opening.attempt import Again, Attempt, Depart
from dbambassador.forwarding.opening.cancels import Recipient, forward
from dbambassador.forwarding.opening.conversing import FAREWELL_TIMEOUT, Held, farewell, finish
from dbambassador.forwarding.opening.request import request_of
from dbambassador.forwarding.relayed import Relayed
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.sessions.ledger import LEFT, Lease, Stage
from dbambassador.forwarding.wires.conversation import Party, Said, begin
from dbambassador.forwarding.wires.wire import Cancel, Denied, Greeted, Hello, Left, NotOpened, Opened
from dbambassador.health.evidence import Evidence, Signal, of_failed_dial
from dbambassador.settings.schema import Balance
from dbambassador.transport.dial import Outcome, detached, dial_host, reset_on_close
from dbambassador.transport.unix_sockets import peer_of
from dbambassador.values import Address

T = TypeVar("T")

MAX_FAILURES = 5
"""Failed attempts after which a client is told. A failover takes one or two; more are a server that passes
its checks and still drops sessions, which another attempt would not cure. Attempts at a target on trial are
not counted: they are bounded by the hold."""
_STAGES = {Party.SERVER: Stage.OPENING, Party.CLIENT: Stage.ASKING}
LEFT_IN_OPENING = Left("closed the connection before the server answered")


class Session:
    """A client from accept to relay. Whatever happens to it stays in it."""

    def __init__(self, service: Service, client: trio.SocketStream, hearing: Hearing, depart: Depart) -> None:
        self._service = service
        self._depart = depart if service.wire.resets_unopened else None
        self._name = service.database.name
        self._client = client
        self._hearing = hearing
        self.handed_over = False
        """An engine has it: it is not over when this is."""

    async def run(
        self,
        refusal: Refusal | None = None,
        greeting: Said[Greeted] | None = None,
        attempt: Attempt | None = None,
    ) -> None:
        """Serves the client until it is over or an engine has it.

        Args:
          refusal: the client is only told, in its own protocol.
          greeting: what was said before.
          attempt: a first attempt that was begun before.
        """
        with self._client.socket:
            hello = await self._converse(greeting or begin(self._service.wire.hello()))
            if isinstance(hello, Left):
                self._left(hello)
            elif isinstance(hello, Cancel):
                await self._cancel(hello)
            elif refusal is not None:
                maximum = self._service.limit.maximum
                await self._refuse(hello, refusal, f"at most {maximum} at once: see --max-connections")
            else:
                await self._serve(hello, attempt)

    async def _serve(self, hello: Hello, attempt: Attempt | None) -> None:
        key: bytes | Cancel | Left = b""
        if self._service.database.balance is Balance.HASH:
            key = await self._converse(begin(self._service.wire.identify(hello)))
        if isinstance(key, bytes):
            await self._seek(hello, key, attempt)
        else:
            await self._conclude(hello, key)

    async def _seek(self, hello: Hello, key: bytes, attempt: Attempt | None) -> None:
        """Tries until there is a session, or none is to be had."""
        failures, unfit, why = 0, set[Address](), ""
        while failures < MAX_FAILURES:
            if attempt is None:
                choice = await self._service.hold.choice(self._client)
                if isinstance(choice, Left):
                    self._left(choice)
                    return
                if isinstance(choice, Refusal):
                    await self._refuse(hello, choice, self._service.judge.choices.value.why)
                    return
                target = self._service.balancer.pick(choice.pool, key)
                attempt = Attempt(choice, target, Relayed(self._service))
            on_trial = attempt.target.address in attempt.choice.trials
            address = attempt.target.address
            if on_trial and not self._service.judge.try_out(address):
                attempt = None
                await trio.lowlevel.checkpoint()
                continue
            result = await self._attempt(hello, attempt)
            if not isinstance(result, Again):
                await self._conclude(hello, result)
                return
            attempt, why = None, result.why
            failures += not on_trial and (result.failed or (result.unfit and address in unfit))
            if result.unfit:
                unfit.add(address)
        await self._refuse(
            hello, Refusal.NO_TARGET, f"the server passes its checks but drops sessions: {why}"
        )

    async def _conclude(self, hello: Hello, result: Cancel | Left | Denied | Refusal | None) -> None:
        if isinstance(result, Refusal):
            await self._refuse(hello, result, "")
        elif isinstance(result, Denied):
            await self._refuse(hello, result.refusal, result.why)
        elif isinstance(result, Cancel):
            await self._cancel(result)
        elif isinstance(result, Left):
            self._left(result)

    async def _attempt(
        self, hello: Hello, attempt: Attempt
    ) -> Again | Cancel | Left | Denied | Refusal | None:
        """None: an engine has the session."""
        service, choice, address = self._service, attempt.choice, attempt.target.address
        epoch = choice.tenures[address]
        outcome: Again | Cancel | Left | Denied | Refusal | None = Again(why="another server was chosen")
        lease = attempt.lease or service.ledger.lease(
            epoch, address, attempt.scope.cancel, attempt.relayed.traffic
        )
        lease.client = self._client
        attempt.relayed.lease(lease)
        try:
            with attempt.scope:
                await service.ledger.admission(choice.epoch)
                if service.judge.choices.value.tenures.get(address) == epoch:
                    lease.enter(Stage.DIALLING)
                    outcome = await self._reach(hello, attempt, lease)
        finally:
            attempt.abandon(self._depart)
            if not self.handed_over:
                lease.release()
        if lease.fate == LEFT:
            return LEFT_IN_OPENING
        if isinstance(outcome, Again) and hello.exchanged:
            return Denied(outcome.why, Refusal.BROKEN_OFF)
        return outcome

    async def _reach(
        self, hello: Hello, attempt: Attempt, lease: Lease
    ) -> Again | Cancel | Left | Denied | Refusal | None:
        connection = await self._dial(attempt, lease)
        if not isinstance(connection, SocketType):
            return connection
        with connection:
            lease.enter(Stage.OPENING)
            opened = await self._open(hello, attempt, lease, connection)
            if not isinstance(opened, Opened):
                return opened
            self._relay(opened, attempt.relayed, connection)
        return None

    async def _dial(self, attempt: Attempt, lease: Lease) -> SocketType | Again | Refusal:
        service = self._service
        race = await dial_host(attempt.target.addresses, begun=attempt.take_begun())
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
            return Again(failed=True, why=race.dialled.detail)
        service.descriptors.sufficed()
        if race.address != lease.address:
            lease.move(race.address, attempt.choice.tenures[race.address])
        return race.dialled.socket

    async def _open(
        self, hello: Hello, attempt: Attempt, lease: Lease, server: SocketType
    ) -> Opened | Again | Cancel | Left | Denied:
        wire = self._service.way_to(lease.address).wire
        if wire.resets_unopened:
            reset_on_close(server, True)
        opening = attempt.opening
        if opening is None:
            unix = self._client.socket.family == socket.AF_UNIX
            request = request_of(
                self._service,
                attempt.choice,
                attempt.target,
                lease.address,
                attempt.relayed.witness,
                unix=unix,
            )
            opening = begin(wire.open(hello, request))
        streams = {Party.CLIENT: self._client, Party.SERVER: trio.SocketStream(server)}
        held = Held(opening, streams, self._hearing, lambda party: lease.enter(_STAGES[party]))
        try:
            opened = await held.finish()
            # Something heard at the moment of a cut would hide the cut: the session would go on without a
            # tenure, and the choice that cut it would wait for its end.
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            if self._depart is not None:
                self._depart(held.said, trio.socket.from_stdlib_socket(detached(server)))
            raise
        if isinstance(opened, NotOpened | Denied) and opened.seen is not None:
            attempt.relayed.witness(opened.seen)
        if isinstance(opened, NotOpened):
            self._observe(Evidence(lease.address, opened.signal, opened.detail))
            failed = opened.signal is not Signal.SERVED
            return Again(failed, unfit=not failed, why=opened.detail)
        if wire.resets_unopened and isinstance(opened, Opened):
            reset_on_close(server, False)
        return opened

    def _relay(self, opened: Opened, relayed: Relayed, server: SocketType) -> None:
        """Hands the session over. Nothing here waits: from now on it is the engine that closes."""
        if self._client.socket.family == socket.AF_UNIX:
            relayed.client = peer_of(self._client.socket)
        relayed.begin(opened)
        relayed.traffic.began_at = monotonic()
        client = detached(self._client.socket)
        relayed_server = opened.relayed(detached(server))
        link = relayed.link(client, relayed_server, opened.to_server, opened.to_client, opened.tap)
        relayed.carried(self._service.engine.carry(link, relayed.over))
        self.handed_over = True

    async def _converse(self, said: Said[T]) -> T:
        """Holds a conversation with the client alone."""
        return await finish(said, {Party.CLIENT: self._client}, self._hearing)

    async def _cancel(self, cancel: Cancel) -> None:
        """Forwards a cancel request to the server that gave its key, and closes when that server did.

        A key that nobody saw belongs to a session that is encrypted end to end, at any of the addresses.
        """
        service = self._service
        await service.engine.settle()  # the key may have reached its client a moment ago
        address = service.ledger.address_of(cancel.key)
        addresses = (address,) if address else tuple(service.judge.choices.value.tenures)
        service.publish(CancelForwarded(self._name, found=address is not None))
        servers = [
            Recipient(each, service.judge.name(each), service.way_to(each).wire.encryption)
            for each in addresses
        ]
        await forward(cancel, servers)

    async def _refuse(self, hello: Hello, refusal: Refusal, why: str) -> None:
        with trio.CancelScope() as last_words:
            if refusal is Refusal.DRAINING:  # the end of the process waits for them
                last_words.shield, last_words.deadline = True, trio.current_time() + FAREWELL_TIMEOUT
            conversation = self._service.wire.last_words(hello, refusal, why)
            told: bytes | Cancel = b""
            try:
                told = await self._converse(begin(conversation))
            finally:
                if not isinstance(told, Cancel):
                    self._service.publish(ClientRefused(self._name, refusal, why))
            if isinstance(told, Cancel):
                await self._cancel(told)
            elif told:
                await farewell(self._client, told)

    def _left(self, left: Left) -> None:
        if left.refusal is not None:
            self._service.publish(ClientRefused(self._name, left.refusal, left.reason))
        self._service.publish(ClientLeft(self._name, left.reason, self._departure(left)))

    def _departure(self, left: Left) -> Departure:
        if left.garbled:
            return Departure.GARBLED
        if self._hearing.ended:
            return Departure.CROWDED_OUT
        return Departure.TIMED_OUT if self._hearing.timed_out else Departure.LEFT

    def _observe(self, evidence: Evidence | None) -> None:
        if evidence is not None:
            self._service.judge.observe(evidence)
