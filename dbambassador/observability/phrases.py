"""What each event means to a person: its level and its words, in one table. Pure.

Levels by meaning: *info* for a change of state, *warning* for loss of service or of privacy, *error* for what
needs a person, *debug* for what belongs to one session, dial, check or lookup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import ip_address
from typing import Any

from dbambassador import events
from dbambassador.events import Event, Refusal
from dbambassador.observability.wording import count, duration
from dbambassador.values import Choice, Target, Targets

Fields = dict[str, Any]


class Level(IntEnum):
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


_LEVELS = {
    Refusal.TOO_MANY: Level.WARNING,
    Refusal.NO_TLS: Level.WARNING,
    Refusal.UNSAFE: Level.ERROR,
}
NOTICEABLE = 0.1
"""Seconds without a usable address that are worth a word: a start takes fewer."""

DETAILS: frozenset[type[Event]] = frozenset(
    {
        events.CancelForwarded,
        events.ClientHeld,
        events.ClientLeft,
        events.DialEnded,
        events.LookupEnded,
        events.ProbeEnded,
        events.SessionEnded,
        events.SessionOpened,
    }
)
"""Events that are always of the debug level, and so many that they are not put into words for nobody."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One event, put into words."""

    level: Level
    text: str
    """One sentence without a full stop; may hold whatever the network said: escape it where it is shown."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """For machines: JSON values, names with their unit."""
    database: str = ""

    @property
    def message(self) -> str:
        return f"{self.database}: {self.text}" if self.database else self.text


def name(event: Event) -> str:
    """The event's name for machines: `SessionOpened` is `session_opened`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def phrase(event: Event) -> Phrase | None:
    """The words for an event; None for a class this version has no words for."""
    found = _of_the_process(event) or _of_a_database(event) or _of_a_session(event)
    database = getattr(event, "database", "")
    if found is None or not database:
        return found
    return Phrase(found.level, found.text, {"database": database, **found.fields}, database)


def _of_the_process(event: Event) -> Phrase | None:
    fields: Fields
    match event:
        case events.FactsGathered(facts, seconds, asked_api):
            names = [fact.name for fact in facts if fact.unknown]
            names += [f"{prefix}*" for prefix, fact in facts.families.items() if fact.unknown]
            unknown = sorted(names)
            present = sum(fact.present for fact in facts)
            text = f"found {count(present, 'fact')} about where this runs"
            if unknown:
                text += f", {len(unknown)} unknown"
            fields = {
                "present": present,
                "unknown": unknown,
                "asked_api": asked_api,
                "seconds": round(seconds, 3),
            }
            return Phrase(Level.INFO, text, fields)
        case events.Started(version, directory):
            text = f"dbambassador {version}, environments from {directory}"
            return Phrase(Level.INFO, text, {"version": version, "directory": directory})
        case events.EnvironmentChosen(environment, kind, directory, why):
            text = f"environment {environment} ({kind}): {why}"
            fields = {"environment": environment, "kind": kind, "directory": directory, "why": why}
            return Phrase(Level.INFO, text, fields)
        case events.SelectionAwaited(missing, reason, retry_in):
            text = f"no environment yet, waiting for {', '.join(missing)}: {reason}"
            fields = {"missing": list(missing), "reason": reason, "retry_in_seconds": round(retry_in, 1)}
            return Phrase(Level.WARNING, text, fields)
        case events.DriftNoticed(facts, environment, would_choose, why):
            text = (
                f"{', '.join(facts)} changed: a start would now choose {would_choose or 'no environment'}"
                f" ({why}); this process stays with {environment}"
            )
            fields = {"facts": list(facts), "environment": environment}
            fields |= {"would_choose": would_choose, "why": why}
            return Phrase(Level.ERROR, text, fields)
        case events.DriftEnded(environment):
            text = f"the facts lead to {environment} again, which is served"
            return Phrase(Level.INFO, text, {"environment": environment})
        case events.CatalogueReloaded(trigger, changes):
            text = f"{trigger}: environment files read anew: {'; '.join(changes) or 'nothing changes'}"
            return Phrase(Level.INFO, text, {"trigger": trigger, "changes": list(changes)})
        case events.ReloadRefused(trigger, problems):
            text = f"{trigger}: the environment files are not used as they are now: {'; '.join(problems)}"
            return Phrase(Level.ERROR, text, {"trigger": trigger, "problems": list(problems)})
        case events.ReloadUntimely(trigger, reason):
            text = f"{trigger}: environment files not read anew: {reason}"
            return Phrase(Level.INFO, text, {"trigger": trigger, "reason": reason})
        case events.HttpOpened(purpose, address):
            what = "status page" if purpose == "admin" else "health checks and metrics"
            return Phrase(Level.INFO, f"{what} on http://{address}", {"purpose": purpose, "address": address})
        case events.HttpSkipped(purpose, address, reason):
            text = f"no {purpose} port on {address}: {reason}"
            return Phrase(Level.WARNING, text, {"purpose": purpose, "address": address, "reason": reason})
        case events.RequestCrashed(purpose, path, error):
            text = f"a bug: the {purpose} port failed to answer {path}: {error}"
            return Phrase(Level.ERROR, text, {"purpose": purpose, "path": path, "error": error})
        case events.DescriptorsExhausted(what):
            text = f"no file descriptors left for {what}; raise the limit of open files"
            return Phrase(Level.ERROR, text, {"what": what})
        case events.DescriptorsRecovered(what):
            return Phrase(Level.INFO, f"file descriptors are available again for {what}", {"what": what})
        case events.LookupEnded(asked, kind, outcome, seconds):
            fields = {"name": asked, "kind": kind, "outcome": outcome, "seconds": round(seconds, 4)}
            return Phrase(Level.DEBUG, f"DNS: {asked} {kind}: {outcome} after {duration(seconds)}", fields)
        case events.Ready(seconds):
            text = f"ready for connections after {duration(seconds)}"
            return Phrase(Level.INFO, text, {"seconds": round(seconds, 3)})
        case events.DrainStarted(signal, sessions):
            text = f"{signal}: shutting down with {count(sessions, 'session')} open"
            return Phrase(Level.INFO, text, {"signal": signal, "sessions": sessions})
        case events.Stopped(cut):
            text = f"stopped; {count(cut, 'session')} cut off" if cut else "stopped"
            return Phrase(Level.WARNING if cut else Level.INFO, text, {"sessions_cut": cut})
    return None


