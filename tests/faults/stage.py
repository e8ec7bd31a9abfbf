"""Hosts, servers, names, one ambassador and its clients: all that a row is played on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from tests.end_to_end.setting import until
from tests.faults import story
from tests.faults.attempts import ENDS, Diary, Loop
from tests.faults.database import Node
from tests.faults.watched import Watched
from tests.faults.zone import Nameserver, Zone
from tests.testbed.cable import Cable
from tests.testbed.netns import Host, Lan
from tests.testbed.service_ip import ServiceIp

ORDERS, CATALOG = "orders", "catalog"
"""The database under fault, and the bystander."""

WARM = 15
"""Good attempts of each loop before anything breaks."""


@dataclass(kw_only=True)
class Stage:
    """Everything is up and the clients work. What a scenario does, it does with these."""

    lan: Lan
    nodes: Mapping[str, Node]
    """`a`, `b` and `bystander`."""
    nameservers: list[Nameserver]
    service: ServiceIp
    laid: Cable | None
    ambassador: Watched
    diary: Diary
    loops: tuple[Loop, ...]
    old: str
    """The address that has the sessions when the fault comes, as the log writes it."""
    ending: ExitStack
    """For what a scenario opens."""
    findable_at: float = 0.0
    """When the program may be expected to know the latest change of a name."""

    @property
    def app(self) -> Host:
        return self.lan["app"]

    @property
    def a(self) -> Node:
        return self.nodes["a"]

    @property
    def b(self) -> Node:
        return self.nodes["b"]

    @property
    def zone(self) -> Zone:
        """The zone of the first nameserver."""
        found = self.nameservers[0]
        assert isinstance(found, Zone)
        return found

    @property
    def cable(self) -> Cable:
        """To the application's host, where the setting has one."""
        assert self.laid is not None
        return self.laid

    def name(self, *nodes: str) -> None:
        """DNS names these servers from now on.

        Who works with the old answer may do so until that expires; without a usable address the program asks
        past all caches.
        """
        status = self.ambassador.status(ORDERS)
        served = status["choice"]["address"] is not None
        self.zone.name(*(self.nodes[node].host.ip for node in nodes))
        expires_in = status["targets"]["ttl_seconds"] if served else 0.0
        self.findable_at = time.time() + (expires_in or 0.0)

    def move(self) -> None:
        """What an operator does: the replica becomes the primary, and DNS names it."""
        self.b.promote()
        self.name("b")

    def look_on(self, seconds: float) -> None:
        """Lets the clients go on for a while."""
        time.sleep(seconds)

    def warm_up(self) -> None:
        """Waits until every loop works."""
        working = [loop for loop in self.loops if loop not in ENDS]
        lasting = sum(loop in ENDS or loop is Loop.KEPT for loop in self.loops)

        def works() -> bool:
            attempts = self.diary.attempts()
            good = [sum(each.loop is loop and each.good for each in attempts) for loop in working]
            return min(good) >= WARM and self.ambassador.status(ORDERS)["sessions"] >= lasting

        until(works, "all loops get good answers", patience=20.0)

    def await_notice(self, since: float, patience: float) -> None:
        """Waits until the ambassador told of the fault, for so long at most."""
        deadline = time.time() + patience
        while time.time() < deadline:
            if story.first_notice(self.ambassador.events(), ORDERS, self.old, since) is not None:
                return
            time.sleep(0.01)
