"""The files somebody deploys, parsed, and what more than one test asks of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from dbambassador.cli import DEFAULT_DIRECTORIES, FLAGS
from dbambassador.profiles.catalogue import load
from dbambassador.profiles.selection import Verdict, select
from dbambassador.reflection.gather import gather
from dbambassador.settings.schema import Profile

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENTS = REPOSITORY / "environments"
MANIFESTS = REPOSITORY / "manifests"
SIDECAR = MANIFESTS / "components" / "sidecar"
MOUNTED = DEFAULT_DIRECTORIES[0]
PRODUCTION = ("kubernetes-on-prem", "production-aws", "production-azure", "production-gcp")
CLUSTER_CA = "dbambassador.k8s.ca.sha256"
CA_CONFIG_MAP = "dbambassador-ca"
VARIABLES = {flag.variable for flags in FLAGS.values() for flag in flags}
OWN = re.compile(r"DBAMBASSADOR_[A-Z_]+")


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def services() -> dict[str, Any]:
    found: dict[str, Any] = parsed(REPOSITORY / "compose.yaml")["services"]
    return found


def pod() -> dict[str, Any]:
    """What the sidecar component adds to a pod's spec."""
    found: dict[str, Any] = parsed(SIDECAR / "pod-template.yaml")["spec"]["template"]["spec"]
    return found


def sidecar() -> dict[str, Any]:
    (only,) = pod()["initContainers"]
    found: dict[str, Any] = only
    return found


def environ(container: dict[str, Any]) -> list[str]:
    return [variable["name"] for variable in container["env"]]


def chosen(variables: dict[str, str], root: Path, environments: Path = ENVIRONMENTS) -> Profile:
    selection = select(load(environments), gather(root, variables, {}))
    assert selection.verdict is Verdict.CHOSEN, selection.why
    assert selection.profile is not None
    return selection.profile


def instructions(name: str) -> list[str]:
    text = re.sub(r"\\\n\s*", "", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"))
    return [line.removeprefix(name).strip() for line in text.splitlines() if line.startswith(f"{name} ")]
