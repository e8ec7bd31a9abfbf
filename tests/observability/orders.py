"""Orders to an ambassador, for tests in which nobody gives them."""

from __future__ import annotations

from dbambassador.events import Reloaded


async def never(trigger: str) -> Reloaded:
    """A reload that no test is to ask for."""
    raise AssertionError(trigger)