def _of_a_database(event: Event) -> Phrase | None:
    fields: Fields
    match event:
        case events.ListenerOpened(_, address):
            return _listening(address)
        case events.ListenerSkipped(_, address, reason):
            text = f"not listening on {address}: {reason}"
            return Phrase(Level.INFO, text, {"address": address, "reason": reason})
        case events.TargetsChanged(_, targets, familiar):
            return _targets(targets, familiar)
        case events.AddressChanged(_, address, before, now, why):
            fields = {"address": str(address), "before": before, "state": now, "why": why}
            # A server's leave-taking looks like trouble until the check that follows: no news by itself.
            level = Level.DEBUG if "suspect" in (before, now) and now in ("suspect", "up") else Level.INFO
            text = f"is still {now}" if now == before else f"is {now}, was {before}"
            return Phrase(level, f"{address} {text}: {why}", fields)
        case events.ProbeEnded(_, address, outcome, seconds):
            fields = {"address": str(address), "outcome": outcome, "seconds": round(seconds, 4)}
            return Phrase(Level.DEBUG, f"check of {address}: {outcome} after {duration(seconds)}", fields)
        case events.CheckBlocked(_, address, message):
            text = f"{address} refuses this host, checks stopped: {message}"
            return Phrase(Level.ERROR, text, {"address": str(address), "reason": message})
        case events.CheckDenied(_, address, message):
            text = f"{address}: {message}; its role stays unknown, and any will do"
            return Phrase(Level.ERROR, text, {"address": str(address), "reason": message})
        case events.CheckRestored(_, address):
            text = f"{address}: the check can log in again"
            return Phrase(Level.INFO, text, {"address": str(address)})
        case events.CertificatesReloaded():
            return Phrase(Level.INFO, "certificates were read anew")
        case events.CertificatesUnusable(_, reason):
            text = f"changed certificates cannot be used, the former ones stay: {reason}"
            return Phrase(Level.ERROR, text, {"reason": reason})
        case events.RoleChanged(_, address, before, now):
            fields = {"address": str(address), "before": before, "role": now}
            return Phrase(Level.INFO, f"{address} is {now} now, was {before}", fields)
        case events.ChoiceChanged(_, choice, outage):
            return _choice(choice, outage)
        case events.SessionsEvicted(_, address, sessions, why):
            fields = {"address": str(address), "sessions": sessions, "why": why}
            text = f"closed {count(sessions, 'session')} at {address}: {why}"
            return Phrase(Level.WARNING, text, fields)
        case events.StageCrashed(_, stage, error):
            text = f"a bug: {stage} failed and is started anew: {error}"
            return Phrase(Level.ERROR, text, {"stage": stage, "error": error})
    return None


def _listening(address: str) -> Phrase:
    fields: Fields = {"address": address}
    if address.startswith("unix:") or ip_address(address.rpartition(":")[0].strip("[]")).is_loopback:
        return Phrase(Level.INFO, f"listening on {address}", fields)
    text = f"listening on {address}, beyond loopback: whoever reaches this host reaches the database"
    return Phrase(Level.WARNING, text, fields)


