"""Selection by example: what each rule means, and the words it is told in."""

from __future__ import annotations

import time

import pytest

from dbambassador.profiles.selection import Verdict, select
from dbambassador.settings.schema import Kind
from dbambassador.values import Confidence, Fact, Facts, State
from tests.profiles.making import catalogue, facts, hint, production, profile, unknown

DEVELOPMENT = profile("development", "namespace=dev", kind=Kind.DEVELOPMENT)
STAGING = profile("staging", "namespace=stage")
PRODUCTION = production("production", "namespace=shop", "ca=9f2c")
SHOP = catalogue(DEVELOPMENT, STAGING, PRODUCTION)


def test_the_one_that_matches_is_chosen() -> None:
    selection = select(SHOP, facts(namespace="dev"))

    assert selection.verdict is Verdict.CHOSEN
    assert selection.profile is DEVELOPMENT
    assert selection.undecided == ()
    assert {reason.environment: reason.status for reason in selection.reasons} == {
        "development": "chosen",
        "staging": "ruled-out",
        "production": "ruled-out",
    }


def test_a_reason_names_the_first_requirement_that_failed_and_what_was_found() -> None:
    reasons = {
        reason.environment: reason for reason in select(SHOP, facts(namespace="shop", ca="77")).reasons
    }

    assert (reasons["production"].requirement, reasons["production"].found) == ("ca = 9f2c", "77")
    assert (reasons["staging"].requirement, reasons["staging"].found) == ("namespace = stage", "shop")


def test_an_unknown_fact_that_could_decide_leaves_it_undecided() -> None:
    selection = select(SHOP, facts(unknown("ca", "ca.crt: permission denied"), namespace="shop"))

    assert selection.verdict is Verdict.UNDECIDED
    assert selection.undecided == ("ca",)
    assert "ca is unknown: ca.crt: permission denied" in selection.why


def test_an_unknown_fact_that_could_not_decide_is_of_no_interest() -> None:
    selection = select(SHOP, facts(unknown("ca"), namespace="dev"))

    assert selection.profile is DEVELOPMENT
    assert selection.undecided == ()


def test_requirements_that_hold_whatever_an_unknown_fact_is_decide_together() -> None:
    either = catalogue(
        profile("inside", "region Exists", priority=1),
        profile("outside", "region DoesNotExist", priority=1),
        profile("anywhere", "namespace=shop", priority=2),
    )

    assert select(either, facts(unknown("region"), namespace="shop")).verdict is Verdict.CHOSEN
    assert select(either, facts(unknown("region"))).undecided == ("region",)


def test_contradictory_requirements_on_an_unknown_fact_match_nowhere() -> None:
    contradictory = catalogue(profile("never", "region=a", "region=b"), profile("other", "namespace=shop"))

    selection = select(contradictory, facts(unknown("region"), namespace="shop"))

    assert selection.profile is not None
    assert selection.profile.name == "other"
    reason = selection.reasons[0]
    assert (reason.status, reason.requirement) == ("ruled-out", "region = b")


def test_the_highest_priority_wins_and_a_tie_chooses_none() -> None:
    two = catalogue(
        profile("low", "a=1"), profile("high", "a=1", priority=1), profile("equal", "b=1", priority=1)
    )

    assert select(two, facts(a="1")).verdict is Verdict.CHOSEN
    tie = select(two, facts(a="1", b="1"))

    assert (tie.verdict, tie.profile) == (Verdict.TIE, None)
    assert tie.why == "equal and high match with the same priority 1"


@pytest.mark.parametrize("priority", [-1, 0, 1])
def test_production_and_another_are_never_told_apart_by_priority(priority: int) -> None:
    mixed = catalogue(production("production", "a=1", priority=priority), profile("staging", "a Exists"))

    assert select(mixed, facts(a="1")).verdict is Verdict.CONFLICT


def test_production_that_may_match_leaves_the_other_one_undecided() -> None:
    mixed = catalogue(production("production", "a=1", "b=1"), profile("staging", "a=1", priority=9))

    selection = select(mixed, facts(unknown("b"), a="1"))

    assert (selection.verdict, selection.undecided) == (Verdict.UNDECIDED, ("b",))


def test_a_hint_does_not_choose_production_but_does_choose_the_rest() -> None:
    one_of_each = catalogue(production("production", "platform=aws"), profile("laptop", "platform=laptop"))

    by_hint = select(one_of_each, facts(hint("platform", "aws")))
    assert (by_hint.verdict, by_hint.undecided) == (Verdict.UNDECIDED, ("platform",))
    assert "only a hint" in by_hint.why

    alone = catalogue(profile("laptop", "platform=laptop"))
    assert select(alone, facts(hint("platform", "laptop"))).verdict is Verdict.CHOSEN


def test_a_hint_does_not_rule_production_out_either() -> None:
    one_of_each = catalogue(production("production", "platform=aws"), profile("laptop", "platform=laptop"))

    assert select(one_of_each, facts(hint("platform", "laptop"))).verdict is Verdict.UNDECIDED
    assert select(one_of_each, facts(hint("platform"))).verdict is Verdict.UNDECIDED


