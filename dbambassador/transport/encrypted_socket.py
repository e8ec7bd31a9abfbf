"""A socket whose bytes are encrypted on their way to a server: for the relay, which does not block.

OpenSSL works on memory alone here. Where it reads and writes the socket itself, a record's header and body
apart, a message there and back took half as much again (12.7 µs of CPU time instead of 8.5).
"""

from __future__ import annotations

import errno
import socket
import ssl

from dbambassador.transport.tls import READ, RECORD, Bytes, TlsEnd

MOST_UNSENT = 256 * 1024
"""Bytes: far more than a relay offers at once. A server may have TLS say more as often as it likes (RFC 8446,
4.6.3), and not read it."""

# The class's own, since `super()` takes a tenth of a microsecond to find them at each message.
_receive, _receive_into, _send = socket.socket.recv, socket.socket.recv_into, socket.socket.send


class EncryptedSocket(socket.socket):
    """A connected socket whose bytes are encrypted on their way.

    A short read has emptied it, as with any stream socket. What was not sent has to be offered again, the
    same bytes: a part of them is encrypted already.
    """

    def __init__(self, connected: socket.socket, tls: TlsEnd) -> None:
        """Takes the socket over, after the handshake. Nothing of `tls` may wait to be read."""
        super().__init__(connected.family, connected.type, connected.proto, connected.detach())
        self.setblocking(False)
        self._tls = tls
        self._heard, self._said = tls.heard, tls.said
        self._decrypt, self._encrypt = tls.connection.read, tls.connection.write
        self._holds = False
        """There may be something to read without hearing more. Once it is over, always."""
        self._ahead = b""
        """Read before there was room for it: see `shutdown`."""
        self._over = False
        """Nothing more can be read."""
        self._broken: ssl.SSLError | None = None
        """Why it is over, where that was not the server's wish."""
        self._unsent = tls.outgoing()
        """What is encrypted and found no room yet."""
        self._offered = 0
        """How many bytes wait to be offered again, whose `_unsent` is the rest."""
        try:
            self._send_rest()  # the handshake's end: the server may be the first to speak, and waits for it
        except OSError:
            pass  # the next call meets it again

    def recv_into(self, buffer: memoryview, nbytes: int = 0, flags: int = 0) -> int:  # type: ignore[override]
        """Raises: BlockingIOError; OSError, also where what comes is not what the server sent."""
        if self._holds:
            return self._read_on(buffer, 0, emptied=False)
        # Where the text will be is room for what is encrypted: OpenSSL takes a copy.
        count = _receive_into(self, buffer)
        if not count:
            return 0  # no close_notify came: the database's own messages tell whether something is missing
        self._heard.write(buffer[:count])
        room = len(buffer)
        try:  # not `count` at most: what was heard may be the end of a record, whose text is longer
            filled: int = self._decrypt(room, buffer)  # type: ignore[assignment]
        except ssl.SSLError as error:
            filled = self._note(error)
        emptied = count < room
        if 0 < filled < room and emptied and not self._heard.pending and not self._said.pending:
            return filled  # a record and no more, as nearly always
        return self._read_on(buffer, filled, emptied)

    def send(self, data: Bytes, flags: int = 0) -> int:  # type: ignore[override]
        """Raises: BlockingIOError: offer the same bytes again; OSError."""
        if self._unsent or self._offered:
            return self._send_behind(data)
        self._encrypt(data)
        encrypted = self._said.read()
        try:
            sent = _send(self, encrypted)
        except BlockingIOError:
            sent = 0
        if sent == len(encrypted):
            return len(data)
        self._unsent, self._offered = encrypted[sent:], len(data)
        return self._send_behind(data)

    def shutdown(self, how: int) -> None:
        """Tells the server first, as far as there is room."""
        if self._holds and not self._over:
            self._read_ahead()
        self._unsent += self._tls.end()
        try:
            self._send_rest()
        except OSError:
            pass
        super().shutdown(how)

    def _read_on(self, buffer: memoryview, filled: int, emptied: bool) -> int:
        """Reads until there is nothing more, no more room, or the end.

        Args:
          filled: bytes of the buffer that are taken.
          emptied: nothing more is to be heard, as the last read was short.
        """
        while True:
            filled += self._read(buffer[filled:])
            if self._said.pending:
                self._answer()
            if self._holds or (filled and emptied):
                break
            try:
                heard = _receive(self, READ)
            except OSError:  # nothing more, as a rule; what else it is, the next read tells
                if filled:
                    return filled
                raise
            if not heard:
                return filled
            self._heard.write(heard)
            emptied = len(heard) < READ
        if self._over:
            self._tell_end(filled)
        return filled

    def _read_ahead(self) -> None:
        """Reads all that OpenSSL holds: it drops that once we have said goodbye."""
        ahead, chunk = b"", memoryview(bytearray(RECORD))
        while self._holds and not self._over:
            ahead += chunk[: self._read(chunk)]
        self._ahead, self._holds = ahead, self._over or bool(ahead)

    def _read(self, into: memoryview) -> int:
        """Decrypts what was heard, as far as there is room, and takes note of whether there may be more."""
        filled = min(len(self._ahead), len(into))
        if filled:
            into[:filled], self._ahead = self._ahead[:filled], self._ahead[filled:]
        self._holds = True
        while self._holds and filled < len(into) and not self._over:
            try:
                count: int = self._decrypt(len(into) - filled, into[filled:])  # type: ignore[assignment]
            except ssl.SSLError as error:
                count = self._note(error)
            else:
                self._over = not count
            filled += count
        return filled

    def _note(self, error: ssl.SSLError) -> int:
        """Takes note of why there is no text. Returns: so many bytes."""
        self._holds = not isinstance(error, ssl.SSLWantReadError)
        self._over = self._holds
        if self._over and not isinstance(error, ssl.SSLZeroReturnError):
            self._broken = error
        return 0

    def _tell_end(self, filled: int) -> None:
        """Has the end told: now, or after the bytes before it, by an event of its own."""
        if filled:
            try:
                super().shutdown(socket.SHUT_RD)
            except OSError:
                pass
        elif self._broken is not None:
            raise self._broken  # again and again: OpenSSL would tell an end the next time

    def _answer(self) -> None:
        """Says what TLS itself has to say, as far as there is room."""
        self._unsent += self._said.read()
        try:
            self._send_rest()
        except OSError:
            pass  # the next call meets it again
        if len(self._unsent) > MOST_UNSENT:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the server does not hear what it asks for")

    def _send_behind(self, data: Bytes) -> int:
        """Sends what found no room before, and these bytes, unless it is they."""
        if not self._offered:
            self._encrypt(data)
            self._unsent += self._said.read()
            self._offered = len(data)
        self._send_rest()
        sent, self._offered = self._offered, 0
        return sent

    def _send_rest(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[_send(self, self._unsent) :]
