from __future__ import annotations

from itertools import product

import pytest

from dbambassador.discovery.answers import Answer, Outcome, Question
from dbambassador.discovery.cache import Entry
from dbambassador.discovery.verdict import FAILURE_TTL, Heard, settle

NOW = 100.0
FAILURES = [outcome for outcome in Outcome if not outcome.definite]


def entry(kind: str, outcome: Outcome, asked_at: float = 99.0, expires_at: float = 120.0) -> Entry:
    return Entry(Answer(Question("orders", kind), outcome), asked_at, expires_at)


OLD_A = entry("A", Outcome.OK, 50.0, 80.0)
OLD_AAAA = entry("AAAA", Outcome.OK, 51.0, 81.0)


def test_records_of_both_families_are_used_until_the_first_expires() -> None:
    a, aaaa = entry("A", Outcome.OK, 99, 120), entry("AAAA", Outcome.OK, 98, 110)
    verdict = settle([Heard(a), Heard(aaaa)], NOW)
    assert verdict.usable == (a.answer, aaaa.answer)
    assert (verdict.asked_at, verdict.expires_at) == (98, 110)
    assert not verdict.stale
    assert verdict.failure is None


def test_no_data_of_one_family_does_not_shorten_the_other() -> None:
    a, aaaa = entry("A", Outcome.OK, 99, 120), entry("AAAA", Outcome.NODATA, 99, 101)
    verdict = settle([Heard(a), Heard(aaaa, OLD_AAAA)], NOW)
    assert verdict.usable == (a.answer,)
    assert verdict.expires_at == 120


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_failed_family_is_stood_in_for_and_the_set_is_stale(outcome: Outcome) -> None:
    a = entry("A", Outcome.OK, 99, 120)
    verdict = settle([Heard(a, a), Heard(entry("AAAA", outcome), OLD_AAAA)], NOW)
    assert verdict.usable == (a.answer, OLD_AAAA.answer)
    assert verdict.stale
    assert verdict.failure is not None
    assert verdict.asked_at == 99
    assert verdict.expires_at == NOW + FAILURE_TTL


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_failed_family_that_never_answered_leaves_the_other_good(outcome: Outcome) -> None:
    a = entry("A", Outcome.OK, 99, 120)
    verdict = settle([Heard(a), Heard(entry("AAAA", outcome))], NOW)
    assert verdict.usable == (a.answer,)
    assert not verdict.stale
    assert verdict.failure is None
    assert verdict.expires_at == 120


def test_a_late_family_is_stood_in_for_without_being_stale() -> None:
    a = entry("A", Outcome.OK, 99, 120)
    verdict = settle([Heard(a), Heard(None, OLD_AAAA)], NOW)
    assert verdict.usable == (a.answer, OLD_AAAA.answer)
    assert not verdict.stale
    assert (verdict.asked_at, verdict.expires_at) == (99, 120)


@pytest.mark.parametrize("outcome", FAILURES)
def test_dns_that_fails_gives_the_last_good_answer_with_its_age(outcome: Outcome) -> None:
    verdict = settle([Heard(entry("A", outcome), OLD_A), Heard(entry("AAAA", outcome))], NOW)
    assert verdict.usable == (OLD_A.answer,)
    assert verdict.stale
    assert verdict.failure is not None
    assert (verdict.asked_at, verdict.expires_at) == (50, NOW + FAILURE_TTL)


@pytest.mark.parametrize("other", [None, *Outcome])
def test_nothing_stands_in_beside_nxdomain(other: Outcome | None) -> None:
    aaaa = entry("AAAA", other) if other else None
    verdict = settle([Heard(entry("A", Outcome.NXDOMAIN), OLD_A), Heard(aaaa, OLD_AAAA)], NOW)
    assert verdict.usable == ((aaaa.answer,) if aaaa and other is Outcome.OK else ())
    assert not verdict.stale
    assert verdict.failure is None


def test_a_verdict_has_records_or_a_failure_or_definite_answers() -> None:
    states = [None, *Outcome]
    for first, second, old_a, old_aaaa in product(states, states, [None, OLD_A], [None, OLD_AAAA]):
        if first is None and second is None:
            continue
        heard = [
            Heard(entry("A", first) if first else None, old_a),
            Heard(entry("AAAA", second) if second else None, old_aaaa),
        ]
        verdict = settle(heard, NOW)
        if verdict.stale:
            assert verdict.usable
            assert verdict.failure
        if not verdict.usable and verdict.failure is None:
            assert any(outcome and outcome.definite for outcome in (first, second))
        assert verdict.expires_at > NOW
