"""Versions and nodes as the vendors' documentation shows them."""

from __future__ import annotations

import pytest

from dbambassador.reflection.distributions import DISTRIBUTION, from_node, from_version
from dbambassador.values import Confidence, Facts

INSTANCE = "node.kubernetes.io/instance-type"


@pytest.mark.parametrize(
    ("version", "distribution"),
    [
        ("v1.31.2-eks-7f9249a", "eks"),
        ("v1.30.5-gke.1014001", "gke"),
        ("v1.30.6+k3s1", "k3s"),
        ("v1.30.6+rke2r1", "rke2"),
        ("v1.31.1", ""),
        ("v1.27.6+f67aeb3", ""),
        ("v1.31.1-eksotic", ""),
    ],
)
def test_versions(version: str, distribution: str) -> None:
    found = Facts.of(from_version(version, "the API").facts)
    assert found.get("dbambassador.k8s.version").value == version
    fact = found.get(DISTRIBUTION)
    assert fact.value == distribution
    assert fact.present or fact.unknown


@pytest.mark.parametrize(
    ("labels", "scheme", "image", "distribution"),
    [
        ({"eks.amazonaws.com/nodegroup": "a"}, "aws", "Bottlerocket OS 1.26.1 (aws-k8s-1.31)", "eks"),
        ({"cloud.google.com/gke-nodepool": "a"}, "gce", "Container-Optimized OS from Google", "gke"),
        ({"kubernetes.azure.com/agentpool": "a"}, "azure", "Ubuntu 22.04.5 LTS", "aks"),
        ({"node.openshift.io/os_id": "rhcos"}, "aws", "Red Hat Enterprise Linux CoreOS 416.94", "openshift"),
        ({}, "", "Red Hat Enterprise Linux CoreOS 416.94", "openshift"),
        ({INSTANCE: "k3s", "topology.kubernetes.io/region": "eu-west-1"}, "k3s", "Debian", "k3s"),
        ({INSTANCE: "rke2"}, "", "SLES", "rke2"),
        ({"minikube.k8s.io/name": "minikube"}, "", "Ubuntu 22.04.5 LTS", "minikube"),
        ({"doks.digitalocean.com/node-pool": "a"}, "digitalocean", "Debian", "doks"),
        ({}, "kind", "Debian GNU/Linux 12 (bookworm)", "kind"),
        ({}, "", "Talos (v1.8.3)", "talos"),
        ({INSTANCE: "m5.large"}, "aws", "Ubuntu 22.04.5 LTS", ""),
        ({}, "", "", ""),
    ],
)
def test_nodes(labels: dict[str, str], scheme: str, image: str, distribution: str) -> None:
    found = Facts.of(from_node(labels, scheme, image, Confidence.HINT, "the API").facts)
    fact = found.get(DISTRIBUTION)
    assert fact.value == distribution
    assert fact.confidence is Confidence.HINT if fact.present else fact.unknown


def test_marks_of_two_are_no_mark() -> None:
    labels = {"eks.amazonaws.com/nodegroup": "a", INSTANCE: "k3s"}
    fact = Facts.of(from_node(labels, "aws", "", Confidence.STRONG, "the API").facts).get(DISTRIBUTION)
    assert fact.unknown
    assert fact.reason == "the API: marks of several: eks, k3s"
