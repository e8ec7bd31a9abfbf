"""A proxy on the loopback interface that writes down what both sides of each connection say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.protocols.captures import Side

PATIENCE = 10.0
"""Seconds for any of them to say something or to end."""


class Recorder:
    """Connections through one port, in the order in which they were made."""

    def __init__(self, listener: socket.socket, target: tuple[str, int], source: str) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._target = target
        self._source = source
        self._recordings: list[_Recording] = []

    def serve(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target, PATIENCE, source_address=(self._source, 0))
            recording = _Recording(client, server)
            self._recordings.append(recording)
            recording.start()

    def taken(self) -> list[tuple[tuple[Side, bytes], ...]]:
        """What was said on each connection since the last call. Waits until all of them have ended."""
        recordings, self._recordings = self._recordings, []
        return [recording.words() for recording in recordings]


class _Recording:
    """One connection: two threads that carry its bytes."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._words: list[tuple[Side, bytes]] = []
        self._lock = threading.Lock()
        self._sockets = (client, server)
        self._threads = [
            threading.Thread(target=self._carry, args=(Side.CLIENT, client, server)),
            threading.Thread(target=self._carry, args=(Side.SERVER, server, client)),
        ]
        for connection in self._sockets:
            connection.settimeout(PATIENCE)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def words(self) -> tuple[tuple[Side, bytes], ...]:
        for thread in self._threads:
            thread.join()
        for connection in self._sockets:
            connection.close()
        return tuple(self._words)

    def _carry(self, side: Side, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._note(side, data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # reset by either: the recording ends here
            for connection in self._sockets:
                _shut(connection)

    def _note(self, side: Side, data: bytes) -> None:
        """How the bytes were cut is the network's doing and changes from one recording to the next."""
        with self._lock:
            if self._words and self._words[-1][0] is side:
                data = self._words.pop()[1] + data
            self._words.append((side, data))


@contextmanager
def recording(port: int, *, host: str = "127.0.0.1", source: str = "127.0.0.1") -> Iterator[Recorder]:
    """A port in front of the server at `host` and `port`, which is dialled from the address `source`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        recorder = Recorder(listener, (host, port), source)
        serving = threading.Thread(target=recorder.serve)
        serving.start()
        try:
            yield recorder
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            serving.join()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
