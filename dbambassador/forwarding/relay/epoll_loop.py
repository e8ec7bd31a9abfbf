"""The loop of the epoll engine: carries the bytes of all sessions, one batch of events after the other.

Sockets are registered once, edge-triggered. The laws, each of which stands for an experiment that failed
without it:

* Only the results of `recv` and `send` decide; events merely wake.
* What an event told is not told again: a socket is read until it has nothing more, or is noted as readable.
  A short read has emptied it, unless the event told of an end, an error or urgent data, at which reads stop.
* A side that did not take everything stops the reading of the other one, whose turn comes once it did.
* Sockets are closed at the end of a batch: no event left in it can meet a descriptor's next owner.

What trio is to know goes there in order, and in batches: waking its thread costs a session more than carrying
a message, and would cost it at the moment at which its client waits for the first answer.
"""

from __future__ import annotations

import heapq
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic

from dbambassador.forwarding.relay.endings import READ_OUT_LIMIT, End, Then
from dbambassador.forwarding.relay.sides import Session, Side

READ = 32 * 1024
"""Bytes of a read, and so the most that is kept of what a side did not take. A bulk stream took 0.8 s of CPU
time for a gigabyte with 16 KiB, 0.5 s with 32 KiB, and no less with 64 KiB; small messages do not care."""
BURST = 8
"""Reads of one side before others get their turn: 256 KiB at most."""
BATCH = 64
"""Events that are asked for at once; more wait in the kernel, in order."""
QUIET = 0.005
"""Seconds without an event after which trio gets its news."""
OLDEST = 0.1
"""Seconds after which it gets them in any case, or at once what is urgent."""

_ODD = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR | select.EPOLLPRI
_TELLING = _ODD | select.EPOLLIN
_WRITABLE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR

Command = Callable[[], None]
Handler = Callable[[int], None]
"""Given the events of a descriptor that is no session's yet. They merely wake: any may be stale."""


