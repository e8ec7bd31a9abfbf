"""What a capture is, and the pieces that several share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dbambassador.values import Confidence
from tests.reflection.places import Place

HINT, STRONG, EXPLICIT = Confidence.HINT, Confidence.STRONG, Confidence.EXPLICIT

Table = Mapping[str, tuple[str, Confidence]]


@dataclass(frozen=True)
class Capture:
    name: str
    documentation: tuple[str, ...]
    """What it was written from."""
    place: Place
    present: Table
    """Every fact that must be present, but those that uname(2) tells of the machine running the tests."""
    absent: tuple[str, ...] = ()
    """Some that must be."""
    unknown: tuple[str, ...] = ("cloud.region",)
    """Some that must be."""


def firmware(vendor: str, product: str, *, bios: str = "", tag: str = "") -> dict[str, str]:
    """https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-firmware-dmi-tables; a line each."""
    directory = "sys/class/dmi/id"
    return {
        f"{directory}/sys_vendor": vendor + "\n",
        f"{directory}/product_name": product + "\n",
        f"{directory}/board_vendor": vendor + "\n",
        f"{directory}/bios_vendor": (bios or vendor) + "\n",
        f"{directory}/chassis_asset_tag": tag + "\n",
    }


def mounts(*lines: str) -> dict[str, str]:
    """proc_pid_mountinfo(5), with what every container has besides."""
    common = ("25 24 0:23 / /proc rw,nosuid - proc proc rw", "26 24 0:24 / /dev rw,nosuid - tmpfs tmpfs rw")
    return {"proc/self/mountinfo": "\n".join((*lines, *common)) + "\n"}


CONTAINERD = mounts(
    "24 1 0:312 / / ro,relatime - overlay overlay rw,"
    "lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/87/fs,"
    "upperdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/88/fs",
    "31 24 259:1 /var/lib/kubelet/pods/5e0bd49b/etc-hosts /etc/hosts rw,noatime - ext4 /dev/root rw",
)
"""https://github.com/containerd/containerd/blob/main/docs/ops.md, snapshotters."""

DOCKER = mounts(
    "24 1 0:312 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/ABC:/x,"
    "upperdir=/var/lib/docker/overlay2/0f/diff,workdir=/var/lib/docker/overlay2/0f/work",
    "30 24 259:1 /var/lib/docker/containers/c1f0a4b7d2e9/resolv.conf /etc/resolv.conf rw - ext4 /dev/root rw",
)
"""https://docs.docker.com/engine/storage/drivers/overlayfs-driver/"""

CRI_O = mounts(
    "24 1 0:312 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/containers/storage/overlay/l/ABC,"
    "upperdir=/var/lib/containers/storage/overlay/0f/diff",
)
"""containers-storage.conf(5), which Podman and CRI-O share."""
