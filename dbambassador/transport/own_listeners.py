"""What this process listens on, which it must never dial.

Each connection to oneself opens another one: a database's name that leads to our own listener would use up
the host. On Linux an unspecified address (0.0.0.0, ::) leads to this host as well.
"""

from __future__ import annotations

import ipaddress
import socket

from dbambassador.values import Address

_UNSPECIFIED = {4: ipaddress.IPv4Address("0.0.0.0"), 6: ipaddress.IPv6Address("::")}

_listening: frozenset[Address] = frozenset()
"""Replaced, never changed: the relay engine's thread reads it as well."""


def note(address: Address) -> None:
    """This process listens there from now on."""
    global _listening
    _listening |= {address}


def forget(address: Address) -> None:
    """It does no longer."""
    global _listening
    _listening -= {address}


def is_own(address: Address) -> bool:
    """Whether dialling this address would reach one of this process's own listeners."""
    for own in _listening:
        if own.port != address.port:
            continue
        target = ipaddress.ip_address(address.host)
        unspecified = _UNSPECIFIED[target.version]
        listening = ipaddress.ip_address(own.host)
        if target in (listening, unspecified) or (listening == unspecified and _is_local(address.host)):
            return True
    return False


def _is_local(host: str) -> bool:
    """Whether this host has the address: only then can a socket be bound to it."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((host, 0))
    except OSError:
        return False
    return True
