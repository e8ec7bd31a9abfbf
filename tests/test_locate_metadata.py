"""Metadata services in a start: only when switched on, only the one suggested, only where it could decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbambassador.locate import Located, Request, locate
from dbambassador.profiles.selection import Verdict
from dbambassador.reflection.ask_metadata import MetadataServices
from tests.reflection.api_server import NODE, answers, api_server, pod_files
from tests.reflection.metadata_stub import (
    AWS,
    OPENSTACK,
    Answer,
    always,
    documented,
    metadata,
    plain,
)
from tests.reflection.places import BARE, POD
from tests.test_locate import NODE_PATH, environments

ON_AWS = {"OTEL_RESOURCE_ATTRIBUTES": "cloud.provider=aws"}
BY_ACCOUNT = """
environment: production
match: {matchFacts: {cloud.account.id: "111122223333", cloud.region: eu-west-1}}
databases: {orders: {endpoint: "orders.${cloud.region}.test:5432"}, stock: {endpoint: "stock.test:3306"}}
"""
BY_ZONE = """
environment: production
match: {matchFacts: {cloud.availability_zone: nova}}
databases: {orders: {endpoint: "orders.test:5432"}, stock: {endpoint: "stock.test:3306"}}
"""
ANYWHERE = """
environment: development
match: {matchFacts: {dbambassador.platform: bare}}
databases: {orders: {endpoint: "orders.test:5432"}, stock: {endpoint: "stock.test:3306"}}
"""


async def located(
    tmp_path: Path, metadata: MetadataServices | None, environ: dict[str, str], **files: str
) -> Located:
    root = BARE.build(tmp_path / "root")
    directory = environments(tmp_path / "environments", **files)
    return await locate(Request(directory=directory, root=root, environ=environ, metadata=metadata))


async def test_what_it_tells_decides(tmp_path: Path) -> None:
    async with metadata(documented(AWS)) as stub:
        found = await located(tmp_path, stub.services, ON_AWS, production=BY_ACCOUNT)
    assert found.selection.verdict is Verdict.CHOSEN
    assert found.facts.get("cloud.account.id").source == "AWS instance metadata"
    assert stub.paths == list(AWS)
    assert not found.asked_api


async def test_unless_it_is_switched_on_it_is_not_asked(tmp_path: Path) -> None:
    found = await located(tmp_path, None, ON_AWS, production=BY_ACCOUNT)
    assert found.selection.verdict is Verdict.UNDECIDED
    assert not found.retryable
    assert "no source that is switched on" in found.facts.get("cloud.account.id").reason


async def test_nothing_is_asked_where_it_could_not_decide(tmp_path: Path) -> None:
    async with metadata(documented(AWS)) as stub:
        found = await located(tmp_path, stub.services, ON_AWS, development=ANYWHERE)
    assert found.profile is not None
    assert stub.requests == []


async def test_nothing_is_asked_where_nothing_suggests_a_cloud(tmp_path: Path) -> None:
    async with metadata(documented(AWS)) as stub:
        found = await located(tmp_path, stub.services, {}, production=BY_ACCOUNT)
    assert (found.profile, found.retryable, stub.requests) == (None, False, [])


@pytest.mark.parametrize(
    ("answer", "retryable"), [(always(plain("no", 403)), False), (always(plain("later", 503)), True)]
)
async def test_refused_is_final_and_unanswered_is_not(
    answer: Answer, retryable: bool, tmp_path: Path
) -> None:
    async with metadata(answer) as stub:
        found = await located(tmp_path, stub.services, ON_AWS, production=BY_ACCOUNT)
    assert (found.profile, found.retryable) == (None, retryable)
    assert len(stub.requests) == 1


async def test_what_a_neighbour_could_have_said_does_not_choose_production(tmp_path: Path) -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "cloud.provider=openstack"}
    async with metadata(documented(OPENSTACK)) as stub:
        found = await located(tmp_path, stub.services, environ, production=BY_ZONE)
    assert found.facts.get("cloud.availability_zone").value == "nova"
    assert found.profile is None
    assert not found.retryable


async def test_the_api_is_asked_only_for_what_is_still_missing(tmp_path: Path) -> None:
    root = pod_files(POD.build(tmp_path / "root"))
    directory = environments(tmp_path / "environments", production=BY_ACCOUNT)
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        environ = {**POD.environ, **server.environ, **ON_AWS}
        async with metadata(documented(AWS)) as stub:
            request = Request(directory=directory, root=root, environ=environ, metadata=stub.services)
            found = await locate(request)
        assert found.profile is not None
        assert server.requests == []
        async with metadata(always(plain("no", 403))) as stub:
            request = Request(directory=directory, root=root, environ=environ, metadata=stub.services)
            found = await locate(request)
        assert found.facts.get("cloud.region").value == "eu-west-1"
        assert len(server.requests) == len(stub.requests) == 1
