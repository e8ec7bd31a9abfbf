"""Small closed values that the stages hand to each other. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from types import MappingProxyType


class State(Enum):
    """What is known of a fact."""

    PRESENT = "present"
    ABSENT = "absent"
    """We looked, and it is not there."""
    UNKNOWN = "unknown"
    """We could not look, or two strong sources disagree."""


class Confidence(IntEnum):
    """How far a source is trusted; a higher one overrules a lower one."""

    HINT = 1
    STRONG = 2
    EXPLICIT = 3


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing known, or known to be unknown, about where we run."""

    name: str
    """An OpenTelemetry resource attribute, or our own `dbambassador.…`."""
    state: State
    value: str = ""
    """Meaningful only when present; a present value is never empty."""
    confidence: Confidence = Confidence.STRONG
    source: str = ""
    """Where it was read, as a person would say it: a file, a variable, a request."""
    reason: str = ""
    """Why it is unknown, and what would make it known."""
    retryable: bool = False
    """Unknown because something did not *answer* (a timeout), rather than because it refused."""
    several: tuple[str, ...] = ()
    """All values of a fact that has more than one, sorted; `value` is then all of them as one text, which is
    for reading and equals no single one."""

    @property
    def values(self) -> tuple[str, ...]:
        """What conditions look at: none unless present, and nearly always one."""
        if not self.present:
            return ()
        return self.several or (self.value,)

    @property
    def present(self) -> bool:
        return self.state is State.PRESENT

    @property
    def unknown(self) -> bool:
        return self.state is State.UNKNOWN


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that reflection found. Every name has a fact: one that no source speaks of is absent.

    `families` speak for all names with a prefix (`k8s.node.label.`): "looked, these are all there are" or
    "could not look". The longest prefix wins; an exact fact beats every family.
    """

    exact: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    families: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, name: str) -> Fact:
        if name in self.exact:
            return self.exact[name]
        prefixes = [prefix for prefix in self.families if name.startswith(prefix)]
        if prefixes:
            family = self.families[max(prefixes, key=len)]
            return replace(family, name=name)
        return Fact(name, State.ABSENT, source="no source gives it")

    def __iter__(self) -> Iterator[Fact]:
        """The exact facts, by name."""
        return iter(self.exact[name] for name in sorted(self.exact))

    @classmethod
    def of(cls, facts: Iterable[Fact], families: Iterable[Fact] = ()) -> Facts:
        """Facts from single ones; a family is a fact whose name is its prefix."""
        return cls(
            MappingProxyType({fact.name: fact for fact in facts}),
            MappingProxyType({fact.name: fact for fact in families}),
        )


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """An IP address and TCP port, as dialled."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PeerProcess:
    """Who connected to a unix socket, at that moment (unix(7), SO_PEERCRED)."""

    pid: int
    """0: it is in no process namespace of ours, as in another container."""
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Target:
    """An address that a database's endpoint leads to."""

    address: Address
    name: str
    """The host name as configured (after interpolation and SRV), without the trailing dot."""
    priority: int = 0
    """As in SRV (RFC 2782): a lower one is tried first."""
    weight: int = 1
    """Share of new sessions among addresses that balance; zero counts as hardly any (RFC 2782)."""
    zone: str = ""
    alternate: Address | None = None
    """The same host's address of the other family, which may be dialled as well (RFC 8305)."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All addresses of the host, the preferred one first."""
        return (self.address,) if self.alternate is None else (self.address, self.alternate)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a resolution, for people: `orders.db.test A → 10.0.0.7`."""

    question: str
    kind: str
    """A, AAAA, CNAME, SRV, hosts, literal."""
    answer: str
    """The records, or what went wrong: NXDOMAIN, no data, timeout, SERVFAIL."""
    server: str = ""
    """The nameserver or file that answered; `cache` when none was asked."""
    ttl: float | None = None
    """Seconds it may still be used."""
    seconds: float = 0.0
    """How long the step took."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The latest whole answer to "where is the database?"."""

    targets: tuple[Target, ...] = ()
    steps: tuple[Step, ...] = ()
    asked_at: float = 0.0
    """When the question was put, on trio's clock: an answer from the cache keeps its first asking."""
    expires_at: float = 0.0
    """When it will be asked again, on trio's clock."""
    stale: bool = False
    """DNS itself fails and this is the last good answer."""
    failure: str = ""
    """Why there is no (or no fresh) answer, as a person would say it."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(target.address for target in self.targets)


@dataclass(frozen=True, slots=True)
class Choice:
    """The latest decision which addresses may be used."""

    epoch: int = 0
    """Grows whenever an address begins to have sessions, or has to end them."""
    pool: tuple[Target, ...] = ()
    """Where a new session may go: one target, or several that balance. None: clients wait."""
    tenures: Mapping[Address, int] = field(default_factory=lambda: MappingProxyType({}))
    """The addresses that may have sessions, old ones or new, each with the epoch in which that began. A
    session leased under another epoch, or at another address, ends."""
    settled: bool = False
    """False while a lookup or check that this decision waits for is still under way."""
    held_until: float = 0.0
    """Without a pool: until when clients wait for one, on trio's clock."""
    why: str = "not decided yet"
    trials: frozenset[Address] = frozenset()
    """Addresses of the pool that failed, or had the wrong role, and where only the next session can tell
    whether that is over: one session at a time may try."""

    @property
    def target(self) -> Target | None:
        """The first of the pool."""
        return self.pool[0] if self.pool else None

    @property
    def on_trial(self) -> bool:
        """True if nothing is in the pool but for a trial. The loss before it still counts: should the trial
        fail, `held_until` is what it was."""
        return bool(self.pool) and all(target.address in self.trials for target in self.pool)
