from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.errors import ExitCode, InvalidConfiguration, UsageError
from dbambassador.locate import Located, Request, anew, locate, refusal, request_from, retry_delay
from dbambassador.profiles.selection import Verdict
from dbambassador.reflection import ask_api
from dbambassador.settings.schema import HostEndpoint
from dbambassador.values import Confidence
from tests.reflection.api_server import (
    NAMESPACE,
    NODE,
    ApiServer,
    Behaviour,
    answers,
    api_server,
    hangs,
    pod_files,
    refuses,
)
from tests.reflection.places import COMPOSE, POD

NODE_PATH, NAMESPACE_PATH = "/api/v1/nodes/worker-3", "/api/v1/namespaces/shop"

DEFAULTS = """
databases:
  orders: {protocol: postgresql, listen: ["127.0.0.1:5432"]}
  stock: {protocol: mysql, listen: ["127.0.0.1:3306"]}
"""
DEVELOPMENT = """
environment: development
match: {matchFacts: {dbambassador.platform: compose}}
databases: {orders: {endpoint: "postgres:5432"}, stock: {endpoint: "mysql:3306"}}
"""
BY_NAMESPACE = """
environment: staging
match: {matchFacts: {k8s.namespace.name: shop}}
databases: {orders: {endpoint: "orders.test:5432"}, stock: {endpoint: "stock.test:3306"}}
"""
BY_REGION = """
environment: production
match: {matchFacts: {dbambassador.platform: kubernetes, cloud.region: eu-west-1}}
databases:
  orders: {endpoint: "orders.${cloud.region}.test:5432"}
  stock: {endpoint: "stock.test:3306"}
"""
BY_NAMESPACE_LABEL = """
environment: production
match: {matchFacts: {dbambassador.platform: kubernetes, k8s.namespace.label.environment: production}}
databases: {orders: {endpoint: "orders.test:5432"}, stock: {endpoint: "stock.test:3306"}}
"""
NEEDS_REGION = """
environment: staging
match: {matchFacts: {k8s.namespace.name: shop}}
databases: {orders: {endpoint: "orders.${cloud.region}.test:5432"}, stock: {endpoint: "stock.test:3306"}}
"""

EVERYTHING = """
environment: production
match:
  matchFacts: {cloud.region: eu-west-1, k8s.namespace.label.environment: production, k8s.cluster.uid: 0ba4}
  matchExpressions:
    - {key: dbambassador.k8s.version, operator: Exists}
    - {key: k8s.node.label.kubernetes.io/os, operator: Exists}
databases: {orders: {endpoint: "orders.${cloud.provider}.test:5432"}, stock: {endpoint: "stock.test:3306"}}
"""
BY_DISTRIBUTION = """
environment: staging
match: {matchFacts: {dbambassador.k8s.distribution: k3s}}
databases: {orders: {endpoint: "orders.test:5432"}, stock: {endpoint: "stock.test:3306"}}
"""


def environments(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "_defaults.yaml").write_text(DEFAULTS)
    for name, content in files.items():
        (directory / f"{name}.yaml").write_text(content)
    return directory


async def in_pod(
    tmp_path: Path, server: ApiServer | None, databases: tuple[str, ...] = (), **files: str
) -> Located:
    root = pod_files(POD.build(tmp_path / "root"))
    environ = dict(POD.environ) | ({} if server is None else server.environ)
    directory = environments(tmp_path / "environments", **files)
    return await locate(Request(directory=directory, root=root, environ=environ, databases=databases))


def endpoint(located: Located, name: str) -> str:
    assert located.profile is not None
    (database,) = [each for each in located.profile.databases if each.name == name]
    (found,) = database.endpoints
    assert isinstance(found, HostEndpoint)
    return found.host


async def test_compose_chooses_without_the_api(tmp_path: Path) -> None:
    root = COMPOSE.build(tmp_path / "root")
    directory = environments(tmp_path / "e", development=DEVELOPMENT, production=BY_REGION)
    located = await locate(Request(directory=directory, root=root, environ=COMPOSE.environ))
    assert located.selection.verdict is Verdict.CHOSEN
    assert endpoint(located, "orders") == "postgres"
    assert not located.asked_api
    assert not located.retryable
    assert located.seconds < 5


async def test_the_api_is_not_asked_where_it_could_not_decide(tmp_path: Path) -> None:
    async with api_server({}) as server:
        located = await in_pod(tmp_path, server, staging=BY_NAMESPACE, development=DEVELOPMENT)
    assert endpoint(located, "orders") == "orders.test"
    assert (located.asked_api, server.requests) == (False, [])


async def test_the_api_is_asked_for_the_node_where_it_decides(tmp_path: Path) -> None:
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        located = await in_pod(tmp_path, server, production=BY_REGION, development=DEVELOPMENT)
    assert endpoint(located, "orders") == "orders.eu-west-1.test"
    assert (located.asked_api, server.paths) == (True, [NODE_PATH])


