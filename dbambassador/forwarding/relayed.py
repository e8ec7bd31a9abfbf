"""A session that an engine carries, as the rest of the house sees it: its lease, its evidence, its end."""

from __future__ import annotations

from socket import socket

from dbambassador.events import SessionCrashed, SessionEnded, SessionOpened
from dbambassador.forwarding.relay.engine import Carried, How, Link, Tap, Traffic
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.sessions.ledger import Lease
from dbambassador.forwarding.sessions.owing import Owing
from dbambassador.forwarding.wires.wire import Opened, Seen
from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.values import PeerProcess


class Relayed:
    """One session. It may be made in any thread; its methods are for trio's, unless they say otherwise."""

    __slots__ = ("_lease", "_owing", "_rejected", "_service", "client", "traffic")

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lease: Lease | None = None
        self._rejected = False
        self._owing: Owing | None = None
        self.traffic = Traffic()
        self.client: PeerProcess | None = None
        """Set before it begins, for a client of a unix socket."""

    def link(
        self, client: socket, server: socket, to_server: bytes, to_client: bytes, tap: Tap | None
    ) -> Link:
        """What an engine is to carry; see `Link`. In any thread."""
        return Link(client, server, to_server, to_client, tap, self.traffic, self._server_ended)

    def lease(self, lease: Lease) -> None:
        """Takes the session's lease, before anything is told of it."""
        self._lease = lease

    def begin(self, opened: Opened) -> None:
        """The server took the session."""
        lease = self._known
        told = opened.seen is not None and self._note(opened.seen)
        if not told and not opened.to_server:
            self._observe(Evidence(lease.address, Signal.SERVED, "takes sessions"))
        if opened.owed:
            self._owing = Owing(self._service.database.name, lease, opened.owed)
        self._service.publish(SessionOpened(self._service.database.name, lease.address, self.client))

    def carried(self, by: Carried) -> None:
        """An engine has the session."""
        self._known.relayed(by.cut)
        if self._owing is not None:
            self._service.preambles.add(self._owing)

    def witness(self, seen: Seen) -> None:
        """Takes note of what the first bytes told."""
        self._note(seen)

    def _note(self, seen: Seen) -> bool:
        """Returns: whether that is evidence on the server."""
        lease = self._known
        self._rejected = seen.rejected
        if seen.key is not None:
            self._service.ledger.keep_key(lease, seen.key)
        if seen.role is Role.UNKNOWN and not seen.encrypted:
            return False
        self._observe(
            Evidence(lease.address, Signal.SERVED, "takes sessions", seen.role, role_hidden=seen.encrypted)
        )
        return True

    def over(self, outcome: How | Exception) -> None:
        """The session is over, and its sockets are closed."""
        service, lease, traffic = self._service, self._known, self.traffic
        how = outcome.value if isinstance(outcome, How) and outcome is not How.CUT else lease.fate
        seconds = traffic.ended_at - traffic.began_at
        name, address = service.database.name, lease.address
        try:
            service.publish(SessionEnded(name, address, how, seconds, traffic.to_server, traffic.to_client))
            if isinstance(outcome, Exception):
                service.publish(SessionCrashed(name, repr(outcome)))
        finally:
            if self._owing is not None:
                service.preambles.discard(self._owing)
            service.limit.clients -= 1
            lease.release()

    def _server_ended(self) -> None:
        if not self._rejected:
            self._observe(Evidence(self._known.address, Signal.SESSION_BROKE, "it ended a session"))

    def _observe(self, evidence: Evidence) -> None:
        self._service.judge.observe(evidence)

    @property
    def _known(self) -> Lease:
        assert self._lease is not None
        return self._lease
