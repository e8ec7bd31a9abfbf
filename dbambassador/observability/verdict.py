"""What is wrong, in one sentence: the first thing that a person reads. Pure.

No sentence holds a time or a number that changes by itself: it is read aloud whenever it changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dbambassador.printable import printable, shortened

Snapshot = dict[str, Any]

LONGEST_REASON = 240
"""Characters of somebody else's words: two lines of a page."""


class Mood(IntEnum):
    """How it stands; a higher one is worse."""

    WELL = 0
    PASSING = 1
    """On its way to another state, as it should be: starting, shutting down."""
    REDUCED = 2
    """Served, or waited for, but something is not as it should be."""
    TROUBLE = 3
    """Somebody is not served."""


@dataclass(frozen=True, slots=True)
class Verdict:
    mood: Mood
    sentence: str
    """Without a control character, and not too long."""
    more: tuple[str, ...] = ()
    """What else there is to say, the worst first."""


def verdict(snapshot: Snapshot) -> Verdict:
    """How it stands with the whole process."""
    found = sorted(_findings(snapshot), key=lambda finding: -finding[0])
    if not found or found[0][0] is Mood.WELL:
        found.insert(0, (Mood.WELL, _all_is_well(snapshot["databases"])))
    (mood, sentence), *more = found
    return Verdict(mood, sentence, tuple(text for _, text in more))


def of_database(database: Snapshot) -> Mood:
    """How it stands with one of them."""
    return max((mood for mood, _ in _of_database(database)), default=Mood.WELL)


_Finding = tuple[Mood, str]


def _findings(snapshot: Snapshot) -> Iterator[_Finding]:
    awaiting, drift, clients = snapshot["awaiting"], snapshot["drift"], snapshot["clients"]
    phase = snapshot["phase"]
    if awaiting is not None:
        missing = ", ".join(map(str, awaiting["facts"]))
        yield Mood.TROUBLE, _words(f"The environment is not known yet: {missing}: ", awaiting["reason"])
    elif phase == "locating":
        yield Mood.PASSING, "Finding out where this runs."
    elif phase == "draining":
        yield Mood.PASSING, "Shutting down: open sessions may end, and then it is gone."
    elif not snapshot["ready"]:
        yield Mood.PASSING, "Starting."
    if clients["limit"] is not None and clients["connected"] >= clients["limit"]:
        yield Mood.TROUBLE, "There are as many clients as may be, and no more are let in."
    for database in snapshot["databases"]:
        yield from _of_database(database)
    if drift is not None:
        choice = printable(drift["would_choose"] or "no environment")
        yield Mood.REDUCED, _words(f"A restart would choose {choice}: ", drift["why"])


def _of_database(database: Snapshot) -> Iterator[_Finding]:
    name = printable(shortened(str(database["name"]), LONGEST_REASON))
    choice, targets = database["choice"], database["targets"]
    if choice["address"] is None:
        refused = choice["settled"] and choice["held_seconds"] <= 0
        mood, what = (
            (Mood.TROUBLE, "clients are refused") if refused else (Mood.REDUCED, "clients wait for one")
        )
        yield mood, _words(f"{name} has no usable address, and {what}: ", choice["why"])
    elif choice["on_trial"]:
        yield Mood.REDUCED, f"{name}: only the next session can tell whether its address is of use again."
    if targets["failure"] and choice["address"] is not None:
        yield (
            Mood.REDUCED,
            _words(f"{name}: DNS fails, and the last known answer is used: ", targets["failure"]),
        )
    if database["certificates"]:
        yield (
            Mood.REDUCED,
            _words(f"{name}: changed certificates cannot be used: ", database["certificates"]),
        )
    if choice["address"] is not None:
        yield from _out_of_use(name, database)


def _out_of_use(name: str, database: Snapshot) -> Iterator[_Finding]:
    """Addresses that failed while others serve: no harm yet, and good to know."""
    pool = set(database["choice"]["pool"])
    failed = [
        each
        for each in database["addresses"]
        if each["state"] in ("down", "open") and each["address"] not in pool
    ]
    if len(failed) > 1:
        yield Mood.WELL, f"{len(failed)} other addresses of {name} are down."
    for address in failed[:1] if len(failed) == 1 else ():
        yield (
            Mood.WELL,
            _words(f"{printable(address['address'])} of {name} is {address['state']}: ", address["why"]),
        )


def _all_is_well(databases: list[Snapshot]) -> str:
    if len(databases) == 1:
        (database,) = databases
        pool = database["choice"]["pool"]
        where = pool[0] if len(pool) == 1 else f"{len(pool)} addresses"
        return _words(f"All is well: {printable(database['name'])} is served by ", where)
    if not databases:
        return "Running, without any database."
    return f"All is well: all {len(databases)} databases are served."


def _words(ours: str, theirs: object) -> str:
    said = printable(shortened(str(theirs), LONGEST_REASON))
    return f"{ours}{said}" if said.endswith((".", "…")) else f"{ours}{said}."
