"""One event of every class."""

from __future__ import annotations

from dbambassador import events
from dbambassador.events import Departure, Event, Refusal
from dbambassador.values import Address, Fact, Facts, PeerProcess, State, Target, Targets
from tests.choices import serving

ADDRESS = Address("10.0.0.7", 5432)
TARGET = Target(ADDRESS, "orders.db.test")

FACTS = Facts.of(
    [
        Fact("k8s.namespace.name", State.PRESENT, "hunter2"),
        Fact("cloud.region", State.UNKNOWN, reason="timeout"),
        Fact("cloud.provider", State.ABSENT),
    ],
    [Fact("k8s.node.label.", State.UNKNOWN, reason="403")],
)

EVERY: tuple[Event, ...] = (
    events.Started("0.1.0", "/etc/e"),
    events.FactsGathered(FACTS, 0.0213, False),
    events.EnvironmentChosen("staging", "staging", "/etc/e", "the only match"),
    events.SelectionAwaited(("k8s.node.label.tier",), "timeout", 3.21),
    events.DriftNoticed(("k8s.pod.label.tier",), "staging", None, "no environment's match holds here"),
    events.DriftEnded("staging"),
    events.CatalogueReloaded("SIGHUP", ("orders: endpoint, hold", "reports: added")),
    events.ReloadRefused("SIGHUP", ("/etc/e/staging.yaml:7: databases.orders.hold: found 'soon'",)),
    events.ReloadUntimely("SIGHUP", "shutting down"),
    events.ListenerOpened("orders", "127.0.0.1:5432"),
    events.ListenerSkipped("orders", "[::1]:5432", "no IPv6"),
    events.HttpOpened("admin", "127.0.0.1:9091"),
    events.HttpSkipped("health", "127.0.0.1:9090", "address already in use"),
    events.RequestCrashed("admin", "/", "KeyError('x')"),
    events.DescriptorsExhausted("accepting clients"),
    events.DescriptorsRecovered("accepting clients"),
    events.LookupEnded("orders.db.test.", "A", "ok", 0.002),
    events.TargetsChanged("orders", Targets((TARGET,))),
    events.AddressChanged("orders", ADDRESS, "up", "down", "connection refused"),
    events.ProbeEnded("orders", ADDRESS, "answered", 0.004),
    events.CheckBlocked("orders", ADDRESS, "1129"),
    events.CheckDenied("orders", ADDRESS, "takes sessions, but refused the check's login"),
    events.CheckRestored("orders", ADDRESS),
    events.CertificatesReloaded("orders"),
    events.CertificatesUnusable("orders", "sslkey /run/tls.key: it is not the key of /run/tls.crt"),
    events.RoleChanged("orders", ADDRESS, "standby", "primary"),
    events.ChoiceChanged("orders", serving(1, TARGET)),
    events.SessionOpened("orders", ADDRESS, PeerProcess(4711, 1000, 2000)),
    events.SessionEnded("orders", ADDRESS, "client closed", 1.5, 100, 2000),
    events.ClientRefused("orders", Refusal.NO_TARGET),
    events.ClientLeft("orders", "not a startup packet", Departure.GARBLED),
    events.ClientHeld("orders", "served", 1.2),
    events.ClientCrowdedOut("orders"),
    events.DialEnded("orders", ADDRESS, "refused", 0.001),
    events.CancelForwarded("orders", True),
    events.SessionsEvicted("orders", ADDRESS, 3, "connection refused"),
    events.SessionCrashed("orders", "ZeroDivisionError()"),
    events.StageCrashed("orders", "judge", "KeyError('x')"),
    events.Ready(0.41),
    events.DrainStarted("SIGTERM", 3),
    events.Stopped(2),
)
