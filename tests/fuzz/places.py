"""Targets: the files and variables of the place where we are, and the answers of its services."""

from __future__ import annotations

import json
from pathlib import Path

from dbambassador.discovery import hosts, resolv_conf
from dbambassador.reflection import (
    api_answers,
    certificates,
    distributions,
    dmi,
    downward,
    go_quoting,
    issuers,
    kubernetes_api,
    metadata_services,
    mounts,
    otel,
    provider_id,
    service_account,
    token_claims,
)
from dbambassador.reflection import hosts as own_name
from dbambassador.reflection import resolv_conf as search_lists
from dbambassador.reflection.api_questions import Object, Question
from dbambassador.reflection.findings import Findings
from dbambassador.reflection.gather import gather
from dbambassador.reflection.merging import merged
from dbambassador.reflection.metadata_services import Conversation
from dbambassador.reflection.reading import Reading
from dbambassador.values import Confidence, State
from tests.reflection.captures import CAPTURES
from tests.reflection.captures.capture import CONTAINERD, DOCKER
from tests.reflection.places import COMPOSE, POD, PODMAN
from tests.reflection.tokens import token


def reading(data: bytes, path: str = "/file") -> Reading:
    return Reading(path, State.PRESENT, data)


def shown(findings: Findings) -> None:
    """What every fact must be, wherever it comes from."""
    for fact in (*merged(findings), *findings.families):
        assert fact.value.isprintable()
        assert fact.reason.isprintable()
        assert fact.unknown == bool(fact.reason)


def labels(data: bytes) -> None:
    shown(downward.whole_map(downward.LABELS, reading(data), Confidence.STRONG))


def claims(data: bytes) -> None:
    facts = token_claims.read(reading(data), None)
    shown(facts)
    signature = data.strip().rpartition(b".")[2].decode("ascii", "replace")
    assert len(signature) < 12 or signature not in repr(facts), "the token's signature is told"


def firmware(data: bytes) -> None:
    lines = data.split(b"\n", len(dmi.ENTRIES) - 1)
    lines += [b""] * (len(dmi.ENTRIES) - len(lines))
    table = {entry: reading(line) for entry, line in zip(dmi.ENTRIES, lines, strict=True)}
    shown(dmi.read(table, machine=True, in_pod=True))


def search_list(data: bytes) -> None:
    zone = search_lists.parse(data).service_zone
    assert zone is None or all(part.isprintable() for part in zone)


def resolver(data: bytes) -> None:
    found = resolv_conf.parse_resolv_conf(data.decode("utf-8", "replace"))
    assert 1 <= len(found.nameservers) <= resolv_conf.MAX_NAMESERVERS
    assert len(found.search) <= resolv_conf.MAX_SEARCH


def hosts_file(data: bytes) -> None:
    for name, addresses in hosts.parse_hosts(data.decode("utf-8", "replace")).items():
        assert name == hosts.canonical(name)
        assert addresses


def texts(data: bytes) -> None:
    """What single values tell: provider IDs, issuers, versions, attributes of telemetry."""
    text = data.decode("utf-8", "surrogateescape")
    shown(provider_id.read(text, Confidence.STRONG, "source"))
    shown(issuers.read(text, "source"))
    if text:
        shown(distributions.from_version(text, "source"))
    shown(otel.hints(text))


def single_files(data: bytes) -> None:
    """Files of one value."""
    for fact in (
        service_account.namespace(reading(data)),
        service_account.ca_fingerprints(reading(data)),
        downward.one_value("k8s.pod.name", reading(data), Confidence.STRONG),
    ):
        if fact is not None:
            shown(Findings((fact,)))
    shown(own_name.name(reading(data), "node"))


def unquoted(data: bytes) -> None:
    try:
        go_quoting.unquote(data)
    finally:
        go_quoting.parse_map(b"key=" + data)


_API_QUESTION = Question(
    "10.0.0.1",
    "443",
    "/",
    (
        (Object.NODE, "worker-3", Confidence.STRONG),
        (Object.NAMESPACE, "shop", Confidence.HINT),
        (Object.VERSION, "", Confidence.STRONG),
        (Object.CLUSTER, "kube-system", Confidence.STRONG),
    ),
)
_API_ANSWER = {
    "node": {
        "outcome": "ok",
        "labels": {"topology.kubernetes.io/region": "eu-west-1", "eks.amazonaws.com/nodegroup": "a"},
        "provider_id": "aws:///eu-west-1a/i-0123456789",
        "os_image": "Talos (v1.8.0)",
    },
    "namespace": {"outcome": "status", "status": 403, "detail": 'User "system:serviceaccount:shop:orders"'},
    "version": {"outcome": "ok", "version": "v1.31.2-eks-7f9249a"},
    "cluster": {"outcome": "timeout", "detail": "read"},
}


def api_answer(data: bytes) -> None:
    """What the child process says."""
    shown(api_answers.learned(data, _API_QUESTION))


def api_object(data: bytes) -> None:
    """What the API server says, through the child process and back."""
    for status_code in (200, 403):
        told = {
            kind.value: kubernetes_api.described((status_code, data), kind.path(name))
            for kind, name, _ in _API_QUESTION.objects
        }
        api_answer(json.dumps(told).encode())


