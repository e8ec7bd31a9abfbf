"""`dbambassador inject` adds what the Kustomize components add, and Kubernetes takes what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dbambassador.injection.manifest import File, Result, injected, removed
from dbambassador.injection.sidecar import Wanted
from tests.deployment.kustomize import BASES, COMPONENTS, Object, built
from tests.deployment.pods import pods
from tests.deployment.schemas import validate
from tests.deployment.test_components import KINDS, pods_of_every_kind, workload

COMPONENT = {path.name: path for path in COMPONENTS}
every = pytest.mark.parametrize("directory", BASES, ids=[path.name for path in BASES])
EXAMPLES = ("cron-job", "job", "stateful-set")
PARTS: dict[str, Any] = {
    "initContainers": [{"name": "migrate", "image": "example"}],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}


def of(objects: list[Object] | tuple[Object, ...], wanted: Wanted | None = None) -> Result:
    text: str = yaml.safe_dump_all(objects, sort_keys=False)
    return injected([File("a.yaml", text.encode())], wanted or Wanted())


def unordered(spec: dict[str, Any]) -> dict[str, Any]:
    """A pod's spec without the hash in the ConfigMap's name; the order of volumes means nothing."""
    volumes = sorted(spec["volumes"], key=lambda volume: str(volume["name"]))
    for volume in volumes:
        if volume["name"] == "dbambassador-environments":
            volume = volume["configMap"]
            volume["name"] = volume["name"].rpartition("-")[0]
    return {**spec, "volumes": volumes}


@pytest.mark.parametrize("of_pod", [{}, PARTS], ids=["bare", "furnished"])
@pytest.mark.parametrize(
    ("component", "wanted"),
    [("sidecar", Wanted()), ("sidecar-before-1.29", Wanted(ordinary=True))],
)
def test_it_adds_what_the_component_adds(
    component: str, wanted: Wanted, of_pod: dict[str, Any], tmp_path: Path
) -> None:
    theirs = pods_of_every_kind(tmp_path, COMPONENT[component], **of_pod)
    wanted = Wanted(config_map="dbambassador-environments-hash", ordinary=wanted.ordinary)
    documents = tuple(yaml.safe_load_all(of([workload(kind, **of_pod) for kind in KINDS], wanted).text))
    ours = {pod.workload["kind"]: pod for pod in pods(documents)}
    added = [kind for kind, pod in theirs.items() if pod.has_sidecar]
    assert set(added) == KINDS.keys()
    for kind in added:
        assert unordered(ours[kind].spec) == unordered(theirs[kind].spec)


@every
def test_what_the_components_made_is_left_as_it_is(directory: Path) -> None:
    objects = built(directory)
    there = {
        (pod.workload["kind"], pod.workload["metadata"]["name"]) for pod in pods(objects) if pod.has_sidecar
    }
    outcomes = {(each.kind, each.name): each.what for each in of(objects).outcomes}
    assert {outcomes[each] for each in there} <= {"already injected"}


@pytest.mark.parametrize("directory", [BASES[0], *(BASES[0].parent / "examples" / name for name in EXAMPLES)])
def test_kubernetes_takes_it(directory: Path) -> None:
    text: str = yaml.safe_dump_all(built(directory), sort_keys=False)
    without = removed([File("a.yaml", text.encode())]).text
    for version, wanted in {"1.37": Wanted(), "1.25": Wanted(ordinary=True)}.items():
        result = injected([File("a.yaml", without.encode())], wanted)
        for each in yaml.safe_load_all(result.text):
            if each["kind"] in KINDS:
                validate(each, version)
