"""Which servers turn the checks of one database away: this host, or the credentials."""

from __future__ import annotations

from collections.abc import Set

from dbambassador.events import CheckBlocked, CheckDenied, CheckRestored, Publish
from dbambassador.health.evidence import Blocked, Evidence, Signal
from dbambassador.values import Address


class Lockouts:
    """Tells a person of each once."""

    def __init__(self, database: str, publish: Publish) -> None:
        """`database`: its name."""
        self._database = database
        self._publish = publish
        self._blocked: set[Address] = set()
        self._denied: set[Address] = set()

    def blocks(self, address: Address) -> bool:
        """Whether it refuses this host: another check would do harm."""
        return address in self._blocked

    def denies(self, address: Address) -> bool:
        """Whether it refuses the credentials: it is alive, and its role stays unknown."""
        return address in self._denied

    def note_block(self, address: Address, blocked: Blocked) -> None:
        self._blocked.add(address)
        self._publish(CheckBlocked(self._database, address, str(blocked)))

    def note_session(self, address: Address) -> None:
        """Whoever gets sessions is not locked out any more."""
        self._blocked.discard(address)

    def note_check(self, evidence: Evidence) -> None:
        """Takes in what the server made of the credentials."""
        address = evidence.address
        if not evidence.denied:
            if evidence.signal is Signal.ANSWERED and address in self._denied:
                self._denied.discard(address)
                self._publish(CheckRestored(self._database, address))
        elif address not in self._denied:
            self._denied.add(address)
            self._publish(CheckDenied(self._database, address, evidence.detail))

    def forget(self, addresses: Set[Address]) -> None:
        """What is known of these was found out by other settings."""
        self._blocked -= addresses
        self._denied -= addresses

    def forget_all_but(self, kept: Set[Address]) -> None:
        """The others have left."""
        self._blocked &= kept
        self._denied &= kept
