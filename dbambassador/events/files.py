"""Files that are read again while databases are served."""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events.event import Event


@dataclass(frozen=True, slots=True)
class CatalogueReloaded(Event):
    """The environment files were read anew, and what they say is done."""

    trigger: str
    changes: tuple[str, ...]
    """In words, one for each database that does not stay as it was."""


@dataclass(frozen=True, slots=True)
class ReloadRefused(Event):
    """They were read anew, and nothing of what they say is done."""

    trigger: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReloadUntimely(Event):
    """They were not read: nothing is served yet, or soon nothing will be."""

    trigger: str
    reason: str


Reloaded = CatalogueReloaded | ReloadRefused | ReloadUntimely


@dataclass(frozen=True, slots=True)
class CertificatesReloaded(Event):
    """The files of a database's TLS have changed, and new sessions go by them."""

    database: str


@dataclass(frozen=True, slots=True)
class CertificatesUnusable(Event):
    """They have changed, and cannot be used: what they were before is still in use."""

    database: str
    reason: str
