"""`OTEL_RESOURCE_ATTRIBUTES`: hints that a person left for telemetry. Pure.

`key=value,key=value`, percent-encoded; a malformed list is discarded as a whole:
https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
"""

from __future__ import annotations

from urllib.parse import unquote

from dbambassador.reflection.findings import Findings, found, name_fault
from dbambassador.values import Confidence

VARIABLE = "OTEL_RESOURCE_ATTRIBUTES"

MAX_CHARACTERS = 64 * 1024


def hints(text: str) -> Findings:
    """Every attribute as a hint; nothing from a list that is malformed or longer than 64 KiB."""
    if len(text) > MAX_CHARACTERS:
        return Findings()
    claims = []
    for item in text.split(","):
        if not item.strip():
            continue
        key, equals, encoded = item.partition("=")
        name, value = unquote(key.strip()), unquote(encoded.strip())
        if not equals or name_fault(name):
            return Findings()
        if value:
            claims.append(found(name, value, Confidence.HINT, VARIABLE))
    return Findings(tuple(claims))
