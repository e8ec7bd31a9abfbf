"""Every metric: its name, labels, unit and meaning. Pure.

Names and units as OpenMetrics asks: base units, `_total` on counters, `_info` on what only has labels.
No address is a label of a counter: addresses come and go, and a counter's series never ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its series."""

    name: str
    """As in a query; a histogram's without `_bucket`, `_sum` and `_count`."""
    labels: tuple[str, ...]
    help: str
    kind: Kind = Kind.COUNTER
    buckets: tuple[float, ...] = field(default=(), compare=False)
    """Upper bounds in ascending order, without infinity."""

    @property
    def unit(self) -> str:
        """As OpenMetrics names it; empty where things are counted."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in ("seconds", "bytes") if stem.endswith(f"_{unit}")), "")


def _gauge(name: str, labels: tuple[str, ...], text: str) -> Family:
    return Family(name, labels, text, Kind.GAUGE)


def _info(name: str, labels: tuple[str, ...], text: str) -> Family:
    return Family(name, labels, text, Kind.INFO)


def _histogram(name: str, labels: tuple[str, ...], buckets: tuple[float, ...], text: str) -> Family:
    return Family(name, labels, text, Kind.HISTOGRAM, buckets)


NETWORK = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5)
"""Seconds: one machine, one zone, one region, one continent, the world, trouble."""
WAITS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: around the usual `hold` of 5."""

# Counted from events.

SESSIONS_OPENED = Family("dbambassador_sessions_opened_total", ("database",), "Sessions opened.")
SESSIONS_ENDED = Family("dbambassador_sessions_ended_total", ("database", "how"), "Sessions ended, by how.")
SESSIONS_EVICTED = Family(
    "dbambassador_sessions_evicted_total",
    ("database",),
    "Sessions closed because their address failed or was replaced.",
)
SESSIONS_CRASHED = Family("dbambassador_sessions_crashed_total", ("database",), "Sessions ended by a bug.")
STAGES_CRASHED = Family(
    "dbambassador_stages_crashed_total", ("database",), "Stages ended by a bug and started anew."
)
REQUESTS_CRASHED = Family("dbambassador_http_requests_crashed_total", (), "HTTP requests ended by a bug.")
DIALS = Family("dbambassador_dials_total", ("database", "outcome"), "Connections tried to a database.")
DIAL_SECONDS = _histogram(
    "dbambassador_dial_duration_seconds", ("database",), NETWORK, "Time of a dial that connected."
)
CHECKS = Family("dbambassador_checks_total", ("database", "outcome"), "Health checks of a database.")
CHECK_SECONDS = _histogram(
    "dbambassador_check_duration_seconds", ("database",), NETWORK, "Time of a check, however it ended."
)
CHECK_PROBLEMS = Family(
    "dbambassador_check_problems_total",
    ("database", "problem"),
    "Times that a server began to refuse the check's login (denied), or this host (blocked).",
)
LOOKUPS = Family("dbambassador_dns_lookups_total", ("kind", "outcome"), "DNS questions asked.")
LOOKUP_SECONDS = _histogram(
    "dbambassador_dns_lookup_duration_seconds",
    ("kind",),
    NETWORK,
    "Time of a DNS question, however it ended.",
)
REFUSALS = Family(
    "dbambassador_clients_refused_total",
    ("database", "reason"),
    "Clients that got an error instead of a session.",
)
LEFT = Family(
    "dbambassador_clients_left_total", ("database",), "Clients gone by themselves before they had a session."
)
PREAMBLE_ERRORS = Family(
    "dbambassador_preamble_errors_total",
    ("database", "reason"),
    "Clients given up before they had a session: garbled, or timed_out.",
)
CROWDED_OUT = Family(
    "dbambassador_clients_crowded_out_total",
    ("database",),
    "Clients ended to make room, because too many said nothing.",
)
HOLDS = _histogram(
    "dbambassador_hold_seconds",
    ("database", "outcome"),
    WAITS,
    "Time that a client waited for a usable address, by how that ended: served, left, or why it was refused.",
)
CANCELS = Family(
    "dbambassador_cancels_total",
    ("database", "found"),
    "Cancel requests; found says whether a session had the key.",
)
FAILOVERS = Family(
    "dbambassador_failovers_total",
    ("database",),
    "Times that new sessions got all new addresses, or the same one again after it failed.",
)
DRIFTS = Family(
    "dbambassador_drifts_total", (), "Times that facts changed so that a start would choose otherwise."
)
RELOADS = Family(
    "dbambassador_config_reloads_total",
    ("outcome",),
    "Times that the environment files were read anew; outcome is applied or refused.",
)

COUNTED = (
    SESSIONS_OPENED,
    SESSIONS_ENDED,
    SESSIONS_EVICTED,
    SESSIONS_CRASHED,
    STAGES_CRASHED,
    REQUESTS_CRASHED,
    DIALS,
    CHECKS,
    CHECK_PROBLEMS,
    LOOKUPS,
    REFUSALS,
    LEFT,
    PREAMBLE_ERRORS,
    CROWDED_OUT,
    CANCELS,
    FAILOVERS,
    DRIFTS,
    RELOADS,
)
TIMED = (DIAL_SECONDS, CHECK_SECONDS, LOOKUP_SECONDS, HOLDS)

# Read from the snapshot.

