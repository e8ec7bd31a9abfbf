"""What is wrong, in one sentence: the first thing that a person reads. Pure.

No sentence holds a time or a number that changes by itself: it is read aloud whenever it changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dbambassador.observability.sentences import few, would_choose
from dbambassador.printable import printable, shortened

Snapshot = dict[str, Any]

LONGEST = 240
"""Characters of each part: two lines of a page."""


class Mood(IntEnum):
    """How it stands; a higher one is worse."""

    WELL = 0
    PASSING = 1
    """On its way to another state, as it should be: starting, shutting down."""
    REDUCED = 2
    """Served, or waited for, but something is not as it should be."""
    TROUBLE = 3
    """Somebody is not served."""


MARKS = {Mood.WELL: "●", Mood.PASSING: "◌", Mood.REDUCED: "▲", Mood.TROUBLE: "✖"}
"""A shape for each: no colour speaks alone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to be said."""

    mood: Mood
    what: str
    """Ours: a few words, without a full stop."""
    why: str = ""
    """Somebody else's, as a rule. Both are bounded, and without a character that is not visible."""

    def __str__(self) -> str:
        """As a sentence."""
        whole = f"{self.what}: {self.why}" if self.why else self.what
        return whole if whole.endswith((".", "…")) else f"{whole}."


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst thing to be said, and what else there is, worse things first."""

    first: Finding
    more: tuple[Finding, ...] = ()

    @property
    def mood(self) -> Mood:
        return self.first.mood


def verdict(snapshot: Snapshot) -> Verdict:
    """How it stands with the whole process."""
    found = sorted(_findings(snapshot), key=lambda finding: -finding.mood)
    if not found or found[0].mood is Mood.WELL:
        found.insert(0, _all_is_well(snapshot["databases"]))
    return Verdict(found[0], tuple(found[1:]))


def of_database(database: Snapshot) -> Mood:
    """How it stands with one of them."""
    return max((finding.mood for finding in _of_database(database)), default=Mood.WELL)


def _findings(snapshot: Snapshot) -> Iterator[Finding]:
    awaiting, drift, clients = snapshot["awaiting"], snapshot["drift"], snapshot["clients"]
    phase = snapshot["phase"]
    if awaiting is not None:
        why = f"{few(awaiting['facts'])}: {awaiting['reason']}"
        yield _finding(Mood.TROUBLE, "The environment is not known yet", why)
    elif phase == "locating":
        yield _finding(Mood.PASSING, "Finding out where this runs")
    elif phase == "draining":
        yield _finding(Mood.PASSING, "Shutting down: sessions may end, and no new ones come")
    elif not snapshot["ready"]:
        yield _finding(Mood.PASSING, "Starting")
    if clients["limit"] is not None and clients["connected"] >= clients["limit"]:
        yield _finding(
            Mood.TROUBLE, "No more clients are let in", f"there are {clients['limit']}, the most there may be"
        )
    for database in snapshot["databases"]:
        yield from _of_database(database)
    reload = snapshot["reload"]
    if reload is not None and not reload["successful"]:
        what = "Changed environment files are refused, those of before stay in use"
        yield _finding(Mood.REDUCED, what, few(reload["problems"]))
    if drift is not None:
        yield _finding(Mood.REDUCED, f"A restart would choose {would_choose(drift)}", drift["why"])


def _of_database(database: Snapshot) -> Iterator[Finding]:
    name = database["name"]
    choice, targets = database["choice"], database["targets"]
    if choice["address"] is None:
        if choice["settled"] and choice["held_seconds"] <= 0:
            yield _finding(
                Mood.TROUBLE, f"{name} has no usable address, and clients are refused", choice["why"]
            )
        else:
            yield _finding(
                Mood.REDUCED, f"{name} has no usable address, and clients wait for one", choice["why"]
            )
    elif choice["on_trial"]:
        why = "only the next session can tell whether its address is of use again"
        yield _finding(Mood.REDUCED, f"{name} is tried out", why)
    if targets["failure"] and choice["address"] is not None:
        yield _finding(Mood.REDUCED, _failing(database), targets["failure"])
    if database["certificates"]:
        yield _finding(
            Mood.REDUCED, f"Changed certificates of {name} cannot be used", database["certificates"]
        )
    if choice["address"] is not None:
        yield from _out_of_use(database)
        yield from _of_hidden_role(database)


def _failing(database: Snapshot) -> str:
    """What becomes of clients where the DNS does not answer, or answers that a name does not exist."""
    name, targets = database["name"], database["targets"]
    if targets["stale"]:
        return f"DNS fails, and the last known answer for {name} is used"
    if targets["addresses"]:
        return f"DNS fails for a part of {name}"
    return f"DNS gives no address for {name}, and its former one is used"


def _out_of_use(database: Snapshot) -> Iterator[Finding]:
    """Addresses that failed while others serve: no harm yet, and good to know."""
    name, pool = database["name"], set(database["choice"]["pool"])
    failed = [
        each
        for each in database["addresses"]
        if each["state"] in ("down", "open") and each["address"] not in pool
    ]
    if len(failed) == 1:
        (address,) = failed
        yield _finding(Mood.WELL, f"{address['address']} of {name} is {address['state']}", address["why"])
    elif failed:
        yield _finding(Mood.WELL, f"{len(failed)} other addresses of {name} are down")


def _of_hidden_role(database: Snapshot) -> Iterator[Finding]:
    """An address with sessions of which none told the role, where it matters: it may be the wrong one."""
    wanted = database["target_session_attrs"]
    hidden = [
        each["address"] for each in database["addresses"] if each["sessions"] and each["role"] == "unknown"
    ]
    if hidden and wanted != "any":
        what = f"Whether {few(hidden)} of {database['name']} is {wanted} cannot be seen"
        mood = Mood.REDUCED if _hosts(database) > 1 else Mood.WELL  # the next session may come to another
        yield _finding(mood, what, "its sessions do not tell, and no check logs in")


def _hosts(database: Snapshot) -> int:
    """How many hosts the addresses of a database are of: an address of each family may be the same host's."""
    families = Counter((each["name"], each["address"].startswith("[")) for each in database["addresses"])
    return sum(max(families[name, False], families[name, True]) for name in {name for name, _ in families})


def _all_is_well(databases: list[Snapshot]) -> Finding:
    if len(databases) == 1:
        (database,) = databases
        return _finding(Mood.WELL, f"{database['name']} is served by {few(database['choice']['pool'])}")
    if not databases:
        return _finding(Mood.WELL, "Running, without any database")
    return _finding(Mood.WELL, f"All {len(databases)} databases are served")


def _finding(mood: Mood, what: str, why: object = "") -> Finding:
    return Finding(mood, printable(shortened(what, LONGEST)), printable(shortened(str(why), LONGEST)))