async def test_the_api_is_asked_for_the_namespace_where_it_decides(tmp_path: Path) -> None:
    async with api_server({NAMESPACE_PATH: answers(200, NAMESPACE)}) as server:
        located = await in_pod(tmp_path, server, production=BY_NAMESPACE_LABEL)
    assert located.profile is not None
    assert server.paths == [NAMESPACE_PATH]


async def test_the_api_is_asked_for_what_an_endpoint_needs(tmp_path: Path) -> None:
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        located = await in_pod(tmp_path, server, staging=NEEDS_REGION)
    assert endpoint(located, "orders") == "orders.eu-west-1.test"
    assert server.paths == [NODE_PATH]


async def test_each_object_is_asked_once_in_one_start(tmp_path: Path) -> None:
    behaviours = {
        NODE_PATH: answers(200, NODE),
        NAMESPACE_PATH: answers(200, NAMESPACE),
        "/version": answers(200, {"gitVersion": "v1.31.1"}),
        "/api/v1/namespaces/kube-system": answers(200, {"metadata": {"name": "kube-system", "uid": "0ba4"}}),
    }
    async with api_server(behaviours) as server:
        located = await in_pod(tmp_path, server, production=EVERYTHING, development=DEVELOPMENT)
    assert endpoint(located, "orders") == "orders.aws.test"
    assert sorted(server.paths) == sorted(behaviours)


async def test_the_distribution_is_asked_of_both_who_may_know(tmp_path: Path) -> None:
    behaviours = {NODE_PATH: refuses(403, "no"), "/version": answers(200, {"gitVersion": "v1.30.6+k3s1"})}
    async with api_server(behaviours) as server:
        located = await in_pod(tmp_path, server, staging=BY_DISTRIBUTION)
    assert located.profile is not None
    assert sorted(server.paths) == sorted(behaviours)


@pytest.mark.parametrize(("behaviour", "retryable"), [(refuses(403, "no"), False), (hangs, True)])
async def test_a_version_that_is_not_told(behaviour: Behaviour, retryable: bool, tmp_path: Path) -> None:
    behaviours = {NODE_PATH: answers(200, NODE), "/version": behaviour}
    async with api_server(behaviours) as server:
        located = await in_pod(tmp_path, server, staging=BY_DISTRIBUTION)
    assert (located.profile, located.retryable) == (None, retryable)


async def test_a_database_that_was_not_asked_for_needs_nothing(tmp_path: Path) -> None:
    async with api_server({}) as server:
        located = await in_pod(tmp_path, server, ("stock",), staging=NEEDS_REGION)
    assert located.profile is not None
    assert [database.name for database in located.profile.databases] == ["stock"]
    assert server.requests == []


@pytest.mark.parametrize(
    ("behaviour", "retryable"),
    [
        (refuses(401, "Unauthorized"), False),
        (refuses(403, "no"), False),
        (refuses(404, "none"), False),
        (refuses(429, "later"), True),
        (refuses(503, "later"), True),
        (hangs, True),
    ],
)
async def test_refused_is_final_and_unanswered_is_not(
    behaviour: Behaviour, retryable: bool, tmp_path: Path
) -> None:
    async with api_server({NODE_PATH: behaviour}) as server:
        located = await in_pod(tmp_path, server, production=BY_REGION)
    assert located.profile is None
    assert located.selection.verdict is Verdict.UNDECIDED
    assert located.retryable is retryable
    assert server.paths == [NODE_PATH]
    error = refusal(located)
    assert error.exit_code is ExitCode.NO_ENVIRONMENT
    assert "cloud.region" in error.message
    assert "production" in error.message


async def test_unanswered_leaves_a_hint_a_hint_and_can_be_tried_again(tmp_path: Path) -> None:
    root = pod_files(POD.build(tmp_path / "root"))
    directory = environments(tmp_path / "environments", production=BY_REGION)
    async with api_server({NODE_PATH: refuses(503, "later")}) as server:
        environ = {**POD.environ, **server.environ, "OTEL_RESOURCE_ATTRIBUTES": "cloud.region=eu-west-1"}
        located = await locate(Request(directory=directory, root=root, environ=environ))
    assert located.facts.get("cloud.region").confidence is Confidence.HINT
    assert located.profile is None
    assert located.retryable


async def test_an_endpoint_that_waits_for_the_api_is_tried_again(tmp_path: Path) -> None:
    async with api_server({NODE_PATH: refuses(503, "later")}) as server:
        located = await in_pod(tmp_path, server, staging=NEEDS_REGION)
    assert (located.profile, located.retryable) == (None, True)
    assert located.selection.undecided == ("cloud.region",)
    assert "it is staging" in located.selection.why
    assert "503" in located.selection.why


