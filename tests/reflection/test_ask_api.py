"""The API through the real child process, the real client and real TLS."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trustme

from dbambassador.reflection import ask_api
from dbambassador.reflection.api_questions import Object, Question
from dbambassador.reflection.ask_api import ask
from dbambassador.reflection.findings import Findings
from dbambassador.values import Confidence, Facts, State
from tests.reflection.api_server import (
    NAMESPACE,
    NODE,
    ApiServer,
    Behaviour,
    Stream,
    answers,
    api_server,
    drips,
    hangs,
    pod_files,
    refuses,
)

NODE_PATH, NAMESPACE_PATH = "/api/v1/nodes/worker-3", "/api/v1/namespaces/shop"
BOTH = (
    (Object.NAMESPACE, "shop", Confidence.STRONG),
    (Object.NODE, "worker-3", Confidence.STRONG),
)
FORBIDDEN = (
    'nodes "worker-3" is forbidden: User "system:serviceaccount:shop:orders" cannot get resource "nodes" '
    'in API group "" at the cluster scope'
)


def children() -> set[int]:
    """Processes whose parent this one is, zombies too."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == os.getpid():
            found.add(int(entry.parent.name))
    return found


@pytest.fixture(autouse=True)
def _no_child_remains() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def about(server: ApiServer, root: Path, *objects: tuple[Object, str, Confidence]) -> Question:
    return Question("127.0.0.1", str(server.port), str(pod_files(root)), objects or BOTH[1:])


def learned(findings: Findings) -> Facts:
    return Facts.of(findings.facts, findings.families)


async def outcome(behaviour: Behaviour, root: Path, **how: object) -> tuple[str, bool]:
    """Why the node's labels are unknown, and whether another attempt may tell."""
    async with api_server({NODE_PATH: behaviour}, **how) as server:  # type: ignore[arg-type]
        facts = learned(await ask(about(server, root)))
    for name in ("k8s.node.label.x", "cloud.region", "cloud.provider", "cloud.availability_zone"):
        assert facts.get(name).unknown, name
    label = facts.get("k8s.node.label.x")
    assert facts.get("cloud.region").retryable is label.retryable
    assert "signature" not in repr(facts)
    assert label.reason.isprintable()
    return label.reason, label.retryable


async def test_node_and_namespace(tmp_path: Path) -> None:
    behaviours = {NODE_PATH: answers(200, NODE), NAMESPACE_PATH: answers(200, NAMESPACE)}
    async with api_server(behaviours) as server:
        facts = learned(await ask(about(server, tmp_path, *BOTH)))
    assert sorted(server.paths) == [NAMESPACE_PATH, NODE_PATH]
    assert all(b"authorization: bearer header.payload.signature\r\n" in r.lower() for r in server.requests)
    for name, value in {
        "k8s.node.label.kubernetes.io/os": "linux",
        "k8s.namespace.label.environment": "production",
        "cloud.region": "eu-west-1",
        "cloud.availability_zone": "eu-west-1b",
        "cloud.provider": "aws",
        "dbambassador.node.provider_id_scheme": "aws",
    }.items():
        assert (facts.get(name).value, facts.get(name).confidence) == (value, Confidence.STRONG), name
    assert facts.get("k8s.node.label.other").state is State.ABSENT
    assert facts.get("k8s.namespace.label.other").state is State.ABSENT
    assert facts.get("k8s.node.label.kubernetes.io/os").source == f"Kubernetes API, GET {NODE_PATH}"


async def test_a_node_without_labels_or_provider_is_no_evidence_of_having_no_cloud(tmp_path: Path) -> None:
    async with api_server({NODE_PATH: answers(200, {"metadata": {"name": "worker-3"}})}) as server:
        facts = learned(await ask(about(server, tmp_path)))
    assert facts.get("k8s.node.label.x").state is State.ABSENT
    for name in ("cloud.region", "cloud.availability_zone", "cloud.provider"):
        assert facts.get(name).unknown
        assert not facts.get(name).retryable


