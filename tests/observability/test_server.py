"""The two HTTP ports on real sockets."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import pytest
import trio

from dbambassador import events
from dbambassador.errors import CannotListen, UsageError
from dbambassador.events import (
    CatalogueReloaded,
    Event,
    HttpOpened,
    HttpSkipped,
    Reloaded,
    ReloadRefused,
    ReloadUntimely,
)
from dbambassador.observability import routes
from dbambassador.observability.metrics.metrics import Metrics
from dbambassador.observability.recent import Recent
from dbambassador.observability.routes import Sources, is_loopback
from dbambassador.observability.server import HttpAddresses, HttpSettings, serve_http
from dbambassador.transport.http import fetch
from dbambassador.transport.http_messages import Request, Response
from tests.observability import samples
from tests.observability.orders import never

FREE = HttpSettings(http_port=0, admin_port=0)


class Ambassador:
    """What the composition root holds, with a snapshot that a test may change."""

    def __init__(self, snapshot: dict[str, Any] | None = None) -> None:
        self.snapshot = samples.running() if snapshot is None else snapshot
        self.published: list[Event] = []
        self.quits = 0
        self.relay_silence = 0.0
        self.reloaded: Reloaded | None = None
        """None: a bug."""
        self.sources = Sources(
            lambda: self.snapshot,
            Metrics(),
            Recent(lambda: 5.0),
            self.quit,
            self.reload,
            lambda: self.relay_silence,
        )
        self.opened = HttpAddresses((), ())

    def quit(self) -> None:
        self.quits += 1

    async def reload(self, trigger: str) -> Reloaded:
        await trio.lowlevel.checkpoint()
        if self.reloaded is None:
            raise RuntimeError("reloading")
        return self.reloaded

    async def health(self, path: str, method: str = "GET", **headers: str) -> Response:
        return await self._ask(self.opened.health[0], method, path, headers)

    async def admin(self, path: str, method: str = "GET", **headers: str) -> Response:
        return await self._ask(self.opened.admin[0], method, path, headers)

    async def _ask(
        self, place: tuple[str, int], method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        answer = await fetch(*place, method, path, timeout=10, headers=tuple((headers or {}).items()))
        assert isinstance(answer, Response), answer
        return answer


@asynccontextmanager
async def running(
    snapshot: dict[str, Any] | None = None, settings: HttpSettings = FREE
) -> AsyncIterator[Ambassador]:
    ambassador = Ambassador(snapshot)
    async with trio.open_nursery() as nursery:
        ambassador.opened = await nursery.start(
            serve_http, settings, ambassador.sources, ambassador.published.append
        )
        yield ambassador
        nursery.cancel_scope.cancel()


def phase(name: str, ready: bool) -> dict[str, Any]:
    return {**samples.running(), "phase": name, "ready": ready}


@pytest.mark.parametrize(
    ("snapshot", "startup", "readiness", "why"),
    [
        (phase("running", True), 200, 200, b"ok\n"),
        (phase("running", False), 503, 503, b"not listening yet\n"),
        (phase("draining", True), 200, 503, b"shutting down\n"),
        (phase("locating", False), 503, 503, b"finding out where this runs\n"),
        (
            samples.awaiting(),
            503,
            503,
            b"waiting for k8s.node.label.tier: the API server did not answer\n",
        ),
    ],
)
async def test_startup_readiness_liveness(
    snapshot: dict[str, Any], startup: int, readiness: int, why: bytes
) -> None:
    async with running(snapshot) as ambassador:
        assert (await ambassador.health("/startup")).status == startup
        answer = await ambassador.health("/readiness")
        assert (answer.status, answer.body) == (readiness, why)
        answer = await ambassador.health("/liveness")
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert (await ambassador.health("/readiness", "HEAD")).body == b""


async def test_a_relay_engine_that_does_not_answer_is_dead() -> None:
    async with running() as ambassador:
        for silence, status in ((0.0, 200), (9.9, 200), (10.0, 503), (math.inf, 503)):
            ambassador.relay_silence = silence
            assert (await ambassador.health("/liveness")).status == status
        assert (await ambassador.health("/readiness")).status == 200


async def test_readiness_does_not_depend_on_a_database() -> None:
    snapshot = samples.running()
    del snapshot["databases"][0]
    async with running(snapshot) as ambassador:
        assert (await ambassador.health("/readiness")).status == 200


async def test_the_health_port_has_these_four_paths_only() -> None:
    async with running() as ambassador:
        for path in ("/", "/status", "/quitquitquit", "/reload", "/Startup", "/startup/"):
            assert (await ambassador.health(path)).status == 404
            assert (await ambassador.health(path, "POST")).status == 404
        answer = await ambassador.health("/startup", "POST")
        assert (answer.status, dict(answer.headers)["allow"]) == (405, "GET, HEAD")
        assert (await ambassador.health("/startup?verbose=1")).status == 200


async def test_metrics() -> None:
    async with running() as ambassador:
        ambassador.sources.metrics(events.CancelForwarded("orders", True))
        answer = await ambassador.health("/metrics")
        assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
        assert b'dbambassador_cancels_total{database="orders",found="true"} 1\n' in answer.body
        answer = await ambassador.health("/metrics", accept="application/openmetrics-text")
        assert answer.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert answer.body.endswith(b"\n# EOF\n")


def schema() -> dict[str, Any]:
    file = resources.files("dbambassador.commands") / "schemas" / "status.schema.json"
    loaded: dict[str, Any] = json.loads(file.read_text())
    return loaded


@pytest.mark.parametrize("snapshot", [samples.running(), samples.awaiting()], ids=["running", "awaiting"])
async def test_status_keeps_its_schema(snapshot: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    async with running(snapshot) as ambassador:
        ambassador.sources.recent(events.Ready(0.4))
        answer = await ambassador.admin("/status")
        assert (answer.status, answer.content_type) == (200, "application/json")
        found = json.loads(answer.body)
        jsonschema.validate(found, schema(), jsonschema.Draft202012Validator)
        assert found == {
            **snapshot,
            "recent": [samples.event("ready for connections after 0.4 s")],
        }


def test_the_schema_refuses_what_is_no_snapshot() -> None:
    good = {**samples.running(), "recent": []}
    for key in good:
        bad = {name: value for name, value in good.items() if name != key}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema(), jsonschema.Draft202012Validator)


async def test_a_time_without_end_is_null() -> None:
    snapshot = samples.running()
    snapshot["databases"][0]["targets"]["ttl_seconds"] = float("inf")
    async with running(snapshot) as ambassador:
        found = json.loads((await ambassador.admin("/status")).body)
        assert found["databases"][0]["targets"]["ttl_seconds"] is None
        assert (await ambassador.admin("/")).status == 200


async def test_the_page() -> None:
    async with running() as ambassador:
        answer = await ambassador.admin("/")
        assert (answer.status, answer.content_type) == (200, "text/html; charset=utf-8")
        assert b"production-aws" in answer.body
        assert "frame-ancestors 'none'" in dict(answer.headers)["content-security-policy"]


async def test_orders_are_taken_by_post_alone() -> None:
    async with running() as ambassador:
        for path in ("/quitquitquit", "/reload"):
            for method in ("GET", "HEAD", "PUT", "OPTIONS"):
                answer = await ambassador.admin(path, method)
                assert (answer.status, dict(answer.headers)["allow"]) == (405, "POST")
        assert (await ambassador.admin("/", "POST")).status == 405
        assert ambassador.quits == 0
        answer = await ambassador.admin("/quitquitquit", "POST")
        assert (answer.status, answer.body, ambassador.quits) == (200, b"shutting down\n", 1)


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (CatalogueReloaded("", ("orders: hold", "reports: added")), (200, b"orders: hold\nreports: added\n")),
        (CatalogueReloaded("", ()), (200, b"nothing is served otherwise than before\n")),
        (ReloadRefused("", ("a.yaml: found \x1b[2J", "b.yaml")), (422, b"a.yaml: found \\x1b[2J\nb.yaml\n")),
        (ReloadUntimely("", "shutting down"), (409, b"shutting down\n")),
        (None, (500, b"a bug; see the log\n")),
    ],
)
async def test_a_reload_is_answered_once_it_is_done(
    outcome: Reloaded | None, answer: tuple[int, bytes]
) -> None:
    async with running() as ambassador:
        ambassador.reloaded = outcome
        answered = await ambassador.admin("/reload", "POST")
        assert (answered.status, answered.body) == answer


@pytest.mark.parametrize(
    "head",
    [
        b"Host: attacker.example\r\n",
        b"Host: attacker.example:9091\r\n",
        b"Host: 127.0.0.1.attacker.example\r\n",
        b"Host: localhost@attacker.example\r\n",
        b"Host: 10.0.0.1\r\n",
        b"Host: \r\n",
        b"Host: localhost\r\nOrigin: http://attacker.example\r\n",
        b"Host: localhost\r\nOrigin: http://localhost:9091\r\n",
        b"Host: localhost\r\nOrigin: null\r\n",
        b"Host: localhost\r\nOrigin: \r\n",
    ],
)
async def test_a_web_page_does_not_reach_the_admin_port(head: bytes) -> None:
    async with running() as ambassador:
        for line in (b"POST /quitquitquit", b"POST /reload", b"GET /status", b"GET /", b"GET /nowhere"):
            async with await trio.open_tcp_stream(*ambassador.opened.admin[0]) as stream:
                await stream.send_all(line + b" HTTP/1.1\r\n" + head + b"Content-Length: 0\r\n\r\n")
                with trio.fail_after(5):
                    assert (await stream.receive_some()).startswith(b"HTTP/1.1 403 ")
        assert ambassador.quits == 0


async def test_http_1_0_without_a_host_is_refused() -> None:
    async with running() as ambassador, await trio.open_tcp_stream(*ambassador.opened.admin[0]) as stream:
        await stream.send_all(b"GET /status HTTP/1.0\r\n\r\n")
        with trio.fail_after(5):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost:9091", True),
        ("127.0.0.1", True),
        ("127.8.9.1:80", True),
        ("[::1]", True),
        ("[::1]:9091", True),
        ("::1", False),
        ("[::1", False),
        ("[::1]9091", False),
        ("[localhost", False),
        ("localhost:", True),
        ("localhost:9091:1", False),
        ("localhost:x", False),
        ("localhost.", False),
        ("0.0.0.0", False),
        ("192.168.1.1:9091", False),
        ("", False),
    ],
)
def test_loopback_hosts(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


async def test_a_bug_in_a_page_is_told_and_ends_nothing() -> None:
    async with running({}) as ambassador:
        assert (await ambassador.admin("/")).status == 500
        assert (await ambassador.health("/readiness")).status == 500
        assert (await ambassador.health("/liveness")).status == 200
    crashes = [event for event in ambassador.published if isinstance(event, events.RequestCrashed)]
    assert [(crash.purpose, crash.path) for crash in crashes] == [("admin", "/"), ("health", "/readiness")]


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


async def test_addresses() -> None:
    both = {"127.0.0.1", "::1"} if has_ipv6() else {"127.0.0.1"}
    async with running() as ambassador:
        assert {host for host, _ in ambassador.opened.health} == {"127.0.0.1"}
        assert {host for host, _ in ambassador.opened.admin} == both
        assert len({port for _, port in ambassador.opened.admin}) == 1
        assert sum(isinstance(event, HttpOpened) for event in ambassador.published) == 1 + len(both)
    async with running(
        settings=HttpSettings(http_address="localhost", http_port=0, admin_port=0)
    ) as ambassador:
        assert {host for host, _ in ambassador.opened.health} == both
    async with running(
        settings=HttpSettings(http_address="0.0.0.0", http_port=0, admin_port=0)
    ) as ambassador:
        assert {host for host, _ in ambassador.opened.health} == {"0.0.0.0"}
        assert {host for host, _ in ambassador.opened.admin} == both


@pytest.fixture
def taken() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_taken_port_that_was_not_asked_for_is_skipped(taken: int) -> None:
    async with running(settings=HttpSettings(http_port=taken, admin_port=0)) as ambassador:
        assert ambassador.opened.health == ()
        assert (await ambassador.admin("/status")).status == 200
    assert HttpSkipped("health", f"127.0.0.1:{taken}", "address already in use") in ambassador.published


@pytest.mark.parametrize("purpose", ["health", "admin"])
async def test_a_taken_port_that_was_asked_for_is_an_error(taken: int, purpose: str) -> None:
    if purpose == "health":
        settings = HttpSettings(http_port=taken, admin_port=0, http_asked=True)
    else:
        settings = HttpSettings(http_port=0, admin_port=taken, admin_asked=True)
    with pytest.raises(
        CannotListen, match=f"{purpose} port on 127.0.0.1:{taken}.*perhaps another program"
    ) as found:
        await serve_http(settings, Ambassador().sources, lambda _: None)
    assert f"sport = :{taken}" in found.value.hint


async def test_an_address_of_another_host_is_an_error() -> None:
    settings = HttpSettings(http_address="192.0.2.1", http_port=0, admin_port=0, http_asked=True)
    with pytest.raises(CannotListen, match="cannot assign requested address"):
        await serve_http(settings, Ambassador().sources, lambda _: None)


async def test_both_on_one_port_is_refused() -> None:
    with pytest.raises(UsageError, match="both 9999"):
        await serve_http(HttpSettings(http_port=9999, admin_port=9999), Ambassador().sources, lambda _: None)


async def test_a_request_to_a_proxy_needs_a_loopback_host_as_well() -> None:
    async with running() as ambassador, await trio.open_tcp_stream(*ambassador.opened.admin[0]) as stream:
        await stream.send_all(b"POST http://evil.example/quitquitquit HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 403 ")
        assert ambassador.quits == 0


@pytest.mark.parametrize(("port", "path"), [("health", "/metrics"), ("admin", "/status"), ("admin", "/")])
def test_a_crowd_shares_an_answer(port: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(routes, "monotonic", lambda: now)
    asked = 0

    def snapshot() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return samples.running()

    sources = Sources(snapshot, Metrics(), Recent(lambda: 5.0), lambda: None, never)
    handler = routes.Health if port == "health" else routes.Admin
    answer = handler(sources, lambda _: None)
    alone = Request("GET", path, headers=(("host", "localhost"),))
    crowded = replace(alone, crowded=True)
    first = answer(crowded)
    now += routes.SHARED
    assert answer(crowded) is first
    assert asked == 1
    answer(alone)
    assert asked == 2
    now += 1.01 * routes.SHARED
    answer(crowded)
    assert asked == 3


async def test_200_requests_at_once_and_slow_clients_leave_liveness_alive() -> None:
    async with running() as ambassador, trio.open_nursery() as nursery:
        place = ambassador.opened.health[0]
        slow = [await trio.open_tcp_stream(*place) for _ in range(80)]
        for stream in slow:
            await stream.send_all(b"GET /liveness HTTP/1.1\r\n")
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append((await ambassador.health("/liveness")).status)

        async with trio.open_nursery() as crowd:
            for _ in range(200):
                crowd.start_soon(ask)
        assert statuses == [200] * 200
        for stream in slow:
            nursery.start_soon(trio.aclose_forcefully, stream)
