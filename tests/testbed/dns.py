"""Nameservers for tests: a real one (Knot), and one in this process that misbehaves as it is told."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import dns.update
import trio

from dbambassador.values import Address
from tests.testbed.requirements import require

HOST = "127.0.0.1"

CONFIGURATION = """\
server:
    rundir: "{directory}"
    listen: [ {listen} ]
    answer-rotation: {rotate}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: "{directory}"
control:
    listen: "{directory}/knot.sock"
acl:
  - id: anyone
    address: {host}
    action: update
zone:
  - domain: {zone}
    storage: "{directory}"
    file: zone
    acl: anyone
    zonefile-sync: -1
"""

ZONE = """\
@ 30 SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 {negative_ttl}
@ 30 NS ns.{zone}.
ns 30 A 127.0.0.1
"""


class Knot:
    """A running knotd, authoritative for one zone. Names are relative to it unless they end with a dot."""

    def __init__(self, zone: str, directory: Path, address: Address) -> None:
        self.zone = zone
        self.address = address
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers for its zone."""
        # knotd as root would work, but a test has no need of it.
        unprivileged = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                [require("knotd", package="knot"), "-c", self._directory / "knot.conf"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **unprivileged,
            )
        self._await_answer()

    def _await_answer(self) -> None:
        assert self._process is not None
        query = dns.message.make_query(self.zone, "SOA")
        deadline = time.monotonic() + 10
        while True:
            with suppress(dns.exception.DNSException, OSError):
                reply = dns.query.udp(query, HOST, timeout=0.1, port=self.address.port)
                if reply.rcode() == dns.rcode.NOERROR:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"knotd does not answer: {(self._directory / 'log').read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Kills the server, so that its port refuses; `start` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """The server says nothing until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def replace(self, name: str, kind: str, *records: str, ttl: int = 1) -> None:
        """The records of this name and type are these from now on, and no others."""
        self.update(lambda update: update.replace(name, ttl, kind, *records))

    def delete(self, name: str, *kind: str) -> None:
        """The name, or its records of one type, are gone from now on."""
        self.update(lambda update: update.delete(name, *kind))

    def update(self, build: Callable[[dns.update.UpdateMessage], None]) -> None:
        """One atomic change of the zone (RFC 2136)."""
        update = dns.update.UpdateMessage(self.zone)
        build(update)
        reply = dns.query.tcp(update, HOST, timeout=5, port=self.address.port)
        assert reply.rcode() == dns.rcode.NOERROR, reply

    def lose_zone(self) -> None:
        """The server answers SERVFAIL for its zone."""
        knotc = f"{require('knotc', package='knot')} -s {self._directory}/knot.sock -f -b"
        purge = f"zone-purge +expire +zonefile +journal +timers {self.zone}"
        subprocess.run([*knotc.split(), *purge.split()], check=True, stdout=subprocess.DEVNULL, timeout=10)


@contextmanager
def knot(
    zone: str = "db.test",
    *,
    records: Sequence[str] = (),
    negative_ttl: int = 1,
    also_on: str = "",
    rotate: bool = False,
) -> Iterator[Knot]:
    """A Knot server for a zone with these records (lines of a zone file), gone at the end of the block.

    `also_on`: another IP address of this host, on which it answers at the same port. `rotate`: several
    records of one name come in another order with each answer.
    """
    require("knotd", package="knot")
    # Not pytest's directory: only its owner may enter that, and knotd runs as somebody else.
    directory = Path(tempfile.mkdtemp(prefix="knot-"))
    try:
        server = Knot(zone, directory, Address(HOST, free_port()))
        port = server.address.port
        configuration = CONFIGURATION.format(
            directory=directory,
            host=HOST,
            listen=", ".join(f"{host}@{port}" for host in (HOST, also_on) if host),
            rotate="on" if rotate else "off",
            zone=zone,
        )
        (directory / "knot.conf").write_text(configuration)
        lines = [ZONE.format(zone=zone, negative_ttl=negative_ttl), *(f"{record}\n" for record in records)]
        (directory / "zone").write_text("".join(lines))
        if os.geteuid() == 0:
            shutil.chown(directory, "nobody", "nogroup")
            shutil.chown(directory / "zone", "nobody", "nogroup")
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def free_port() -> int:
    """A port that is free for UDP and TCP on 127.0.0.1."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        ):
            udp.bind((HOST, 0))
            port: int = udp.getsockname()[1]
            with suppress(OSError):
                tcp.bind((HOST, port))
                return port


Behaviour = Callable[[dns.message.Message, str], Awaitable[bytes | None]]
"""What to say to a question that came over "udp" or "tcp"; None: nothing."""


class Faulty:
    """A nameserver in this process whose answers are whatever the test says."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.asked: list[tuple[str, str, str]] = []
        """Every question: name, type, transport."""

    def count(self, name: str, kind: str) -> int:
        return sum(asked[:2] == (name, kind) for asked in self.asked)


@asynccontextmanager
async def faulty(behave: Behaviour) -> AsyncIterator[Faulty]:
    """Serves on UDP and TCP of one port until the end of the block."""
    udp = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        port = free_port()
        with suppress(OSError):
            (listener,) = await trio.open_tcp_listeners(port, host=HOST)
            await udp.bind((HOST, port))
            break
    server = Faulty(Address(HOST, port))

    async def answer(wire: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        asked = query.question[0]
        kind = dns.rdatatype.to_text(asked.rdtype)
        server.asked.append((asked.name.to_text(omit_final_dot=True), kind, transport))
        return await behave(query, transport)

    async def datagram(wire: bytes, peer: tuple[object, ...]) -> None:
        reply = await answer(wire, "udp")
        if reply is not None:
            await udp.sendto(reply, peer)

    async def datagrams() -> None:
        while True:
            nursery.start_soon(datagram, *await udp.recvfrom(65535))

    async def stream(connection: trio.SocketStream) -> None:
        async with connection:
            wire = await connection.receive_some(65535)
            reply = await answer(bytes(wire[2:]), "tcp")
            if reply is not None:
                with suppress(trio.BrokenResourceError):
                    await connection.send_all(len(reply).to_bytes(2, "big") + reply)

    with udp:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(datagrams)
            nursery.start_soon(trio.serve_listeners, stream, [listener])
            yield server
            nursery.cancel_scope.cancel()


def reply_to(
    query: dns.message.Message,
    *answers: str,
    code: dns.rcode.Rcode = dns.rcode.NOERROR,
    authority: Sequence[str] = (),
    recursion: bool = True,
) -> dns.message.Message:
    """A reply with these records, each written as `name ttl type data`."""
    reply = dns.message.make_response(query, recursion_available=recursion)
    reply.set_rcode(code)
    for lines, section in ((answers, reply.answer), (authority, reply.authority)):
        for line in lines:
            name, ttl, kind, data = line.split(maxsplit=3)
            one = dns.rrset.from_text(name + "." * (not name.endswith(".")), int(ttl), "IN", kind, data)
            same = [rrset for rrset in section if (rrset.name, rrset.rdtype) == (one.name, one.rdtype)]
            if same:
                same[0].add(one[0])
            else:
                section.append(one)
    return reply
