"""What connections cost a relay that do nothing.

`python -m tests.bench.relay_idle PORT PROTOCOL COUNT…` is the client: it opens connections until it has each
count, has one conversation on each, says so, and goes on when it is told to.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.bench.relay_connections import CONVERSATIONS
from tests.bench.relay_ways import Way
from tests.testbed.processes import environ

BEFORE = 10
"""Connections that are there when counting begins, so that what the first one brings is not counted."""

SETTLED = 0.3
"""Seconds without change after which the memory is read."""


def memory_per_connection(way: Way, protocol: str, counts: Sequence[int]) -> list[float]:
    """Growth in KB (1,000 bytes) for each idle connection: resident, then anonymous, at each count."""
    command = [sys.executable, "-m", "tests.bench.relay_idle", str(way.port), protocol]
    command += map(str, (BEFORE, *counts))
    found = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ()
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        base: list[int] = []
        for count in (BEFORE, *counts):
            if client.stdout.readline().strip() != str(count):
                raise AssertionError(f"{way.name} did not take {count} connections")
            now = settled(way)[:2]
            if not base:
                base = now
            else:
                found += [
                    (kib - before) * 1.024 / (count - BEFORE) for kib, before in zip(now, base, strict=True)
                ]
            client.stdin.write("\n")
            client.stdin.flush()
    return found


def settled(way: Way) -> list[int]:
    """KiB that are resident, anonymous, and its share of memory (PSS), once they change no more."""
    last: list[int] = []
    while True:
        now = [way.memory_kib(name) for name in ("Rss", "Anonymous", "Pss")]
        if now == last:
            return now
        last = now
        time.sleep(SETTLED)


def main(port: int, protocol: str, counts: Sequence[int]) -> None:
    connections: list[socket.socket] = []
    for count in counts:
        while len(connections) < count:
            connection = socket.create_connection(("127.0.0.1", port), 10)
            connections.append(connection)
            CONVERSATIONS[protocol](connection)
        print(count, flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], [int(word) for word in sys.argv[3:]])
