"""Other hosts: network namespaces joined by a bridge, with faults between them. Needs root.

Each host has one address on one LAN, a resolv.conf and a hosts file of its own. Nothing here touches the
machine's own network, and everything is gone at the end.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from trio._core._thread_cache import THREAD_CACHE

from dbambassador.demo.processes import Process
from tests.testbed.requirements import find, missing, require, require_root

T = TypeVar("T")

SUBNET4, SUBNET6 = "10.77.0", "fd77::"
"""Private (RFC 1918, RFC 4193). Every LAN has the same: it lies in namespaces of its own."""
SUBNET4_LENGTH = 24

BRIDGE = "br0"
INTERFACE = "eth0"

CLONE_NEWNET = 0x40000000
"""setns(2)."""

_numbers = itertools.count(1)


@dataclass
class Host:
    """One namespace."""

    name: str
    namespace: str
    ip: str
    ip6: str
    lan: Lan

    def command(self, *words: str | Path) -> list[str]:
        """The command line that runs `words` on this host, with its resolv.conf and hosts file."""
        return ["ip", "netns", "exec", self.namespace, *map(str, words)]

    def run(self, *words: str | Path, timeout: float = 30.0) -> str:
        """Runs a program on this host and gives its output. Raises AssertionError with its errors."""
        return _run(*self.command(*words), timeout=timeout)

    def start(
        self,
        words: Sequence[str | Path],
        log: Path,
        *,
        environ: Mapping[str, str] | None = None,
        end_signal: signal.Signals = signal.SIGTERM,
    ) -> Process:
        """Starts a program on this host, as root. The process is the program itself, as `ip` execs it."""
        return Process(self.command(*words), log, environ=environ, end_signal=end_signal)

    def call(self, function: Callable[[], T]) -> T:
        """Runs `function` in a thread of this process whose network is this host's.

        Sockets that it opens stay on this host, wherever they are used later. Names are resolved by the
        files of the machine, not the host's.
        """
        return call_in(self.namespace, function)

    def write_resolv_conf(self, text: str) -> None:
        """For programs started from now on."""
        (self._etc / "resolv.conf").write_text(text)

    def write_hosts(self, entries: Mapping[str, str]) -> None:
        """Names to addresses, beside localhost; for programs started from now on."""
        lines = ["127.0.0.1 localhost", "::1 localhost", *(f"{ip} {name}" for name, ip in entries.items())]
        (self._etc / "hosts").write_text("\n".join(lines) + "\n")

    def write_pam_service(self, name: str, password: str) -> None:
        """A PAM service that knows this one password, whoever asks; for programs started from now on."""
        directory = self._etc / "pam.d"
        directory.mkdir()
        judge = directory / "judge"
        judge.write_text(f"#!/bin/sh\n[ \"$(tr -d '\\0')\" = '{password}' ]\n")
        judge.chmod(0o755)
        lines = (
            "auth required pam_exec.so expose_authtok quiet /etc/pam.d/judge",
            "account required pam_permit.so",
        )
        (directory / name).write_text("\n".join(lines) + "\n")

    # Faults. `heal` ends all of them.

    def unplug(self) -> None:
        """Cuts the host off: silence both ways, and no error for its peers."""
        _run("ip", "-n", self.lan.switch, "link", "set", self.port_of_switch, "down")

    def drop(self, port: int) -> None:
        """Packets to this TCP port vanish: a connect times out, a session hangs."""
        self._filter(f"tcp dport {port} drop")

    def reject(self, port: int) -> None:
        """Packets to this TCP port are answered by ICMP "administratively prohibited": EHOSTUNREACH."""
        self._filter(f"tcp dport {port} reject with icmpx type admin-prohibited")

    def lose(self, percent: int) -> None:
        """So many of a hundred packets that arrive are lost, at random."""
        self._filter(f"numgen random mod 100 < {percent} drop")

    def ignore(self, ip: str) -> None:
        """Packets from this address vanish on arrival: a loss in one direction, for this host alone."""
        self._filter(f"ip saddr {ip} drop")

    def link_down(self) -> None:
        """This host switches its own interface off, and loses its IPv6 address: ENETUNREACH here."""
        _run("ip", "-n", self.namespace, "link", "set", INTERFACE, "down")

    def heal(self) -> None:
        _run("ip", "-n", self.lan.switch, "link", "set", self.port_of_switch, "up")
        _run("ip", "-n", self.namespace, "link", "set", INTERFACE, "up")
        subprocess.run(self.command("nft", "delete", "table", "inet", "faults"), capture_output=True)

    def _filter(self, rule: str) -> None:
        rules = (
            "add table inet faults\n"
            "add chain inet faults arriving { type filter hook input priority 0; policy accept; }\n"
            f"add rule inet faults arriving {rule}\n"
        )
        done = subprocess.run(self.command("nft", "-f", "-"), input=rules, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"nft: {done.stderr.strip()}")

    @property
    def port_of_switch(self) -> str:
        """The bridge's end of the cable."""
        return f"to-{self.name}"

    @property
    def _etc(self) -> Path:
        """Mounted over /etc by `ip netns exec`: ip-netns(8)."""
        return Path("/etc/netns") / self.namespace


