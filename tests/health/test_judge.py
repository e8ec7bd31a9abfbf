"""The judge: when it checks, what it believes, and when it asks for new addresses; time is a mock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from dbambassador.discovery.refresher import Refresher
from dbambassador.events import (
    AddressChanged,
    CheckBlocked,
    CheckDenied,
    CheckRestored,
    ChoiceChanged,
    Event,
    RoleChanged,
)
from dbambassador.health.candidates import TRIAL_LIMIT
from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.health.judge import Judge
from dbambassador.health.news import REASON_PERIOD
from dbambassador.health.probes import Blocked, Prober
from dbambassador.health.schedule import DOUBT_INTERVAL, FAST_FOR, ROLE_RECHECK
from dbambassador.health.states import TRIP_AFTER, State
from dbambassador.latest import Latest
from dbambassador.settings.schema import (
    Balance,
    Check,
    Database,
    HostEndpoint,
    Login,
    Protocol,
    TargetSessionAttrs,
    TcpListen,
)
from dbambassador.values import Address, Target, Targets

PROTOCOL, PASSIVE = Check(), Check(passive=True)
LOGIN = Check(login=Login("probe"))
INTERVAL = PROTOCOL.interval
A, B = Address("10.0.0.1", 5432), Address("10.0.0.2", 5432)


class Discovery:
    """Stands in for the refresher: the test publishes, and sees how urgently it was asked to."""

    def __init__(self) -> None:
        self.targets: Latest[Targets] = Latest(Targets())
        self.urgent: bool | None = None

    def seek(self, urgent: bool) -> None:
        self.urgent = urgent

    def find(self, *addresses: Address) -> None:
        targets = tuple(Target(address, "db.test") for address in addresses)
        self.targets.publish(Targets(targets, asked_at=trio.current_time()))


class Scene:
    """A judge, with checks that answer as the test says."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.discovery = Discovery()
        self.events: list[Event] = []
        self.checks: list[tuple[float, Address]] = []
        self.answers: dict[Address, Signal | Blocked] = {}
        self.roles: dict[Address, Role] = {}
        self.denied: set[Address] = set()
        self.slow: dict[Address, float] = {}
        cast(MockClock, trio.lowlevel.current_clock()).jump(1000)  # zero would pass for "never"
        self.start = trio.current_time()
        self.sessions: dict[Address, int] = {}
        self.judge = Judge(
            database,
            cast(Refresher, self.discovery),
            cast(Prober, self),
            lambda address: self.sessions.get(address, 0),
            self.events.append,
        )

    async def probe(self, address: Address, name: str, *, denied: bool) -> Evidence | None:
        assert name == "db.test"
        self.checks.append((trio.current_time() - self.start, address))
        await trio.sleep(self.slow.get(address, 0.001))
        answer = self.answers.get(address, Signal.ANSWERED)
        if isinstance(answer, Blocked):
            raise answer
        role = self.roles.get(address, Role.UNKNOWN)
        return Evidence(address, answer, answer.value, role, denied=address in self.denied)

    def times(self, address: Address = A) -> list[float]:
        return [time for time, checked in self.checks if checked == address]

    def see(self, signal: Signal, address: Address = A, role: Role = Role.UNKNOWN) -> None:
        self.judge.observe(Evidence(address, signal, "seen", role))

    @property
    def chosen(self) -> Address | None:
        target = self.judge.choices.value.target
        return target.address if target else None


def database(check: Check = PROTOCOL, hold: float = 5.0) -> Database:
    return Database(
        name="orders",
        protocol=Protocol.POSTGRESQL,
        listen=(TcpListen("127.0.0.1", 5432),),
        endpoints=(HostEndpoint("db.test", 5432),),
        target_session_attrs=TargetSessionAttrs.READ_WRITE,
        hold=hold,
        check=check,
    )


@asynccontextmanager
async def judging(scene: Scene) -> AsyncIterator[Scene]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.judge.run)
        await wait_all_tasks_blocked()
        yield scene
        nursery.cancel_scope.cancel()


