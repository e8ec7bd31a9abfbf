"""How the ends of a session's two directions make the end of the session. Pure.

Both engines go by it: an end of stream is passed on and the other direction goes on; a broken source ends the
session; a broken sink leaves time to read out what its peer had sent before. A client that was refused is
read out as well: closing with its bytes unread would reset the error away that tells it why.
"""

from __future__ import annotations

from enum import Enum

from dbambassador.forwarding.relay.engine import How

READ_OUT_LIMIT = 5.0
"""Seconds for which a side whose other direction broke may still deliver what it had sent before."""


class End(Enum):
    """How one direction ended."""

    EOF = "end of stream"
    SOURCE_RESET = "source reset"
    SINK_RESET = "sink reset"
    REFUSED = "refused"


class Then(Enum):
    """What follows from the end of a direction."""

    PASS_ON = "the sink is told of the end of stream"
    READ_OUT = "the other direction has READ_OUT_LIMIT to end by itself"
    DISCARD = (
        "the sink is told of the end, and has READ_OUT_LIMIT to end by itself; what it says goes nowhere"
    )
    OVER = "the session is over"


_FIRST = {End.EOF: Then.PASS_ON, End.SINK_RESET: Then.READ_OUT, End.REFUSED: Then.DISCARD}


class Endings:
    """The ends of one session's directions, in their order."""

    __slots__ = ("_client_first", "_first", "_second")

    def __init__(self) -> None:
        self._first: End | None = None
        self._client_first = False
        self._second: End | None = None

    @property
    def begun(self) -> bool:
        """One direction has ended."""
        return self._first is not None

    def note(self, end: End, *, of_client: bool) -> Then:
        """Takes note of the end of the direction whose source is the client, or is the server."""
        if self._first is None:
            self._first, self._client_first = end, of_client
            return _FIRST.get(end, Then.OVER)
        self._second = end
        return Then.OVER

    @property
    def server_left_first(self) -> bool:
        """The server ended the session or broke, before the client did either."""
        if self._client_first:
            return self._first is End.SINK_RESET
        return self._first in (End.EOF, End.SOURCE_RESET)

    @property
    def orderly(self) -> bool:
        """Both sides got all that was sent to them, and may be closed without a reset."""
        return End.REFUSED in (self._first, self._second) or self._first is self._second is End.EOF

    @property
    def how(self) -> How:
        """How the session ended. There must have been an end."""
        if self._first is End.REFUSED:
            return How.REFUSED
        if self._first is End.EOF:
            return How.CLIENT_CLOSED if self._client_first else How.SERVER_CLOSED
        lost_client = self._client_first == (self._first is End.SOURCE_RESET)
        return How.CLIENT_RESET if lost_client else How.SERVER_RESET
