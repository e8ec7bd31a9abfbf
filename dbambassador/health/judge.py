"""The judge of one database: gathers evidence, checks addresses in doubt, publishes the choice."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace

import trio

from dbambassador.discovery.refresher import Refresher
from dbambassador.events import ProbeEnded, Publish
from dbambassador.health import adoption, schedule
from dbambassador.health.candidates import PREFERENCE_DELAY, TRIAL_LIMIT, Situation, has_role
from dbambassador.health.choice import Standing, choose, wants_answer
from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.health.lockouts import Lockouts
from dbambassador.health.news import News
from dbambassador.health.outages import Outages
from dbambassador.health.probes import Blocked, Prober
from dbambassador.health.states import Record, State, after, is_news, without_role
from dbambassador.latest import Latest
from dbambassador.settings.schema import Database
from dbambassador.values import Address, Choice

SETTLING_PERIOD = 0.2
"""Seconds between looks at a decision that waits for the clock."""


class Judge:
    """Decides which addresses of one database may be used.

    `observe` takes evidence at any time and is synchronous: when it returns, `choices` holds the decision
    that follows from it.
    """

    def __init__(
        self,
        database: Database,
        refresher: Refresher,
        prober: Prober,
        sessions: Callable[[Address], int],
        publish: Publish,
    ) -> None:
        """`sessions`: how many an address has now."""
        self._database = database
        self._check = database.check
        self._refresher = refresher
        self._prober = prober
        self._sessions = sessions
        self._publish = publish
        self._records: dict[Address, Record] = {}
        self._names: dict[Address, str] = {}
        self._due: dict[Address, float] = {}
        self._checked_at: dict[Address, float] = {}
        self._checking: set[Address] = set()
        self._lockouts = Lockouts(database.name, publish)
        self._news = News(database.name, publish)
        self.retired: frozenset[Address] = frozenset()
        """Where only former endpoints lead. Replaced, never changed: other threads read it as well."""
        self._former = prober
        """Checks those."""
        self._adopted = 0
        """The version of the targets up to which former endpoints led there."""
        self._over = ""
        self._wake = trio.Event()
        now = trio.current_time()
        self._standing = Standing(Choice(held_until=now + database.hold), lost_at=now)
        self.choices: Latest[Choice] = Latest(self._standing.choice)
        self.outages = Outages(now)

    @property
    def records(self) -> tuple[Record, ...]:
        """What is known of each address, for people."""
        return tuple(self._records.values())

    def role(self, address: Address) -> Role:
        """What is known of the address's role."""
        record = self._records.get(address)
        return record.role if record is not None else Role.UNKNOWN

    def name(self, address: Address) -> str:
        """Of its host, as last resolved."""
        return self._names.get(address, address.host)

    def answered_since(self, address: Address, moment: float) -> bool:
        """Whether the address answered a check or a session after this moment."""
        record = self._records.get(address)
        return record is not None and record.answered_at > moment

    async def run(self) -> None:
        """Judges for ever."""
        self._refresher.seek(urgent=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_targets, name=f"{self._database.name}: targets")
            await self._tend(nursery)

    def adopt(self, database: Database, prober: Prober) -> bool:
        """Decides by these settings from now on. What is known of addresses stays; where it was found out in
        another way, it is found out anew at once. The choice is published in any case.

        Returns: whether addresses have retired, which are gone to by the settings of before.
        """
        before, self._database = self._database, database
        former, self._check, self._prober = self._prober, database.check, prober
        tenures, already = self._standing.choice.tenures, self.retired
        self.retired = adoption.retired(before, database, tenures, already, self.name)
        anew = not self.retired <= already
        if anew:
            self._former = former
        self._adopted = self._refresher.targets.version
        others = (before.check, before.tls) != (database.check, database.tls)
        self._check_anew((self._records.keys() if others else already) - self.retired)
        if before.balance is not None and database.balance is None:
            self._standing = adoption.alone(self._standing, self._sessions)
        self._decide()
        self.choices.publish(self._standing.choice)
        self._wake.set()
        return anew

    def retire(self, why: str) -> None:
        """No address may have sessions any more, for good. `run` has ended."""
        self._records, self._over = {}, why
        choice = Choice(self._standing.choice.epoch + 1, settled=True, why=why)
        self._standing = Standing(choice, trio.current_time())
        self.choices.publish(choice)

    def observe(self, evidence: Evidence) -> None:
        """Takes one observation in and decides anew. Evidence on an address that has left is dropped."""
        before = self._records.get(evidence.address)
        if before is None:
            return
        if evidence.signal is Signal.SERVED:
            self._lockouts.note_session(evidence.address)
        now = trio.current_time()
        if not is_news(before, evidence, now):
            return
        record = after(before, evidence, now, self._check)
        if record == before:
            return
        self._records[evidence.address] = record
        if record.state is not before.state:
            checked_at = self._checked_at.get(record.address, 0.0)
            self._due[record.address] = (
                schedule.after_change(evidence, record, checked_at, now, self._check)
                if self._is_checked(record.address)
                else schedule.retry(record, now, self._check)
            )
        self._news.of_address(before, record, now)
        if (record.state, record.role, record.tried_at, record.why) != (
            before.state,
            before.role,
            before.tried_at,
            before.why,
        ):
            self._decide()
            self._wake.set()

    def why_closed(self, address: Address) -> str:
        """Why the sessions of an address had to end."""
        record, choice = self._records.get(address), self._standing.choice
        if self._over:
            return self._over
        if record is not None and record.state is State.DOWN:
            return record.why
        if record is not None and not has_role(record, self._database):
            return f"{record.role.value}, not {self._database.target_session_attrs.value}"
        if choice.target is None:
            return "it failed"
        return f"{choice.target.address} takes its place"

    def try_out(self, address: Address) -> bool:
        """Asks to be the session that tries an address on trial; false if another one does already."""
        record, now = self._records.get(address), trio.current_time()
        if record is None or now < record.tried_at + TRIAL_LIMIT:
            return False
        self._records[address] = replace(record, tried_at=now)
        self._decide()
        self._wake.set()
        return True

    async def _follow_targets(self) -> None:
        async for targets in self._refresher.targets.values():
            now = trio.current_time()
            kept = dict.fromkeys((*targets.addresses, *self._leaving()))
            self._records = {
                address: self._records.get(address) or Record(address, since=now) for address in kept
            }
            self._names = {address: name for address, name in self._names.items() if address in kept}
            self._names |= {address: each.name for each in targets.targets for address in each.addresses}
            self._due = {address: self._due.get(address, now) for address in self._records}
            self._checked_at = {a: at for a, at in self._checked_at.items() if a in self._records}
            if self._refresher.targets.version > self._adopted:
                self._check_anew(self.retired.intersection(targets.addresses))
                self.retired = self.retired.intersection(kept).difference(targets.addresses)
            self._lockouts.forget_all_but(kept.keys())
            self._news.forget_all_but(kept)
            self._decide()
            self._wake.set()

    def _check_anew(self, addresses: Set[Address]) -> None:
        """What is known of these was found out by other settings."""
        self._lockouts.forget(addresses)
        self._due |= dict.fromkeys(addresses & self._records.keys(), trio.current_time())

    def _leaving(self) -> list[Address]:
        """Addresses that are of interest even if the DNS does not name them."""
        choice = self._standing.choice
        serving = {address for target in choice.pool for address in target.addresses}
        return [
            address
            for address in choice.tenures
            if self._database.balance is None or address in serving or self._sessions(address)
        ]

    def _decide(self) -> None:
        before, now = self._standing, trio.current_time()
        targets = self._refresher.targets.value
        situation = Situation(self._database, targets, self._records, now, self.retired)
        self._standing = choose(before, situation)
        choice = self._standing.choice
        outage = self.outages.note(self._standing.lost_at, now)
        if choice != before.choice:
            self.choices.publish(choice)
            self._news.of_choice(choice, outage, balanced=self._database.balance is not None)
        if self._standing.lost_at is not None and before.lost_at is None:
            self._hurry(now)
        self._refresher.seek(urgent=wants_answer(self._standing, situation.targets))

    def _hurry(self, now: float) -> None:
        """The last usable address was lost: what was well until now may be of use in another role."""
        if not self._check.tells_role:
            return
        for address, record in self._records.items():
            if record.state is State.UP:
                next_check = max(now, self._checked_at.get(address, 0.0) + self._check.fast_interval)
                self._due[address] = min(self._due[address], next_check)

    async def _tend(self, nursery: trio.Nursery) -> None:
        """Starts checks when they are due, and lets time pass for roles and decisions."""
        while True:
            self._wake = trio.Event()
            now = trio.current_time()
            for record in self.records:
                self._tend_record(record, now, nursery)
            self._decide()
            with trio.move_on_at(self._next_due(now)):
                await self._wake.wait()

    def _tend_record(self, record: Record, now: float, nursery: trio.Nursery) -> None:
        address = record.address
        if self._is_unfit(record) and now >= self._role_due(record):
            self._records[address] = without_role(record)
            self._decide()
        if now < self._due[address] or address in self._checking:
            return
        if record.state is State.OPEN or not self._is_checked(address):
            self._retry(record, now)
        else:
            self._checking.add(address)
            nursery.start_soon(self._probe, address, name=f"{self._database.name}: check {address}")

    def _retry(self, record: Record, now: float) -> None:
        if record.usable:
            self._due[record.address] = now + self._check.interval
        else:
            self._due[record.address] = schedule.retry(record, now, self._check)
            self.observe(Evidence(record.address, Signal.RETRY_DUE, "to be tried by the next session"))

    def _is_checked(self, address: Address) -> bool:
        return not self._check.passive and not self._lockouts.blocks(address)

    def _is_unfit(self, record: Record) -> bool:
        """Of the wrong role, and no check will tell when that is over."""
        told = self._check.tells_role and not self._lockouts.denies(record.address)
        return not told and not has_role(record, self._database)

    def _role_due(self, record: Record) -> float:
        return schedule.role_due(record, self._standing.lost_at, self._check)

    def _next_due(self, now: float) -> float:
        times = [due for address, due in self._due.items() if address not in self._checking]
        times += [self._role_due(record) for record in self.records if self._is_unfit(record)]
        choice = self._standing.choice
        if not choice.settled:
            times.append(now + SETTLING_PERIOD)
        preferred = [record.since + PREFERENCE_DELAY for record in self.records if record.state is State.NEW]
        trials = [record.tried_at + TRIAL_LIMIT for record in self.records]
        times += [time for time in (*preferred, *trials) if time > now]
        return min(times, default=now + self._check.interval)

    async def _probe(self, address: Address) -> None:
        started, prober = trio.current_time(), self._prober_of(address)
        self._checked_at[address] = started
        try:
            denied = self._lockouts.denies(address)
            evidence = await prober.probe(address, self.name(address), denied=denied)
        except Blocked as blocked:
            self._lockouts.note_block(address, blocked)
            evidence = Evidence(address, Signal.FAILED, str(blocked))
        finally:
            self._checking.discard(address)
        now = trio.current_time()
        outdated = prober is not self._prober_of(address)
        if evidence is not None and not outdated:
            self._publish(ProbeEnded(self._database.name, address, evidence.signal.value, now - started))
            self._lockouts.note_check(evidence)
            self.observe(evidence)
        record = self._records.get(address)
        if record is not None and record.state is not State.OPEN:
            next_check = schedule.after_check(record, self._standing.lost_at, now, self._check)
            self._due[address] = now if outdated else next_check
        self._wake.set()

    def _prober_of(self, address: Address) -> Prober:
        return self._former if address in self.retired else self._prober
