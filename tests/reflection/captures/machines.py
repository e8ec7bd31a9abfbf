"""Machines without a container: a unit of systemd in a cloud and on-prem, and a laptop."""

from __future__ import annotations

from dbambassador.reflection.dmi import AZURE_TAG
from tests.reflection.captures.capture import HINT, STRONG, Capture, firmware
from tests.reflection.captures.containers import LAPTOP, NOT_KUBERNETES
from tests.reflection.places import Place

SYSTEMD = ("sd_booted(3)", "systemd.exec(5): INVOCATION_ID and JOURNAL_STREAM")
UNIT = {"INVOCATION_ID": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "JOURNAL_STREAM": "9:12345"}
RUNNING = ("run/systemd/system",)

# The machine runs containers itself: their file systems are mounted, and none of them is ours.
HOST_MOUNTS = {
    "proc/self/mountinfo": (
        "24 1 259:1 / / rw,relatime - ext4 /dev/nvme0n1p1 rw\n"
        "90 24 0:55 / /var/lib/docker/overlay2/0f/merged rw - overlay overlay rw,"
        "lowerdir=/var/lib/docker/overlay2/l/ABC\n"
    )
}

CLOUD = Capture(
    "systemd-on-a-cloud-vm",
    (
        *SYSTEMD,
        "https://github.com/canonical/cloud-init/blob/main/tools/ds-identify (chassis_asset_tag)",
    ),
    Place(
        {
            "etc/hostname": "db-gate-1\n",
            "etc/resolv.conf": "nameserver 127.0.0.53\nsearch internal.cloudapp.net\n",
            **HOST_MOUNTS,
            **firmware("Microsoft Corporation", "Virtual Machine", tag=AZURE_TAG),
        },
        directories=RUNNING,
        environ=UNIT,
    ),
    {
        "dbambassador.platform": ("systemd", STRONG),
        "cloud.provider": ("azure", HINT),
        "cloud.platform": ("azure.vm", HINT),
        "host.name": ("db-gate-1", HINT),
    },
    absent=("container.runtime", "dbambassador.compose.project", *NOT_KUBERNETES),
    unknown=("cloud.region", "cloud.account.id"),
)

EC2 = Capture(
    "systemd-on-ec2",
    (*SYSTEMD, "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html"),
    Place(
        {
            "etc/hostname": "ip-10-0-3-17\n",
            **firmware("Amazon EC2", "t3.small", tag="Amazon EC2"),
        },
        directories=RUNNING,
    ),
    {
        "dbambassador.platform": ("systemd", STRONG),
        "cloud.provider": ("aws", HINT),
        "cloud.platform": ("aws_ec2", HINT),
        "host.type": ("t3.small", HINT),
        "host.name": ("ip-10-0-3-17", HINT),
    },
    absent=("container.runtime", *NOT_KUBERNETES),
)

ON_PREM = Capture(
    "systemd-on-prem",
    (
        *SYSTEMD,
        "https://github.com/systemd/systemd/blob/main/src/basic/virt.c (Hyper-V)",
    ),
    # Hyper-V of one's own: the vendor is Azure's too, the chassis is not.
    Place(
        {
            "etc/hostname": "db-gate-2\n",
            "etc/resolv.conf": "search example.com\nnameserver 10.0.0.2\n",
            **firmware("Microsoft Corporation", "Virtual Machine", tag="5123-4567-8901-2345-6789-0123-45"),
        },
        directories=RUNNING,
        environ=UNIT,
    ),
    {
        "dbambassador.platform": ("systemd", STRONG),
        "dbambassador.host.hypervisor": ("hyperv", HINT),
        "host.name": ("db-gate-2", HINT),
    },
    absent=("container.runtime", *NOT_KUBERNETES),
    unknown=("cloud.provider", "cloud.platform"),
)

PERSONAL = Capture(
    "laptop",
    ("sd_booted(3)", "https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-firmware-dmi-tables"),
    Place({"etc/hostname": "anna\n", **HOST_MOUNTS, **LAPTOP}, directories=RUNNING, environ=UNIT),
    {"dbambassador.platform": ("systemd", STRONG), "host.name": ("anna", HINT)},
    absent=("container.runtime", "dbambassador.compose.project", *NOT_KUBERNETES),
    unknown=("cloud.provider", "dbambassador.host.hypervisor"),
)

CAPTURES = (CLOUD, EC2, ON_PREM, PERSONAL)
