"""Listening for one database's clients: opening the sockets, accepting, and outliving full tables."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import trio

from dbambassador.errors import CannotListen
from dbambassador.events import (
    ListenerOpened,
    ListenerSkipped,
    Publish,
    Refusal,
    SessionCrashed,
)
from dbambassador.forwarding.admission.preambles import Hearing
from dbambassador.forwarding.opening.attempt import Attempt
from dbambassador.forwarding.opening.departures import Departures
from dbambassador.forwarding.opening.session import Session
from dbambassador.forwarding.service import Service
from dbambassador.forwarding.wires.conversation import Said
from dbambassador.forwarding.wires.wire import Greeted
from dbambassador.settings.schema import Database, Listen, UnixListen
from dbambassador.transport.dial import tune
from dbambassador.transport.listen import NoSuchAddress, close_tcp, listen_tcp
from dbambassador.transport.unix_sockets import close_unix, listen_unix

if TYPE_CHECKING:
    from dbambassador.forwarding.opening.fast_path import FastPath

ACCEPT_PAUSE = 0.1
"""Seconds until the next try when no descriptor was left: clients wait in the backlog meanwhile."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


async def open_listeners(database: Database, publish: Publish) -> dict[str, trio.SocketListener]:
    """All of a database's listeners, by their addresses; or none.

    Raises:
      CannotListen: one of them cannot be had; those opened before are closed again.
    """
    opened: dict[str, trio.SocketListener] = {}
    try:
        for listen in database.listen:
            try:
                opened[str(listen)] = await _open(listen, database)
            except NoSuchAddress as reason:
                if not getattr(listen, "optional", False):
                    raise _missing(listen, reason) from None
                publish(ListenerSkipped(database.name, str(listen), str(reason)))
            else:
                publish(ListenerOpened(database.name, str(listen)))
    except BaseException:
        close_listeners(opened.values())
        raise
    return opened


def close_listeners(listeners: Iterable[trio.SocketListener]) -> None:
    """Closes them, and removes the unix sockets among them."""
    for listener in listeners:
        close = close_unix if listener.socket.family == socket.AF_UNIX else close_tcp
        close(listener)


async def _open(listen: Listen, database: Database) -> trio.SocketListener:
    if isinstance(listen, UnixListen):
        return await listen_unix(listen.path, database.unix_socket_mode, database.unix_socket_group)
    return await listen_tcp(listen.host, listen.port)


def _missing(listen: Listen, reason: NoSuchAddress) -> CannotListen:
    return CannotListen(f"cannot listen on {listen}: {reason}", hint="this host does not have the address")


class Entrance:
    """One listener, and the task that accepts on it."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self.listener = listener
        self._scope = trio.CancelScope()
        self._left = trio.Event()

    async def run(self, accept: Callable[[], Awaitable[None]]) -> None:
        """Accepts until it is left."""
        try:
            with self._scope:
                await accept()
        finally:
            self._left.set()

    async def leave(self) -> trio.SocketListener:
        """Accepts no more. The listener is the caller's, with those who wait to be accepted."""
        self._scope.cancel()
        await self._left.wait()
        return self.listener


class Acceptor:
    """Accepts clients on a database's listeners, each into a session of its own."""

    def __init__(self, service: Service, sessions: trio.Nursery) -> None:
        """Sessions run in the given nursery, which may outlive the accepting."""
        self._service = service
        self._sessions = sessions
        self._departures = Departures(service, sessions)
        self.fast_path: FastPath | None = None
        """Accepts in our place while it has an offer."""

    async def run(self, listener: trio.SocketListener) -> None:
        """Accepts for ever."""
        while True:
            if self.fast_path is not None:
                await self.fast_path.without_offer()
            try:
                client = await self._accept(listener)
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._service.descriptors.exhausted()
                await trio.sleep(ACCEPT_PAUSE)
                continue
            if client is not None:
                self.serve(client)
                if self.fast_path is not None:
                    self.fast_path.recover()

    async def _accept(self, listener: trio.SocketListener) -> trio.SocketStream | None:
        """None: there is an offer."""
        if self.fast_path is None:
            return await listener.accept()
        with trio.CancelScope() as scope, self.fast_path.offer_cancels(scope):
            return await listener.accept()
        return None

    def serve(
        self, client: trio.SocketStream, greeting: Said[Greeted] | None = None, attempt: Attempt | None = None
    ) -> None:
        """Starts a client's session, or goes on with it; see `Session.run`."""
        limit = self._service.limit
        full = attempt is None and limit.reached and not self._service.preambles.make_room()
        refusal = Refusal.TOO_MANY if full else None
        if refusal is None:
            limit.clients += 1
        name = self._service.database.name
        hearing = Hearing(name, client, admitted=refusal is None)
        self._service.preambles.add(hearing)  # here: tasks begin in any order
        serve = partial(self._serve, client, hearing, refusal, greeting, attempt)
        self._sessions.start_soon(serve, name=f"{name}: session")

    async def _serve(
        self,
        client: trio.SocketStream,
        hearing: Hearing,
        refusal: Refusal | None,
        greeting: Said[Greeted] | None,
        attempt: Attempt | None,
    ) -> None:
        session = Session(self._service, client, hearing, self._departures.begin)
        try:
            if attempt is not None or _tuned(client):
                await session.run(refusal, greeting, attempt)
        except Exception as bug:  # a session's failure stays in the session
            self._service.publish(SessionCrashed(self._service.database.name, repr(bug)))
        finally:
            self._service.preambles.discard(hearing)
            if not session.handed_over:
                client.socket.close()
                self._service.limit.clients -= hearing.admitted


def _tuned(client: trio.SocketStream) -> bool:
    """Sets the client's socket options; false if it is gone already."""
    try:
        tune(client.socket)
    except OSError:
        return False
    return True
