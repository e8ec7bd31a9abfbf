"""The firmware's table of the machine (DMI): which cloud or hypervisor built it. Pure; hints only.

The strings are those that cloud-init's tools/ds-identify and systemd's src/basic/virt.c compare with. They
tell of the machine *under* a container: the cloud's under a pod, a laptop's under compose. Sandboxes (gVisor,
Fargate) and many ARM boards have none, so that none is no evidence of anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dbambassador.reflection.cloud import PLATFORM, PROVIDER
from dbambassador.reflection.distributions import DISTRIBUTION
from dbambassador.reflection.findings import Findings, found, unknown
from dbambassador.reflection.reading import Reading
from dbambassador.values import Confidence, Fact

DIRECTORY = "/sys/class/dmi/id"
ENTRIES = ("sys_vendor", "product_name", "board_vendor", "bios_vendor", "chassis_asset_tag")
"""Those that everybody may read; serial numbers are for root alone."""

MAX_BYTES = 4096
"""A page, the most that a file of sysfs can give."""

HYPERVISOR = "dbambassador.host.hypervisor"

AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
"""Of Azure's chassis. The vendor `Microsoft Corporation` is that of every Hyper-V."""

Table = Mapping[str, str]

_CLOUDS: tuple[tuple[Callable[[Table], bool], str, str], ...] = (
    (lambda table: table["sys_vendor"] == "Amazon EC2", "aws", "aws_ec2"),
    (lambda table: table["product_name"] == "Google Compute Engine", "gcp", "gcp_compute_engine"),
    (lambda table: table["chassis_asset_tag"] == AZURE_TAG, "azure", "azure.vm"),
    (lambda table: table["chassis_asset_tag"] == "OracleCloud.com", "oracle_cloud", "oracle_cloud_compute"),
    (lambda table: table["product_name"] == "Alibaba Cloud ECS", "alibaba_cloud", "alibaba_cloud_ecs"),
    (lambda table: table["sys_vendor"] == "DigitalOcean", "digitalocean", ""),
    (lambda table: table["sys_vendor"] == "Hetzner", "hetzner", "hetzner.cloud_server"),
    (lambda table: table["sys_vendor"] == "Scaleway", "scaleway", ""),
    (lambda table: table["sys_vendor"] == "Vultr", "vultr", ""),
    (lambda table: table["sys_vendor"] in ("Linode", "Akamai"), "akamai_cloud", ""),
    (lambda table: table["chassis_asset_tag"] == "OpenTelekomCloud", "open_telekom_cloud", ""),
    (lambda table: table["chassis_asset_tag"] == "HUAWEICLOUD", "huawei_cloud", ""),
    (lambda table: table["product_name"] in ("OpenStack Nova", "OpenStack Compute"), "openstack", ""),
)
"""The first that fits: clouds made of OpenStack say so too. Last, OpenTelemetry's `cloud.platform`."""

_HYPERVISORS: tuple[tuple[str, str, str], ...] = (
    ("sys_vendor", "VMware", "vmware"),
    ("product_name", "VirtualBox", "virtualbox"),
    ("sys_vendor", "innotek GmbH", "virtualbox"),
    ("product_name", "Virtual Machine", "hyperv"),
    ("product_name", "KVM", "kvm"),
    ("sys_vendor", "KVM", "kvm"),
    ("sys_vendor", "QEMU", "qemu"),
    ("sys_vendor", "Xen", "xen"),
    ("sys_vendor", "Parallels", "parallels"),
    ("bios_vendor", "BHYVE", "bhyve"),
)
"""Entry, how it begins, and the hypervisor's name."""

KIND = "kind"
"""What kind mounts over `product_name` in its nodes: images/base/files/usr/local/bin/entrypoint there."""


def read(readings: Mapping[str, Reading], *, machine: bool, in_pod: bool) -> Findings:
    """What the entries tell.

    Args:
        machine: nothing stands between the machine and us, so that its platform is ours.
    """
    table = {entry: _text(reading) for entry, reading in readings.items()}
    damaged = next((reading for reading in readings.values() if reading.reason), None)
    claims: list[Fact] = []
    if damaged is not None:
        claims = [unknown(name, damaged.reason, source=damaged.path) for name in (PROVIDER, HYPERVISOR)]
    for fits, provider, platform in _CLOUDS:
        if fits(table):
            claims.append(_hint(PROVIDER, provider))
            if machine and platform:
                claims.append(_hint(PLATFORM, platform))
            if provider == "aws" and table["product_name"]:
                claims.append(_hint("host.type", table["product_name"]))
            break
    else:
        for entry, beginning, hypervisor in _HYPERVISORS:
            if table[entry].startswith(beginning):
                claims.append(_hint(HYPERVISOR, hypervisor))
                break
    if in_pod and table["product_name"] == KIND:
        claims.append(_hint(DISTRIBUTION, "kind"))
    return Findings(tuple(claims))


def _hint(name: str, value: str) -> Fact:
    return found(name, value, Confidence.HINT, DIRECTORY)


def _text(reading: Reading) -> str:
    return reading.data.decode("utf-8", "replace").strip() if reading.present else ""