def test_a_hint_lifts_no_forbid_of_production_and_is_believed_elsewhere() -> None:
    guarded = catalogue(production("production", "a=1", forbid=("platform=compose",)))
    for platform in ("compose", "vm"):
        selection = select(guarded, facts(hint("platform", platform), a="1"))
        assert (selection.verdict, selection.undecided) == (Verdict.UNDECIDED, ("platform",))
        by_name = select(guarded, facts(hint("platform", platform), a="1"), requested="production")
        assert by_name.verdict is Verdict.FORBIDDEN

    elsewhere = catalogue(profile("staging", "a=1", forbid=("platform=compose",)))
    assert select(elsewhere, facts(hint("platform", "compose"), a="1")).verdict is Verdict.NO_MATCH
    assert select(elsewhere, facts(hint("platform", "vm"), a="1")).verdict is Verdict.CHOSEN


def test_a_forbid_that_may_hold_leaves_it_undecided() -> None:
    guarded = catalogue(production("production", "a=1", forbid=("platform=compose",)))

    selection = select(guarded, facts(unknown("platform"), a="1"))

    assert (selection.verdict, selection.undecided) == (Verdict.UNDECIDED, ("platform",))
    assert selection.reasons[0].status == "may-be-forbidden"


def test_without_a_match_it_is_chosen_only_by_name() -> None:
    by_name = catalogue(profile("manual"), profile("staging", "a=1"))

    assert select(by_name, facts()).verdict is Verdict.NO_MATCH
    assert select(by_name, facts()).reasons[0].status == "only-by-name"
    assert select(by_name, facts(), requested="manual").verdict is Verdict.CHOSEN


class TestByName:
    def test_settles_ties_unknowns_and_conflicts(self) -> None:
        mixed = catalogue(production("production", "a=1"), profile("one", "a=1"), profile("two", "a=1"))

        for name in ("production", "one", "two"):
            for found in (facts(a="1"), facts(unknown("a"))):
                assert select(mixed, found, requested=name).verdict is Verdict.CHOSEN

    def test_needs_an_override_against_a_match_that_is_false(self) -> None:
        refused = select(SHOP, facts(namespace="dev"), requested="production")
        insisted = select(SHOP, facts(namespace="dev"), requested="production", override_match=True)

        assert (refused.verdict, refused.profile) == (Verdict.MISMATCH, None)
        assert "--override-match" in refused.why
        assert (insisted.verdict, insisted.profile) == (Verdict.CHOSEN, PRODUCTION)
        assert "overridden" in insisted.why

    def test_overrules_a_hint(self) -> None:
        assert select(SHOP, facts(hint("namespace", "dev")), requested="staging").verdict is Verdict.CHOSEN

    def test_is_blocked_by_a_forbid_that_holds_or_may_hold_even_with_override(self) -> None:
        guarded = catalogue(production("production", "a=1", forbid=("platform=compose",)))

        for found, undecided in (
            (facts(a="1", platform="compose"), ()),
            (facts(unknown("platform"), a="1"), ("platform",)),
            (facts(unknown("platform"), a="2"), ("platform",)),
        ):
            selection = select(guarded, found, requested="production", override_match=True)
            assert (selection.verdict, selection.undecided) == (Verdict.FORBIDDEN, undecided)
        assert select(guarded, facts(a="1"), requested="production").verdict is Verdict.CHOSEN

    def test_of_an_unknown_environment_lists_those_there_are(self) -> None:
        selection = select(SHOP, facts(namespace="dev"), requested="prod")

        assert selection.verdict is Verdict.NO_SUCH
        assert "development, production and staging" in selection.why


def test_unknown_families_count_for_every_name_in_them() -> None:
    labelled = catalogue(profile("zone-a", "k8s.node.label.zone=a"))
    found = Facts.of([], [Fact("k8s.node.label.", State.UNKNOWN, reason="403")])

    assert select(labelled, found).undecided == ("k8s.node.label.zone",)


def test_explicit_facts_choose_production() -> None:
    one = catalogue(production("production", "a=1"))
    stated = Facts.of([Fact("a", State.PRESENT, "1", Confidence.EXPLICIT)])

    assert select(one, stated).verdict is Verdict.CHOSEN


def test_many_environments_and_unknown_facts_end_undecided_in_bounded_time() -> None:
    names = [f"fact-{number}" for number in range(20)]
    many = catalogue(
        *(
            profile(
                f"environment-{number}",
                *(f"{names[(number * step) % 20]} In v{number % 25},w{number % 7}" for step in (1, 3, 7)),
                priority=number % 5,
                kind=list(Kind)[number % 4],
                forbid=(f"{names[(number * 11) % 20]} Exists",),
            )
            for number in range(500)
        )
    )
    began = time.process_time()

    selection = select(many, facts(*map(unknown, names)))

    assert selection.verdict is Verdict.UNDECIDED
    assert set(selection.undecided) <= set(names)
    assert time.process_time() - began < 5
