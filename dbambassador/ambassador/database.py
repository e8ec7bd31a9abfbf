"""The stages of one database, in a nursery of their own: one bad target never stops another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from dbambassador.discovery.refresher import Refresher
from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Publish, SessionsEvicted, StageCrashed
from dbambassador.forwarding import engines
from dbambassador.forwarding.balance import balancer
from dbambassador.forwarding.descriptors import Descriptors
from dbambassador.forwarding.hold import Hold
from dbambassador.forwarding.ledger import Ledger
from dbambassador.forwarding.limit import Limit
from dbambassador.forwarding.listeners import Acceptor, close_listeners, open_listeners
from dbambassador.forwarding.preambles import Preambles
from dbambassador.forwarding.relay.engine import Engine
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.vigil import Vigil
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.postgresql import PostgresqlWire
from dbambassador.forwarding.wires.wire import TcpWire, Wire
from dbambassador.health.judge import Judge
from dbambassador.health.probes import Prober
from dbambassador.settings.schema import Database, Protocol
from dbambassador.transport.password_key import PasswordKey
from dbambassador.transport.tls_files import Encryption, encryption_of

if TYPE_CHECKING:
    from dbambassador.forwarding.fast_path import FastPath

RESTART_PAUSE = 1.0
"""Seconds after which a stage that crashed is started anew; it decides from the present values again."""


class Shared:
    """What the databases of one process share."""

    def __init__(self, resolver: Resolver, engine: Engine, limit: Limit, publish: Publish) -> None:
        self.resolver = resolver
        self.engine = engine
        self.limit = limit
        self.publish = publish
        self.preambles = Preambles(limit.maximum, publish)
        self.descriptors = Descriptors(publish)
        self.password_key = PasswordKey()


class ServedDatabase:
    """One database: its stages, its listeners, its sessions."""

    def __init__(self, database: Database, shared: Shared) -> None:
        """
        Raises:
          UnusableFiles: its certificates, its key.
        """
        self.encryption = encryption = encryption_of(database, shared.publish)
        self.database = database
        self.refresher = Refresher(database, shared.resolver, shared.publish)
        self.ledger = Ledger()
        prober = Prober(database, encryption)
        self.judge = Judge(database, self.refresher, prober, self.ledger.sessions, shared.publish)
        self.vigil = Vigil(self.ledger, self.judge, database.client_idle_timeout)
        self.hold = Hold(database.name, self.judge.choices, shared.publish)
        self.listeners: list[trio.SocketListener] = []
        self._publish = shared.publish
        self._fast_path: FastPath | None = None
        self._service = Service(
            database,
            _wire(database, encryption, shared.password_key),
            self.judge,
            self.ledger,
            self.hold,
            balancer(database.balance, self.ledger.sessions),
            shared.engine,
            shared.limit,
            shared.preambles,
            shared.descriptors,
            shared.publish,
        )

    async def listen(self) -> None:
        """Opens the listeners.

        Raises:
          CannotListen: one of them cannot be had; then none is open.
        """
        self.listeners = await open_listeners(self.database, self._publish)

    def start(self, nursery: trio.Nursery) -> None:
        """Starts discovery, judgement and eviction."""
        for name, stage in (
            ("discover", self.refresher.run),
            ("judge", self.judge.run),
            ("evict", self._evict),
            ("watch", self.vigil.run),
        ):
            nursery.start_soon(self._supervise, name, stage, name=f"{self.database.name}: {name}")

    def accept(self, accepting: trio.Nursery, sessions: trio.Nursery) -> None:
        """Starts accepting; what is accepted runs in `sessions`."""
        acceptor = Acceptor(self._service, sessions)
        acceptor.fast_path = self._fast_path = engines.fast_path(self._service, acceptor.serve)
        for listener in self.listeners:
            if self._fast_path is not None:
                self._fast_path.add(listener)
            run = partial(acceptor.run, listener)
            accepting.start_soon(self._supervise, "accept", run, name=f"{self.database.name}: accept")

    async def close(self) -> None:
        """Closes the listeners; sessions are not touched, and those that are being begun go on."""
        if self._fast_path is not None:
            await self._fast_path.close()
        close_listeners(self.listeners)
        self.listeners = []

    async def _evict(self) -> None:
        """Ends the sessions that a new choice gives no tenure, and then admits its epoch."""
        async for choice in self.judge.choices.values():
            if self._fast_path is not None:
                await self._fast_path.withdraw()
            for address, ended in (await self.ledger.evict(choice)).items():
                why = self.judge.why_closed(address)
                self._publish(SessionsEvicted(self.database.name, address, ended, why))
            if self._fast_path is not None:
                self._fast_path.offer(choice)

    async def _supervise(self, name: str, stage: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await stage()
            except Exception as bug:  # a bug in one database's stage must not take the others down
                self._publish(StageCrashed(self.database.name, name, repr(bug)))
            await trio.sleep(RESTART_PAUSE)


def _wire(database: Database, encryption: Encryption | None, password_key: PasswordKey) -> Wire:
    if database.protocol is Protocol.POSTGRESQL:
        return PostgresqlWire(encryption, passes_tls=database.tls is None)
    if database.protocol is Protocol.MYSQL:
        return MysqlWire(encryption, password_key, passes_tls=database.tls is None)
    return TcpWire(encryption)
