"""What only the epoll engine promises: its thread, its sign of life, and its end."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable

import pytest
import trio

from dbambassador.forwarding import engines
from dbambassador.forwarding.relay.engine import Tapped
from dbambassador.forwarding.relay.epoll_engine import SWITCH_INTERVAL, EpollEngine, running
from dbambassador.forwarding.relay.stream_relay import StreamRelay
from tests.forwarding.relay.relaying import read_rest, relayed, tcp_pair


async def until(reached: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not reached():  # noqa: ASYNC110 - a thread has no event of trio's
            await trio.sleep(0.002)


async def test_this_system_has_the_epoll_engine() -> None:
    async with engines.running() as engine:
        assert isinstance(engine, EpollEngine)


async def test_systems_without_epoll_have_the_stream_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("select.epoll")
    async with engines.running() as engine:
        assert isinstance(engine, StreamRelay)


async def test_it_leaves_nothing_behind() -> None:
    descriptors, threads = os.listdir("/proc/self/fd"), threading.active_count()
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.003)
    with running() as engine:
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
        async with relayed(engine, tcp_pair) as session:
            await session.client.send_all(b"x")
            await session.server.receive_some(1)
    assert os.listdir("/proc/self/fd") == descriptors
    assert threading.active_count() == threads
    assert sys.getswitchinterval() == pytest.approx(0.003)
    sys.setswitchinterval(before)


async def test_taps_run_in_its_thread_and_tell_in_trios() -> None:
    seen: dict[str, int] = {}

    def tap(data: bytes) -> Tapped:
        seen["tap"] = threading.get_ident()
        return Tapped(data, done=True, tell=lambda: seen.update(tell=threading.get_ident()))

    with running() as engine:
        async with relayed(engine, tcp_pair, tap=tap) as session:
            await session.server.send_all(b"welcome")
            await session.client.receive_some(100)
            await until(lambda: "tell" in seen)
    assert seen["tell"] == threading.get_ident() != seen["tap"]


async def test_its_work_is_counted() -> None:
    with running() as engine:
        async with relayed(engine, tcp_pair) as session:
            before = engine.work()
            for _ in range(10):
                await session.client.send_all(b"x")
                assert await session.server.receive_some(1) == b"x"
            await until(lambda: engine.work().events >= before.events + 10)
            assert before.wakes < engine.work().wakes


async def test_its_silence_grows_while_it_is_stuck() -> None:
    stuck = threading.Event()

    def tap(data: bytes) -> Tapped:
        stuck.wait(10)
        return Tapped(data)

    with running() as engine:
        assert engine.silence() == 0.0
        await until(lambda: engine.silence() == 0.0)
        async with relayed(engine, tcp_pair, tap=tap) as session:
            await session.server.send_all(b"x")
            await until(lambda: engine.silence() > 0.05)
            stuck.set()
            await until(lambda: engine.silence() == 0.0)
            assert await session.client.receive_some(1) == b"x"


async def test_a_crash_ends_its_sessions_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as engine:
        async with relayed(engine, tcp_pair) as session:
            await session.client.send_all(b"x")
            await session.server.receive_some(1)
            monkeypatch.setattr(engine.loop, "_obey", lambda: 1 // 0)
            assert engine.crash is None
            engine.silence()
            for end in (session.client, session.server):
                assert await read_rest(end) == (b"", True)
            await session.ended.wait()
            assert isinstance(session.outcome, ZeroDivisionError)
        assert engine.crash is session.outcome
        assert engine.silence() == math.inf
        async with relayed(engine, tcp_pair) as refused:
            await refused.ended.wait()
            assert refused.outcome is engine.crash
            for end in (refused.client, refused.server):
                assert await read_rest(end) == (b"", True)


async def test_what_was_handed_over_before_a_crash_was_noticed_ends_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running() as engine:
        monkeypatch.setattr(engine.loop, "_obey", lambda: 1 // 0)
        async with relayed(engine, tcp_pair) as session:  # its own hand-over wakes the thread
            await session.ended.wait()
            assert isinstance(session.outcome, ZeroDivisionError)


async def test_first_bytes_are_sent_without_waiting_for_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as engine:
        stuck = threading.Event()

        def be_stuck() -> None:
            stuck.wait(10)

        engine.loop.post(be_stuck)
        try:
            async with relayed(engine, tcp_pair, to_client=b"welcome", to_server=b"query") as session:
                assert await session.client.receive_some(100) == b"welcome"
                assert await session.server.receive_some(100) == b"query"
                assert (session.link.traffic.to_client, session.link.traffic.to_server) == (7, 5)
                stuck.set()
        finally:
            stuck.set()