BUILD = _info("dbambassador_build_info", ("version",), "The running version.")
ENVIRONMENT = _info(
    "dbambassador_environment_info",
    ("environment", "kind"),
    "The chosen environment; no series while none is.",
)
FACTS = _gauge(
    "dbambassador_facts", ("state",), "Facts about where this runs that are present, absent or unknown."
)
UPTIME = _gauge("dbambassador_uptime_seconds", (), "Time since the process started.")
READY = _gauge("dbambassador_ready", (), "1 if listening with an environment chosen and not shutting down.")
DRIFTED = _gauge("dbambassador_drifted", (), "1 while a start would choose otherwise than this process did.")
RELOADED = _gauge(
    "dbambassador_config_last_reload_successful",
    (),
    "0 while the environment files as last read are refused, and former ones are in use.",
)
LOADED_AT = _gauge(
    "dbambassador_config_last_reload_success_timestamp_seconds",
    (),
    "When the environment files in use were read, as Unix time.",
)
CLIENTS = _gauge("dbambassador_clients", (), "Clients connected now, over all databases.")
CLIENTS_LIMIT = _gauge(
    "dbambassador_clients_limit",
    (),
    "Most clients that are served at once: --max-connections, or what the file descriptors suffice for.",
)
SESSIONS = _gauge("dbambassador_sessions", ("database",), "Sessions open now.")
HELD = _gauge("dbambassador_held_clients", ("database",), "Clients waiting for a usable address now.")
BYTES = Family(
    "dbambassador_relayed_bytes_total",
    ("database", "direction"),
    "Bytes relayed; direction is to_server or to_client.",
)
USABLE = _gauge("dbambassador_database_usable", ("database",), "1 if new sessions have an address to go to.")
OUTAGES = Family(
    "dbambassador_outages_total", ("database",), "Times that the last usable address of a database was lost."
)
OUTAGE_SECONDS = Family(
    "dbambassador_outage_seconds_total",
    ("database",),
    "Time that a database had no usable address, growing while it has none; the start counts.",
)
EPOCH = _gauge("dbambassador_choice_epoch", ("database",), "Grows whenever open sessions must end.")
CHOSEN = _info("dbambassador_chosen_address_info", ("database", "address"), "An address in use.")
STATE = _gauge(
    "dbambassador_address_state", ("database", "address", "state"), "1 for the state an address is in."
)
ROLE = _gauge("dbambassador_address_role", ("database", "address", "role"), "1 for the role of an address.")
ADDRESS_SESSIONS = _gauge(
    "dbambassador_address_sessions", ("database", "address"), "Sessions that an address has now."
)
ADDRESS_LATENCY = _gauge(
    "dbambassador_address_latency_seconds",
    ("database", "address"),
    "Time that an address took when it last answered a check or a dial.",
)
CERTIFICATES = _gauge(
    "dbambassador_certificates_usable",
    ("database",),
    "0 while changed certificate files cannot be used, and the former ones are; no series without own TLS.",
)
DNS_ADDRESSES = _gauge(
    "dbambassador_dns_addresses", ("database",), "Addresses that a database's names lead to."
)
DNS_TTL = _gauge(
    "dbambassador_dns_ttl_seconds",
    ("database",),
    "Time until the first of a database's names is asked again; no series before the first answer.",
)
DNS_STALE = _gauge(
    "dbambassador_dns_stale", ("database",), "1 while DNS itself fails and its last good answer is used."
)
DNS_FAILING = _gauge(
    "dbambassador_dns_failing", ("database",), "1 while a name of the database has no fresh answer."
)
RELAY_WAKES = Family(
    "dbambassador_relay_wakes_total", (), "Times that the relay engine woke to look after its sessions."
)
RELAY_EVENTS = Family(
    "dbambassador_relay_events_total", (), "Sockets that the relay engine found with something to do."
)

SEEN = (
    BUILD,
    ENVIRONMENT,
    FACTS,
    UPTIME,
    READY,
    DRIFTED,
    RELOADED,
    LOADED_AT,
    CLIENTS,
    CLIENTS_LIMIT,
    SESSIONS,
    HELD,
    BYTES,
    USABLE,
    OUTAGES,
    OUTAGE_SECONDS,
    EPOCH,
    CHOSEN,
    STATE,
    ROLE,
    ADDRESS_SESSIONS,
    ADDRESS_LATENCY,
    CERTIFICATES,
    DNS_ADDRESSES,
    DNS_TTL,
    DNS_STALE,
    DNS_FAILING,
    RELAY_WAKES,
    RELAY_EVENTS,
)

# Read from the operating system, under the names that every Prometheus client library has for them.

CPU = Family("process_cpu_seconds_total", (), "User and system CPU time spent.")
OPEN_FDS = _gauge("process_open_fds", (), "Open file descriptors.")
MAX_FDS = _gauge("process_max_fds", (), "Most file descriptors that may be open.")
RESIDENT = _gauge("process_resident_memory_bytes", (), "Resident memory.")
VIRTUAL = _gauge("process_virtual_memory_bytes", (), "Virtual memory.")
BORN = _gauge("process_start_time_seconds", (), "When the process started, since the Unix epoch.")

PROCESS = (CPU, OPEN_FDS, MAX_FDS, RESIDENT, VIRTUAL, BORN)

EVERY = (*COUNTED, *TIMED, *SEEN, *PROCESS)
