"""Staying against exiting: what did not answer is waited for, what refused ends it at once; and a tenth of a
CPU is enough for both."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import trio

from dbambassador.demo.ports import free_port
from dbambassador.reflection import ask_api
from tests.reflection.api_server import (
    NODE,
    Stream,
    answered,
    answers,
    api_server,
    hangs,
    pod_files,
    refuses,
)
from tests.reflection.places import POD
from tests.testbed.cgroup import share_of_a_cpu
from tests.testbed.processes import Ambassador, StartAmbassador, command

REGION = "k8s.node.label.topology.kubernetes.io/region"
ENVIRONMENT = """\
environment: production
match: {{matchFacts: {{dbambassador.platform: kubernetes, {region}: eu-west-1}}}}
databases:
  orders: {{protocol: postgresql, listen: ["127.0.0.1:{port}"], endpoint: "127.0.0.1:1"}}
"""
NODE_PATH = "/api/v1/nodes/worker-3"

SILENCE = 40.0
"""Seconds without an answer."""

LONGEST_RETRY = 15.0 + ask_api.DEADLINE
"""Seconds from the moment the API answers until it must have been asked again and heard."""


class Pod:
    """A place in which only the API can tell the environment, and the process in it."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.environments = directory / "environments"
        self.environments.mkdir()
        text = ENVIRONMENT.format(region=REGION, port=self.port)
        (self.environments / "only.yaml").write_text(text)
        self.root = pod_files(POD.build(directory / "root"))
        self.last_words = self.root / "dev" / "termination-log"
        self.last_words.parent.mkdir()
        self.last_words.touch()

    def start(
        self, ambassador: StartAmbassador, api: dict[str, str], prefix: list[str] | None = None
    ) -> Ambassador:
        flags = ("--environments", self.environments, "--root", self.root)
        return ambassador(*flags, variables={**POD.environ, **api}, prefix=prefix or [], ready=False)

    def listens(self) -> bool:
        with closing(socket.socket()) as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.mark.waits
@pytest.mark.timeout(SILENCE + LONGEST_RETRY + 60)
async def test_an_api_that_answers_only_after_40_s_is_waited_for(
    ambassador: StartAmbassador, tmp_path: Path
) -> None:
    """In every way in which something can fail to answer, one after the other."""
    pod = Pod(tmp_path)
    began = trio.current_time()
    ways = [refuses(500, "etcdserver: request timed out"), hangs, refuses(429, "too many"), refuses(503, "")]
    turns = 0
    silent = True  # until this test has looked for the last time, so that no answer falls in between

    async def behave(stream: Stream) -> None:
        nonlocal turns
        if not silent:
            await stream.send_all(answered(200, NODE))
            return
        turns += 1
        await ways[turns % len(ways)](stream)

    async with api_server({NODE_PATH: behave}) as server:
        running = pod.start(ambassador, server.environ)
        await trio.to_thread.run_sync(running.wait_for, "waiting for")
        while trio.current_time() - began < SILENCE:
            assert running.process.exit_code is None
            code, told = await trio.to_thread.run_sync(running.get, "/startup")
            assert code == 503
            assert f"waiting for {REGION}" in told
            assert "Kubernetes API" in told
            assert (await trio.to_thread.run_sync(running.get, "/readiness"))[0] == 503
            # Nothing restarts a container whose liveness holds.
            assert (await trio.to_thread.run_sync(running.get, "/liveness"))[0] == 200
            assert not pod.listens()
            await trio.sleep(4.0)
        printed = await trio.to_thread.run_sync(command, "status", "--admin-port", str(running.admin_port))
        assert REGION in printed.output
        asked, silent = len(server.requests), False
        with trio.fail_after(LONGEST_RETRY):
            await trio.to_thread.run_sync(
                partial(running.wait_for, "environment only", timeout=LONGEST_RETRY)
            )
            await trio.to_thread.run_sync(running.wait_ready)

        assert running.status()["environment"]["name"] == "only"
        assert running.status()["awaiting"] is None
        assert pod.listens()
    assert turns == asked >= 3
    assert len(server.requests) == asked + 1
    assert pod.last_words.read_text() == ""
    assert running.process.exit_code is None


