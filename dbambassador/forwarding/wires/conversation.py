"""What is said before bytes flow freely, as generators without I/O.

A conversation yields what it wants to say and whom it wants to hear, and is sent what it heard. Whoever has
the sockets drives it: a task of trio's, or the relay engine; one that was begun by either can be finished by
the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")

CHUNK = 16 * 1024
"""Bytes that are heard at once, at most."""


class Party(Enum):
    """Whom a conversation is with, and how many seconds all it asks of them may take, in each."""

    CLIENT = 60.0
    """PostgreSQL's authentication_timeout."""
    SERVER = 10.0
    """It may be looking up our name, or forking under load."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Wants something said, and then what the same party says next."""

    party: Party
    say: bytes = b""
    limit: int = CHUNK
    """Bytes to hear, at most: the rest is not ours to read."""
    find: Callable[[], bytes] | None = None
    """Finds more to say, which takes a while: it is called in a thread."""
    told: Callable[[], None] | None = None
    """Called once all is said, if there is anything to say."""
    within: float | None = None
    """Seconds from now for all that is asked of this party, until it is given others. None: what is left of
    those that it has."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Some bytes; none when there will be no more, with the reason."""

    data: bytes
    reason: str = "closed the connection"


Conversation: TypeAlias = Generator[Ask, Heard, T]


@dataclass(frozen=True, slots=True)
class Pending(Generic[T]):
    """A conversation that waits for an answer."""

    conversation: Conversation[T]
    ask: Ask


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A conversation's result."""

    result: T


Said: TypeAlias = Pending[T] | Done[T]
"""A conversation, as far as it came."""


def begin(conversation: Conversation[T]) -> Said[T]:
    """Runs a conversation up to the first thing it wants to hear."""
    try:
        return Pending(conversation, next(conversation))
    except StopIteration as end:
        return Done(end.value)


def answer(pending: Pending[T], heard: Heard) -> Said[T]:
    """Runs it on, up to the next thing that it wants to hear."""
    try:
        return Pending(pending.conversation, pending.conversation.send(heard))
    except StopIteration as end:
        return Done(end.value)


def silence(party: Party, seconds: float) -> Heard:
    """What is heard of a party that took longer than it had."""
    if party is Party.CLIENT:
        return Heard(b"", f"said nothing for {seconds:g} s")
    return Heard(b"", f"no answer in {seconds:g} s")


def at_once(result: T) -> Conversation[T]:
    """A conversation that needs nobody."""
    yield from ()
    return result
