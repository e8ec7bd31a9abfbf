"""The firmware's table and the container's mounts: what they tell, and what they must not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dbambassador.reflection import dmi, mounts
from dbambassador.reflection.reading import Reading
from dbambassador.values import Confidence, State


def told(entries: Mapping[str, str], *, machine: bool = False, in_pod: bool = False) -> dict[str, str]:
    readings = {
        entry: Reading(
            f"{dmi.DIRECTORY}/{entry}",
            State.PRESENT if entry in entries else State.ABSENT,
            entries.get(entry, "").encode() + b"\n",
        )
        for entry in dmi.ENTRIES
    }
    facts = dmi.read(readings, machine=machine, in_pod=in_pod).facts
    assert all(fact.confidence is Confidence.HINT for fact in facts)
    return {fact.name: fact.value for fact in facts}


@pytest.mark.parametrize(
    ("entry", "text", "provider"),
    [
        ("sys_vendor", "Amazon EC2", "aws"),
        ("product_name", "Google Compute Engine", "gcp"),
        ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure"),
        ("chassis_asset_tag", "OracleCloud.com", "oracle_cloud"),
        ("product_name", "Alibaba Cloud ECS", "alibaba_cloud"),
        ("sys_vendor", "DigitalOcean", "digitalocean"),
        ("sys_vendor", "Hetzner", "hetzner"),
        ("sys_vendor", "Scaleway", "scaleway"),
        ("sys_vendor", "Vultr", "vultr"),
        ("sys_vendor", "Linode", "akamai_cloud"),
        ("chassis_asset_tag", "OpenTelekomCloud", "open_telekom_cloud"),
        ("chassis_asset_tag", "HUAWEICLOUD", "huawei_cloud"),
        ("product_name", "OpenStack Nova", "openstack"),
        ("product_name", "OpenStack Compute", "openstack"),
    ],
)
def test_clouds(entry: str, text: str, provider: str) -> None:
    assert told({entry: text})["cloud.provider"] == provider
    assert "cloud.platform" not in told({entry: text})
    # A cloud is told by the whole text: a person may write about one into an asset tag.
    assert "cloud.provider" not in told({entry: f"not {text}"})


@pytest.mark.parametrize(
    ("entry", "text", "hypervisor"),
    [
        ("sys_vendor", "VMware, Inc.", "vmware"),
        ("product_name", "VirtualBox", "virtualbox"),
        ("sys_vendor", "innotek GmbH", "virtualbox"),
        ("sys_vendor", "QEMU", "qemu"),
        ("product_name", "KVM", "kvm"),
        ("sys_vendor", "Xen", "xen"),
        ("sys_vendor", "Parallels International GmbH.", "parallels"),
        ("bios_vendor", "BHYVE", "bhyve"),
    ],
)
def test_hypervisors(entry: str, text: str, hypervisor: str) -> None:
    assert told({entry: text}) == {dmi.HYPERVISOR: hypervisor}


def test_the_vendor_of_azure_is_that_of_every_hyper_v() -> None:
    assert told({"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"}) == {
        dmi.HYPERVISOR: "hyperv"
    }
    # A laptop of the same vendor.
    assert told({"sys_vendor": "Microsoft Corporation", "product_name": "Surface Laptop 5"}) == {}


def test_a_cloud_made_of_openstack_is_that_cloud() -> None:
    assert (
        told({"product_name": "OpenStack Nova", "chassis_asset_tag": "OpenTelekomCloud"})["cloud.provider"]
        == "open_telekom_cloud"
    )


def test_the_platform_is_told_only_where_nothing_stands_between() -> None:
    assert told({"sys_vendor": "Amazon EC2", "product_name": "t3.small"}, machine=True) == {
        "cloud.provider": "aws",
        "cloud.platform": "aws_ec2",
        "host.type": "t3.small",
    }
    assert "cloud.platform" not in told({"sys_vendor": "Amazon EC2"}, machine=False)


def test_kind_writes_its_name_over_the_product() -> None:
    assert told({"sys_vendor": "LENOVO", "product_name": "kind"}, in_pod=True) == {
        "dbambassador.k8s.distribution": "kind"
    }
    assert told({"sys_vendor": "LENOVO", "product_name": "kind"}, in_pod=False) == {}


def test_no_table_tells_nothing() -> None:
    assert told({}) == {}


def test_a_damaged_entry_makes_unknown_what_it_would_tell() -> None:
    bad = Reading("/sys/x", State.UNKNOWN, reason="/sys/x: larger than 4 KiB")
    readings = dict.fromkeys(dmi.ENTRIES, Reading("/sys/y", State.ABSENT)) | {"sys_vendor": bad}
    facts = dmi.read(readings, machine=True, in_pod=False).facts
    assert {fact.name for fact in facts if fact.unknown} == {"cloud.provider", dmi.HYPERVISOR}
    assert {fact.reason for fact in facts} == {"/sys/x: larger than 4 KiB"}


ROOT = b"24 1 0:312 / / rw,relatime - overlay overlay rw,"


@pytest.mark.parametrize(
    ("data", "runtime"),
    [
        (ROOT + b"lowerdir=/var/lib/docker/overlay2/l/A", "docker"),
        (
            ROOT + b"lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1",
            "containerd",
        ),
        (ROOT + b"lowerdir=/home/a/.local/share/containers/storage/overlay/l/A", mounts.CONTAINERS_STORAGE),
        (
            ROOT + b"lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1\n"
            b"30 24 8:1 /var/lib/docker/containers/1/hosts /etc/hosts rw - ext4 /dev/sda1 rw",
            "docker",
        ),
        (b"24 1 8:1 / / rw - ext4 /dev/sda1 rw", ""),
        (
            b"24 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
            b"90 24 0:5 / /var/lib/docker/overlay2/0 rw - overlay overlay rw",
            "",
        ),
        (b"30 24 8:1 /var/lib/docker/containers/1/hosts /srv/hosts rw - ext4 /dev/sda1 rw", ""),
        (b"\x00\xff\n\n     \n/ / / / /docker/overlay2/", ""),
        (b"", ""),
    ],
)
def test_mounts_tell_the_runtime(data: bytes, runtime: str) -> None:
    assert mounts.runtime(data) == runtime
