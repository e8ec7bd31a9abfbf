"""The judge of one database: gathers evidence, checks addresses in doubt, publishes the choice."""

from __future__ import annotations

import random

import trio

from dbambassador.discovery.refresher import Refresher
from dbambassador.events import AddressChanged, CheckBlocked, ChoiceChanged, ProbeEnded, Publish
from dbambassador.health.choice import PREFERENCE_DELAY, Situation, Standing, choose, wants_answer
from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.health.probes import Blocked, probe
from dbambassador.health.states import DOUBTFUL, Record, State, after, without_role
from dbambassador.latest import Latest
from dbambassador.settings.schema import Check, Database
from dbambassador.values import Address, Choice

FAST_INTERVAL = 0.2
"""Seconds between checks of an address in doubt."""
FAST_FOR = 5.0
"""Seconds for which doubt is checked that often."""
DOUBT_INTERVAL = 1.0
"""Seconds between checks of an address that is doubted only because sessions end there."""
DOWN_INTERVAL = 1.0
"""Seconds between checks after that, and until an unchecked address is tried by a session again."""
INTERVAL = 30.0
"""Seconds between checks of an address that is well, ± 20 % so that many ambassadors spread out."""
ROLE_RECHECK = 1.0
"""Seconds after which a standby may have been promoted: without credentials only a session can tell."""


class Judge:
    """Decides which address of one database may be used.

    `observe` takes evidence at any time and is synchronous: when it returns, `choices` holds the decision
    that follows from it.
    """

    def __init__(self, database: Database, refresher: Refresher, publish: Publish) -> None:
        self._database = database
        self._refresher = refresher
        self._publish = publish
        self._records: dict[Address, Record] = {}
        self._due: dict[Address, float] = {}
        self._checked_at: dict[Address, float] = {}
        self._checking: set[Address] = set()
        self._unchecked: set[Address] = set()
        self._wake = trio.Event()
        now = trio.current_time()
        self._standing = Standing(Choice(held_until=now + database.hold), lost_at=now)
        self.choices: Latest[Choice] = Latest(self._standing.choice)

    @property
    def records(self) -> tuple[Record, ...]:
        """What is known of each address, for people."""
        return tuple(self._records.values())

    async def run(self) -> None:
        """Judges for ever."""
        self._refresher.seek(urgent=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_targets, name=f"{self._database.name}: targets")
            await self._tend(nursery)

    def observe(self, evidence: Evidence) -> None:
        """Takes one observation in and decides anew. Evidence on an address that has left is dropped."""
        before = self._records.get(evidence.address)
        if before is None:
            return
        now = trio.current_time()
        record = after(before, evidence, now)
        if record == before:
            return
        self._records[evidence.address] = record
        if record.state is not before.state:
            self._due[record.address] = self._first_due(evidence, now)
            self._publish(
                AddressChanged(
                    self._database.name, record.address, before.state.value, record.state.value, record.why
                )
            )
        self._decide()
        self._wake.set()

    def _first_due(self, evidence: Evidence, now: float) -> float:
        """When an address that changed its state is checked.

        At once on the word of a session that could not be opened. One that broke was perhaps only taking
        its leave, which servers do before their clients: that is checked no more than once a second.
        """
        address = evidence.address
        if evidence.signal is Signal.ANSWERED:
            return now + _calm_interval()
        if not self._is_checked(address):
            return now + DOWN_INTERVAL
        if evidence.signal is Signal.SESSION_BROKE:
            return max(now, self._checked_at.get(address, 0.0) + DOUBT_INTERVAL)
        return now if evidence.signal is Signal.FALTERED else now + FAST_INTERVAL

    async def _follow_targets(self) -> None:
        async for targets in self._refresher.targets.values():
            active = self._standing.active
            kept = dict.fromkeys((*targets.addresses, *((active.address,) if active else ())))
            now = trio.current_time()
            self._records = {
                address: self._records.get(address) or Record(address, since=now) for address in kept
            }
            self._due = {address: self._due.get(address, now) for address in self._records}
            self._checked_at = {a: at for a, at in self._checked_at.items() if a in self._records}
            self._unchecked &= kept.keys()
            self._decide()
            self._wake.set()

    def _decide(self) -> None:
        before = self._standing.choice
        situation = Situation(
            self._database, self._refresher.targets.value, self._records, trio.current_time()
        )
        self._standing = choose(self._standing, situation)
        choice = self._standing.choice
        if choice != before:
            self.choices.publish(choice)
            if (choice.epoch, choice.target, choice.settled) != (before.epoch, before.target, before.settled):
                self._publish(ChoiceChanged(self._database.name, choice))
        self._refresher.seek(urgent=wants_answer(self._standing, situation.targets))

    async def _tend(self, nursery: trio.Nursery) -> None:
        """Starts checks when they are due, and lets time pass for roles and decisions."""
        while True:
            self._wake = trio.Event()
            now = trio.current_time()
            for record in self.records:
                self._tend_record(record, now, nursery)
            if self._standing.choice.target is None:
                self._decide()
            with trio.move_on_at(self._next_due(now)):
                await self._wake.wait()

    def _tend_record(self, record: Record, now: float, nursery: trio.Nursery) -> None:
        address = record.address
        if record.role is Role.STANDBY and now >= record.role_seen_at + ROLE_RECHECK:
            self._records[address] = without_role(record)
            self._decide()
        if now < self._due[address] or address in self._checking:
            return
        if self._is_checked(address):
            self._checking.add(address)
            nursery.start_soon(self._check, address, name=f"{self._database.name}: check {address}")
        elif record.usable:
            self._due[address] = now + INTERVAL
        else:
            self._due[address] = now + DOWN_INTERVAL
            self.observe(Evidence(address, Signal.RETRY_DUE, "to be tried by the next session"))

    def _is_checked(self, address: Address) -> bool:
        return self._database.check is Check.PROTOCOL and address not in self._unchecked

    def _next_due(self, now: float) -> float:
        times = [due for address, due in self._due.items() if address not in self._checking]
        times += [
            record.role_seen_at + ROLE_RECHECK for record in self.records if record.role is Role.STANDBY
        ]
        if not self._standing.choice.settled:
            times.append(now + FAST_INTERVAL)
        preferred = [record.since + PREFERENCE_DELAY for record in self.records if record.state is State.NEW]
        times += [time for time in preferred if time > now]
        return min(times, default=now + INTERVAL)

    async def _check(self, address: Address) -> None:
        started = self._checked_at[address] = trio.current_time()
        try:
            evidence = await probe(self._database.protocol, address)
        except Blocked as blocked:
            self._unchecked.add(address)
            self._publish(CheckBlocked(self._database.name, address, str(blocked)))
            evidence = Evidence(address, Signal.FAILED, str(blocked))
        finally:
            self._checking.discard(address)
        now = trio.current_time()
        if evidence is not None:
            self._publish(ProbeEnded(self._database.name, address, evidence.signal.value, now - started))
            self.observe(evidence)
        record = self._records.get(address)
        if record is not None:
            self._due[address] = now + _interval(record, now)
        self._wake.set()


def _interval(record: Record, now: float) -> float:
    """Seconds until the next check."""
    if record.state not in DOUBTFUL:
        return _calm_interval()
    return FAST_INTERVAL if now - record.since < FAST_FOR else DOWN_INTERVAL


def _calm_interval() -> float:
    return INTERVAL * random.uniform(0.8, 1.2)
