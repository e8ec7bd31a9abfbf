"""What an event is, and how it reaches those that fold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""


Publish = Callable[[Event], None]


class Events:
    """Hands every event to every fold, in the order of subscription."""

    def __init__(self) -> None:
        self._folds: list[Publish] = []

    def subscribe(self, fold: Publish) -> None:
        self._folds.append(fold)

    def publish(self, event: Event) -> None:
        for fold in self._folds:
            fold(event)
