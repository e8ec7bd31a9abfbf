"""The shipped manifests as running containers: what podman knows of a pod, it plays."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import yaml

from tests.deployment.files import MANIFESTS
from tests.deployment.kustomize import Object, built, only
from tests.deployment.pods import SIDECAR, Pod, pods
from tests.testbed.containers import IMAGE, Podman

OVERLAY = MANIFESTS / "overlays" / "staging"
"""Its environment names the database by a plain host name, which podman's networks can answer for."""
DATABASE = "orders-db.shop-staging.svc.cluster.local"

USER, PASSWORD = "orders", "only-for-this-test"
NETWORK = "cluster"
NODE = "worker-3"


def playable(pod: Pod) -> Object:
    """The pod as podman 4.3 can play it. The ambassador's container loses nothing but what is named here."""
    spec = {**pod.spec, "restartPolicy": "OnFailure"}
    # Podman knows no native sidecars, and runs init containers before all others: here all start at once, and
    # those that end for want of the ambassador are started again.
    spec["containers"] = [each | {"image": _image(each)} for each in pod.containers]
    del spec["initContainers"]
    # A projected volume and an optional ConfigMap that is not there are errors.
    unknown = {
        volume["name"]
        for volume in spec["volumes"]
        if "projected" in volume or volume.get("configMap", {}).get("optional")
    }
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] not in unknown]
    # So are these two references.
    fields = {"metadata.namespace": pod.namespace, "spec.nodeName": NODE}
    for container in spec["containers"]:
        container.pop("restartPolicy", None)
        container["volumeMounts"] = [
            mount for mount in container.get("volumeMounts", []) if mount["name"] not in unknown
        ]
        container["env"] = [
            {"name": variable["name"], "value": fields[field]}
            if (field := variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")) in fields
            else variable
            for variable in container["env"]
        ]
    metadata = {"name": pod.workload["metadata"]["name"], "labels": pod.labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _image(container: Object) -> str:
    image: str = container["image"]
    return IMAGE if image == SIDECAR else image


def test_the_shipped_pod_runs_and_the_applications_rows_arrive(podman: Podman, tmp_path: Path) -> None:
    objects = built(OVERLAY)
    (pod,) = pods(objects)
    encoded = {
        "username": b64encode(USER.encode()).decode(),
        "password": b64encode(PASSWORD.encode()).decode(),
    }
    # Of a Secret, podman 4.3 keeps the YAML, and then expects JSON.
    (tmp_path / "secret.json").write_text(json.dumps(encoded))
    podman("secret", "create", "orders-database", tmp_path / "secret.json")
    played = tmp_path / "pod.yaml"
    played.write_text(yaml.safe_dump_all([only(objects, "ConfigMap"), playable(pod)]))
    podman("network", "create", NETWORK)
    podman(
        *("run", "--detach", "--name=orders-db", f"--network={NETWORK}", f"--network-alias={DATABASE}"),
        *(f"--env=POSTGRES_{name}" for name in (f"USER={USER}", f"PASSWORD={PASSWORD}", "DB=orders")),
        "docker.io/library/postgres:16",
    )
    podman("kube", "play", f"--network={NETWORK}", played)
    ambassador, application = "shop-dbambassador", "shop-app"
    address = podman(
        "inspect", "orders-db", "--format", f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}'
    ).strip()
    try:
        podman.until(f"rows in the database at {address}", "logs", application)
        assert podman("exec", ambassador, "dbambassador", "probe", "readiness") == ""
        explained = podman("exec", ambassador, "dbambassador", "explain")
        assert "kubernetes-staging" in explained
    finally:
        podman("pod", "rm", "--force", "--time=0", "shop")
        podman("rm", "--force", "--time=0", "orders-db")
        podman("network", "rm", NETWORK)
        podman("secret", "rm", "orders-database")
