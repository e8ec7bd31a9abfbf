"""What else the API tells: the server's version, the cluster's identity, and all that is in a node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from dbambassador.reflection import ask_api
from dbambassador.reflection.api_answers import permission
from dbambassador.reflection.api_questions import FACTS, Object, Question, objects_for, question
from dbambassador.reflection.ask_api import ask
from dbambassador.reflection.gather import gather
from dbambassador.reflection.merging import enriched
from dbambassador.values import Confidence, Fact, Facts, State
from tests.reflection.api_server import (
    NODE,
    Behaviour,
    Stream,
    answers,
    api_server,
    drips,
    hangs,
    pod_files,
    refuses,
)
from tests.reflection.places import BARE, POD

VERSION_PATH, CLUSTER_PATH = "/version", "/api/v1/namespaces/kube-system"
NODE_PATH = "/api/v1/nodes/worker-3"
UID = "0ba4b8f4-8c0e-4a4a-9d55-6b2a4f6d9c01"
VERSION = {"major": "1", "minor": "31+", "gitVersion": "v1.31.2-eks-7f9249a", "platform": "linux/amd64"}
CLUSTER = {"kind": "Namespace", "metadata": {"name": "kube-system", "uid": UID, "labels": {"a": "b"}}}
EKS_NODE = {
    **NODE,
    "metadata": {"name": "worker-3", "labels": {"eks.amazonaws.com/nodegroup": "general"}},
    "status": {"nodeInfo": {"osImage": "Amazon Linux 2023.6.20241121"}},
}


async def learned(behaviours: dict[str, Behaviour], tmp_path: Path, *kinds: Object) -> Facts:
    root = pod_files(POD.build(tmp_path))
    async with api_server(behaviours) as server:
        environ = {**POD.environ, **server.environ}
        facts = gather(root, environ)
        asking = question(kinds, facts, str(root), environ)
        assert asking is not None
        facts = enriched(facts, await ask(asking))
    assert sorted(server.paths) == sorted(behaviours)
    return facts


async def test_the_version_tells_the_distribution(tmp_path: Path) -> None:
    facts = await learned({VERSION_PATH: answers(200, VERSION)}, tmp_path, Object.VERSION)
    version, distribution = facts.get("dbambassador.k8s.version"), facts.get("dbambassador.k8s.distribution")
    assert (version.value, version.confidence) == ("v1.31.2-eks-7f9249a", Confidence.STRONG)
    assert (distribution.value, distribution.source) == ("eks", "Kubernetes API, GET /version")
    # Amazon's build runs elsewhere too.
    assert facts.get("cloud.provider").unknown


async def test_a_version_without_a_mark_leaves_the_distribution_to_the_node(tmp_path: Path) -> None:
    behaviours = {VERSION_PATH: answers(200, {"gitVersion": "v1.31.1"}), NODE_PATH: answers(200, EKS_NODE)}
    facts = await learned(behaviours, tmp_path, Object.VERSION, Object.NODE)
    assert facts.get("dbambassador.k8s.distribution").value == "eks"
    assert facts.get("cloud.availability_zone").value == "eu-west-1b"


async def test_two_that_disagree_are_no_answer(tmp_path: Path) -> None:
    behaviours = {
        VERSION_PATH: answers(200, {"gitVersion": "v1.30.6+k3s1"}),
        NODE_PATH: answers(200, EKS_NODE),
    }
    facts = await learned(behaviours, tmp_path, Object.VERSION, Object.NODE)
    assert "disagree" in facts.get("dbambassador.k8s.distribution").reason


async def test_the_identity_of_the_cluster(tmp_path: Path) -> None:
    facts = await learned({CLUSTER_PATH: answers(200, CLUSTER)}, tmp_path, Object.CLUSTER)
    fact = facts.get("k8s.cluster.uid")
    assert (fact.value, fact.confidence) == (UID, Confidence.STRONG)
    # Its labels are another namespace's.
    assert facts.get("k8s.namespace.label.a").unknown


@pytest.mark.parametrize("body", [{}, {"gitVersion": 1}, {"gitVersion": "moved"}, [], b"<html>", b"\xff"])
async def test_a_version_that_is_none(body: object, tmp_path: Path) -> None:
    facts = await learned({VERSION_PATH: answers(200, body)}, tmp_path, Object.VERSION)
    for name in ("dbambassador.k8s.version", "dbambassador.k8s.distribution"):
        assert "not one of a Kubernetes API" in facts.get(name).reason
        assert not facts.get(name).retryable


@pytest.mark.parametrize("uid", [None, 1, "", "a\x1b[2J", "x" * 5000])
async def test_a_uid_that_is_none(uid: object, tmp_path: Path) -> None:
    body = {"metadata": {"name": "kube-system", "uid": uid}}
    facts = await learned({CLUSTER_PATH: answers(200, body)}, tmp_path, Object.CLUSTER)
    fact = facts.get("k8s.cluster.uid")
    assert fact.unknown
    assert fact.reason.isprintable()


async def test_403_of_the_version(tmp_path: Path) -> None:
    message = 'forbidden: User "system:serviceaccount:shop:orders" cannot get path "/version"'
    facts = await learned({VERSION_PATH: refuses(403, message)}, tmp_path, Object.VERSION)
    assert facts.get("dbambassador.k8s.version").reason.endswith(
        "403 Forbidden; to allow it: kubectl create clusterrolebinding "
        "dbambassador-version-reader-shop-orders --clusterrole=system:public-info-viewer "
        "--serviceaccount=shop:orders"
    )


async def test_403_of_the_cluster(tmp_path: Path) -> None:
    message = 'namespaces "kube-system" is forbidden: User "system:serviceaccount:shop:orders" cannot get'
    facts = await learned({CLUSTER_PATH: refuses(403, message)}, tmp_path, Object.CLUSTER)
    assert (
        "kubectl -n kube-system create role dbambassador-namespace-reader --verb=get --resource=namespaces "
        "--resource-name=kube-system && kubectl -n kube-system create rolebinding "
        "dbambassador-namespace-reader --role=dbambassador-namespace-reader --serviceaccount=shop:orders"
    ) in facts.get("k8s.cluster.uid").reason


async def test_404_of_the_cluster(tmp_path: Path) -> None:
    facts = await learned({CLUSTER_PATH: refuses(404, "no")}, tmp_path, Object.CLUSTER)
    assert facts.get("k8s.cluster.uid").reason.endswith("404 Not Found: not there")


async def test_each_has_a_second_of_its_own(tmp_path: Path) -> None:
    behaviours = {VERSION_PATH: hangs, CLUSTER_PATH: hangs, NODE_PATH: answers(200, NODE)}
    facts = await learned(behaviours, tmp_path, Object.VERSION, Object.CLUSTER, Object.NODE)
    assert facts.get("cloud.region").value == "eu-west-1"
    for name in ("k8s.cluster.uid", "dbambassador.k8s.version", "dbambassador.k8s.distribution"):
        assert "no answer in time" in facts.get(name).reason
        assert facts.get(name).retryable


async def test_a_clock_far_off(tmp_path: Path) -> None:
    """The server's certificate has not begun yet, or has ended."""
    now = datetime.now(UTC)
    for begin, end, words in (
        (now - timedelta(days=9), now - timedelta(days=8), "certificate has expired"),
        (now + timedelta(days=8), now + timedelta(days=9), "certificate is not yet valid"),
    ):
        root = pod_files(POD.build(tmp_path))
        async with api_server({NODE_PATH: answers(200, NODE)}, valid=(begin, end)) as server:
            asking = question([Object.NODE], gather(root, POD.environ), str(root), server.environ)
            assert asking is not None
            (family,) = (await ask(asking)).families
        assert words in family.reason
        assert not family.retryable
        assert server.requests == []


