"""Metadata services of clouds: which one to ask, what to ask it, and what the answers say. Pure.

Each conversation is a generator: it yields what to ask next and is sent the answer's text. None of them goes
near credentials, user data, SSH keys or signed identities: single values are asked for, not whole documents,
where a service can do that.

Their answers are *strong*: link-local addresses are answered by the machine's own hypervisor or agent, which
no packet from elsewhere can reach or imitate, a person switched them on, and a local fact named the cloud
first. OpenStack's are a *hint*: there a process in the tenant's network answers, and a neighbour in that
network could take its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from dbambassador.reflection.cloud import ACCOUNT, PLATFORM, PROVIDER, REGION, ZONE
from dbambassador.reflection.findings import Findings, found
from dbambassador.values import Confidence, Fact, Facts

ECS_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    path: str
    method: str = "GET"
    headers: tuple[Header, ...] = ()
    answer_has: Header | None = None
    """A header without which the answer comes from something else."""


class Malformed(Exception):
    """The answer is none that the service gives."""


Told = Mapping[str, str]
"""Fact name to value; no value is empty."""

Conversation = Generator[Ask, str, Told]


@dataclass(frozen=True, slots=True)
class Service:
    """One metadata service."""

    name: str
    host: str
    converse: Callable[[], Conversation]
    facts: frozenset[str]
    """What it can tell."""
    confidence: Confidence = Confidence.STRONG
    port: int = 80


def _aws() -> Conversation:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html, version 2."""
    lifetime = (("X-aws-ec2-metadata-token-ttl-seconds", "60"),)
    token = yield Ask("/latest/api/token", "PUT", lifetime)
    if not re.fullmatch(r"[!-~]{1,256}", token):
        raise Malformed("the session token is none")
    session = (("X-aws-ec2-metadata-token", token),)
    region = yield Ask("/latest/meta-data/placement/region", headers=session)
    zone = yield Ask("/latest/meta-data/placement/availability-zone", headers=session)
    mac = yield Ask("/latest/meta-data/mac", headers=session)
    # It becomes part of a path, and must not lead to another.
    mac = _checked(mac, r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", "MAC address")
    owner = yield Ask(f"/latest/meta-data/network/interfaces/macs/{mac}/owner-id", headers=session)
    return {
        PROVIDER: "aws",
        REGION: _checked(region, r"[a-z]{2}(-[a-z]+)+-\d+", "region"),
        ZONE: _checked(zone, r"[a-z0-9-]+", "availability zone"),
        ACCOUNT: _checked(owner, r"\d{12}", "account"),
    }


def _gcp() -> Conversation:
    """https://cloud.google.com/compute/docs/metadata/querying-metadata."""
    flavor = ("Metadata-Flavor", "Google")
    zone = yield Ask("/computeMetadata/v1/instance/zone", headers=(flavor,), answer_has=flavor)
    project = yield Ask("/computeMetadata/v1/project/project-id", headers=(flavor,), answer_has=flavor)
    zone = _checked(zone, r"projects/\d+/zones/[a-z0-9-]+-[a-z0-9]+", "zone").rpartition("/")[2]
    return {
        PROVIDER: "gcp",
        REGION: zone.rpartition("-")[0],
        ZONE: zone,
        ACCOUNT: _checked(project, r"[a-z0-9.:-]+", "project"),
    }


def _azure() -> Conversation:
    """https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service.

    One document and not three values, as it grants 5 requests a second.
    """
    compute = _document((yield Ask("/metadata/instance/compute?api-version=2021-02-01", headers=_AZURE)))
    region = _checked(_text(compute, "location"), r"[a-z0-9]+", "location")
    told = {
        PROVIDER: "azure",
        REGION: region,
        ACCOUNT: _checked(_text(compute, "subscriptionId").lower(), r"[0-9a-f-]{36}", "subscription"),
    }
    # A machine need not be in a zone. Named as the nodes of Kubernetes are labelled.
    zone = _text(compute, "zone")
    return {**told, ZONE: region + "-" + _checked(zone, r"\d+", "zone")} if zone else told


_AZURE = (("Metadata", "true"),)


def _oracle() -> Conversation:
    """https://docs.oracle.com/iaas/Content/Compute/Tasks/gettingmetadata.htm, version 2."""
    headers = (("Authorization", "Bearer Oracle"),)  # a constant for everybody, and no credential
    region = yield Ask("/opc/v2/instance/canonicalRegionName", headers=headers)
    domain = yield Ask("/opc/v2/instance/availabilityDomain", headers=headers)
    tenant = yield Ask("/opc/v2/instance/tenantId", headers=headers)
    return {
        PROVIDER: "oracle_cloud",
        REGION: _checked(region, r"[a-z]+(-[a-z]+)+-\d+", "region"),
        # Without the tenancy's prefix, as the nodes of Kubernetes are labelled.
        ZONE: _checked(domain, r"[A-Za-z0-9]+:[A-Za-z0-9-]+", "availability domain").rpartition(":")[2],
        ACCOUNT: _checked(tenant, r"ocid1\.tenancy\.[a-z0-9.-]+", "tenancy"),
    }


def _digitalocean() -> Conversation:
    """https://docs.digitalocean.com/reference/api/metadata/."""
    region = yield Ask("/metadata/v1/region")
    return {PROVIDER: "digitalocean", REGION: _checked(region, r"[a-z]{3}\d+", "region")}


def _hetzner() -> Conversation:
    """https://docs.hetzner.cloud/reference/cloud#description/server-metadata.

    The region is the location, as in the labels of Kubernetes' nodes, not the network zone.
    """
    zone = _checked((yield Ask("/hetzner/v1/metadata/availability-zone")), r"[a-z]+\d*-dc\d+", "zone")
    return {PROVIDER: "hetzner", REGION: zone.partition("-")[0], ZONE: zone}


def _openstack() -> Conversation:
    """https://docs.openstack.org/nova/latest/user/metadata.html.

    The part that is like Amazon's: meta_data.json may hold the administrator's password.
    """
    zone = yield Ask("/latest/meta-data/placement/availability-zone")
    return {ZONE: _checked(zone, r"[A-Za-z0-9_.:-]+", "availability zone")}


def _ecs(path: str) -> Callable[[], Conversation]:
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html."""

    def converse() -> Conversation:
        task = _document((yield Ask(f"{path}/task")))
        arn = _text(task, "TaskARN")
        match = re.fullmatch(r"arn:([a-z-]+):ecs:([a-z0-9-]+):(\d{12}):task/[A-Za-z0-9_/-]+", arn)
        if match is None:
            raise Malformed("no TaskARN")
        partition, region, account = match.groups()
        cluster = _text(task, "Cluster")
        if cluster and not cluster.startswith("arn:"):
            cluster = f"arn:{partition}:ecs:{region}:{account}:cluster/{cluster}"
        told = {
            PROVIDER: "aws",
            PLATFORM: "aws_ecs",
            REGION: region,
            ZONE: _text(task, "AvailabilityZone"),
            ACCOUNT: account,
            "aws.ecs.task.arn": arn,
            "aws.ecs.cluster.arn": cluster,
            "aws.ecs.task.family": _text(task, "Family"),
            "aws.ecs.launchtype": _text(task, "LaunchType").lower(),
        }
        return {name: value for name, value in told.items() if value}

    return converse


LINK_LOCAL = "169.254.169.254"
ECS_AGENT = "169.254.170.2"

_PLACE = frozenset({PROVIDER, REGION, ZONE})
_BY_PROVIDER = {
    "aws": Service("AWS instance metadata", LINK_LOCAL, _aws, _PLACE | {ACCOUNT}),
    "gcp": Service("Google Cloud metadata", LINK_LOCAL, _gcp, _PLACE | {ACCOUNT}),
    "azure": Service("Azure instance metadata", LINK_LOCAL, _azure, _PLACE | {ACCOUNT}),
    "oracle_cloud": Service("Oracle Cloud instance metadata", LINK_LOCAL, _oracle, _PLACE | {ACCOUNT}),
    "digitalocean": Service(
        "DigitalOcean metadata", LINK_LOCAL, _digitalocean, frozenset({PROVIDER, REGION})
    ),
    "hetzner": Service("Hetzner metadata", LINK_LOCAL, _hetzner, _PLACE),
    "openstack": Service("OpenStack metadata", LINK_LOCAL, _openstack, frozenset({ZONE}), Confidence.HINT),
}

_WITHOUT = frozenset({"aws_ecs", "aws_lambda", "azure.app_service", "azure.container_apps"})
"""Platforms whose containers do not reach the machine's metadata service: asking would wait for nothing."""

_ECS_FACTS = _PLACE | {ACCOUNT, PLATFORM, "aws.ecs.task.arn", "aws.ecs.cluster.arn"}
_ECS_FACTS |= {"aws.ecs.task.family", "aws.ecs.launchtype"}
_ECS_URI = re.compile(rf"http://{re.escape(ECS_AGENT)}(:80)?(/v4/[A-Za-z0-9-]+)/?")


def suggested(facts: Facts, environ: Mapping[str, str]) -> Service | None:
    """The one service that what is known already leads to; there is no trying of several."""
    agent = _ECS_URI.fullmatch(environ.get(ECS_VARIABLE, ""))
    if agent is not None:
        return Service("ECS task metadata", ECS_AGENT, _ecs(agent[2]), _ECS_FACTS)
    if facts.get(PLATFORM).value in _WITHOUT:
        return None
    return _BY_PROVIDER.get(facts.get(PROVIDER).value)


def learned(service: Service, told: Told) -> Findings:
    """The answers as facts."""
    claims: list[Fact] = []
    for name, value in told.items():
        claims.append(found(name, value, service.confidence, service.name))
    return Findings(tuple(claims))


def _checked(text: str, form: str, what: str) -> str:
    if not re.fullmatch(form, text, re.ASCII):
        raise Malformed(f"no {what}")
    return text


def _document(text: str) -> Mapping[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Malformed("no JSON object")
    return document


def _text(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
