"""The pod security standard `restricted`: https://kubernetes.io/docs/concepts/security/pod-security-standards/."""

from __future__ import annotations

from collections.abc import Iterator

from tests.deployment.kustomize import Object
from tests.deployment.pods import Pod

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def violations(pod: Pod) -> list[str]:
    """In words; empty where the pod is admitted."""
    return [f"{pod.name}: {problem}" for problem in _of_pod(pod)]


def _of_pod(pod: Pod) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(key):
            yield key
    for name, volume in pod.volumes.items():
        if volume.keys() - {"name"} - VOLUMES:
            yield f"volume {name}"
    for container in pod.containers:
        for problem in _of_container(container, pod.spec.get("securityContext", {})):
            yield f"container {container['name']}: {problem}"


def _of_container(container: Object, of_pod: Object) -> Iterator[str]:
    own = container.get("securityContext", {})
    either = {**of_pod, **own}
    if either.get("runAsNonRoot") is not True or either.get("runAsUser") == 0:
        yield "may be root"
    if either.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "may gain privileges"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "keeps capabilities"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "a port of the host"
