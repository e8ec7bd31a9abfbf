"""Containers that no orchestrator runs: compose, Docker, Podman, containerd."""

from __future__ import annotations

from tests.reflection.captures.capture import CONTAINERD, DOCKER, HINT, STRONG, Capture, firmware
from tests.reflection.places import Place

LAPTOP = firmware("LENOVO", "20XW00A1GE", tag="No Asset Information")
DOCKER_FILES = {
    ".dockerenv": "",
    "etc/hostname": "c1f0a4b7d2e9\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n172.18.0.3\tc1f0a4b7d2e9\n",
    **DOCKER,
    **LAPTOP,
}
NOT_KUBERNETES = ("k8s.namespace.name", "k8s.pod.name", "dbambassador.k8s.ca.sha256", "k8s.node.label.x")

COMPOSE = Capture(
    "compose",
    (
        "https://docs.docker.com/compose/how-tos/environment-variables/envvars/ (COMPOSE_PROJECT_NAME)",
        "https://docs.docker.com/engine/network/#dns-services",
    ),
    Place(
        {**DOCKER_FILES, "etc/resolv.conf": "nameserver 127.0.0.11\nsearch lan\noptions ndots:0\n"},
        environ={"COMPOSE_PROJECT": "shop"},
    ),
    {
        "dbambassador.platform": ("compose", STRONG),
        "dbambassador.compose.project": ("shop", STRONG),
        "container.runtime": ("docker", STRONG),
        "host.name": ("c1f0a4b7d2e9", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("cloud.provider", "dbambassador.host.hypervisor"),
)

COMPOSE_IN_THE_CLOUD = Capture(
    "compose-on-a-cloud-vm",
    COMPOSE.documentation,
    Place({**COMPOSE.place.files, **firmware("Hetzner", "vServer")}, environ=COMPOSE.place.environ),
    {**COMPOSE.present, "cloud.provider": ("hetzner", HINT)},
    absent=NOT_KUBERNETES,
    unknown=("cloud.region", "cloud.platform"),
)

PLAIN = Capture(
    "docker",
    (
        "https://docs.docker.com/engine/network/drivers/bridge/ (the default bridge copies the resolv.conf)",
        "https://docs.docker.com/engine/storage/drivers/overlayfs-driver/",
    ),
    Place({**DOCKER_FILES, "etc/resolv.conf": "nameserver 192.168.1.1\n"}),
    {
        "dbambassador.platform": ("docker", STRONG),
        "container.runtime": ("docker", STRONG),
        "host.name": ("c1f0a4b7d2e9", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("dbambassador.compose.project", "cloud.provider"),
)

PODMAN = Capture(
    "podman",
    ("podman-run(1): /run/.containerenv and container=podman", "containers-storage.conf(5)"),
    Place(
        {
            "run/.containerenv": "",
            "etc/hostname": "4b1d6f0c9e2a\n",
            "etc/resolv.conf": "search dns.podman\nnameserver 10.89.0.1\n",
            "proc/self/mountinfo": (
                "24 1 0:60 / / rw - overlay overlay rw,lowerdir=/var/lib/containers/storage/overlay/l/ABC\n"
            ),
        },
        environ={"container": "podman"},
    ),
    {
        "dbambassador.platform": ("podman", STRONG),
        "container.runtime": ("podman", STRONG),
        "host.name": ("4b1d6f0c9e2a", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("dbambassador.compose.project",),
)

NERDCTL = Capture(
    "containerd",
    ("https://github.com/containerd/nerdctl/blob/main/docs/dir.md",),
    Place({"etc/hostname": "9a8b7c6d5e4f\n", "etc/resolv.conf": "nameserver 10.4.0.1\n", **CONTAINERD}),
    {
        "dbambassador.platform": ("containerd", HINT),
        "container.runtime": ("containerd", HINT),
        "host.name": ("9a8b7c6d5e4f", HINT),
    },
    absent=NOT_KUBERNETES,
    unknown=("dbambassador.compose.project",),
)

CAPTURES = (COMPOSE, COMPOSE_IN_THE_CLOUD, PLAIN, PODMAN, NERDCTL)
