"""The state table of an address."""

from __future__ import annotations

import pytest

from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.health.states import TRANSITIONS, USABLE, Record, State, after, without_role
from dbambassador.values import Address

ADDRESS = Address("10.0.0.1", 5432)


def record(state: State, role: Role = Role.UNKNOWN) -> Record:
    return Record(ADDRESS, since=1.0, state=state, role=role, why="before")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("signal", Signal)
def test_the_table_alone_moves_a_record(state: State, signal: Signal) -> None:
    moved = after(record(state), Evidence(ADDRESS, signal, "now"), 2.0)
    expected = TRANSITIONS.get((state, signal), state)
    assert moved.state is expected
    assert (moved.since, moved.why) == ((2.0, "now") if expected is not state else (1.0, "before"))


@pytest.mark.parametrize("state", State)
def test_every_state_is_left_by_an_answer_and_unusable_after_a_failed_check(state: State) -> None:
    assert after(record(state), Evidence(ADDRESS, Signal.ANSWERED, ""), 2.0).state is State.UP
    assert after(record(state), Evidence(ADDRESS, Signal.FAILED, ""), 2.0).state is State.DOWN


def test_one_silent_check_cuts_no_session_and_a_second_one_does() -> None:
    silent = Evidence(ADDRESS, Signal.SILENT, "no answer in 2 s")
    once = after(record(State.UP), silent, 2.0)
    assert once.state is State.NOT_READY
    assert after(once, silent, 4.0).state is State.DOWN


@pytest.mark.parametrize("state", State)
def test_one_sessions_trouble_stops_new_sessions_but_a_broken_one_alone_does_not(state: State) -> None:
    assert after(record(state), Evidence(ADDRESS, Signal.FALTERED, ""), 2.0).state not in USABLE
    broken = after(record(state), Evidence(ADDRESS, Signal.SESSION_BROKE, ""), 2.0).state
    assert (broken in USABLE) == (state in USABLE)


def test_a_server_that_failed_may_come_back_in_another_role() -> None:
    failed = after(record(State.UP, Role.STANDBY), Evidence(ADDRESS, Signal.FAILED, ""), 2.0)
    assert failed.role is Role.UNKNOWN


def test_a_role_is_kept_until_another_is_seen() -> None:
    standby = after(record(State.UP), Evidence(ADDRESS, Signal.ANSWERED, "", Role.STANDBY), 2.0)
    assert (standby.role, standby.role_seen_at) == (Role.STANDBY, 2.0)
    silent = after(standby, Evidence(ADDRESS, Signal.ANSWERED, ""), 3.0)
    assert silent.role is Role.STANDBY
    assert after(silent, Evidence(ADDRESS, Signal.ANSWERED, "", Role.PRIMARY), 4.0).role is Role.PRIMARY
    assert without_role(standby).role is Role.UNKNOWN