async def test_a_healthy_address_is_checked_before_use_and_then_rarely(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        assert scene.chosen is None
        await trio.sleep(10 * INTERVAL)
        assert scene.chosen == A
        assert scene.times()[0] == pytest.approx(0, abs=0.01)
        pauses = [after - before for before, after in pairwise(scene.times())]
        assert len(pauses) >= 8
        assert all(0.8 * INTERVAL <= pause <= 1.21 * INTERVAL for pause in pauses)
        assert max(pauses) - min(pauses) > 0.1  # spread out


async def test_a_down_address_is_checked_fast_for_five_seconds_and_then_each_second(
    autojump_clock: MockClock,
) -> None:
    scene = Scene(database())
    scene.answers[A] = Signal.FAILED
    async with judging(scene):
        scene.discovery.find(A)
        await trio.sleep(20)
        times = scene.times()
        pauses = [after - before for before, after in pairwise(times)]
        fast = [pause for start, pause in zip(times, pauses, strict=False) if start < 4.9]
        slow = [pause for start, pause in zip(times, pauses, strict=False) if start > 5.2]
        assert len(fast) >= 22
        assert all(pause == pytest.approx(0.2, abs=0.01) for pause in fast)
        assert len(slow) >= 13
        assert all(pause == pytest.approx(1.0, abs=0.01) for pause in slow)
        scene.answers[A] = Signal.ANSWERED
        await trio.sleep(1.1)
        assert scene.chosen == A


async def test_why_an_address_is_of_no_use_stays_fresh_and_is_told_again_after_a_while(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database(hold=0.0))) as scene:
        scene.answers[A] = Signal.FAILED
        scene.discovery.find(A)
        await trio.sleep(REASON_PERIOD / 2)

        def told() -> list[tuple[str, str]]:
            return [(event.now, event.why) for event in scene.events if isinstance(event, AddressChanged)]

        assert told()[-1] == ("down", "failed")
        scene.answers[A] = Signal.SILENT
        await trio.sleep(2)
        assert "silent" in scene.judge.choices.value.why
        assert told()[-1] == ("down", "failed")
        await trio.sleep(REASON_PERIOD)
        assert told()[-1] == ("down", "silent")
        before = len(told())
        for number in range(30):
            scene.answers[A] = (Signal.FAILED, Signal.SILENT)[number % 2]
            await trio.sleep(1)
        assert len(told()) - before <= 30 / REASON_PERIOD


async def test_sessions_that_break_cause_one_check_a_second_at_most(autojump_clock: MockClock) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(5)
        checked = len(scene.times())
        for _ in range(500):
            scene.see(Signal.SESSION_BROKE)
            assert scene.chosen == A  # one session's end takes nothing from the others
            await trio.sleep(0.01)
        assert 4 <= len(scene.times()) - checked <= 5 / DOUBT_INTERVAL + 1


