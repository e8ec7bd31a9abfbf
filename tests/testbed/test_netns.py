"""Hosts of the tests reach each other, and the faults between them are the faults they are called."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.testbed.netns import Host, Lan, lan

PORT = 5432


@contextmanager
def listening(host: Host) -> Iterator[socket.socket]:
    """A listener on the host that accepts by its backlog alone."""

    def listen() -> socket.socket:
        return socket.create_server((host.ip, PORT))

    with host.call(listen) as listener:
        yield listener


def connect_from(host: Host, to: str, *, timeout: float = 2.0) -> Callable[[], None]:
    def connect() -> None:
        socket.create_connection((to, PORT), timeout=timeout).close()

    return lambda: host.call(connect)


def test_hosts_reach_each_other(four_hosts: Lan) -> None:
    app, database = four_hosts["app"], four_hosts["db-a"]
    with listening(database):
        connect_from(app, database.ip)()
    with pytest.raises(ConnectionRefusedError):
        connect_from(app, database.ip)()


def test_each_fault_shows_as_what_it_is(four_hosts: Lan) -> None:
    app, database = four_hosts["app"], four_hosts["db-a"]
    with listening(database):
        for silent in (partial(database.drop, PORT), database.unplug):
            silent()
            with pytest.raises(TimeoutError):
                connect_from(app, database.ip, timeout=0.2)()
            database.heal()
            connect_from(app, database.ip)()
        database.reject(PORT)
        with pytest.raises(OSError, match=os.strerror(errno.EHOSTUNREACH)):
            connect_from(app, database.ip)()
        database.heal()
        connect_from(app, database.ip)()


def test_a_cut_is_between_two_hosts_only(four_hosts: Lan) -> None:
    app, database, other = (four_hosts[name] for name in ("app", "db-a", "db-b"))
    with listening(database):
        four_hosts.part("app", "db-a")
        with pytest.raises(TimeoutError):
            connect_from(app, database.ip, timeout=0.2)()
        connect_from(other, database.ip)()
        four_hosts.mend()
        connect_from(app, database.ip)()


def test_programs_see_the_hosts_own_files(four_hosts: Lan, tmp_path: Path) -> None:
    app = four_hosts["app"]
    app.write_resolv_conf("nameserver 10.77.0.4\n")
    assert app.run("cat", "/etc/resolv.conf") == "nameserver 10.77.0.4\n"
    assert four_hosts["db-a"].ip in app.run("getent", "hosts", "db-a")
    with app.start(["sleep", "60"], tmp_path / "log") as process:
        assert str(process.pid) in app.run("ip", "netns", "pids", app.namespace).split()


def test_nothing_is_left_behind() -> None:
    with lan("one", "two") as made:
        names = [made.switch, *(host.namespace for host in made.hosts.values())]
        assert all(Path("/run/netns", name).exists() for name in names)
    assert not any(Path("/run/netns", name).exists() or Path("/etc/netns", name).exists() for name in names)


def test_no_thread_of_a_pool_goes_with_it_into_a_namespace_nor_stays_behind(four_hosts: Lan) -> None:
    async def place_of_a_worker() -> str:
        return await trio.to_thread.run_sync(os.readlink, "/proc/thread-self/ns/net")

    def there() -> str:
        return trio.run(place_of_a_worker)

    here = os.readlink("/proc/thread-self/ns/net")
    assert trio.run(place_of_a_worker) == here  # and goes on waiting for work
    assert four_hosts["app"].call(there) != here
    assert trio.run(place_of_a_worker) == here
