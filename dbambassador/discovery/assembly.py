"""The answers to all endpoints of a database, put together into one set of targets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from dbambassador.values import Step, Target, Targets

MAX_TARGETS = 64
"""Addresses of one database. A longer answer is cut after sorting, so that the cut is always the same one."""


def merge(parts: Sequence[Targets]) -> Targets:
    """One set from the answers to several endpoints, in the order of the endpoints.

    Targets are ordered by SRV priority, then endpoint, then address (IPv4 first), so that a server that
    rotates its records changes nothing. An address that two endpoints name counts once, for the first. The
    set is as old as its oldest part and expires with its first; it is stale if a part is, and every failure
    is told.
    """
    ordered = sorted(
        (
            (target.priority, index, _place(target), target)
            for index, part in enumerate(parts)
            for target in part.targets
        ),
        key=lambda row: row[:3],
    )
    unique = {target.address: target for *_, target in reversed(ordered)}
    targets = [target for *_, target in ordered if unique[target.address] is target]
    return Targets(
        targets=tuple(targets[:MAX_TARGETS]),
        steps=_once(step for part in parts for step in part.steps),
        asked_at=min((part.asked_at for part in parts), default=0.0),
        expires_at=min((part.expires_at for part in parts), default=0.0),
        stale=any(part.stale for part in parts),
        failure="; ".join(dict.fromkeys(part.failure for part in parts if part.failure)),
    )


def _once(steps: Iterable[Step]) -> tuple[Step, ...]:
    """A and AAAA follow the same aliases, and two services may share a host: each step is shown once."""
    return tuple({(step.question, step.kind, step.answer, step.server): step for step in steps}.values())


def _place(target: Target) -> tuple[int, int, int]:
    # IPv4 first, against RFC 6724: where a database has both, it is IPv6 that more often lacks a route or a
    # listener; and where only the second one works, sessions race the two.
    address = ip_address(target.address.host)
    return address.version, int(address), target.address.port