async def test_an_answer_is_trusted_no_further_than_the_name_that_was_asked_for(tmp_path: Path) -> None:
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        facts = learned(await ask(about(server, tmp_path, (Object.NODE, "worker-3", Confidence.HINT))))
    assert facts.get("cloud.region").confidence is Confidence.HINT


async def test_401(tmp_path: Path) -> None:
    reason, retryable = await outcome(refuses(401, "Unauthorized"), tmp_path)
    assert f"GET {NODE_PATH}: 401 Unauthorized: the service account's token is expired" in reason
    assert not retryable


async def test_403_tells_the_exact_permission(tmp_path: Path) -> None:
    reason, retryable = await outcome(refuses(403, FORBIDDEN), tmp_path)
    assert (
        "403 Forbidden; to allow it: kubectl create clusterrole dbambassador-node-reader --verb=get "
        "--resource=nodes && kubectl create clusterrolebinding dbambassador-node-reader-shop-orders "
        "--clusterrole=dbambassador-node-reader --serviceaccount=shop:orders"
    ) in reason
    assert not retryable


async def test_403_of_a_namespace_needs_a_role_only(tmp_path: Path) -> None:
    message = 'namespaces "shop" is forbidden: User "system:serviceaccount:shop:orders" cannot get resource'
    async with api_server({NAMESPACE_PATH: refuses(403, message)}) as server:
        facts = learned(await ask(about(server, tmp_path, BOTH[0])))
    fact = facts.get("k8s.namespace.label.environment")
    assert (
        "kubectl -n shop create role dbambassador-namespace-reader --verb=get --resource=namespaces "
        "--resource-name=shop && kubectl -n shop create rolebinding dbambassador-namespace-reader "
        "--role=dbambassador-namespace-reader --serviceaccount=shop:orders"
    ) in fact.reason
    assert not fact.retryable
    assert "cloud.region" not in facts.exact


async def test_404(tmp_path: Path) -> None:
    reason, retryable = await outcome(refuses(404, 'nodes "worker-3" not found'), tmp_path)
    assert "404 Not Found: no such node; k8s.node.name may be wrong" in reason
    assert not retryable


@pytest.mark.parametrize("status", [429, 500, 503, 504])
async def test_an_overloaded_server_may_answer_later(status: int, tmp_path: Path) -> None:
    reason, retryable = await outcome(answers(status, b"<html>", "Retry-After: 3600\r\n"), tmp_path)
    assert f" {status} " in reason
    assert retryable


@pytest.mark.parametrize("behaviour", [hangs, drips])
async def test_a_slow_server_has_a_second(behaviour: Behaviour, tmp_path: Path) -> None:
    started = trio.current_time()
    reason, retryable = await outcome(behaviour, tmp_path)
    assert "no answer in time (1 s)" in reason
    assert retryable
    assert trio.current_time() - started < ask_api.DEADLINE


async def test_a_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        server = ApiServer(reserved.getsockname()[1])
        facts = learned(await ask(about(server, tmp_path)))
    fact = facts.get("k8s.node.label.x")
    assert "no connection" in fact.reason
    assert "refused" in fact.reason
    assert fact.retryable


