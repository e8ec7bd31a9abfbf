"""The life of the process and of its stages."""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events.event import Event


@dataclass(frozen=True, slots=True)
class Started(Event):
    version: str
    directory: str
    """Of the environment files."""


@dataclass(frozen=True, slots=True)
class Ready(Event):
    """Listening, and the environment is chosen."""

    seconds: float
    """Since the process started."""


@dataclass(frozen=True, slots=True)
class DrainStarted(Event):
    signal: str
    sessions: int


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    sessions_cut: int


@dataclass(frozen=True, slots=True)
class StageCrashed(Event):
    """A bug: a stage of one database ended with an exception and is started anew."""

    database: str
    stage: str
    error: str
