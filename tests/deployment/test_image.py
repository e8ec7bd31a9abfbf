"""The Dockerfile agrees with the program, and the image that it makes does what it is for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dbambassador
from dbambassador.commands.probe import CHECKS
from dbambassador.reflection import ask_api
from dbambassador.reflection.api_questions import Object, Question
from dbambassador.reflection.ask_api import ask
from dbambassador.values import Confidence, Facts
from tests.deployment.files import ENVIRONMENTS, MOUNTED, OWN, REPOSITORY, VARIABLES, instructions
from tests.reflection.api_server import NODE, answers, api_server, pod_files, refuses
from tests.testbed.base_images import PYTHON
from tests.testbed.containers import IMAGE, Podman

MOST_ADDED = 80_000_000
"""Bytes, unpacked, on top of the base image."""

MOST_TO_PROBE = 0.045
"""Seconds of CPU: a kubelet gives a probe 1 s, and a small container may have a tenth of a CPU."""

LEAST_PRIVILEGED = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL"),
    *("--security-opt=no-new-privileges", "--user=12345:12345"),
)

CHOSEN = ("--env=POD_NAMESPACE=shop-staging", f"--volume={ENVIRONMENTS}:{MOUNTED}:ro")
"""Of the shipped environments, one that listens on localhost alone."""
ENVIRONMENT = "kubernetes-staging"

LOADED = """
import importlib, os, pkgutil, sys, dbambassador
for module in pkgutil.walk_packages(dbambassador.__path__, "dbambassador."):
    importlib.import_module(module.name)
for module in list(sys.modules.values()):
    if getattr(module, "__cached__", None) and not os.path.exists(module.__cached__):
        print(module.__file__)
"""
"""Prints which modules have no byte code in the image."""

WRITABLE = """
import os
for top, directories, files in os.walk("/"):
    if top == "/":
        directories[:] = {*directories} - {"dev", "proc", "sys"}
    for name in [*directories, *files]:
        path = os.path.join(top, name)
        if not os.path.islink(path) and os.access(path, os.W_OK):
            print(path)
"""

PROBED = """
import resource, subprocess
def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
for _ in range(8):
    before = spent()
    subprocess.run(["dbambassador", "probe", "startup"], check=True)
    print(spent() - before)
"""
"""Prints the CPU seconds of single probes."""


def inspected(podman: Podman, image: str) -> dict[str, Any]:
    (found,) = json.loads(podman("image", "inspect", image))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def ambassador(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A container with as little as can be: no right, no network, no shell, nothing to write to."""
    nothing = tmp_path_factory.mktemp("nothing") / "nothing"
    nothing.touch()
    nothing.chmod(0o644)
    podman(
        *("run", "--detach", "--name=ambassador", *LEAST_PRIVILEGED, "--network=none"),
        *CHOSEN,
        *(f"--volume={nothing}:/usr/bin/{shell}:ro" for shell in ("dash", "sh")),
        IMAGE,
    )
    yield "ambassador"
    podman("rm", "--force", "--time=0", "ambassador")


def test_the_image_runs_the_ambassador_as_nobody() -> None:
    assert instructions("ENTRYPOINT") == ['["dbambassador"]']
    assert instructions("CMD") == ['["run"]']
    assert instructions("USER") == ["65532:65532"]
    assert instructions("HEALTHCHECK")[0].endswith('CMD ["dbambassador", "probe", "startup"]')


def test_the_image_has_no_environments_and_names_where_they_are_mounted() -> None:
    assert not [line for line in instructions("COPY") if "environments" in line]
    (variables,) = instructions("ENV")
    assert f"DBAMBASSADOR_ENVIRONMENTS={MOUNTED}" in variables
    assert set(OWN.findall(variables)) <= VARIABLES


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    kept = {
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        name for line in instructions("COPY") if not line.startswith("--from") for name in line.split()[:-1]
    }
    assert copied == kept
    assert all((REPOSITORY / name).exists() for name in copied)


def test_both_stages_have_the_base_that_the_tests_have() -> None:
    assert {line.split()[0] for line in instructions("FROM")} == {PYTHON}


def test_what_the_image_adds_to_python_is_small(podman: Podman) -> None:
    assert inspected(podman, IMAGE)["Size"] - inspected(podman, PYTHON)["Size"] < MOST_ADDED


