"""What docs/platforms.md and manifests/elsewhere say of the ambassador holds; the platforms are not here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbambassador.cli import COMMANDS, FLAGS
from dbambassador.commands.probe import CHECKS
from dbambassador.profiles import expectations
from dbambassador.profiles.catalogue import load
from dbambassador.profiles.proofs import prove
from dbambassador.reflection.gather import gather
from dbambassador.values import Confidence
from tests.deployment.files import OWN, REPOSITORY, VARIABLES

ELSEWHERE = REPOSITORY / "manifests" / "elsewhere"
PAGE = (REPOSITORY / "docs" / "platforms.md").read_text(encoding="utf-8")
FILES = sorted(ELSEWHERE.iterdir())


def ecs() -> dict[str, Any]:
    containers = json.loads((ELSEWHERE / "ecs-task.json").read_text())["containerDefinitions"]
    return {container["name"]: container for container in containers}


def cloud_run() -> dict[str, Any]:
    service = yaml.safe_load((ELSEWHERE / "cloud-run-service.yaml").read_text())
    return {container["name"]: container for container in service["spec"]["template"]["spec"]["containers"]}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_named_by_the_page_and_sets_only_variables_that_are_known(file: Path) -> None:
    assert f"../manifests/elsewhere/{file.name}" in PAGE
    assert set(OWN.findall(file.read_text())) <= VARIABLES


def test_commands_and_probes_are_the_programs_own() -> None:
    assert ecs()["dbambassador"]["command"][0] in COMMANDS
    check, program, command, what = ecs()["dbambassador"]["healthCheck"]["command"]
    assert (check, program, command) == ("CMD", "dbambassador", "probe")
    assert what in CHECKS
    assert cloud_run()["dbambassador"]["args"][0] in COMMANDS
    for probe in ("startupProbe", "livenessProbe"):
        assert cloud_run()["dbambassador"][probe]["httpGet"]["path"].removeprefix("/") in CHECKS
    waiting = re.search(r'args  = \["wait", "--for", "ambassador", "--max", "60s"\]', nomad())
    assert waiting
    assert FLAGS["wait"]


def nomad() -> str:
    return (ELSEWHERE / "shop.nomad.hcl").read_text()


def test_the_probe_of_cloud_run_finds_the_port_it_asks() -> None:
    variables = {variable["name"]: variable["value"] for variable in cloud_run()["dbambassador"]["env"]}
    assert variables["DBAMBASSADOR_HTTP_ADDRESS"] == "0.0.0.0"
    assert int(variables["DBAMBASSADOR_HTTP_PORT"]) == 9090
    assert cloud_run()["dbambassador"]["startupProbe"]["httpGet"]["port"] == 9090


def test_sessions_may_end_before_the_platform_kills() -> None:
    (delay,) = [
        variable["value"]
        for variable in ecs()["dbambassador"]["environment"]
        if variable["name"] == "DBAMBASSADOR_MAX_SIGTERM_DELAY"
    ]
    assert int(delay.removesuffix("s")) < ecs()["dbambassador"]["stopTimeout"]
    (delay,) = re.findall(r'DBAMBASSADOR_MAX_SIGTERM_DELAY = "(\d+)s"', nomad())
    (kill,) = re.findall(r'kill_timeout = "(\d+)s"', nomad())
    assert int(delay) < int(kill)


@pytest.mark.parametrize(
    ("platform", "variables"),
    [
        (
            "ecs",
            {
                "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/id",
                "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            },
        ),
        ("cloud_run", {"K_SERVICE": "shop", "K_REVISION": "shop-1", "K_CONFIGURATION": "shop"}),
        (
            "nomad",
            {
                "NOMAD_ALLOC_ID": "a",
                "NOMAD_JOB_NAME": "shop",
                "NOMAD_TASK_NAME": "dbambassador",
                "NOMAD_DC": "hall-a",
                "NOMAD_REGION": "europe",
                "NOMAD_NAMESPACE": "shop",
            },
        ),
    ],
)
def test_each_environment_is_proved_and_its_platform_is_known_by_strong_signs(
    platform: str, variables: dict[str, str], tmp_path: Path
) -> None:
    (shown,) = (
        text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if f": {platform}\n" in text
    )
    (name,) = re.findall(r"# environments/(.*)\n", shown)
    environments = tmp_path / "environments"
    environments.mkdir()
    (environments / name).write_text(shown)
    catalogue = load(environments)
    findings = (*prove(catalogue), *expectations.run(catalogue))
    assert [finding for finding in findings if finding.failed] == []

    fact = gather(tmp_path, variables, {}).get("dbambassador.platform")
    assert (fact.value, fact.confidence) == (platform, Confidence.STRONG)
