"""A nameserver whose answers and moods the test changes while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import trio

from dbambassador.discovery.resolver import Resolver
from dbambassador.events import Event, LookupEnded
from tests.testbed.dns import Faulty, faulty, reply_to


class Zone:
    """What the server says. A name without records does not exist; one with other types has no data."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        """By name: `ttl type data`."""
        self.codes: dict[str, dns.rcode.Rcode] = {}
        """Response codes by name, "" for every name."""
        self.delays: dict[str, float] = {}
        """Seconds by name, or by type (A, AAAA, SRV)."""
        self.asked_at: list[tuple[float, str, str]] = []
        """When each question came, with its name and type."""

    async def behave(self, query: dns.message.Message, transport: str) -> bytes | None:
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(asked.rdtype)
        self.asked_at.append((trio.current_time(), name, kind))
        await trio.sleep(self.delays.get(name, self.delays.get(kind, 0)))
        code = self.codes.get(name, self.codes.get(""))
        if code is not None:
            return reply_to(query, code=code).to_wire()
        if name not in self.records:
            return reply_to(query, code=dns.rcode.NXDOMAIN).to_wire()
        lines = [f"{name} {line}" for line in self.records[name] if line.split()[1] == kind]
        return reply_to(query, *lines).to_wire()


class Site:
    """A resolver, the zone it sees, and what it told."""

    def __init__(self, root: Path, zone: Zone, server: Faulty) -> None:
        self.root = root
        self.zone = zone
        self.server = server
        self.events: list[Event] = []
        self.resolver = Resolver(root, [str(server.address)], self.events.append)

    def write(self, name: str, text: str) -> None:
        (self.root / "etc").mkdir(exist_ok=True)
        (self.root / "etc" / name).write_text(text)

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Name and type of every question so far."""
        return [asked[:2] for asked in self.server.asked]

    @property
    def outcomes(self) -> dict[tuple[str, str], str]:
        lookups = [event for event in self.events if isinstance(event, LookupEnded)]
        return {(event.name, event.kind): event.outcome for event in lookups}


@asynccontextmanager
async def site(root: Path, **records: list[str]) -> AsyncIterator[Site]:
    """A resolver that knows only this root and this server. Names are given with `__` for each dot."""
    zone = Zone()
    zone.records = {name.replace("__", "."): lines for name, lines in records.items()}
    async with faulty(zone.behave) as server:
        yield Site(root, zone, server)