def test_the_image_says_what_it_is(podman: Podman) -> None:
    labels = inspected(podman, IMAGE)["Labels"]
    said = {key.removeprefix("org.opencontainers.image."): value for key, value in labels.items()}
    assert said["title"] == "dbambassador"
    assert said["version"] == dbambassador.__version__
    assert said["licenses"] == "Apache-2.0"
    assert {"description", "revision", "source"} <= said.keys()


def test_with_no_right_no_network_and_no_shell_it_becomes_healthy(podman: Podman, ambassador: str) -> None:
    podman.until("", "healthcheck", "run", ambassador)
    for check in CHECKS:
        assert podman("exec", ambassador, "dbambassador", "probe", check) == ""
    with pytest.raises(AssertionError):
        podman("exec", ambassador, "sh", "-c", "true")


def test_its_commands_work_where_it_runs(podman: Podman, ambassador: str) -> None:
    podman.until("", "exec", ambassador, "dbambassador", "probe", "startup")
    assert ENVIRONMENT in podman("exec", ambassador, "dbambassador", "explain")
    podman("exec", ambassador, "dbambassador", "check")
    status = json.loads(podman("exec", ambassador, "dbambassador", "status", "--json"))
    assert status["environment"]["name"] == ENVIRONMENT


def test_a_probe_costs_next_to_nothing(podman: Podman, ambassador: str) -> None:
    podman.until("", "exec", ambassador, "dbambassador", "probe", "startup")
    # The least of some: a busy machine makes a program no cheaper.
    assert min(map(float, podman("exec", ambassador, "python", "-c", PROBED).split())) < MOST_TO_PROBE


def test_nothing_is_compiled_where_it_runs(podman: Podman) -> None:
    assert podman("run", "--rm", "--network=none", "--entrypoint=python", IMAGE, "-c", LOADED) == ""


def test_nothing_of_the_image_can_be_written_to_but_the_sockets_directory(podman: Podman) -> None:
    found = podman("run", "--rm", "--network=none", "--entrypoint=python", IMAGE, "-c", WRITABLE).split()
    assert set(found) == {"/tmp", "/run/dbambassador"}


def test_sigterm_ends_it_at_once_with_143(podman: Podman) -> None:
    podman(
        *("run", "--detach", "--name=ending", *LEAST_PRIVILEGED, "--network=none"),
        *CHOSEN,
        IMAGE,
    )
    try:
        podman.until("", "exec", "ending", "dbambassador", "probe", "startup")
        started = time.monotonic()
        podman("stop", "--time=5", "ending")
        took = time.monotonic() - started
        assert podman("inspect", "--format={{.State.ExitCode}}", "ending").strip() == "143"
        assert took < 3.0  # and not the five seconds after which it is killed
    finally:
        podman("rm", "--force", "--time=0", "ending")


async def test_the_kubernetes_api_is_asked_from_the_image(
    podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = [word for word in podman.command() if word != "--net"]  # the stub listens here, outside
    variables = [f"{name}={value}" for name, value in podman.environ.items()]
    # As root, who alone may read a test's files.
    run = ("podman", "run", "--rm", "--interactive", "--network=host", "--user=0")
    seen = f"--volume={tmp_path}:{tmp_path}:ro"
    child = ("-P", "-m", "dbambassador.reflection.kubernetes_api")
    command = (*enter, "env", *variables, *run, seen, "--entrypoint=python", IMAGE, *child)
    monkeypatch.setattr(ask_api, "COMMAND", command)
    paths = ("/api/v1/nodes/worker-3", "/api/v1/namespaces/shop")
    behaviours = dict(zip(paths, (answers(200, NODE), refuses(403, "forbidden")), strict=True))
    objects = tuple(
        (kind, name, Confidence.STRONG)
        for kind, name in ((Object.NODE, "worker-3"), (Object.NAMESPACE, "shop"))
    )
    async with api_server(behaviours) as server:
        root = str(pod_files(tmp_path))
        findings = await ask(Question("127.0.0.1", str(server.port), root, objects), deadline=60.0)
    facts = Facts.of(findings.facts, findings.families)
    assert facts.get("k8s.node.label.kubernetes.io/os").value == "linux"
    assert facts.get("k8s.namespace.label.environment").unknown
