"""Containers on a podman of the tests' own, offline, with images made on this machine. Needs root.

Each worker's podman lives in namespaces of its own: the processes, mounts, bridges and packet filters of its
containers exist nowhere else, and are gone with it. Another program, as podman-compose, runs there by
`podman.command(...)`; a URL on a published port is reached by `podman.get(...)`.

The images are `docker.io/library/{python:3.11-slim,postgres:16,mariadb:11}`, stand-ins of the same names, and
`localhost/dbambassador`, built from the Dockerfile.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbambassador.demo.leash import leash
from dbambassador.demo.processes import Process
from tests.testbed.base_images import BASES
from tests.testbed.processes import PATIENCE, POLL, environ
from tests.testbed.requirements import missing, require, require_root

REPOSITORY = Path(__file__).parents[2]

IMAGE = "localhost/dbambassador"

ENOUGH = 2 * 1024**3
"""Bytes free: all images and the layers they are made of have 0.8 GB."""

PATIENCE_FOR_IMAGES = 400
"""Seconds for a test, of which the first one of each worker may make the images, or wait for them."""

WHEELS_VARIABLE = "DBAMBASSADOR_TEST_WHEELS"
WHEELS = Path(os.environ.get(WHEELS_VARIABLE) or "/var/lib/dbambassador-test/wheels")
"""What scripts/fetch-wheels fetched."""

STORAGE = """
[storage]
driver = "overlay"
graphroot = "{directory}/graph"
runroot = "{directory}/run"
[storage.options]
additionalimagestores = [{stores}]
"""

ENGINE = """
[containers]
# What podman would set is above what a process in a container may have itself.
default_ulimits = ["nofile=16384:16384", "nproc=32768:32768"]
[engine]
# crun refuses control groups of version 1.
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
# In shared memory, as by default, all podmans of a machine would share them.
lock_type = "file"
tmp_dir = "{directory}/tmp"
image_copy_tmp_dir = "{directory}"
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
"""

CONFIGURATION = {
    "storage.conf": STORAGE,
    "containers.conf": ENGINE,
    "registries.conf": "unqualified-search-registries = []\n",
    "pip.conf": "[global]\nno-index = true\nfind-links = /wheels\ndisable-pip-version-check = true\n",
}

PREPARATION = """
ip link set lo up
echo 1 >/proc/sys/net/ipv4/conf/default/arp_notify
mkdir -p /run/containers
mount -t tmpfs tmpfs /run/containers
echo up
exec catatonit -P
"""
"""Netavark below 1.9 lets a bridge change its address with its ports (docs/limits.md): the kernel is to
announce it. What the containers' nameserver is told lies in /run/containers, whatever is configured."""


@dataclass(frozen=True, slots=True)
class Podman:
    """A podman with its containers, in namespaces of its own."""

    directory: Path
    init: int
    """Their process 1, by its number outside."""

    def __call__(self, *words: str | Path, timeout: float = 60.0) -> str:
        """Runs a podman command to its end and gives its output. Raises AssertionError with its errors."""
        return self.run("podman", *words, timeout=timeout)

    def run(
        self, *words: str | Path, timeout: float = 60.0, variables: Mapping[str, str] | None = None
    ) -> str:
        """Runs any program beside the containers, with this podman in its environment; as `__call__`."""
        done = self.ended(*words, timeout=timeout, variables=variables)
        if done.returncode != 0:
            said = f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
            raise AssertionError(f"{' '.join(map(str, words))} ended with {done.returncode}: {said}")
        return done.stdout

    def ended(
        self, *words: str | Path, timeout: float = 60.0, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """As `run`, whatever the exit code."""
        return subprocess.run(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**self.environ, **(variables or {})},
            timeout=timeout,
        )

    def command(self, *words: str | Path) -> list[str]:
        """The command line that runs a program beside the containers; it needs `environ`, too."""
        return ["nsenter", f"--target={self.init}", "--mount", "--pid", "--net", *map(str, words)]

    @property
    def environ(self) -> dict[str, str]:
        return environ(
            {
                "CONTAINERS_STORAGE_CONF": str(self.directory / "storage.conf"),
                "CONTAINERS_CONF": str(self.directory / "containers.conf"),
                "CONTAINERS_REGISTRIES_CONF": str(self.directory / "registries.conf"),
                "TMPDIR": str(self.directory),
            }
        )

    def get(self, url: str) -> str:
        """What a URL on a published port answers."""
        program = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
        return self.run("python3", "-c", program, url, timeout=PATIENCE)

    def until(self, expected: str, *words: str | Path, timeout: float = 2 * PATIENCE) -> str:
        """Repeats a podman command until its output has `expected`, and gives that output."""
        deadline = time.monotonic() + timeout
        while True:
            done = self.ended("podman", *words)
            if done.returncode == 0 and expected in done.stdout:
                return done.stdout
            if time.monotonic() > deadline:
                said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
                raise AssertionError(f"{' '.join(map(str, words))}: no {expected!r} in {timeout:g} s: {said}")
            time.sleep(POLL)

    def build(self, tag: str, *options: str | Path, context: Path = REPOSITORY) -> str:
        """Builds a Dockerfile without a network, from the wheels at hand; gives the image's id."""
        volumes = (f"{self.directory}/pip.conf:/etc/pip.conf:ro", f"{WHEELS}:/wheels:ro")
        return self(
            *("build", "--quiet", "--pull=never", "--network=none", "--format=docker", "--layers=false"),
            *(f"--volume={volume}" for volume in volumes),
            *(f"--tag={tag}", *options, context),
            timeout=180.0,
        ).strip()


