from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.errors import InvalidConfiguration
from dbambassador.reflection.findings import found_several
from dbambassador.reflection.gather import gather
from dbambassador.reflection.saved import dump, load
from dbambassador.values import Confidence, Fact, Facts, State
from tests.reflection.places import POD

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "dbambassador/commands/schemas/reflect.schema.json").read_text()
)

names = st.text("abc./-", min_size=1, max_size=20)
words = st.text("xyz \"'é", max_size=10)


def make(name: str, state: State, values: set[str], confidence: Confidence, source: str, again: bool) -> Fact:
    if state is State.PRESENT:
        return replace(found_several(name, values, confidence, source), retryable=again)
    return Fact(name, state, "", confidence, source, "why", again)


any_fact = st.builds(
    make,
    names,
    st.sampled_from(State),
    st.sets(st.text("xyz", min_size=1), min_size=1, max_size=3),
    st.sampled_from(Confidence),
    words,
    st.booleans(),
)
any_facts = st.builds(Facts.of, st.lists(any_fact), st.lists(any_fact.filter(lambda fact: not fact.present)))


@given(any_facts)
def test_what_is_saved_comes_back(facts: Facts) -> None:
    document = json.loads(json.dumps(dump(facts)))
    assert load(document, "f") == facts
    jsonschema.validate({**document, "api": {"asked": False, "would_ask_for": None}}, SCHEMA)


def test_a_pod_comes_back(tmp_path: Path) -> None:
    facts = gather(POD.build(tmp_path), POD.environ)
    assert load(json.loads(json.dumps(dump(facts))), "f") == facts


def test_other_sections_are_left_alone() -> None:
    assert load({"facts": [], "families": [], "api": {"asked": True}}, "f") == Facts()


GOOD: dict[str, Any] = {"name": "a", "state": "present", "value": "v", "confidence": "strong"}


def problems(document: object) -> list[str]:
    with pytest.raises(InvalidConfiguration) as error:
        load(document, "facts.json")
    assert all(problem.file == "facts.json" for problem in error.value.problems)
    return [f"{problem.path}: {problem.found}" for problem in error.value.problems]


def test_every_problem_is_told() -> None:
    document = {
        "facts": [
            GOOD,
            GOOD,
            "junk",
            {**GOOD, "name": ""},
            {**GOOD, "name": "b", "state": "maybe"},
            {**GOOD, "name": "c", "value": None},
            {**GOOD, "name": "d", "value": "\x1b[2J"},
            {**GOOD, "name": "e", "confidence": 3, "retryable": "no", "extra": 1},
        ],
        "families": [{**GOOD, "name": "k8s."}],
    }
    assert problems(document) == [
        "facts[1].name: a a second time",
        "facts[2]: 'junk'",
        "facts[3].name: a name of 0 characters, 1 to 400 are accepted",
        "facts[4].state: 'maybe'",
        "facts[5].value: nothing",
        "facts[6].value: a value with control or other unprintable characters",
        "facts[7]: the key 'extra'",
        "facts[7].retryable: 'no'",
        "facts[7].confidence: 3",
        "families[0].state: present",
    ]


@pytest.mark.parametrize("document", [None, [], "x", 7, {}, {"facts": {}, "families": []}])
def test_what_is_no_document(document: object) -> None:
    assert problems(document)


def test_values_are_a_list_and_beside_it_the_value_is_for_reading() -> None:
    fact = found_several("a", ["y", "x", "y"], Confidence.STRONG, "s")
    (record,) = dump(Facts.of([fact]))["facts"]
    assert (record["value"], record["values"]) == ("x, y", ["x", "y"])
    assert load({"facts": [{**GOOD, "values": ["y", "x"]}], "families": []}, "f").get("a").values == (
        "x",
        "y",
    )


@pytest.mark.parametrize("values", [None, [], ["v"]])
def test_a_document_without_several_values_has_one(values: object) -> None:
    record = GOOD if values is None else {**GOOD, "values": values}
    fact = load({"facts": [record], "families": []}, "f").get("a")
    assert (fact.value, fact.values, fact.several) == ("v", ("v",), ())


@pytest.mark.parametrize("values", ["v", [1], [""], {"a": 1}, ["a", "\x1b"], [str(n) for n in range(300)]])
def test_wrong_values_are_told(values: object) -> None:
    (problem,) = problems({"facts": [{**GOOD, "values": values}], "families": []})
    assert problem.startswith("facts[0].values: ")


def test_a_fact_needs_its_fields() -> None:
    assert problems({"facts": [{}], "families": []})
