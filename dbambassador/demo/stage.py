"""What the demo plays on: the databases of two environments, the zone that names them, and their files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import trio

from dbambassador.demo.dns import HOST, Nameserver, Zone
from dbambassador.demo.installations import Installation
from dbambassador.demo.ports import free_port, is_free
from dbambassador.demo.postgresql import Ground, PostgreSQL

ENVIRONMENTS = Path(__file__).parent / "environments"
CLIENT = Path(__file__).parent / "client.py"

ORIGIN = "db.test"
PORT = 5432

TTL = 30
"""Seconds. Long on purpose: following a failover does not depend on a short one."""


@dataclass(frozen=True, slots=True)
class Databases:
    """The servers of both environments, running."""

    development: PostgreSQL
    production: PostgreSQL
    standby: PostgreSQL
    """Of production."""


@dataclass(frozen=True, slots=True)
class Script:
    """The files of the play, in the demo's own directory."""

    port: int
    """On localhost; 5432 unless another program has it."""
    client: Path
    environments: Path


def prepare(directory: Path) -> Script:
    """Copies client and environments into `directory`; where 5432 is taken, with another port instead."""
    port = PORT if is_free(PORT) else free_port()
    client = directory / "client.py"
    client.write_text(CLIENT.read_text().replace(f"port={PORT}", f"port={port}"))
    environments = directory / "environments"
    environments.mkdir()
    for file in ENVIRONMENTS.glob("*.yaml"):
        text = file.read_text().replace(f"localhost:{PORT}", f"localhost:{port}")
        (environments / file.name).write_text(text)
    return Script(port, client, environments)


async def start_databases(installation: Installation, directory: Path, ending: ExitStack) -> Databases:
    """Creates and starts all three servers; `ending` stops them. Raises ServerFailed."""
    ground = await trio.to_thread.run_sync(Ground.prepared, installation, directory)
    development = await _start(ground, "development", ending)
    production = await _start(ground, "production-a", ending)
    standby = await trio.to_thread.run_sync(production.standby, "production-b")
    ending.callback(standby.stop)
    await trio.to_thread.run_sync(standby.start)
    return Databases(development, production, standby)


def name_in(zone: Zone, environment: str, host: str, server: PostgreSQL) -> None:
    """Makes the zone say that `server`, by the host name `host`, keeps the orders of `environment`."""
    zone.set(f"{host}.{environment}", "A", [HOST])
    zone.set(f"_postgresql._tcp.orders.{environment}", "SRV", [f"0 1 {server.port} {host}.{environment}"])


def nameserver() -> Nameserver:
    """The authoritative server of the demo's zone, still empty."""
    return Nameserver(Zone(ORIGIN, ttl=TTL))


async def _start(ground: Ground, name: str, ending: ExitStack) -> PostgreSQL:
    server = await trio.to_thread.run_sync(PostgreSQL.created, ground, name)
    ending.callback(server.stop)
    await trio.to_thread.run_sync(server.start)
    await trio.to_thread.run_sync(_furnish, server)
    return server


def _furnish(server: PostgreSQL) -> None:
    """The application's role, database and table."""
    server.query("CREATE ROLE shop LOGIN")
    server.query("CREATE DATABASE shop OWNER shop")
    with server.connection(user="shop", dbname="shop") as connection:
        connection.execute("CREATE TABLE orders (number bigint PRIMARY KEY, taken timestamptz DEFAULT now())")
