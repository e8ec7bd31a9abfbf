"""The ordinary session from accept to relay, in the relay engine's own thread.

Trio decides, and puts its decision on offer here; a session that follows it costs no task and no change of
threads before its client has the first answer. Whatever is not ordinary goes to trio with all that was said
so far: a client that has to wait or to be told something, a server that does not answer as it should, and
anything that takes longer than a moment.

What trio hears of these sessions comes in order. Once a withdrawal has been acknowledged, it knows of all
that followed the offer: from then on they are in the ledger, for eviction to find.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import trio

from dbambassador.events import DialEnded, SessionCrashed
from dbambassador.forwarding.opening.arrival import Arrival
from dbambassador.forwarding.opening.arrivals import Arrivals
from dbambassador.forwarding.opening.attempt import Attempt
from dbambassador.forwarding.relay.epoll_engine import CarriedSession, EpollEngine
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.sessions.ledger import Lease
from dbambassador.forwarding.wires.conversation import Pending, Said
from dbambassador.forwarding.wires.wire import Greeted, Opened
from dbambassador.settings.schema import Balance, TargetSessionAttrs
from dbambassador.transport.dial import Dialled, Outcome
from dbambassador.values import Choice

T = TypeVar("T")

_TAKING_TURNS = (None, Balance.ROUND_ROBIN, Balance.RANDOM)
"""Ways of balancing that need to know nothing of the session, nor of the others."""


class GoOn(Protocol):
    """Goes on with a client's session as a task of trio's; see `Session.run`."""

    def __call__(
        self, client: trio.SocketStream, greeting: Said[Greeted] | None, attempt: Attempt | None, /
    ) -> None: ...


class FastPath:
    """The fast path of one database's listeners, as trio's thread sees it."""

    def __init__(self, engine: EpollEngine, service: Service, go_on: GoOn) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._service = service
        self._limit = service.limit
        self._go_on = go_on
        self._arrivals = Arrivals(engine.loop, service, self)
        self._listeners: dict[trio.SocketListener, socket.socket] = {}
        self._closed = False
        self._offered: Choice | None = None
        self._interrupted: Choice | None = None
        """An offer that the engine gave up by itself."""
        self._withdrawn = trio.Event()
        self._withdrawn.set()
        self._accepting: set[trio.CancelScope] = set()
        engine.loop.at_crash.append(self._crashed)

    def add(self, listener: trio.SocketListener) -> None:
        """Accepts on this listener as well, while there is an offer; there is none now."""
        lent = listener.socket
        # No descriptor of its own: a reload must not fail for want of one when it has half begun.
        accepting = socket.socket(lent.family, lent.type, lent.proto, fileno=lent.fileno())
        accepting.setblocking(False)
        self._listeners[listener] = accepting

    def remove(self, listener: trio.SocketListener) -> None:
        """Does not accept there any more; there is no offer now."""
        self._listeners.pop(listener).detach()

    def offer(self, choice: Choice) -> None:
        """Has clients served by this choice, if its sessions can be ordinary ones. Its epoch is admitted."""
        assert self._offered is None
        self._interrupted = None
        able = self._engine.crash is None and self._listeners and not self._closed
        if able and self._ordinary(choice):
            self._offered = choice
            self._withdrawn = trio.Event()
            self._loop.post(partial(self._arrivals.accept, choice, tuple(self._listeners.values())))
            for scope in self._accepting:
                scope.cancel()

    async def withdraw(self) -> None:
        """Takes the offer back. On return, every session that followed it is in the ledger."""
        if self._offered is not None or self._interrupted is not None:
            self._end_offer()
            self._interrupted = None
            self._loop.post(self._arrivals.stop)
        with trio.CancelScope(shield=True):  # whoever is next must find it withdrawn
            await self._engine.settle()

    async def close(self) -> None:
        """Withdraws, for good."""
        self._closed = True  # first: a choice may be changing at this moment
        await self.withdraw()
        if self._crashed in self._loop.at_crash:  # there is nothing left that a crash could strand
            self._loop.at_crash.remove(self._crashed)
        for accepting in self._listeners.values():
            accepting.detach()
        self._listeners = {}

    async def without_offer(self) -> None:
        """Waits while there is an offer: its clients are accepted here."""
        await self._withdrawn.wait()

    @contextmanager
    def offer_cancels(self, scope: trio.CancelScope) -> Iterator[None]:
        """Within it, the next offer cancels this scope."""
        self._accepting.add(scope)
        try:
            yield
        finally:
            self._accepting.discard(scope)

    def recover(self) -> None:
        """Accepting works: an offer that was given up because it did not may stand again."""
        if self._interrupted is not None:
            self.offer(self._interrupted)

    def _ordinary(self, choice: Choice) -> bool:
        database = self._service.database
        undecided_role = (
            database.target_session_attrs is TargetSessionAttrs.PREFER_STANDBY and len(choice.pool) > 1
        )
        return (
            choice.target is not None
            and not choice.trials
            and not undecided_role
            and database.balance in _TAKING_TURNS
        )

    def _end_offer(self) -> None:
        self._offered = None
        self._withdrawn.set()

    # What the engine tells

    def began(self, arrival: Arrival, opened: Opened, carried: CarriedSession) -> None:
        service, relayed = self._service, arrival.relayed
        lease = self._lease(arrival, carried.cut)
        self._limit.clients += 1  # first: the engine's thread is never to count too few
        self._limit.taken_over += 1
        relayed.lease(lease)
        try:
            service.descriptors.sufficed()
            seconds = arrival.dial_seconds or 0.0
            service.publish(DialEnded(service.database.name, lease.address, Outcome.CONNECTED.value, seconds))
            relayed.begin(opened)
            relayed.carried(carried)
        except Exception as bug:  # a session's failure stays in the session
            service.publish(SessionCrashed(service.database.name, repr(bug)))
            carried.cut()

    def given_up(self, arrival: Arrival, unsaid: bytes) -> None:
        client = trio.SocketStream(trio.socket.from_stdlib_socket(arrival.client))
        greeting, opening, attempt = arrival.greeting, arrival.opening, None
        if isinstance(greeting, Pending):
            greeting = _left_to_say(greeting, unsaid)
        if isinstance(opening, Pending):
            opening = _left_to_say(opening, unsaid)
        if arrival.choice is not None:
            begun = arrival.server
            if arrival.dial_seconds is not None:
                assert isinstance(begun, socket.socket)
                connected = trio.socket.from_stdlib_socket(begun)
                begun = Dialled(Outcome.CONNECTED, connected, "", arrival.dial_seconds)
            attempt = Attempt(arrival.choice, arrival.target, arrival.relayed, begun=begun, opening=opening)
            attempt.lease = self._lease(arrival, attempt.scope.cancel)
        self._limit.taken_over += 1  # `go_on` counts it anew
        self._go_on(client, greeting, attempt)

    def failed(self, bug: Exception) -> None:
        self._limit.taken_over += 1
        self._service.publish(SessionCrashed(self._service.database.name, repr(bug)))

    def interrupted(self) -> None:
        if self._offered is not None:
            self._interrupted = self._offered
            self._end_offer()

    def _lease(self, arrival: Arrival, cut: Callable[[], None]) -> Lease:
        assert arrival.choice is not None
        address = arrival.target.address
        epoch = arrival.choice.tenures[address]
        return self._service.ledger.lease(epoch, address, cut, arrival.relayed.traffic)

    def _crashed(self) -> None:
        for arrival in self._arrivals.abandon():
            self.given_up(arrival, b"")
        self._end_offer()


def _left_to_say(said: Pending[T], unsaid: bytes) -> Pending[T]:
    return replace(said, ask=replace(said.ask, say=unsaid))
