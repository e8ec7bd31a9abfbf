"""Conversations on trio's streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import trio

from dbambassador.forwarding.conversation import Done, Heard, Party, Pending, answer, silence
from dbambassador.transport.dial import broken

T = TypeVar("T")

FAREWELL_TIMEOUT = 2.0
"""Seconds for a refused client to take its error."""


async def finish(said: Pending[T] | Done[T], streams: Mapping[Party, trio.SocketStream]) -> T:
    """Holds a conversation to its end, however it is: nothing of the network raises."""
    deadlines: dict[Party, float] = {}
    while isinstance(said, Pending):
        party = said.ask.party
        deadline = deadlines.setdefault(party, trio.current_time() + party.value)
        heard = silence(party)
        with trio.move_on_at(deadline):
            heard = await _hear(streams[party], said.ask.say, said.ask.limit)
        said = answer(said, heard)
    return said.result


async def farewell(client: trio.SocketStream, last_words: bytes) -> None:
    """Sends an error and lets the client read it: closing with its bytes unread would reset it away."""
    with trio.move_on_after(FAREWELL_TIMEOUT):
        try:
            await client.send_all(last_words)
            await client.send_eof()
            while await client.receive_some(4096):
                pass
        except trio.BrokenResourceError:
            pass


async def _hear(stream: trio.SocketStream, say: bytes, limit: int) -> Heard:
    try:
        if say:
            await stream.send_all(say)
        return Heard(bytes(await stream.receive_some(limit)))
    except trio.BrokenResourceError as error:
        return Heard(b"", broken(error))
