"""All databases that are served: their start, their end, and how they become others while they serve."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import trio

from dbambassador.ambassador.database import Equipment, ServedDatabase, Shared
from dbambassador.events import Event
from dbambassador.forwarding.listeners import close_listeners, open_listeners
from dbambassador.profiles.changes import Changes
from dbambassador.settings.schema import Database, UnixListen
from dbambassador.transport.unix_sockets import is_lost, regrant

REMOVED = "it is no database of this environment any more"
"""Why the sessions of a removed database end."""


@dataclass(slots=True)
class Prepared:
    """Changes, with everything they need that might not have been had. To be committed or abandoned."""

    changes: Changes
    equipment: dict[str, Equipment] = field(default_factory=dict)
    """By the names of the databases that are added or changed."""
    opened: dict[str, trio.SocketListener] = field(default_factory=dict)
    """New listeners, by address."""
    undo: list[Callable[[], None]] = field(default_factory=list)
    """What takes back what the others see already."""
    events: list[Event] = field(default_factory=list)
    """To be told once it is committed."""

    def abandon(self) -> None:
        """Leaves everything as it was."""
        close_listeners(self.opened.values())
        for undo in reversed(self.undo):
            undo()


class Serving:
    """The databases of one process. `databases` changes only as a whole."""

    def __init__(self, shared: Shared) -> None:
        self.databases: tuple[ServedDatabase, ...] = ()
        self._shared = shared
        self._stages: trio.Nursery | None = None
        self._doors: tuple[trio.Nursery, trio.Nursery] | None = None
        """Where it is accepted, and where what is accepted runs."""

    async def open(self, databases: Sequence[Database]) -> None:
        """Opens all listeners, before the start.

        Raises:
          CannotListen, UnusableFiles: one of the databases cannot be served; then no listener is open.
        """
        prepared = await self.prepare(Changes(added=tuple(databases)))
        await self.commit(prepared)

    def start(self, stages: trio.Nursery) -> None:
        """Finds out where the databases are."""
        self._stages = stages
        for served in self.databases:
            stages.start_soon(served.run)

    def accept(self, accepting: trio.Nursery, sessions: trio.Nursery) -> None:
        """Accepts clients; their sessions may outlive the accepting."""
        self._doors = accepting, sessions
        for served in self.databases:
            served.accept(accepting, sessions)

    async def prepare(self, changes: Changes) -> Prepared:
        """Has everything ready that the changes need. Nothing is served otherwise than before.

        Raises:
          CannotListen, UnusableFiles: they cannot be made; then everything is as it was.
        """
        prepared = Prepared(changes)
        try:
            for database in changes.added:
                await self._prepare(database, None, prepared)
            for each in changes.changed:
                await self._prepare(each.now, each.before, prepared)
        except BaseException:
            prepared.abandon()
            raise
        return prepared

    async def commit(self, prepared: Prepared) -> None:
        """Makes the changes. A listener that one database gives up and another one takes over goes there with
        those who wait to be accepted."""
        changes = prepared.changes
        removed = [self._served(database) for database in changes.removed]
        changed = [self._served(each.before) for each in changes.changed]
        added = [ServedDatabase(prepared.equipment[each.name], self._shared) for each in changes.added]
        free, replaced = prepared.opened, list[trio.SocketListener]()
        kept = {each.now.name: set(map(str, each.now.listen)) - free.keys() for each in changes.changed}
        with trio.CancelScope(shield=True):
            async with AsyncExitStack() as turns:
                for served in (*removed, *changed):
                    await turns.enter_async_context(served.turn())
                for served in (*removed, *changed):
                    for where in served.entrances.keys() - kept.get(served.database.name, set()):
                        listener = await served.leave(where)
                        if free.setdefault(where, listener) is not listener:
                            replaced.append(listener)
                for event in prepared.events:
                    self._shared.publish(event)
                for served in changed:
                    served.adopt(prepared.equipment[served.database.name])
                for served in (*changed, *added):
                    for where in map(str, served.database.listen):
                        if where in free:
                            served.enter(where, free.pop(where))
                close_listeners((*free.values(), *replaced))
                self._begin(added)
                staying = [served for served in self.databases if served not in removed]
                self.databases = (*staying, *added)
            for served in removed:
                await served.end(REMOVED)

    async def close(self) -> None:
        """Closes all listeners; sessions are not touched, and those that are being begun go on."""
        for served in self.databases:
            await served.close()

    async def end(self) -> None:
        """Closes everything, and cuts the sessions that are left."""
        for served in self.databases:
            await served.close()
            served.ledger.cut_all()
            await served.ledger.idle()

    async def turn_away(self) -> None:
        """Closes all listeners, and tells those who still wait of the shutdown."""
        for served in self.databases:
            await served.close()
            await served.hold.close()

    async def idle(self) -> None:
        """Waits until no session is left."""
        for served in self.databases:
            await served.ledger.idle()

    @property
    def sessions(self) -> int:
        return sum(len(served.ledger) for served in self.databases)

    def _begin(self, added: Sequence[ServedDatabase]) -> None:
        for served in added:
            if self._stages is not None:
                self._stages.start_soon(served.run)
            if self._doors is not None:
                served.accept(*self._doors)

    async def _prepare(self, database: Database, before: Database | None, prepared: Prepared) -> None:
        former = None if before is None else self._served(before).equipment
        prepared.equipment[database.name] = Equipment.of(database, self._shared, former)
        if before is not None and before.listen == database.listen and not _others(before, database):
            return
        open_now = self._open_now()
        new = tuple(listen for listen in database.listen if str(listen) not in open_now)
        prepared.opened |= await open_listeners(replace(database, listen=new), prepared.events.append)
        for listen in database.listen:
            if isinstance(listen, UnixListen) and listen not in new:
                access = database.unix_socket_mode, database.unix_socket_group
                prepared.undo.append(regrant(listen.path, *access))

    def _open_now(self) -> set[str]:
        """The addresses where clients find a listener of ours: not where somebody has removed the socket."""
        return {
            where
            for served in self.databases
            for where, entrance in served.entrances.items()
            if entrance.listener.socket.family != socket.AF_UNIX or not is_lost(entrance.listener)
        }

    def _served(self, database: Database) -> ServedDatabase:
        return next(served for served in self.databases if served.database == database)


def _others(before: Database, now: Database) -> bool:
    """Whether others may use its unix sockets than before."""
    access = (before.unix_socket_mode, before.unix_socket_group)
    return access != (now.unix_socket_mode, now.unix_socket_group)