async def test_an_endpoint_that_the_api_refuses_is_an_error(tmp_path: Path) -> None:
    async with api_server({NODE_PATH: refuses(403, "no")}) as server:
        with pytest.raises(InvalidConfiguration, match=r"cloud\.region"):
            await in_pod(tmp_path, server, staging=NEEDS_REGION)


async def test_without_a_node_name_there_is_nothing_to_ask(tmp_path: Path) -> None:
    root = pod_files(POD.build(tmp_path / "root"))
    directory = environments(tmp_path / "environments", production=BY_REGION)
    async with api_server({}) as server:
        located = await locate(Request(directory=directory, root=root, environ=server.environ))
    assert (located.profile, located.retryable, located.asked_api) == (None, False, False)
    assert server.requests == []


async def test_both_objects_are_asked_within_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_api, "DEADLINE", 0.0)
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        located = await in_pod(tmp_path, server, production=BY_REGION)
    assert located.retryable
    assert "not heard within 0 s" in located.facts.get("cloud.region").reason


async def test_a_database_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        await in_pod(tmp_path, None, ("order",), staging=BY_NAMESPACE)
    assert error.value.hint == "did you mean orders?"
    with pytest.raises(UsageError) as error:
        await in_pod(tmp_path, None, ("orders", "zzz"), staging=BY_NAMESPACE)
    assert error.value.hint == "it has orders, stock"


async def test_an_environment_by_name(tmp_path: Path) -> None:
    root = COMPOSE.build(tmp_path / "root")
    directory = environments(tmp_path / "e", development=DEVELOPMENT, staging=BY_NAMESPACE)
    request = Request(directory=directory, root=root, environ=COMPOSE.environ, environment="staging")
    located = await locate(request)
    assert located.selection.verdict is Verdict.MISMATCH
    assert "staging" in refusal(located).message
    request = Request(
        directory=directory, root=root, environ=COMPOSE.environ, environment="staging", override_match=True
    )
    assert (await locate(request)).profile is not None


async def test_the_environment_files_come_first(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration):
        await locate(Request(directory=tmp_path / "none", environ={}))


def test_flags_make_the_request(tmp_path: Path) -> None:
    options = argparse.Namespace(
        environments=tmp_path,
        environment="staging",
        override_match=True,
        database=["orders"],
        root=Path("/capture"),
        fact=["a=1"],
        facts_file=None,
        metadata_services=False,
    )
    environ = {"DBAMBASSADOR_FACT_b": "2"}
    assert request_from(options, environ) == Request(
        directory=tmp_path,
        root=Path("/capture"),
        environ=environ,
        environment="staging",
        override_match=True,
        databases=("orders",),
        explicit={"a": ("1", "--fact"), "b": ("2", "DBAMBASSADOR_FACT_b")},
    )


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_delays_grow_from_one_to_fifteen_seconds(attempt: int, drawn: float) -> None:
    assert 1 <= retry_delay(attempt, lambda: drawn) <= 15
    assert retry_delay(attempt, lambda: 0) == 1
    assert retry_delay(attempt + 1, lambda: 1) >= retry_delay(attempt, lambda: 1)


def test_the_first_delay_is_short_and_the_fifth_is_long() -> None:
    assert [retry_delay(attempt, lambda: 1) for attempt in range(5)] == [2, 4, 8, 15, 15]


async def test_other_files_meet_the_facts_of_the_start(tmp_path: Path) -> None:
    directory = environments(tmp_path, development=DEVELOPMENT)
    request = Request(directory=directory, root=COMPOSE.build(tmp_path / "root"), environ=COMPOSE.environ)
    before = await locate(request)
    (directory / "development.yaml").write_text(DEVELOPMENT.replace("postgres:5432", "postgres:6432"))
    elsewhere = replace(request, environ={}, root=tmp_path / "nowhere")

    now = anew(elsewhere, before)

    assert now.profile is not None
    assert now.profile.databases[0].endpoints == (HostEndpoint("postgres", 6432),)
    assert now.facts is before.facts
    with pytest.raises(UsageError, match="stok: environment development has no such database"):
        anew(replace(request, databases=("stok",)), before)


async def test_other_files_that_lead_elsewhere_are_a_value(tmp_path: Path) -> None:
    directory = environments(tmp_path, development=DEVELOPMENT)
    request = Request(directory=directory, root=COMPOSE.build(tmp_path / "root"), environ=COMPOSE.environ)
    before = await locate(request)
    needy = DEVELOPMENT.replace("postgres:5432", "postgres.${cloud.region}:5432")
    (directory / "development.yaml").rename(directory / "other.yaml").write_text(needy)

    now = anew(request, before)

    assert now.profile is None
    assert now.selection.profile is not None
    assert now.selection.profile.name == "other"
    (directory / "other.yaml").rename(directory / "development.yaml")
    with pytest.raises(InvalidConfiguration, match=r"cloud\.region"):
        anew(request, before)
