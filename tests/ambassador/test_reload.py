"""One reload at a time, whoever asks; with real files and a stand-in for what is served."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from dbambassador.ambassador import reload
from dbambassador.ambassador.reload import Reloader
from dbambassador.ambassador.serving import Prepared, Serving
from dbambassador.drift import DriftWatch
from dbambassador.errors import CannotListen
from dbambassador.events import (
    CatalogueReloaded,
    Event,
    Reloaded,
    ReloadRefused,
    ReloadUntimely,
    StageCrashed,
)
from dbambassador.locate import Located, Request, locate
from dbambassador.profiles.changes import Changes
from tests.end_to_end.setting import environments, postgresql_database


class Served:
    """Stands in for what is served; its preparations take as long as the test lets them."""

    def __init__(self) -> None:
        self.committed: list[Changes] = []
        self.begun, self.go_on = trio.Event(), trio.Event()
        self.go_on.set()
        self.error: Exception | None = None

    async def prepare(self, changes: Changes) -> Prepared:
        self.begun.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return Prepared(changes)

    async def commit(self, prepared: Prepared) -> None:
        await trio.lowlevel.checkpoint()
        self.committed.append(prepared.changes)


class Drift:
    def __init__(self) -> None:
        self.adopted: list[Located] = []

    def adopt(self, located: Located) -> None:
        self.adopted.append(located)


class Scene:
    def __init__(self, directory: Path, reloader: Reloader, served: Served, drift: Drift) -> None:
        self.reloader = reloader
        self.served = served
        self.drift = drift
        self.events: list[Event] = []
        self._directory = directory

    def write(self, hold: str) -> None:
        environments(self._directory, orders={**DATABASE, "hold": hold})

    def told(self) -> list[type[Event]]:
        return [type(event) for event in self.events]

    async def until_told(self, number: int) -> None:
        while len(self.events) < number:  # noqa: ASYNC110 - events are a list
            await trio.sleep(0.005)


DATABASE = postgresql_database("127.0.0.1:1", 5432)


@asynccontextmanager
async def reloading(directory: Path, read: Path | None = None) -> AsyncIterator[Scene]:
    """`read`: where the environment files are; made, if there are none."""
    request = Request(
        directory=read or environments(directory, orders=DATABASE),
        root=directory,
        environ={},
        explicit={"dbambassador.platform": ("bare", "a flag")},
    )
    served, drift = Served(), Drift()
    reloader = Reloader(request, await locate(request), cast(Serving, served), cast(DriftWatch, drift))
    scene = Scene(directory, reloader, served, drift)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reloader.run, scene.events.append)
            yield scene
            nursery.cancel_scope.cancel()


async def test_a_hundred_requests_meanwhile_are_one(tmp_path: Path) -> None:
    async with reloading(tmp_path) as scene:
        answers: list[Reloaded] = []

        async def ask(number: int) -> None:
            answers.append(await scene.reloader.reload(f"number {number}"))

        scene.served.go_on = trio.Event()
        scene.write("1s")
        async with trio.open_nursery() as clients:
            clients.start_soon(ask, 0)
            await scene.served.begun.wait()
            scene.write("2s")
            for number in range(1, 101):
                clients.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
            assert answers == []
            scene.served.go_on.set()
        assert len(answers) == 101
        assert scene.told() == [CatalogueReloaded] * 2
        assert [each.changed[0].now.hold for each in scene.served.committed] == [1.0, 2.0]


async def test_what_was_refused_is_compared_with_what_is_served(tmp_path: Path) -> None:
    async with reloading(tmp_path) as scene:
        scene.served.error = CannotListen("the port is taken", hint="stop it")
        scene.write("1s")
        assert await scene.reloader.reload("a") == ReloadRefused("a", ("the port is taken (stop it)",))
        shown = scene.reloader.snapshot(trio.current_time())
        assert (shown["successful"], shown["problems"]) == (False, ["the port is taken (stop it)"])
        assert scene.drift.adopted == []
        scene.served.error = None
        assert await scene.reloader.reload("b") == CatalogueReloaded("b", ("orders: hold",))
        assert scene.reloader.snapshot(trio.current_time())["successful"]
        assert len(scene.drift.adopted) == 1
        assert await scene.reloader.reload("c") == CatalogueReloaded("c", ())
        assert len(scene.served.committed) == 1


async def test_a_bug_in_a_reload_is_told_and_the_next_one_is_served(tmp_path: Path) -> None:
    async with reloading(tmp_path) as scene:
        scene.served.error = ZeroDivisionError()
        scene.write("1s")
        outcome = await scene.reloader.reload("a")
        assert outcome == ReloadRefused("a", ("a bug: ZeroDivisionError()",))
        assert scene.told() == [StageCrashed, ReloadRefused]
        scene.served.error = None
        assert isinstance(await scene.reloader.reload("b"), CatalogueReloaded)


async def test_who_waits_at_the_end_is_told_of_it(tmp_path: Path) -> None:
    answers: list[Reloaded] = []

    async def ask(reloader: Reloader) -> None:
        answers.append(await reloader.reload("a"))

    async with trio.open_nursery() as clients, reloading(tmp_path) as scene:
        scene.served.go_on = trio.Event()
        scene.write("1s")
        clients.start_soon(ask, scene.reloader)
        await scene.served.begun.wait()
    assert answers == [ReloadUntimely("", "shutting down")]


async def test_how_the_last_one_ended_is_known_to_the_end(tmp_path: Path) -> None:
    async with reloading(tmp_path) as scene:
        scene.write("soon")
        assert isinstance(await scene.reloader.reload("a"), ReloadRefused)
    assert await scene.reloader.reload("b") == ReloadUntimely("", "shutting down")
    assert not scene.reloader.snapshot(trio.current_time())["successful"]


async def test_files_that_are_read_for_ever_do_not_hold_the_end_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, end = threading.Event(), threading.Event()

    def hang(*_: object) -> Located:
        begun.set()
        end.wait()
        raise AssertionError("too late")

    monkeypatch.setattr(reload, "anew", hang)
    try:
        async with reloading(tmp_path) as scene:
            scene.reloader.ask("a")
            await trio.to_thread.run_sync(begun.wait)
        assert scene.events == []
    finally:
        end.set()


def _mount(directory: Path, number: int, hold: str, name: str) -> None:
    """As the kubelet begins to update a ConfigMap: the name of the new file is not there yet."""
    content = directory / f"..{number}"
    environments(directory, orders={**DATABASE, "hold": hold}).rename(content)
    (content / "here.yaml").rename(content / name)
    (directory / "..tmp").symlink_to(content.name)
    (directory / "..tmp").rename(directory / "..data")


@asynccontextmanager
async def reloading_mounted(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """With a ConfigMap that is looked at often."""
    monkeypatch.setattr(reload, "LOOK_PERIOD", 0.02)
    _mount(directory, 1, "1s", "here.yaml")
    (directory / "here.yaml").symlink_to("..data/here.yaml")
    async with reloading(directory, directory) as scene:
        yield scene


async def test_a_configmap_that_was_read_in_the_middle_of_its_update_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reloading_mounted(tmp_path, monkeypatch) as scene:
        _mount(tmp_path, 2, "2s", "here.yaml")
        (tmp_path / "..2" / "_defaults.yaml").write_text("databases: {orders: {client_idle_timeout: 9s}}")
        assert await scene.reloader.reload("POST /reload") == CatalogueReloaded(
            "POST /reload", ("orders: hold",)
        )
        (tmp_path / "_defaults.yaml").symlink_to("..data/_defaults.yaml")
        await scene.until_told(2)
        assert scene.events[1] == CatalogueReloaded(
            "the ConfigMap was updated", ("orders: client_idle_timeout",)
        )


async def test_a_configmap_that_could_not_be_read_is_read_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reloading_mounted(tmp_path, monkeypatch) as scene:
        (tmp_path / "..1").rename(tmp_path / "..away")
        assert isinstance(await scene.reloader.reload("SIGHUP"), ReloadRefused)
        (tmp_path / "..away").rename(tmp_path / "..1")
        await scene.until_told(2)
        assert scene.events[1] == CatalogueReloaded("the ConfigMap was updated", ())
