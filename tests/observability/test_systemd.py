"""What a service manager is told: on a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns

import pytest
import trio

from dbambassador.events import (
    CatalogueReloaded,
    ChoiceChanged,
    DrainStarted,
    EnvironmentChosen,
    Event,
    Events,
    HttpOpened,
    Ready,
    ReloadRefused,
    SelectionAwaited,
)
from dbambassador.observability.metrics.metrics import Metrics
from dbambassador.observability.recent import Recent
from dbambassador.observability.routes import LONGEST_SILENCE, Sources
from dbambassador.observability.systemd import LONGEST_STATUS, Verdict, serve_manager
from dbambassador.transport.notify_socket import ServiceManager
from dbambassador.values import Address, Choice, Target
from tests.observability import samples
from tests.observability.orders import never


@dataclass
class Manager:
    socket: socket.socket
    events: Events
    silence: float = 0.0

    def told(self) -> list[str]:
        """What came since the last time, an assignment each."""
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return lines

    def publish(self, event: Event) -> list[str]:
        self.events.publish(event)
        return self.told()


@asynccontextmanager
async def managed(tmp_path: Path, watchdog: float | None = None) -> AsyncIterator[Manager]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(path)
        receiving.setblocking(False)
        manager = Manager(receiving, Events())
        sources = Sources(
            samples.running, Metrics(), Recent(lambda: 0.0), lambda: None, never, lambda: manager.silence
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_manager, ServiceManager(path, watchdog), sources, manager.events)
            yield manager
            nursery.cancel_scope.cancel()


def to(address: str) -> Choice:
    return Choice(pool=(Target(Address(address, 5432), "db.internal"),))


async def test_a_life_is_told_in_order(tmp_path: Path) -> None:
    async with managed(tmp_path) as manager:
        tell = manager.publish
        assert tell(HttpOpened("health", "127.0.0.1:9090")) == ["STATUS=finding out where this runs"]
        assert tell(HttpOpened("admin", "127.0.0.1:9091")) == []
        assert tell(SelectionAwaited(("cloud.region",), "no answer", 2.0)) == [
            "STATUS=no environment yet, waiting for cloud.region: no answer"
        ]
        assert tell(EnvironmentChosen("on-prem", "production", "/e", "it matches")) == [
            "STATUS=environment on-prem"
        ]
        assert tell(Ready(0.3)) == ["READY=1"]
        assert tell(ChoiceChanged("orders", to("10.0.0.5"))) == [
            "STATUS=environment on-prem; orders: to 10.0.0.5:5432"
        ]
        assert tell(ChoiceChanged("users", Choice(why="all refused"))) == [
            "STATUS=environment on-prem; orders: to 10.0.0.5:5432; users: no usable address (all refused)"
        ]
        assert tell(DrainStarted("SIGTERM", 2))[0] == "STOPPING=1"


async def test_a_reload_is_told_with_its_time_and_a_refused_one_stays_in_the_status(tmp_path: Path) -> None:
    async with managed(tmp_path) as manager:
        manager.publish(EnvironmentChosen("on-prem", "production", "/e", "it matches"))
        manager.publish(ChoiceChanged("orders", to("10.0.0.5")))
        manager.publish(ChoiceChanged("removed", to("10.0.0.6")))
        began = monotonic_ns() // 1000
        reloading, when, *after = manager.publish(ReloadRefused("SIGHUP", ("/e/on-prem.yaml:7: hold",)))
        assert reloading == "RELOADING=1"
        assert began <= int(when.removeprefix("MONOTONIC_USEC=")) <= monotonic_ns() // 1000
        status = (
            "STATUS=environment on-prem; the last reload was refused: /e/on-prem.yaml:7: hold; orders: to"
        )
        assert after == ["READY=1", f"{status} 10.0.0.5:5432"]
        *_, ready, last = manager.publish(CatalogueReloaded("SIGHUP", ("removed: removed",)))
        assert (ready, last) == ("READY=1", "STATUS=environment on-prem; orders: to 10.0.0.5:5432")


def test_a_verdict_is_one_printable_line_of_bounded_length() -> None:
    verdict = Verdict()
    for number in range(100):
        verdict(ChoiceChanged(f"d{number}", Choice(why="evil\nREADY=1\x1b[2J")))
    assert "\n" not in str(verdict)
    assert str(verdict).isprintable()
    assert len(str(verdict)) <= LONGEST_STATUS


async def test_signs_of_life_come_twice_in_the_time_asked_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with managed(tmp_path, watchdog=30.0) as manager:
        await trio.sleep(61)
        assert manager.told() == ["WATCHDOG=1"] * 5
        manager.silence = LONGEST_SILENCE
        await trio.sleep(60)
        assert manager.told() == []
        manager.silence = 0.0
        await trio.sleep(15)
        assert manager.told() == ["WATCHDOG=1"]


async def test_what_a_busy_manager_did_not_take_comes_later(tmp_path: Path) -> None:
    async with managed(tmp_path) as manager:
        while not _is_full(tmp_path):
            pass
        manager.events.publish(Ready(0.3))
        with trio.fail_after(10):
            await _until(lambda: any(line == "READY=1" for line in manager.told()))


def _is_full(tmp_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        try:
            other.sendto(b"X=1", str(tmp_path / "notify"))
        except BlockingIOError:
            return True
    return False


async def _until(reached: Callable[[], bool]) -> None:
    while True:
        if reached():
            return
        await trio.sleep(0.01)


@pytest.mark.parametrize("watchdog", [None, 1.0])
async def test_without_a_watchdog_nothing_is_told_unasked(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, watchdog: float | None
) -> None:
    async with managed(tmp_path, watchdog) as manager:
        await trio.sleep(100)
        assert bool(manager.told()) == (watchdog is not None)
