"""Clients on their way from accept to relay, in the relay engine's own thread.

Each goes on as its sockets have something to say. Where its session opens as ordinary ones do, the engine
carries it at once; otherwise it is given up, as far as it came: see `fast_path`.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Protocol, TypeVar

from dbambassador.forwarding.opening.arrival import Arrival
from dbambassador.forwarding.opening.request import request_of
from dbambassador.forwarding.relay.epoll_engine import CarriedSession
from dbambassador.forwarding.relay.epoll_loop import EpollLoop
from dbambassador.forwarding.relay.sides import WAKES, WAKES_BLOCKED, Session
from dbambassador.forwarding.relayed import Relayed
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.wires.conversation import CHUNK, Ask, Heard, Party, Pending, Said, answer, begin
from dbambassador.forwarding.wires.wire import Greeted, Hello, Opened, Tried
from dbambassador.transport import at_once, dial
from dbambassador.transport.dial import Dialled, Outcome
from dbambassador.transport.spare import Spare
from dbambassador.transport.unix_sockets import peer_of
from dbambassador.values import Choice

T = TypeVar("T")


class Keeper(Protocol):
    """Hears what becomes of arrivals, in trio's thread, in order."""

    def began(self, arrival: Arrival, opened: Opened, carried: CarriedSession) -> None:
        """The engine carries its session."""
        ...

    def given_up(self, arrival: Arrival, unsaid: bytes) -> None:
        """It is not an ordinary one. `unsaid`: what is still to be said in the conversation it is in."""
        ...

    def failed(self, bug: Exception) -> None:
        """It ended by a bug, and is closed."""
        ...

    def interrupted(self) -> None:
        """Accepting failed, and has ended."""
        ...


