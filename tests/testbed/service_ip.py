"""A service IP, as kube-proxy gives to clients of a Service: one address, and a changing server behind it.

Only new connections go to the new server: the kernel's connection tracking keeps each flow where it began.
"""

from __future__ import annotations

import subprocess

from tests.testbed.netns import SUBNET4, Host

ADDRESS = f"{SUBNET4}.200"
"""Nobody on the LAN has it."""


class ServiceIp:
    """A service IP for the programs on one host."""

    def __init__(self, client: Host) -> None:
        self._client = client
        self.ip = ADDRESS

    def point(self, server: Host) -> None:
        """New connections go to this server from now on."""
        rules = (
            "add table ip service\n"
            "add chain ip service leaving { type nat hook output priority -100; }\n"
            "flush chain ip service leaving\n"
            f"add rule ip service leaving ip daddr {self.ip} dnat to {server.ip}\n"
        )
        done = subprocess.run(
            self._client.command("nft", "-f", "-"), input=rules, capture_output=True, text=True, timeout=10
        )
        if done.returncode != 0:
            raise AssertionError(f"nft: {done.stderr.strip()}")
