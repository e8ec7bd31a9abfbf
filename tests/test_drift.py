"""Drift in a pod: the kubelet's way of replacing a volume, and the namespace's labels through the API."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from dbambassador import drift
from dbambassador.ambassador.lifecycle import Ambassador, Terms
from dbambassador.demo.ports import free_port
from dbambassador.drift import DriftWatch
from dbambassador.errors import ExitCode
from dbambassador.events import DriftEnded, DriftNoticed, EnvironmentChosen, Event, StageCrashed
from dbambassador.locate import Request, anew, locate
from dbambassador.reflection import gather as gathering
from tests.reflection.api_server import ApiServer, Stream, answered, api_server, pod_files
from tests.reflection.places import POD, Place
from tests.test_locate import NAMESPACE_PATH, environments

TIER = "k8s.pod.label.tier"
STAGING = """
environment: staging
match: {matchFacts: {k8s.pod.label.tier: staging}}
databases: {orders: {endpoint: "127.0.0.1:1"}}
"""
ANYWHERE = "match: {matchExpressions: [{key: k8s.pod.label.tier, operator: Exists}]}"
PRODUCTION = STAGING.replace("staging", "production")
BY_NAMESPACE = """
environment: staging
match: {matchFacts: {k8s.namespace.label.tier: staging}}
databases: {orders: {endpoint: "127.0.0.1:1"}}
"""
DEFAULTS = """
databases:
  orders: {{protocol: tcp, listen: ["127.0.0.1:{port}"]}}
"""


class Volume:
    """A downward volume as the kubelet writes it: pkg/volume/util/atomic_writer.go."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0
        directory.mkdir(parents=True)

    def write(self, **files: str) -> None:
        self._number += 1
        name = f"..2026_01_02_03_04_05.{self._number:09d}"
        (self._directory / name).mkdir()
        for file, content in files.items():
            (self._directory / name / file).write_text(content)
            link = self._directory / file
            if not link.is_symlink():
                link.symlink_to(f"..data/{file}")
        (self._directory / "..data_tmp").symlink_to(name)
        (self._directory / "..data_tmp").rename(self._directory / "..data")


def pod(tmp_path: Path, **files: str) -> tuple[Request, Volume]:
    place = Place({name: text for name, text in POD.files.items() if "podinfo" not in name}, (), POD.environ)
    root = place.build(tmp_path / "root")
    volume = Volume(root / "etc/podinfo")
    volume.write(labels='tier="staging"\nother="a"')
    directory = environments(tmp_path / "environments", **files)
    (directory / "_defaults.yaml").write_text(DEFAULTS.format(port=free_port()))
    return Request(directory=directory, root=root, environ=place.environ), volume


