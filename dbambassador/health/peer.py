"""Whom a check speaks with, and as whom."""

from __future__ import annotations

from dataclasses import dataclass, field

from dbambassador.health.refused_tls import RefusedTls
from dbambassador.transport.tls_files import Encryption
from dbambassador.values import Address

PROBE_USER = "dbambassador_probe"
"""A user that need not exist, and never an application's: its failed logins may be counted."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server, and how TLS is spoken with it."""

    address: Address
    name: str
    """The host's, as its certificate is to have it."""
    encryption: Encryption | None = None
    """None: a check without a login speaks none."""
    plain: bool = False
    """No check speaks TLS, even where the server has it."""
    refused: RefusedTls = field(default_factory=RefusedTls)
