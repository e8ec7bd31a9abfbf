"""In a pod: an environment that only the API can tell, from a server that answers, refuses, or is late."""

from __future__ import annotations

from pathlib import Path

import trio

from dbambassador.demo.ports import free_port
from tests.reflection.api_server import (
    NODE,
    Behaviour,
    Stream,
    answered,
    answers,
    api_server,
    pod_files,
    refuses,
)
from tests.reflection.places import POD
from tests.testbed.processes import Ambassador, StartAmbassador

ENVIRONMENT = """\
environment: production
match:
  matchFacts:
    dbambassador.platform: kubernetes
    k8s.node.label.topology.kubernetes.io/region: {region}
databases:
  orders: {{protocol: postgresql, listen: ["127.0.0.1:{port}"], endpoint: "127.0.0.1:1"}}
"""
NODE_PATH = "/api/v1/nodes/worker-3"


def children_of(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def start(
    ambassador: StartAmbassador, directory: Path, api: dict[str, str], region: str = "eu-west-1"
) -> Ambassador:
    environments = directory / "environments"
    environments.mkdir()
    (environments / "only.yaml").write_text(ENVIRONMENT.format(port=free_port(), region=region))
    root = pod_files(POD.build(directory / "root"))
    flags = ("--environments", environments, "--root", root)
    return ambassador(*flags, variables={**POD.environ, **api}, ready=False)


async def test_the_label_of_the_node_decides(ambassador: StartAmbassador, tmp_path: Path) -> None:
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        running = start(ambassador, tmp_path, server.environ)
        await trio.to_thread.run_sync(running.wait_ready)
        assert running.status()["environment"]["name"] == "only"
        assert server.paths == [NODE_PATH]
        assert children_of(running.pid) == ""


async def test_another_label_excludes_it_with_the_table_of_reasons(
    ambassador: StartAmbassador, tmp_path: Path
) -> None:
    async with api_server({NODE_PATH: answers(200, NODE)}) as server:
        running = start(ambassador, tmp_path, server.environ, region="eu-north-1")
        assert await trio.to_thread.run_sync(running.wait) == 3
    text = "\n".join(running.lines())
    assert "eu-north-1" in text
    assert "eu-west-1" in text


async def test_a_refusal_ends_it_at_once_with_the_cure(ambassador: StartAmbassador, tmp_path: Path) -> None:
    message = 'nodes "worker-3" is forbidden: User "system:serviceaccount:shop:default" cannot get resource'
    async with api_server({NODE_PATH: refuses(403, message)}) as server:
        running = start(ambassador, tmp_path, server.environ)
        assert await trio.to_thread.run_sync(running.wait) == 3
        assert server.paths == [NODE_PATH]
    assert "clusterrole" in "\n".join(running.lines()).lower()


async def test_silence_is_waited_out(ambassador: StartAmbassador, tmp_path: Path) -> None:
    silent = True

    async def behave(stream: Stream) -> None:
        if not silent:
            await stream.send_all(answered(200, NODE))

    behaviour: Behaviour = behave
    async with api_server({NODE_PATH: behaviour}) as server:
        running = start(ambassador, tmp_path, server.environ)
        await trio.to_thread.run_sync(running.wait_for, "again in|retry|awaiting|waiting")
        code, _ = await trio.to_thread.run_sync(running.get, "/startup")
        assert code == 503
        status = await trio.to_thread.run_sync(running.status)
        assert status["phase"] == "awaiting"
        assert "k8s.node.label.topology.kubernetes.io/region" in status["awaiting"]["facts"]
        silent = False
        await trio.to_thread.run_sync(running.wait_ready)
