"""The machine: its name, system and processor, as OpenTelemetry's `host.*` and `os.*`. Pure."""

from __future__ import annotations

from dbambassador.reflection.findings import Findings, found, unknown
from dbambassador.reflection.reading import Reading
from dbambassador.values import Confidence, State

_ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv6l": "arm32",
    "armv7l": "arm32",
    "armv8l": "arm32",
    "i386": "x86",
    "i686": "x86",
    "ppc": "ppc32",
    "ppc64": "ppc64",
    "ppc64le": "ppc64",
    "s390x": "s390x",
}
"""uname's machine to OpenTelemetry's `host.arch`; any other is given as uname says it."""


def machine(system: str, processor: str) -> Findings:
    """From uname(2)."""
    claims = []
    if system:
        claims.append(found("os.type", system.lower(), Confidence.STRONG, "uname"))
    if processor:
        architecture = _ARCHITECTURES.get(processor.lower(), processor.lower())
        claims.append(found("host.arch", architecture, Confidence.STRONG, "uname"))
    return Findings(tuple(claims))


def name(reading: Reading, node: str) -> Findings:
    """From /etc/hostname, else uname's `node`; a hint, as anyone may name a machine as they like."""
    if reading.present and (written := reading.data.decode("utf-8", "surrogateescape").strip()):
        return Findings((found("host.name", written, Confidence.HINT, reading.path),))
    if node:
        return Findings((found("host.name", node, Confidence.HINT, "uname"),))
    if reading.state is State.UNKNOWN:
        return Findings((unknown("host.name", reading.reason, source=reading.path),))
    return Findings()
