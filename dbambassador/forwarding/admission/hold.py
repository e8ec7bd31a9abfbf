"""Where clients wait for a usable address.

The hold belongs to the listener: it starts when the last usable address is lost, and a client that comes
later waits only for the rest of it.
"""

from __future__ import annotations

import socket

import trio

from dbambassador.events import ClientHeld, Publish, Refusal
from dbambassador.forwarding.wires.wire import Left
from dbambassador.latest import Latest
from dbambassador.values import Choice

MAX_HELD = 100
"""Clients that may wait at once: enough for a pool's worth, few enough that the recovered server survives."""


class Hold:
    """The waiting room of one database."""

    def __init__(self, database: str, choices: Latest[Choice], publish: Publish) -> None:
        self._database = database
        self._choices = choices
        self._publish = publish
        self.held = 0
        self._closing = trio.Event()
        self._empty = trio.Event()

    async def choice(self, client: trio.SocketStream) -> Choice | Refusal | Left:
        """The present choice with its target, as soon as there is one."""
        choice = self._choices.value
        if choice.target is not None:
            return choice
        if self._over(choice):
            return Refusal.NO_TARGET
        if self._closing.is_set():
            return Refusal.DRAINING
        if self.held >= MAX_HELD:
            return Refusal.TOO_MANY
        self.held += 1
        since = trio.current_time()
        try:
            outcome = await self._wait(client)
            self._publish(ClientHeld(self._database, _named(outcome), trio.current_time() - since))
            return outcome
        finally:
            self.held -= 1
            if not self.held:
                self._empty.set()

    async def close(self) -> None:
        """Nobody waits any more: returns when those who did are on their way to be told of the shutdown."""
        self._closing.set()
        if self.held:
            self._empty = trio.Event()
            await self._empty.wait()

    def _over(self, choice: Choice) -> bool:
        return choice.settled and trio.current_time() >= choice.held_until

    async def _wait(self, client: trio.SocketStream) -> Choice | Refusal | Left:
        outcome: Choice | Refusal | Left = Left("closed the connection while it waited")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_gone, client, nursery.cancel_scope)
            nursery.start_soon(self._cancel_when_closing, nursery.cancel_scope)
            outcome = await self._next()
            nursery.cancel_scope.cancel()
        return Refusal.DRAINING if isinstance(outcome, Left) and self._closing.is_set() else outcome

    async def _cancel_when_closing(self, scope: trio.CancelScope) -> None:
        await self._closing.wait()
        scope.cancel()

    async def _next(self) -> Choice | Refusal:
        while True:
            version, choice = self._choices.version, self._choices.value
            if choice.target is not None:
                return choice
            if self._over(choice):
                return Refusal.NO_TARGET
            deadline = choice.held_until if choice.settled else float("inf")
            with trio.move_on_at(deadline):
                await self._choices.newer(version)


def _named(outcome: Choice | Refusal | Left) -> str:
    if isinstance(outcome, Refusal):
        return outcome.name.lower()
    return "left" if isinstance(outcome, Left) else "served"


async def _cancel_when_gone(client: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Cancels once the client has closed; one that says something more is taken to be there."""
    await trio.lowlevel.wait_readable(client.socket)
    try:
        alive = await client.socket.recv(1, socket.MSG_PEEK)
    except OSError:
        alive = b""
    if not alive:
        scope.cancel()
