"""Servers whose TLS failed a check, for as long as there is no reason to hope for better. Pure.

MySQL and MariaDB count a TLS handshake that is broken off as any that is: after 100 (`max_connect_errors`)
without a login in between they lock this host out, and checks come every second. So one whose TLS failed
hears the rest of a handshake that it does not count, and is asked for TLS again only when it shows other
certificates than before, when it goes by another name, when our own files have changed, or when some time has
passed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dbambassador.values import Address

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 3600.0
"""Seconds until TLS is tried again, twice as long each time: 100 attempts take four days."""
MOST_CERTIFICATES = 8
"""Of one server, that are told apart: one that has new ones each time gets no more attempts for them."""
MOST_SERVERS = 256
"""Four times the most that a pool has; addresses come and go."""


@dataclass(slots=True)
class Refusal:
    """What is known of one server."""

    why: str
    """As a person would say it."""
    trust: object
    """What its certificate was held against: another context, or another name, has not refused it yet."""
    untrusted: bool
    """TLS comes about, and it is the certificate that is not accepted."""
    pause: float = FIRST_PAUSE
    until: float = 0.0
    shown: set[tuple[bytes, ...]] = field(default_factory=set)
    """Certificates that it had since, each with its chain."""


class RefusedTls:
    """The servers of one database whose TLS failed."""

    def __init__(self) -> None:
        self._refusals: dict[Address, Refusal] = {}

    def look(self, address: Address, trust: object, now: float) -> Refusal | None:
        """None: TLS is to be tried."""
        refusal = self._refusals.get(address)
        return refusal if refusal and refusal.trust == trust and now < refusal.until else None

    def note(self, address: Address, why: str, trust: object, *, untrusted: bool, now: float) -> None:
        """TLS was tried and failed."""
        before = self._refusals.pop(address, None)
        if before is not None and before.trust == trust:
            refusal = before
            refusal.why, refusal.untrusted = why, untrusted
            refusal.pause = min(2 * refusal.pause, LONGEST_PAUSE)
        else:
            refusal = Refusal(why, trust, untrusted)
        refusal.until = now + refusal.pause
        while len(self._refusals) >= MOST_SERVERS:
            del self._refusals[next(iter(self._refusals))]
        self._refusals[address] = refusal

    def see(self, address: Address, certificates: tuple[bytes, ...]) -> None:
        """An untrusted server shows these: the first were refused, it is supposed, and others may do."""
        refusal = self._refusals.get(address)
        if refusal is None or certificates in refusal.shown or len(refusal.shown) >= MOST_CERTIFICATES:
            return
        if refusal.shown:
            refusal.until = 0.0
        refusal.shown.add(certificates)

    def forget(self, address: Address) -> None:
        """It was trusted, or was away and has begun to count anew."""
        self._refusals.pop(address, None)
