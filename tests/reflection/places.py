"""Places to reflect in, built as directories: each a root of files and the variables of its process.

Written from the documentation that each names; none is a copy of a live machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.reflection.tokens import token

ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class Place:
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    def build(self, root: Path) -> Path:
        for directory in self.directories:
            (root / directory).mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root


AUTHORITY = trustme.CA()
OTHER_AUTHORITY = trustme.CA()

# https://kubernetes.io/docs/concepts/storage/projected-volumes/ and .../pods/downward-api/
POD = Place(
    files={
        f"{ACCOUNT}/namespace": "shop",
        f"{ACCOUNT}/ca.crt": AUTHORITY.cert_pem.bytes(),
        f"{ACCOUNT}/token": token(),
        "etc/hosts": "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n10.244.3.17\torders-0\n",
        "etc/hostname": "orders-0\n",
        "etc/resolv.conf": (
            "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
            "nameserver 10.96.0.10\noptions ndots:5\n"
        ),
        "etc/podinfo/labels": 'app.kubernetes.io/name="orders"\nteam="payments"',
        "etc/podinfo/annotations": 'note="say \\"hello\\""\nowner="payments@example.com"',
    },
    environ={
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "POD_NAME": "orders-0",
        "NODE_NAME": "worker-3",
    },
)

# https://docs.docker.com/engine/network/#dns-services
COMPOSE = Place(
    files={
        ".dockerenv": "",
        "etc/hostname": "c1f0a4b7d2e9\n",
        "etc/hosts": "127.0.0.1\tlocalhost\n",
        "etc/resolv.conf": "nameserver 127.0.0.11\noptions ndots:0\n",
    },
    environ={"DBAMBASSADOR_PLATFORM": "compose", "COMPOSE_PROJECT": "shop"},
)

DOCKER = Place(
    files={".dockerenv": "", "etc/resolv.conf": "nameserver 127.0.0.11\n", "etc/hostname": "0123456789ab\n"},
)

# podman-run(1): /run/.containerenv, and container=podman in the environment
PODMAN = Place(
    files={"run/.containerenv": "", "etc/resolv.conf": "nameserver 10.88.0.1\n", "etc/hostname": "p\n"},
    environ={"container": "podman"},
)

# sd_booted(3)
SYSTEMD = Place(
    files={"etc/hostname": "db-gate-1\n", "etc/resolv.conf": "search example.com\nnameserver 10.0.0.2\n"},
    directories=("run/systemd/system",),
)

BARE = Place(files={"etc/hostname": "box\n"})
