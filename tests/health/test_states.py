"""The state table of an address, and what is counted before it is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.health.states import (
    FRESH,
    SILENT_FALL,
    STALLED_FALL,
    TRANSITIONS,
    TRIP_AFTER,
    USABLE,
    Cause,
    Record,
    State,
    after,
    is_news,
    without_role,
)
from dbambassador.settings.schema import Check
from dbambassador.values import Address

ADDRESS = Address("10.0.0.1", 5432)
CHECK, PASSIVE = Check(), Check(passive=True)


def record(state: State, role: Role = Role.UNKNOWN) -> Record:
    return Record(ADDRESS, since=1.0, state=state, role=role, why="before")


def see(before: Record, signal: Signal, now: float = 2.0, *, check: Check = CHECK, times: int = 1) -> Record:
    for _ in range(times):
        before = after(before, Evidence(ADDRESS, signal, "now"), now, check)
    return before


def test_every_state_can_be_left_and_reached() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert set(TRANSITIONS.values()) == set(State) - {State.NEW}
    assert all(TRANSITIONS[pair] is not pair[0] for pair in TRANSITIONS)


def test_every_cause_matters_somewhere() -> None:
    assert {cause for _, cause in TRANSITIONS} == set(Cause)


@pytest.mark.parametrize("state", State)
def test_a_change_of_state_has_a_time_and_a_reason_and_nothing_else_has(state: State) -> None:
    for signal in Signal:
        moved = see(record(state), signal)
        changed = moved.state is not state
        still = state in (State.DOWN, State.NOT_READY)
        failing = signal in (Signal.FAILED, Signal.SILENT, Signal.NOT_READY)
        latest = changed or (still and failing) or (state is State.UP and signal is Signal.ANSWERED)
        assert (moved.since, moved.why) == (2.0 if changed else 1.0, "now" if latest else "before")


@pytest.mark.parametrize("state", [State.NEW, State.SUSPECT, State.NOT_READY, State.DOWN])
def test_a_good_check_brings_an_address_in_doubt_up(state: State) -> None:
    assert see(record(state), Signal.ANSWERED).state is State.UP


@pytest.mark.parametrize("state", State)
def test_a_failed_check_ends_the_use_of_every_address(state: State) -> None:
    assert see(record(state), Signal.FAILED).state is State.DOWN


@pytest.mark.parametrize("state", State)
def test_an_unready_server_gets_no_sessions(state: State) -> None:
    assert see(record(state), Signal.NOT_READY).state not in USABLE


def test_one_silent_check_cuts_no_session_and_a_second_one_does() -> None:
    once = see(record(State.UP), Signal.SILENT)
    assert once.state is State.NOT_READY
    assert see(once, Signal.SILENT, times=SILENT_FALL - 1).state is State.DOWN


def test_a_stall_counts_as_the_first_silent_check_however_often_it_is_seen() -> None:
    stalled = see(record(State.UP), Signal.STALLED, times=5)
    assert stalled.state is State.SUSPECT
    assert see(stalled, Signal.ANSWERED).state is State.UP
    assert see(stalled, Signal.SILENT).state is State.DOWN


def test_without_checks_a_stall_that_lasts_is_a_failure() -> None:
    stalled = see(record(State.UP), Signal.STALLED, check=PASSIVE, times=STALLED_FALL - 1)
    assert stalled.state is State.SUSPECT
    assert see(stalled, Signal.STALLED, check=PASSIVE).state is State.DOWN
    served = see(stalled, Signal.SERVED, check=PASSIVE)
    assert see(served, Signal.STALLED, check=PASSIVE).state is State.SUSPECT


def test_stalls_hours_apart_are_three_and_not_one_that_lasts() -> None:
    known = record(State.UP)
    for hour in range(STALLED_FALL):
        known = see(known, Signal.STALLED, 3600.0 * hour, check=PASSIVE)
    assert known.state is State.SUSPECT


def test_a_burst_of_refused_dials_does_not_hide_a_dead_server_from_its_check() -> None:
    burst = see(record(State.UP), Signal.FALTERED, times=3 * TRIP_AFTER)
    assert burst.state is State.NOT_READY
    assert see(burst, Signal.FAILED).state is State.DOWN


def test_half_open_is_one_trial_whatever_fall_says() -> None:
    check = Check(passive=True, fall=3)
    assert see(record(State.HALF_OPEN), Signal.FALTERED, check=check).state is State.OPEN


def test_a_session_that_hides_its_servers_role_ends_the_doubt_about_it() -> None:
    standby = after(record(State.UP), Evidence(ADDRESS, Signal.SERVED, "", Role.STANDBY), 2.0, CHECK)
    outdated = without_role(standby)
    hidden = after(outdated, Evidence(ADDRESS, Signal.SERVED, "", role_hidden=True), 3.0, CHECK)
    assert not hidden.role_outdated


@pytest.mark.parametrize("state", [State.UP, State.SUSPECT])
def test_trouble_of_a_session_stops_new_ones_only_if_it_could_not_be_opened(state: State) -> None:
    assert see(record(state), Signal.FALTERED).state is State.NOT_READY
    for signal in (Signal.SESSION_BROKE, Signal.HESITATED, Signal.STALLED):
        assert see(record(state), signal).state is State.SUSPECT


def test_fall_counts_failed_checks_in_a_row() -> None:
    check = Check(fall=3)
    twice = see(record(State.UP), Signal.FAILED, check=check, times=2)
    assert twice.state is State.NOT_READY  # no new sessions, and none is cut
    assert see(twice, Signal.FAILED, check=check).state is State.DOWN
    again = see(see(twice, Signal.ANSWERED, check=check), Signal.FAILED, check=check, times=2)
    assert again.state is State.NOT_READY


def test_rise_counts_good_checks_in_a_row_after_a_failure() -> None:
    check = Check(rise=3)
    assert see(record(State.NEW), Signal.ANSWERED, check=check).state is State.UP
    twice = see(record(State.DOWN), Signal.ANSWERED, check=check, times=2)
    assert twice.state is State.NOT_READY
    assert see(twice, Signal.ANSWERED, check=check).state is State.UP
    broken = see(see(twice, Signal.FAILED, check=check), Signal.ANSWERED, check=check, times=2)
    assert broken.state is State.NOT_READY


def test_a_server_that_passes_checks_and_takes_no_session_is_left_alone_for_a_while() -> None:
    tripped = record(State.UP)
    for _ in range(TRIP_AFTER):
        assert tripped.state is State.UP
        tripped = see(tripped, Signal.FALTERED)
        if tripped.state is State.NOT_READY:
            tripped = see(tripped, Signal.ANSWERED)
    assert (tripped.state, tripped.trips) == (State.OPEN, 1)
    assert see(tripped, Signal.ANSWERED).state is State.OPEN
    trial = see(tripped, Signal.RETRY_DUE)
    assert trial.state is State.HALF_OPEN
    assert see(trial, Signal.ANSWERED).state is State.HALF_OPEN  # only a session tells
    failed = see(trial, Signal.FALTERED)
    assert (failed.state, failed.trips) == (State.OPEN, 2)
    served = see(trial, Signal.SERVED)
    assert (served.state, served.trips, served.unopened) == (State.UP, 0, 0)


@pytest.mark.parametrize("fall", [1, 3])
def test_without_checks_fall_sessions_in_a_row_open_the_circuit(fall: int) -> None:
    check = Check(passive=True, fall=fall)
    almost = see(record(State.UP), Signal.FALTERED, check=check, times=fall - 1)
    assert almost.state in USABLE
    assert see(almost, Signal.FALTERED, check=check).state is State.OPEN


def test_a_server_that_failed_may_come_back_in_another_role() -> None:
    assert see(record(State.UP, Role.STANDBY), Signal.FAILED).role is Role.UNKNOWN


def test_a_role_is_kept_until_another_is_seen() -> None:
    standby = after(record(State.UP), Evidence(ADDRESS, Signal.SERVED, "", Role.STANDBY), 2.0, CHECK)
    assert (standby.role, standby.role_seen_at) == (Role.STANDBY, 2.0)
    silent = see(standby, Signal.ANSWERED, 3.0)
    assert silent.role is Role.STANDBY
    promoted = after(silent, Evidence(ADDRESS, Signal.SERVED, "", Role.PRIMARY), 4.0, CHECK)
    assert (promoted.role, promoted.role_seen_at) == (Role.PRIMARY, 4.0)
    assert without_role(standby).role is Role.UNKNOWN
    assert without_role(standby).role_outdated


def test_a_trial_is_over_when_the_address_told_something() -> None:
    trying = replace(record(State.HALF_OPEN), tried_at=1.5)
    assert see(trying, Signal.SERVED).tried_at == 0.0
    assert see(trying, Signal.FALTERED).tried_at == 0.0
    asking = replace(record(State.UP), tried_at=1.5)
    assert see(asking, Signal.SERVED).tried_at == 1.5  # the role is told only after the login
    told = after(asking, Evidence(ADDRESS, Signal.SERVED, "", Role.STANDBY), 2.0, CHECK)
    assert told.tried_at == 0.0


checks = st.builds(Check, rise=st.integers(1, 4), fall=st.integers(1, 4), passive=st.booleans())


@given(checks, st.lists(st.sampled_from(Signal), max_size=40))
def test_laws(check: Check, story: list[Signal]) -> None:
    now, known = 1.0, record(State.NEW)
    for signal in story:
        now += 1.0
        before, known = known, see(known, signal, now, check=check)
        assert min(known.good, known.bad, known.unopened, known.trips) >= 0
        assert not (known.good and known.bad)
        assert known.since <= now
        # Only a failure ends sessions, and only an answer, or the word that a trial is due, begins them.
        if known.state is State.DOWN and before.state is not State.DOWN:
            assert signal in (Signal.FAILED, Signal.SILENT, Signal.STALLED)
        if known.usable and not before.usable:
            assert signal in (Signal.ANSWERED, Signal.SERVED, Signal.RETRY_DUE)


records = st.builds(
    Record,
    st.just(ADDRESS),
    since=st.just(1.0),
    state=st.sampled_from(State),
    role=st.sampled_from(Role),
    role_seen_at=st.sampled_from([0.0, 1.89, 1.95]),
    bad=st.integers(0, 1),
    unopened=st.integers(0, 1),
    trips=st.integers(0, 1),
    answered_at=st.sampled_from([0.0, 1.89, 1.95]),
    tried_at=st.sampled_from([0.0, 1.5]),
)
evidences = st.builds(
    Evidence, st.just(ADDRESS), st.sampled_from(Signal), st.just("now"), st.sampled_from(Role), st.booleans()
)


@given(records, evidences)
def test_what_is_no_news_changes_nothing_but_a_fresh_time(before: Record, evidence: Evidence) -> None:
    now = 2.0
    if not is_news(before, evidence, now):
        seen = after(before, evidence, now, CHECK)
        seen = replace(seen, answered_at=before.answered_at, role_seen_at=before.role_seen_at)
        assert seen == before
        assert now - before.answered_at < FRESH


def test_the_sessions_of_a_busy_address_are_no_news() -> None:
    busy = replace(record(State.UP, Role.PRIMARY), answered_at=1.95, role_seen_at=1.95)
    for role in (Role.UNKNOWN, Role.PRIMARY):
        assert not is_news(busy, Evidence(ADDRESS, Signal.SERVED, "now", role), 2.0)
        assert is_news(busy, Evidence(ADDRESS, Signal.SERVED, "now", role), 1.95 + FRESH)
    assert is_news(busy, Evidence(ADDRESS, Signal.SERVED, "now", Role.STANDBY), 2.0)
