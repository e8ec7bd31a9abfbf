"""Each component does what it says, to any workload."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

from dbambassador.reflection.service_account import DIRECTORY as SERVICE_ACCOUNT
from tests.deployment.files import MANIFESTS, parsed, sidecar
from tests.deployment.kustomize import COMPONENTS, Object, built, composed, only, selected_by
from tests.deployment.pods import SIDECAR, Pod, pods, sources
from tests.deployment.restricted import violations
from tests.deployment.schemas import validate

COMPONENT = {path.name: path for path in COMPONENTS}
BASE = MANIFESTS / "base"
NATIVE, ORDINARY = COMPONENT["sidecar"], COMPONENT["sidecar-before-1.29"]
ADDED = sorted(COMPONENT.keys() - {NATIVE.name, ORDINARY.name})

KINDS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}

Podlike = dict[str, Pod]
UponBase = Callable[[str], tuple[Object, ...]]


def workload(kind: str, **of_pod: object) -> Object:
    """One with as little as can be."""
    pod = {"template": {"spec": {"containers": [{"name": "app", "image": "example"}], **of_pod}}}
    spec = {"jobTemplate": {"spec": pod}} if kind == "CronJob" else pod
    return {"apiVersion": KINDS[kind], "kind": kind, "metadata": {"name": "any"}, "spec": spec}


def pods_of_every_kind(directory: Path, component: Path, **of_pod: object) -> Podlike:
    """What the component makes of a workload of each kind."""
    each = yaml.safe_dump_all([workload(kind, **of_pod) for kind in KINDS])
    (directory / "workloads.yaml").write_text(each)
    made = pods(composed(directory, resources=["workloads.yaml"], components=[component]))
    return {pod.workload["kind"]: pod for pod in made}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Podlike:
    return pods_of_every_kind(tmp_path_factory.mktemp("bare"), NATIVE)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Podlike:
    """Of workloads that have init containers and volumes."""
    return pods_of_every_kind(
        tmp_path_factory.mktemp("furnished"),
        NATIVE,
        initContainers=[{"name": "migrate", "image": "example"}, {"name": "warm", "image": "example"}],
        volumes=[{"name": "data", "emptyDir": {}}],
    )


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Podlike:
    return pods_of_every_kind(tmp_path_factory.mktemp("ordinary"), ORDINARY)


@pytest.fixture(scope="module")
def upon_base(tmp_path_factory: pytest.TempPathFactory) -> UponBase:
    """The base with one component more."""

    @cache
    def build(name: str) -> tuple[Object, ...]:
        directory = tmp_path_factory.mktemp(name)
        return composed(directory, namespace="shop", resources=[BASE], components=[COMPONENT[name]])

    return build


@pytest.mark.parametrize("kind", KINDS)
def test_a_workload_without_init_containers_and_volumes_gets_both(kind: str, bare: Podlike) -> None:
    pod = bare[kind]
    assert [each["name"] for each in pod.containers] == [SIDECAR, "app"]
    assert pod.sidecar == sidecar()
    assert mounted(pod) == set(pod.volumes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_workloads_own_init_containers_and_volumes_stay_and_come_after(
    kind: str, furnished: Podlike
) -> None:
    pod = furnished[kind]
    assert [each["name"] for each in pod.containers] == [SIDECAR, "migrate", "warm", "app"]
    assert {"name": "data", "emptyDir": {}} in pod.spec["volumes"]


@pytest.mark.parametrize("kind", KINDS)
def test_before_1_29_the_ambassador_is_the_first_ordinary_container(kind: str, ordinary: Podlike) -> None:
    pod = ordinary[kind]
    assert [each["name"] for each in pod.spec["containers"]] == [SIDECAR, "app"]
    assert "initContainers" not in pod.spec


def test_before_1_29_the_ambassador_is_the_same_but_for_its_start_and_end() -> None:
    spec, native = (pod_spec(component) for component in (ORDINARY, NATIVE))
    (old,), (new,) = spec["containers"], native["initContainers"]
    assert new.pop("restartPolicy") == "Always"
    start, *flags = old.pop("args")
    assert [start] == new.pop("args")
    assert all(flag.startswith(("--min-sigterm-delay=", "--max-sigterm-delay=")) for flag in flags)
    assert list(old.pop("lifecycle")) == ["postStart"]
    assert old == new
    assert spec["volumes"] == native["volumes"]


def pod_spec(component: Path) -> Object:
    found: Object = parsed(component / "pod-template.yaml")["spec"]["template"]["spec"]
    return found


def mounted(pod: Pod) -> set[str]:
    return {mount["name"] for each in pod.containers for mount in each.get("volumeMounts", [])}


@pytest.mark.parametrize("name", ADDED)
def test_every_component_can_be_added_to_the_base(name: str, upon_base: UponBase) -> None:
    objects = upon_base(name)
    for each in objects:
        validate(each, "1.29")
    (pod,) = pods(objects)
    assert violations(pod) == []
    assert pod.containers[0] == pod.sidecar
    assert mounted(pod) == set(pod.volumes)


def test_all_components_together_are_taken_as_well(tmp_path: Path) -> None:
    objects = composed(
        tmp_path, namespace="shop", resources=[BASE], components=[COMPONENT[name] for name in ADDED]
    )
    for each in objects:
        validate(each, "1.37")
    (pod,) = pods(objects)
    assert violations(pod) == []


@pytest.mark.parametrize("name", ["check-credentials", "databases", "node-labels", "unix-sockets"])
def test_a_component_changes_the_ambassador_of_every_kind_of_workload(
    name: str, bare: Podlike, tmp_path: Path
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "any"}}
    objects = [account, *(workload(kind) for kind in KINDS)]
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    components = [NATIVE, COMPONENT[name]]
    made = pods(composed(tmp_path, resources=["objects.yaml"], components=components))
    assert len(made) == len(KINDS)
    for pod in made:
        assert pod.sidecar == made[0].sidecar
        assert pod.sidecar != bare[pod.workload["kind"]].sidecar
        assert pod.volumes == made[0].volumes
        assert mounted(pod) == set(pod.volumes)


def test_replicas_are_spread_over_nodes_where_there_are_no_zones(upon_base: UponBase) -> None:
    (pod,) = pods(upon_base("production"))
    spread = {each["topologyKey"] for each in pod.spec["topologySpreadConstraints"]}
    assert spread == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_the_image_is_named_in_one_place(tmp_path: Path) -> None:
    image = {"name": SIDECAR, "newName": "images.example.com/dbambassador", "newTag": "1"}
    (pod,) = pods(composed(tmp_path, resources=[BASE], images=[image]))
    assert pod.sidecar["image"] == "images.example.com/dbambassador:1"


def test_the_environments_name_ends_in_a_hash_so_that_a_change_is_a_rollout() -> None:
    objects = built(BASE)
    name = only(objects, "ConfigMap")["metadata"]["name"]
    assert name.startswith("dbambassador-environments-")
    (pod,) = pods(objects)
    assert pod.volumes["dbambassador-environments"]["configMap"]["name"] == name


def test_with_hot_reload_the_environments_name_stays(upon_base: UponBase) -> None:
    objects = upon_base("hot-reload")
    assert only(objects, "ConfigMap")["metadata"]["name"] == "dbambassador-environments"
    assert only(objects, "ConfigMap")["data"] == only(built(BASE), "ConfigMap")["data"]
    (pod,) = pods(objects)
    assert pod.volumes["dbambassador-environments"]["configMap"]["name"] == "dbambassador-environments"


def test_the_right_to_read_nodes_is_the_applications_own_account_and_no_other(upon_base: UponBase) -> None:
    objects = upon_base("node-labels")
    account = only(objects, "ServiceAccount")["metadata"]
    (subject,) = only(objects, "ClusterRoleBinding")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": account["name"], "namespace": "shop"}
    role = only(objects, "ClusterRole")
    assert only(objects, "ClusterRoleBinding")["roleRef"]["name"] == role["metadata"]["name"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]


def test_the_token_is_mounted_into_the_ambassador_alone(upon_base: UponBase) -> None:
    (pod,) = pods(upon_base("node-labels"))
    token = [name for name, volume in pod.volumes.items() if "serviceAccountToken" in repr(volume)]
    mounts = {
        (each["name"], mount["mountPath"])
        for each in pod.containers
        for mount in each.get("volumeMounts", [])
        if mount["name"] in token
    }
    assert mounts == {(SIDECAR, SERVICE_ACCOUNT)}
    source, authorities, fields = sources(pod.volumes[token[0]])
    items = [
        source["serviceAccountToken"],
        *authorities["configMap"]["items"],
        *fields["downwardAPI"]["items"],
    ]
    assert {item["path"] for item in items} == {"token", "ca.crt", "namespace"}


def test_prometheus_scrapes_the_health_port(upon_base: UponBase) -> None:
    objects = upon_base("pod-monitor")
    (pod,) = pods(objects)
    monitor = only(objects, "PodMonitor")["spec"]
    assert selected_by(monitor["selector"]["matchLabels"], pod.labels)
    (endpoint,) = monitor["podMetricsEndpoints"]
    (port,) = pod.sidecar["ports"]
    assert endpoint["port"] == port["name"]
    assert {"name": "DBAMBASSADOR_HTTP_ADDRESS", "value": "0.0.0.0"} in pod.sidecar["env"]
    # Policies add up: one that leaves the application as it is would open what others close.
    assert "NetworkPolicy" not in {each["kind"] for each in objects}


def test_the_health_port_and_no_other_can_be_for_prometheus_alone(upon_base: UponBase) -> None:
    (port,) = pods(upon_base("pod-monitor"))[0].sidecar["ports"]
    scraped, others = only(upon_base("metrics-policy"), "NetworkPolicy")["spec"]["ingress"]
    assert [each["port"] for each in scraped["ports"]] == [port["containerPort"]]
    open_to_all = {
        number
        for each in others["ports"]
        if each["protocol"] == "TCP"
        for number in range(each["port"], each["endPort"] + 1)
    }
    assert set(range(1, 65536)) - open_to_all == {port["containerPort"]}


def test_the_ambassador_and_the_application_share_the_directory_of_the_sockets(upon_base: UponBase) -> None:
    (pod,) = pods(upon_base("unix-sockets"))
    mounts = {
        each["name"]: mount
        for each in pod.containers
        for mount in each.get("volumeMounts", [])
        if mount["name"] == "sockets"
    }
    assert mounts.keys() == {SIDECAR, "app"}
    assert len({mount["mountPath"] for mount in mounts.values()}) == 1
    assert not any(mount.get("readOnly") for mount in mounts.values())


def test_an_init_container_that_a_later_patch_adds_would_come_first(tmp_path: Path) -> None:
    """The trap that the component warns of, and the way out that it names."""
    init = {"name": "later", "image": "example"}
    merge = workload("Deployment", containers=[], initContainers=[init])
    end = [{"op": "add", "path": "/spec/template/spec/initContainers/-", "value": init}]
    names = []
    for number, patch in enumerate((merge, end)):
        directory = tmp_path / str(number)
        directory.mkdir()
        patches = [{"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(patch)}]
        (pod,) = pods(composed(directory, resources=[BASE], patches=patches))
        names.append([each["name"] for each in pod.spec["initContainers"]])
    assert names == [["later", SIDECAR, "migrate"], [SIDECAR, "migrate", "later"]]