async def test_an_api_server_that_is_not_there_yet_is_waited_for(
    ambassador: StartAmbassador, tmp_path: Path
) -> None:
    """Connection refused, as while the network of a new node comes up."""
    pod = Pod(tmp_path)
    nobody = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(free_port())}

    running = pod.start(ambassador, nobody)
    await trio.to_thread.run_sync(running.wait_for, "waiting for")

    assert "connection refused" in (await trio.to_thread.run_sync(running.get, "/startup"))[1].lower()
    assert await trio.to_thread.run_sync(running.stop) == 143


async def test_sigterm_while_the_api_is_asked_ends_it_and_the_process_that_asks(
    ambassador: StartAmbassador, tmp_path: Path
) -> None:
    pod = Pod(tmp_path)
    asked = trio.Event()

    async def silent(stream: Stream) -> None:
        asked.set()
        await hangs(stream)

    async with api_server({NODE_PATH: silent}) as server:
        running = pod.start(ambassador, server.environ)
        with trio.fail_after(30):
            await asked.wait()
        children = _children(running.pid)
        assert children
        began = trio.current_time()
        assert await trio.to_thread.run_sync(running.stop) == 143
        assert trio.current_time() - began < ask_api.DEADLINE / 2
    assert not any(map(os.path.exists, children))


def _children(pid: int) -> list[str]:
    """Their directories in /proc; a thread's children are the process's."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [f"/proc/{child}" for thread in threads for child in thread.read_text().split()]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "Unauthorized"),
        (403, 'nodes "worker-3" is forbidden: User "system:serviceaccount:shop:default" cannot get resource'),
        (404, 'nodes "worker-3" not found'),
    ],
)
async def test_a_refusal_ends_it_at_once_and_leaves_the_table(
    status: int, message: str, ambassador: StartAmbassador, tmp_path: Path
) -> None:
    pod = Pod(tmp_path)
    began = time.monotonic()
    async with api_server({NODE_PATH: refuses(status, message)}) as server:
        running = pod.start(ambassador, server.environ)
        assert await trio.to_thread.run_sync(running.wait) == 3
        assert server.paths == [NODE_PATH]

    # The start, one question, the end; not even the shortest pause before another attempt.
    assert time.monotonic() - began < 8
    left = pod.last_words.read_text()
    assert left in "\n".join(running.lines())
    assert left.startswith("No environment: it depends on facts that are unknown")
    assert f"{REGION} = eu-west-1" in left
    assert str(status) in left


def test_without_a_termination_log_none_is_made(ambassador: StartAmbassador, tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    pod.last_words.unlink()

    running = pod.start(ambassador, {"KUBERNETES_SERVICE_HOST": ""})

    assert running.wait() == 3
    assert not pod.last_words.exists()


def test_last_words_fit_the_kubelet(ambassador: StartAmbassador, tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    for number in range(60):
        name = f"{'long-' * 10}{number:02}.yaml"
        (pod.environments / name).write_text(
            ENVIRONMENT.format(region=f"k8s.namespace.label.{number}", port=free_port())
        )

    running = pod.start(ambassador, {})

    assert running.wait() == 3
    left = pod.last_words.read_bytes()
    assert 0 < len(left) <= 4096
    assert left.decode().startswith("No environment")


def test_a_name_that_is_no_text_is_refused_like_any_other(
    ambassador: StartAmbassador, tmp_path: Path
) -> None:
    pod = Pod(tmp_path)

    running = pod.start(ambassador, {"DBAMBASSADOR_ENVIRONMENT": os.fsdecode(b"a\xff\nb")})

    assert running.wait() == 3
    left = pod.last_words.read_text()
    assert left.startswith("No environment: there is none of that name")
    assert "\nb" not in left


async def test_a_tenth_of_a_cpu_is_enough(ambassador: StartAmbassador, tmp_path: Path) -> None:
    """The first attempt chooses: neither the process that asks nor its request runs out of time."""
    pod = Pod(tmp_path)
    with share_of_a_cpu(0.1) as share:
        async with api_server({NODE_PATH: answers(200, NODE)}) as server:
            running = pod.start(ambassador, server.environ, share.prefix)
            with trio.fail_after(60):
                while not pod.listens():
                    assert running.process.exit_code is None, running.process.tail()
                    await trio.sleep(0.1)
            chosen = await trio.to_thread.run_sync(running.wait_for, "environment only")
            assert server.paths == [NODE_PATH]
        assert not any("waiting for" in line for line in running.lines()), chosen
        assert share.throttled > 0
        running.process.end()
