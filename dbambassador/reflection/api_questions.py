"""Which facts only the Kubernetes API can tell, and the question that would learn them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from dbambassador.reflection.cloud import ACCOUNT, NODE_LABELS, PROVIDER, PROVIDER_SCHEME, TOPOLOGY
from dbambassador.reflection.distributions import DISTRIBUTION, VERSION
from dbambassador.reflection.presence import SERVICE_HOST
from dbambassador.values import Confidence, Facts

SERVICE_PORT = "KUBERNETES_SERVICE_PORT"
NAMESPACE_LABELS = "k8s.namespace.label."
CLUSTER_UID = "k8s.cluster.uid"
SYSTEM_NAMESPACE = "kube-system"


class Object(Enum):
    """What is asked for: our own node and namespace, the server's version, the cluster's identity."""

    NODE = "node"
    NAMESPACE = "namespace"
    VERSION = "version"
    CLUSTER = "cluster"
    """The namespace kube-system, whose UID is OpenTelemetry's `k8s.cluster.uid`."""

    @property
    def named_by(self) -> str:
        """The fact that holds its name; "" for what has the same name everywhere."""
        return f"k8s.{self.value}.name" if self in (Object.NODE, Object.NAMESPACE) else ""

    @property
    def mark(self) -> str:
        """The family or the fact of which no other object speaks."""
        return _MARKS[self]

    def path(self, name: str) -> str:
        """Of the request to the API server."""
        if self is Object.VERSION:
            return "/version"
        return f"/api/v1/{'nodes' if self is Object.NODE else 'namespaces'}/{quote(name, safe='')}"


_MARKS = {
    Object.NODE: NODE_LABELS,
    Object.NAMESPACE: NAMESPACE_LABELS,
    Object.VERSION: VERSION,
    Object.CLUSTER: CLUSTER_UID,
}

FACTS: Mapping[Object, frozenset[str]] = {
    Object.NODE: frozenset({PROVIDER, PROVIDER_SCHEME, ACCOUNT, DISTRIBUTION, *TOPOLOGY}),
    Object.NAMESPACE: frozenset(),
    Object.VERSION: frozenset({VERSION, DISTRIBUTION}),
    Object.CLUSTER: frozenset({CLUSTER_UID}),
}
"""What each tells besides labels."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the child process is to ask, and where."""

    host: str
    port: str
    root: str
    """In front of the service account's files."""
    objects: tuple[tuple[Object, str, Confidence], ...]
    """Each with its name, and how far that name is trusted; an answer is trusted no further."""
    unhurried: bool = False
    """Asked at the lowest priority: sessions are served meanwhile."""

    def document(self) -> dict[str, object]:
        """As the child reads it."""
        paths = {kind.value: kind.path(name) for kind, name, _ in self.objects}
        server: dict[str, object] = {"host": self.host, "port": self.port, "root": self.root}
        return {**server, "paths": paths, "unhurried": self.unhurried}


def objects_for(names: Iterable[str], facts: Facts) -> frozenset[Object]:
    """The objects that could tell one of `names`; a fact that is more than a hint needs no telling."""
    wanted: set[Object] = set()
    for name in names:
        fact = facts.get(name)
        if not (fact.unknown or (fact.present and fact.confidence is Confidence.HINT)):
            continue
        wanted |= {kind for kind in Object if name in FACTS[kind]}
        wanted |= {kind for kind in (Object.NODE, Object.NAMESPACE) if name.startswith(kind.mark)}
    return frozenset(wanted)


def question(
    objects: Iterable[Object], facts: Facts, root: str, environ: Mapping[str, str]
) -> Question | None:
    """None: there is nothing to ask, or nobody: no pod, or the objects' names are not known."""
    host = environ.get(SERVICE_HOST, "")
    named = []
    for kind in sorted(set(objects), key=lambda kind: kind.value):
        if not kind.named_by:
            named.append((kind, SYSTEM_NAMESPACE, Confidence.STRONG))
        elif (name := facts.get(kind.named_by)).present:
            named.append((kind, name.value, min(name.confidence, Confidence.STRONG)))
    if not host or not named:
        return None
    return Question(host, environ.get(SERVICE_PORT) or "443", root, tuple(named))