class EpollLoop:
    """Sessions and their sockets. All but `post`, `abandon` and `close` is for the thread that turns it."""

    def __init__(self, inform: Callable[[list[Command]], None]) -> None:
        """`inform` has the given calls made in trio's thread, in order."""
        self._inform = inform
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._commands: deque[Command] = deque()
        self._buffer = memoryview(bytearray(READ))
        self._sides: dict[int, Side] = {}
        self._handlers: dict[int, Handler] = {}
        self._news: list[Command] = []
        self._news_due = 0.0
        self.at_crash: list[Command] = []
        """What watchers of descriptors do when the loop was abandoned."""
        self._readable: list[Side] = []
        """Sides that had their turn and may have more."""
        self._due: list[Side] = []
        """Those of the turn before."""
        self._ended: list[Session] = []
        self._alarms: list[tuple[float, int, Command]] = []
        self._alarms_set = 0
        self._busy = False
        """Something is to be done that no event tells of."""
        self.wakes = 0
        """Times that `turn` was called, and the events it served. Written by the loop's thread alone."""
        self.events = 0

    def post(self, command: Command) -> None:
        """Has a command run in the loop's thread, soon. May be called in any thread."""
        self._commands.append(command)
        os.eventfd_write(self._wake, 1)

    def adopt(self, session: Session) -> None:
        """Begins to carry a session. Its sockets may have been watched: the session's they are now."""
        for side in session.sides:
            self._sides[side.descriptor] = side
        try:
            for side in session.sides:
                if self._handlers.pop(side.descriptor, None) is None:
                    self._epoll.register(side.descriptor, side.wakes)
                else:  # tells of all that is the case, even if it was told before
                    self._epoll.modify(side.descriptor, side.wakes)
        except Exception as failure:
            self.end(session, failure)

    def broke(self, side: Side) -> None:
        """Takes note of a reset by a side, which was met elsewhere."""
        if side.open:
            self._note(side, End.SOURCE_RESET)

    def watch(self, descriptor: int, events: int, handler: Handler) -> None:
        """Has a handler called at a descriptor's events."""
        self._epoll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def watches(self, descriptor: int) -> bool:
        return descriptor in self._handlers

    def alarm(self, when: float, call: Command) -> None:
        """Has something called at a time of the monotonic clock."""
        self._alarms_set += 1
        heapq.heappush(self._alarms, (when, self._alarms_set, call))
        self._busy = True

    def unwatch(self, descriptor: int) -> None:
        """The end of that; the descriptor must still be open."""
        del self._handlers[descriptor]
        self._epoll.unregister(descriptor)

    def tell(self, news: Command, *, urgent: bool = False) -> None:
        """Has something called in trio's thread, after all that was told before."""
        if urgent:
            self._news_due = 0.0
        elif not self._news:
            self._news_due = monotonic() + OLDEST
        self._news.append(news)
        self._busy = True

    def end(self, session: Session, failure: Exception | None = None) -> None:
        """Ends a session with a reset. No-op where it ended by itself."""
        if not session.over:
            session.cut, session.failure = True, failure
            self._finish(session)

    def turn(self) -> None:
        """Waits for events and serves them, each of its sides once."""
        told = self._poll(self._patience() if self._busy else None, BATCH)
        for descriptor, events in told:
            side = self._sides.get(descriptor)
            if side is not None:
                try:
                    if side.rest is not None and events & _WRITABLE:
                        self._send_rest(side)
                    if side.listening and events & _TELLING:
                        self._carry(side, events & _ODD)
                except Exception as bug:  # of a tap, as a rule: a session's failure stays in the session
                    self.end(side.session, bug)
            elif descriptor == self._wake:
                self._obey()
            elif (handler := self._handlers.get(descriptor)) is not None:
                handler(events)
        if self._busy:
            self._tidy_up(quiet=not told)
        self.wakes += 1  # last: nobody waits for it any more
        self.events += len(told)

    def abandon(self, crash: Exception) -> None:
        """Ends all sessions, after a crash of the thread that turned it: it must not be turned again."""
        while self._commands:
            self._commands.popleft()()
        for session in {side.session for side in self._sides.values()}:
            self.end(session, crash)
        self._close_ended()
        for clean_up in self.at_crash:
            clean_up()
        self._inform(self._news)

    def close(self) -> None:
        """Gives the loop's own descriptors back. There must be no session left."""
        self._epoll.close()
        os.close(self._wake)

    def _patience(self) -> float | None:
        """Seconds to wait for events; None for ever."""
        if self._due:
            return 0
        if self._news:
            return QUIET
        return max(0.0, self._alarms[0][0] - monotonic()) if self._alarms else None

    def _tidy_up(self, *, quiet: bool) -> None:
        """Does what no event tells of."""
        if self._readable or self._due:
            self._serve_due()
        if self._alarms:
            self._sound_alarms()
        if self._ended:
            self._close_ended()
        if self._news and (quiet or monotonic() >= self._news_due):
            news, self._news = self._news, []
            self._inform(news)
        self._busy = bool(self._due or self._alarms or self._news)

    def _obey(self) -> None:
        os.eventfd_read(self._wake)
        while self._commands:
            self._commands.popleft()()

    def _serve_due(self) -> None:
        for side in self._due:
            side.listening = side.open
            if side.listening:
                try:
                    self._carry(side, _ODD)
                except Exception as bug:
                    self.end(side.session, bug)
        self._due, self._readable = self._readable, []

    def _carry(self, source: Side, odd: int) -> None:
        """Reads one side and sends to the other, until there is nothing, no space, or the turn is over."""
        sink, traffic = source.other, source.traffic
        receive, send, buffer = source.receive, sink.send, self._buffer
        budget = BURST
        while True:
            try:
                count = receive(buffer)
            except BlockingIOError:
                return
            except OSError:
                self._note(source, End.SOURCE_RESET)
                return
            if not count:
                self._note(source, End.EOF)
                return
            if source.tap is not None:
                self._carry_tapped(source, count)
                return
            try:
                sent = send(buffer[:count])
            except BlockingIOError:
                sent = 0
            except OSError:
                self._note(source, End.SINK_RESET)
                return
            if source.of_client:
                traffic.asked = True  # first: whoever sees the count sees this as well
                traffic.to_server += sent
            else:
                traffic.asked = False
                traffic.to_client += sent
            if traffic.still:
                traffic.move()
            if sent < count:
                self._keep(sink, buffer[sent:count])
                return
            if count < READ and not odd:
                return
            budget -= 1
            if not budget:
                self._queue(source)
                return

    def _carry_tapped(self, source: Side, count: int) -> None:
        """Sends what a tap makes of the bytes in the buffer."""
        assert source.tap is not None
        tapped = source.tap(bytes(self._buffer[:count]))
        if tapped.tell is not None:
            self._tell_of(source.session, tapped.tell)
        if tapped.done or tapped.refuse:
            source.tap = None
        if tapped.refuse:
            source.refusing = True
            source.send = len  # whatever the other side says now, nobody hears
        self._keep(source.other, memoryview(tapped.forward))
        self._send_rest(source.other)

    def _keep(self, sink: Side, rest: memoryview) -> None:
        """Keeps what a side did not take, until it has space again."""
        sink.rest = memoryview(bytes(rest))
        sink.other.listening = False
        if sink.unix:
            self._epoll.modify(sink.descriptor, sink.wakes)

    def _send_rest(self, sink: Side) -> None:
        """Sends what a side did not take; once it is gone, the other side is read again."""
        source = sink.other
        assert sink.rest is not None
        try:
            sent = sink.send(sink.rest)
        except BlockingIOError:
            return
        except OSError:
            sink.rest = None
            self._note(source, End.SINK_RESET)
            return
        source.count(sent)
        if sent < len(sink.rest):
            sink.rest = sink.rest[sent:]
            return
        sink.rest = None
        if sink.unix:
            self._epoll.modify(sink.descriptor, sink.wakes)
        if source.refusing:
            self._note(source, End.REFUSED)
        elif source.open:
            self._queue(source)

    def _queue(self, source: Side) -> None:
        source.listening = False
        self._readable.append(source)
        self._busy = True

    def _note(self, source: Side, end: End) -> None:
        """One direction has ended."""
        source.open = source.listening = False
        session = source.session
        first = not session.endings.begun
        then = session.endings.note(end, of_client=source.of_client)
        if first and session.endings.server_left_first and session.on_server_end is not None:
            self._tell_of(session, session.on_server_end, urgent=True)
        if then is Then.PASS_ON:
            try:
                source.other.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # gone by itself: its own direction tells
        elif then is Then.READ_OUT:
            self.alarm(monotonic() + READ_OUT_LIMIT, partial(self._finish, session))
        elif then is Then.DISCARD:
            self._discard(source.other)
            self.alarm(monotonic() + READ_OUT_LIMIT, partial(self._finish, session))
        else:
            self._finish(session)

    def _discard(self, refused: Side) -> None:
        """Reads a side out that will hear nothing more, and has nobody hear it."""
        refused.other.rest = None
        for side in refused.session.sides:
            try:
                side.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # gone by itself
        if refused.open:
            self._queue(refused)

    def _sound_alarms(self) -> None:
        now = monotonic()
        while self._alarms and self._alarms[0][0] <= now:
            heapq.heappop(self._alarms)[2]()

    def _finish(self, session: Session) -> None:
        if session.over:
            return
        session.over = True
        for side in session.sides:
            side.open = side.listening = False
            side.rest = None
            self._sides.pop(side.descriptor, None)
        self._ended.append(session)
        self._busy = True

    def _close_ended(self) -> None:
        ended, self._ended = self._ended, []
        for session in ended:
            session.close()
            self.tell(partial(session.on_over, session.outcome), urgent=session.cut)

    def _tell_of(self, session: Session, what: Command, *, urgent: bool = False) -> None:
        """Tells what is a session's own: so is its failure."""

        def tell() -> None:
            try:
                what()
            except Exception as bug:
                self.post(partial(self.end, session, bug))

        self.tell(tell, urgent=urgent)
