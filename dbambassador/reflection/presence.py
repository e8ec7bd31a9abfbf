"""Is this a pod? Decided from files and variables that the kubelet puts there. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dbambassador.reflection.findings import absent, found, unknown
from dbambassador.reflection.reading import Reading
from dbambassador.reflection.resolv_conf import ResolvConf
from dbambassador.values import Confidence, Fact

PLATFORM = "dbambassador.platform"
SERVICE_HOST = "KUBERNETES_SERVICE_HOST"
HOSTS_HEADER = b"# Kubernetes-managed hosts file"
"""The kubelet's first line of /etc/hosts, also with host network: pkg/kubelet/kubelet_pods.go."""


def kubernetes(
    environ: Mapping[str, str], account: Reading, hosts: Reading, resolv: ResolvConf, podinfo: Reading
) -> Fact:
    """The platform fact as far as Kubernetes goes: present, absent, or unknown where a sign is not readable.

    Args:
        account: the service account's directory. Not there with `automountServiceAccountToken: false`.
    """
    if environ.get(SERVICE_HOST):
        return found(PLATFORM, "kubernetes", Confidence.STRONG, SERVICE_HOST)
    if account.present:
        return found(PLATFORM, "kubernetes", Confidence.STRONG, account.path)
    if hosts.present and hosts.data.startswith(HOSTS_HEADER):
        return found(PLATFORM, "kubernetes", Confidence.STRONG, f"first line of {hosts.path}")
    if resolv.service_zone:
        return found(PLATFORM, "kubernetes", Confidence.HINT, "search list of /etc/resolv.conf")
    if podinfo.present:
        return found(PLATFORM, "kubernetes", Confidence.HINT, podinfo.path)
    if account.reason:
        return unknown(PLATFORM, f"{account.reason}; it would tell whether this is a pod")
    return absent(PLATFORM, "no sign of Kubernetes")
