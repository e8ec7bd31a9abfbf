"""Metrics in the Prometheus text format 0.0.4: counters folded from events, gauges of a snapshot. Pure.

Names and units as OpenMetrics asks: base units, `_total` on counters, `_info` on what only has labels.
No address is a label of a counter: addresses come and go, and a counter's series never ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dbambassador import events
from dbambassador.events import Event

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MAX_SERIES = 500
"""Series of one counter: whatever a stage puts into a label, memory and the scrape stay bounded."""

OVERFLOW = "other"


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    labels: tuple[str, ...]
    help: str
    kind: str = "counter"


SESSIONS_OPENED = Family("dbambassador_sessions_opened_total", ("database",), "Sessions opened.")
SESSIONS_ENDED = Family("dbambassador_sessions_ended_total", ("database", "how"), "Sessions ended, by how.")
SESSIONS_EVICTED = Family(
    "dbambassador_sessions_evicted_total",
    ("database",),
    "Sessions closed because their address failed or was replaced.",
)
SESSIONS_CRASHED = Family("dbambassador_sessions_crashed_total", ("database",), "Sessions ended by a bug.")
BYTES = Family(
    "dbambassador_relayed_bytes_total",
    ("database", "direction"),
    "Bytes relayed, counted when a session ends; direction is to_server or to_client.",
)
DIALS = Family("dbambassador_dials_total", ("database", "outcome"), "Connections tried to a database.")
PROBES = Family("dbambassador_checks_total", ("database", "outcome"), "Health checks of a database.")
REFUSALS = Family(
    "dbambassador_clients_refused_total",
    ("database", "reason"),
    "Clients that got an error instead of a session.",
)
STAGES_CRASHED = Family(
    "dbambassador_stages_crashed_total", ("database",), "Stages ended by a bug and started anew."
)
LEFT = Family(
    "dbambassador_clients_left_total",
    ("database",),
    "Clients gone, or not speaking the protocol, before they had a session.",
)
CROWDED_OUT = Family(
    "dbambassador_clients_crowded_out_total",
    ("database",),
    "Clients ended to make room, because too many said nothing.",
)
CANCELS = Family(
    "dbambassador_cancels_total",
    ("database", "found"),
    "Cancel requests; found says whether a session had the key.",
)
LOOKUPS = Family("dbambassador_dns_lookups_total", ("kind", "outcome"), "DNS questions asked.")
FAILOVERS = Family(
    "dbambassador_failovers_total",
    ("database",),
    "Times that new sessions got all new addresses, or the same one again after it failed.",
)
DRIFTS = Family(
    "dbambassador_drifts_total", (), "Times that facts changed so that a start would choose otherwise."
)
REQUESTS_CRASHED = Family("dbambassador_http_requests_crashed_total", (), "HTTP requests ended by a bug.")

COUNTERS = (
    SESSIONS_OPENED,
    SESSIONS_ENDED,
    SESSIONS_EVICTED,
    SESSIONS_CRASHED,
    STAGES_CRASHED,
    BYTES,
    DIALS,
    PROBES,
    REFUSALS,
    LEFT,
    CROWDED_OUT,
    CANCELS,
    LOOKUPS,
    FAILOVERS,
    DRIFTS,
    REQUESTS_CRASHED,
)

BUILD = Family("dbambassador_build_info", ("version",), "The running version.", "gauge")
ENVIRONMENT = Family(
    "dbambassador_environment_info",
    ("environment", "kind"),
    "The chosen environment; no series while none is.",
    "gauge",
)
DRIFTED = Family(
    "dbambassador_drifted", (), "1 while a start would choose otherwise than this process did.", "gauge"
)
UPTIME = Family("dbambassador_uptime_seconds", (), "Seconds since the process started.", "gauge")
READY = Family(
    "dbambassador_ready", (), "1 if listening with an environment chosen and not shutting down.", "gauge"
)
SESSIONS = Family("dbambassador_sessions", ("database",), "Sessions open now.", "gauge")
HELD = Family(
    "dbambassador_held_clients", ("database",), "Clients waiting for a usable address now.", "gauge"
)
USABLE = Family(
    "dbambassador_database_usable", ("database",), "1 if new sessions have an address to go to.", "gauge"
)
EPOCH = Family("dbambassador_choice_epoch", ("database",), "Grows whenever open sessions must end.", "gauge")
CHOSEN = Family("dbambassador_chosen_address_info", ("database", "address"), "An address in use.", "gauge")
STATE = Family(
    "dbambassador_address_state",
    ("database", "address", "state"),
    "1 for the state an address is in.",
    "gauge",
)
ROLE = Family(
    "dbambassador_address_role", ("database", "address", "role"), "1 for the role of an address.", "gauge"
)

CERTIFICATES = Family(
    "dbambassador_certificates_usable",
    ("database",),
    "0 while changed certificate files cannot be used, and the former ones are; no series without own TLS.",
    "gauge",
)

Sample = tuple[Family, tuple[str, ...], float]


class Metrics:
    """Counts events; renders the counts and a snapshot."""

    def __init__(self) -> None:
        self._counts: dict[Family, dict[tuple[str, ...], int]] = {family: {} for family in COUNTERS}
        self._began: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case events.SessionOpened(database):
                self._add(SESSIONS_OPENED, database)
            case events.SessionEnded(database, _, how, _, to_server, to_client):
                self._add(SESSIONS_ENDED, database, how)
                self._add(BYTES, database, "to_server", by=to_server)
                self._add(BYTES, database, "to_client", by=to_client)
            case events.SessionsEvicted(database, _, sessions):
                self._add(SESSIONS_EVICTED, database, by=sessions)
            case events.SessionCrashed(database):
                self._add(SESSIONS_CRASHED, database)
            case events.StageCrashed(database):
                self._add(STAGES_CRASHED, database)
            case events.DialEnded(database, _, outcome):
                self._add(DIALS, database, outcome)
            case events.ProbeEnded(database, _, outcome):
                self._add(PROBES, database, outcome)
            case events.ClientRefused(database, refusal, _):
                self._add(REFUSALS, database, refusal.name.lower())
            case events.ClientLeft(database):
                self._add(LEFT, database)
            case events.ClientCrowdedOut(database):
                self._add(CROWDED_OUT, database)
            case events.CancelForwarded(database, found):
                self._add(CANCELS, database, str(found).lower())
            case events.LookupEnded(_, kind, outcome):
                self._add(LOOKUPS, kind, outcome)
            case events.ChoiceChanged(database, choice) if choice.pool:
                began = min(choice.tenures[target.address] for target in choice.pool)
                if began > self._began.get(database, began):
                    self._add(FAILOVERS, database)
                self._began[database] = began
            case events.DriftNoticed():
                self._add(DRIFTS)
            case events.RequestCrashed():
                self._add(REQUESTS_CRASHED)

    def _add(self, family: Family, *labels: str, by: int = 1) -> None:
        counts = self._counts[family]
        if labels not in counts and len(counts) >= MAX_SERIES:
            labels = (OVERFLOW,) * len(labels)
        counts[labels] = counts.get(labels, 0) + by

    def text(self, snapshot: Mapping[str, Any]) -> str:
        """All metrics as one scrape. Counters by database start at 0, so that a first increase is seen."""
        lines: list[str] = []
        names = [(str(database["name"]),) for database in snapshot["databases"]]
        zeros: dict[tuple[str, ...], list[tuple[str, ...]]] = {("database",): [*names], (): [()]}
        for family, counts in self._counts.items():
            first: dict[tuple[str, ...], int] = dict.fromkeys(zeros.get(family.labels, ()), 0)
            lines += _family(family, (first | counts).items())
        gauges: dict[Family, list[tuple[tuple[str, ...], float]]] = {}
        for family, labels, value in _gauges(snapshot):
            gauges.setdefault(family, []).append((labels, value))
        for family, samples in gauges.items():
            lines += _family(family, samples)
        return "\n".join(lines) + "\n"


def _gauges(snapshot: Mapping[str, Any]) -> Iterator[Sample]:
    yield BUILD, (snapshot["version"],), 1
    yield UPTIME, (), snapshot["uptime_seconds"]
    yield READY, (), snapshot["ready"] and snapshot["phase"] != "draining"
    environment = snapshot["environment"]
    if environment is not None:
        yield ENVIRONMENT, (environment["name"], environment["kind"]), 1
    yield DRIFTED, (), snapshot["drift"] is not None
    for database in snapshot["databases"]:
        name, choice = database["name"], database["choice"]
        yield SESSIONS, (name,), database["sessions"]
        yield HELD, (name,), database["held"]
        yield EPOCH, (name,), choice["epoch"]
        yield USABLE, (name,), bool(choice["pool"]) and not choice["on_trial"]
        if database["certificates"] is not None:
            yield CERTIFICATES, (name,), not database["certificates"]
        for address in choice["pool"]:
            yield CHOSEN, (name, address), 1
        for address in database["addresses"]:
            yield STATE, (name, address["address"], address["state"]), 1
            if address["role"]:
                yield ROLE, (name, address["address"], address["role"]), 1


def _family(family: Family, samples: Iterable[tuple[tuple[str, ...], float]]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    for labels, value in samples:
        pairs = ",".join(f'{key}="{_escape(text)}"' for key, text in zip(family.labels, labels, strict=True))
        yield f"{family.name}{{{pairs}}} {_number(value)}" if pairs else f"{family.name} {_number(value)}"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if int(value) == value else repr(float(value))
