"""The resolver's configuration, resolv.conf(5), with glibc's bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from dbambassador.discovery.nameserver import DNS_PORT
from dbambassador.values import Address

# The bounds and defaults of glibc's <resolv.h>, as resolv.conf(5) documents them.
MAX_NAMESERVERS = 3
MAX_NDOTS = 15
MAX_TIMEOUT = 30
MAX_ATTEMPTS = 5
# glibc has had no limit since 2.26; this one only keeps a broken file from making a flood of questions.
MAX_SEARCH = 32

LOCAL_NAMESERVER = Address("127.0.0.1", DNS_PORT)


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What resolv.conf says."""

    nameservers: tuple[Address, ...] = (LOCAL_NAMESERVER,)
    """In order of preference; without any, the one on this host, as resolv.conf(5) says."""
    search: tuple[str, ...] = ()
    """Domains, without a trailing dot, to complete names with; "" is the root."""
    ndots: int = 1
    timeout: int = 5
    """Seconds for one try."""
    attempts: int = 2
    """Tries of each nameserver."""


def parse_resolv_conf(text: str) -> ResolvConf:
    """The configuration in a resolv.conf. What it does not understand is skipped, as glibc does.

    The last `search` or `domain` wins; later `options` override earlier ones.
    """
    nameservers: list[Address] = []
    search: tuple[str, ...] = ()
    options = {"ndots": 1, "timeout": 5, "attempts": 2}
    bounds = {"ndots": (0, MAX_NDOTS), "timeout": (1, MAX_TIMEOUT), "attempts": (1, MAX_ATTEMPTS)}
    for line in text.splitlines():
        if line.startswith(("#", ";")):
            continue
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values:
            try:
                nameservers.append(Address(str(ip_address(values[0])), DNS_PORT))
            except ValueError:
                continue
        elif keyword == "search" or (keyword == "domain" and values):
            domains = values if keyword == "search" else values[:1]
            search = tuple(domain.rstrip(".") for domain in domains[:MAX_SEARCH])
        elif keyword == "options":
            for option in values:
                name, _, number = option.partition(":")
                if name in bounds and number.isascii() and number.isdigit() and len(number) < 10:
                    low, high = bounds[name]
                    options[name] = min(max(int(number), low), high)
    servers = tuple(nameservers[:MAX_NAMESERVERS]) or (LOCAL_NAMESERVER,)
    return ResolvConf(servers, search, options["ndots"], options["timeout"], options["attempts"])
