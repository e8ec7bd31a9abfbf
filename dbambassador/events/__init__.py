"""What happened, in the past tense: frozen events that every stage publishes and observability folds.

An event carries what a log line or a metric needs and nothing secret. Publishing is synchronous and must
not fail: a fold is a plain function of the event. Readers take every name from here.
"""

from dbambassador.events.clients import (
    CancelForwarded,
    ClientCrowdedOut,
    ClientHeld,
    ClientLeft,
    ClientRefused,
    Departure,
    Refusal,
)
from dbambassador.events.discovery import (
    LookupEnded,
    TargetsChanged,
)
from dbambassador.events.event import (
    Event,
    Events,
    Publish,
)
from dbambassador.events.files import (
    CatalogueReloaded,
    CertificatesReloaded,
    CertificatesUnusable,
    Reloaded,
    ReloadRefused,
    ReloadUntimely,
)
from dbambassador.events.health import (
    AddressChanged,
    CheckBlocked,
    CheckDenied,
    CheckRestored,
    ChoiceChanged,
    ProbeEnded,
    RoleChanged,
)
from dbambassador.events.listening import (
    DescriptorsExhausted,
    DescriptorsRecovered,
    HttpOpened,
    HttpSkipped,
    ListenerOpened,
    ListenerSkipped,
    RequestCrashed,
)
from dbambassador.events.locating import (
    DriftEnded,
    DriftNoticed,
    EnvironmentChosen,
    FactsGathered,
    SelectionAwaited,
)
from dbambassador.events.process import (
    DrainStarted,
    Ready,
    StageCrashed,
    Started,
    Stopped,
)
from dbambassador.events.sessions import (
    DialEnded,
    SessionCrashed,
    SessionEnded,
    SessionOpened,
    SessionsEvicted,
)

__all__ = [
    "AddressChanged",
    "CancelForwarded",
    "CatalogueReloaded",
    "CertificatesReloaded",
    "CertificatesUnusable",
    "CheckBlocked",
    "CheckDenied",
    "CheckRestored",
    "ChoiceChanged",
    "ClientCrowdedOut",
    "ClientHeld",
    "ClientLeft",
    "ClientRefused",
    "Departure",
    "DescriptorsExhausted",
    "DescriptorsRecovered",
    "DialEnded",
    "DrainStarted",
    "DriftEnded",
    "DriftNoticed",
    "EnvironmentChosen",
    "Event",
    "Events",
    "FactsGathered",
    "HttpOpened",
    "HttpSkipped",
    "ListenerOpened",
    "ListenerSkipped",
    "LookupEnded",
    "ProbeEnded",
    "Publish",
    "Ready",
    "Refusal",
    "ReloadRefused",
    "ReloadUntimely",
    "Reloaded",
    "RequestCrashed",
    "RoleChanged",
    "SelectionAwaited",
    "SessionCrashed",
    "SessionEnded",
    "SessionOpened",
    "SessionsEvicted",
    "StageCrashed",
    "Started",
    "Stopped",
    "TargetsChanged",
]
