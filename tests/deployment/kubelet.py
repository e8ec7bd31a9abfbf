"""What a kubelet would give a container: its variables, and the files of its volumes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.deployment.kustomize import Object
from tests.deployment.pods import Pod, sources

POD_NAME, NODE_NAME, POD_IP = "shop-0", "node-1", "10.1.2.3"


def environ(pod: Pod, container: Object) -> dict[str, str]:
    """Its variables with those that every container has; Secrets are not resolved."""
    given = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        if "fieldRef" in source:
            given[variable["name"]] = _field(pod, source["fieldRef"]["fieldPath"])
        elif not source:
            given[variable["name"]] = variable["value"]
    return given


def lay_out(pod: Pod, container: Object, objects: Sequence[Object], root: Path, *, ca: str) -> None:
    """Writes the volumes of a container below `root`.

    Args:
      objects: the build, for its ConfigMaps.
      ca: the certificate of the cluster's authority.
    """
    maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    maps["kube-root-ca.crt"] = {"ca.crt": ca}
    for mount in container.get("volumeMounts", []):
        directory = root / mount["mountPath"].lstrip("/")
        directory.mkdir(parents=True)
        for source in sources(pod.volumes[mount["name"]]):
            for name, content in _files(pod, source, maps):
                (directory / name).write_text(content)


def _files(pod: Pod, source: Object, maps: dict[str, dict[str, str]]) -> Iterator[tuple[str, str]]:
    if "configMap" in source:
        reference = source["configMap"]
        data = maps.get(reference["name"])
        if data is None:
            assert reference.get("optional"), f"no ConfigMap {reference['name']}: the pod would not start"
            return
        items = reference.get("items") or [{"key": key, "path": key} for key in data]
        yield from ((item["path"], data[item["key"]]) for item in items)
    elif "downwardAPI" in source:
        for item in source["downwardAPI"]["items"]:
            yield item["path"], _field(pod, item["fieldRef"]["fieldPath"])
    elif "serviceAccountToken" in source:
        yield source["serviceAccountToken"]["path"], "a.b.c"


def _field(pod: Pod, path: str) -> str:
    if path in ("metadata.labels", "metadata.annotations"):
        of = pod.template.get("metadata", {}).get(path.partition(".")[2], {})
        # Go's %q, which for such values is JSON's.
        return "\n".join(f"{key}={json.dumps(value)}" for key, value in sorted(of.items()))
    fields = {
        "metadata.name": POD_NAME,
        "metadata.namespace": pod.namespace,
        "spec.nodeName": NODE_NAME,
        "status.podIP": POD_IP,
    }
    return fields[path]
