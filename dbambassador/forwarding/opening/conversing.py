"""Conversations on trio's streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import trio

from dbambassador.forwarding.admission.preambles import CROWDED_OUT, Hearing
from dbambassador.forwarding.wires.conversation import Ask, Heard, Party, Pending, Said, answer, silence
from dbambassador.transport.dial import describe

T = TypeVar("T")

FAREWELL_TIMEOUT = 2.0
"""Seconds for a refused client to take its error."""
GONE = Heard(b"", "left")


@dataclass(slots=True)
class _Patience:
    """A party's time."""

    seconds: float
    ends: float


class Held(Generic[T]):
    """A conversation held by trio. `said` is how far it came, at any time: if it is cut short, it can be gone
    on with."""

    def __init__(
        self,
        said: Said[T],
        streams: Mapping[Party, trio.SocketStream],
        hearing: Hearing | None = None,
        turn: Callable[[Party], None] = lambda _: None,
    ) -> None:
        """
        Args:
          streams: a party without one is gone.
          hearing: the client's; once it is ended, the client says no more.
          turn: told whose turn it is, each time.
        """
        self.said = said
        self._streams = streams
        self._hearing = hearing
        self._turn = turn
        self._patience: dict[Party, _Patience] = {}

    async def finish(self) -> T:
        """Holds it to its end, however it is: nothing of the network raises."""
        while isinstance(self.said, Pending):
            ask = self.said.ask
            self._turn(ask.party)
            patience = self._patience_with(ask)
            heard = silence(ask.party, patience.seconds)
            with trio.move_on_at(patience.ends) as listening, self._listening(ask.party, listening):
                if not self._is_ended(ask.party):
                    heard = await self._hear(self.said, ask)
            if self._is_ended(ask.party):
                heard = Heard(b"", CROWDED_OUT)
            elif listening.cancelled_caught and ask.party is Party.CLIENT and self._hearing is not None:
                self._hearing.timed_out = True
            self.said = answer(self.said, heard)
        return self.said.result

    def _is_ended(self, party: Party) -> bool:
        return party is Party.CLIENT and self._hearing is not None and self._hearing.ended

    @contextmanager
    def _listening(self, party: Party, scope: trio.CancelScope) -> Iterator[None]:
        if self._hearing is not None and party is Party.CLIENT:
            self._hearing.listening = scope
        try:
            yield
        finally:
            if self._hearing is not None:
                self._hearing.listening = None

    def _patience_with(self, ask: Ask) -> _Patience:
        patience = self._patience.get(ask.party)
        if patience is None or ask.within is not None:
            seconds = ask.party.value if ask.within is None else ask.within
            patience = self._patience[ask.party] = _Patience(seconds, trio.current_time() + seconds)
        return patience

    async def _hear(self, said: Pending[T], ask: Ask) -> Heard:
        stream = self._streams.get(ask.party)
        if stream is None:
            await trio.lowlevel.checkpoint()
            return GONE
        say = ask.say
        if ask.find is not None:
            say += await trio.to_thread.run_sync(ask.find)
        try:
            while say:
                say = say[await stream.socket.send(say) :]
                self.said = replace(said, ask=replace(ask, say=say, find=None))
                if not say and ask.told is not None:
                    ask.told()
            return Heard(await stream.socket.recv(ask.limit))
        except OSError as error:
            return Heard(b"", describe(error))


async def finish(
    said: Said[T],
    streams: Mapping[Party, trio.SocketStream],
    hearing: Hearing | None = None,
) -> T:
    """Holds a conversation to its end, however it is: nothing of the network raises. See `Held`."""
    return await Held(said, streams, hearing).finish()


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
