"""A row of the matrix: what stands there, what breaks, and what is expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.setting import Setting
from tests.faults.stage import Stage

KERNEL = 1.0
"""Seconds to notice what the kernel tells: a reset, a refusal, an unreachable host."""
SILENCE = 3.0
"""Seconds to notice a server that says nothing while clients talk to it."""
FOLLOW = 0.5
"""Seconds until clients work again, once a server that takes them can be found."""
UNDISTURBED = 0.5
"""Seconds without an answer that are nobody's fault: two cores run everything here, several servers start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """The goals of a row; None: no goal. No row may be lost, or written to what was known to be no target."""

    detect: float | None = None
    """Seconds from the fault until the ambassador says that the address is not usable any more."""
    cut_tells: bool = False
    """The end of the kept session says so as well: nobody else can have ended it."""
    follow: float | None = None
    """Seconds from the moment a server can be used and found until all loops write to it."""
    failed: int | None = None
    """Attempts that fail."""
    gap: float | None = None
    """Seconds in which one loop gets no good answer."""
    ended: float | None = None
    """Seconds from that moment until the sessions are ended on which nothing comes or goes."""
    bystander: float | None = UNDISTURBED
    """The same for the bystander. None: the fault meets it too."""


UNSEEN = Expect(failed=0, gap=UNDISTURBED)
"""A fault that clients do not notice."""

Act = Callable[[Stage], None]


def in_turn(*acts: Act) -> Act:
    """One act that is several; without any, nothing happens."""

    def do(stage: Stage) -> None:
        for act in acts:
            act(stage)

    return do


DEFAULT, NOTHING = Setting(), in_turn()


def look_on(seconds: float) -> Act:
    """The clients go on for a while."""
    return lambda stage: stage.look_on(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row."""

    name: str
    """For the command line."""
    fault: str
    """For the table."""
    expect: Expect
    setting: Setting = DEFAULT
    prepare: Act = NOTHING
    """What holds before the fault and is none."""
    inject: Act = NOTHING
    lasts: float = 0.0
    """Seconds that the fault goes on before `recover`, if it is not one to be detected."""
    recover: Act | None = None
    """Makes a server usable and known, and returns when it is. None: the fault lasts until the end."""
    survivor: str = "b"
    """The server that has the rows afterwards."""
    aftermath: Act | None = None
    """What happens once the clients have followed."""
    smoke: bool = False
    """A part of `make test`."""
