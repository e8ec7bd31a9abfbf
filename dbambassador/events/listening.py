"""Addresses that are listened at, for clients and for HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.events.event import Event


@dataclass(frozen=True, slots=True)
class ListenerOpened(Event):
    database: str
    address: str


@dataclass(frozen=True, slots=True)
class ListenerSkipped(Event):
    """An optional address that this host cannot have (no IPv6)."""

    database: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class HttpOpened(Event):
    purpose: str
    """`health` or `admin`."""
    address: str


@dataclass(frozen=True, slots=True)
class HttpSkipped(Event):
    purpose: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class RequestCrashed(Event):
    """A bug: answering an HTTP request ended with an exception."""

    purpose: str
    path: str
    error: str


@dataclass(frozen=True, slots=True)
class DescriptorsExhausted(Event):
    """The process has no file descriptor left for `what`; published once until it recovers."""

    what: str


@dataclass(frozen=True, slots=True)
class DescriptorsRecovered(Event):
    what: str
