"""What happened, in the past tense: frozen events that every stage publishes and observability folds.

An event carries what a log line or a metric needs and nothing secret. Publishing is synchronous and must
not fail: a fold is a plain function of the event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from dbambassador.values import Address, Choice, Facts, PeerProcess, Targets


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


# Where are we, and which environment is this?


@dataclass(frozen=True, slots=True)
class Started(Event):
    version: str
    directory: str
    """Of the environment files."""


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


# Other files


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

# Listening


@dataclass(frozen=True, slots=True)
class ListenerOpened(Event):
    database: str
    address: str


@dataclass(frozen=True, slots=True)
class ListenerSkipped(Event):
    """An optional address that this host cannot have (no IPv6)."""

    database: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class HttpOpened(Event):
    purpose: str
    """`health` or `admin`."""
    address: str


@dataclass(frozen=True, slots=True)
class HttpSkipped(Event):
    purpose: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class RequestCrashed(Event):
    """A bug: answering an HTTP request ended with an exception."""

    purpose: str
    path: str
    error: str


@dataclass(frozen=True, slots=True)
class DescriptorsExhausted(Event):
    """The process has no file descriptor left for `what`; published once until it recovers."""

    what: str


@dataclass(frozen=True, slots=True)
class DescriptorsRecovered(Event):
    what: str


# Where is the database?


@dataclass(frozen=True, slots=True)
class LookupEnded(Event):
    """One DNS question was answered or given up."""

    name: str
    kind: str
    outcome: str
    """ok, nxdomain, nodata, timeout, servfail, refused, malformed, unreachable."""
    seconds: float


@dataclass(frozen=True, slots=True)
class TargetsChanged(Event):
    """The set of addresses, or the failure to find any, is another than before."""

    database: str
    targets: Targets
    familiar: bool = False
    """All of them were found before: some names answer with other ones of their addresses each time."""


# Which address may be used?


@dataclass(frozen=True, slots=True)
class AddressChanged(Event):
    database: str
    address: Address
    before: str
    now: str
    why: str


@dataclass(frozen=True, slots=True)
class ProbeEnded(Event):
    database: str
    address: Address
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CheckBlocked(Event):
    """The server refuses this host (MySQL 1129, 1130): checks stop, a person is needed."""

    database: str
    address: Address
    message: str


@dataclass(frozen=True, slots=True)
class CheckDenied(Event):
    """The server refuses the credentials of the check: it is alive, and its role stays unknown."""

    database: str
    address: Address
    message: str


@dataclass(frozen=True, slots=True)
class CheckRestored(Event):
    """The server takes the credentials of the check again."""

    database: str
    address: Address


@dataclass(frozen=True, slots=True)
class CertificatesReloaded(Event):
    """The files of a database's TLS have changed, and new sessions go by them."""

    database: str


@dataclass(frozen=True, slots=True)
class CertificatesUnusable(Event):
    """They have changed, and cannot be used: what they were before is still in use."""

    database: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoleChanged(Event):
    """A server has another role than it had when it last told."""

    database: str
    address: Address
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class ChoiceChanged(Event):
    database: str
    choice: Choice
    outage: float = 0.0
    """Seconds without a usable address that end with this choice; 0 if none does."""


# Sessions


class Departure(Enum):
    """How a client ended that never had a session, and was told nothing."""

    LEFT = "left"
    GARBLED = "garbled"
    """It said something that is not its protocol."""
    TIMED_OUT = "timed out"
    """It did not say in time what it wants."""
    CROWDED_OUT = "crowded out"
    """The same, and was ended early to make room."""


class Refusal(Enum):
    """Why a client got an error of ours instead of a session."""

    NO_TARGET = "no usable address"
    TOO_MANY = "connection limit"
    NO_DESCRIPTORS = "no file descriptors left"
    ROLE = "server is in another role"
    UNSAFE = "unsafe session"
    NO_TLS = "it wants TLS, and has none with the ambassador (see sslmode)"
    GARBLED = "not understood"
    BROKEN_OFF = "its server broke off"
    """In the middle of the client's handshake with it."""
    DRAINING = "shutting down"


@dataclass(frozen=True, slots=True)
class SessionOpened(Event):
    database: str
    address: Address
    client: PeerProcess | None = None
    """None: it came over TCP."""


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    database: str
    address: Address
    how: str
    seconds: float
    to_server: int
    """Bytes."""
    to_client: int


@dataclass(frozen=True, slots=True)
class ClientRefused(Event):
    database: str
    refusal: Refusal
    why: str = ""


@dataclass(frozen=True, slots=True)
class ClientLeft(Event):
    """The client was gone, or was given up, before it had a session."""

    database: str
    reason: str
    how: Departure = Departure.LEFT


@dataclass(frozen=True, slots=True)
class ClientHeld(Event):
    """A client's wait for a usable address is over."""

    database: str
    outcome: str
    """`served`, `left`, or a refusal in small letters."""
    seconds: float


@dataclass(frozen=True, slots=True)
class ClientCrowdedOut(Event):
    """The client said nothing, as too many others, and was ended to make room."""

    database: str


@dataclass(frozen=True, slots=True)
class DialEnded(Event):
    database: str
    address: Address
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CancelForwarded(Event):
    database: str
    found: bool
    """False: no session is known to have that key, so it went to every server in use."""


@dataclass(frozen=True, slots=True)
class SessionsEvicted(Event):
    """Sessions were closed because their address failed, lost its role, or was replaced."""

    database: str
    address: Address
    sessions: int
    why: str


@dataclass(frozen=True, slots=True)
class SessionCrashed(Event):
    """A bug: a session ended with an exception that is no outcome of the network."""

    database: str
    error: str


@dataclass(frozen=True, slots=True)
class StageCrashed(Event):
    """A bug: a stage of one database ended with an exception and is started anew."""

    database: str
    stage: str
    error: str


# Life of the process


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