@contextmanager
def podman_in(directory: Path, *stores: Path) -> Iterator[Podman]:
    """A podman with its state in `directory`. It sees the images in `stores`, too, and cannot change them.

    Ends the test where the machine cannot have it. All that it started ends with the block, or
    with this process.
    """
    require_root()
    for package in ("podman", "runc", "catatonit", "iptables"):
        require(package, package=package)
    for package in ("netavark", "aardvark-dns"):
        if not Path("/usr/lib/podman", package).exists():
            missing(f"{package} is not installed: apt-get install {package}")
    known = {"directory": str(directory), "stores": ", ".join(f'"{store}/graph"' for store in stores)}
    for name, text in CONFIGURATION.items():
        (directory / name).write_text(text.format_map(known))
    # Orphans, as every container's monitor is one, are reaped by process 1; the machine's own may take its
    # time.
    with Process(
        [
            *("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"),
            *("--propagation=private", "sh", "-euc", PREPARATION),
        ],
        directory / "init.log",
        end_signal=signal.SIGKILL,
    ) as namespaces:
        yield Podman(directory, _first_child(namespaces))


def _first_child(parent: Process) -> int:
    deadline = time.monotonic() + PATIENCE
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while "up" not in parent.tail():
        if time.monotonic() > deadline or parent.exit_code is not None:
            missing(f"namespaces cannot be made here: {parent.tail()}")
        time.sleep(POLL)
    return int(children.read_text())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "image_store" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(PATIENCE_FOR_IMAGES))


@pytest.fixture(scope="session")
def image_store(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Path]:
    """Where the images are, made once for all workers (about 20 s), and removed by the last of them."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    place = shared / "images.place"
    with (shared / "images.users").open("w") as users, (shared / "images.lock").open("w") as lock:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_EX)
        store = Path(place.read_text()) if place.exists() else _new_store()
        place.write_text(str(store))
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield store
        leash.release_directory(store)
        # Whoever can have it alone is the last that uses it.
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        shutil.rmtree(store)
        place.unlink()


@pytest.fixture(scope="session")
def podman(image_store: Path) -> Iterator[Podman]:
    """A podman for this worker's tests, with all images. What they leave in it ends with the session."""
    directory = _directory()
    try:
        with podman_in(directory, image_store) as made:
            yield made
    finally:
        shutil.rmtree(directory)
        leash.release_directory(directory)


def _directory() -> Path:
    """For one podman; in memory where there is enough: unpacked images are a thousand files and more."""
    memory = Path("/dev/shm")
    enough = memory.is_dir() and shutil.disk_usage(memory).free > ENOUGH
    directory = Path(tempfile.mkdtemp(prefix="dbambassador-podman-", dir=memory if enough else None))
    leash.hold_directory(directory)
    return directory


def _new_store() -> Path:
    store = _directory()
    try:
        with podman_in(store) as podman:
            _make_images(podman)
    except BaseException:
        shutil.rmtree(store)
        raise
    return store


def _make_images(podman: Podman) -> None:
    if not (WHEELS / "wheels").exists():
        missing(f"no wheels in {WHEELS}: run scripts/fetch-wheels, or set {WHEELS_VARIABLE}")
    for name, (root, instructions) in BASES.items():
        archive = podman.directory / "root.tar"
        with archive.open("wb") as stream:
            root.write(stream)
        podman("import", "--quiet", *(f"--change={one}" for one in instructions), archive, name)
        archive.unlink()
    podman.build(IMAGE)
