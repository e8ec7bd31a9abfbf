"""What is worth a line in the log about one database's health: each change once."""

from __future__ import annotations

from collections.abc import Container

from dbambassador.events import AddressChanged, ChoiceChanged, Publish, RoleChanged
from dbambassador.health.evidence import Role
from dbambassador.health.states import Record
from dbambassador.values import Address, Choice, Target

REASON_PERIOD = 10.0
"""Seconds between two reasons that are told of an address that is of no use. One that comes and goes may have
another one at each check."""
MOST_TOLD_OF = 256
"""Addresses of a pool that are remembered as told of: four times the most that it has."""


class News:
    """Remembers what was told last."""

    def __init__(self, database: str, publish: Publish) -> None:
        """`database`: its name."""
        self._database = database
        self._publish = publish
        self._reasons: dict[Address, tuple[str, float]] = {}
        """Why it is in its state, as was last told, and when."""
        self._roles: dict[Address, Role] = {}
        """As last told, however long ago."""
        self._choice: tuple[object, ...] = ()
        self._pool: tuple[Target, ...] = ()
        self._pooled: set[Address] = set()
        """Addresses that were told to be in the pool."""

    def forget_all_but(self, kept: Container[Address]) -> None:
        """Of the others, everything will be new again."""
        self._reasons = {address: reason for address, reason in self._reasons.items() if address in kept}
        self._roles = {address: role for address, role in self._roles.items() if address in kept}
        if len(self._pooled) > MOST_TOLD_OF:
            self._pooled.clear()

    def of_address(self, before: Record, record: Record, now: float) -> None:
        """Its state, or the reason why it is of no use; and its role."""
        if record.state is not before.state or self._has_new_reason(record, now):
            self._reasons[record.address] = (record.why, now)
            states = (before.state.value, record.state.value)
            self._publish(AddressChanged(self._database, record.address, *states, record.why))
        if record.role is not Role.UNKNOWN:
            told = self._roles.get(record.address, record.role)
            self._roles[record.address] = record.role
            if record.role is not told:
                self._publish(RoleChanged(self._database, record.address, told.value, record.role.value))

    def of_choice(self, choice: Choice, outage: float, *, balanced: bool) -> None:
        """Where sessions go. A trial that fails, as most do, leaves all as it was.

        Args:
          outage: seconds without a usable address until now.
          balanced: addresses share sessions.
        """
        if choice.on_trial and not self._pool:
            return
        addresses = {target.address for target in choice.pool}
        if balanced and addresses and self._pool and addresses <= self._pooled:
            return  # those of a pool come and go, and one that fails has a line of its own
        news = (choice.epoch if choice.pool else None, choice.pool, choice.settled)
        if news != self._choice:
            first, self._choice, self._pool = not self._choice, news, choice.pool
            self._pooled |= addresses
            self._publish(ChoiceChanged(self._database, choice, 0.0 if first else outage))

    def _has_new_reason(self, record: Record, now: float) -> bool:
        """Whether an address is of no use for another reason than was told, and it is time to tell."""
        told, told_at = self._reasons.get(record.address, (record.why, now))
        return not record.usable and record.why != told and now >= told_at + REASON_PERIOD
