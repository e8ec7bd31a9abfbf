"""Every kustomization builds, Kubernetes takes what it makes, and its parts agree with each other."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dbambassador.cli import COMMANDS, FLAGS
from dbambassador.reflection.service_account import DIRECTORY as SERVICE_ACCOUNT
from tests.deployment.files import ENVIRONMENTS, MANIFESTS, VARIABLES
from tests.deployment.kustomize import BASES, Object, built, selected_by
from tests.deployment.pods import SIDECAR, Pod, pods, sources
from tests.deployment.restricted import violations
from tests.deployment.schemas import validate

NEWEST = "1.37"
NATIVE_SIDECARS = "1.29"
OLDEST = "1.25"
"""The oldest schemas that are published with the newest."""
OLD = MANIFESTS / "examples" / "before-1.29"

FROM_OUTSIDE = {"kube-root-ca.crt"}
"""ConfigMaps that are in every namespace."""
SECRETS = {"orders-database"}
"""Those whose making the manifests describe."""

# What schemas leave open: texts of which only some mean anything.
CHOICES = {
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "terminationMessagePolicy": {"File", "FallbackToLogsOnError"},
    "concurrencyPolicy": {"Allow", "Forbid", "Replace"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "unhealthyPodEvictionPolicy": {"AlwaysAllow", "IfHealthyBudget"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "medium": {"", "Memory"},
}
# https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
FIELDS_OF_VARIABLES = {
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
}
FIELDS_OF_VOLUMES = {
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
}

every = pytest.mark.parametrize("directory", BASES, ids=[path.name for path in BASES])


def all_keys(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key at any depth, with its value."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield key, below
            yield from all_keys(below)
    elif isinstance(value, list):
        for item in value:
            yield from all_keys(item)


def with_sidecar(directory: Path) -> list[Pod]:
    return [pod for pod in pods(built(directory)) if pod.has_sidecar]


def understands(words: list[str]) -> bool:
    """Whether the program takes this command line."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    command, *rest = words
    if command not in COMMANDS:
        return False
    importlib.import_module(f"dbambassador.commands.{command}").configure(parser)
    for flag in FLAGS.get(command, ()):
        if flag.parse is None:
            parser.add_argument(f"--{flag.name}", action="store_true")
        else:
            parser.add_argument(f"--{flag.name}", type=flag.parse)
    try:
        return not parser.parse_known_args(rest)[1]
    except argparse.ArgumentError:
        return False


def test_an_overlay_is_there_for_every_environment_of_kubernetes() -> None:
    overlays = {path.name for path in (MANIFESTS / "overlays").iterdir()}
    environments = {path.stem for path in ENVIRONMENTS.glob("[kp]*-*.yaml")}  # not those of compose
    assert overlays == {name.removeprefix("kubernetes-") for name in environments}


@every
def test_the_newest_kubernetes_takes_it(directory: Path) -> None:
    for each in built(directory):
        validate(each, NEWEST)


@every
def test_so_does_the_oldest_one_that_it_is_for(directory: Path) -> None:
    for each in built(directory):
        validate(each, OLDEST if directory == OLD else NATIVE_SIDECARS)


def test_an_older_kubernetes_would_not_take_a_native_sidecar() -> None:
    (pod,) = with_sidecar(MANIFESTS / "base")
    with pytest.raises(jsonschema.ValidationError, match="restartPolicy"):
        validate(pod.workload, "1.27")


@every
def test_what_schemas_leave_open_has_a_meaning(directory: Path) -> None:
    found = [(key, value) for key, value in all_keys(list(built(directory))) if key in CHOICES]
    assert [(key, value) for key, value in found if value not in CHOICES[key]] == []


@every
def test_every_field_of_the_downward_api_is_known_where_it_is_asked_for(directory: Path) -> None:
    for pod in pods(built(directory)):
        variables = [dict(all_keys(container.get("env", []))) for container in pod.containers]
        assert {found["fieldPath"] for found in variables if "fieldPath" in found} <= FIELDS_OF_VARIABLES
        asked = {value for key, value in all_keys(list(pod.volumes.values())) if key == "fieldPath"}
        assert asked <= FIELDS_OF_VOLUMES


@every
def test_every_pod_is_restricted(directory: Path) -> None:
    assert [problem for pod in pods(built(directory)) for problem in violations(pod)] == []


@every
def test_the_sidecar_is_native_and_comes_before_all_other_containers(directory: Path) -> None:
    for pod in with_sidecar(directory):
        assert pod.containers[0] == pod.sidecar
        if directory != OLD:
            assert pod.spec["initContainers"][0]["restartPolicy"] == "Always"


