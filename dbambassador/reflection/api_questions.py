"""Which facts only the Kubernetes API can tell, and the question that would learn them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from dbambassador.reflection.cloud import NODE_LABELS, PROVIDER, PROVIDER_SCHEME, TOPOLOGY
from dbambassador.reflection.presence import SERVICE_HOST
from dbambassador.values import Confidence, Facts

SERVICE_PORT = "KUBERNETES_SERVICE_PORT"
NAMESPACE_LABELS = "k8s.namespace.label."


class Object(Enum):
    """What is asked for: only our own node and our own namespace."""

    NODE = "node"
    NAMESPACE = "namespace"

    @property
    def family(self) -> str:
        return NODE_LABELS if self is Object.NODE else NAMESPACE_LABELS

    @property
    def named_by(self) -> str:
        """The fact that holds its name."""
        return f"k8s.{self.value}.name"

    def path(self, name: str) -> str:
        """Of the request to the API server."""
        return f"/api/v1/{self.value}s/{quote(name, safe='')}"


NODE_FACTS = frozenset({PROVIDER, PROVIDER_SCHEME, *TOPOLOGY})
"""What a node tells besides its labels."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the child process is to ask, and where."""

    host: str
    port: str
    root: str
    """In front of the service account's files."""
    objects: tuple[tuple[Object, str, Confidence], ...]
    """Each with its name, and how far that name is trusted; an answer is trusted no further."""

    def document(self) -> dict[str, object]:
        """As the child reads it."""
        paths = {kind.value: kind.path(name) for kind, name, _ in self.objects}
        return {"host": self.host, "port": self.port, "root": self.root, "paths": paths}


def objects_for(names: Iterable[str], facts: Facts) -> frozenset[Object]:
    """The objects that could tell one of `names`; a fact that is more than a hint needs no telling."""
    wanted = set()
    for name in names:
        fact = facts.get(name)
        if not (fact.unknown or (fact.present and fact.confidence is Confidence.HINT)):
            continue
        if name.startswith(NODE_LABELS) or name in NODE_FACTS:
            wanted.add(Object.NODE)
        elif name.startswith(NAMESPACE_LABELS):
            wanted.add(Object.NAMESPACE)
    return frozenset(wanted)


def question(
    objects: Iterable[Object], facts: Facts, root: str, environ: Mapping[str, str]
) -> Question | None:
    """None: there is nothing to ask, or nobody: no pod, or the objects' names are not known."""
    host = environ.get(SERVICE_HOST, "")
    named = []
    for kind in sorted(set(objects), key=lambda kind: kind.value):
        name = facts.get(kind.named_by)
        if name.present:
            named.append((kind, name.value, min(name.confidence, Confidence.STRONG)))
    if not host or not named:
        return None
    return Question(host, environ.get(SERVICE_PORT) or "443", root, tuple(named))
