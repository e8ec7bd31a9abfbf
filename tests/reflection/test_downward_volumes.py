"""Downward volumes as the kubelet lays them out on disk, and two of them in one pod."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from dbambassador.reflection.gather import gather
from dbambassador.values import Confidence, Facts, State
from tests.reflection.places import POD, Place

TEAM = "k8s.pod.label.team"
PLAIN = Place(
    {name: content for name, content in POD.files.items() if "podinfo" not in name}, environ=POD.environ
)


def write(volume: Path, stamp: str, files: dict[str, str]) -> None:
    """One turn of pkg/volume/util/atomic_writer.go: a directory of its own, then `..data` is renamed over."""
    payload = volume / f"..{stamp}"
    for name, content in files.items():
        (payload / name).parent.mkdir(parents=True, exist_ok=True)
        (payload / name).write_text(content)
    before = volume / "..data"
    old = before.resolve() if before.is_symlink() else None
    (volume / "..data_tmp").symlink_to(payload.name)
    (volume / "..data_tmp").rename(before)
    for name in {Path(name).parts[0] for name in files}:
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"..data/{name}")
    if old is not None:
        shutil.rmtree(old)


def team(root: Path) -> str:
    fact = gather(root, POD.environ).get(TEAM)
    assert fact.present, fact
    return fact.value


def test_the_layout_of_the_kubelet_and_a_swap(tmp_path: Path) -> None:
    root = PLAIN.build(tmp_path)
    volume = root / "etc/podinfo"
    write(volume, "2026_11_21_04_00_00.1", {"labels": 'team="payments"', "name": "orders-0"})
    assert team(root) == "payments"
    write(volume, "2026_11_21_04_01_00.2", {"labels": 'team="billing"', "name": "orders-0"})
    assert team(root) == "billing"
    assert gather(root, POD.environ).get("k8s.pod.name").value == "orders-0"


def test_keys_that_are_directories_are_swapped_too(tmp_path: Path) -> None:
    root = PLAIN.build(tmp_path)
    volume = root / "etc/podinfo"
    for stamp, value in (("1", "orders"), ("2", "billing")):
        write(volume, stamp, {"labels/app.kubernetes.io/name": value, "labels/team": "payments"})
        facts = gather(root, POD.environ)
        assert facts.get("k8s.pod.label.app.kubernetes.io/name").value == value
        assert facts.get(TEAM).value == "payments"
        assert facts.get("k8s.pod.label.other").unknown


def test_while_it_is_swapped_one_of_the_two_is_read_and_never_anything_else(tmp_path: Path) -> None:
    root = PLAIN.build(tmp_path)
    volume = root / "etc/podinfo"
    write(volume, "0", {"labels": 'team="a"'})
    stop = threading.Event()
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        while not stop.is_set():
            swaps += 1
            write(volume, str(swaps), {"labels": f'team="{"ab"[swaps % 2]}"'})

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        facts = [gather(root, POD.environ).get(TEAM) for _ in range(300)]
    finally:
        stop.set()
        swapping.join()
    assert swaps > 10
    assert {fact.value for fact in facts if fact.present} <= {"a", "b"}
    # Who is overtaken twice on one way knows less, but nothing wrong: never that there is none.
    assert not any(fact.state is State.ABSENT for fact in facts)
    assert sum(fact.present for fact in facts) > 30


def test_a_sub_path_mount_is_a_plain_file_that_never_changes(tmp_path: Path) -> None:
    """The kubelet mounts the file that `..data` led to at the start over a plain one."""
    root = PLAIN.build(tmp_path)
    volume = tmp_path / "var/lib/kubelet/pods/1/volumes/podinfo"
    write(volume, "1", {"labels": 'team="payments"'})
    (root / "etc/podinfo").mkdir()
    (root / "etc/podinfo/labels").hardlink_to((volume / "labels").resolve())
    assert team(root) == "payments"
    write(volume, "2", {"labels": 'team="billing"'})
    assert team(root) == "payments"


def two(tmp_path: Path, one: str, other: str, name: str = "labels") -> Facts:
    files = {**PLAIN.files, f"etc/podinfo/{name}": one, f"podinfo/{name}": other}
    return gather(Place(files).build(tmp_path), POD.environ)


def test_two_volumes_that_agree(tmp_path: Path) -> None:
    fact = two(tmp_path, 'team="payments"', 'team="payments"').get(TEAM)
    assert (fact.value, fact.confidence) == ("payments", Confidence.STRONG)
    assert fact.source == "/etc/podinfo/labels, /podinfo/labels"


def test_two_volumes_with_different_values_are_both_named(tmp_path: Path) -> None:
    fact = two(tmp_path, 'team="payments"', 'team="billing"').get(TEAM)
    assert fact.unknown
    assert (
        fact.reason == "sources disagree: /etc/podinfo/labels says payments, but /podinfo/labels says billing"
    )


@pytest.mark.parametrize("turned", [False, True])
def test_a_label_that_one_volume_has_and_the_other_has_not(turned: bool, tmp_path: Path) -> None:
    texts = ('team="payments"\ntier="db"', 'tier="db"')
    facts = two(tmp_path, *(reversed(texts) if turned else texts))
    fact = facts.get(TEAM)
    assert fact.unknown
    assert "/etc/podinfo/labels says" in fact.reason
    assert "/podinfo/labels says" in fact.reason
    assert "there is none" in fact.reason
    assert facts.get("k8s.pod.label.tier").value == "db"
    assert facts.get("k8s.pod.label.nowhere").state is State.ABSENT


def test_two_volumes_with_different_names_of_the_pod(tmp_path: Path) -> None:
    fact = two(tmp_path, "orders-0", "orders-1", "name").get("k8s.pod.name")
    assert fact.unknown
    assert "/podinfo/name says orders-1" in fact.reason


def test_one_volume_lists_all_and_the_other_some_keys(tmp_path: Path) -> None:
    files = {**PLAIN.files, "etc/podinfo/labels": 'team="payments"', "podinfo/labels/team": "payments"}
    facts = gather(Place(files).build(tmp_path), POD.environ)
    assert facts.get(TEAM).value == "payments"
    assert facts.get("k8s.pod.label.other").state is State.ABSENT


LABELS = (
    ("topology.kubernetes.io/region", "cloud.region"),
    ("topology.kubernetes.io/zone", "cloud.availability_zone"),
    ("topology.k8s.io/region", "cloud.region"),
    ("topology.k8s.io/zone", "cloud.availability_zone"),
)


@pytest.mark.parametrize(("label", "name"), LABELS)
def test_topology_labels_of_the_pod_are_hints(label: str, name: str, tmp_path: Path) -> None:
    files = {**PLAIN.files, "etc/podinfo/labels": f'{label}="eu-1"'}
    fact = gather(Place(files).build(tmp_path), POD.environ).get(name)
    assert (fact.value, fact.confidence) == ("eu-1", Confidence.HINT)
    assert fact.source == f"/etc/podinfo/labels, label {label}"


def test_topology_labels_that_disagree_tell_nothing(tmp_path: Path) -> None:
    labels = 'topology.k8s.io/region="eu-2"\ntopology.kubernetes.io/region="eu-1"'
    place = Place({**PLAIN.files, "etc/podinfo/labels": labels})
    fact = gather(place.build(tmp_path), POD.environ).get("cloud.region")
    assert fact.unknown
    assert "label topology.k8s.io/region says eu-2" in fact.reason


def test_an_explicit_region_overrules_the_label(tmp_path: Path) -> None:
    files = {**PLAIN.files, "etc/podinfo/labels": 'topology.kubernetes.io/region="eu-1"'}
    root = Place(files).build(tmp_path)
    fact = gather(root, POD.environ, {"cloud.region": ("eu-3", "--fact")}).get("cloud.region")
    assert (fact.value, fact.confidence) == ("eu-3", Confidence.EXPLICIT)


def test_a_label_without_a_value_is_trusted_no_further_than_its_file(tmp_path: Path) -> None:
    (tmp_path / "etc/podinfo").mkdir(parents=True)
    (tmp_path / "etc/podinfo/labels").write_text('team=""\n')
    fact = gather(tmp_path, {}).get(TEAM)
    assert (fact.state, fact.confidence) == (State.ABSENT, Confidence.HINT)
