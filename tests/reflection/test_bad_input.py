"""Damage at every path and in every variable that reflection reads. The lists are recorded, not written."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dbambassador.reflection import gather as room
from dbambassador.reflection.gather import gather
from dbambassador.reflection.reading import Files, Reading
from dbambassador.values import Facts
from tests.reflection.captures import CAPTURES
from tests.reflection.places import ACCOUNT, POD, Place
from tests.reflection.tokens import SECRET, SUBJECT

MEGABYTE = 1024 * 1024
MEMORY = 4 * MEGABYTE
"""Bytes at most while it reflects: the largest file that it accepts has 256 KiB."""

SECONDS = 2.0
"""Far more than it takes, and far less than to read a file without an end."""


class Recording(Files):
    paths: ClassVar[set[str]] = set()

    def read(self, path: str, limit: int = 0) -> Reading:
        self.paths.add(path)
        return super().read(path, *([limit] if limit else []))

    def look(self, path: str) -> Reading:
        self.paths.add(path)
        return super().look(path)


class RecordingEnviron(dict[str, str]):
    names: ClassVar[set[str]] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


def recorded() -> tuple[list[str], list[str]]:
    """The paths and variables that any capture, or a pod with two volumes, makes it look at."""
    patch = pytest.MonkeyPatch()
    patch.setattr(room, "Files", Recording)
    twice = Place({**POD.files, "podinfo/labels": 'team="payments"'}, environ=POD.environ)
    for place in (twice, *(capture.place for capture in CAPTURES.values())):
        with tempfile.TemporaryDirectory() as directory:
            gather(place.build(Path(directory)), RecordingEnviron(place.environ))
    patch.undo()
    return sorted(Recording.paths), sorted(RecordingEnviron.names)


PATHS, VARIABLES = recorded()


def test_the_records_are_not_empty() -> None:
    assert {f"/{ACCOUNT}/token", "/podinfo/labels", "/sys/class/dmi/id/sys_vendor"} <= set(PATHS)
    assert {"K_SERVICE", "NOMAD_ALLOC_ID", "POD_NAME", "OTEL_RESOURCE_ATTRIBUTES"} <= set(VARIABLES)
    assert len(PATHS) > 25
    assert len(VARIABLES) > 40


def junk(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


def escapes(path: Path) -> None:
    path.write_bytes(b'team="\x1b[31mpayments"\n\x00\x07\r\n\xe2\x80\xae')


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * MEGABYTE)


def long_line(path: Path) -> None:
    path.write_bytes(b'team="' + b"x" * MEGABYTE + b'"')


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    """A device that gives bytes for ever, where the system lets us make one; /dev/zero by link else."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except OSError:
        path.symlink_to("/dev/zero")


def directory(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("../../../../../../nowhere")


DAMAGES: tuple[Callable[[Path], None], ...] = (
    junk,
    escapes,
    huge,
    long_line,
    fifo,
    endless,
    directory,
    loop,
    dangling,
)

ONLY_SOURCE = {
    f"/{ACCOUNT}/ca.crt": "dbambassador.k8s.ca.sha256",
    f"/{ACCOUNT}/token": "k8s.node.uid",
    "/etc/podinfo/labels": "k8s.pod.label.team",
    "/etc/podinfo/annotations": "k8s.pod.annotation.owner",
}
"""Paths with a fact that nothing else in the pod tells."""


@pytest.mark.parametrize("path", PATHS)
def test_damage_at_any_path_is_unknown_quick_and_small(path: str, tmp_path: Path) -> None:
    for number, damage in enumerate(DAMAGES):
        root = POD.build(tmp_path / str(number))
        before = gather(root, POD.environ)
        target = root / path.lstrip("/")
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        damage(target)

        facts = bounded(lambda root=root: gather(root, POD.environ))  # type: ignore[misc]

        check(facts, before)
        assert facts.get("dbambassador.platform").value == "kubernetes"
        if name := ONLY_SOURCE.get(path):
            fact = facts.get(name)
            assert fact.unknown, damage
            if damage is not dangling and not (damage is directory and "podinfo" in path):
                assert fact.reason.startswith(path), damage


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up the right to read everything")
@pytest.mark.parametrize("path", sorted(ONLY_SOURCE))
def test_an_unreadable_file_says_so(path: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = POD.build(Path(directory))
        root.chmod(0o755)
        (root / path.lstrip("/")).chmod(0)
        os.seteuid(65534)
        try:
            fact = gather(root, POD.environ).get(ONLY_SOURCE[path])
        finally:
            os.seteuid(0)
    assert fact.unknown
    assert fact.reason.startswith(f"{path}: Permission denied")


BAD_VALUES = ("\x1b[2Jforged", "x" * MEGABYTE, "a\nb", "\udcff\udcfe", "\u202eabc", " ", "\x00")


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_bad_value_in_any_variable_is_never_shown(variable: str, tmp_path: Path) -> None:
    for number, capture in enumerate(("eks", "compose", "nomad", "container-apps")):
        place = CAPTURES[capture].place
        root = place.build(tmp_path / str(number))
        for value in BAD_VALUES:
            facts = bounded(lambda: gather(root, {**place.environ, variable: value}))  # noqa: B023
            for fact in facts:
                assert fact.value.isprintable()
                assert fact.reason.isprintable()
                assert fact.source.isprintable()
                assert len(fact.value) <= 1024
                assert value == " " or value not in fact.reason


def test_labels_with_values_that_no_fact_can_have(tmp_path: Path) -> None:
    lines = ['bad="\\u001b[31m"', 'long="' + "x" * 30_000 + '"', 'team="payments"']
    root = Place({**POD.files, "etc/podinfo/labels": "\n".join(lines)}).build(tmp_path)
    facts = gather(root, POD.environ)
    assert facts.get("k8s.pod.label.bad").unknown
    assert "30000 characters" in facts.get("k8s.pod.label.long").reason
    assert facts.get("k8s.pod.label.team").value == "payments"


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    yield
    if before:
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 1


def bounded(reflect: Callable[[], Facts]) -> Facts:
    tracemalloc.start()
    started = time.monotonic()
    facts = reflect()
    seconds = time.monotonic() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < SECONDS
    assert peak < MEMORY
    return facts


def check(facts: Facts, before: Facts) -> None:
    """Damage takes knowledge away or leaves it; it never makes up another value, and shows no secret."""
    text = repr(facts)
    assert SECRET not in text
    assert SUBJECT not in text
    for fact in facts:
        assert fact.value.isprintable()
        assert fact.reason.isprintable()
        assert fact.unknown == bool(fact.reason)
        known = before.get(fact.name)
        if fact.present and fact.name != "host.name" and known.present:
            assert fact.value == known.value
