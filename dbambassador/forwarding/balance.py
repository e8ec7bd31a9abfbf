"""Which of several equally allowed targets gets a new session. Pure.

A target's share is its weight in whole thousandths, so that turns come out exactly. A weight of zero counts
as one of them, a thousandth of a weight of one: RFC 2782 leaves it "a very small chance" beside others, and
where all weights are zero, all are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import gcd, log
from random import Random
from threading import Lock
from typing import Protocol

from dbambassador.settings.schema import Balance
from dbambassador.values import Address, Target

WHOLE = 1000
"""The share of a weight of one."""
LONGEST_SKIP = 256
"""Turns that a round may skip at its start: fair to half a percent, and over in a millisecond."""
REMEMBERED = 256
"""Hosts whose place in the round is kept, gone ones included: four times the most that a pool has. With more,
the round begins anew."""


class Balancer(Protocol):
    """A way of sharing new sessions, for sessions of more than one thread."""

    def pick(self, pool: Sequence[Target], key: bytes) -> Target:
        """The target of one new session.

        Args:
          pool: at least one target; no address twice.
          key: what is known of the session (user and database); empty: nothing.
        """


def balancer(
    balance: Balance | None, sessions: Callable[[Address], int], chance: Random | None = None
) -> Balancer:
    """The balancer of one database.

    Args:
      balance: None: always the first of the pool.
      sessions: how many sessions an address has now.
      chance: where random numbers come from; None: a generator of its own.
    """
    chance = chance or Random()
    match balance:
        case None:
            return _First()
        case Balance.ROUND_ROBIN:
            return _RoundRobin(chance)
        case Balance.LEAST_CONNECTIONS:
            return _LeastConnections(sessions, _RoundRobin(chance))
        case Balance.RANDOM:
            return _Random(chance)
        case Balance.HASH:
            return _Hash(_RoundRobin(chance))


class _First:
    def pick(self, pool: Sequence[Target], key: bytes) -> Target:
        return pool[0]


class _RoundRobin:
    """Smooth weighted round-robin, as in nginx (ngx_stream_upstream_round_robin.c).

    At each turn every host is credited with its share; the one with the most credit is picked and pays the
    sum of all shares. That sum is worth one session. Counted in sessions, a host keeps its credit through any
    change of the pool and its weights, and while it is gone: no change is followed by a burst.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._lock = Lock()
        self._pool: tuple[Target, ...] = ()
        self._shares: list[int] = []
        self._total = 0
        self._credits: list[int] = []
        self._owed: dict[Address, float] = {}
        """Credit of all hosts, in sessions; of those in the pool, as it was when that was taken up."""

    def pick(self, pool: Sequence[Target], key: bytes) -> Target:
        with self._lock:
            if (pool := tuple(pool)) != self._pool:
                self._take_up(pool)
            return pool[self._turn()]

    def _turn(self) -> int:
        """The place in the pool whose turn it is."""
        earned = [credit + share for credit, share in zip(self._credits, self._shares, strict=True)]
        place = earned.index(max(earned))
        earned[place] -= self._total
        self._credits = earned
        return place

    def _take_up(self, pool: tuple[Target, ...]) -> None:
        for target, credit in zip(self._pool, self._credits, strict=True):
            self._owed[_host(target)] = credit / self._total
        if len(self._owed) > REMEMBERED:
            self._owed.clear()
        hosts = [_host(target) for target in pool]
        self._pool = pool
        self._shares = [_share(target) for target in pool]
        self._total = sum(self._shares)
        self._credits = [round(self._owed.get(host, 0.0) * self._total) for host in hosts]
        if not self._owed.keys() >= set(hosts):
            self._skip()

    def _skip(self) -> None:
        """Goes to a random place of the round: otherwise all ambassadors, each with a few sessions, would
        send their first to the same host."""
        turns = self._total // gcd(*self._shares)
        for _ in range(self._chance.randrange(min(turns, LONGEST_SKIP))):
            self._turn()


class _LeastConnections:
    """The fewest sessions for its share, the new one counted; equals take turns."""

    def __init__(self, sessions: Callable[[Address], int], turns: _RoundRobin) -> None:
        self._sessions = sessions
        self._turns = turns

    def pick(self, pool: Sequence[Target], key: bytes) -> Target:
        loads = [self._load(target) for target in pool]
        least = min(loads)
        equals = [target for target, load in zip(pool, loads, strict=True) if load == least]
        return equals[0] if len(equals) == 1 else self._turns.pick(equals, key)

    def _load(self, target: Target) -> float:
        return (sum(map(self._sessions, target.addresses)) + 1) / _share(target)


class _Random:
    """By lot, according to the shares."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def pick(self, pool: Sequence[Target], key: bytes) -> Target:
        return self._chance.choices(pool, [_share(target) for target in pool])[0]


class _Hash:
    """Weighted rendezvous hashing: each host draws its score from the key, and the highest wins.

    All ambassadors agree, in whatever order they know the hosts. A host that comes, leaves or changes its
    weight changes no other's score, so only keys that it wins or loses move. Sessions of which nothing is
    known take turns. https://en.wikipedia.org/wiki/Rendezvous_hashing#Weighted_rendezvous_hash
    """

    def __init__(self, turns: _RoundRobin) -> None:
        self._turns = turns

    def pick(self, pool: Sequence[Target], key: bytes) -> Target:
        if not key:
            return self._turns.pick(pool, key)
        return max(pool, key=lambda target: _score(target, key))


def _score(target: Target, key: bytes) -> tuple[float, Address]:
    host = _host(target)
    digest = blake2b(f"{host}\0".encode() + key, digest_size=8).digest()
    # 52 bits and a half: exact as a float, and never 0 or 1.
    drawn = ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52
    return -_share(target) / log(drawn), host


def _share(target: Target) -> int:
    return target.weight * WHOLE or 1


def _host(target: Target) -> Address:
    """What a host is known by: its IPv4 address if it has one, whichever family is preferred."""
    other = target.alternate
    return target.address if other is None or ":" in other.host else other