async def floods(stream: Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
    for _ in range(50):
        await stream.send_all(b"x" * 1024 * 1024)


@pytest.mark.parametrize("kind", [Object.VERSION, Object.CLUSTER])
@pytest.mark.parametrize(
    ("behaviour", "retryable"),
    [
        (refuses(401, "no"), False),
        (refuses(403, "no"), False),
        (refuses(404, "no"), False),
        (refuses(429, "later"), True),
        (refuses(500, "later"), True),
        (answers(301, b"", "Location: https://127.0.0.1:1/\r\n"), False),
        (answers(200, b"\x00junk"), False),
        (floods, None),
        (drips, True),
    ],
    ids=["401", "403", "404", "429", "500", "redirect", "junk", "50 MB", "drips"],
)
async def test_bad_input(kind: Object, behaviour: Behaviour, retryable: bool | None, tmp_path: Path) -> None:
    path = VERSION_PATH if kind is Object.VERSION else CLUSTER_PATH
    started = trio.current_time()
    facts = await learned({path: behaviour}, tmp_path, kind)
    assert trio.current_time() - started < ask_api.DEADLINE
    for name in FACTS[kind]:
        fact = facts.get(name)
        assert fact.unknown
        assert fact.reason.isprintable()
        assert len(fact.reason) < 1000
        # Within its second, a slow machine may not have read what is too much.
        expected = "in time" in fact.reason if retryable is None else retryable
        assert fact.retryable is expected


def test_who_could_tell() -> None:
    def asked(name: str) -> set[Object]:
        return set(objects_for([name], Facts.of([Fact(name, State.UNKNOWN)])))

    assert asked("dbambassador.k8s.distribution") == {Object.NODE, Object.VERSION}
    assert asked("dbambassador.k8s.version") == {Object.VERSION}
    assert asked("k8s.cluster.uid") == {Object.CLUSTER}
    assert asked("cloud.account.id") == {Object.NODE}
    assert asked("k8s.namespace.label.x") == {Object.NAMESPACE}
    assert asked("k8s.cluster.name") == set()


def test_outside_a_pod_there_is_nobody_to_ask(tmp_path: Path) -> None:
    facts = gather(BARE.build(tmp_path), {})
    assert objects_for(["k8s.cluster.uid", "dbambassador.k8s.version"], facts) == set()
    assert question(Object, facts, str(tmp_path), {}) is None


def test_without_names_the_rest_is_asked() -> None:
    asking = question(Object, Facts(), "/", {"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert isinstance(asking, Question)
    assert {kind for kind, _, _ in asking.objects} == {Object.VERSION, Object.CLUSTER}


def test_a_name_from_the_surroundings_is_quoted_in_a_command_for_copying() -> None:
    told = permission(Object.NAMESPACE, "shop; rm -rf ~", "")
    assert "kubectl -n 'shop; rm -rf ~' create role" in told
