"""Endpoints to targets, as the system's resolver would: literals, `localhost`, the hosts file, then DNS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import trio

from dbambassador.discovery import wording
from dbambassador.discovery.answers import Service
from dbambassador.discovery.assembly import merge
from dbambassador.discovery.cache import MAX_TTL
from dbambassador.discovery.hosts import canonical, parse_hosts
from dbambassador.discovery.lookup import Lookup
from dbambassador.discovery.nameserver import parse_nameserver
from dbambassador.discovery.resolv_conf import ResolvConf, parse_resolv_conf
from dbambassador.discovery.search import Search
from dbambassador.discovery.watched_file import WatchedFile
from dbambassador.events import Publish
from dbambassador.settings.schema import Endpoint, HostEndpoint, SrvEndpoint
from dbambassador.values import Address, Step, Target, Targets

LOOPBACK = ("127.0.0.1", "::1")
LOCAL_TTL = 5.0
"""Seconds after which a name of the hosts file is looked up again: a stat, while the file is unchanged."""
MAX_SERVICES = 16
"""SRV records that are followed, in the order of RFC 2782; each costs two questions."""


class Resolver:
    """Finds the addresses of endpoints. One for each process: all databases share its cache.

    To be used within `trio.run`. It holds no sockets between lookups; a question that nobody waits for any
    more ends by itself within seconds.
    """

    def __init__(self, root: Path, nameservers: Sequence[str], publish: Publish) -> None:
        """`root` prefixes /etc/hosts and /etc/resolv.conf; `nameservers`, as `HOST[:PORT]`, replace
        those of the latter.

        Raises:
            UsageError: a nameserver is not an IP address with an optional port.
        """
        self._nameservers = tuple(parse_nameserver(text) for text in nameservers)
        self._hosts = WatchedFile(root, "/etc/hosts", parse_hosts)
        self._resolv_conf = WatchedFile(root, "/etc/resolv.conf", parse_resolv_conf)
        self._publish = publish
        self._configuration = ResolvConf()
        self._lookup = Lookup(self._configuration, publish)
        self._search = Search(self._lookup)

    async def resolve(self, endpoints: Sequence[Endpoint], *, fresh: bool = False) -> Targets:
        """The addresses that the endpoints lead to now, all looked up side by side, within some seconds.

        `fresh` goes past the cache. Never raises for DNS or the network: `Targets.failure` tells.
        """
        self._follow_configuration()
        parts: dict[int, Targets] = {}

        async def look_up(index: int, endpoint: Endpoint) -> None:
            match endpoint:
                case HostEndpoint():
                    parts[index] = await self._host(endpoint, fresh)
                case SrvEndpoint():
                    parts[index] = await self._services(endpoint.name, fresh)

        async with trio.open_nursery() as nursery:
            for index, endpoint in enumerate(endpoints):
                nursery.start_soon(look_up, index, endpoint)
        return merge([parts[index] for index in sorted(parts)])

    def _follow_configuration(self) -> None:
        configuration = self._resolv_conf.current()
        if self._nameservers:
            configuration = replace(configuration, nameservers=self._nameservers)
        if configuration != self._configuration:
            # What other nameservers answered says nothing here, unless these fail altogether: a file that is
            # being rewritten, or names a dead server, must not take a healthy database away.
            former = self._lookup.cache.over(self._lookup.former)
            self._configuration = configuration
            self._lookup = Lookup(configuration, self._publish, former)
            self._search = Search(self._lookup)

    async def _host(self, endpoint: HostEndpoint, fresh: bool) -> Targets:
        name = endpoint.host.removesuffix(".")
        local = self._without_dns(name)
        if local:
            addresses, step, ttl = local
            now = trio.current_time()
            answer = Targets(steps=(step,), asked_at=now, expires_at=now + ttl)
        else:
            found = await self._search.find(endpoint.host, ("A", "AAAA"), fresh=fresh)
            addresses = tuple(address for each in found.answers for address in each.addresses)
            answer = Targets((), found.steps, found.asked_at, found.expires_at, found.stale, found.failure)
        targets = [
            Target(Address(address, endpoint.port), name, weight=endpoint.weight, zone=endpoint.zone)
            for address in addresses
        ]
        return replace(answer, targets=tuple(targets))

    def _without_dns(self, name: str) -> tuple[Sequence[str], Step, float] | None:
        """Addresses that need no nameserver, the step that found them, and the seconds they are good for."""
        try:
            literal = str(ip_address(name))
        except ValueError:
            pass
        else:
            return (literal,), Step(name, "literal", literal), MAX_TTL
        key = canonical(name)
        if key == "localhost" or key.endswith(".localhost"):
            return LOOPBACK, Step(name, "literal", wording.listed(LOOPBACK), "RFC 6761"), MAX_TTL
        addresses = self._hosts.current().get(key)
        if addresses is None:
            return None
        return addresses, Step(name, "hosts", wording.listed(addresses), str(self._hosts.path)), LOCAL_TTL

    async def _services(self, name: str, fresh: bool) -> Targets:
        found = await self._search.find(name, ("SRV",), fresh=fresh)
        record = Targets((), found.steps, found.asked_at, found.expires_at, found.stale, found.failure)
        services = [service for answer in found.answers for service in answer.services]
        offered = sorted((each for each in services if each.target), key=_preference)[:MAX_SERVICES]
        if services and not offered:
            server = found.answers[0].server
            return replace(record, failure=wording.declined(name, server))
        parts: dict[Service, Targets] = {}

        async def look_up(service: Service) -> None:
            # A full name: RFC 2782 targets are never completed from the search list.
            endpoint = HostEndpoint(service.target + ".", service.port, service.weight)
            part = await self._host(endpoint, fresh)
            targets = tuple(replace(target, priority=service.priority) for target in part.targets)
            parts[service] = replace(part, targets=targets)

        async with trio.open_nursery() as nursery:
            for service in offered:
                nursery.start_soon(look_up, service)
        return merge([record, *(parts[service] for service in offered)])


def _preference(service: Service) -> tuple[int, int, str, int]:
    return service.priority, -service.weight, service.target, service.port