def _targets(targets: Targets, familiar: bool) -> Phrase:
    addresses = [str(address) for address in targets.addresses]
    fields: Fields = {"addresses": addresses, "stale": targets.stale, "failure": targets.failure}
    if not addresses:
        text = f"DNS gives no address: {targets.failure or 'no answer'}"
        return Phrase(Level.WARNING, text, fields)
    names = list(_names(targets.targets)) or ["endpoint"]
    text = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {', '.join(addresses)}"
    if targets.stale:
        return Phrase(
            Level.WARNING, f"DNS fails, the last known answer is used ({text}): {targets.failure}", fields
        )
    return Phrase(Level.DEBUG if familiar else Level.INFO, text, fields)


def _names(targets: Iterable[Target]) -> Iterable[str]:
    """Each once. An endpoint given as an IP address has none."""
    return dict.fromkeys(target.name for target in targets if target.name != target.address.host)


def _choice(choice: Choice, outage: float) -> Phrase:
    fields: Fields = {"epoch": choice.epoch, "settled": choice.settled, "why": choice.why}
    fields |= {"outage_seconds": round(outage, 3)}
    if choice.target is not None:
        fields |= {"address": str(choice.target.address)}
        fields |= {"pool": [str(target.address) for target in choice.pool]}
        where = ", ".join(str(target.address) for target in choice.pool)
        where += f" ({names})" if (names := ", ".join(_names(choice.pool))) else ""
        if choice.on_trial:
            return Phrase(Level.INFO, f"the next session tries {where}", fields)
        after = f", after {duration(outage)} without a usable address" if outage >= NOTICEABLE else ""
        return Phrase(Level.INFO, f"sessions go to {where}{after}", fields)
    fields |= {"address": None, "pool": []}
    if not choice.settled:
        # What comes of it within seconds has a line of its own.
        return Phrase(Level.DEBUG, f"looking for a usable address: {choice.why}", fields)
    return Phrase(Level.WARNING, f"no usable address: {choice.why}", fields)


def _of_a_session(event: Event) -> Phrase | None:
    fields: Fields
    match event:
        case events.SessionOpened(_, address, client):
            text = f"session opened to {address}"
            fields = {"address": str(address)}
            if client is not None:
                process = f"process {client.pid}" if client.pid else "a process of another container"
                text += f" for {process}, user {client.uid}, group {client.gid}"
                fields |= {"client_pid": client.pid, "client_uid": client.uid, "client_gid": client.gid}
            return Phrase(Level.DEBUG, text, fields)
        case events.SessionEnded(_, address, how, seconds, to_server, to_client):
            text = (
                f"session to {address} ended after {duration(seconds)}: {how};"
                f" {to_server} bytes sent, {to_client} received"
            )
            fields = {
                "address": str(address),
                "how": how,
                "seconds": round(seconds, 3),
                "to_server_bytes": to_server,
                "to_client_bytes": to_client,
            }
            return Phrase(Level.DEBUG, text, fields)
        case events.ClientRefused(_, refusal, why):
            # The other reasons follow from a change of state that has its own line.
            level = _LEVELS.get(refusal, Level.DEBUG)
            text = f"client refused: {refusal.value}" + (f": {why}" if why else "")
            return Phrase(level, text, {"reason": refusal.name.lower(), "why": why})
        case events.ClientLeft(_, reason, how):
            fields = {"reason": reason, "how": how.value}
            return Phrase(Level.DEBUG, f"client gone before it had a session: {reason}", fields)
        case events.ClientHeld(_, outcome, seconds):
            fields = {"outcome": outcome, "seconds": round(seconds, 3)}
            text = f"a client waited {duration(seconds)} for a usable address: {outcome}"
            return Phrase(Level.DEBUG, text, fields)
        case events.ClientCrowdedOut():
            text = "too many clients connect and say nothing: the oldest are ended, to make room for others"
            return Phrase(Level.WARNING, text)
        case events.DialEnded(_, address, outcome, seconds):
            fields = {"address": str(address), "outcome": outcome, "seconds": round(seconds, 4)}
            return Phrase(Level.DEBUG, f"dial of {address}: {outcome} after {duration(seconds)}", fields)
        case events.CancelForwarded(_, found):
            text = "cancel request forwarded" if found else "cancel request of an unknown session forwarded"
            return Phrase(Level.DEBUG, text, {"found": found})
        case events.SessionCrashed(_, error):
            return Phrase(Level.ERROR, f"a bug: a session failed: {error}", {"error": error})
    return None