_SERVICES = tuple(metadata_services._BY_PROVIDER.values())
_ECS = metadata_services._ecs("/v4/x")


def metadata(data: bytes) -> None:
    """A line for each question that a cloud's service is asked, or the whole where that is one document."""
    text = data.decode("utf-8", "replace")
    for service in _SERVICES:
        told = _told(service.converse(), text.split("\n"))
        shown(metadata_services.learned(service, told))
    _told(_ECS(), [text])
    _told(metadata_services._azure(), [text])


def _told(conversation: Conversation, answers: list[str]) -> metadata_services.Told:
    try:
        next(conversation)
        for answer in (*answers, *("" for _ in range(10))):
            conversation.send(answer)
    except StopIteration as end:
        told: metadata_services.Told = end.value
        assert all(told.values())
        return told
    except metadata_services.Malformed:
        return {}
    raise AssertionError("it asks on and on")


def variables(data: bytes) -> None:
    """As execve(2) has them, where no file tells anything."""
    pairs = [line.partition("=") for line in data.decode("utf-8", "surrogateescape").split("\0")]
    environ = {name: value for name, equals, value in pairs if name and equals}
    facts = gather(_NOWHERE, environ)
    for fact in facts:
        assert fact.value.isprintable()
        assert fact.reason.isprintable()


def a_mount(data: bytes) -> None:
    assert mounts.runtime(data) in ("", "docker", "containerd", mounts.CONTAINERS_STORAGE)


def authorities(data: bytes) -> None:
    assert all(len(found) == 64 for found in certificates.fingerprints(data))


def _file(path: str) -> bytes:
    content = POD.files[path]
    return content if isinstance(content, bytes) else content.encode()


_NOWHERE = Path("/nonexistent")
VARIABLES = tuple(
    b"\0".join(f"{name}={value}".encode() for name, value in place.environ.items())
    for place in (POD, COMPOSE, PODMAN, *(capture.place for capture in CAPTURES.values()))
    if place.environ
)
TOKEN = token().encode()
LABELS = (
    _file("etc/podinfo/labels"),
    _file("etc/podinfo/annotations"),
    b'a="\\u001b[31m\\x00\\U0001f600\\t"\nb=""\n',
)
QUOTED = tuple(line.partition(b"=")[2] for file in LABELS for line in file.splitlines())
_ROOT = Path(__file__).parents[2] / "dbambassador/demo/captures/production/root"
_CERTIFICATE = (_ROOT / "var/run/secrets/kubernetes.io/serviceaccount/ca.crt").read_bytes()
CERTIFICATES = (_CERTIFICATE, _CERTIFICATE * 2)
MOUNTS = tuple(text.encode() for files in (CONTAINERD, DOCKER) for text in files.values())
HOSTS = (_file("etc/hosts"), b"fd00::7 a.test b.test # note\n127.0.0.1\tlocalhost.\n")
RESOLV_CONF = (
    _file("etc/resolv.conf"),
    b"domain a.\noptions timeout:1 attempts:9 ndots:99\nnameserver fd00::53\n",
)
FIRMWARE = (
    b"Amazon EC2\nm5.large\nAmazon EC2\nAmazon EC2\n",
    b"QEMU\nkind\n\nBHYVE\n7783-7084-3265-9085-8269-3286-77",
)
TEXTS = (
    b"aws:///eu-west-1a/i-0123456789abcdef0",
    b"gce://shop-production/europe-west1-b/node-1",
    b"azure:///subscriptions/0f3f7c04-0000-4000-8000-3c4dc2ad34b1/resourceGroups/x",
    b"https://oidc.eks.eu-west-1.amazonaws.com/id/ABCDEF",
    b"https://container.googleapis.com/v1/projects/shop/locations/europe-west1-b/clusters/main",
    b"v1.31.2-eks-7f9249a",
    b"service.name=orders,k8s.namespace.name=shop%20a",
)
METADATA = (
    b"token\neu-west-1\neu-west-1a\n02:00:00:00:00:01\n123456789012",
    b"projects/1/zones/europe-west1-b\nshop",
    b"eu-frankfurt-1\nabcd:EU-FRANKFURT-1-AD-1\nocid1.tenancy.oc1..aaaa",
    b'{"location": "westeurope", "subscriptionId": "0f3f7c04-0000-4000-8000-3c4dc2ad34b1", "zone": "1"}',
    b'{"TaskARN": "arn:aws:ecs:eu-west-1:123456789012:task/shop/0", "Cluster": "shop", "LaunchType": "EC2"}',
)
API_ANSWER = json.dumps(_API_ANSWER).encode()
API_OBJECT = json.dumps(
    {
        "metadata": {
            "name": "worker-3",
            "uid": "u",
            "labels": {"topology.kubernetes.io/region": "eu-west-1"},
        },
        "spec": {"providerID": "aws:///eu-west-1a/i-0123456789"},
        "status": {"nodeInfo": {"osImage": "Talos (v1.8.0)"}},
        "message": "forbidden",
        "gitVersion": "v1.31.2-eks-7f9249a",
    }
).encode()
