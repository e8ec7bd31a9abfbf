"""Platforms that tell by variables: ECS, Lambda, Cloud Run, Container Apps, App Service, Heroku, Nomad."""

from __future__ import annotations

from tests.reflection.captures.capture import CONTAINERD, DOCKER, HINT, STRONG, Capture, firmware
from tests.reflection.captures.containers import NOT_KUBERNETES
from tests.reflection.places import Place

ECS_TASKS = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html"

FARGATE = Capture(
    "ecs-fargate",
    (ECS_TASKS, "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-metadata.html"),
    Place(
        {"etc/hostname": "ip-10-0-1-7.eu-west-1.compute.internal\n", **CONTAINERD},
        environ={
            "ECS_CONTAINER_METADATA_URI": "http://169.254.170.2/v3/cd189a933e5849daa93386466019ab50-2495160603",
            "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/cd189a933e5849daa93386466019ab50-2495160603",
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_REGION": "eu-west-1",
        },
    ),
    {
        "dbambassador.platform": ("ecs", STRONG),
        "cloud.provider": ("aws", STRONG),
        "cloud.platform": ("aws_ecs", STRONG),
        "cloud.region": ("eu-west-1", HINT),
        "container.runtime": ("containerd", HINT),
        "host.name": ("ip-10-0-1-7.eu-west-1.compute.internal", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("cloud.account.id", "cloud.availability_zone", "aws.ecs.cluster.arn"),
)

ECS_ON_EC2 = Capture(
    "ecs-on-ec2",
    (ECS_TASKS, "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html"),
    Place(
        {".dockerenv": "", **DOCKER, **firmware("Amazon EC2", "c6i.large", tag="Amazon EC2")},
        environ={
            "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/0d3c7b4e-1b7d-4d4f-9f5e-6d1b2a3c4d5e",
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        },
    ),
    {
        "dbambassador.platform": ("ecs", STRONG),
        "cloud.provider": ("aws", STRONG),
        "cloud.platform": ("aws_ecs", STRONG),
        "container.runtime": ("docker", STRONG),
        "host.type": ("c6i.large", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("cloud.region", "host.name"),
)

LAMBDA = Capture(
    "lambda",
    ("https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",),
    Place(
        environ={
            "AWS_LAMBDA_FUNCTION_NAME": "orders",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_REGION": "eu-west-1",
        }
    ),
    {
        "dbambassador.platform": ("lambda", STRONG),
        "cloud.provider": ("aws", STRONG),
        "cloud.platform": ("aws_lambda", STRONG),
        "cloud.region": ("eu-west-1", STRONG),
        "faas.name": ("orders", STRONG),
    },
    absent=NOT_KUBERNETES,
    unknown=("cloud.account.id",),
)

CLOUD_RUN = Capture(
    "cloud-run",
    ("https://cloud.google.com/run/docs/container-contract#services-env-vars",),
    # No firmware's table: its first generation runs in gVisor.
    Place(
        {"etc/hostname": "localhost\n", "etc/resolv.conf": "nameserver 169.254.169.254\n"},
        environ={
            "K_SERVICE": "orders",
            "K_REVISION": "orders-00001-abc",
            "K_CONFIGURATION": "orders",
            "PORT": "8080",
        },
    ),
    {
        "dbambassador.platform": ("cloud_run", STRONG),
        "cloud.provider": ("gcp", STRONG),
        "cloud.platform": ("gcp_cloud_run", STRONG),
        "faas.name": ("orders", STRONG),
        "host.name": ("localhost", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("cloud.region", "cloud.account.id", "dbambassador.host.hypervisor"),
)

CLOUD_RUN_JOB = Capture(
    "cloud-run-job",
    ("https://cloud.google.com/run/docs/container-contract#jobs-env-vars",),
    Place(
        environ={
            "CLOUD_RUN_JOB": "settle",
            "CLOUD_RUN_EXECUTION": "settle-x7k2p",
            "CLOUD_RUN_TASK_INDEX": "0",
            "CLOUD_RUN_TASK_ATTEMPT": "0",
            "CLOUD_RUN_TASK_COUNT": "1",
        }
    ),
    {
        "dbambassador.platform": ("cloud_run", STRONG),
        "cloud.provider": ("gcp", STRONG),
        "cloud.platform": ("gcp_cloud_run", STRONG),
        "faas.name": ("settle", STRONG),
        "gcp.cloud_run.job.execution": ("settle-x7k2p", STRONG),
    },
    absent=NOT_KUBERNETES,
)

CONTAINER_APPS = Capture(
    "container-apps",
    (
        "https://learn.microsoft.com/azure/container-apps/environment-variables",
        "https://github.com/Azure/AppConfiguration-DotnetProvider/issues/376 (Kubernetes shows through)",
    ),
    Place(
        {"etc/hostname": "ca-orders--0000001-646779b4c5-bhc2v\n"},
        environ={
            "CONTAINER_APP_NAME": "ca-orders",
            "CONTAINER_APP_REVISION": "ca-orders--0000001",
            "CONTAINER_APP_REPLICA_NAME": "ca-orders--0000001-646779b4c5-bhc2v",
            "CONTAINER_APP_ENV_DNS_SUFFIX": "gentlesky-0f1e2d3c.westeurope.azurecontainerapps.io",
            "KUBERNETES_SERVICE_HOST": "10.0.0.1",
            "KUBERNETES_PORT": "tcp://10.0.0.1:443",
        },
    ),
    {
        "dbambassador.platform": ("container_apps", STRONG),
        "cloud.provider": ("azure", STRONG),
        "cloud.platform": ("azure.container_apps", STRONG),
        "cloud.region": ("westeurope", STRONG),
        "host.name": ("ca-orders--0000001-646779b4c5-bhc2v", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("cloud.account.id",),
)

APP_SERVICE = Capture(
    "app-service",
    ("https://learn.microsoft.com/azure/app-service/reference-app-settings",),
    Place(
        {".dockerenv": "", "etc/hostname": "0a1b2c3d4e5f\n"},
        environ={
            "WEBSITE_SITE_NAME": "orders",
            "WEBSITE_INSTANCE_ID": "f0e1d2c3b4a5",
            "WEBSITE_OWNER_NAME": ("11111111-2222-3333-4444-555555555555+shop-WestEuropewebspace-Linux"),
            "REGION_NAME": "West Europe",
        },
    ),
    {
        "dbambassador.platform": ("app_service", STRONG),
        "cloud.provider": ("azure", STRONG),
        "cloud.platform": ("azure.app_service", STRONG),
        "cloud.region": ("westeurope", STRONG),
        "cloud.account.id": ("11111111-2222-3333-4444-555555555555", STRONG),
        "service.name": ("orders", STRONG),
        "container.runtime": ("docker", HINT),
        "host.name": ("0a1b2c3d4e5f", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("cloud.availability_zone",),
)

HEROKU = Capture(
    "heroku",
    (
        "https://devcenter.heroku.com/articles/dyno-metadata",
        "https://devcenter.heroku.com/articles/dynos#local-environment-variables",
    ),
    Place(
        {"etc/hostname": "5a1b\n"},
        environ={"DYNO": "web.1", "HEROKU_APP_ID": "9daa2797", "HEROKU_APP_NAME": "orders", "PORT": "5000"},
    ),
    {
        "dbambassador.platform": ("heroku", STRONG),
        "cloud.provider": ("heroku", STRONG),
        "service.name": ("orders", STRONG),
        "host.name": ("5a1b", HINT),
    },
    absent=NOT_KUBERNETES,
)

NOMAD = Capture(
    "nomad",
    ("https://developer.hashicorp.com/nomad/docs/reference/runtime-environment-settings",),
    Place(
        {
            ".dockerenv": "",
            "etc/hostname": "7c6b5a4f3e2d\n",
            "etc/resolv.conf": "nameserver 127.0.0.11\n",
            **DOCKER,
            **firmware("Dell Inc.", "PowerEdge R640"),
        },
        environ={
            "NOMAD_ALLOC_ID": "5456bd7a-9fc0-c0dd-6131-cbee77f57577",
            "NOMAD_DC": "hall-a",
            "NOMAD_JOB_NAME": "orders",
            "NOMAD_NAMESPACE": "default",
            "NOMAD_REGION": "global",
            "NOMAD_TASK_NAME": "app",
        },
    ),
    {
        "dbambassador.platform": ("nomad", STRONG),
        "dbambassador.nomad.datacenter": ("hall-a", STRONG),
        "dbambassador.nomad.region": ("global", STRONG),
        "dbambassador.nomad.namespace": ("default", STRONG),
        "dbambassador.nomad.job": ("orders", STRONG),
        "container.runtime": ("docker", STRONG),
        "host.name": ("7c6b5a4f3e2d", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("cloud.provider", "cloud.region"),
)

CAPTURES = (
    FARGATE,
    ECS_ON_EC2,
    LAMBDA,
    CLOUD_RUN,
    CLOUD_RUN_JOB,
    CONTAINER_APPS,
    APP_SERVICE,
    HEROKU,
    NOMAD,
)
