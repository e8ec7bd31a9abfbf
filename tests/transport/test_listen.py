"""Listening where a port is taken: the error names who is in the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dbambassador.demo.ports import free_port
from dbambassador.errors import CannotListen
from dbambassador.transport.listen import listen_tcp

HOLDER = """\
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, dualstack_ipv6=":" in sys.argv[1]):
    print("listening", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(host: str, port: int) -> Iterator[int]:
    """The process of another program that listens there."""
    command = [sys.executable, "-c", HOLDER, host, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n"
        yield process.pid


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.1", "::"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "::1"),
        ("::1", "::"),
        ("::", "::1"),
    ],
)
async def test_the_holder_of_a_taken_port_is_named(ours: str, theirs: str) -> None:
    port = free_port()
    with held(theirs, port) as holder, pytest.raises(CannotListen, match=rf"\(process {holder}\)"):
        await listen_tcp(ours, port)


@pytest.mark.parametrize("hosts", [("127.0.0.1", "127.0.0.3"), ("127.0.0.3", "127.0.0.1")])
async def test_a_listener_on_another_address_is_not_taken_for_the_holder(hosts: tuple[str, str]) -> None:
    port = free_port()
    with held(hosts[0], port) as one, held(hosts[1], port) as other:
        holder = {hosts[0]: one, hosts[1]: other}["127.0.0.1"]
        with pytest.raises(CannotListen, match=rf"\(process {holder}\)"):
            await listen_tcp("127.0.0.1", port)
