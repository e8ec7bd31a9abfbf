"""Compose, Docker, Podman, containerd, systemd or none of them; or what a hosted platform says. Pure.

Each sign alone can mislead: `/.dockerenv` gets into images made from containers, a developer's shell may
export a project's name. Two that agree are strong. systemd's own order and files: src/basic/virt.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbambassador.reflection import mounts
from dbambassador.reflection.findings import Findings, absent, found, unknown
from dbambassador.reflection.presence import PLATFORM
from dbambassador.reflection.reading import Reading
from dbambassador.reflection.resolv_conf import DOCKER_DNS, ResolvConf
from dbambassador.values import Confidence, Fact, State

DOCKERENV = "/.dockerenv"
CONTAINERENV = "/run/.containerenv"
SYSTEMD = "/run/systemd/system"
"""Exists where systemd is the init: sd_booted(3)."""

UNIT_VARIABLES = ("INVOCATION_ID", "JOURNAL_STREAM")
"""Set for the processes of a unit, and inherited: systemd.exec(5)."""

PROJECT_VARIABLE = "COMPOSE_PROJECT"
"""Set in the compose file (`COMPOSE_PROJECT: ${COMPOSE_PROJECT_NAME}`): compose tells containers nothing."""

RUNTIME = "container.runtime"
COMPOSE_PROJECT = "dbambassador.compose.project"


@dataclass(frozen=True, slots=True)
class Signs:
    kubernetes: Fact
    """The platform fact as far as Kubernetes goes."""
    environ: Mapping[str, str]
    dockerenv: Reading
    containerenv: Reading
    systemd: Reading
    resolv: ResolvConf
    mounts: str = ""
    """The runtime that the container's own mounts tell of."""
    hosted: Findings = field(default_factory=Findings)
    """What the platforms that tell by variables say."""


def platform(signs: Signs) -> Findings:
    """Claims about `dbambassador.platform`, `container.runtime` and `dbambassador.compose.project`."""
    docker = _runtime("docker", _docker_signs(signs))
    podman = _runtime("podman", _podman_signs(signs))
    runtimes = [claim for claim in (docker, podman) if claim is not None]
    in_pod = signs.kubernetes.present and signs.kubernetes.confidence is Confidence.STRONG
    runtimes = runtimes or _from_mounts(signs.mounts, in_pod)
    unreadable = [
        reading for reading in (signs.dockerenv, signs.containerenv, signs.systemd) if reading.reason
    ]
    claims = [*runtimes, *signs.hosted.facts]
    hosted = [claim for claim in signs.hosted.facts if claim.name == PLATFORM]
    certainly_hosted = any(claim.confidence is Confidence.STRONG for claim in hosted)
    if signs.kubernetes.state is not State.ABSENT:
        claims.append(signs.kubernetes)
    project = signs.environ.get(PROJECT_VARIABLE, "")
    if project:
        confidence = Confidence.STRONG if runtimes else Confidence.HINT
        claims.append(found(COMPOSE_PROJECT, project, confidence, PROJECT_VARIABLE))
        claims.append(found(PLATFORM, "compose", confidence, PROJECT_VARIABLE))
    elif runtimes and not in_pod and not certainly_hosted:
        reason = f"set {PROJECT_VARIABLE} in the compose file, if there is one"
        claims.append(unknown(COMPOSE_PROJECT, reason))
        claims.extend(Fact(PLATFORM, run.state, run.value, run.confidence, run.source) for run in runtimes)
    if not runtimes and not in_pod and not certainly_hosted:
        claims.extend(unknown(PLATFORM, reading.reason, source=reading.path) for reading in unreadable)
        if signs.systemd.present:
            claims.append(found(PLATFORM, "systemd", Confidence.STRONG, SYSTEMD))
            claims.append(absent(RUNTIME, "no sign of a container"))
        elif not project and not hosted and signs.kubernetes.state is State.ABSENT:
            if unit := [name for name in UNIT_VARIABLES if signs.environ.get(name)]:
                claims.append(found(PLATFORM, "systemd", Confidence.HINT, " and ".join(unit)))
            elif not unreadable:
                claims.append(
                    found(PLATFORM, "bare", Confidence.HINT, "no sign of a container or of systemd")
                )
    return Findings(tuple(claims))


def _docker_signs(signs: Signs) -> list[str]:
    found_signs = [DOCKERENV] if signs.dockerenv.present else []
    if DOCKER_DNS in signs.resolv.nameservers:
        found_signs.append(f"nameserver {DOCKER_DNS} in /etc/resolv.conf")
    if signs.mounts == "docker":
        found_signs.append(mounts.PATH)
    return found_signs


def _podman_signs(signs: Signs) -> list[str]:
    found_signs = [CONTAINERENV] if signs.containerenv.present else []
    if signs.environ.get("container") == "podman":
        found_signs.append("container=podman")
    return found_signs


def _from_mounts(told: str, in_pod: bool) -> list[Fact]:
    """A runtime that leaves no file of its own in containers. Podman does: without it, this is CRI-O."""
    name = "cri-o" if in_pod and told == mounts.CONTAINERS_STORAGE else told
    if name not in ("containerd", "cri-o"):
        return []
    return [found(RUNTIME, name, Confidence.HINT, mounts.PATH)]


def _runtime(name: str, signs: list[str]) -> Fact | None:
    if not signs:
        return None
    confidence = Confidence.STRONG if len(signs) > 1 else Confidence.HINT
    return found(RUNTIME, name, confidence, " and ".join(signs))
