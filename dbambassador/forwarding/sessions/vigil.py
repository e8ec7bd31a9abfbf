"""A look at the sessions four times a second: for what no read or write would ever tell.

A host that was cut off sends no error. Its kernel no longer acknowledges what sessions send, and that is seen
here within a second, instead of after the fifteen minutes that TCP would go on trying. One look for all costs
a session nothing: no timer and no task of its own, and none of the look where nothing passes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import islice

import trio

from dbambassador.forwarding.sessions.idleness import Idleness
from dbambassador.forwarding.sessions.ledger import IDLE, LEFT, Lease, Ledger, Stage
from dbambassador.health.evidence import Evidence, Signal
from dbambassador.health.judge import Judge
from dbambassador.transport.tcp_info import Delivery, delivery, has_left
from dbambassador.values import Address

PERIOD = 0.25
"""Seconds between looks, while there are sessions."""
SLOW_DIAL = 1.0
"""Seconds without an answer to the wish for a connection: by then Linux has asked twice."""
SLOW_ANSWER = 0.5
"""Seconds without a word from the server, neither to this session nor to another one, after which its address
is checked beside. A query that takes longer costs one check."""
STALL = 1.0
"""Seconds without an acknowledgement of data under way that are doubt: several retransmissions on a network
of a data centre, the first one on a path of 200 ms."""
LOST_AFTER = 2.0
"""Seconds of such a stall after which the session is given up, if its address meanwhile answers others: the
server behind an unchanged address is another one."""
LOST_RETRANSMITS = 3
"""Retransmissions by timeout that must be lost for that: on a bad path they take longer than two seconds."""
MOST_KEPT = 256
"""Sessions that are looked at again although nothing passes. With more than that, those who are looked at
tell enough of their address; a single dead flow among the others is left to TCP."""
MOST_DOUBTFUL, MOST_OTHERS = 256, 64
"""Sessions asked for their TCP_INFO in one look, some microseconds each: those that had data under way when
last asked, and of the others."""


@dataclass(slots=True)
class Watch:
    """What was seen of a session at the last looks."""

    sent: int = 0
    heard: int = 0
    waits_since: float | None = None
    """Since when it waits for an answer; None: it does not, or its wait was told of."""
    opening_since: float = 0.0
    """Since when it waited for the server when its opening was last looked at."""
    looked_at: int = -1
    """What it had sent when its kernel was last asked; at first, it was not."""
    acknowledged: int = 0
    under_way_since: float | None = None
    """When that number of acknowledged bytes was first seen with more under way; None: nothing is."""
    retransmits: int = 0
    """At the last look."""
    lost_from: int | None = None
    """Retransmissions that were lost before the address was seen to answer others: one more has to be."""


class Vigil:
    """Watches the sessions of one database."""

    def __init__(self, ledger: Ledger, judge: Judge, idle_timeout: float = 0.0) -> None:
        """`idle_timeout`: seconds without a byte either way after which a session is cut; 0: never."""
        self._ledger = ledger
        self._judge = judge
        self._idleness: Idleness[Lease] = Idleness(idle_timeout)
        self._opening: set[Lease] = set()
        self._waiting: dict[Address, set[Lease]] = {}
        """Sessions that may wait for an answer; not looked at while their server speaks to others."""
        self._active: set[Lease] = set()
        """Sessions with data that may not be acknowledged yet. Of all others the ledger tells when something
        passes."""
        self._spoke: dict[Address, float] = {}
        """When a server last said something to any session."""
        self._heard: dict[Address, float] = {}
        """When an address last acknowledged data of any session."""
        self._told: dict[Address, float] = {}

    def adopt(self, idle_timeout: float) -> None:
        """Another timeout holds from now on, and the time of every session begins anew."""
        self._idleness = Idleness(idle_timeout)
        self._idleness.moved(self._ledger, trio.current_time())

    async def run(self) -> None:
        """Watches for ever."""
        while True:
            await self._ledger.occupied()
            self.look(trio.current_time())
            await trio.sleep(PERIOD)

    def look(self, now: float) -> None:
        """One look at all sessions of which there is something to see; `now` is on trio's clock."""
        self._told = {address: at for address, at in self._told.items() if now < at + STALL}
        self._heard = {address: at for address, at in self._heard.items() if self._ledger.sessions(address)}
        self._spoke = {address: at for address, at in self._spoke.items() if self._ledger.sessions(address)}
        moved = {lease for lease in (*self._opening, *self._ledger.moved()) if lease in self._ledger}
        for lease in moved:
            watch = _watch_of(lease)
            waits = self._opens if lease.stage is not Stage.RELAYING else self._waits
            if waits(lease, watch, now):
                self._waiting.setdefault(lease.address, set()).add(lease)
        self._opening = {lease for lease in moved if lease.stage is not Stage.RELAYING}
        for address in list(self._waiting):
            self._look_at_silence(address, now)
        active = [lease for lease in self._active | moved if lease in self._ledger and _is_active(lease)]
        doubtful = [lease for lease in active if _watch_of(lease).under_way_since is not None]
        others = [lease for lease in active if _watch_of(lease).under_way_since is None]
        for some, most in ((doubtful, MOST_DOUBTFUL), (others, MOST_OTHERS)):
            for lease in random.sample(some, min(len(some), most)):
                self._look_at_delivery(lease, _watch_of(lease), now)
        self._active = set(islice((lease for lease in (*doubtful, *others) if _is_active(lease)), MOST_KEPT))
        self._end_idle(moved, now)

    def _end_idle(self, moved: set[Lease], now: float) -> None:
        self._idleness.moved(moved, now)
        for lease in self._idleness.overdue(now):
            if lease in self._ledger:
                lease.cut(IDLE)
        self._idleness.forget_ended(len(self._ledger), self._ledger.__contains__)

    def _opens(self, lease: Lease, watch: Watch, now: float) -> bool:
        """Looks at a session that is being opened; true if it waits for a word of the server's."""
        if lease.client is not None and has_left(lease.client.socket):
            lease.cut(LEFT)
        elif lease.stage is Stage.DIALLING and now >= lease.stage_since + SLOW_DIAL:
            self._stalled(lease, "no answer to a session's dial", now)
            if self._judge.answered_since(lease.address, lease.stage_since):
                lease.cut()  # it answers others: the session's next attempt begins at once
        elif lease.stage is Stage.OPENING:
            if watch.opening_since != lease.stage_since:
                watch.opening_since = watch.waits_since = lease.stage_since
            return True
        else:
            watch.waits_since = None
        return False

    def _waits(self, lease: Lease, watch: Watch, now: float) -> bool:
        """Notes what a session said and heard; true if it waits for an answer."""
        traffic = lease.traffic
        passed = traffic.to_server, traffic.to_client
        if traffic.to_client != watch.heard:
            self._spoke[lease.address] = now
        if passed != (watch.sent, watch.heard):
            watch.sent, watch.heard = passed
            watch.waits_since = now if traffic.asked else None
        return watch.waits_since is not None

    def _look_at_silence(self, address: Address, now: float) -> None:
        """Tells of an address that has sessions wait and speaks to none of them: once for all."""
        if now < self._spoke.get(address, 0.0) + SLOW_ANSWER:
            if len(self._waiting[address]) > 2 * self._ledger.sessions(address):
                self._waiting[address] = {lease for lease in self._waiting[address] if lease in self._ledger}
            return
        silent = False
        still = set()
        for lease in self._waiting.pop(address):
            watch = _watch_of(lease)
            if lease not in self._ledger or lease.address != address or watch.waits_since is None:
                continue
            if now < watch.waits_since + SLOW_ANSWER:
                still.add(lease)
            else:
                silent, watch.waits_since = True, None
        if still:
            self._waiting[address] = still
        if silent:
            self._judge.observe(Evidence(address, Signal.HESITATED, "slow to answer a session"))

    def _look_at_delivery(self, lease: Lease, watch: Watch, now: float) -> None:
        server = lease.traffic.server
        state = delivery(server) if server is not None else None
        if state is None:
            return
        if watch.looked_at < 0:
            watch.acknowledged = state.acknowledged
        watch.looked_at = lease.traffic.to_server
        heard = state.acknowledged != watch.acknowledged
        if heard:
            watch.acknowledged, self._heard[lease.address] = state.acknowledged, now
        if not state.unacknowledged:
            watch.under_way_since = None
        elif heard or watch.under_way_since is None:
            watch.under_way_since, watch.lost_from = now, None
        else:
            self._judge_stall(lease, state, watch, watch.under_way_since, now)
        watch.retransmits = state.retransmits

    def _judge_stall(self, lease: Lease, state: Delivery, watch: Watch, since: float, now: float) -> None:
        if min(now - since, state.silent) < STALL:
            return
        if now >= self._heard.get(lease.address, since) + STALL:
            self._stalled(lease, "its host acknowledges no data", now)
            if not self._judge.answered_since(lease.address, since):
                return
        if watch.lost_from is None:
            watch.lost_from = watch.retransmits
        enough = max(LOST_RETRANSMITS, watch.lost_from + 1)
        if now - since >= LOST_AFTER and state.retransmits >= enough:
            lease.cut("stalled")

    def _stalled(self, lease: Lease, detail: str, now: float) -> None:
        """Tells the judge, at most once in a second for an address."""
        if lease.address not in self._told:
            self._told[lease.address] = now
            self._judge.observe(Evidence(lease.address, Signal.STALLED, detail))


def _watch_of(lease: Lease) -> Watch:
    if not isinstance(lease.watch, Watch):
        lease.watch = Watch()
    return lease.watch


def _is_active(lease: Lease) -> bool:
    """Whether a session sent something since it was last seen without anything under way."""
    watch = _watch_of(lease)
    active = watch.looked_at != lease.traffic.to_server or watch.under_way_since is not None
    return active and lease.stage is Stage.RELAYING
