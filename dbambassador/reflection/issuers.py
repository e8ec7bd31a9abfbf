"""What the address of a cluster's token issuer tells of the cloud. Pure.

Every one of them is a hint: whoever sets up a cluster may name its issuer as they like.
"""

from __future__ import annotations

import re

from dbambassador.reflection.cloud import ACCOUNT, PLATFORM, PROVIDER, REGION
from dbambassador.reflection.findings import Findings, found
from dbambassador.values import Confidence

CLUSTER_DOMAIN = "dbambassador.k8s.cluster.domain"
CLUSTER_NAME = "k8s.cluster.name"

_EKS = re.compile(
    r"https://oidc\.eks\.(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?/id/[A-Za-z0-9]+"
)
"""https://docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html"""

_GKE = re.compile(
    r"https://container\.googleapis\.com/v1/projects/(?P<project>[a-z0-9.:-]+)"
    r"/locations/(?P<location>[a-z]+(?:-[a-z0-9]+)+)/clusters/(?P<cluster>[a-z0-9-]+)"
)
"""https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity"""

_AKS = re.compile(r"https://(?P<region>[a-z0-9]+)\.oic\.prod-aks\.azure\.com/[0-9a-f-]{36}/[0-9a-f-]{36}/?")
"""https://learn.microsoft.com/azure/aks/use-oidc-issuer"""

_CLUSTER = re.compile(r"https://kubernetes\.default\.svc\.(?P<domain>[a-z0-9][a-z0-9.-]{0,252})")
"""kubeadm's default: https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/"""

_ZONE = re.compile(r"(?P<region>[a-z]+-[a-z]+\d+)-[a-z]")
"""The location of a zonal cluster; its nodes may be in other zones of the region."""


def read(issuer: str, source: str) -> Findings:
    """Nothing from an issuer of another form."""
    told: dict[str, str] = {}
    if match := _EKS.fullmatch(issuer):
        told = {PROVIDER: "aws", PLATFORM: "aws_eks", REGION: match["region"]}
    elif match := _GKE.fullmatch(issuer):
        zone = _ZONE.fullmatch(match["location"])
        told = {
            PROVIDER: "gcp",
            PLATFORM: "gcp_kubernetes_engine",
            ACCOUNT: match["project"],
            REGION: zone["region"] if zone else match["location"],
            CLUSTER_NAME: match["cluster"],
        }
    elif match := _AKS.fullmatch(issuer):
        told = {PROVIDER: "azure", PLATFORM: "azure.aks", REGION: match["region"]}
    elif match := _CLUSTER.fullmatch(issuer):
        told = {CLUSTER_DOMAIN: match["domain"]}
    return Findings(tuple(found(name, value, Confidence.HINT, source) for name, value in told.items()))
