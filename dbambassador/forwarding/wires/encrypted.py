"""Conversations whose server's part is encrypted. Pure but for OpenSSL, which works on memory."""

from __future__ import annotations

from typing import TypeVar

from dbambassador.forwarding.wires.conversation import Ask, Conversation, Heard, Party, Pending, answer, begin
from dbambassador.transport.tls import TlsEnd
from dbambassador.transport.tls_failures import TlsFailed, no_tls

T = TypeVar("T")


def handshake(tls: TlsEnd, request: bytes = b"", within: float | None = None) -> Conversation[str]:
    """Begins TLS with the server. Result: empty, or why it failed.

    Args:
      request: what asks for TLS and waits for no answer.
      within: seconds from now; None: what is left of the server's.
    """
    heard = Heard(b"")
    try:
        while not tls.shake_hands(heard.data):
            heard = yield Ask(Party.SERVER, request + tls.outgoing(), within=within)
            request, within = b"", None
            if not heard.data:
                return no_tls(heard.reason)
    except TlsFailed as failed:
        alert = tls.outgoing()
        if alert:  # so that the server's log says why as well; it closes then
            yield Ask(Party.SERVER, alert)
        return no_tls(failed)
    return ""


def secured(conversation: Conversation[T], tls: TlsEnd) -> Conversation[T]:
    """Has all that a conversation says to the server encrypted, and all that it hears of it decrypted.

    A server that did not like the client's part of the handshake says so here, in its first answer.
    """
    said = begin(conversation)
    while isinstance(said, Pending):
        if said.ask.party is Party.SERVER:
            heard = yield from _ask(said.ask, tls)
        else:
            heard = yield said.ask
        said = answer(said, heard)
    return said.result


def _ask(ask: Ask, tls: TlsEnd) -> Conversation[Heard]:
    assert ask.find is None
    within = ask.within
    try:
        say = tls.encrypt(ask.say)
        while not tls.ended:
            heard = yield Ask(Party.SERVER, say, within=within)
            within = None
            if not heard.data:
                return heard
            text = tls.decrypt(heard.data)
            if text:
                return Heard(text)
            say = tls.outgoing()
    except TlsFailed as failed:
        return Heard(b"", no_tls(failed))
    return Heard(b"")
