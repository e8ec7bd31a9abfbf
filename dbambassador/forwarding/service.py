"""What all sessions of one database share."""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events import Publish
from dbambassador.forwarding.balance import Balancer
from dbambassador.forwarding.descriptors import Descriptors
from dbambassador.forwarding.hold import Hold
from dbambassador.forwarding.ledger import Ledger
from dbambassador.forwarding.limit import Limit
from dbambassador.forwarding.preambles import Preambles
from dbambassador.forwarding.relay.engine import Engine
from dbambassador.forwarding.wires.wire import Wire
from dbambassador.health.judge import Judge
from dbambassador.settings.schema import Database


@dataclass(frozen=True, slots=True)
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
