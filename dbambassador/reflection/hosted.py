"""Platforms that tell a container where it is by variables alone. Pure; one function for each platform.

One variable alone may have been copied into a developer's shell or a compose file, so that it is a hint; two
that belong together are strong. What the platform's own endpoint on the network would add is not asked here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from dbambassador.reflection.cloud import ACCOUNT, PLATFORM, PROVIDER, REGION
from dbambassador.reflection.findings import Findings, found
from dbambassador.reflection.presence import PLATFORM as OURS
from dbambassador.values import Confidence, Fact

Environ = Mapping[str, str]

NOMAD = "dbambassador.nomad."


def ecs(environ: Environ) -> Findings:
    """Amazon ECS, on Fargate or on machines.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
    """
    signs = _set(environ, "ECS_CONTAINER_METADATA_URI_V4")
    if environ.get("AWS_EXECUTION_ENV", "").startswith("AWS_ECS_"):
        signs.append("AWS_EXECUTION_ENV")
    told = {PROVIDER: "aws", PLATFORM: "aws_ecs"}
    hints = [_hint(REGION, environ, "AWS_REGION")]
    return _platform("ecs", signs, told, hints)


def aws_lambda(environ: Environ) -> Findings:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html, reserved variables."""
    signs = _set(environ, "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "LAMBDA_TASK_ROOT")
    told = {
        PROVIDER: "aws",
        PLATFORM: "aws_lambda",
        REGION: environ.get("AWS_REGION", ""),
        "faas.name": environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
    }
    return _platform("lambda", signs, told)


def cloud_run_service(environ: Environ) -> Findings:
    """https://cloud.google.com/run/docs/container-contract. Knative sets them in pods: see `applicable`."""
    signs = _set(environ, "K_SERVICE", "K_REVISION", "K_CONFIGURATION")
    told = {PROVIDER: "gcp", PLATFORM: "gcp_cloud_run", "faas.name": environ.get("K_SERVICE", "")}
    return _platform("cloud_run", signs, told)


def cloud_run_job(environ: Environ) -> Findings:
    """https://cloud.google.com/run/docs/container-contract, jobs."""
    signs = _set(environ, "CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_INDEX")
    told = {
        PROVIDER: "gcp",
        PLATFORM: "gcp_cloud_run",
        "faas.name": environ.get("CLOUD_RUN_JOB", ""),
        "gcp.cloud_run.job.execution": environ.get("CLOUD_RUN_EXECUTION", ""),
    }
    return _platform("cloud_run", signs, told)


def container_apps(environ: Environ) -> Findings:
    """https://learn.microsoft.com/azure/container-apps/environment-variables, services and jobs."""
    service = _set(environ, "CONTAINER_APP_NAME", "CONTAINER_APP_REVISION", "CONTAINER_APP_ENV_DNS_SUFFIX")
    job = _set(environ, "CONTAINER_APP_JOB_NAME", "CONTAINER_APP_JOB_EXECUTION_NAME")
    told = {PROVIDER: "azure", PLATFORM: "azure.container_apps"}
    suffix = _ACA_SUFFIX.fullmatch(environ.get("CONTAINER_APP_ENV_DNS_SUFFIX", ""))
    if suffix is not None:
        told[REGION] = suffix["region"]
    return _platform("container_apps", service + job, told)


_ACA_SUFFIX = re.compile(r"(?:[a-z0-9-]+\.){1,2}(?P<region>[a-z0-9]+)\.azurecontainerapps\.io", re.ASCII)


def app_service(environ: Environ) -> Findings:
    """Azure App Service and Functions: https://learn.microsoft.com/azure/app-service/reference-app-settings."""
    signs = _set(environ, "WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID", "WEBSITE_OWNER_NAME")
    functions = environ.get("FUNCTIONS_EXTENSION_VERSION")
    owner = _OWNER.match(environ.get("WEBSITE_OWNER_NAME", ""))
    told = {
        PROVIDER: "azure",
        PLATFORM: "azure.functions" if functions else "azure.app_service",
        # Written for people (`West Europe`); the name of the region has neither spaces nor capitals.
        REGION: environ.get("REGION_NAME", "").replace(" ", "").lower(),
        ACCOUNT: owner[1].lower() if owner else "",
        "faas.name" if functions else "service.name": environ.get("WEBSITE_SITE_NAME", ""),
    }
    return _platform("app_service", signs, told)


_OWNER = re.compile(r"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\+", re.ASCII)
"""Subscription, then resource group and webspace."""


def heroku(environ: Environ) -> Findings:
    """https://devcenter.heroku.com/articles/dyno-metadata; without that feature, DYNO alone."""
    signs = _set(environ, "DYNO", "HEROKU_APP_ID", "HEROKU_DYNO_ID")
    told = {PROVIDER: "heroku", "service.name": environ.get("HEROKU_APP_NAME", "")}
    return _platform("heroku", signs, told)


def nomad(environ: Environ) -> Findings:
    """https://developer.hashicorp.com/nomad/docs/reference/runtime-environment-settings.

    Nomad's regions and datacenters are names that its operators gave, and none of a cloud's.
    """
    signs = _set(environ, "NOMAD_ALLOC_ID", "NOMAD_JOB_NAME", "NOMAD_TASK_NAME")
    told = {
        NOMAD + "datacenter": environ.get("NOMAD_DC", ""),
        NOMAD + "region": environ.get("NOMAD_REGION", ""),
        NOMAD + "namespace": environ.get("NOMAD_NAMESPACE", ""),
        NOMAD + "job": environ.get("NOMAD_JOB_NAME", ""),
    }
    return _platform("nomad", signs, told)


_ON_KUBERNETES: tuple[Callable[[Environ], Findings], ...] = (nomad, ecs, container_apps, aws_lambda)
"""Those that speak in a pod too. Nobody else sets their variables, so that there they contradict."""

_ALL = (*_ON_KUBERNETES, cloud_run_service, cloud_run_job, app_service, heroku)


def applicable(environ: Environ, *, in_pod: bool) -> Findings:
    """What all of them say.

    Args:
        in_pod: this is a pod for certain. Knative gives its pods the variables of Cloud Run, and images built
            for App Service or Heroku run elsewhere with theirs.
    """
    return Findings.joined(platform(environ) for platform in (_ON_KUBERNETES if in_pod else _ALL))


def runs_on_hidden_kubernetes(environ: Environ) -> bool:
    """Container Apps is a Kubernetes of Microsoft's, whose variables show: no pod as far as we are concerned.

    https://github.com/Azure/AppConfiguration-DotnetProvider/issues/376
    """
    return any(
        claim.name == OURS and claim.confidence is Confidence.STRONG
        for claim in container_apps(environ).facts
    )


def _set(environ: Environ, *names: str) -> list[str]:
    return [name for name in names if environ.get(name)]


def _hint(name: str, environ: Environ, variable: str) -> Fact | None:
    """What a person may have set as well."""
    value = environ.get(variable)
    return found(name, value, Confidence.HINT, variable) if value else None


def _platform(
    name: str, signs: list[str], told: Mapping[str, str], hints: list[Fact | None] | None = None
) -> Findings:
    if not signs:
        return Findings()
    confidence = Confidence.STRONG if len(signs) > 1 else Confidence.HINT
    source = " and ".join(signs)
    claims = [found(OURS, name, confidence, source)]
    claims += [found(fact, value, confidence, source) for fact, value in told.items() if value]
    claims += [hint for hint in hints or () if hint is not None]
    return Findings(tuple(claims))
