from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.reflection.findings import (
    MAX_VALUES,
    Findings,
    absent,
    found,
    found_several,
    unknown,
)
from dbambassador.reflection.merging import enriched, merged
from dbambassador.values import Confidence, Fact, State

HINT, STRONG, EXPLICIT = Confidence.HINT, Confidence.STRONG, Confidence.EXPLICIT


def one(*claims: Fact, families: tuple[Fact, ...] = ()) -> Fact:
    return merged(Findings(claims, families)).get("x")


def test_explicit_overrules_strong_overrules_hint() -> None:
    hint, strong, explicit = (
        found("x", "a", HINT, "A"),
        found("x", "b", STRONG, "B"),
        found("x", "c", EXPLICIT, "C"),
    )
    assert one(hint, strong).value == "b"
    assert one(hint, explicit, strong).value == "c"
    assert one(hint).confidence is HINT


def test_two_strong_sources_that_disagree_make_it_unknown_and_name_both() -> None:
    fact = one(found("x", "shop", STRONG, "the file"), found("x", "shop-prod", STRONG, "POD_NAMESPACE"))
    assert fact.unknown
    assert fact.reason == "sources disagree: the file says shop, but POD_NAMESPACE says shop-prod"
    assert not fact.retryable


def test_a_disagreement_below_the_highest_confidence_does_not_matter() -> None:
    claims = (found("x", "a", STRONG, "A"), found("x", "b", STRONG, "B"), found("x", "c", EXPLICIT, "--fact"))
    assert one(*claims).value == "c"


def test_sources_that_agree_are_all_named() -> None:
    assert one(found("x", "a", STRONG, "A"), found("x", "a", STRONG, "B")).source == "A, B"


def test_present_against_absent_is_a_disagreement_too() -> None:
    fact = one(found("x", "a", STRONG, "A"), absent("x", "B"))
    assert fact.unknown
    assert fact.reason == "sources disagree: A says a, but B says there is none"


def test_unknown_gives_way_and_otherwise_gives_every_reason() -> None:
    assert one(unknown("x", "no A"), found("x", "b", HINT, "B")).value == "b"
    fact = one(unknown("x", "no A"), unknown("x", "no B", retryable=True), unknown("x", "no A"))
    assert (fact.reason, fact.retryable) == ("no A; no B", True)


def test_a_hint_does_not_stand_against_a_source_that_saw_the_whole_family() -> None:
    family = Fact("x", State.ABSENT, source="labels file")
    assert one(found("x", "a", HINT, "H"), families=(family,)).state is State.ABSENT
    assert one(found("x", "a", EXPLICIT, "E"), families=(family,)).value == "a"
    assert one(found("x", "a", HINT, "H"), families=(unknown("x", "not looked"),)).value == "a"


def test_later_knowledge_replaces_unknown_and_competes_with_what_is_known() -> None:
    facts = merged(
        Findings(
            (unknown("region", "ask"), found("zone", "hinted", HINT, "H"), found("name", "n", EXPLICIT, "E")),
            (unknown("label.", "ask"),),
        )
    )
    later = Findings(
        (
            found("region", "eu", STRONG, "API"),
            found("zone", "z", STRONG, "API"),
            found("name", "m", STRONG, "API"),
        ),
        (Fact("label.", State.ABSENT, source="API"),),
    )
    after = enriched(facts, later)
    assert [after.get(name).value for name in ("region", "zone", "name")] == ["eu", "z", "n"]
    assert after.get("label.x").state is State.ABSENT
    assert after.get("label.x").source == "API"


def test_a_later_failure_does_not_take_away_what_is_known() -> None:
    facts = merged(Findings((found("region", "eu", HINT, "H"),)))
    after = enriched(facts, Findings((unknown("region", "timeout", retryable=True),)))
    assert after.get("region").value == "eu"


def claim(state: State, value: str, confidence: Confidence, source: str) -> Fact:
    return Fact("x", state, value if state is State.PRESENT else "", confidence, source, "why")


claims = st.lists(
    st.builds(
        claim,
        st.sampled_from(State),
        st.sampled_from(["a", "b"]),
        st.sampled_from(Confidence),
        st.sampled_from(["A", "B", "C"]),
    ),
    min_size=1,
)


@given(claims)
def test_a_present_fact_is_what_every_claim_of_the_highest_confidence_says(made: list[Fact]) -> None:
    fact = merged(Findings(tuple(made))).get("x")
    heard = [claim for claim in made if not claim.unknown]
    top = [claim for claim in heard if claim.confidence is max(c.confidence for c in heard)]
    said = {claim.value if claim.present else None for claim in top}
    if len(said) == 1:
        assert (fact.value or None) == said.pop()
        assert not fact.unknown
    else:
        assert fact.unknown
        assert fact.reason


@given(claims, st.randoms(use_true_random=False))
def test_the_order_of_the_sources_does_not_matter(made: list[Fact], random: object) -> None:
    shuffled = list(made)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one_way, other_way = (merged(Findings(tuple(each))).get("x") for each in (made, shuffled))
    assert (one_way.state, one_way.value) == (other_way.state, other_way.value)


def test_sets_are_compared_whole() -> None:
    both = found_several("a", ["x", "y"], Confidence.STRONG, "one")
    assert merged(Findings((both, found_several("a", ["y", "x"], Confidence.STRONG, "two")))).get(
        "a"
    ).values == ("x", "y")
    fact = merged(Findings((both, found("a", "x", Confidence.STRONG, "two")))).get("a")
    assert fact.unknown
    assert fact.reason == "sources disagree: one says x, y, but two says x"
    assert merged(Findings((both, found("a", "z", Confidence.EXPLICIT, "two")))).get("a").values == ("z",)


def test_a_set_that_is_too_large_or_unfit_is_unknown() -> None:
    assert found_several("a", ["x", "\x1b"], Confidence.STRONG, "s").unknown
    many = found_several("a", [str(number) for number in range(MAX_VALUES + 1)], Confidence.STRONG, "s")
    assert many.reason == f"s: {MAX_VALUES + 1} values, at most {MAX_VALUES} are accepted"


def test_strong_sources_that_disagree_are_not_reconciled_by_what_is_learned_later() -> None:
    facts = merged(Findings((found("x", "a", STRONG, "A"), found("x", "b", STRONG, "B"))))
    for later in (found("x", "a", HINT, "a label"), found("x", "a", STRONG, "the API")):
        fact = enriched(facts, Findings((later,))).get("x")
        assert fact.unknown
        assert fact.reason == "sources disagree: A says a, but B says b"


def test_hints_that_disagree_give_way_to_proof() -> None:
    facts = merged(Findings((found("x", "a", HINT, "A"), found("x", "b", HINT, "B"))))
    assert enriched(facts, Findings((unknown("x", "no answer"),))).get("x").unknown
    assert enriched(facts, Findings((found("x", "a", STRONG, "the API"),))).get("x").value == "a"
