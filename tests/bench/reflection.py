"""What it costs to find out where one is: time, and memory with and without the Kubernetes API."""

from __future__ import annotations

import queue
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
import yaml

from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import Ground
from dbambassador.reflection.gather import gather
from tests.bench.idle import memory
from tests.reflection.api_server import NODE, answers, api_server, pod_files
from tests.reflection.places import POD
from tests.testbed.processes import Ambassador

TITLE = "Reflection in a pod, and a start that asks the Kubernetes API against one that does not"
ROUNDS = 5
SETTLED = 12.0
"""Seconds after which trio's idle worker threads, the last trace of the child process, are gone."""

REGION = "k8s.node.label.topology.kubernetes.io/region"
NODE_PATH = "/api/v1/nodes/worker-3"


def run(ground: Ground, directory: Path) -> dict[str, object]:
    place = directory / "pod"
    place.mkdir()
    root = pod_files(POD.build(place / "root"))
    times = []
    for _ in range(200):
        started = time.perf_counter()
        gather(root, POD.environ)
        times.append((time.perf_counter() - started) * 1000)
    flags = ("--root", root, "--structured-logs")
    resident: dict[str, list[float]] = {"without": [], "with": []}
    children, peaks, without_seconds, with_seconds = [], [], [], []
    with _api() as environ:
        told = ("--fact", f"{REGION}=eu-west-1")
        for number in range(ROUNDS):
            quiet = _Start((*flags, *told, *_environments(place)), place / f"without-{number}.log", environ)
            asking = _Start((*flags, *_environments(place)), place / f"with-{number}.log", environ)
            time.sleep(SETTLED)
            resident["without"].append(quiet.resident())
            resident["with"].append(asking.resident())
            without_seconds.append(quiet.seconds)
            with_seconds.append(asking.seconds)
            children.append(asking.child_peak)
            peaks.append(asking.both_peak)
    more = statistics.median(resident["with"]) - statistics.median(resident["without"])
    figures: dict[str, object] = {
        "gather_ms": {"first": times[0], "median": statistics.median(times), "worst": max(times)},
        "located_s": {"without": without_seconds, "with": with_seconds},
        "resident_mib": resident,
        "more_resident_mib": more,
        "child_peak_mib": max(children),
        "both_peak_mib": max(peaks),
    }
    print(f"facts of a pod gathered: median {statistics.median(times):.2f} ms, worst {max(times):.2f} ms")
    shown = statistics.median(without_seconds) * 1000, statistics.median(with_seconds) * 1000
    print(f"environment located: {shown[0]:.0f} ms without the API, {shown[1]:.0f} ms with it")
    medians = [statistics.median(values) for values in resident.values()]
    print(f"resident: {medians[0]:.1f} MiB without the API, {medians[1]:.1f} MiB with it ({more:+.2f})")
    print(f"peak while the API is asked: child {max(children):.1f} MiB, both {max(peaks):.1f} MiB")
    return figures


class _Start:
    """One ambassador, started and ready; MiB and seconds."""

    def __init__(self, flags: tuple[str | Path, ...], log: Path, environ: dict[str, str]) -> None:
        self._running = Ambassador(flags, log, variables={**POD.environ, **environ})
        self.child_peak, self.both_peak = _watched(self._running)
        (gathered,) = [line for line in self._running.events() if line["event"] == "facts_gathered"]
        assert gathered["asked_api"] == (self.child_peak > 0)
        self.seconds: float = gathered["seconds"]

    def resident(self) -> float:
        """Its size now; then it ends."""
        size = memory(self._running.pid)["VmRSS"] / 1024
        self._running.process.end()
        return size


def _watched(running: Ambassador) -> tuple[float, float]:
    """The child's greatest resident size, and that of both processes at one time, until it serves."""
    child = both = 0.0
    deadline = time.monotonic() + 30
    while not any("ready for connections" in line for line in running.lines()):
        assert time.monotonic() < deadline, "it does not become ready"
        for pid in _children(running.pid):
            try:
                if b"kubernetes_api" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                    continue  # trio asks ldconfig for a library when it is imported
                found = memory(pid)
                own = memory(running.pid)
            except (OSError, KeyError):
                continue  # it has just ended
            if "VmHWM" in found and found.get("VmRSS"):
                child = max(child, found["VmHWM"] / 1024)
                both = max(both, (found["VmRSS"] + own["VmRSS"]) / 1024)
        time.sleep(0.002)
    return child, both


def _children(pid: int) -> list[int]:
    """Of all threads: a process belongs to the thread that started it."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:
            continue
    return found


def _environments(place: Path) -> tuple[str, Path]:
    """The flag for one environment that the node's region decides, on a port of its own."""
    port = free_port()
    document = {
        "environment": "staging",
        "match": {"matchFacts": {REGION: "eu-west-1"}},
        "databases": {
            "orders": {
                "protocol": "postgresql",
                "listen": [f"127.0.0.1:{port}"],
                "endpoint": "127.0.0.1:1",
            }
        },
    }
    path = place / f"environments-{port}"
    path.mkdir()
    (path / "here.yaml").write_text(yaml.safe_dump(document))
    return "--environments", path


@contextmanager
def _api() -> Iterator[dict[str, str]]:
    """A Kubernetes API that knows the node, in a thread of its own; gives the variables that lead to it."""
    started: queue.Queue[tuple[dict[str, str], trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    async def serve() -> None:
        async with api_server({NODE_PATH: answers(200, NODE)}) as server:
            with trio.CancelScope() as scope:
                started.put((server.environ, trio.lowlevel.current_trio_token(), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    environ, token, scope = started.get(timeout=10)
    try:
        yield environ
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join(10)
