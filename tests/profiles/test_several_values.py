"""A fact with several values at once: the authorities of a cluster while they are rotated."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from dbambassador.errors import InvalidConfiguration
from dbambassador.profiles.conditions import holds
from dbambassador.profiles.explanation import explain, explain_json
from dbambassador.profiles.interpolation import interpolate, usable
from dbambassador.profiles.selection import Verdict, select
from dbambassador.profiles.wording import found
from dbambassador.settings.schema import Database, HostEndpoint, Protocol
from dbambassador.values import Confidence, Fact, State
from tests.profiles.cases import several
from tests.profiles.making import catalogue, facts, production, profile, requirement

CA = "dbambassador.k8s.ca.sha256"
BOTH = several(CA, ("old", "new"), Confidence.STRONG)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a In x", True),
        ("a In z", False),
        ("a In z,y", True),
        ("a NotIn x", False),
        ("a NotIn z", True),
        ("a NotIn z,y", False),
        ("a Exists", True),
        ("a DoesNotExist", False),
    ],
)
def test_operators_over_a_set(text: str, expected: bool) -> None:
    for held in itertools.permutations(("x", "y")):
        assert holds(requirement(text), held) is expected
    assert holds(requirement(text), ()) is ("Not" in text)


@pytest.mark.parametrize("fingerprint", ["old", "new"])
def test_either_authority_tells_the_cluster(fingerprint: str) -> None:
    selection = select(catalogue(production("live", f"{CA}={fingerprint}")), facts(BOTH))
    assert selection.verdict is Verdict.CHOSEN


def test_a_forbid_of_any_of_them_holds() -> None:
    selection = select(catalogue(profile("staging", "a=1", forbid=(f"{CA}=old",))), facts(BOTH, a="1"))
    assert selection.profile is None
    (reason,) = selection.reasons
    assert (reason.status, reason.found) == ("forbidden", "new, old")


def test_two_clusters_in_one_bundle_choose_neither() -> None:
    places = catalogue(production("live", f"{CA}=old"), profile("staging", f"{CA}=new"))
    assert select(places, facts(BOTH)).verdict is Verdict.CONFLICT
    equal = catalogue(production("live", f"{CA}=old"), production("other", f"{CA}=new"))
    assert select(equal, facts(BOTH)).verdict is Verdict.TIE


def test_a_set_that_is_a_hint_chooses_no_production() -> None:
    guess = several(CA, ("old", "new"), Confidence.HINT)
    assert select(catalogue(production("live", f"{CA}=old")), facts(guess)).verdict is Verdict.UNDECIDED


def test_the_text_for_reading_is_no_value() -> None:
    assert BOTH.value == "new, old"
    written = dataclasses.replace(profile("x"), match=(requirement(f"{CA}={BOTH.value}"),))
    assert select(catalogue(written), facts(BOTH)).profile is None


def test_a_name_cannot_be_made_of_several_values() -> None:
    database = Database(
        name="orders",
        protocol=Protocol.TCP,
        listen=(),
        endpoints=(HostEndpoint("${zone}.db.test", 5432),),
    )
    written = dataclasses.replace(profile("staging", "a=1"), databases=(database,))
    zones = several("zone", ("a", "b"), Confidence.STRONG)
    assert not usable(zones, written)
    with pytest.raises(InvalidConfiguration) as raised:
        interpolate(written, facts(zones))
    (problem,) = raised.value.problems
    assert problem.found == "${zone}, which is a, b"
    assert problem.expected == "a fact with one value here"


def test_many_values_are_shown_as_a_few() -> None:
    fact = several(CA, [f"{number}" * 40 for number in range(6)], Confidence.STRONG)
    assert found(fact) == f"{'0' * 23}…, {'1' * 23}…, {'2' * 23}… and 3 more"
    places, known = catalogue(profile("x", f"{CA}=z")), facts(fact)
    assert "and 3 more" in explain(places, known, select(places, known))


def test_json_has_all_values() -> None:
    places = catalogue(production("live", f"{CA}=old"))
    document = explain_json(places, facts(BOTH), select(places, facts(BOTH)))
    assert document["facts"] == [
        {
            "name": CA,
            "state": "present",
            "value": "new, old",
            "values": ["new", "old"],
            "confidence": "strong",
            "source": "",
            "reason": "",
        }
    ]


def test_the_values_of_a_fact() -> None:
    assert BOTH.values == ("new", "old")
    assert Fact("a", State.PRESENT, "x").values == ("x",)
    assert Fact("a", State.ABSENT).values == ()
    assert Fact("a", State.UNKNOWN, reason="why").values == ()
