"""What of a choice goes on when the settings of its database become others. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import MappingProxyType

from dbambassador.health.choice import Standing
from dbambassador.settings.schema import Database, HostEndpoint
from dbambassador.values import Address


def retired(
    before: Database,
    now: Database,
    serving: Iterable[Address],
    already: frozenset[Address],
    name: Callable[[Address], str],
) -> frozenset[Address]:
    """The addresses that only former endpoints lead to.

    To be dropped by the DNS is another thing: the sessions of a pool stay where it once led. This is a
    person's word that they are to leave.

    Args:
      serving: those that have sessions.
      already: those of which it was so before.
      name: of an address's host, as it was resolved.
    """
    if before.endpoints == now.endpoints:
        return already
    former, latter = _hosts(before), _hosts(now)
    services = {each for each in before.endpoints if not isinstance(each, HostEndpoint)}
    if services <= set(now.endpoints):
        left = {address for address in serving if (name(address), address.port) in former}
    else:
        left = set(serving)
    return frozenset(address for address in left | already if (name(address), address.port) not in latter)


def alone(standing: Standing, sessions: Callable[[Address], int]) -> Standing:
    """A pool that is one no longer: the host with most sessions goes on, and those of the others end."""
    choice = standing.choice
    if not choice.pool:
        return standing
    host = max(choice.pool, key=lambda target: sum(map(sessions, target.addresses)))
    tenures = {address: choice.tenures[address] for address in host.addresses}
    only = replace(choice, epoch=choice.epoch + 1, pool=(host,), tenures=MappingProxyType(tenures))
    return Standing(only, standing.lost_at, host)


def _hosts(database: Database) -> set[tuple[str, int]]:
    return {
        (each.host.removesuffix("."), each.port)
        for each in database.endpoints
        if isinstance(each, HostEndpoint)
    }
