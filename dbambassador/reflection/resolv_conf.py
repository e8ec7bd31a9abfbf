"""What resolv.conf tells about where we are. Pure.

In a pod the kubelet writes `search <namespace>.svc.<domain> svc.<domain> <domain>`
(https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/); Docker's embedded DNS is
`nameserver 127.0.0.11` (https://docs.docker.com/engine/network/#dns-services). With `dnsPolicy: None` anyone
may have written anything there, so all of it is a hint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DOCKER_DNS = "127.0.0.11"

_SERVICE_ZONE = re.compile(r"([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\.svc\.([a-z0-9.-]{1,253})")


@dataclass(frozen=True, slots=True)
class ResolvConf:
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()

    @property
    def service_zone(self) -> tuple[str, str] | None:
        """Namespace and cluster domain, if the search list is one that the kubelet writes."""
        names = dict.fromkeys(name.rstrip(".").lower() for name in self.search)
        for name in names:
            match = _SERVICE_ZONE.fullmatch(name)
            if match and f"svc.{match[2]}" in names:
                return match[1], match[2]
        return None


def parse(data: bytes) -> ResolvConf:
    """resolv.conf(5): the last `search` or `domain` line counts; what is not understood is skipped."""
    nameservers: list[str] = []
    search: tuple[str, ...] = ()
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split()
        match words:
            case ["nameserver", address, *_]:
                nameservers.append(address)
            case ["search", *names]:
                search = tuple(names)
            case ["domain", name, *_]:
                search = (name,)
    return ResolvConf(tuple(nameservers), search)
