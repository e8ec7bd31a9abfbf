"""The state of the whole process as one JSON value: what `status` and the admin port show."""

from __future__ import annotations

from typing import Any

from dbambassador import __version__
from dbambassador.ambassador.database import ServedDatabase
from dbambassador.drift import DriftWatch
from dbambassador.forwarding.admission.limit import Limit
from dbambassador.forwarding.relay.engine import Engine
from dbambassador.health.states import Record
from dbambassador.locate import Located
from dbambassador.profiles.explanation import chosen_json
from dbambassador.settings.schema import Profile
from dbambassador.values import Address, Targets

Json = dict[str, Any]


def database(served: ServedDatabase, now: float) -> Json:
    """One database; `now` is on trio's clock."""
    targets, choice, tls = served.refresher.targets.value, served.judge.choices.value, served.database.tls
    names = {target.address: target.name for target in targets.targets}
    held = max(0.0, choice.held_until - now) if choice.target is None else 0.0
    to_server, to_client = served.ledger.traffic()
    return {
        "name": served.database.name,
        "protocol": served.database.protocol.value,
        "sslmode": tls.mode.value if tls is not None else None,
        "certificates": served.encryption.problem if served.encryption is not None else None,
        "target_session_attrs": served.database.target_session_attrs.value,
        "balance": served.database.balance.value if served.database.balance is not None else None,
        "hold_seconds": served.database.hold,
        "zone": served.database.zone,
        "listeners": [str(listen) for listen in served.database.listen],
        "targets": _targets(targets, now),
        "addresses": [
            _address(record, names, served.ledger.sessions(record.address), now)
            for record in served.judge.records
        ],
        "choice": {
            "epoch": choice.epoch,
            "address": str(choice.target.address) if choice.target else None,
            "pool": [str(target.address) for target in choice.pool],
            "on_trial": choice.on_trial,
            "settled": choice.settled,
            "held_seconds": round(held, 3),
            "why": choice.why,
        },
        "outages": {
            "count": served.judge.outages.count,
            "seconds": round(served.judge.outages.seconds(now), 3),
        },
        "sessions": len(served.ledger),
        "held": served.hold.held,
        "to_server_bytes": to_server,
        "to_client_bytes": to_client,
    }


def process(phase: str, uptime: float, ready: bool, databases: list[Json]) -> Json:
    """The process with its databases; environment and what is awaited are added by whoever knows them."""
    return {
        "version": __version__,
        "phase": phase,
        "uptime_seconds": round(uptime, 3),
        "ready": ready,
        "environment": None,
        "awaiting": None,
        "drift": None,
        "clients": clients(None),
        "reload": None,
        "databases": databases,
    }


def relay(engine: Engine | None) -> Json | None:
    """None: no engine runs, or it does not count."""
    work = engine.work() if engine is not None else None
    return {"wakes": work.wakes, "events": work.events} if work is not None else None


def environment(located: Located, profile: Profile) -> Json:
    """The environment that was chosen, and why this one."""
    return {
        "name": profile.name,
        "kind": profile.kind.value,
        "directory": located.catalogue.directory,
        "why": located.selection.why,
        **chosen_json(profile, located.facts, located.selection),
    }


def clients(limit: Limit | None) -> Json:
    """How many there are, and how many there may be; None before the first could come."""
    return {
        "connected": limit.connected if limit is not None else 0,
        "limit": (limit.maximum or None) if limit is not None else None,
    }


def drift(watch: DriftWatch | None, now: float) -> Json | None:
    """None: the facts still lead to what was chosen."""
    if watch is None or watch.drift is None:
        return None
    return {
        "facts": list(watch.drift.facts),
        "would_choose": watch.drift.would_choose,
        "why": watch.drift.why,
        "since_seconds": round(now - watch.since, 3),
    }


def _targets(targets: Targets, now: float) -> Json:
    asked = targets.asked_at > 0
    return {
        "addresses": [
            {
                "address": str(target.address),
                "name": target.name,
                "zone": target.zone,
                "weight": target.weight,
                "priority": target.priority,
            }
            for target in targets.targets
        ],
        "asked_seconds_ago": round(now - targets.asked_at, 3) if asked else None,
        "ttl_seconds": round(max(0.0, targets.expires_at - now), 3) if asked else None,
        "stale": targets.stale,
        "failure": targets.failure,
        "steps": [
            {
                "question": step.question,
                "kind": step.kind,
                "answer": step.answer,
                "server": step.server,
                "ttl_seconds": step.ttl,
                "seconds": round(step.seconds, 6),
            }
            for step in targets.steps
        ],
    }


def _address(record: Record, names: dict[Address, str], sessions: int, now: float) -> Json:
    return {
        "address": str(record.address),
        "name": names.get(record.address, ""),
        "state": record.state.value,
        "role": record.role.value,
        "since_seconds": round(now - record.since, 3),
        "sessions": sessions,
        "why": record.why,
    }
