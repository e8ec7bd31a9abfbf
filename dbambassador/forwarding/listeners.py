"""Listening for one database's clients: opening the sockets, accepting, and outliving full tables."""

from __future__ import annotations

import errno

import trio

from dbambassador.errors import CannotListen
from dbambassador.events import (
    ListenerOpened,
    ListenerSkipped,
    Publish,
    Refusal,
    SessionCrashed,
)
from dbambassador.forwarding.session import Service, Session
from dbambassador.settings.schema import Database, Listen, UnixListen
from dbambassador.transport.dial import tune
from dbambassador.transport.listen import NoSuchAddress, close_tcp, listen_tcp, listen_unix, remove_unix

ACCEPT_PAUSE = 0.1
"""Seconds until the next try when no descriptor was left: clients wait in the backlog meanwhile."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


async def open_listeners(database: Database, publish: Publish) -> list[trio.SocketListener]:
    """All of a database's listeners, or none.

    Raises:
      CannotListen: one of them cannot be had; those opened before are closed again.
    """
    opened: list[trio.SocketListener] = []
    try:
        for listen in database.listen:
            try:
                opened.append(await _open(listen))
            except NoSuchAddress as reason:
                if not getattr(listen, "optional", False):
                    raise _missing(listen, reason) from None
                publish(ListenerSkipped(database.name, str(listen), str(reason)))
            else:
                publish(ListenerOpened(database.name, str(listen)))
    except BaseException:
        close_listeners(opened)
        raise
    return opened


def close_listeners(listeners: list[trio.SocketListener]) -> None:
    """Closes them, and removes the unix sockets among them."""
    for listener in listeners:
        name = listener.socket.getsockname()
        if isinstance(name, str):
            listener.socket.close()
            remove_unix(name)
        else:
            close_tcp(listener)


async def _open(listen: Listen) -> trio.SocketListener:
    if isinstance(listen, UnixListen):
        return await listen_unix(listen.path)
    return await listen_tcp(listen.host, listen.port)


def _missing(listen: Listen, reason: NoSuchAddress) -> CannotListen:
    return CannotListen(f"cannot listen on {listen}: {reason}", hint="this host does not have the address")


class Limit:
    """How many clients this process serves at once, over all databases; 0 for as many as it can."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.clients = 0

    @property
    def reached(self) -> bool:
        return bool(self.maximum) and self.clients >= self.maximum


class Acceptor:
    """Accepts clients on a database's listeners, each into a session of its own."""

    def __init__(self, service: Service, limit: Limit) -> None:
        self._service = service
        self._limit = limit

    async def run(self, listener: trio.SocketListener, sessions: trio.Nursery) -> None:
        """Accepts for ever; sessions run in the given nursery, which may outlive the accepting."""
        while True:
            try:
                client = await listener.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._service.descriptors.exhausted()
                await trio.sleep(ACCEPT_PAUSE)
                continue
            sessions.start_soon(self._serve, client, name=f"{self._service.database.name}: session")

    async def _serve(self, client: trio.SocketStream) -> None:
        refusal = Refusal.TOO_MANY if self._limit.reached else None
        served = refusal is None
        self._limit.clients += served
        try:
            if _tuned(client):
                await Session(self._service, client).run(refusal)
        except Exception as bug:  # a session's failure stays in the session
            self._service.publish(SessionCrashed(self._service.database.name, repr(bug)))
        finally:
            client.socket.close()
            self._limit.clients -= served


def _tuned(client: trio.SocketStream) -> bool:
    """Sets the client's socket options; false if it is gone already."""
    try:
        tune(client.socket)
    except OSError:
        return False
    return True
