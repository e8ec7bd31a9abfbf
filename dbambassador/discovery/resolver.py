"""Endpoints to targets, as the system's resolver would: literals, `localhost`, the hosts file, then DNS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import trio

from dbambassador.discovery import wording
from dbambassador.discovery.answers import Question
from dbambassador.discovery.assembly import merge
from dbambassador.discovery.cache import MAX_TTL
from dbambassador.discovery.hosts import canonical, parse_hosts
from dbambassador.discovery.lookup import Lookup
from dbambassador.discovery.nameserver import parse_nameserver
from dbambassador.discovery.parts import Gather, Part, all_of
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

    async def resolve(
        self, endpoints: Sequence[Endpoint], *, after: float | None = None, gather: Gather = all_of
    ) -> Targets:
        """The addresses that the endpoints lead to now, all looked up side by side, within some seconds.

        `after` goes past the cache: to answers whose questions were put later than that, or are under way.
        Never raises for DNS or the network: `Targets.failure` tells.
        """
        self._follow_configuration()
        inquiry = _Inquiry(self._search, after, gather)
        return merge(await gather([self._part(endpoint, inquiry) for endpoint in endpoints]))

    def _part(self, endpoint: Endpoint, inquiry: _Inquiry) -> Part:
        match endpoint:
            case HostEndpoint():
                return self._host_part(endpoint, 0, inquiry)
            case SrvEndpoint():
                question = Question(endpoint.name.removesuffix("."), "SRV")
                look_up = partial(self._services, endpoint.name, inquiry)
                return Part(endpoint, question, 0, inquiry.search, look_up)

    def _host_part(self, endpoint: HostEndpoint, priority: int, inquiry: _Inquiry) -> Part:
        question = Question(endpoint.host.removesuffix("."), "A")
        look_up = partial(self._host, endpoint, priority, inquiry)
        return Part((endpoint, priority), question, priority, inquiry.search, look_up)

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

    async def _host(self, endpoint: HostEndpoint, priority: int, inquiry: _Inquiry) -> Targets:
        name = endpoint.host.removesuffix(".")
        local = self._without_dns(name)
        if local:
            addresses, step, ttl = local
            now = trio.current_time()
            answer = Targets(steps=(step,), asked_at=now, expires_at=now + ttl)
        else:
            found = await inquiry.search.find(endpoint.host, ("A", "AAAA"), after=inquiry.after)
            addresses = tuple(address for each in found.answers for address in each.addresses)
            answer = Targets((), found.steps, found.asked_at, found.expires_at, found.stale, found.failure)
        targets = [
            Target(Address(address, endpoint.port), name, priority, endpoint.weight, endpoint.zone)
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

    async def _services(self, name: str, inquiry: _Inquiry) -> Targets:
        found = await inquiry.search.find(name, ("SRV",), after=inquiry.after)
        record = Targets((), found.steps, found.asked_at, found.expires_at, found.stale, found.failure)
        services = [service for answer in found.answers for service in answer.services]
        offered = [each for each in services if each.target][:MAX_SERVICES]
        if services and not offered:
            server = found.answers[0].server
            return replace(record, failure=wording.declined(name, server))
        # Full names: RFC 2782 targets are never completed from the search list.
        hosts = [
            self._host_part(HostEndpoint(each.target + ".", each.port, each.weight), each.priority, inquiry)
            for each in offered
        ]
        return merge([record, *await inquiry.gather(hosts)])


@dataclass(frozen=True, slots=True)
class _Inquiry:
    """One call of `resolve`."""

    search: Search
    after: float | None
    gather: Gather
