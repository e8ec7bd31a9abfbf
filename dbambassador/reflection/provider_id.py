"""What a node's `spec.providerID` tells of the cloud under it. Pure.

Forms are those of the cloud controller managers. A missing one is no evidence of having no cloud, and one of
another scheme is a cloud that is not known here.
"""

from __future__ import annotations

import re

from dbambassador.reflection.cloud import ACCOUNT, PROVIDER, PROVIDER_SCHEME, REGION, ZONE
from dbambassador.reflection.findings import Findings, absent, found, unknown
from dbambassador.values import Confidence, Fact

_PROVIDERS = {
    "aws": "aws",
    "azure": "azure",
    "digitalocean": "digitalocean",
    "gce": "gcp",
    "hcloud": "hetzner",
    "hrobot": "hetzner",
    "ibm": "ibm_cloud",
    "linode": "akamai_cloud",
    "oci": "oracle_cloud",
    "vultr": "vultr",
}
"""Scheme to OpenTelemetry's `cloud.provider`; DigitalOcean, which it does not list, by its own name."""

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,62})://")

_FORMS = (
    # aws://i-… without a zone occurs too.
    re.compile(r"aws://[^/]*/(?P<zone>[a-z]{2}-[a-z0-9-]+)/.+"),
    re.compile(r"gce://(?P<account>[a-z0-9.:-]+)/(?P<zone>[a-z0-9-]+)/[^/]+"),
    re.compile(r"azure:///subscriptions/(?P<account>[0-9a-fA-F-]{36})/.+"),
    re.compile(r"openstack://(?P<region>[^/]+)/[^/]+"),
    re.compile(r"(?P<alibaba>)(?P<region>[a-z]{2}-[a-z0-9-]+)\.i-[a-z0-9]+"),
    re.compile(r"(?P<oracle>)ocid1\.instance\..+"),
)
"""Alibaba Cloud and Oracle Cloud write theirs without a scheme."""

_NAMES = {"zone": ZONE, "region": REGION, "account": ACCOUNT}


def read(provider_id: str, confidence: Confidence, source: str) -> Findings:
    """Provider, zone, region and account, as far as they are in it; "" where no cloud controller runs."""
    told = next((match.groupdict() for form in _FORMS if (match := form.fullmatch(provider_id))), {})
    scheme = _SCHEME.match(provider_id)
    claims: list[Fact] = []
    if scheme is None:
        claims.append(absent(PROVIDER_SCHEME, source, confidence))
    else:
        claims.append(found(PROVIDER_SCHEME, scheme[1], confidence, source))
    provider = _provider(scheme[1] if scheme else "", told)
    if provider:
        claims.append(found(PROVIDER, provider, confidence, f"{source}, spec.providerID"))
    else:
        claims.append(unknown(PROVIDER, f"{source}: {_why_not(provider_id, scheme)}"))
    for part, name in _NAMES.items():
        if told.get(part):
            # A subscription's ID is the same in any case; elsewhere Azure writes it in lower case.
            value = told[part].lower() if part == "account" else told[part]
            claims.append(found(name, value, confidence, f"{source}, spec.providerID"))
    if not told.get("account"):
        claims.append(unknown(ACCOUNT, f"{source}: spec.providerID names no account"))
    return Findings(tuple(claims))


def _provider(scheme: str, told: dict[str, str]) -> str:
    if "alibaba" in told:
        return "alibaba_cloud"
    if "oracle" in told:
        return "oracle_cloud"
    return _PROVIDERS.get(scheme, "")


def _why_not(provider_id: str, scheme: re.Match[str] | None) -> str:
    if not provider_id:
        return "no spec.providerID"
    if scheme is None:
        return "spec.providerID names no provider"
    return f"spec.providerID {scheme[0]} names no cloud that is known here"
