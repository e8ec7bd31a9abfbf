from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.discovery.answers import Answer, Outcome, Question
from dbambassador.discovery.cache import MAX_ENTRIES, MAX_STALE, Cache, lifetime

QUESTION = Question("orders.db.test", "A")
GOOD = Answer(QUESTION, Outcome.OK, addresses=("10.0.0.7",), ttl=20)
GONE = Answer(QUESTION, Outcome.NXDOMAIN, ttl=5)

ttls = st.floats(0, 2**31, allow_nan=False)
times = st.floats(0, 1e6)


@given(ttls)
def test_positive_ttls_are_clamped(ttl: float) -> None:
    assert lifetime(replace(GOOD, ttl=ttl)) == min(max(ttl, 1), 30)


@given(ttls, st.sampled_from([Outcome.NXDOMAIN, Outcome.NODATA]))
def test_negative_ttls_are_clamped_tighter(ttl: float, outcome: Outcome) -> None:
    assert lifetime(replace(GONE, outcome=outcome, ttl=ttl)) == min(max(ttl, 1), 10)


@given(ttls, times, times)
def test_an_answer_is_fresh_for_its_time_and_may_stand_in_some_minutes_longer(
    ttl: float, now: float, later: float
) -> None:
    cache = Cache()
    answer = replace(GOOD, ttl=ttl)
    entry = cache.put(answer, now - 0.1, now)
    at = now + later
    assert (cache.fresh(QUESTION, at) == entry) == (at < now + lifetime(answer))
    assert (cache.last_good(QUESTION, at) == entry) == (at < now + lifetime(answer) + MAX_STALE)


def test_a_negative_answer_takes_the_place_of_a_good_one_for_good() -> None:
    for outcome in (Outcome.NXDOMAIN, Outcome.NODATA):
        cache = Cache()
        cache.put(GOOD, 0, 0)
        entry = cache.put(replace(GONE, outcome=outcome), 1, 1)
        assert cache.fresh(QUESTION, 2) == entry
        assert cache.last_good(QUESTION, 2) is None
        assert cache.fresh(QUESTION, 7) is None


def test_types_are_remembered_apart() -> None:
    cache = Cache()
    cache.put(GOOD, 0, 0)
    assert cache.fresh(Question("orders.db.test", "AAAA"), 1) is None


def test_it_forgets_what_has_been_without_news_longest() -> None:
    cache = Cache()
    for number in range(MAX_ENTRIES + 10):
        cache.put(replace(GOOD, question=Question(f"n{number}", "A")), 0, 0)
        cache.put(GOOD, 0, 0)
    assert len(cache) == MAX_ENTRIES
    assert cache.fresh(QUESTION, 1)
    assert cache.fresh(Question("n0", "A"), 1) is None
    assert cache.fresh(Question(f"n{MAX_ENTRIES + 9}", "A"), 1)
