"""A long cable: a host's way to the LAN, with delay and loss. For kernels without netem. Needs root.

Two TAP devices take the place of the host's veth, and a process of its own carries every frame from one to
the other (https://docs.kernel.org/networking/tuntap.html).
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbed.netns import BRIDGE, INTERFACE, SUBNET4_LENGTH, Host, call_in
from tests.testbed.requirements import missing

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
"""linux/if_tun.h."""

LARGEST_FRAME = 65536


class Cable:
    """The cable of one host; a short and sound one until `stretch`."""

    def __init__(self, carrier: subprocess.Popen[bytes]) -> None:
        self._carrier = carrier

    def stretch(self, delay: float = 0.0, loss: float = 0.0) -> None:
        """From now on frames take `delay` seconds in each direction, and this share of them is lost."""
        assert self._carrier.stdin is not None
        self._carrier.stdin.write(f"{delay} {loss}\n".encode())
        self._carrier.stdin.flush()


@contextmanager
def cable(host: Host) -> Iterator[Cable]:
    """Replaces the host's veth until the end of the block, when the host's connection ends altogether.

    To be laid before anything on the host has an IPv6 address to lose: only the IPv4 address is kept.
    """
    switch = host.lan.switch
    _ip(switch, "link", "delete", host.port_of_switch)
    inner = call_in(host.namespace, _tap(INTERFACE))
    outer = call_in(switch, _tap(host.port_of_switch))
    try:
        _ip(host.namespace, "addr", "add", f"{host.ip}/{SUBNET4_LENGTH}", "dev", INTERFACE)
        _ip(host.namespace, "link", "set", INTERFACE, "up")
        _ip(switch, "link", "set", host.port_of_switch, "master", BRIDGE, "up")
        carrier = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(inner), str(outer)],
            stdin=subprocess.PIPE,
            pass_fds=(inner, outer),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            yield Cable(carrier)
        finally:
            carrier.kill()
            carrier.communicate()
    finally:
        os.close(inner)
        os.close(outer)


def _tap(name: str) -> Callable[[], int]:
    """Makes a TAP device in the namespace of the calling thread; it is gone when its descriptor is."""

    def make() -> int:
        try:
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            missing(f"/dev/net/tun cannot be opened: {error.strerror}")
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
        return descriptor

    return make


def _ip(namespace: str, *words: str) -> None:
    subprocess.run(["ip", "-n", namespace, *words], check=True, timeout=10)


def carry(inner: int, outer: int, orders: int) -> None:
    """Carries frames both ways until `orders`, from which lines `DELAY LOSS` come, ends."""
    delay = loss = 0.0
    under_way: list[tuple[float, int, int, bytes]] = []  # due, number, to, frame
    number = 0
    poll = select.poll()
    for descriptor in (inner, outer, orders):
        poll.register(descriptor, select.POLLIN)
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) * 1000 if under_way else None
        for descriptor, _ in poll.poll(wait):
            if descriptor == orders:
                line = os.read(orders, 4096)
                if not line:
                    return
                delay, loss = map(float, line.splitlines()[-1].split())
                continue
            frame = os.read(descriptor, LARGEST_FRAME)
            if random.random() >= loss:
                number += 1
                to = outer if descriptor == inner else inner
                heapq.heappush(under_way, (time.monotonic() + delay, number, to, frame))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, to, frame = heapq.heappop(under_way)
            try:
                os.write(to, frame)
            except OSError:
                pass  # an interface that is down, or a full queue: a frame is lost, as frames are


if __name__ == "__main__":
    carry(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.fileno())