@dataclass
class Lan:
    """Hosts on one bridge."""

    switch: str
    """The namespace that the bridge is in."""
    hosts: dict[str, Host] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def part(self, one: str, other: str) -> None:
        """Cuts between just these two; both still reach all others. `mend` ends it."""
        for name in (one, other):
            self._isolated(name, "on")

    def mend(self) -> None:
        for name in self.hosts:
            self._isolated(name, "off")

    def _isolated(self, name: str, how: str) -> None:
        _run("bridge", "-n", self.switch, "link", "set", "dev", f"to-{name}", "isolated", how)


@contextmanager
def lan(*names: str) -> Iterator[Lan]:
    """Hosts of these names (at most 12 characters), each knowing the others by its hosts file.

    Ends the test where the machine cannot have them. Processes on the hosts are the caller's to end.
    """
    require_root()
    require("ip", package="iproute2")
    require("nft", package="nftables")
    prefix = f"dbamb-{os.getpid()}-{next(_numbers)}"
    made = Lan(f"{prefix}-switch")
    try:
        try:
            _run("ip", "netns", "add", made.switch)
        except AssertionError as error:
            missing(f"network namespaces cannot be made here: {error}")
        _run("ip", "-n", made.switch, "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "-n", made.switch, "link", "set", BRIDGE, "up")
        for number, name in enumerate(names, start=1):
            made.hosts[name] = _plugged_in(made, name, f"{prefix}-{name}", number)
        for host in made.hosts.values():
            host.write_hosts({other.name: other.ip for other in made.hosts.values()})
            host.write_resolv_conf("")
        yield made
    finally:
        for namespace in (*(host.namespace for host in made.hosts.values()), made.switch):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)
            shutil.rmtree(Path("/etc/netns") / namespace, ignore_errors=True)


def call_in(namespace: str, function: Callable[[], T]) -> T:
    """Runs `function` in a thread of this process that is in this namespace, and gives what it gives."""
    outcome: list[T | BaseException] = []

    def entered() -> None:
        try:
            with open(f"/run/netns/{namespace}") as entrance:
                _setns(entrance.fileno())
            THREAD_CACHE._idle_workers.clear()  # trio's pool has threads of the place before
            outcome.append(function())
        except BaseException as error:  # handed to the caller
            outcome.append(error)
        finally:
            # A thread is born in its maker's namespace: the pool must not lend one of this to others either.
            THREAD_CACHE._idle_workers.clear()

    thread = threading.Thread(target=entered, name=f"in {namespace}")
    thread.start()
    thread.join()
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return result


def _plugged_in(made: Lan, name: str, namespace: str, number: int) -> Host:
    host = Host(name, namespace, f"{SUBNET4}.{number}", f"{SUBNET6}{number}", made)
    _run("ip", "netns", "add", namespace)
    made.hosts[name] = host
    (Path("/etc/netns") / namespace).mkdir(parents=True, exist_ok=True)
    ends = ("type", "veth", "peer", "name", INTERFACE, "netns", namespace)
    _run("ip", "-n", made.switch, "link", "add", f"to-{name}", *ends)
    _run("ip", "-n", made.switch, "link", "set", f"to-{name}", "master", BRIDGE, "up")
    _run("ip", "-n", namespace, "link", "set", "lo", "up")
    _run("ip", "-n", namespace, "addr", "add", f"{host.ip}/{SUBNET4_LENGTH}", "dev", INTERFACE)
    # Without duplicate address detection, which would keep the address unusable for a second (RFC 4862, 5.4).
    _run("ip", "-n", namespace, "addr", "add", f"{host.ip6}/64", "dev", INTERFACE, "nodad")
    _run("ip", "-n", namespace, "link", "set", INTERFACE, "up")
    return host


def _run(*words: str, timeout: float = 30.0) -> str:
    program = find(words[0]) or words[0]
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _setns(descriptor: int) -> None:
    # os.setns is there from Python 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@pytest.fixture
def four_hosts() -> Iterator[Lan]:
    """`app`, `db-a`, `db-b` and `dns`, for one test (about 0.2 s)."""
    with lan("app", "db-a", "db-b", "dns") as made:
        yield made