async def test_a_session_that_could_not_be_opened_stops_new_ones_until_a_check_at_once(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(5)
        epoch = scene.judge.choices.value.epoch
        scene.see(Signal.FALTERED)
        assert scene.chosen is None
        assert scene.judge.choices.value.epoch == epoch  # its sessions go on
        await trio.sleep(0.05)
        assert len(scene.times()) == 2
        assert scene.chosen == A


async def test_new_addresses_are_sought_urgently_only_while_none_is_usable(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        assert scene.discovery.urgent
        scene.discovery.find(A)
        await trio.sleep(1)
        assert scene.discovery.urgent is False
        scene.answers[A] = Signal.FAILED
        scene.see(Signal.FALTERED)
        assert scene.discovery.urgent
        await trio.sleep(1)
        assert scene.discovery.urgent
        scene.discovery.find(B)
        await trio.sleep(1)
        assert scene.chosen == B
        assert scene.discovery.urgent is False


async def test_a_server_that_locked_this_host_out_is_left_alone(autojump_clock: MockClock) -> None:
    scene = Scene(database())
    scene.answers[A] = Blocked("Host is blocked")
    async with judging(scene):
        scene.discovery.find(A, B)
        await trio.sleep(10 * INTERVAL)
        assert len(scene.times(A)) == 1
        assert len(scene.times(B)) > 5
        assert scene.chosen == B
        blocked = [event for event in scene.events if isinstance(event, CheckBlocked)]
        assert [event.message for event in blocked] == ["Host is blocked"]


async def test_without_checks_the_next_session_tries(autojump_clock: MockClock) -> None:
    async with judging(Scene(database(PASSIVE))) as scene:
        scene.discovery.find(A)
        await trio.sleep(2)
        assert [record.state for record in scene.judge.records] == [State.HALF_OPEN]
        assert scene.judge.choices.value.on_trial
        scene.see(Signal.SERVED)
        assert [record.state for record in scene.judge.records] == [State.UP]
        assert not scene.judge.choices.value.on_trial
        await trio.sleep(10 * INTERVAL)
        assert scene.chosen == A
        assert scene.checks == []


async def test_one_session_tries_and_the_others_wait_for_what_it_says(autojump_clock: MockClock) -> None:
    async with judging(Scene(database(PASSIVE))) as scene:
        scene.discovery.find(A)
        await trio.sleep(2)
        assert scene.judge.try_out(A)
        assert scene.chosen is None
        assert not scene.judge.try_out(A)
        scene.see(Signal.SERVED)
        assert scene.chosen == A
        scene.see(Signal.FALTERED)
        await trio.sleep(2)
        assert scene.judge.try_out(A)  # and tells nothing: its client asks a person for the password
        await trio.sleep(TRIAL_LIMIT - 0.01)
        assert scene.chosen is None
        await trio.sleep(0.02)
        assert scene.chosen == A
        assert scene.judge.try_out(A)


async def test_failed_trials_come_less_and_less_often_and_do_not_lengthen_the_hold(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database(PASSIVE))) as scene:
        scene.discovery.find(A)
        await trio.sleep(2)
        scene.see(Signal.SERVED)
        lost = trio.current_time()
        scene.see(Signal.FALTERED)
        waits = []
        for _ in range(6):
            began = trio.current_time()
            while scene.chosen is None:
                await scene.judge.choices.newer(scene.judge.choices.version)
            waits.append(trio.current_time() - began)
            assert scene.judge.choices.value.on_trial
            scene.see(Signal.FALTERED)
            assert scene.chosen is None
            assert scene.judge.choices.value.held_until == lost + scene.database.hold
        expected = [1, 2, 4, 8, 8, 8]
        assert all(0.79 * each <= wait <= 1.21 * each for each, wait in zip(expected, waits, strict=True))
        await trio.sleep(10)
        scene.see(Signal.SERVED)
        again = trio.current_time()
        scene.see(Signal.FALTERED)
        assert scene.judge.choices.value.held_until == again + scene.database.hold
        await trio.sleep(1.3)
        assert scene.chosen == A  # the first wait is short again


async def test_a_server_that_passes_checks_and_drops_sessions_gets_one_trial_at_a_time(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(1)
        for _ in range(TRIP_AFTER):
            assert scene.chosen == A
            scene.see(Signal.FALTERED)
            await trio.sleep(0.1)
        assert [record.state for record in scene.judge.records] == [State.OPEN]
        checked = len(scene.times())
        await trio.sleep(0.6)
        assert len(scene.times()) == checked
        await trio.sleep(0.6)
        assert scene.judge.choices.value.on_trial
        scene.see(Signal.SERVED)
        assert [record.state for record in scene.judge.records] == [State.UP]


async def test_a_standby_is_tried_again_after_a_while_within_one_hold(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(1)
        lost = trio.current_time()
        scene.see(Signal.SERVED, role=Role.STANDBY)
        for _ in range(30):
            assert scene.chosen is None
            assert scene.judge.choices.value.held_until == lost + scene.database.hold
            pause = ROLE_RECHECK if trio.current_time() < lost + FAST_FOR else 1.0
            await trio.sleep(pause - 0.01)
            assert scene.chosen is None
            await trio.sleep(0.02)
            assert scene.chosen == A
            assert scene.judge.choices.value.on_trial
            assert scene.judge.try_out(A)
            scene.see(Signal.SERVED, role=Role.STANDBY)
        await trio.sleep(1.01)
        scene.see(Signal.SERVED, role=Role.PRIMARY)
        assert scene.chosen == A
        assert not scene.judge.choices.value.on_trial


async def test_trials_that_fail_fill_no_log(autojump_clock: MockClock) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(1)
        scene.see(Signal.SERVED, role=Role.STANDBY)
        told = len([event for event in scene.events if isinstance(event, ChoiceChanged)])
        for _ in range(20):
            await trio.sleep(1.1)
            assert scene.judge.try_out(A)
            scene.see(Signal.SERVED, role=Role.STANDBY)
        later = [event for event in scene.events if isinstance(event, ChoiceChanged)][told:]
        assert len(later) <= 1  # that clients are told so from now on


async def test_checks_that_tell_the_role_find_the_promoted_standby_by_themselves(
    autojump_clock: MockClock,
) -> None:
    scene = Scene(database(LOGIN))
    scene.roles = {A: Role.PRIMARY, B: Role.STANDBY}
    async with judging(scene):
        scene.discovery.find(B, A)
        await trio.sleep(40)
        assert scene.chosen == A
        calm = len(scene.times(B))
        assert calm <= 3
        scene.answers[A] = Signal.FAILED
        scene.see(Signal.SESSION_BROKE)
        await trio.sleep(2)
        assert scene.chosen is None
        assert not scene.judge.choices.value.on_trial  # no session is needed to tell
        assert len(scene.times(B)) > calm + 5
        scene.roles[B] = Role.PRIMARY
        await trio.sleep(0.21)
        assert scene.chosen == B


async def test_refused_credentials_are_shouted_once_and_sessions_tell_the_role_instead(
    autojump_clock: MockClock,
) -> None:
    scene = Scene(database(LOGIN))
    scene.denied = {A}
    async with judging(scene):
        scene.discovery.find(A)
        await trio.sleep(10 * INTERVAL)
        denials = [event for event in scene.events if isinstance(event, CheckDenied)]
        assert [event.address for event in denials] == [A]
        assert scene.chosen == A
        scene.see(Signal.SERVED, role=Role.STANDBY)
        assert scene.chosen is None
        await trio.sleep(ROLE_RECHECK + 0.01)
        assert scene.judge.choices.value.on_trial
        scene.denied = set()
        await trio.sleep(2 * INTERVAL)
        assert [event for event in scene.events if isinstance(event, CheckRestored)]
        scene.see(Signal.SERVED, role=Role.PRIMARY)
        changes = [event for event in scene.events if isinstance(event, RoleChanged)]
        assert [(event.before, event.now) for event in changes] == [("standby", "primary")]


async def test_a_stalled_address_is_checked_at_once_and_one_silent_check_ends_its_sessions(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(5)
        scene.answers[A] = Signal.SILENT
        scene.slow[A] = 1.2
        epoch = scene.judge.choices.value.epoch
        scene.see(Signal.STALLED)
        assert scene.chosen == A
        await trio.sleep(1.21)
        assert scene.chosen is None
        assert scene.judge.choices.value.epoch == epoch + 1
        assert scene.judge.choices.value.tenures == {}


async def test_one_sessions_word_moves_nobody_before_the_check_that_follows(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A, B)
        await trio.sleep(1)
        before = scene.judge.choices.value.tenures
        scene.see(Signal.FALTERED)
        assert (scene.chosen, scene.judge.choices.value.tenures) == (None, before)
        await trio.sleep(0.01)
        assert (scene.chosen, scene.judge.choices.value.tenures) == (A, before)
        scene.answers[A] = Signal.FAILED
        scene.see(Signal.FALTERED)
        await trio.sleep(0.01)
        assert scene.chosen == B


async def test_the_first_clients_of_an_unchecked_database_wait_for_the_one_that_tries(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database(PASSIVE))) as scene:
        scene.discovery.find(A)
        await trio.sleep(60)
        assert scene.judge.try_out(A)
        assert scene.judge.choices.value.held_until > trio.current_time()
        await trio.sleep(TRIAL_LIMIT + 0.01)
        assert scene.chosen == A


async def test_a_member_of_a_pool_whose_trial_told_nothing_is_tried_again(autojump_clock: MockClock) -> None:
    readers = replace(
        database(PASSIVE), target_session_attrs=TargetSessionAttrs.ANY, balance=Balance.ROUND_ROBIN
    )
    async with judging(Scene(readers)) as scene:
        scene.discovery.find(A, B)
        await trio.sleep(1)
        for address in (A, B):
            assert scene.judge.try_out(address)
            scene.see(Signal.SERVED, address)
        scene.see(Signal.FALTERED, B)
        await trio.sleep(2)
        assert scene.judge.try_out(B)
        assert len(scene.judge.choices.value.pool) == 1
        await trio.sleep(TRIAL_LIMIT + 0.01)
        assert len(scene.judge.choices.value.pool) == 2


async def test_sessions_at_an_open_circuit_end_when_their_host_dies(autojump_clock: MockClock) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(1)
        for _ in range(TRIP_AFTER):
            scene.see(Signal.FALTERED)
            await trio.sleep(0.1)
        assert [record.state for record in scene.judge.records] == [State.OPEN]
        scene.answers[A] = Signal.SILENT
        await trio.sleep(5)
        assert scene.judge.choices.value.tenures == {}


async def test_the_knobs_set_the_pace(autojump_clock: MockClock) -> None:
    scene = Scene(database(Check(interval=4.0, fast_interval=0.5, down_interval=2.0, rise=2, fall=3)))
    async with judging(scene):
        scene.discovery.find(A)
        await trio.sleep(20)
        calm = [after - before for before, after in pairwise(scene.times())]
        assert all(3.2 <= pause <= 4.81 for pause in calm)
        scene.answers[A] = Signal.FAILED
        began = len(scene.times())
        scene.see(Signal.SESSION_BROKE)
        while scene.judge.choices.value.tenures:
            await scene.judge.choices.newer(scene.judge.choices.version)
        assert len(scene.times()) - began == 3
        await trio.sleep(20)
        fast = [after - before for before, after in pairwise(scene.times()[began:])]
        assert fast[0] == pytest.approx(0.5, abs=0.01)
        assert fast[-1] == pytest.approx(2.0, abs=0.01)
        scene.answers[A] = Signal.ANSWERED
        good = len(scene.times())
        while scene.chosen is None:
            await scene.judge.choices.newer(scene.judge.choices.version)
        assert len(scene.times()) - good == 2


async def test_a_dropped_reader_is_watched_while_it_has_sessions_and_then_forgotten(
    autojump_clock: MockClock,
) -> None:
    readers = replace(database(), target_session_attrs=TargetSessionAttrs.ANY, balance=Balance.ROUND_ROBIN)
    async with judging(Scene(readers)) as scene:
        scene.discovery.find(A, B)
        await trio.sleep(1)
        scene.sessions[A] = 1
        scene.discovery.find(B)
        await trio.sleep(2 * INTERVAL)
        assert {record.address for record in scene.judge.records} == {A, B}
        assert scene.judge.choices.value.tenures.keys() == {A, B}
        scene.answers[A] = Signal.FAILED
        scene.see(Signal.SESSION_BROKE)
        await trio.sleep(DOUBT_INTERVAL + 0.1)
        assert scene.judge.choices.value.tenures.keys() == {B}
        scene.sessions[A] = 0
        scene.discovery.find(B)
        await trio.sleep(0.1)
        assert {record.address for record in scene.judge.records} == {B}


async def test_a_slow_first_check_of_a_preferred_address_delays_a_little_even_late_in_an_outage(
    autojump_clock: MockClock,
) -> None:
    scene = Scene(database())
    scene.slow[A] = 2.0
    async with judging(scene):
        await trio.sleep(60)
        found = trio.current_time()
        scene.discovery.find(A, B)
        while scene.chosen is None:
            await scene.judge.choices.newer(scene.judge.choices.version)
        assert scene.chosen == B
        assert trio.current_time() - found <= 0.3


async def test_evidence_on_an_address_that_has_left_is_dropped(autojump_clock: MockClock) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(1)
        scene.see(Signal.FAILED, B)
        assert [record.address for record in scene.judge.records] == [A]
        assert scene.chosen == A


async def test_an_idle_judge_sleeps(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    """However it stands: up, down, or on trial."""
    for check, answer in (
        (PROTOCOL, Signal.ANSWERED),
        (PROTOCOL, Signal.FAILED),
        (PASSIVE, None),
    ):
        scene = Scene(database(check))
        if answer is not None:
            scene.answers[A] = answer
        async with judging(scene):
            scene.discovery.find(A)
            await trio.sleep(10)
            turns = 0
            tend = scene.judge._next_due

            def counted(now: float, tend=tend) -> float:  # type: ignore[no-untyped-def]
                nonlocal turns
                turns += 1
                due: float = tend(now)
                return due

            monkeypatch.setattr(scene.judge, "_next_due", counted)
            await trio.sleep(100)
            assert turns <= 320  # a check each second, each with its beginning, evidence and end


async def test_another_way_of_checking_is_tried_at_once_and_what_is_known_stays(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(5)
        version, checks = scene.judge.choices.version, len(scene.checks)
        other = Other(scene)
        scene.judge.adopt(replace(database(), check=LOGIN), cast(Prober, other))
        assert scene.chosen == A
        assert scene.judge.choices.version > version
        await trio.sleep(0.1)
        assert (len(scene.checks), other.checked) == (checks, [A])


class Other:
    """Checks by other settings."""

    def __init__(self, scene: Scene) -> None:
        self.checked: list[Address] = []
        self._scene = scene

    async def probe(self, address: Address, name: str, *, denied: bool) -> Evidence | None:
        self.checked.append(address)
        await trio.lowlevel.checkpoint()
        return Evidence(address, Signal.ANSWERED, "answered", Role.PRIMARY)


async def test_a_check_by_former_settings_is_not_believed(autojump_clock: MockClock) -> None:
    async with judging(Scene(database())) as scene:
        scene.slow[A], scene.answers[A] = 1.0, Signal.FAILED
        scene.discovery.find(A)
        await trio.sleep(0.5)
        other = Other(scene)
        scene.judge.adopt(replace(database(), check=LOGIN), cast(Prober, other))
        await trio.sleep(1)
        assert scene.chosen == A
        assert other.checked == [A]
        assert [record.state for record in scene.judge.records] == [State.UP]


async def test_where_only_former_endpoints_lead_is_checked_as_before(autojump_clock: MockClock) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(5)
        checks, other = len(scene.checks), Other(scene)
        now = replace(database(), endpoints=(HostEndpoint("other.test", 5432),), check=LOGIN)
        assert scene.judge.adopt(now, cast(Prober, other))
        assert scene.judge.retired == {A}
        await trio.sleep(2 * INTERVAL)
        assert len(scene.checks) > checks
        assert other.checked == []
        scene.discovery.targets.publish(Targets((Target(B, "other.test"),), asked_at=trio.current_time()))
        await trio.sleep(1)
        assert scene.chosen == A  # one answer is no certainty
        assert scene.discovery.urgent
        scene.discovery.targets.publish(Targets((Target(B, "other.test"),), asked_at=trio.current_time()))
        await trio.sleep(1)
        assert scene.chosen == B
        assert set(other.checked) == {B}


async def test_a_former_address_is_checked_by_the_new_settings_once_it_is_one_of_theirs(
    autojump_clock: MockClock,
) -> None:
    async with judging(Scene(database())) as scene:
        scene.discovery.find(A)
        await trio.sleep(5)
        alias = replace(database(), endpoints=(HostEndpoint("alias.test", 5432),), check=LOGIN)
        other, again = Other(scene), Other(scene)
        scene.judge.adopt(alias, cast(Prober, other))
        scene.discovery.targets.publish(Targets((Target(A, "alias.test"),), asked_at=trio.current_time()))
        await trio.sleep(0.1)
        assert other.checked == [A]
        scene.judge.adopt(replace(alias, endpoints=(HostEndpoint("c.test", 5432),)), cast(Prober, again))
        assert scene.judge.retired == {A}
        scene.judge.adopt(alias, cast(Prober, again))
        await trio.sleep(0.1)
        assert again.checked == [A]
        assert scene.chosen == A


async def test_a_shorter_hold_counts_from_the_loss(autojump_clock: MockClock) -> None:
    async with judging(Scene(database(hold=60))) as scene:
        scene.answers[A] = Signal.FAILED
        scene.discovery.find(A)
        await trio.sleep(5)
        assert not scene.judge.adopt(database(hold=2), cast(Prober, scene))
        assert scene.judge.choices.value.held_until < trio.current_time()


async def test_a_pool_that_is_one_no_longer_keeps_its_busiest_host(autojump_clock: MockClock) -> None:
    pool = replace(database(), balance=Balance.ROUND_ROBIN, target_session_attrs=TargetSessionAttrs.ANY)
    async with judging(Scene(pool)) as scene:
        scene.discovery.find(A, B)
        await trio.sleep(1)
        before = scene.judge.choices.value
        scene.sessions[B] = 5
        scene.judge.adopt(replace(pool, balance=None), cast(Prober, scene))
        now = scene.judge.choices.value
        assert scene.chosen == B
        assert now.tenures == {B: before.tenures[B]}
        assert now.epoch > before.epoch


async def test_nothing_brings_a_database_back_that_is_over(autojump_clock: MockClock) -> None:
    scene = Scene(database())
    async with judging(scene):
        scene.discovery.find(A)
        await trio.sleep(1)
    epoch = scene.judge.choices.value.epoch
    scene.judge.retire("it is gone")
    scene.see(Signal.SERVED)
    assert not scene.judge.try_out(A)
    choice = scene.judge.choices.value
    assert (choice.pool, choice.tenures, choice.settled, choice.why) == ((), {}, True, "it is gone")
    assert choice.epoch == epoch + 1
    assert scene.judge.why_closed(A) == "it is gone"
