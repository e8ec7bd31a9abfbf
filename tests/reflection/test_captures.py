"""Every capture yields exactly its facts, quickly, and comes back from a saved document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dbambassador.reflection import saved
from dbambassador.reflection.gather import gather
from dbambassador.values import State
from tests.reflection.captures import CAPTURES
from tests.reflection.captures.capture import Capture
from tests.reflection.tokens import SECRET, SUBJECT

OF_THE_TESTING_MACHINE = {"os.type", "host.arch"}

ASKED_FOR = {
    "eks",
    "gke",
    "aks",
    "openshift",
    "k3s",
    "kind",
    "minikube",
    "compose",
    "docker",
    "podman",
    "ecs-fargate",
    "cloud-run",
    "container-apps",
    "nomad",
    "systemd-on-a-cloud-vm",
    "systemd-on-prem",
    "laptop",
}


def test_all_of_them_are_there() -> None:
    assert CAPTURES.keys() >= ASKED_FOR


@pytest.mark.parametrize("capture", CAPTURES.values(), ids=CAPTURES.keys())
def test_a_capture_yields_exactly_its_facts(capture: Capture, tmp_path: Path) -> None:
    facts = gather(capture.place.build(tmp_path), capture.place.environ)

    found = {
        fact.name: (fact.value, fact.confidence)
        for fact in facts
        if fact.present and fact.name not in OF_THE_TESTING_MACHINE
    }
    assert found == dict(capture.present)
    for name in capture.absent:
        assert facts.get(name).state is State.ABSENT, name
    for name in capture.unknown:
        assert facts.get(name).unknown, name
        assert facts.get(name).reason, name
    for fact in facts:
        assert not fact.present or fact.source, fact.name
    for secret in (SECRET, SUBJECT):
        assert secret not in repr(facts)
    assert saved.load(json.loads(json.dumps(saved.dump(facts))), "facts.json") == facts


@pytest.mark.parametrize("capture", CAPTURES.values(), ids=CAPTURES.keys())
def test_a_capture_names_what_it_was_written_from(capture: Capture) -> None:
    assert capture.documentation
    assert all(text.startswith("https://") or "(" in text for text in capture.documentation)
