"""What a snapshot says, in words that the text and the page share. Pure."""

from __future__ import annotations

from typing import Any

from dbambassador.observability.wording import count, duration

Snapshot = dict[str, Any]

MOST_NAMED = 4
"""Addresses or names in one line; the table has more of them."""


def summary(snapshot: Snapshot) -> str:
    """The state of the process in a few words."""
    words = {
        "locating": "finding out where this runs",
        "awaiting": "waiting to know the environment",
        "running": "ready" if snapshot["ready"] else "starting",
        "draining": "shutting down",
    }
    phase = str(snapshot["phase"])
    return words.get(phase, phase)


def situation(database: Snapshot) -> str:
    """How it stands with one database, in one sentence."""
    choice = database["choice"]
    if choice["address"] is not None:
        use = "on trial with the next session" if choice["on_trial"] else "in use"
        return f"{use}: {few(choice['pool'])}"
    looking = "no usable address" if choice["settled"] else "looking for a usable address"
    held = f"; clients wait {duration(choice['held_seconds'])} more" if choice["held_seconds"] > 0 else ""
    return f"{looking}: {choice['why']}{held}"


def names(database: Snapshot) -> list[str]:
    """The names that lead to where new sessions go, or all of them while they go nowhere."""
    pool = set(database["choice"]["pool"])
    targets = database["targets"]["addresses"]
    return list(dict.fromkeys(each["name"] for each in targets if not pool or each["address"] in pool))


def path(database: Snapshot) -> list[str]:
    """The way of a client's bytes: app, listeners, names, addresses."""
    return [
        "app",
        few(database["listeners"]) or "not listening",
        few(names(database)) or "no name",
        few(database["choice"]["pool"]) or "no address",
    ]


def lookup(database: Snapshot) -> str:
    """How fresh the answer of the DNS is, and what is wrong with it."""
    targets = database["targets"]
    asked, ttl = targets["asked_seconds_ago"], targets["ttl_seconds"]
    parts = ["not asked yet" if asked is None else f"asked {duration(asked)} ago"]
    if ttl is not None:
        parts.append(f"good for {duration(ttl)} more")
    if targets["stale"]:
        parts.append("stale: the last known answer is used")
    if targets["failure"]:
        parts.append(f"failed: {targets['failure']}")
    return ", ".join(parts)


def would_choose(drift: Snapshot) -> str:
    """What a start would choose now."""
    return drift["would_choose"] or "no environment"


def drifted(drift: Snapshot) -> str:
    """What has changed since the choice."""
    since, choice = duration(drift["since_seconds"]), would_choose(drift)
    return f"changed {since} ago: {few(drift['facts'])}; a start would choose {choice}: {drift['why']}"


def reloaded(reload: Snapshot) -> str:
    """How the last reload of the environment files ended; nothing if there was none."""
    if reload["seconds_ago"] is None:
        return ""
    ago = f"{duration(reload['seconds_ago'])} ago"
    if reload["successful"]:
        return f"files read anew {ago}: {few(reload['changes']) or 'nothing changed'}"
    return (
        f"files read {ago} are refused, those read {duration(reload['loaded_seconds_ago'])} ago stay in use"
    )


def traits(database: Snapshot) -> list[str]:
    """What kind of database it is, as its settings have it."""
    tls, attrs = database["sslmode"], database["target_session_attrs"]
    return [
        database["protocol"],
        *([f"sslmode {tls}"] if tls is not None else []),
        *([attrs] if attrs != "any" else []),
        *([database["balance"]] if database["balance"] is not None else []),
    ]


def ranked(database: Snapshot) -> list[Snapshot]:
    """Its addresses: those in use first, then those with sessions, then as they are."""
    pool = {address: place for place, address in enumerate(database["choice"]["pool"])}
    last = len(pool)
    return sorted(
        database["addresses"],
        key=lambda each: (pool.get(each["address"], last), not each["sessions"]),
    )


def few(texts: list[str]) -> str:
    """Some of them, and how many more there are."""
    more = len(texts) - MOST_NAMED
    shown = ", ".join(map(str, texts[:MOST_NAMED]))
    return f"{shown} and {more} more" if more > 0 else shown


def sessions(database: Snapshot) -> str:
    """`3 sessions, 1 client waiting`."""
    held = f", {count(database['held'], 'client')} waiting" if database["held"] else ""
    return f"{count(database['sessions'], 'session')}{held}"
