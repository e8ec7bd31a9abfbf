"""What all sessions of one database share."""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events import Publish
from dbambassador.forwarding.admission.descriptors import Descriptors
from dbambassador.forwarding.admission.hold import Hold
from dbambassador.forwarding.admission.limit import Limit
from dbambassador.forwarding.admission.preambles import Preambles
from dbambassador.forwarding.balance import Balancer
from dbambassador.forwarding.relay.engine import Engine
from dbambassador.forwarding.sessions.ledger import Ledger
from dbambassador.forwarding.wires.wire import Wire
from dbambassador.health.judge import Judge
from dbambassador.settings.schema import Database, Tls
from dbambassador.values import Address


@dataclass(frozen=True, slots=True)
class Way:
    """How a session is opened with its server."""

    wire: Wire
    tls: Tls | None


@dataclass(slots=True)
class Service:
    """One database, from the point of view of its sessions."""

    database: Database
    wire: Wire
    judge: Judge
    ledger: Ledger
    hold: Hold
    balancer: Balancer
    engine: Engine
    limit: Limit
    preambles: Preambles
    descriptors: Descriptors
    publish: Publish
    former: Way | None = None
    """Where only former endpoints lead."""

    def adopt(self, database: Database, wire: Wire, balancer: Balancer, *, retired: bool) -> None:
        """Sessions begin by these settings from now on, those of clients that wait included.

        It is the same protocol, so that a client's hello means the same to both wires. No engine may be
        beginning sessions meanwhile: see `FastPath.withdraw`.

        Args:
          retired: those of before hold where only former endpoints lead.
        """
        if retired:
            self.former = Way(self.wire, self.database.tls)
        self.database, self.wire, self.balancer = database, wire, balancer

    def way_to(self, address: Address) -> Way:
        """How a session is opened with the server at this address. In any thread."""
        if self.former is not None and address in self.judge.retired:
            return self.former
        return Way(self.wire, self.database.tls)
