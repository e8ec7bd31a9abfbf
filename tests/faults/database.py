"""A database server on a host of its own, and what can be done to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from tests.testbed.freezing import freeze, thaw
from tests.testbed.netns import Host

USER = "shop"
"""The application's account: no superuser, so that limits and read-only modes hold for it."""
PASSWORD_OF_USER = "shop-password"
MARIADB_DATABASE = "app"
PROBE, PROBE_PASSWORD = "probe", "probe-password"
"""The account of checks with credentials."""


class Node(ABC):
    """One server. It ends with `stop`, or when this process does."""

    port: int
    """The same for all servers of one kind, each on its own host."""
    refusal: type[Exception]
    """What the driver raises where no session can be had."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        """As it tells clients by itself."""

    @property
    def address(self) -> str:
        """As the log of the ambassador writes it."""
        return f"{self.host.ip}:{self.port}"

    @property
    @abstractmethod
    def pid(self) -> int:
        """Of the running server's first process."""

    @abstractmethod
    def start_primary(self) -> None:
        """Starts as a primary that takes writes without waiting for anybody."""

    @abstractmethod
    def start_replicated(self) -> None:
        """Starts as a primary that acknowledges nothing that its replica does not have."""

    @abstractmethod
    def start_replica(self, primary: Node) -> None:
        """Starts as the replica of a running primary."""

    @abstractmethod
    def await_replica(self) -> None:
        """Waits until a replica follows, so that nothing acknowledged from now on can be lost."""

    @abstractmethod
    def return_as_replica(self, primary: Node) -> None:
        """Comes back, after a kill, as the replica of its successor."""

    @abstractmethod
    def promote(self) -> None:
        """Makes the replica a primary; returns when it takes writes, with all that it had received."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL: its host answers for it, with resets."""

    @abstractmethod
    def stop(self) -> None:
        """An orderly end; nothing happens where none runs."""

    @abstractmethod
    def connect_from(self, host: Host) -> AbstractContextManager[Any]:
        """A session of the application's account, straight from another host. Raises the driver's error."""

    @abstractmethod
    def rows(self) -> dict[tuple[str, int], str]:
        """What is written: (loop, number) to the name of the server that took it."""

    def freeze(self) -> None:
        """Stops all processes: the kernel accepts connections, and nobody answers."""
        freeze(self.pid)

    def thaw(self) -> None:
        thaw(self.pid)

    def fill(self, host: Host, ending: ExitStack) -> None:
        """Takes every connection that the server has left, until `ending`."""
        refused = 0
        while refused < REFUSALS:
            try:
                ending.enter_context(self.connect_from(host))
            except self.refusal:
                refused += 1


REFUSALS = 30
"""In a row for all: clients that come and go give a connection back now and then."""
