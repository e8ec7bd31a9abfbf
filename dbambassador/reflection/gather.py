"""All sources but the network, at once: files below a root, variables, and what a person stated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from dbambassador.reflection import (
    cloud,
    containers,
    downward,
    explicit,
    hosts,
    otel,
    presence,
    resolv_conf,
    service_account,
)
from dbambassador.reflection.findings import Findings, absent, found, unknown
from dbambassador.reflection.merging import enriched, merged
from dbambassador.reflection.reading import Files
from dbambassador.values import Confidence, Fact, Facts, State

CLUSTER_DOMAIN = "dbambassador.k8s.cluster.domain"

_FIELD_REF = "set {0} from fieldRef {1} (downward API)"
_EVERY_POD_HAS = {
    "k8s.namespace.name": _FIELD_REF.format("K8S_NAMESPACE_NAME", "metadata.namespace"),
    "k8s.pod.name": _FIELD_REF.format("K8S_POD_NAME", "metadata.name"),
    "k8s.pod.uid": _FIELD_REF.format("K8S_POD_UID", "metadata.uid"),
    "k8s.pod.ip": _FIELD_REF.format("K8S_POD_IP", "status.podIP"),
    "k8s.node.name": _FIELD_REF.format("K8S_NODE_NAME", "spec.nodeName"),
    service_account.CA_FINGERPRINT: f"mount the service account's files at {service_account.DIRECTORY}",
}
_VOLUME = f"mount a downward volume at {downward.VOLUME} with metadata.{{}}"
_ONLY_API = "only the Kubernetes API knows; it is asked where the answer could decide"
_NO_SOURCE = "no source of this is read"


def gather(
    root: Path,
    environ: Mapping[str, str],
    explicit_facts: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> Facts:
    """What can be known at once, in milliseconds and without the network.

    Args:
        root: put in front of every file that is read.
        explicit_facts: name to value and where a person stated it; over `DBAMBASSADOR_FACT_…` in `environ`.

    Raises:
        UsageError: a variable `DBAMBASSADOR_FACT_…` that states no fact. A source that cannot be read raises
            nothing: its facts are unknown.
    """
    files = Files(root)
    resolv_conf_file = files.read("/etc/resolv.conf")
    resolv = resolv_conf.parse(resolv_conf_file.data)
    kubernetes = presence.kubernetes(
        environ,
        files.look(service_account.DIRECTORY),
        files.read("/etc/hosts"),
        resolv,
        files.look(downward.VOLUME),
    )
    in_pod = kubernetes.present and kubernetes.confidence is Confidence.STRONG
    # Outside a pod nobody but a person can have set these names.
    trust = Confidence.STRONG if in_pod else Confidence.HINT
    signs = containers.Signs(
        kubernetes,
        environ,
        files.look(containers.DOCKERENV),
        files.look(containers.CONTAINERENV),
        files.look(containers.SYSTEMD),
        resolv,
    )
    system = os.uname()
    facts = merged(
        Findings.joined(
            (
                explicit.findings({**explicit.from_environ(environ), **explicit_facts}),
                downward.from_environ(environ, trust),
                service_account.read(files),
                downward.from_volume(files, trust),
                _from_search_list(resolv),
                containers.platform(signs),
                hosts.machine(system.sysname, system.machine),
                # The name of this machine says nothing of the place that another root was taken from.
                hosts.name(files.read("/etc/hostname"), system.nodename if str(root) == "/" else ""),
                otel.hints(environ.get(otel.VARIABLE, "")),
            )
        )
    )
    facts = enriched(facts, cloud.topology(facts))
    return _completed(facts, kubernetes)


def _from_search_list(resolv: resolv_conf.ResolvConf) -> Findings:
    zone = resolv.service_zone
    if zone is None:
        return Findings()
    source = "search list of /etc/resolv.conf"
    return Findings(
        (
            found(service_account.NAMESPACE, zone[0], Confidence.HINT, source),
            found(CLUSTER_DOMAIN, zone[1], Confidence.HINT, source),
        )
    )


def _completed(facts: Facts, kubernetes: Fact) -> Facts:
    """Adds what is to be said of the names that no source spoke of."""
    platform = facts.get(presence.PLATFORM)
    if kubernetes.state is State.ABSENT and platform.value != "kubernetes":
        names, families = _outside_kubernetes(kubernetes.source)
    else:
        doubt = "" if kubernetes.present else kubernetes.reason or f"{platform.source} says this is a pod"
        names, families = _in_kubernetes(doubt)
    runtime = facts.get("container.runtime")
    machine_only = platform.value == "systemd" and not runtime.present
    families += [
        unknown("cloud.", "no source that is switched on tells about a cloud"),
        absent("container.", platform.source) if machine_only else unknown("container.", _NO_SOURCE),
        unknown("host.", _NO_SOURCE),
        unknown("os.", _NO_SOURCE),
    ]
    defaults = Facts.of(names, families)
    return Facts(
        MappingProxyType({**defaults.exact, **facts.exact}),
        MappingProxyType({**defaults.families, **facts.families}),
    )


def _outside_kubernetes(source: str) -> tuple[list[Fact], list[Fact]]:
    return [], [absent(prefix, source) for prefix in ("k8s.", "dbambassador.k8s.", "dbambassador.node.")]


def _in_kubernetes(doubt: str) -> tuple[list[Fact], list[Fact]]:
    def because(reason: str) -> str:
        return f"{doubt}; {reason}" if doubt else reason

    names = [unknown(name, because(reason)) for name, reason in _EVERY_POD_HAS.items()]
    families = [
        unknown("k8s.", because(_NO_SOURCE)),
        unknown("dbambassador.k8s.", because(_NO_SOURCE)),
        unknown(downward.LABELS, because(_VOLUME.format("labels"))),
        unknown(downward.ANNOTATIONS, because(_VOLUME.format("annotations"))),
        unknown("dbambassador.node.", because(_ONLY_API)),
        unknown(cloud.NODE_LABELS, because(_ONLY_API)),
        unknown("k8s.namespace.label.", because(_ONLY_API)),
    ]
    return names, families
