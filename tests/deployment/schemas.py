"""Kubernetes' own schemas, and one for what a custom resource of ours may say."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate.utils as published

from tests.deployment.kustomize import Object

# It reads all definitions anew for each object, which is nearly all of the time it takes.
published.schema_contents = cache(published.schema_contents)


def _object(required: tuple[str, ...] = (), **properties: Any) -> Any:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_TEXT: Any = {"type": "string", "minLength": 1}
_LABELS: Any = {"type": "object", "additionalProperties": _TEXT}
_DURATION: Any = {"type": "string", "pattern": "^([0-9]+(h|m|s|ms))+$"}
_ENDPOINT = _object(("port",), port=_TEXT, path=_TEXT, interval=_DURATION, scrapeTimeout=_DURATION)

# As far as used here: https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PodMonitor
CUSTOM = {
    ("monitoring.coreos.com/v1", "PodMonitor"): _object(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion=_TEXT,
        kind=_TEXT,
        metadata=_object(("name",), name=_TEXT, namespace=_TEXT, labels=_LABELS),
        spec=_object(
            ("selector", "podMetricsEndpoints"),
            selector=_object(matchLabels=_LABELS),
            podMetricsEndpoints={"type": "array", "items": _ENDPOINT, "minItems": 1},
        ),
    ),
}


def validate(each: Object, version: str) -> None:
    """Raises jsonschema's ValidationError, or SchemaNotFoundError: no such kind in that version."""
    custom = CUSTOM.get((each["apiVersion"], each["kind"]))
    if custom is None:
        published.validate(each, version, strict=True)
    else:
        jsonschema.validate(each, custom)
