"""A look at all sessions four times a second: for what no read or write would ever tell.

A host that was cut off sends no error. Its kernel no longer acknowledges what sessions send, and that is seen
here within a second, instead of after the fifteen minutes that TCP would go on trying. One look for all costs
a session nothing: no timer and no task of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from dbambassador.forwarding.ledger import Lease, Ledger, Stage
from dbambassador.health.evidence import Evidence, Signal
from dbambassador.health.judge import Judge
from dbambassador.transport.tcp_info import Delivery, delivery, has_left
from dbambassador.values import Address

PERIOD = 0.25
"""Seconds between looks, while there are sessions."""
SLOW_DIAL = 1.0
"""Seconds without an answer to the wish for a connection: by then Linux has asked twice."""
SLOW_OPENING = 0.5
"""Seconds without the server's first word after which its address is checked beside."""
STALL = 1.0
"""Seconds without an acknowledgement of data under way that are doubt: several retransmissions on a network
of a data centre, the first one on a path of 200 ms."""
LOST_AFTER = 2.0
"""Seconds of such a stall after which the session is given up, if its address meanwhile answers others: the
server behind an unchanged address is another one."""
LOST_RETRANSMITS = 3
"""Retransmissions by timeout that must be lost for that: on a bad path they take longer than two seconds."""
MOST_LOOKED_AT = 256
"""Sessions asked for their TCP_INFO in one look: some microseconds each."""


@dataclass(slots=True)
class _Watched:
    """A session with data under way."""

    sent: int
    acknowledged: int
    since: float | None = None
    """When that number of acknowledged bytes was first seen with more under way; None: nothing is."""


class Vigil:
    """Watches the sessions of one database."""

    def __init__(self, ledger: Ledger, judge: Judge) -> None:
        self._ledger = ledger
        self._judge = judge
        self._watched: dict[Lease, _Watched] = {}
        self._hesitating: set[Lease] = set()
        self._told: dict[Address, float] = {}

    async def run(self) -> None:
        """Watches for ever."""
        while True:
            await self._ledger.occupied()
            self.look(trio.current_time())
            await trio.sleep(PERIOD)

    def look(self, now: float) -> None:
        """One look at all sessions; `now` is on trio's clock."""
        self._told = {address: at for address, at in self._told.items() if now < at + STALL}
        leases = set(self._ledger)
        for gone in self._watched.keys() - leases:
            del self._watched[gone]
        self._hesitating &= leases
        asked = 0
        for lease in leases:
            if lease.stage is not Stage.RELAYING:
                self._look_at_opening(lease, now)
            elif asked < MOST_LOOKED_AT and self._is_active(lease):
                asked += 1
                self._look_at_delivery(lease, now)

    def _look_at_opening(self, lease: Lease, now: float) -> None:
        if has_left(lease.client.socket):
            lease.left = True
            lease.scope.cancel()
        elif lease.stage is Stage.DIALLING and now >= lease.stage_since + SLOW_DIAL:
            self._stalled(lease, "no answer to a session's dial", now)
            if self._judge.answered_since(lease.address, lease.stage_since):
                lease.scope.cancel()  # it answers others: the session's next attempt begins at once
        elif (
            lease.stage is Stage.OPENING
            and now >= lease.stage_since + SLOW_OPENING
            and lease not in self._hesitating
        ):
            self._hesitating.add(lease)
            self._judge.observe(Evidence(lease.address, Signal.HESITATED, "slow to answer a session"))

    def _is_active(self, lease: Lease) -> bool:
        """Whether the session sent something since it was last seen without anything under way."""
        watched = self._watched.get(lease)
        return watched is None or watched.sent != lease.traffic.to_server or watched.since is not None

    def _look_at_delivery(self, lease: Lease, now: float) -> None:
        server = lease.traffic.server
        state = delivery(server) if server is not None else None
        if state is None:
            return
        watched = self._watched.get(lease)
        if watched is None:
            watched = self._watched[lease] = _Watched(lease.traffic.to_server, state.acknowledged)
        watched.sent = lease.traffic.to_server
        if not state.unacknowledged:
            watched.since = None
        elif watched.since is None or state.acknowledged != watched.acknowledged:
            watched.since, watched.acknowledged = now, state.acknowledged
        else:
            self._judge_stall(lease, state, watched.since, now)

    def _judge_stall(self, lease: Lease, state: Delivery, since: float, now: float) -> None:
        if min(now - since, state.silent) < STALL:
            return
        self._stalled(lease, "its host acknowledges no data", now)
        lost = now - since >= LOST_AFTER and state.retransmits >= LOST_RETRANSMITS
        if lost and self._judge.answered_since(lease.address, since):
            lease.fate = "stalled"
            lease.scope.cancel()

    def _stalled(self, lease: Lease, detail: str, now: float) -> None:
        """Tells the judge, at most once in a second for an address."""
        if lease.address not in self._told:
            self._told[lease.address] = now
            self._judge.observe(Evidence(lease.address, Signal.STALLED, detail))
