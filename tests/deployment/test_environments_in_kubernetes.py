"""In the pods that the manifests make, the right environment is chosen, and finds what it needs there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import pytest
import trustme

from dbambassador.profiles.catalogue import load
from dbambassador.profiles.selection import Verdict, select
from dbambassador.reflection.certificates import NoCertificate, fingerprints
from dbambassador.reflection.gather import gather
from dbambassador.settings.schema import SYSTEM_CAS, Profile, SrvEndpoint
from tests.deployment import kubelet
from tests.deployment.files import (
    CA_CONFIG_MAP,
    CLUSTER_CA,
    ENVIRONMENTS,
    MANIFESTS,
    MOUNTED,
    PRODUCTION,
    parsed,
)
from tests.deployment.kustomize import Object, built, only
from tests.deployment.pods import Pod, pods

OVERLAYS = {
    "development": "kubernetes-development",
    "staging": "kubernetes-staging",
    "on-prem": "kubernetes-on-prem",
    **{name: name for name in PRODUCTION if name.startswith("production-")},
}
EXAMPLES = ("before-1.29", "cron-job", "init-container", "job", "stateful-set")
IN_PRODUCTION = sorted(overlay for overlay, name in OVERLAYS.items() if name in PRODUCTION)


@cache
def clusters() -> Mapping[str, str]:
    """The CA of the cluster that each production environment is for."""
    return {name: trustme.CA().cert_pem.bytes().decode() for name in PRODUCTION}


def completed(objects: tuple[Object, ...]) -> list[Object]:
    """A build whose environments name the fingerprints of `clusters`, as a user is told to make them."""
    done = []
    for each in objects:
        if each["kind"] == "ConfigMap" and f"{PRODUCTION[0]}.yaml" in each["data"]:
            each = {**each, "data": {key: _completed(text) for key, text in each["data"].items()}}
        done.append(each)
    return done


def _completed(text: str) -> str:
    for name, certificate in clusters().items():
        placeholder = parsed(ENVIRONMENTS / f"{name}.yaml")["match"]["matchFacts"][CLUSTER_CA]
        text = text.replace(placeholder, sha256(PEM_cert_to_DER_cert(certificate)).hexdigest())
    return text


def started(directory: Path, root: Path, ca: str) -> list[tuple[Pod, Profile | None]]:
    """The pods with an ambassador, each in a root of its own, and the environment it chooses there."""
    objects = completed(built(directory))
    found: list[tuple[Pod, Profile | None]] = []
    for number, pod in enumerate(each for each in pods(objects) if each.has_sidecar):
        own = root / str(number)
        kubelet.lay_out(pod, pod.sidecar, objects, own, ca=ca)
        facts = gather(own, kubelet.environ(pod, pod.sidecar), {})
        for label, value in pod.labels.items():
            assert facts.get(f"k8s.pod.label.{label}").value == value
        selection = select(load(own / MOUNTED.lstrip("/")), facts)
        found.append((pod, selection.profile if selection.verdict is Verdict.CHOSEN else None))
    assert found
    return found


def serves(pod: Pod) -> set[str]:
    """The databases that its ambassador was told to serve."""
    return set(kubelet.environ(pod, pod.sidecar)["DBAMBASSADOR_DATABASE"].split(","))


@pytest.mark.parametrize(("overlay", "name"), OVERLAYS.items())
def test_in_each_overlay_its_environment_is_chosen(overlay: str, name: str, tmp_path: Path) -> None:
    ca = clusters().get(name, trustme.CA().cert_pem.bytes().decode())
    for pod, profile in started(MANIFESTS / "overlays" / overlay, tmp_path, ca):
        assert profile is not None
        assert profile.name == name
        assert serves(pod) <= {database.name for database in profile.databases}


@pytest.mark.parametrize("overlay", IN_PRODUCTION)
def test_in_a_cluster_that_nobody_named_productions_pods_choose_nothing(overlay: str, tmp_path: Path) -> None:
    elsewhere = trustme.CA().cert_pem.bytes().decode()
    assert [profile for _, profile in started(MANIFESTS / "overlays" / overlay, tmp_path, elsewhere)] == [
        None
    ]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_development(example: str, tmp_path: Path) -> None:
    ca = trustme.CA().cert_pem.bytes().decode()
    for pod, profile in started(MANIFESTS / "examples" / example, tmp_path, ca):
        assert profile is not None
        assert profile.name == "kubernetes-development"
        assert serves(pod) <= {database.name for database in profile.databases}


@pytest.mark.parametrize("overlay", IN_PRODUCTION)
def test_every_authority_that_an_environment_names_is_mounted_and_has_to_be_replaced(
    overlay: str, tmp_path: Path
) -> None:
    """What is shipped in its stead is no certificate, and the ambassador does not start with it."""
    ((_, profile),) = started(MANIFESTS / "overlays" / overlay, tmp_path, clusters()[OVERLAYS[overlay]])
    assert profile is not None
    named = {database.tls.rootcert for database in profile.databases if database.tls is not None} - {
        SYSTEM_CAS
    }
    maps = [each for each in built(MANIFESTS / "overlays" / overlay) if each["kind"] == "ConfigMap"]
    shipped = {key for each in maps if each["metadata"]["name"] == CA_CONFIG_MAP for key in each["data"]}
    assert {Path(path).name for path in named} == shipped
    for path in named:
        with pytest.raises(NoCertificate):
            fingerprints((tmp_path / "0" / path.lstrip("/")).read_bytes())


def test_the_database_in_the_cluster_is_where_development_looks_for_it() -> None:
    objects = built(MANIFESTS / "examples" / "database")
    service = only(objects, "Service")
    (port,) = service["spec"]["ports"]
    place = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local"
    profile = load(ENVIRONMENTS).get("kubernetes-development")
    assert profile is not None
    (orders,) = [database for database in profile.databases if database.name == "orders"]
    (endpoint,) = orders.endpoints
    assert isinstance(endpoint, SrvEndpoint)
    assert endpoint.name == f"_{port['name']}._tcp.{place}"
    (pod,) = pods(objects)
    assert {"name": port["name"], "containerPort": port["port"]} in pod.containers[0]["ports"]
