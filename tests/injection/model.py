"""What injection means, said once more over plain data: the text and its style do not exist here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import yaml

DEFINITION: dict[str, Any] = yaml.safe_load(
    (files("dbambassador.injection") / "sidecar.yaml").read_text(encoding="utf-8")
)
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = {
    "Pod",
    "PodTemplate",
    "ReplicationController",
    "Deployment",
    "DaemonSet",
    "ReplicaSet",
    "StatefulSet",
    "Job",
    "CronJob",
}
GROUPS = ("v1", "apps/v1", "batch/v1", "extensions/v1beta1")


def loaded(text: str) -> list[Any]:
    """The documents that are not empty."""
    documents = yaml.load_all(text.removeprefix("\ufeff"), Loader=LOADER)
    return [document for document in documents if document is not None]


def expected(text: str) -> list[Any]:
    """What a manifest says once the ambassador is in its pods."""
    documents = loaded(text)
    for pod in pods(documents):
        pod["initContainers"] = [DEFINITION["native"], *(pod.get("initContainers") or [])]
        pod["volumes"] = [*DEFINITION["volumes"], *(pod.get("volumes") or [])]
    return documents


def pods(documents: list[Any]) -> Iterator[dict[str, Any]]:
    """The specifications of all pods."""
    for document in documents:
        if document["kind"].endswith("List"):
            kind = document["kind"].removesuffix("List")
            yield from pods([{"kind": kind, "apiVersion": "v1", **item} for item in document["items"]])
        elif document["kind"] in KINDS and document["apiVersion"] in GROUPS:
            spec = document
            for key in ("spec", "jobTemplate", "spec", "template", "spec"):
                spec = spec.get(key, spec)
            yield spec
