"""What a node's labels and provider ID tell about the cloud under it. Pure.

Labels: https://kubernetes.io/docs/reference/labels-annotations-taints/. Schemes of `spec.providerID` are
those of the cloud controller managers. A missing one is no evidence of having no cloud.
"""

from __future__ import annotations

import re

from dbambassador.reflection.findings import Findings, absent, found, unknown
from dbambassador.values import Confidence, Fact, Facts

NODE_LABELS = "k8s.node.label."
PROVIDER = "cloud.provider"
PROVIDER_SCHEME = "dbambassador.node.provider_id_scheme"

TOPOLOGY = {
    "cloud.region": NODE_LABELS + "topology.kubernetes.io/region",
    "cloud.availability_zone": NODE_LABELS + "topology.kubernetes.io/zone",
}

_PROVIDERS = {
    "aws": "aws",
    "azure": "azure",
    "gce": "gcp",
    "hcloud": "hetzner",
    "hrobot": "hetzner",
    "ibm": "ibm_cloud",
    "linode": "akamai_cloud",
}
"""Scheme to OpenTelemetry's `cloud.provider`."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,62})://")


def topology(facts: Facts) -> Findings:
    """Region and zone from the node's labels, as far as these are known; trusted like the label."""
    claims = []
    for name, label in TOPOLOGY.items():
        fact = facts.get(label)
        if fact.present:
            source = f"{fact.source}, label {label.removeprefix(NODE_LABELS)}"
            claims.append(found(name, fact.value, fact.confidence, source))
    return Findings(tuple(claims))


def provider(provider_id: str, confidence: Confidence, source: str) -> Findings:
    """From a node's `spec.providerID`, which is "" where no cloud controller runs."""
    match = _SCHEME.match(provider_id)
    if match is None:
        reason = (
            f"{source}: spec.providerID names no provider" if provider_id else f"{source}: no spec.providerID"
        )
        return Findings((absent(PROVIDER_SCHEME, source), unknown(PROVIDER, reason)))
    scheme = match[1]
    claims: list[Fact] = [found(PROVIDER_SCHEME, scheme, confidence, source)]
    if scheme in _PROVIDERS:
        claims.append(found(PROVIDER, _PROVIDERS[scheme], confidence, f"{source}, spec.providerID"))
    else:
        claims.append(
            unknown(PROVIDER, f"{source}: spec.providerID {scheme}:// names no cloud that is known here")
        )
    return Findings(tuple(claims))
