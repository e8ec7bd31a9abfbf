"""Which distribution of Kubernetes this is, from the server's version and from a node. Pure.

Neither tells what it is not: many a cluster has no mark of its own, and its distribution is then unknown.
None of them tells the cloud: EKS and GKE run outside Amazon's and Google's too, and k3s runs everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dbambassador.reflection.findings import Findings, found, unknown
from dbambassador.values import Confidence

DISTRIBUTION = "dbambassador.k8s.distribution"
VERSION = "dbambassador.k8s.version"

_SUFFIXES = (
    (re.compile(r"-eks-"), "eks"),
    (re.compile(r"-gke\."), "gke"),
    (re.compile(r"\+k3s\d"), "k3s"),
    (re.compile(r"\+rke2r\d"), "rke2"),
)
"""Of `gitVersion`, as the vendors build it: v1.31.2-eks-7f9249a, v1.30.5-gke.1014001, v1.30.6+k3s1,
v1.30.6+rke2r1."""

_LABELS = (
    ("eks.amazonaws.com/", "eks"),
    ("cloud.google.com/gke-", "gke"),
    ("kubernetes.azure.com/", "aks"),
    ("node.openshift.io/", "openshift"),
    ("minikube.k8s.io/", "minikube"),
    ("doks.digitalocean.com/", "doks"),
)
"""How a label's key begins."""

_INSTANCE_TYPE = "node.kubernetes.io/instance-type"
_IMAGES = (("Talos (", "talos"), ("Red Hat Enterprise Linux CoreOS", "openshift"))
"""How `status.nodeInfo.osImage` begins. Bottlerocket and Container-Optimized OS serve several of them."""


def from_version(git_version: str, source: str) -> Findings:
    version = found(VERSION, git_version, Confidence.STRONG, source)
    names = {name for suffix, name in _SUFFIXES if suffix.search(git_version)}
    return Findings((version, *_one(names, Confidence.STRONG, source, "the version names none").facts))


def from_node(
    labels: Mapping[str, str], scheme: str, os_image: str, confidence: Confidence, source: str
) -> Findings:
    """Args: scheme: of the provider ID, or ""."""
    names = {name for prefix, name in _LABELS if any(key.startswith(prefix) for key in labels)}
    names |= {name for begin, name in _IMAGES if os_image.startswith(begin)}
    # Set also where a cloud's labels stand beside it: github.com/k3s-io/k3s/issues/9793.
    names |= {labels.get(_INSTANCE_TYPE, "")} & {"k3s", "rke2"}
    names |= {scheme} & {"k3s", "kind"}
    return _one(names, confidence, source, "neither labels nor system image name one")


def _one(names: set[str], confidence: Confidence, source: str, nothing: str) -> Findings:
    if len(names) == 1:
        return Findings((found(DISTRIBUTION, names.pop(), confidence, source),))
    told = f"marks of several: {', '.join(sorted(names))}" if names else nothing
    return Findings((unknown(DISTRIBUTION, f"{source}: {told}"),))
