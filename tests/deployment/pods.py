"""The pods that a build's workloads make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.deployment.kustomize import Object

SIDECAR = "dbambassador"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template, where it stands."""

    workload: Object
    template: Object

    @property
    def name(self) -> str:
        return f"{self.workload['kind']} {self.workload['metadata']['name']}"

    @property
    def namespace(self) -> str:
        found: str = self.workload["metadata"].get("namespace", "default")
        return found

    @property
    def labels(self) -> dict[str, str]:
        found: dict[str, str] = self.template.get("metadata", {}).get("labels", {})
        return found

    @property
    def spec(self) -> Object:
        found: Object = self.template["spec"]
        return found

    @property
    def containers(self) -> list[Object]:
        """Init containers too, in the order in which the kubelet starts them."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def sidecar(self) -> Object:
        (found,) = [each for each in self.containers if each["name"] == SIDECAR]
        return found

    @property
    def has_sidecar(self) -> bool:
        return any(each["name"] == SIDECAR for each in self.containers)

    @property
    def volumes(self) -> dict[str, Object]:
        """By name, those of a StatefulSet's claims too."""
        claims = self.workload["spec"].get("volumeClaimTemplates", [])
        return {
            **{volume["name"]: volume for volume in self.spec.get("volumes", [])},
            **{claim["metadata"]["name"]: {"persistentVolumeClaim": claim} for claim in claims},
        }


def pods(objects: Iterable[Object]) -> list[Pod]:
    return list(_pods(objects))


def _pods(objects: Iterable[Object]) -> Iterator[Pod]:
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            yield Pod(each, spec["jobTemplate"]["spec"]["template"])
        elif "template" in spec:
            yield Pod(each, spec["template"])


def sources(volume: Object) -> list[Object]:
    """What a volume is made of: itself, or the sources of a projected one."""
    found: list[Any] = volume.get("projected", {}).get("sources") or [volume]
    return found
