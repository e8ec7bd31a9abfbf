"""Clients that have connected and do not say what they want: how many of them this process bears.

Each holds a descriptor, and one of MySQL or one that has been told to begin TLS a session of its server as
well, for up to a minute. Somebody who
connects and says nothing, a thousand times, must not keep out those who speak. So beyond a number of them the
oldest are ended. Real clients speak at once: they are never old enough.
"""

from __future__ import annotations

from typing import Protocol

import trio

from dbambassador.events import ClientCrowdedOut, Publish
from dbambassador.transport.tcp_info import unread

MOST = 100
"""Silent clients that are borne, as sshd bears them (sshd_config(5), MaxStartups), and fewer than the 151
sessions that a MySQL server takes by default."""
SHARE = 4
"""Of all clients that are served at once, they may be one in so many."""
GRACE = 1.0
"""Seconds for which every client may be silent, however many there are: a pool that opens hundreds of
connections at once, on a loaded machine, takes a while to say something on each."""
GRACE_AT_LIMIT = 0.25
"""The same, where a newcomer would have to be refused: so long may a client take between its connect and its
first word."""
PERIOD = 0.1
"""Seconds between looks while there are too many."""

CROWDED_OUT = "said nothing, and made room for others"
"""What is heard of a client that was ended."""


class Preamble(Protocol):
    """A client that may not have said what it wants."""

    database: str
    since: float
    """When trio heard of it, on its clock: up to 0.1 s after it came, more if trio is busy."""
    admitted: bool
    """It counts against the limit of clients."""

    def silent(self) -> bool:
        """It is its turn to speak, and it has not."""
        ...

    def over(self) -> bool:
        """It has said what it wants: it is silent no more."""
        ...

    def end(self) -> None:
        """Ends it, soon."""
        ...


class Hearing:
    """A client that a task of trio's listens to, until an engine has it."""

    __slots__ = ("_client", "admitted", "database", "ended", "listening", "since", "timed_out")

    def __init__(self, database: str, client: trio.SocketStream, *, admitted: bool) -> None:
        self._client = client
        self.database = database
        self.admitted = admitted
        self.since = trio.current_time()
        self.listening: trio.CancelScope | None = None
        """Within it, its next words are awaited; None: it waits for us."""
        self.ended = False
        """It is not listened to any more."""
        self.timed_out = False
        """It was, for as long as it may take, and said nothing."""

    def silent(self) -> bool:
        # What it has said and nobody has read yet is our delay, not the client's.
        return self.listening is not None and not unread(self._client.socket)

    def over(self) -> bool:
        return False

    def end(self) -> None:
        self.ended = True
        if self.listening is not None:
            self.listening.cancel()


class Preambles:
    """Those of one process. `run` keeps their number down."""

    def __init__(self, maximum: int, publish: Publish) -> None:
        """`maximum`: the limit of clients; 0: there is none."""
        self._most = min(MOST, max(1, maximum // SHARE)) if maximum else MOST
        self._publish = publish
        self._all: dict[Preamble, None] = {}
        """In the order in which trio heard of them."""
        self._many = trio.Event()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, preamble: Preamble) -> None:
        """Bears one more, until it is discarded."""
        self._all[preamble] = None
        if len(self._all) > self._most:
            self._many.set()

    def discard(self, preamble: Preamble) -> None:
        """It has a session, or is gone. No-op if it is known already."""
        self._all.pop(preamble, None)

    async def run(self) -> None:
        """Ends the oldest, while there are too many. For ever."""
        while True:
            await self._many.wait()
            self._end_too_many()
            if len(self._all) <= self._most:
                self._many = trio.Event()
            await trio.sleep(PERIOD)

    def make_room(self) -> bool:
        """Ends the oldest for a newcomer beyond the limit of clients: one of the two has to go.

        Returns: whether there is a place for the newcomer now.
        """
        endable = [each for each in self._all if _is_aged(each, GRACE_AT_LIMIT) and each.silent()]
        oldest = next((each for each in endable if each.admitted), endable[0] if endable else None)
        if oldest is None:
            return False
        self._end(oldest)
        return oldest.admitted

    def _end_too_many(self) -> None:
        self._all = {each: None for each in self._all if not each.over()}
        silent = [each for each in self._all if each.silent()]
        old = [each for each in silent if _is_aged(each, GRACE)]
        for preamble in old[: max(0, len(silent) - self._most)]:
            self._end(preamble)

    def _end(self, preamble: Preamble) -> None:
        del self._all[preamble]
        preamble.end()
        self._publish(ClientCrowdedOut(preamble.database))


def _is_aged(preamble: Preamble, seconds: float) -> bool:
    return trio.current_time() >= preamble.since + seconds
