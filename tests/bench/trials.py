"""What a comparison is made of: trials for each way, in scenes that have a server and the ways to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dbambassador.demo.postgresql import Ground
from tests.bench.figures import REFERENCE, Quantity
from tests.bench.relay_ways import NGINX, PGBOUNCER, SOCAT, Way, installed


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure. More rounds do more for a ratio than longer ones: the machine's speed drifts."""

    rounds: int
    seconds: int
    """Of each run of a load generator; 2 at least, as the CPU time of the first is not counted."""
    rated_seconds: int
    """Of a run at a fixed rate; its first second is not counted."""
    megabytes: int
    answers: int
    """New connections of a run."""
    requests: int
    """Of redis-benchmark, without pipelining."""
    peers: tuple[str, ...]


FULL = Effort(5, 2, 4, 256, 400, 40_000, (REFERENCE, NGINX, PGBOUNCER, SOCAT))
QUICK = Effort(3, 2, 3, 128, 200, 20_000, (REFERENCE,))


@dataclass(frozen=True, slots=True)
class Stage:
    """What scenes are played on."""

    ground: Ground
    directory: Path
    effort: Effort

    def peers(self, protocol: str, *without: str) -> list[str]:
        """The relays for a protocol, ours not among them, and not those of these names."""
        wanted = set(self.effort.peers).difference(without)
        return [name for name in installed(protocol) if name in wanted]


@dataclass(frozen=True, slots=True)
class Trial:
    """One run, which gives several quantities; None for one that this way does not have."""

    group: str
    case: str
    quantities: tuple[Quantity, ...]
    run: Callable[[Way], Sequence[float | None]]
    without: tuple[str, ...] = ()
    """Ways that are left out."""
    rounds: int | None = None
    """Other than usual."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Ways, and trials for them."""

    ways: Sequence[Way]
    trials: Sequence[Trial]


@dataclass(frozen=True, slots=True)
class Act:
    """A scene that can be opened: yields None, having said why, where this machine cannot play it."""

    measures: tuple[str, ...]
    """The names by which `--only` asks for parts of it."""
    open: Callable[[Stage, Sequence[str]], AbstractContextManager[Scene | None]]
