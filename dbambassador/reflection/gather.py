"""All sources but the network, at once: files below a root, variables, and what a person stated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from dbambassador.reflection import (
    cloud,
    containers,
    dmi,
    downward,
    explicit,
    hosted,
    hosts,
    issuers,
    mounts,
    otel,
    presence,
    resolv_conf,
    service_account,
)
from dbambassador.reflection.api_questions import CLUSTER_UID
from dbambassador.reflection.distributions import DISTRIBUTION, VERSION
from dbambassador.reflection.findings import Findings, absent, found, unknown
from dbambassador.reflection.merging import enriched, merged
from dbambassador.reflection.reading import Files
from dbambassador.values import Confidence, Fact, Facts, State

_MACHINES = ("systemd", "bare")
"""Platforms on which nothing stands between the machine and us."""

_FIELD_REF = "set {0} from fieldRef {1} (downward API)"
_EVERY_POD_HAS = {
    "k8s.namespace.name": _FIELD_REF.format("K8S_NAMESPACE_NAME", "metadata.namespace"),
    "k8s.pod.name": _FIELD_REF.format("K8S_POD_NAME", "metadata.name"),
    "k8s.pod.uid": _FIELD_REF.format("K8S_POD_UID", "metadata.uid"),
    "k8s.pod.ip": _FIELD_REF.format("K8S_POD_IP", "status.podIP"),
    "k8s.node.name": _FIELD_REF.format("K8S_NODE_NAME", "spec.nodeName"),
    service_account.CA_FINGERPRINT: f"mount the service account's files at {service_account.DIRECTORY}",
}
_ONLY_API = "only the Kubernetes API knows; it is asked where the answer could decide"
_EVERY_CLUSTER_HAS = dict.fromkeys((CLUSTER_UID, VERSION, DISTRIBUTION), _ONLY_API)
_VOLUME = f"mount a downward volume at {downward.VOLUME} with metadata.{{}}"
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
    stated = explicit.findings({**explicit.from_environ(environ), **explicit_facts})
    resolv_conf_file = files.read("/etc/resolv.conf")
    resolv = resolv_conf.parse(resolv_conf_file.data)
    kubernetes = _kubernetes(files, environ, resolv)
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
        mounts.runtime(files.read(mounts.PATH, mounts.MAX_BYTES).data),
        hosted.applicable(environ, in_pod=in_pod),
    )
    platform = containers.platform(signs)
    firmware = {entry: files.read(f"{dmi.DIRECTORY}/{entry}", dmi.MAX_BYTES) for entry in dmi.ENTRIES}
    on_machine = any(claim.name == presence.PLATFORM and claim.value in _MACHINES for claim in platform.facts)
    system = os.uname()
    facts = merged(
        Findings.joined(
            (
                stated,
                downward.from_environ(environ, trust),
                service_account.read(files, trust),
                downward.from_volume(files, trust),
                _from_search_list(resolv),
                platform,
                dmi.read(firmware, machine=on_machine, in_pod=in_pod),
                hosts.machine(system.sysname, system.machine),
                # The name of this machine says nothing of the place that another root was taken from.
                hosts.name(files.read("/etc/hostname"), system.nodename if str(root) == "/" else ""),
                otel.hints(environ.get(otel.VARIABLE, "")),
            )
        )
    )
    facts = enriched(facts, Findings.joined((cloud.topology(facts), cloud.pod_topology(facts))))
    return _completed(facts, kubernetes)


def _kubernetes(files: Files, environ: Mapping[str, str], resolv: resolv_conf.ResolvConf) -> Fact:
    account = files.look(service_account.DIRECTORY)
    if account.state is State.ABSENT and hosted.runs_on_hidden_kubernetes(environ):
        return absent(presence.PLATFORM, "the Kubernetes under Azure Container Apps is hidden from them")
    podinfo = next((seen for each in downward.VOLUMES if (seen := files.look(each)).present), None)
    return presence.kubernetes(
        environ, account, files.read("/etc/hosts"), resolv, podinfo or files.look(downward.VOLUME)
    )


def _from_search_list(resolv: resolv_conf.ResolvConf) -> Findings:
    zone = resolv.service_zone
    if zone is None:
        return Findings()
    source = "search list of /etc/resolv.conf"
    return Findings(
        (
            found(service_account.NAMESPACE, zone[0], Confidence.HINT, source),
            found(issuers.CLUSTER_DOMAIN, zone[1], Confidence.HINT, source),
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
        unknown("dbambassador.host.", "the firmware's table of the machine is not here, or names none known"),
        unknown("os.", _NO_SOURCE),
    ]
    if platform.unknown or platform.value == "ecs":
        families.append(unknown("aws.ecs.", "only the metadata endpoint of ECS knows"))
    defaults = Facts.of(names, families)
    exact = {**defaults.exact, **{fact.name: _advised(fact, defaults) for fact in facts}}
    return Facts(
        MappingProxyType(exact),
        MappingProxyType({**defaults.families, **facts.families}),
    )


def _advised(fact: Fact, defaults: Facts) -> Fact:
    """A source that failed says why, and then what else would make the fact known.

    Sources that disagree (those facts name none) would not be reconciled by another one.
    """
    advice = defaults.exact.get(fact.name)
    if not (fact.unknown and fact.source) or advice is None or not advice.unknown:
        return fact
    return replace(fact, reason=f"{fact.reason}; {advice.reason}")


def _outside_kubernetes(source: str) -> tuple[list[Fact], list[Fact]]:
    return [], [absent(prefix, source) for prefix in ("k8s.", "dbambassador.k8s.", "dbambassador.node.")]


def _in_kubernetes(doubt: str) -> tuple[list[Fact], list[Fact]]:
    def because(reason: str) -> str:
        return f"{doubt}; {reason}" if doubt else reason

    names = [unknown(name, because(reason)) for name, reason in (_EVERY_POD_HAS | _EVERY_CLUSTER_HAS).items()]
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