class Arrivals:
    """The clients of one database that arrive. All but the constructor and `abandon` is for the engine's
    thread."""

    def __init__(self, loop: EpollLoop, service: Service, keeper: Keeper) -> None:
        self._loop = loop
        self._service = service
        self._limit = service.limit
        self._keeper = keeper
        self._choice: Choice | None = None
        """What sessions follow while clients are accepted."""
        self._listeners: Sequence[socket.socket] = ()
        self._spare = Spare()
        self._under_way: dict[Arrival, None] = {}
        """In the order in which their patience ends."""
        self._alarmed = False

    def accept(self, choice: Choice, listeners: Sequence[socket.socket]) -> None:
        """Accepts clients from now on, whose sessions follow this choice. The listeners do not block."""
        self._choice, self._listeners = choice, listeners
        try:
            for listener in listeners:
                # Not edge-triggered: clients that are left in the queue are told of again.
                self._loop.watch(listener.fileno(), select.EPOLLIN, partial(self._take, listener))
        except OSError:  # no watch is left: trio goes on
            self._interrupt()
            return
        assert choice.target is not None
        self._spare.make(dial.family_to(choice.target.address))

    def stop(self) -> None:
        """Accepts no more, and gives all up that are under way."""
        self._stop_accepting()
        for arrival in list(self._under_way):
            self._give_up(arrival)

    def abandon(self) -> list[Arrival]:
        """Hands out all that are under way, after a crash of the engine: in trio's thread."""
        self._spare.close()
        arrivals, self._under_way = list(self._under_way), {}
        return arrivals

    def _interrupt(self) -> None:
        self._stop_accepting()
        self._loop.tell(self._keeper.interrupted, urgent=True)

    def _stop_accepting(self) -> None:
        if self._choice is not None:
            self._choice = None
            for listener in self._listeners:
                self._unwatch(listener)
            self._spare.close()

    def _take(self, listener: socket.socket, _: int) -> None:
        # One at a time: to ask whether there is another would cost more than to be told.
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # out of descriptors, as a rule: trio meets it as well, and deals with it
            self._interrupt()
            return
        client.setblocking(False)
        arrival = Arrival(client)
        full = self._limit.reached
        self._limit.arrived += 1
        self._under_way[arrival] = None
        try:
            if full:
                self._give_up(arrival)
            elif self._service.wire.opaque:
                self._dial(arrival)
            else:
                self._greet(arrival, begin(self._service.wire.hello()))
        except Exception as bug:  # a session's failure stays in the session
            self._fail(arrival, bug)
        self._set_alarm()

    def _greet(self, arrival: Arrival, said: Said[Greeted]) -> None:
        """Goes on with a client's hello."""
        arrival.greeting = said = self._converse(arrival, said)
        if isinstance(said, Pending):
            return
        if isinstance(said.result, Hello):
            arrival.hello = said.result
            self._dial(arrival)
        else:
            self._give_up(arrival)

    def _dial(self, arrival: Arrival) -> None:
        choice = self._choice
        if choice is None:
            self._give_up(arrival)
            return
        arrival.choice, arrival.since = choice, monotonic()
        arrival.target = self._service.balancer.pick(choice.pool, b"")
        arrival.relayed = Relayed(self._service)
        arrival.server = server = dial.begin(arrival.target.address, self._spare.take())
        if isinstance(server, Dialled):
            self._give_up(arrival)
        elif not self._progress(arrival, server):
            self._watch(arrival, server, Party.SERVER, WAKES_BLOCKED)

    def _progress(self, arrival: Arrival, server: socket.socket) -> bool:
        """Looks how the dial stands; false: it is under way."""
        end = dial.progress(server, arrival.target.address)
        if end is None:
            return False
        if end.outcome is not Outcome.CONNECTED:
            self._give_up_failed(arrival, server, end)
            return True
        arrival.dial_seconds = arrival.age
        wire = self._service.way_to(arrival.target.address).wire
        if wire.opaque:
            self._pass_on(arrival, server)
            return True
        if wire.resets_unopened:
            dial.reset_on_close(server, True)
        assert arrival.choice is not None
        request = request_of(
            self._service,
            arrival.choice,
            arrival.target,
            arrival.target.address,
            arrival.relayed.witness,
            unix=dial.family_of(arrival.client) == dial.UNIX,
        )
        self._begin(arrival, server, begin(wire.open(arrival.hello, request)))
        return True

    def _pass_on(self, arrival: Arrival, server: socket.socket) -> None:
        """Opens a session of which nothing is known, beginning with what the client has said by now."""
        said = at_once.receive(arrival.client, CHUNK)
        rest = at_once.send(server, said or b"")
        arrival.relayed.traffic.to_server = len(said or b"") - len(rest)
        session = self._relay(arrival, server, Opened(to_server=rest))
        if said is None:
            self._loop.broke(session.client)

    def _begin(self, arrival: Arrival, server: socket.socket, said: Said[Tried]) -> None:
        """Goes on with the opening of a session."""
        arrival.opening = said = self._converse(arrival, said)
        if isinstance(said, Pending):
            return
        if isinstance(said.result, Opened):
            self._relay(arrival, server, said.result)
        else:
            self._give_up(arrival)

    def _converse(self, arrival: Arrival, said: Said[T]) -> Said[T]:
        """Holds a conversation as far as it goes. Pending: an event goes on with it, or the arrival was given
        up."""
        while isinstance(said, Pending):
            heard = self._ask(arrival, said.ask)
            if heard is None:
                return said
            said = answer(said, heard)
        return said

    def _ask(self, arrival: Arrival, ask: Ask) -> Heard | None:
        """Says it, and returns the answer if it is there already. None: it will come as an event, or the
        arrival was given up."""
        party = arrival.client if ask.party is Party.CLIENT else arrival.server
        assert isinstance(party, socket.socket)
        if ask.find is not None:
            self._give_up(arrival, unsaid=ask.say)
            return None
        if ask.say:
            try:
                sent = party.send(ask.say)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                return Heard(b"", dial.describe(error))
            if sent < len(ask.say):
                self._give_up(arrival, unsaid=ask.say[sent:])
                return None
            if ask.told is not None:
                ask.told()
        watched = self._loop.watches(party.fileno())
        heard = None
        if ask.party in arrival.unheard or (ask.party is Party.CLIENT and not watched):
            heard = arrival.hear(party, ask)
        if heard is None and not watched:
            self._watch(arrival, party, ask.party, WAKES)
        return heard

    def _watch(self, arrival: Arrival, side: socket.socket, party: Party, events: int) -> None:
        self._loop.watch(side.fileno(), events, partial(self._woken, arrival, party))

    def _woken(self, arrival: Arrival, party: Party, _: int) -> None:
        try:
            self._go_on_with(arrival, party)
        except Exception as bug:  # a session's failure stays in the session
            self._fail(arrival, bug)

    def _go_on_with(self, arrival: Arrival, party: Party) -> None:
        """Somebody has said something, has left, or is connected."""
        arrival.unheard.add(party)
        if arrival.choice is None:
            assert isinstance(arrival.greeting, Pending)
            heard = arrival.hear(arrival.client, arrival.greeting.ask)
            if heard is not None:
                self._greet(arrival, answer(arrival.greeting, heard))
            return
        server = arrival.server
        assert isinstance(server, socket.socket)
        if arrival.dial_seconds is None:
            if party is Party.SERVER:
                self._progress(arrival, server)
            return
        assert isinstance(arrival.opening, Pending)
        ask = arrival.opening.ask
        if ask.party is party:
            heard = arrival.hear(server if party is Party.SERVER else arrival.client, ask)
            if heard is not None:
                self._begin(arrival, server, answer(arrival.opening, heard))

    def _relay(self, arrival: Arrival, server: socket.socket, opened: Opened) -> Session:
        """The session is open. What either side waits for goes first, and everything else after that."""
        relayed, client = arrival.relayed, arrival.client
        if dial.family_of(client) == dial.UNIX:
            relayed.client = peer_of(client)
        server = opened.relayed(server)
        to_client = at_once.send(client, opened.to_client)
        to_server = at_once.send(server, opened.to_server)
        relayed.traffic.to_client += len(opened.to_client) - len(to_client)
        relayed.traffic.to_server += len(opened.to_server) - len(to_server)
        relayed.traffic.asked = relayed.traffic.to_server > 0
        if self._service.wire.resets_unopened:
            dial.reset_on_close(server, False)
        del self._under_way[arrival]
        relayed.traffic.began_at = monotonic()
        link = relayed.link(client, server, to_server, to_client, opened.tap)
        session = Session(link, relayed.over)
        self._loop.adopt(session)
        carried = CarriedSession(self._loop, session)
        self._loop.tell(partial(self._keeper.began, arrival, opened, carried))
        if self._choice is not None:
            self._spare.make(dial.family_to(arrival.target.address))  # while we wait for the server's answer
        return session

    def _give_up(self, arrival: Arrival, unsaid: bytes = b"") -> None:
        """Gives an arrival up; see `Keeper.given_up`."""
        self._let_go(arrival)
        self._loop.tell(partial(self._keeper.given_up, arrival, unsaid), urgent=True)

    def _give_up_failed(self, arrival: Arrival, server: socket.socket, end: Dialled) -> None:
        """Gives an arrival up whose dial has failed."""
        self._unwatch(server)
        server.close()
        arrival.server = replace(end, seconds=arrival.age)
        self._give_up(arrival)

    def _fail(self, arrival: Arrival, bug: Exception) -> None:
        for side in self._let_go(arrival):
            side.close()
        self._loop.tell(partial(self._keeper.failed, bug), urgent=True)

    def _let_go(self, arrival: Arrival) -> list[socket.socket]:
        """Takes an arrival out. Returns: its sockets."""
        self._under_way.pop(arrival, None)
        sides = arrival.sides
        for side in sides:
            self._unwatch(side)
        return sides

    def _unwatch(self, side: socket.socket) -> None:
        if self._loop.watches(side.fileno()):
            self._loop.unwatch(side.fileno())

    def _set_alarm(self) -> None:
        if self._under_way and not self._alarmed:
            self._alarmed = True
            self._loop.alarm(next(iter(self._under_way)).patience_ends, self._end_patience)

    def _end_patience(self) -> None:
        self._alarmed = False
        now = monotonic()
        for arrival in list(self._under_way):
            if arrival.patience_ends > now:
                break
            self._give_up(arrival)
        self._set_alarm()