@every
def test_the_program_takes_what_the_sidecar_is_told(directory: Path) -> None:
    for pod in with_sidecar(directory):
        sidecar = pod.sidecar
        assert understands(sidecar["args"])
        commands = [value for key, value in all_keys(sidecar) if key == "command"]
        assert len(commands) >= 3
        for command in commands:
            assert command[0] == SIDECAR
            assert understands(command[1:])
        own = {each["name"] for each in sidecar["env"] if each["name"].startswith("DBAMBASSADOR_")}
        assert own <= VARIABLES


@every
def test_no_ambassador_is_told_its_environment(directory: Path) -> None:
    for pod in with_sidecar(directory):
        told = [*pod.sidecar["args"], *(each["name"] for each in pod.sidecar["env"])]
        telling = ("--environment", "--fact", "DBAMBASSADOR_ENVIRONMENT", "DBAMBASSADOR_FACT")
        assert not [word for word in told if word.startswith(telling)]


@every
def test_every_volume_that_is_mounted_is_there_and_used(directory: Path) -> None:
    for pod in pods(built(directory)):
        mounts = [mount for container in pod.containers for mount in container.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == set(pod.volumes)
        assert [mount for mount in mounts if "subPath" in mount] == []  # never updated


@every
def test_every_config_map_and_secret_that_is_named_is_there(directory: Path) -> None:
    objects = built(directory)
    made = {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"} | FROM_OUTSIDE
    for pod in pods(objects):
        for volume in pod.volumes.values():
            for source in sources(volume):
                reference = source.get("configMap", {"optional": True})
                assert reference.get("optional") or reference["name"] in made
                assert source.get("secret", {}).get("secretName", "orders-database") in SECRETS
        named = [value["name"] for key, value in all_keys(pod.containers) if key == "secretKeyRef"]
        assert set(named) <= SECRETS


@every
def test_every_selector_selects_a_pod_of_the_same_kustomization(directory: Path) -> None:
    objects = built(directory)
    found = pods(objects)
    for pod in found:
        if "selector" in pod.workload["spec"]:
            assert selected_by(pod.workload["spec"]["selector"]["matchLabels"], pod.labels)
    for each in objects:
        for selector in _selectors(each):
            assert any(selected_by(selector, pod.labels) for pod in found), each["metadata"]["name"]


def _selectors(each: Object) -> Iterator[dict[str, str]]:
    spec = each.get("spec", {})
    match each["kind"]:
        case "Service":
            yield spec["selector"]
        case "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
        case "PodDisruptionBudget" | "PodMonitor":
            yield spec["selector"]["matchLabels"]
        case "Deployment":
            for constraint in spec["template"]["spec"].get("topologySpreadConstraints", []):
                yield constraint["labelSelector"]["matchLabels"]


@every
def test_everything_is_in_one_namespace(directory: Path) -> None:
    if directory.name == "base":
        assert not [each for each in built(directory) if "namespace" in each["metadata"]]
    else:
        assert len({each["metadata"]["namespace"] for each in built(directory)}) == 1


@every
def test_nobody_is_permitted_anything_and_no_token_is_mounted(directory: Path) -> None:
    objects = built(directory)
    assert not [each for each in objects if each["apiVersion"].startswith("rbac")]
    accounts = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ServiceAccount"}
    for pod in pods(objects):
        account = accounts.get(pod.spec.get("serviceAccountName", ""), {})
        mounted = pod.spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken"))
        assert mounted is False
        paths = {mount["mountPath"] for each in pod.containers for mount in each.get("volumeMounts", [])}
        assert SERVICE_ACCOUNT not in paths


@every
def test_a_headless_service_stands_before_every_stateful_set(directory: Path) -> None:
    objects = built(directory)
    headless = {
        each["metadata"]["name"]
        for each in objects
        if each["kind"] == "Service" and each["spec"].get("clusterIP") == "None"
    }
    named = {each["spec"]["serviceName"] for each in objects if each["kind"] == "StatefulSet"}
    assert named == headless


@every
def test_the_ambassador_is_given_time_to_end(directory: Path) -> None:
    """Its two delays together are shorter than what the kubelet waits before it kills."""
    for pod in with_sidecar(directory):
        delays = [word.partition("=")[2] for word in pod.sidecar["args"] if "sigterm-delay" in word]
        seconds = sum(float(delay.removesuffix("s")) for delay in delays)
        assert seconds < pod.spec.get("terminationGracePeriodSeconds", 30)
