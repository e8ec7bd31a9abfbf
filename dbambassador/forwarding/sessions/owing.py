"""A session whose client owes its first words."""

from __future__ import annotations

import trio

from dbambassador.forwarding.sessions.ledger import Lease


class Owing:
    """A session that has begun although its client has hardly said anything: one that its server refused with
    its first word, until the client leaves, or one whose client has been told to begin TLS."""

    __slots__ = ("_lease", "_owed", "admitted", "database", "since")

    def __init__(self, database: str, lease: Lease, owed: int) -> None:
        """`owed`: bytes, see `Opened`."""
        self._lease = lease
        self._owed = owed
        self.database = database
        self.admitted = True
        self.since = trio.current_time()

    def silent(self) -> bool:
        return not self.over()

    def over(self) -> bool:
        return self._lease.traffic.to_server >= self._owed

    def end(self) -> None:
        self._lease.cut("crowded out")