async def cut_in_the_body(stream: Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


async def cut_before_the_status(stream: Stream) -> None:
    """Leaves without a word."""


async def cut_in_a_chunk(stream: Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n{")


@pytest.mark.parametrize("behaviour", [cut_in_the_body, cut_before_the_status, cut_in_a_chunk])
async def test_an_answer_that_is_cut_off(behaviour: Behaviour, tmp_path: Path) -> None:
    reason, retryable = await outcome(behaviour, tmp_path)
    assert "cut off" in reason
    assert retryable


async def no_http(stream: Stream) -> None:
    await stream.send_all(b"\x00\xff" * 100 + b"\r\n\r\n")


@pytest.mark.parametrize(
    "behaviour",
    [
        no_http,
        answers(200, b"\xff\x00 junk"),
        answers(200, b"[" * 100_000),
        answers(200, []),
        answers(200, {"metadata": {"name": "another"}}),
        answers(200, {"metadata": {"name": "worker-3", "labels": ["x"]}}),
        answers(200, {"metadata": {"name": "worker-3", "labels": {"x": 1}}}),
    ],
)
async def test_garbage(behaviour: Behaviour, tmp_path: Path) -> None:
    reason, retryable = await outcome(behaviour, tmp_path)
    assert "makes sense" in reason or "not one of a Kubernetes API" in reason
    assert not retryable


async def test_labels_that_no_cluster_would_have(tmp_path: Path) -> None:
    labels = {"evil": "\x1b[2J", "long": "x" * 2_000_000, "key with spaces": "x", "good": "y"}
    node = {"metadata": {"name": "worker-3", "labels": labels}}
    async with api_server({NODE_PATH: answers(200, node)}) as server:
        facts = learned(await ask(about(server, tmp_path)))
    # A megabyte of labels is more than the child may say.
    assert facts.get("k8s.node.label.good").unknown
    labels["long"] = "x" * 10_000
    async with api_server({NODE_PATH: answers(200, node)}) as server:
        facts = learned(await ask(about(server, tmp_path)))
    assert facts.get("k8s.node.label.good").value == "y"
    assert facts.get("k8s.node.label.evil").unknown
    assert facts.get("k8s.node.label.long").unknown


async def floods(stream: Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
    for _ in range(50):
        await stream.send_all(b"x" * 1024 * 1024)


async def test_fifty_megabytes(tmp_path: Path) -> None:
    reason, retryable = await outcome(floods, tmp_path)
    assert "too large" in reason or "in time" in reason
    assert retryable is ("in time" in reason)


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async with api_server({"/": answers(200, NODE)}) as other:
        location = f"Location: https://127.0.0.1:{other.port}/\r\n"
        reason, retryable = await outcome(answers(302, b"", location), tmp_path)
    assert "302" in reason
    assert not retryable
    assert other.requests == []


@pytest.mark.parametrize("how", [{"authority": trustme.CA()}, {"name": "10.0.0.1"}])
async def test_a_certificate_of_another_authority_or_server(how: dict[str, object], tmp_path: Path) -> None:
    reason, retryable = await outcome(answers(200, NODE), tmp_path, **how)
    assert "certificate was not accepted" in reason
    assert not retryable


async def test_a_server_without_tls(tmp_path: Path) -> None:
    async def shout(stream: Stream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await stream.receive_some()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = ApiServer(listener.socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, shout, [listener])
        fact = learned(await ask(about(server, tmp_path))).get("k8s.node.label.x")
        nursery.cancel_scope.cancel()
    assert "not TLS" in fact.reason
    assert not fact.retryable


@pytest.mark.parametrize("token", [None, b"", b"a b", b"a\r\nX-Injected: 1", b"\xff", b"x" * 70_000])
async def test_without_a_usable_token_nothing_is_asked(token: bytes | None, tmp_path: Path) -> None:
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        question = about(server, tmp_path)
        file = pod_files(tmp_path, token or b"") / "var/run/secrets/kubernetes.io/serviceaccount/token"
        if token is None:
            file.unlink()
        fact = learned(await ask(question)).get("k8s.node.label.x")
    assert "no usable service account token (/var/run/secrets/" in fact.reason
    assert "Injected" not in fact.reason
    assert not fact.retryable
    assert server.requests == []


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff"])
async def test_without_a_usable_authority_nothing_is_asked(content: bytes, tmp_path: Path) -> None:
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        question = about(server, tmp_path)
        (tmp_path / "var/run/secrets/kubernetes.io/serviceaccount/ca.crt").write_bytes(content)
        fact = learned(await ask(question)).get("k8s.node.label.x")
    assert "no usable CA certificate" in fact.reason
    assert server.requests == []


async def test_proxies_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        facts = learned(await ask(about(server, tmp_path)))
    assert facts.get("cloud.region").present


# What the child itself may do wrong, played by a program of the test's.


async def played(program: str, root: Path, monkeypatch: pytest.MonkeyPatch, deadline: float = 10) -> Facts:
    monkeypatch.setattr(ask_api, "COMMAND", (sys.executable, "-c", program))
    return learned(await ask(about(ApiServer(1), root), deadline=deadline))


async def test_a_child_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    started = trio.current_time()
    fact = (await played(program, tmp_path, monkeypatch, deadline=0.5)).get("k8s.node.label.x")
    assert trio.current_time() - started < 5
    assert fact.reason == "the Kubernetes API was not heard within 0.5 s"
    assert fact.retryable


async def test_a_child_without_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    fact = (await played(program, tmp_path, monkeypatch)).get("k8s.node.label.x")
    assert fact.reason == "the process that asks the Kubernetes API answered without end"
    assert not fact.retryable


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit(7)", "ended with exit code 7"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9; is memory short?"),
        ("pass", "gave no answer that makes sense"),
        ("print('[]')", "gave no answer that makes sense"),
        ("print('[' * 100000)", "gave no answer that makes sense"),
        ("print('{}')", "gave no answer that makes sense"),
        ('print(\'{"node": {"outcome": "status", "status": "x"}}\')', "gave no answer that makes sense"),
        ('print(\'{"node": {"outcome": "ok", "labels": 1}}\')', "gave no answer that makes sense"),
    ],
)
async def test_a_child_that_fails(
    program: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fact = (await played(program, tmp_path, monkeypatch)).get("k8s.node.label.x")
    assert reason in fact.reason
    assert not fact.retryable


async def test_a_child_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_api, "COMMAND", (str(tmp_path / "none"),))
    fact = learned(await ask(about(ApiServer(1), tmp_path))).get("k8s.node.label.x")
    assert fact.reason.startswith("cannot start the process that asks the Kubernetes API")


async def test_cancelling_leaves_no_child(tmp_path: Path) -> None:
    async with api_server({NODE_PATH: hangs}) as server:
        with trio.move_on_after(0.2) as scope:
            await ask(about(server, tmp_path))
    assert scope.cancelled_caught


async def test_the_child_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    program = (
        "import json, os; print(json.dumps({'node': {'outcome': 'status', 'status': 418, "
        "'detail': ' '.join(sorted(os.environ))}}))"
    )
    reason = (await played(program, tmp_path, monkeypatch)).get("k8s.node.label.x").reason
    assert "PYTHONPATH" in reason
    assert "PGPASSWORD" not in reason
    assert "PROXY" not in reason.upper()


def test_the_child_takes_no_module_from_the_working_directory(tmp_path: Path) -> None:
    """`python -m` puts it on the path of the asking process."""
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "urllib3.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    (trap / "asking.py").write_text(
        "import trio\n"
        "from dbambassador.reflection.api_questions import Object, Question\n"
        "from dbambassador.reflection.ask_api import ask\n"
        "from dbambassador.values import Confidence\n"
        "objects = ((Object.NODE, 'worker-3', Confidence.STRONG),)\n"
        f"print(trio.run(ask, Question('127.0.0.1', '1', {str(pod_files(tmp_path))!r}, objects)))\n"
    )
    command = [sys.executable, "-m", "asking"]
    environ = {**os.environ, "PYTHONPATH": str(Path(ask_api.__file__).parents[2])}
    told = subprocess.run(command, cwd=trap, env=environ, capture_output=True, timeout=30, check=True).stdout
    assert b"no connection" in told
    assert not (tmp_path / "sprung").exists()


def test_the_asking_process_never_loads_the_client(tmp_path: Path) -> None:
    program = (
        "import sys, trio\n"
        "import dbambassador.locate\n"
        "from dbambassador.reflection.ask_api import ask\n"
        "from dbambassador.reflection.api_questions import Object, Question\n"
        "from dbambassador.values import Confidence\n"
        "node = (Object.NODE, 'n', Confidence.STRONG)\n"
        f"q = Question('127.0.0.1', '1', {str(pod_files(tmp_path))!r}, (node,))\n"
        "print(trio.run(ask, q).families[0].reason)\n"
        "print(sorted({'kubernetes', 'urllib3', 'pydantic', 'asyncio'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    reason, modules = done.stdout.splitlines()
    assert "no connection" in reason
    assert modules == "[]"
