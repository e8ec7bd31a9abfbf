"""`wait --for database|primary`: looks for the databases itself, whether or not an ambassador runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import trio

from dbambassador.discovery.resolver import Resolver
from dbambassador.errors import UsageError
from dbambassador.events import Event
from dbambassador.health.evidence import Role, Signal
from dbambassador.health.probes import Blocked, Prober
from dbambassador.health.roles import fits
from dbambassador.locate import locate, refusal, request_from
from dbambassador.settings.schema import Database, TargetSessionAttrs
from dbambassador.transport.tls_files import encryption_of

READERS = (TargetSessionAttrs.READ_ONLY, TargetSessionAttrs.STANDBY, TargetSessionAttrs.PREFER_STANDBY)
INTERVAL = 0.2
"""Seconds between two looks."""


class _Awaited:
    """What is still missing, in words, for whoever waits in vain."""

    missing = "nothing was found out yet"


def wait_for_databases(options: argparse.Namespace) -> str:
    """Looks for `options.max` seconds at most. Returns: what was still missing then; empty if nothing.

    Raises:
      InvalidConfiguration, NoEnvironment.
      UsageError: a check does not tell the role that is waited for.
    """
    return trio.run(_wait, options)


async def _wait(options: argparse.Namespace) -> str:
    awaited = _Awaited()
    with trio.move_on_after(options.max) as limit:
        await _for_databases(options, awaited)
    return awaited.missing if limit.cancelled_caught else ""


async def _for_databases(options: argparse.Namespace, awaited: _Awaited) -> None:
    request = request_from(options, os.environ)
    while True:
        located = await locate(request)
        if located.profile is not None:
            break
        if not located.retryable:
            raise refusal(located)
        awaited.missing = located.selection.why
        await trio.sleep(INTERVAL)
    databases = located.profile.databases
    if options.awaited == "primary":
        databases = tuple(_asking_for_primary(database) for database in databases)
    resolver = Resolver(request.root, options.nameserver, _ignore)
    missing = {database.name: "not looked for yet" for database in databases}
    probers = [Prober(database, encryption_of(database, _ignore)) for database in databases]
    async with trio.open_nursery() as nursery:
        for database, prober in zip(databases, probers, strict=True):
            look = partial(_what_is_missing, database, resolver, prober)
            nursery.start_soon(_for_database, database.name, look, missing, awaited)


def _asking_for_primary(database: Database) -> Database:
    """The database with a primary asked for, unless it is one of readers.

    Raises:
      UsageError: its check does not tell a server's role.
    """
    if database.target_session_attrs in READERS:
        return database
    of_primary = database.check.http and database.target_session_attrs is not TargetSessionAttrs.ANY
    if not (database.check.login or of_primary):
        raise UsageError(
            "wait --for primary: a server tells its role only to those who log in, and the check of database "
            f"{database.name} does not",
            hint="give its check a user, or an http endpoint of the primary, or use --for database",
        )
    return replace(database, target_session_attrs=TargetSessionAttrs.READ_WRITE)


async def _for_database(
    name: str, look: Callable[[], Awaitable[str]], missing: dict[str, str], awaited: _Awaited
) -> None:
    while missing[name]:
        missing[name] = await look()
        awaited.missing = "; ".join(f"{name}: {why}" for name, why in missing.items() if why)
        if missing[name]:
            await trio.sleep(INTERVAL)


async def _what_is_missing(database: Database, resolver: Resolver, prober: Prober) -> str:
    """Empty where an address is as it should be."""
    targets = await resolver.resolve(database.endpoints, after=trio.current_time())
    why = targets.failure or "no address"
    for target in targets.targets:
        address = target.address
        try:
            evidence = await prober.probe(address, target.name)
        except Blocked as blocked:
            why = f"{address}: {blocked}"
            continue
        if evidence is None:
            why = "this host has no file descriptor or port left"
        elif evidence.signal is Signal.ANSWERED and _fits(evidence.role, database):
            return ""
        elif evidence.signal is Signal.ANSWERED:
            why = f"{address}: {evidence.detail} (role {evidence.role.value})"
        else:
            why = f"{address}: {evidence.detail}"
    return why


def _fits(role: Role, database: Database) -> bool:
    """An unknown role is not enough for those who asked the check for it."""
    if role is Role.UNKNOWN:
        return not database.check.tells_role or database.target_session_attrs is TargetSessionAttrs.ANY
    return fits(role, database.target_session_attrs)


def _ignore(event: Event) -> None:
    """Nobody follows the events of a command that waits."""
