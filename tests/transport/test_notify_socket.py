"""The protocol of sd_notify(3), to a real datagram socket."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.transport.notify_socket import MOST_UNSENT, NotifySocket, ServiceManager, service_manager


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": ""}, None),
        ({"NOTIFY_SOCKET": "relative"}, None),
        ({"NOTIFY_SOCKET": "@"}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, None),
        ({"WATCHDOG_USEC": "1000000"}, None),
        ({"NOTIFY_SOCKET": "/run/notify"}, ServiceManager("/run/notify")),
        ({"NOTIFY_SOCKET": "@hidden"}, ServiceManager("\0hidden")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1500000"}, ServiceManager("/n", 1.5)),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "2", "WATCHDOG_PID": "7"}, ServiceManager("/n", 2e-6)),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "2", "WATCHDOG_PID": "8"}, ServiceManager("/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, ServiceManager("/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "-1"}, ServiceManager("/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, ServiceManager("/n")),
    ],
)
def test_what_the_variables_say_is_for_this_process_alone(
    variables: dict[str, str], found: ServiceManager | None
) -> None:
    environ = {**variables, "PATH": "/bin"}
    assert service_manager(environ, 7) == found
    assert environ == {"PATH": "/bin"}


@given(st.dictionaries(st.sampled_from(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]), st.text()))
def test_no_variable_ends_the_start(variables: dict[str, str]) -> None:
    service_manager(variables, 7)


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_come_whole(tmp_path: Path, abstract: bool) -> None:
    path = f"\0{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        notify = NotifySocket(path)
        assert notify.send("READY=1", "STATUS=to 10.0.0.5 – ü")
        assert manager.recv(4096) == "READY=1\nSTATUS=to 10.0.0.5 – ü".encode()
        notify.close()
        notify.send("STOPPING=1")


def test_what_a_full_socket_does_not_take_comes_later_and_in_order(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.setblocking(False)
        notify = NotifySocket(path)
        sent = 0
        while notify.send(f"STATUS={sent}"):
            sent += 1
            assert sent < 100_000
        got: list[bytes] = []
        while len(got) <= sent:
            try:
                got.append(manager.recv(4096))
            except BlockingIOError:
                notify.flush()
        assert got == [b"STATUS=%d" % number for number in range(sent + 1)]
        notify.close()


def test_nobody_there_is_no_trouble(tmp_path: Path) -> None:
    notify = NotifySocket(str(tmp_path / "nobody"))
    for _ in range(2 * MOST_UNSENT):
        assert notify.send("WATCHDOG=1")
    notify.close()
