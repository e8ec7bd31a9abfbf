"""What a stage is built of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.attempts import Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The parts of one stage."""

    engine: str = "postgresql"
    """`postgresql` or `mariadb`: a primary `a` and its replica `b`."""
    named: tuple[str, ...] = ("a",)
    """The servers that DNS names at first."""
    ttl: int = 1
    rotate: bool = False
    """The nameserver gives several addresses in another order each time."""
    random: bool = False
    """The nameserver gives one of the addresses at random, and nothing can be changed in it."""
    second_opinion: tuple[str, ...] = ()
    """The servers that a second nameserver names; empty: there is none."""
    service_ip: bool = False
    """The name is that of a service IP, behind which `a` is."""
    long_cable: bool = False
    """The application's host is connected by a cable that can be stretched."""
    loops: tuple[Loop, ...] = (Loop.KEPT, Loop.FRESH)
    writes: bool = True
    """The clients write rows; otherwise they read, and any server will do."""
    database: Mapping[str, Any] = field(default_factory=dict)
    """More of its entry in the environment file."""
    login: Mapping[str, Any] | None = None
    """Its checks have credentials, and these settings."""
