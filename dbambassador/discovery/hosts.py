"""The hosts file (hosts(5)). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType

Hosts = Mapping[str, tuple[str, ...]]
"""Lower-case names without a trailing dot, each with its addresses in the order of the file."""


def parse_hosts(text: str) -> Hosts:
    """The names of a hosts file; every line that names a host adds its address, as glibc's `files` does.

    A line that is not an IP address and at least one name is skipped, as every resolver does: one typing
    error must not take the other names away.
    """
    addresses: dict[str, list[str]] = {}
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) < 2:
            continue
        try:
            address = str(ip_address(fields[0]))
        except ValueError:
            continue
        for name in fields[1:]:
            known = addresses.setdefault(canonical(name), [])
            if address not in known:
                known.append(address)
    return MappingProxyType({name: tuple(known) for name, known in addresses.items()})


def canonical(name: str) -> str:
    """The key of a name in `Hosts`: case does not matter, nor does the dot that marks a full name."""
    return name.rstrip(".").lower()
