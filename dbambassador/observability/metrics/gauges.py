"""Metrics that are read from a snapshot of the process. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dbambassador.observability.metrics import families
from dbambassador.observability.metrics.counting import MAX_SERIES
from dbambassador.observability.metrics.exposition import Exposed, Sample
from dbambassador.observability.metrics.families import Family

Snapshot = Mapping[str, Any]
Seen = tuple[Family, tuple[str, ...], float]


def seen(snapshot: Snapshot) -> Exposed:
    """All that a snapshot tells, by family; the first of each family, where it has too many."""
    samples: dict[Family, list[Sample]] = {}
    for family, labels, value in (*_of_the_process(snapshot), *_of_the_databases(snapshot)):
        found = samples.setdefault(family, [])
        if len(found) < MAX_SERIES:
            found.append(Sample(labels, value))
    return samples.items()


def _of_the_process(snapshot: Snapshot) -> Iterator[Seen]:
    yield families.BUILD, (snapshot["version"],), 1
    yield families.UPTIME, (), snapshot["uptime_seconds"]
    yield families.READY, (), snapshot["ready"] and snapshot["phase"] != "draining"
    environment, relay = snapshot["environment"], snapshot["relay"]
    if environment is not None:
        yield families.ENVIRONMENT, (environment["name"], environment["kind"]), 1
    yield families.DRIFTED, (), snapshot["drift"] is not None
    reload = snapshot["reload"]
    if reload is not None:
        yield families.RELOADED, (), reload["successful"]
        yield families.LOADED_AT, (), reload["loaded_timestamp_seconds"]
    yield families.CLIENTS, (), snapshot["clients"]["connected"]
    if snapshot["clients"]["limit"] is not None:
        yield families.CLIENTS_LIMIT, (), snapshot["clients"]["limit"]
    if relay is not None:
        yield families.RELAY_WAKES, (), relay["wakes"]
        yield families.RELAY_EVENTS, (), relay["events"]


def _of_the_databases(snapshot: Snapshot) -> Iterator[Seen]:
    for database in snapshot["databases"]:
        name = database["name"]
        yield families.SESSIONS, (name,), database["sessions"]
        yield families.HELD, (name,), database["held"]
        yield families.BYTES, (name, "to_server"), database["to_server_bytes"]
        yield families.BYTES, (name, "to_client"), database["to_client_bytes"]
        yield families.OUTAGES, (name,), database["outages"]["count"]
        yield families.OUTAGE_SECONDS, (name,), database["outages"]["seconds"]
        if database["certificates"] is not None:
            yield families.CERTIFICATES, (name,), not database["certificates"]
        yield from _of_the_dns(name, database["targets"])
        yield from _of_the_choice(name, database["choice"])
        for address in database["addresses"]:
            yield from _of_an_address(name, address)


def _of_the_dns(name: str, targets: Snapshot) -> Iterator[Seen]:
    yield families.DNS_ADDRESSES, (name,), len(targets["addresses"])
    yield families.DNS_STALE, (name,), targets["stale"]
    yield families.DNS_FAILING, (name,), bool(targets["failure"])
    if targets["ttl_seconds"] is not None:
        yield families.DNS_TTL, (name,), targets["ttl_seconds"]


def _of_the_choice(name: str, choice: Snapshot) -> Iterator[Seen]:
    yield families.EPOCH, (name,), choice["epoch"]
    yield families.USABLE, (name,), bool(choice["pool"]) and not choice["on_trial"]
    for address in choice["pool"]:
        yield families.CHOSEN, (name, address), 1


def _of_an_address(name: str, address: Snapshot) -> Iterator[Seen]:
    where = (name, address["address"])
    yield families.STATE, (*where, address["state"]), 1
    yield families.ADDRESS_SESSIONS, where, address["sessions"]
    if address["latency_seconds"] is not None:
        yield families.ADDRESS_LATENCY, where, address["latency_seconds"]
    if address["role"]:
        yield families.ROLE, (*where, address["role"]), 1
