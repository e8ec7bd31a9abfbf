"""Builds stages. Everything is made anew for each row, and is gone at its end."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dbambassador.demo.postgresql import Ground
from tests.end_to_end.setting import CHOSEN, environments, mysql_database, postgresql_database, until
from tests.faults.attempts import Diary, Loop
from tests.faults.clients import Task
from tests.faults.database import PROBE, PROBE_PASSWORD, Node
from tests.faults.mariadb import MariadbNode
from tests.faults.postgresql import PostgresqlNode, PostgresqlTemplate
from tests.faults.setting import Setting
from tests.faults.stage import CATALOG, ORDERS, Stage
from tests.faults.watched import Watched
from tests.faults.zone import BYSTANDER, NAME, Nameserver, random_answers, zone
from tests.testbed.cable import cable
from tests.testbed.netns import Lan, lan
from tests.testbed.processes import environ
from tests.testbed.service_ip import ServiceIp

CATALOG_PORT = 6432
"""On localhost; the database under fault has its usual port there."""


@dataclass(frozen=True, slots=True)
class Stock:
    """What is made once for all stages."""

    postgresql: PostgresqlTemplate
    directory: Path
    """Open to other users; the servers' data lies in it."""

    @classmethod
    def prepared(cls, ground: Ground, directory: Path) -> Stock:
        """In a new directory below this one."""
        own = directory / "faults"
        template = own / "postgresql"
        template.mkdir(parents=True)
        return cls(PostgresqlTemplate(ground, template), own)


@contextmanager
def stage(setting: Setting, stock: Stock, directory: Path) -> Iterator[Stage]:
    """A stage whose clients are about to begin. `directory` gets the environment, the log and the diary.

    Raises NotYet where the ambassador refuses the setting.
    """
    with ExitStack() as ending:
        hosts = ending.enter_context(lan("app", "db-a", "db-b", "db-c", "dns", "dns-2"))
        app = hosts["app"]
        laid = ending.enter_context(cable(app)) if setting.long_cable else None
        service = ServiceIp(app)
        nodes = ending.enter_context(_servers(setting, stock, hosts))
        nameservers = [ending.enter_context(each) for each in _nameservers(setting, hosts, nodes)]
        where = NAME
        if setting.service_ip:
            service.point(nodes["a"].host)
            where = service.ip
        directory.mkdir()
        entries = _databases(setting, f"{where}:{nodes['a'].port}", directory)
        flags = [word for each in nameservers for word in ("--nameserver", each.address)]
        ambassador = Watched(
            app, ("--environments", environments(directory, **entries), *CHOSEN, *flags), directory / "log"
        )
        ending.callback(ambassador.end)
        until(lambda: _serves(ambassador, ORDERS) and _serves(ambassador, CATALOG), "it knows its addresses")
        old = str(ambassador.status(ORDERS)["choice"]["address"])
        diary = ending.enter_context(closing(Diary(directory / "diary")))
        yield Stage(
            lan=hosts,
            nodes=nodes,
            nameservers=nameservers,
            service=service,
            laid=laid,
            ambassador=ambassador,
            diary=diary,
            loops=(*setting.loops, Loop.BYSTANDER),
            old=old,
            ending=ending.enter_context(ExitStack()),
        )


@contextmanager
def clients(setting: Setting, here: Stage, directory: Path) -> Iterator[None]:
    """The loops of this setting, and the bystander's, work until the end of the block."""
    port = here.a.port
    tasks = [Task(loop, setting.engine, port, setting.writes) for loop in setting.loops]
    tasks.append(Task(Loop.BYSTANDER, "postgresql", CATALOG_PORT))
    plan = json.dumps([{**asdict(task), "loop": task.loop.value} for task in tasks])
    words = [sys.executable, "-m", "tests.faults.clients", str(directory / "diary"), plan]
    variables = {**environ(), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = here.app.start(words, directory / "clients.log", environ=variables)
    try:
        yield
    finally:
        code = process.end()
    if code != 0:
        raise AssertionError(f"the clients ended with {code}:\n{process.tail()}")


@contextmanager
def _servers(setting: Setting, stock: Stock, hosts: Lan) -> Iterator[dict[str, Node]]:
    with ExitStack() as ending:
        folder = Path(tempfile.mkdtemp(dir=stock.directory))
        ending.callback(shutil.rmtree, folder)
        folder.chmod(0o755)

        def made(name: str, host: str, engine: str) -> Node:
            node: Node
            if engine == "mariadb":
                node = MariadbNode(stock.directory, hosts[host], name)
            else:
                node = PostgresqlNode(stock.postgresql, folder, hosts[host], name)
            ending.callback(node.stop)
            return node

        bystander = made("bystander", "db-c", "postgresql")
        a, b = made("a", "db-a", setting.engine), made("b", "db-b", setting.engine)
        with ThreadPoolExecutor() as threads:
            started = threads.submit(bystander.start_primary)
            a.start_replicated()
            b.start_replica(a)
            a.await_replica()
            started.result()
        yield {"a": a, "b": b, "bystander": bystander}


def _nameservers(
    setting: Setting, hosts: Lan, nodes: Mapping[str, Node]
) -> list[AbstractContextManager[Nameserver]]:
    bystander = nodes["bystander"].host.ip
    addresses = [nodes[name].host.ip for name in setting.named]
    if setting.random:
        return [random_answers(hosts["dns"], addresses, bystander)]
    found: list[AbstractContextManager[Nameserver]] = [
        zone(hosts["dns"], addresses, bystander, ttl=setting.ttl, rotate=setting.rotate)
    ]
    if setting.second_opinion:
        others = [nodes[name].host.ip for name in setting.second_opinion]
        found.append(zone(hosts["dns-2"], others, bystander, ttl=setting.ttl, rotate=setting.rotate))
    return found


def _databases(setting: Setting, endpoint: str, directory: Path) -> dict[str, dict[str, Any]]:
    more = dict(setting.database)
    if setting.login is not None:
        secret = directory / "password"
        secret.write_text(PROBE_PASSWORD)
        more["check"] = {"user": PROBE, "password_file": str(secret), **setting.login}
    port = int(endpoint.rpartition(":")[2])
    if setting.engine == "mariadb":
        orders = mysql_database(endpoint, port, **more)
    else:
        role = "read-write" if setting.writes else "any"
        orders = postgresql_database(endpoint, port, **{"target_session_attrs": role, **more})
    catalog = postgresql_database(f"{BYSTANDER}:5432", CATALOG_PORT, target_session_attrs="read-write")
    return {ORDERS: orders, CATALOG: catalog}


def _serves(ambassador: Watched, database: str) -> bool:
    return ambassador.status(database)["choice"]["address"] is not None
