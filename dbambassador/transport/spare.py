"""A socket made ahead, while there is time, for the next dial."""

from __future__ import annotations

import socket

from dbambassador.transport import dial


class Spare:
    """At most one socket. It is its taker's; what nobody took is closed by `close`."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def make(self, family: int) -> None:
        """Has one ready, if there is none."""
        if self._socket is None:
            try:
                self._socket = dial.prepare(family)
            except OSError:
                pass  # out of descriptors: the next dial tells

    def take(self) -> socket.socket | None:
        """None: none was made."""
        spare, self._socket = self._socket, None
        return spare

    def close(self) -> None:
        spare = self.take()
        if spare is not None:
            spare.close()
