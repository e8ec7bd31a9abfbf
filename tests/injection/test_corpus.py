"""Manifests as people, kubectl, Helm and kompose write them: what is added, and that all else stays."""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from dbambassador.injection.manifest import File, Result, injected, removed
from dbambassador.injection.sidecar import Wanted
from tests.injection.model import expected, loaded, pods

CORPUS = sorted((Path(__file__).parent / "manifests").iterdir())
BLOCK = [path for path in CORPUS if path.suffix == ".yaml" and path.stem != "flow"]
REPLACED = {"initContainers: []", "initContainers:", "volumes: []", "volumes: ~"}
"""What stands where there is no list yet, and goes when there is one."""
EMPTY = {"stateful-set.yaml", "null-lists.yaml", "no-last-newline.yaml", "list.json"}
"""Where such a list goes altogether when the ambassador is taken out."""


def of(text: str, wanted: Wanted | None = None) -> Result:
    return injected([File("a.yaml", text.encode())], wanted or Wanted())


def as_is(text: str) -> str:
    return text


def from_windows(text: str) -> str:
    return "\ufeff" + text.replace("\n", "\r\n")


def without_last_newline(text: str) -> str:
    return text.rstrip("\n")


VARIANTS = (as_is, from_windows, without_last_newline)
every_manifest = pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
every_variant = pytest.mark.parametrize("variant", VARIANTS)


@every_manifest
@every_variant
def test_the_ambassador_is_in_every_pod_and_nothing_else_changes(path: Path, variant: type) -> None:
    text = variant(path.read_text())
    assert loaded(of(text).text) == expected(text)


@every_manifest
@every_variant
def test_what_has_it_already_stays_byte_for_byte(path: Path, variant: type) -> None:
    once = of(variant(path.read_text()))
    again = of(once.text)
    assert again.text == once.text
    assert {outcome.what for outcome in again.outcomes if outcome.what.endswith("injected")} <= {
        "already injected"
    }


@every_manifest
@every_variant
def test_taken_out_again_the_manifest_is_what_it_was(path: Path, variant: type) -> None:
    text = variant(path.read_text())
    back = removed([File("a.yaml", of(text).text.encode())]).text
    if path.name in EMPTY:
        for pod in pods(documents := loaded(text)):
            for key in ("initContainers", "volumes"):
                if not pod.get(key, True):
                    del pod[key]
        assert loaded(back) == documents
    else:
        assert back == text


@pytest.mark.parametrize("path", BLOCK, ids=lambda path: path.name)
@every_variant
def test_lines_are_only_added(path: Path, variant: type) -> None:
    before = variant(path.read_text()).splitlines()
    after = of(variant(path.read_text())).text.splitlines()
    for kind, start, end, _, _ in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind in ("replace", "delete"):
            lost = {line.strip().partition("   #")[0] for line in before[start:end]}
            assert lost <= REPLACED


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_line_ends_are_those_of_the_file(path: Path) -> None:
    text = of(from_windows(path.read_text())).text
    assert text.count("\n") == text.count("\r\n")


def test_before_1_29_it_is_the_first_ordinary_container() -> None:
    for path in CORPUS:
        text = path.read_text()
        result = of(text, Wanted(ordinary=True))
        for before, after in zip(pods(loaded(text)), pods(loaded(result.text)), strict=True):
            assert after["containers"][0]["name"] == "dbambassador"
            assert "restartPolicy" not in after["containers"][0]
            assert after["containers"][1:] == before["containers"]
            assert after.get("initContainers") == before.get("initContainers")
        assert of(result.text).text == result.text
        assert of(result.text, Wanted(ordinary=True)).text == result.text


@pytest.mark.parametrize(
    "keys",
    [
        ("volumes", "initContainers", "containers"),
        ("initContainers", "volumes", "containers"),
        ("containers", "initContainers", "volumes"),
        ("containers", "volumes", "initContainers"),
        ("initContainers", "containers", "volumes"),
        ("volumes", "containers", "initContainers"),
    ],
)
def test_it_is_taken_out_wherever_its_keys_stand(keys: tuple[str, ...]) -> None:
    (document,) = expected(
        '{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "shop", "image": "shop"}]}}'
    )
    document["spec"] = {key: document["spec"][key] for key in keys}
    text = removed([File("a.json", json.dumps(document).encode())]).text
    assert text == (
        '{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "shop", "image": "shop"}]}}'
    )
