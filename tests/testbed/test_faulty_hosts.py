"""A long cable, a service IP and a frozen server are the faults they are called."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import IO

import pytest

from tests.testbed.cable import cable
from tests.testbed.freezing import freeze, thaw
from tests.testbed.netns import Host, Lan
from tests.testbed.service_ip import ServiceIp

PORT = 5432


def listening(host: Host) -> socket.socket:
    """A listener on the host that accepts by its backlog alone."""
    return host.call(lambda: socket.create_server((host.ip, PORT)))


def connected(host: Host, to: str, timeout: float = 5.0) -> socket.socket:
    return host.call(lambda: socket.create_connection((to, PORT), timeout=timeout))


def test_a_long_cable_delays_and_loses(four_hosts: Lan) -> None:
    app, database = four_hosts["app"], four_hosts["db-a"]
    with listening(database), cable(app) as stretched:
        connected(app, database.ip).close()
        stretched.stretch(delay=0.1)
        started = time.monotonic()
        connected(app, database.ip).close()
        assert 0.2 <= time.monotonic() - started < 1.0
        stretched.stretch(loss=1.0)
        with pytest.raises(TimeoutError):
            connected(app, database.ip, timeout=0.3)
        stretched.stretch()
        connected(app, database.ip).close()


def test_one_direction_may_be_lost_and_a_link_switched_off(four_hosts: Lan) -> None:
    app, a, b = (four_hosts[name] for name in ("app", "db-a", "db-b"))
    with listening(a), listening(b):
        app.ignore(a.ip)
        with pytest.raises(TimeoutError):
            connected(app, a.ip, timeout=0.3)
        connected(app, b.ip).close()
        app.heal()
        app.link_down()
        with pytest.raises(OSError, match="unreachable"):
            connected(app, a.ip)
        app.heal()
        connected(app, a.ip).close()


def test_behind_a_service_ip_old_flows_stay_where_they_are(four_hosts: Lan) -> None:
    app, a, b = (four_hosts[name] for name in ("app", "db-a", "db-b"))
    service = ServiceIp(app)
    with ExitStack() as ending:
        at_a, at_b = (ending.enter_context(listening(host)) for host in (a, b))
        service.point(a)
        before = ending.enter_context(connected(app, service.ip))
        server_of_before = ending.enter_context(at_a.accept()[0])
        service.point(b)
        ending.enter_context(connected(app, service.ip))
        ending.enter_context(at_b.accept()[0])
        before.sendall(b"still here")
        assert server_of_before.recv(100) == b"still here"


FAMILY = """
import subprocess, sys
echo = "import sys; [print('here', flush=True) for line in sys.stdin]"
subprocess.run([sys.executable, "-c", echo])
"""


def test_a_frozen_family_says_nothing_until_it_is_thawed() -> None:
    family = subprocess.Popen([sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert family.stdin is not None
    assert family.stdout is not None
    try:
        _say_something(family.stdin)
        assert family.stdout.readline() == b"here\n"
        freeze(family.pid)
        _say_something(family.stdin)
        assert not select.select([family.stdout], [], [], 0.2)[0]
        thaw(family.pid)
        assert family.stdout.readline() == b"here\n"
    finally:
        thaw(family.pid)
        family.communicate(timeout=10)


def _say_something(to: IO[bytes]) -> None:
    to.write(b"\n")
    to.flush()
