"""What a person is told to do where no environment is chosen: the cheapest way first, and one that works."""

from __future__ import annotations

import time

import pytest

from dbambassador.profiles.selection import Verdict, select
from dbambassador.profiles.ways_out import stated, ways_out
from dbambassador.reflection.api_answers import permission
from dbambassador.reflection.api_questions import Object
from dbambassador.settings.schema import Catalogue, Profile
from dbambassador.values import Fact, Facts, State
from tests.profiles.cases import cases
from tests.profiles.making import catalogue, facts, hint, production, profile, unknown


def advice(every: Catalogue, found: Facts, requested: str | None = None) -> tuple[str, ...]:
    return ways_out(every, found, select(every, found, requested=requested))


def test_a_refusal_comes_with_the_commands_that_would_permit_it() -> None:
    every = catalogue(production("production", "namespace=shop", "zone=a"))
    refused = f"403 Forbidden; to allow it: {permission(Object.NODE, 'worker-3', '')}"

    permit, state, by_name = advice(every, facts(unknown("zone", refused), namespace="shop"))

    assert permit.splitlines()[0] == "permit the question:"
    assert [line.split()[:3] for line in permit.splitlines()[1:]] == [
        ["kubectl", "create", "clusterrole"],
        ["kubectl", "create", "clusterrolebinding"],
    ]
    assert state == "state what is true here: --fact zone=a (then production)"
    assert by_name == "or choose by name: --environment production"


def test_one_refusal_of_several_facts_is_told_once_and_other_reasons_are_no_commands() -> None:
    every = catalogue(profile("staging", "zone=a", "region=r"))
    refused = "403 Forbidden; to allow it: kubectl one && kubectl two; variable is empty"

    steps = advice(every, facts(unknown("zone", refused), unknown("region", refused)))

    assert steps[0] == "permit the question:\nkubectl one\nkubectl two"
    assert sum("permit" in step for step in steps) == 1


def test_what_did_not_answer_may_answer_later() -> None:
    every = catalogue(profile("staging", "zone=a"))
    late = Fact("zone", State.UNKNOWN, reason="timeout", retryable=True)

    assert "try again" in advice(every, facts(late))[0]


def test_a_hint_is_to_be_stated() -> None:
    every = catalogue(production("production", "platform In vm,bare"))

    assert "--fact platform=vm (then production)" in advice(every, facts(hint("platform", "vm")))[0]


def test_facts_that_only_together_decide_are_named_together() -> None:
    every = catalogue(profile("staging", "zone=a", "region=r"))

    (first, *_) = advice(every, facts(unknown("zone"), unknown("region")))

    assert first == "state what is true here, with --fact NAME=VALUE for each of region and zone"


def test_no_match_names_the_nearest_environment_and_what_it_lacks() -> None:
    every = catalogue(
        profile("far", "a=1", "b=1", "c=1"),
        profile("near", "a=2", "b=1"),
        profile("forbidden", "a=2", forbid=("a=2",)),
    )

    steps = advice(every, facts(a="2", b="9"))

    assert steps[0] == "nearest is near, which needs b = 1; if that is true here: --fact b=1"
    assert not any("far" in step for step in steps)


def test_a_tie_and_a_conflict_are_cured_in_the_files() -> None:
    tie = catalogue(profile("one", "a=1"), profile("two", "a=1"))
    conflict = catalogue(production("production", "a=1", "ca=9f2c"), profile("staging", "a=1"))
    alike = catalogue(production("production", "a=1"), profile("staging", "a=1"))
    known_by = "keep them apart: forbid in staging what production is known by"

    assert "higher priority" in advice(tie, facts(a="1"))[0]
    assert advice(tie, facts(a="1"))[1] == "or choose by name: --environment one or two"
    assert advice(conflict, facts(a="1", ca="9f2c"))[0] == f"{known_by} (ca = 9f2c)"
    assert not any("forbid" in step for step in advice(alike, facts(a="1")))


def test_a_name_that_a_forbid_blocks_is_not_offered() -> None:
    every = catalogue(profile("open", "zone=a"), profile("shielded", "zone=b", forbid=("platform=x",)))

    steps = advice(every, facts(unknown("zone"), unknown("platform")))

    assert steps[-1] == "or choose by name: --environment open"


def test_by_name() -> None:
    guarded = catalogue(production("production", "a=1", forbid=("platform=compose",)))

    assert "--fact platform=VALUE" in advice(guarded, facts(unknown("platform"), a="1"), "production")[0]
    assert "--override-match" in advice(guarded, facts(a="2"), "production")[0]
    assert advice(guarded, facts(a="1"), "production") == ()


@pytest.mark.parametrize("seed", range(4))
def test_what_is_advised_works(seed: int) -> None:
    tried = 0
    for case in cases(1000 + seed, 300):
        every = Catalogue("directory", case.profiles)
        selection = select(every, case.facts)
        for step in ways_out(every, case.facts, selection):
            if selection.verdict is Verdict.UNDECIDED and step.startswith("state") and "(then" in step:
                for way in step.split(": ", 1)[1].split(" · "):
                    flag, promised = way.removesuffix(")").split(" (then ")
                    name, value = flag.removeprefix("--fact ").split("=")
                    reached = select(every, stated(case.facts, name, value)).profile
                    assert reached is not None
                    assert reached.name == promised
                    tried += 1
    assert tried > 20


def test_advice_on_hundreds_of_environments_takes_bounded_time() -> None:
    names = [f"fact-{number}" for number in range(20)]
    many: list[Profile] = [
        profile(f"environment-{number:03}", f"{names[number % 20]}=v{number}", priority=number % 3)
        for number in range(500)
    ]
    every = catalogue(*many)
    found = facts(*map(unknown, names))
    selection = select(every, found)
    began = time.process_time()

    steps = ways_out(every, found, selection)

    assert steps
    assert all(len(step) < 1000 for step in steps)
    assert time.process_time() - began < 10
