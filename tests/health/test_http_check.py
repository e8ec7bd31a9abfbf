"""Checks over HTTP, of a server that answers as Patroni does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trio

from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.settings.schema import HttpCheck, Protocol, TargetSessionAttrs
from dbambassador.values import Address
from tests.health.checking import database, no_descriptor_left, probe, stub

DATABASE_PORT = 5432
"""Nobody listens there: an HTTP check does not touch the database."""

RUNNING = {"state": "running", "role": "replica", "server_version": 160004, "timeline": 3}


@dataclass
class Patroni:
    """Its answers by path, and the requests it had."""

    port: int
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Patroni]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            patroni.requests.append(
                (self.requestline, {key.lower(): value for key, value in self.headers.items()})
            )
            status, body = patroni.answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if 300 <= status < 400:
                self.send_header("Location", "/primary")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    patroni = Patroni(server.server_address[1])
    patroni.answers = {
        "/primary": (200, json.dumps({**RUNNING, "role": "primary"}).encode()),
        "/replica": (200, json.dumps(RUNNING).encode()),
        "/no-longer": (503, json.dumps(RUNNING).encode()),
        "/text": (503, b"Galera cluster node is not synced.\r\n"),
        "/strange": (500, json.dumps([1]).encode()),
        "/deep": (500, b"[" * 60_000),
        "/elsewhere": (302, b""),
        "/teapot": (418, json.dumps({"role": 1, "state": "s" * 100}).encode()),
        "/huge": (200, bytes(70_000)),
        "/empty": (204, b""),
    }
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield patroni
    server.shutdown()
    thread.join()
    server.server_close()


async def seen(port: int, path: str, wanted: TargetSessionAttrs = TargetSessionAttrs.ANY) -> Evidence:
    asked = database(Protocol.POSTGRESQL, http=HttpCheck(port, path), wanted=wanted)
    evidence = await probe(asked, Address("127.0.0.1", DATABASE_PORT))
    assert evidence is not None
    assert evidence.address.port == DATABASE_PORT
    return evidence


@pytest.mark.parametrize(
    ("wanted", "role"),
    [
        (TargetSessionAttrs.READ_WRITE, Role.PRIMARY),
        (TargetSessionAttrs.PRIMARY, Role.PRIMARY),
        (TargetSessionAttrs.READ_ONLY, Role.STANDBY),
        (TargetSessionAttrs.STANDBY, Role.STANDBY),
        (TargetSessionAttrs.ANY, Role.UNKNOWN),
        (TargetSessionAttrs.PREFER_STANDBY, Role.UNKNOWN),
    ],
)
async def test_success_means_the_role_that_is_wanted(
    endpoint: Patroni, wanted: TargetSessionAttrs, role: Role
) -> None:
    evidence = await seen(endpoint.port, "/primary", wanted)
    assert (evidence.signal, evidence.role) == (Signal.ANSWERED, role)
    assert evidence.detail == f"HTTP 200 from :{endpoint.port}/primary, role primary, state running"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/no-longer", "HTTP 503 from {}/no-longer, role replica, state running"),
        ("/text", "HTTP 503 from {}/text"),
        ("/strange", "HTTP 500 from {}/strange"),
        ("/deep", "HTTP 500 from {}/deep"),
        ("/elsewhere", "HTTP 302 from {}/elsewhere"),
        ("/teapot", "HTTP 418 from {}/teapot, state " + "s" * 39 + "…"),
        ("/huge", "the answer is larger than 65536 bytes (health endpoint {})"),
    ],
)
async def test_anything_else_is_a_failure(endpoint: Patroni, path: str, told: str) -> None:
    evidence = await seen(endpoint.port, path, TargetSessionAttrs.PRIMARY)
    assert (evidence.signal, evidence.role) == (Signal.FAILED, Role.UNKNOWN)
    assert evidence.detail == told.format(f":{endpoint.port}")


async def test_an_empty_success(endpoint: Patroni) -> None:
    assert (await seen(endpoint.port, "/empty")).signal is Signal.ANSWERED


async def test_the_request(endpoint: Patroni) -> None:
    await seen(endpoint.port, "/replica")
    line, headers = endpoint.requests[-1]
    assert line == "GET /replica HTTP/1.1"
    assert headers == {"host": f"127.0.0.1:{endpoint.port}", "connection": "close"}


async def test_nobody_there() -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        evidence = await seen(port, "/")
    assert (evidence.signal, evidence.detail) == (
        Signal.FAILED,
        f"connection refused (health endpoint :{port})",
    )


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
)
async def test_what_is_no_http_answer_fails(answer: bytes) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        await stream.send_all(answer)

    async with stub(talk) as address:
        evidence = await seen(address.port, "/")
    assert evidence.signal is Signal.FAILED


async def test_without_descriptors_nothing_is_said(endpoint: Patroni) -> None:
    asked = database(Protocol.TCP, http=HttpCheck(endpoint.port, "/primary"))
    with no_descriptor_left():
        assert await probe(asked, Address("127.0.0.1", DATABASE_PORT)) is None
