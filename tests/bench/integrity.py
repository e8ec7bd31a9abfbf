"""1 GB each way at once through a running ambassador, every byte checked: over TCP and a unix socket."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dbambassador.demo.ports import free_port
from dbambassador.demo.postgresql import Ground
from tests.end_to_end.setting import CHOSEN, environments
from tests.testbed.processes import Ambassador

TITLE = "Integrity: 1 GB in both directions at once, every byte in a checksum"

SIZE = 1 << 30
CHUNK = 1 << 18
PATIENCE = 60.0
"""Seconds without a byte after which a connection counts as stuck."""


def run(ground: Ground, directory: Path) -> dict[str, object]:
    """Raises AssertionError where anything but what was sent arrives: that is no noise."""
    path = ground.directory / "integrity.sock"
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:
        database = {
            "protocol": "tcp",
            "listen": [f"127.0.0.1:{port}", f"unix:{path}"],
            "endpoint": f"127.0.0.1:{server.getsockname()[1]}",
            "check": "passive",
        }
        flags = ("--environments", environments(directory, main=database), *CHOSEN, "--quiet")
        running = Ambassador(flags, directory / "integrity.log").wait_ready()
        try:
            return {
                "tcp": _carried(
                    "a TCP listener", server, lambda: _connected(socket.AF_INET, ("127.0.0.1", port))
                ),
                "unix": _carried("a unix listener", server, lambda: _connected(socket.AF_UNIX, str(path))),
            }
        finally:
            running.process.end()


def _connected(family: socket.AddressFamily, address: str | tuple[str, int]) -> socket.socket:
    client = socket.socket(family)
    client.connect(address)
    return client


def _carried(name: str, server: socket.socket, connect: Callable[[], socket.socket]) -> dict[str, object]:
    client = connect()
    peer, _ = server.accept()
    with client, peer, ThreadPoolExecutor(4) as pool:
        for side in (client, peer):
            side.settimeout(PATIENCE)
        started = time.perf_counter()
        sent = [pool.submit(_send, side) for side in (client, peer)]
        received = [pool.submit(_receive, side) for side in (peer, client)]
        outcomes = [(s.result(), r.result()) for s, r in zip(sent, received, strict=True)]
        seconds = time.perf_counter() - started
    for direction, (said, heard) in zip(("to the server", "to the client"), outcomes, strict=True):
        assert heard == (SIZE, said), f"{name}, {direction}: {heard[0]:,} of {SIZE:,} bytes, or other ones"
    rate = 2 * SIZE / 1e6 / seconds
    print(f"{name}: {SIZE:,} bytes each way arrived as they were sent, {rate:,.0f} MB/s in all", flush=True)
    return {"bytes_each_way": SIZE, "megabytes_per_second": rate}


def _send(side: socket.socket) -> bytes:
    """Sends random bytes of which no two chunks are alike, ends the direction, and gives the checksum."""
    seen = hashlib.sha256()
    chunk = bytearray(os.urandom(CHUNK))
    for number in range(SIZE // CHUNK):
        chunk[:8] = number.to_bytes(8, "big")
        seen.update(chunk)
        side.sendall(chunk)
    side.shutdown(socket.SHUT_WR)
    return seen.digest()


def _receive(side: socket.socket) -> tuple[int, bytes]:
    """The number of bytes until the end of the direction, and their checksum."""
    seen = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK))
    count = 0
    while size := side.recv_into(buffer):
        seen.update(buffer[:size])
        count += size
    return count, seen.digest()