@asynccontextmanager
async def watched(request: Request) -> AsyncIterator[tuple[DriftWatch, list[Event]]]:
    located = await locate(request)
    assert located.profile is not None
    published: list[Event] = []
    watch = DriftWatch(request, located, published.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        yield watch, published
        nursery.cancel_scope.cancel()


async def test_another_label_is_noticed_once_and_forgotten_when_it_goes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    request, volume = pod(tmp_path, staging=STAGING, production=PRODUCTION)
    async with watched(request) as (watch, published):
        await trio.sleep(90)
        assert (watch.drift, published) == (None, [])
        volume.write(labels='tier="production"\nother="a"')
        changed_at = trio.current_time()
        await trio.sleep(90)
        assert watch.drift is not None
        assert 0 < watch.since - changed_at <= drift.VOLUME_INTERVAL
        why = "its match holds, and no other environment's can"
        noticed = DriftNoticed((TIER,), "staging", "production", why)
        assert published == [noticed]
        volume.write(labels='tier="production"\nother="b"')
        await trio.sleep(90)
        assert published == [noticed]
        volume.write(labels='tier="staging"')
        await trio.sleep(90)
        assert watch.drift is None
        assert published == [noticed, DriftEnded("staging")]


async def test_a_change_between_gathering_and_watching(tmp_path: Path, autojump_clock: MockClock) -> None:
    request, volume = pod(tmp_path, staging=STAGING)
    located = await locate(request)
    volume.write(labels="")
    published: list[Event] = []
    with trio.move_on_after(30):
        await DriftWatch(request, located, published.append).run()
    (noticed,) = published
    assert isinstance(noticed, DriftNoticed)
    assert noticed.would_choose is None


async def test_a_damaged_volume_is_no_drift(tmp_path: Path, autojump_clock: MockClock) -> None:
    request, volume = pod(tmp_path, staging=STAGING, production=PRODUCTION)
    async with watched(request) as (watch, published):
        for damage in ("tier=staging", 'tier="' + "x" * 100_000, "\x00"):
            volume.write(labels=damage)
            await trio.sleep(30)
        os.unlink(request.root / "etc/podinfo/..data")
        await trio.sleep(30)
        assert (watch.drift, published) == (None, [])


async def test_while_no_volume_is_replaced_nothing_is_read(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, volume = pod(tmp_path, staging=STAGING)
    reads = 0

    def counted(*arguments: object, **others: object) -> object:
        nonlocal reads
        reads += 1
        return gathering.gather(*arguments, **others)  # type: ignore[arg-type]

    async with watched(request):
        monkeypatch.setattr(drift, "gather", counted)
        await trio.sleep(3600)
        assert reads == 1  # the first look
        volume.write(labels='tier="staging"')
        await trio.sleep(3600)
        assert reads == 2


async def test_a_bug_of_the_watch_costs_nothing_else(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **others: object) -> object:
        raise ZeroDivisionError("a bug")

    request, _ = pod(tmp_path, staging=STAGING)
    async with watched(request) as (_, published):
        monkeypatch.setattr(drift, "gather", broken)
        await trio.sleep(drift.VOLUME_INTERVAL * 2.5)
        assert [type(event) for event in published] == [StageCrashed, StageCrashed]


async def test_other_files_are_what_a_start_would_follow(tmp_path: Path, autojump_clock: MockClock) -> None:
    request, volume = pod(tmp_path, staging=STAGING, production=PRODUCTION)
    located = await locate(request)
    published: list[Event] = []
    watch = DriftWatch(request, located, published.append)
    volume.write(labels='tier="production"')
    watch.adopt(located)
    assert watch.drift is not None
    assert watch.drift.would_choose == "production"
    anywhere = STAGING.replace("match: {matchFacts: {k8s.pod.label.tier: staging}}", ANYWHERE)
    (request.directory / "staging.yaml").write_text(anywhere)
    (request.directory / "production.yaml").unlink()
    watch.adopt(anew(request, located))
    assert watch.drift is None
    assert isinstance(published[-1], DriftEnded)


# The labels of the namespace, through a real child process and a server with TLS.


class Namespace:
    def __init__(self, **labels: str) -> None:
        self.labels = labels
        self.status = 200

    async def answer(self, stream: Stream) -> None:
        document = {"metadata": {"name": "shop", "labels": self.labels}, "message": "no"}
        await stream.send_all(answered(self.status, document))


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "NAMESPACE_INTERVAL", 0.05)


async def until(reached: object, what: str) -> None:
    assert callable(reached)
    with trio.move_on_after(20):
        while not reached():  # noqa: ASYNC110 - a process and a file have no event
            await trio.sleep(0.02)
    assert reached(), what


def in_reach(request: Request, server: ApiServer) -> Request:
    pod_files(request.root)
    return Request(
        directory=request.directory, root=request.root, environ={**request.environ, **server.environ}
    )


@pytest.mark.usefixtures("_soon")
async def test_another_label_of_the_namespace(tmp_path: Path) -> None:
    request, _ = pod(tmp_path, staging=BY_NAMESPACE)
    namespace = Namespace(tier="staging", other="a")
    async with (
        api_server({NAMESPACE_PATH: namespace.answer}) as server,
        watched(in_reach(request, server)) as (watch, published),
    ):
        await until(lambda: len(server.requests) >= 3, "it goes on asking")
        assert published == []
        namespace.status = 503
        await until(lambda: len(server.requests) >= 5, "an answer of another time is waited for")
        assert published == []
        namespace.status, namespace.labels = 200, {"tier": "production"}
        await until(lambda: published, "the change is noticed")
        assert watch.drift is not None
        assert watch.drift.facts == ("k8s.namespace.label.tier",)
        namespace.labels = {"tier": "staging"}
        await until(lambda: watch.drift is None, "the end is noticed")
        assert [type(event) for event in published] == [DriftNoticed, DriftEnded]
        assert set(server.paths) == {NAMESPACE_PATH}


@pytest.mark.usefixtures("_soon")
async def test_a_permission_that_was_withdrawn_ends_the_asking(tmp_path: Path) -> None:
    request, _ = pod(tmp_path, staging=BY_NAMESPACE)
    namespace = Namespace(tier="staging")
    async with (
        api_server({NAMESPACE_PATH: namespace.answer}) as server,
        watched(in_reach(request, server)) as (watch, published),
    ):
        namespace.status = 403
        asked = len(server.requests)
        await until(lambda: len(server.requests) > asked, "it asks once more")
        await trio.sleep(2)
        assert len(server.requests) == asked + 1
        assert (watch.drift, published) == (None, [])


@pytest.mark.usefixtures("_soon")
async def test_a_namespace_that_decided_nothing_is_not_asked_for(tmp_path: Path) -> None:
    request, _ = pod(tmp_path, staging=STAGING)
    async with api_server({}) as server, watched(in_reach(request, server)):
        await trio.sleep(1)
        assert server.requests == []


# The process as a whole.


async def test_the_process_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "VOLUME_INTERVAL", 0.05)
    request, volume = pod(tmp_path, staging=STAGING, production=PRODUCTION)
    published: list[Event] = []
    ambassador = Ambassador(Terms(request=request), published.append)
    send, receive = trio.open_memory_channel[int](0)
    async with trio.open_nursery() as nursery:
        codes: list[ExitCode] = []

        async def run() -> None:
            codes.append(await ambassador.run(receive))

        nursery.start_soon(run)
        await until(lambda: ambassador.snapshot()["ready"], "it serves")
        assert ambassador.snapshot()["drift"] is None
        volume.write(labels='tier="production"')
        await until(lambda: ambassador.snapshot()["drift"], "the drift is shown")
        shown = ambassador.snapshot()
        told = shown["drift"]
        assert isinstance(told, dict)
        assert (told["facts"], told["would_choose"]) == ([TIER], "production")
        assert told["since_seconds"] >= 0
        assert shown["ready"]
        assert shown["environment"]["name"] == "staging"  # type: ignore[index]
        assert len([event for event in published if isinstance(event, EnvironmentChosen)]) == 1
        ambassador.quit()
    assert codes == [ExitCode.DONE]
    await send.aclose()
