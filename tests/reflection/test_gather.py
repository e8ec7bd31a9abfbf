"""Whole places, and what must be found in each."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

import pytest

from dbambassador.errors import UsageError
from dbambassador.reflection.certificates import fingerprints
from dbambassador.reflection.gather import gather
from dbambassador.values import Confidence, Fact, Facts, State
from tests.reflection.captures import CAPTURES
from tests.reflection.places import (
    ACCOUNT,
    AUTHORITY,
    BARE,
    COMPOSE,
    DOCKER,
    OTHER_AUTHORITY,
    POD,
    PODMAN,
    SYSTEMD,
    Place,
)
from tests.reflection.tokens import SECRET, SUBJECT

HINT, STRONG, EXPLICIT = Confidence.HINT, Confidence.STRONG, Confidence.EXPLICIT


def reflect(place: Place, root: Path, **explicit: str) -> Facts:
    stated = {name: (value, "--fact") for name, value in explicit.items()}
    return gather(place.build(root), place.environ, stated)


def changed(place: Place, *, without: tuple[str, ...] = (), **files: str) -> Place:
    kept = {name: content for name, content in place.files.items() if not name.startswith(without or ("\0",))}
    return Place({**kept, **files}, place.directories, place.environ)


def test_a_pod(tmp_path: Path) -> None:
    facts = reflect(POD, tmp_path)
    strong = {
        "dbambassador.platform": "kubernetes",
        "k8s.namespace.name": "shop",
        "dbambassador.k8s.ca.sha256": fingerprints(AUTHORITY.cert_pem.bytes())[0],
        "k8s.pod.name": "orders-0",
        "k8s.node.name": "worker-3",
        "k8s.pod.label.team": "payments",
        "k8s.pod.label.app.kubernetes.io/name": "orders",
        "k8s.pod.annotation.note": 'say "hello"',
    }
    for name, value in strong.items():
        assert (facts.get(name).value, facts.get(name).confidence) == (value, STRONG), name
    assert facts.get("dbambassador.k8s.cluster.domain").value == "cluster.local"
    assert facts.get("dbambassador.k8s.cluster.domain").confidence is HINT
    assert facts.get("k8s.pod.label.other").state is State.ABSENT
    assert facts.get("k8s.node.label.anything").unknown
    assert facts.get("k8s.namespace.label.environment").unknown
    assert facts.get("k8s.cluster.name").unknown
    assert facts.get("cloud.region").unknown
    assert facts.get("dbambassador.node.provider_id_scheme").unknown
    assert facts.get("dbambassador.compose.project").state is State.ABSENT
    assert SECRET not in repr(facts)
    assert SUBJECT not in repr(facts)


def test_a_pod_without_its_volumes_says_what_to_mount(tmp_path: Path) -> None:
    place = Place(environ={"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    facts = reflect(place, tmp_path)
    assert facts.get("dbambassador.platform").value == "kubernetes"
    for name, advice in {
        "k8s.namespace.name": "K8S_NAMESPACE_NAME",
        "k8s.pod.name": "metadata.name",
        "k8s.node.name": "spec.nodeName",
        "k8s.pod.label.team": "/etc/podinfo with metadata.labels",
        "k8s.pod.annotation.x": "/etc/podinfo with metadata.annotations",
        "dbambassador.k8s.ca.sha256": "service account",
        "k8s.node.label.x": "Kubernetes API",
    }.items():
        assert facts.get(name).unknown, name
        assert advice in facts.get(name).reason, name


@pytest.mark.parametrize(
    "place",
    [
        changed(Place(POD.files), without=("etc/hosts", "etc/resolv", "etc/podinfo")),
        Place({"etc/hosts": "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"}),
    ],
)
def test_files_alone_tell_a_pod(place: Place, tmp_path: Path) -> None:
    fact = reflect(place, tmp_path).get("dbambassador.platform")
    assert (fact.value, fact.confidence) == ("kubernetes", STRONG)


def test_a_search_list_alone_is_a_hint_and_leaves_the_labels_unknown(tmp_path: Path) -> None:
    facts = reflect(Place({"etc/resolv.conf": POD.files["etc/resolv.conf"]}), tmp_path)
    for name, value in {"dbambassador.platform": "kubernetes", "k8s.namespace.name": "shop"}.items():
        assert (facts.get(name).value, facts.get(name).confidence) == (value, HINT)
    assert facts.get("k8s.pod.label.team").unknown
    assert facts.get("dbambassador.k8s.ca.sha256").unknown


def test_two_sources_of_the_namespace_that_disagree(tmp_path: Path) -> None:
    place = Place(POD.files, environ={**POD.environ, "POD_NAMESPACE": "shop-production"})
    fact = reflect(place, tmp_path).get("k8s.namespace.name")
    assert fact.unknown
    assert fact.reason == (
        "sources disagree: POD_NAMESPACE says shop-production, "
        "but /var/run/secrets/kubernetes.io/serviceaccount/namespace "
        "and claims of /var/run/secrets/kubernetes.io/serviceaccount/token say shop"
    )
    assert reflect(place, tmp_path, **{"k8s.namespace.name": "stated"}).get("k8s.namespace.name") == Fact(
        "k8s.namespace.name", State.PRESENT, "stated", EXPLICIT, "--fact"
    )


def test_two_authorities_are_a_set(tmp_path: Path) -> None:
    bundle = AUTHORITY.cert_pem.bytes() + OTHER_AUTHORITY.cert_pem.bytes()
    place = Place({**POD.files, f"{ACCOUNT}/ca.crt": bundle}, environ=POD.environ)
    fact = reflect(place, tmp_path).get("dbambassador.k8s.ca.sha256")
    assert fact.values == tuple(sorted(fingerprints(bundle)))
    assert fact.value == ", ".join(fact.values)


def test_the_same_authority_in_two_files_of_different_age_is_one_cluster(tmp_path: Path) -> None:
    old, new = AUTHORITY.cert_pem.bytes(), OTHER_AUTHORITY.cert_pem.bytes()
    files = {**POD.files, f"{ACCOUNT}/ca.crt": old + new, "etc/podinfo/ca.crt": old}
    fact = reflect(Place(files, environ=POD.environ), tmp_path).get("dbambassador.k8s.ca.sha256")
    assert set(fact.values) == {*fingerprints(old), *fingerprints(new)}
    assert "/etc/podinfo/ca.crt" in fact.source


def test_files_of_two_clusters_disagree(tmp_path: Path) -> None:
    files = {**POD.files, "etc/podinfo/ca.crt": OTHER_AUTHORITY.cert_pem.bytes()}
    fact = reflect(Place(files, environ=POD.environ), tmp_path).get("dbambassador.k8s.ca.sha256")
    assert fact.unknown
    assert f"/{ACCOUNT}/ca.crt says" in fact.reason
    assert "/etc/podinfo/ca.crt says" in fact.reason


def test_kube_root_ca_mounted_beside_the_downward_files_is_enough(tmp_path: Path) -> None:
    place = Place(
        {"etc/podinfo/ca.crt": AUTHORITY.cert_pem.bytes(), "etc/podinfo/namespace": "shop"},
        environ={"KUBERNETES_SERVICE_HOST": "10.96.0.1"},
    )
    facts = reflect(place, tmp_path)
    fact = facts.get("dbambassador.k8s.ca.sha256")
    assert (fact.values, fact.confidence) == (fingerprints(AUTHORITY.cert_pem.bytes()), STRONG)


def test_outside_a_pod_such_a_file_is_a_hint(tmp_path: Path) -> None:
    place = Place({"etc/podinfo/ca.crt": AUTHORITY.cert_pem.bytes()})
    assert reflect(place, tmp_path).get("dbambassador.k8s.ca.sha256").confidence is HINT


@pytest.mark.parametrize(
    ("place", "platform", "confidence", "runtime"),
    [
        (COMPOSE, "compose", EXPLICIT, "docker"),
        (Place(COMPOSE.files, environ={"COMPOSE_PROJECT": "shop"}), "compose", STRONG, "docker"),
        (DOCKER, "docker", STRONG, "docker"),
        (Place({".dockerenv": ""}), "docker", HINT, "docker"),
        (PODMAN, "podman", STRONG, "podman"),
        (Place(PODMAN.files), "podman", HINT, "podman"),
        (SYSTEMD, "systemd", STRONG, None),
        (BARE, "bare", HINT, None),
    ],
)
def test_outside_kubernetes(
    place: Place, platform: str, confidence: Confidence, runtime: str | None, tmp_path: Path
) -> None:
    facts = reflect(place, tmp_path)
    fact = facts.get("dbambassador.platform")
    assert (fact.value, fact.confidence) == (platform, confidence)
    assert (facts.get("container.runtime").value or None) == runtime
    for name in ("k8s.namespace.name", "k8s.pod.label.x", "k8s.node.label.x", "dbambassador.k8s.ca.sha256"):
        assert facts.get(name).state is State.ABSENT, name
        assert facts.get(name).confidence is STRONG, name
    assert facts.get("cloud.region").unknown
    assert facts.get("os.type").present
    assert facts.get("host.type").unknown


def test_the_compose_project_is_known_where_the_file_says_it(tmp_path: Path) -> None:
    assert reflect(COMPOSE, tmp_path).get("dbambassador.compose.project").value == "shop"
    assert reflect(DOCKER, tmp_path / "docker").get("dbambassador.compose.project").unknown
    assert reflect(SYSTEMD, tmp_path / "host").get("dbambassador.compose.project").state is State.ABSENT


def test_signs_of_two_runtimes_leave_the_platform_unknown(tmp_path: Path) -> None:
    place = Place(
        {**DOCKER.files, **PODMAN.files, "etc/resolv.conf": "nameserver 127.0.0.11"}, (), PODMAN.environ
    )
    fact = reflect(place, tmp_path).get("dbambassador.platform")
    assert fact.unknown
    assert "docker" in fact.reason
    assert "podman" in fact.reason


def test_a_pod_on_dockers_runtime_is_a_pod(tmp_path: Path) -> None:
    place = Place({**POD.files, ".dockerenv": ""}, environ=POD.environ)
    assert reflect(place, tmp_path).get("dbambassador.platform").value == "kubernetes"


def test_compose_in_what_looks_like_a_pod_is_a_contradiction(tmp_path: Path) -> None:
    place = Place(DOCKER.files, environ={"COMPOSE_PROJECT": "shop", "KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert reflect(place, tmp_path).get("dbambassador.platform").unknown


def test_pod_variables_outside_a_pod_are_hints(tmp_path: Path) -> None:
    place = Place(BARE.files, environ={"POD_NAMESPACE": "shop"})
    fact = reflect(place, tmp_path).get("k8s.namespace.name")
    assert (fact.value, fact.confidence) == ("shop", HINT)


def test_saying_that_it_is_a_pod_makes_the_rest_unknown(tmp_path: Path) -> None:
    facts = reflect(BARE, tmp_path, **{"dbambassador.platform": "kubernetes"})
    assert facts.get("k8s.namespace.name").unknown
    assert "--fact says this is a pod" in facts.get("k8s.namespace.name").reason


def test_resource_attributes_hint_but_do_not_overrule_the_labels_file(tmp_path: Path) -> None:
    hints = "deployment.environment.name=production,k8s.namespace.name=other,k8s.pod.label.tier=gold"
    place = Place(POD.files, environ={**POD.environ, "OTEL_RESOURCE_ATTRIBUTES": hints})
    facts = reflect(place, tmp_path)
    assert facts.get("deployment.environment.name").confidence is HINT
    assert facts.get("k8s.namespace.name").value == "shop"
    assert facts.get("k8s.pod.label.tier").state is State.ABSENT


def test_node_labels_that_are_stated_tell_region_and_zone(tmp_path: Path) -> None:
    label = "k8s.node.label.topology.kubernetes.io"
    facts = reflect(POD, tmp_path, **{f"{label}/region": "eu-west-1", f"{label}/zone": "eu-west-1b"})
    assert (facts.get("cloud.region").value, facts.get("cloud.region").confidence) == ("eu-west-1", EXPLICIT)
    assert facts.get("cloud.availability_zone").value == "eu-west-1b"


def test_explicit_variables_count_even_if_nobody_collected_them(tmp_path: Path) -> None:
    place = Place(BARE.files, environ={"DBAMBASSADOR_FACT_CLOUD_REGION": "eu"})
    assert reflect(place, tmp_path).get("cloud.region").confidence is EXPLICIT
    assert reflect(place, tmp_path, **{"cloud.region": "us"}).get("cloud.region").value == "us"
    with pytest.raises(UsageError):
        reflect(Place(environ={"DBAMBASSADOR_FACT_A": "\x00"}), tmp_path)


READ = (
    f"{ACCOUNT}/namespace",
    f"{ACCOUNT}/ca.crt",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/podinfo/labels",
    "etc/podinfo/annotations",
    "etc/podinfo/name",
    "etc/podinfo/namespace",
    "etc/podinfo/uid",
)


@pytest.mark.parametrize("damage", ["fifo", "directory", "junk", "huge", "loop"])
@pytest.mark.parametrize("path", READ)
def test_damage_at_any_path_is_unknown_or_ignored_and_quick(damage: str, path: str, tmp_path: Path) -> None:
    root = POD.build(tmp_path)
    before = gather(root, POD.environ)
    target = root / path
    target.unlink(missing_ok=True)
    match damage:
        case "fifo":
            os.mkfifo(target)
        case "directory":
            target.mkdir()
        case "junk":
            target.write_bytes(bytes(range(256)) * 8)
        case "huge":
            with target.open("wb") as file:
                file.truncate(100 * 1024 * 1024)
        case "loop":
            target.symlink_to(target.name)
    started = time.perf_counter()
    facts = gather(root, POD.environ)
    assert time.perf_counter() - started < 1
    for fact in facts:
        assert fact.unknown or fact.value.isprintable()
        assert fact.reason.isprintable()
        # Damage takes knowledge away or leaves it; it never makes up another value.
        if fact.present and fact.name != "host.name":
            assert fact.value == before.get(fact.name).value or not before.get(fact.name).present
    assert facts.get("dbambassador.platform").value == "kubernetes"
    if path == f"{ACCOUNT}/ca.crt":
        assert facts.get("dbambassador.k8s.ca.sha256").reason.startswith("/var/run/secrets")
    if path == "etc/podinfo/labels":
        assert facts.get("k8s.pod.label.team").unknown
        assert facts.get("k8s.pod.label.none").unknown


@pytest.mark.parametrize("capture", ["eks", "openshift", "compose", "nomad", "systemd-on-a-cloud-vm"])
def test_it_takes_milliseconds(capture: str, tmp_path: Path) -> None:
    place = CAPTURES[capture].place
    root = place.build(tmp_path)

    def measured() -> float:
        started = time.perf_counter()
        gather(root, place.environ)
        return time.perf_counter() - started

    # The best of several medians: the figure is the work, not what else the machine does.
    assert min(median(measured() for _ in range(11)) for _ in range(5)) < 0.010
