"""Where are we, and which environment is this?"""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events.event import Event
from dbambassador.values import Facts


@dataclass(frozen=True, slots=True)
class FactsGathered(Event):
    facts: Facts
    seconds: float
    asked_api: bool


@dataclass(frozen=True, slots=True)
class EnvironmentChosen(Event):
    environment: str
    kind: str
    directory: str
    """Of the environment files."""
    why: str


@dataclass(frozen=True, slots=True)
class SelectionAwaited(Event):
    """Undecided because something did not answer; tried again after `retry_in` seconds."""

    missing: tuple[str, ...]
    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class DriftNoticed(Event):
    """With the facts of today another environment would be chosen. The process stays where it is."""

    facts: tuple[str, ...]
    """Names of those that changed."""
    environment: str
    """The one that this process serves."""
    would_choose: str | None
    """None: no environment would be chosen. The same one: its endpoints would be others."""
    why: str


@dataclass(frozen=True, slots=True)
class DriftEnded(Event):
    """The facts lead to the environment that is served, again."""

    environment: str
