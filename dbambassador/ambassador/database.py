"""The stages of one database, in a nursery of their own: one bad target never stops another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import trio

from dbambassador.discovery.refresher import Refresher
from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Publish, SessionsEvicted, StageCrashed
from dbambassador.forwarding import engines
from dbambassador.forwarding.admission.descriptors import Descriptors
from dbambassador.forwarding.admission.hold import Hold
from dbambassador.forwarding.admission.limit import Limit
from dbambassador.forwarding.admission.preambles import Preambles
from dbambassador.forwarding.balance import balancer
from dbambassador.forwarding.listeners import Acceptor, Entrance, close_listeners
from dbambassador.forwarding.relay.engine import Engine
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.sessions.ledger import Ledger
from dbambassador.forwarding.sessions.vigil import Vigil
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.postgresql import PostgresqlWire
from dbambassador.forwarding.wires.wire import TcpWire, Wire
from dbambassador.health.judge import Judge
from dbambassador.health.probes import Prober
from dbambassador.settings.schema import Database, Protocol
from dbambassador.transport.password_key import PasswordKey
from dbambassador.transport.tls_files import Encryption, encryption_of
from dbambassador.values import Choice

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


@dataclass(frozen=True, slots=True)
class Equipment:
    """A database's settings, with what they need and what might not have been had."""

    database: Database
    encryption: Encryption | None
    wire: Wire

    @classmethod
    def of(cls, database: Database, shared: Shared, before: Equipment | None = None) -> Equipment:
        """
        Args:
          before: of the same database, whose certificates stay if their settings do.

        Raises:
          UnusableFiles: its certificates, its key.
        """
        if before is not None and before.database.tls == database.tls:
            encryption = before.encryption
        else:
            encryption = encryption_of(database, shared.publish)
        return cls(database, encryption, _wire(database, encryption, shared.password_key))


class ServedDatabase:
    """One database: its stages, its listeners, its sessions."""

    def __init__(self, equipment: Equipment, shared: Shared) -> None:
        self.equipment = equipment
        database = equipment.database
        self.refresher = Refresher(database, shared.resolver, shared.publish)
        self.ledger = Ledger()
        prober = Prober(database, equipment.encryption)
        self.judge = Judge(database, self.refresher, prober, self.ledger.sessions, shared.publish)
        self.vigil = Vigil(self.ledger, self.judge, database.client_idle_timeout)
        self.hold = Hold(database.name, self.judge.choices, shared.publish)
        self.entrances: dict[str, Entrance] = {}
        """By the address that they listen on."""
        self._publish = shared.publish
        self._acceptor: Acceptor | None = None
        self._turn = trio.Lock()
        """Of whoever changes what sessions begin by."""
        self._stages = trio.CancelScope()
        self._ended = trio.Event()
        self._service = Service(
            database,
            equipment.wire,
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

    @property
    def database(self) -> Database:
        return self.equipment.database

    @property
    def encryption(self) -> Encryption | None:
        return self.equipment.encryption

    async def run(self) -> None:
        """Discovers, judges, evicts and watches for ever."""
        try:
            with self._stages:
                async with trio.open_nursery() as nursery:
                    for name, stage in (
                        ("discover", self.refresher.run),
                        ("judge", self.judge.run),
                        ("evict", self._evict),
                        ("watch", self.vigil.run),
                    ):
                        task = f"{self.database.name}: {name}"
                        nursery.start_soon(self._supervise, name, stage, name=task)
        finally:
            self._ended.set()

    def accept(self, accepting: trio.Nursery, sessions: trio.Nursery) -> None:
        """Starts accepting; what is accepted runs in `sessions`."""
        self._acceptor = acceptor = Acceptor(self._service, sessions)
        acceptor.fast_path = engines.fast_path(self._service, acceptor.serve)
        self._accepting = accepting
        for entrance in self.entrances.values():
            self._begin(entrance, acceptor)

    def enter(self, where: str, listener: trio.SocketListener) -> None:
        """Takes one more listener over."""
        self.entrances[where] = entrance = Entrance(listener)
        if self._acceptor is not None:
            self._begin(entrance, self._acceptor)

    async def leave(self, where: str) -> trio.SocketListener:
        """Gives a listener away, while it is our turn; see `turn`."""
        listener = await self.entrances.pop(where).leave()
        if self._acceptor is not None and self._acceptor.fast_path is not None:
            self._acceptor.fast_path.remove(listener)
        return listener

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Within it, no session begins but by trio, and no choice is followed that was not before."""
        async with self._turn:
            await self._withdraw()
            yield

    def adopt(self, equipment: Equipment) -> None:
        """Goes by these settings from now on, while it is our turn. Sessions go on where they are, until the
        choice that follows says otherwise."""
        before, database = self.database, equipment.database
        self.equipment = equipment
        balancing = self._service.balancer
        if before.balance is not database.balance:
            balancing = balancer(database.balance, self.ledger.sessions)
        self.refresher.adopt(database)
        retired = self.judge.adopt(database, Prober(database, equipment.encryption))
        self._service.adopt(database, equipment.wire, balancing, retired=retired)
        if before.client_idle_timeout != database.client_idle_timeout:
            self.vigil.adopt(database.client_idle_timeout)

    async def end(self, why: str) -> None:
        """Ends its sessions, for good, and turns away who waits. It has no listener any more."""
        self._stages.cancel()
        await self._ended.wait()
        await self.close()
        self.judge.retire(why)
        await self._follow(self.judge.choices.value)

    async def close(self) -> None:
        """Closes the listeners; sessions are not touched, and those that are being begun go on."""
        if self._acceptor is not None and self._acceptor.fast_path is not None:
            await self._acceptor.fast_path.close()
        close_listeners(entrance.listener for entrance in self.entrances.values())
        self.entrances = {}

    def _begin(self, entrance: Entrance, acceptor: Acceptor) -> None:
        if acceptor.fast_path is not None:
            acceptor.fast_path.add(entrance.listener)
        accept = partial(self._supervise, "accept", partial(acceptor.run, entrance.listener))
        self._accepting.start_soon(entrance.run, accept, name=f"{self.database.name}: accept")

    async def _evict(self) -> None:
        """Ends the sessions that a new choice gives no tenure, and then admits its epoch."""
        async for _ in self.judge.choices.values():
            async with self._turn:
                await self._follow(self.judge.choices.value)  # by now, it may be another one

    async def _follow(self, choice: Choice) -> None:
        await self._withdraw()
        for address, ended in (await self.ledger.evict(choice)).items():
            why = self.judge.why_closed(address)
            self._publish(SessionsEvicted(self.database.name, address, ended, why))
        if self._acceptor is not None and self._acceptor.fast_path is not None:
            self._acceptor.fast_path.offer(choice)

    async def _withdraw(self) -> None:
        if self._acceptor is not None and self._acceptor.fast_path is not None:
            await self._acceptor.fast_path.withdraw()

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
