"""The Job for Kubernetes before 1.29 ends its ambassador, whatever came of its work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.deployment.files import MANIFESTS, parsed
from tests.end_to_end.setting import CHOSEN, environments, postgresql_database
from tests.testbed.processes import StartAmbassador

JOB = MANIFESTS / "examples" / "before-1.29" / "job.yaml"


def work(directory: Path, code: int, admin_port: int) -> subprocess.CompletedProcess[str]:
    """Runs what the Job's container runs, with a psql that ends with this code."""
    program = directory / "psql"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    (container,) = parsed(JOB)["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1].count("9091") == 1
    command = [*container["command"][:-1], container["command"][-1].replace("9091", str(admin_port))]
    path = os.pathsep.join((str(directory), os.defpath))
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("code", [0, 3])
def test_the_ambassador_ends_with_the_job_and_the_result_is_the_works(
    ambassador: StartAmbassador, tmp_path: Path, code: int
) -> None:
    directory = environments(tmp_path, orders=postgresql_database("127.0.0.1:1"))
    running = ambassador("--environments", directory, *CHOSEN)
    done = work(tmp_path, code, running.admin_port)
    assert done.returncode == code, done.stderr
    assert "200" in done.stdout
    assert running.wait() == 0


def test_without_an_ambassador_the_result_is_the_works_all_the_same(tmp_path: Path) -> None:
    assert work(tmp_path, 3, admin_port=1).returncode == 3


def test_each_attempt_has_a_pod_of_its_own() -> None:
    """An ambassador that ended well is not started again in its pod."""
    assert parsed(JOB)["spec"]["template"]["spec"]["restartPolicy"] == "Never"
