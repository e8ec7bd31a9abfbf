"""What the labels of a node, and of a pod, tell about the cloud under them. Pure.

Labels: https://kubernetes.io/docs/reference/labels-annotations-taints/.
"""

from __future__ import annotations

from dbambassador.reflection.downward import LABELS as POD_LABELS
from dbambassador.reflection.findings import Findings, found
from dbambassador.values import Confidence, Facts

NODE_LABELS = "k8s.node.label."
REGION, ZONE = "cloud.region", "cloud.availability_zone"
PLATFORM = "cloud.platform"
PROVIDER = "cloud.provider"
ACCOUNT = "cloud.account.id"
PROVIDER_SCHEME = "dbambassador.node.provider_id_scheme"

TOPOLOGY = {
    REGION: NODE_LABELS + "topology.kubernetes.io/region",
    ZONE: NODE_LABELS + "topology.kubernetes.io/zone",
}

_POD_TOPOLOGY = (
    (REGION, "topology.kubernetes.io/region"),
    (ZONE, "topology.kubernetes.io/zone"),
    (REGION, "topology.k8s.io/region"),
    (ZONE, "topology.k8s.io/zone"),
)
"""Kubernetes copies the node's to its pods: on by default since 1.35, and with the second names in its first
alpha version (https://kep.k8s.io/4742)."""


def topology(facts: Facts) -> Findings:
    """Region and zone from the node's labels, as far as these are known; trusted like the label."""
    claims = []
    for name, label in TOPOLOGY.items():
        fact = facts.get(label)
        if fact.present:
            source = f"{fact.source}, label {label.removeprefix(NODE_LABELS)}"
            claims.append(found(name, fact.value, fact.confidence, source))
    return Findings(tuple(claims))


def pod_topology(facts: Facts) -> Findings:
    """Region and zone from the pod's labels; a hint: a pod that names its own node keeps its own."""
    claims = []
    for name, label in _POD_TOPOLOGY:
        fact = facts.get(POD_LABELS + label)
        if fact.present:
            claims.append(found(name, fact.value, Confidence.HINT, f"{fact.source}, label {label}"))
    return Findings(tuple(claims))
