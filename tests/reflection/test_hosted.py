"""Platforms that tell by variables, one adapter after the other, and their traps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dbambassador.reflection import hosted
from dbambassador.reflection.findings import Findings
from dbambassador.reflection.gather import gather
from dbambassador.values import Confidence, State
from tests.reflection.captures import CAPTURES
from tests.reflection.places import COMPOSE, DOCKER, POD, SYSTEMD, Place

HINT, STRONG = Confidence.HINT, Confidence.STRONG

ONE_SIGN: list[tuple[Callable[[Mapping[str, str]], Findings], dict[str, str], str]] = [
    (hosted.ecs, {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/1"}, "ecs"),
    (hosted.ecs, {"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}, "ecs"),
    (hosted.aws_lambda, {"AWS_LAMBDA_FUNCTION_NAME": "orders"}, "lambda"),
    (hosted.cloud_run_service, {"K_SERVICE": "orders"}, "cloud_run"),
    (hosted.cloud_run_job, {"CLOUD_RUN_JOB": "settle"}, "cloud_run"),
    (hosted.container_apps, {"CONTAINER_APP_NAME": "orders"}, "container_apps"),
    (hosted.container_apps, {"CONTAINER_APP_JOB_NAME": "settle"}, "container_apps"),
    (hosted.app_service, {"WEBSITE_SITE_NAME": "orders"}, "app_service"),
    (hosted.heroku, {"DYNO": "web.1"}, "heroku"),
    (hosted.nomad, {"NOMAD_ALLOC_ID": "1"}, "nomad"),
]


@pytest.mark.parametrize(("adapter", "environ", "platform"), ONE_SIGN)
def test_one_variable_alone_is_a_hint(
    adapter: Callable[[Mapping[str, str]], Findings], environ: dict[str, str], platform: str
) -> None:
    findings = adapter(environ)
    assert {fact.confidence for fact in findings.facts} == {HINT}
    assert [fact.value for fact in findings.facts if fact.name == "dbambassador.platform"] == [platform]
    assert adapter({}) == Findings()
    assert adapter(dict.fromkeys(environ, "")) == Findings()


@pytest.mark.parametrize("value", ["AWS_Lambda_python3.12", "CloudShell", "AWS_ECS"])
def test_other_execution_environments_are_not_ecs(value: str) -> None:
    assert hosted.ecs({"AWS_EXECUTION_ENV": value}) == Findings()


@pytest.mark.parametrize(
    ("suffix", "region"),
    [
        ("gentlesky-0f1e2d3c.westeurope.azurecontainerapps.io", "westeurope"),
        ("internal.gentlesky-0f1e2d3c.eastus2.azurecontainerapps.io", "eastus2"),
        ("apps.example.com", None),
        ("westeurope.azurecontainerapps.io.example.com", None),
    ],
)
def test_the_region_of_container_apps(suffix: str, region: str | None) -> None:
    findings = hosted.container_apps({"CONTAINER_APP_NAME": "a", "CONTAINER_APP_ENV_DNS_SUFFIX": suffix})
    assert [fact.value for fact in findings.facts if fact.name == "cloud.region"] == (
        [region] if region else []
    )


def test_functions_are_app_service_with_another_name() -> None:
    findings = hosted.app_service(
        {"WEBSITE_SITE_NAME": "f", "WEBSITE_INSTANCE_ID": "1", "FUNCTIONS_EXTENSION_VERSION": "~4"}
    )
    told = {fact.name: fact.value for fact in findings.facts}
    assert (told["cloud.platform"], told["faas.name"]) == ("azure.functions", "f")
    assert "cloud.account.id" not in told


def platform(place: Place, root: Path, **environ: str) -> tuple[str, Confidence]:
    fact = gather(place.build(root), {**place.environ, **environ}).get("dbambassador.platform")
    return (fact.value, fact.confidence) if fact.present else ("unknown", fact.confidence)


def test_one_stray_variable_changes_no_certain_platform(tmp_path: Path) -> None:
    for place, expected in ((POD, "kubernetes"), (DOCKER, "docker"), (SYSTEMD, "systemd")):
        root = tmp_path / expected
        assert platform(place, root, AWS_LAMBDA_FUNCTION_NAME="x") == (expected, STRONG)
        assert platform(place, root, WEBSITE_SITE_NAME="x", DYNO="web.1") == (expected, STRONG)


def test_platforms_that_contradict_each_other_tell_nothing(tmp_path: Path) -> None:
    nomad = CAPTURES["nomad"].place.environ
    assert platform(POD, tmp_path / "pod", **nomad)[0] == "unknown"
    place = Place(COMPOSE.files, environ={"COMPOSE_PROJECT": "shop"})
    assert platform(place, tmp_path / "compose", **nomad)[0] == "unknown"
    cloud_run = CAPTURES["cloud-run"].place.environ
    assert platform(Place(environ=nomad), tmp_path / "both", **cloud_run)[0] == "unknown"


def test_a_service_account_beside_container_apps_is_a_contradiction(tmp_path: Path) -> None:
    apps = CAPTURES["container-apps"].place.environ
    facts = gather(POD.build(tmp_path), {**POD.environ, **apps})
    assert facts.get("dbambassador.platform").unknown
    assert facts.get("k8s.namespace.name").value == "shop"


def test_one_variable_of_container_apps_does_not_hide_a_pod(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "CONTAINER_APP_NAME": "x"}
    facts = gather(tmp_path, environ)
    assert facts.get("dbambassador.platform").value == "kubernetes"
    assert facts.get("k8s.namespace.name").unknown


@pytest.mark.parametrize("variables", [("INVOCATION_ID",), ("INVOCATION_ID", "JOURNAL_STREAM")])
def test_variables_of_a_unit_are_a_hint_where_nothing_else_tells(
    variables: tuple[str, ...], tmp_path: Path
) -> None:
    environ = dict.fromkeys(variables, "9:12345")
    assert platform(Place(), tmp_path / "none", **environ) == ("systemd", HINT)
    assert platform(DOCKER, tmp_path / "docker", **environ) == ("docker", STRONG)
    assert platform(Place({".dockerenv": ""}), tmp_path / "hint", **environ) == ("docker", HINT)
    assert platform(Place(), tmp_path / "project", **environ, COMPOSE_PROJECT="x") == ("compose", HINT)


def test_an_explicit_platform_overrules_all(tmp_path: Path) -> None:
    place = CAPTURES["cloud-run"].place
    fact = gather(place.build(tmp_path), {**place.environ, "DBAMBASSADOR_PLATFORM": "mine"}).get(
        "dbambassador.platform"
    )
    assert (fact.value, fact.confidence, fact.state) == ("mine", Confidence.EXPLICIT, State.PRESENT)
