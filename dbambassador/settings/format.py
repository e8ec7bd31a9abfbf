"""The keys of an environment file, each described once: the decoder and the JSON Schema both read this.

What an environment must give may come from `_defaults.yaml` instead, so the schema of a single file does
not require it; the decoder does, after merging.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dbambassador.settings.addresses import ENDPOINT_FORMS, LISTEN_FORMS
from dbambassador.settings.reading import Key
from dbambassador.settings.schema import Kind, Operator, Protocol, TargetSessionAttrs

LONGEST_HOLD = 600.0
"""Seconds. Clients of databases give up long before; a longer hold only hides an outage from them."""
HIGHEST_PRIORITY = 1_000_000
DEFAULT_HOLD = "5s"

ALTERNATIVES = {"endpoint": "endpoints", "endpoints": "endpoint"}
"""Two spellings of one thing: in an environment either replaces both of the defaults."""

TLS_REFUSAL = "this version passes the client's own TLS through untouched, and has none of its own"
READ_POOL_REFUSAL = "this version uses one address at a time, in order"

TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
FACT_VALUES: Mapping[str, Any] = {"type": "object", "additionalProperties": TEXT}
HOLD_EXPECTED = "a duration from 0s to 10m, as 5s, 200ms or 1m"
PRIORITY_EXPECTED = f"a whole number from {-HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}"


def section_schema(keys: tuple[Key, ...], *, required: bool = False) -> dict[str, Any]:
    """The JSON Schema of a mapping; `required`: nothing of it can come from the defaults."""
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            key.name: {"description": key.description, **key.schema} for key in keys if not key.refusal
        },
    }
    if required:
        schema["required"] = [key.name for key in keys if key.required]
    return schema


EXPRESSION_KEYS = (
    Key(name="key", description="The fact.", schema=TEXT, required="the name of a fact"),
    Key(
        name="operator",
        description="In and NotIn compare with `values`; NotIn also holds where the fact is absent.",
        schema={"enum": [operator.value for operator in Operator]},
        required="In, NotIn, Exists or DoesNotExist",
    ),
    Key(
        name="values",
        description="For In and NotIn: at least one value. Not for Exists and DoesNotExist.",
        schema={"type": "array", "items": TEXT, "minItems": 1},
    ),
)

SELECTOR_KEYS = (
    Key(
        name="matchFacts",
        description="Facts with the exact value that each must have.",
        schema=FACT_VALUES,
    ),
    Key(
        name="matchExpressions",
        description="Conditions on facts, in the syntax of Kubernetes' label selectors.",
        schema={"type": "array", "items": section_schema(EXPRESSION_KEYS, required=True)},
    ),
)

ENDPOINT_KEYS = (
    Key(
        name="host",
        description="Host name or IP address; may hold ${fact}.",
        schema=TEXT,
        required="a host name or IP address",
    ),
    Key(
        name="port",
        description="TCP port.",
        schema={"type": "integer", "minimum": 1, "maximum": 65535},
        required="a port from 1 to 65535",
    ),
    Key(
        name="weight",
        description="As in SRV records. This version needs the same weight for all.",
        schema={"type": "integer", "minimum": 1, "maximum": 65535, "default": 1},
    ),
    Key(
        name="zone",
        description="Where this endpoint is, for people.",
        schema=TEXT,
    ),
)

DATABASE_KEYS = (
    Key(
        name="protocol",
        description="What the database speaks. `tcp` forwards bytes and knows nothing of them.",
        schema={"enum": [protocol.value for protocol in Protocol]},
        required="postgresql, mysql or tcp",
    ),
    Key(
        name="listen",
        description=f"Where the application expects it: {LISTEN_FORMS}. localhost is 127.0.0.1 and ::1.",
        schema={
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "pattern": r"^(unix:/.*[^/]|(localhost|\[.+\]|[0-9.]+):[0-9]{1,5})$"},
        },
        required=f"a list of {LISTEN_FORMS}",
    ),
    Key(
        name="endpoint",
        description=f"Where the database really is: {ENDPOINT_FORMS}; may hold ${{fact}}.",
        schema={"type": "string", "pattern": r"^(srv:_.+\._tcp\..+|.+:[0-9]{1,5})$"},
    ),
    Key(
        name="endpoints",
        description="Instead of `endpoint`: several, tried in this order.",
        schema={"type": "array", "minItems": 1, "items": section_schema(ENDPOINT_KEYS, required=True)},
    ),
    Key(
        name="target_session_attrs",
        description="As in libpq: which role a session may land on. Needs protocol postgresql.",
        schema={"enum": [role.value for role in TargetSessionAttrs], "default": TargetSessionAttrs.ANY.value},
    ),
    Key(
        name="hold",
        description="How long clients wait for a usable address before they get an error: 5s, 200ms, 1m.",
        schema={"type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m)$", "default": DEFAULT_HOLD},
    ),
    Key(
        name="check",
        description=(
            "`passive`: the ambassador itself never dials; only what happens to sessions counts. "
            "Left out: an address in doubt is checked with the database's own handshake, without credentials."
        ),
        schema={"const": "passive"},
    ),
    Key(name="sslmode", refusal=TLS_REFUSAL),
    Key(name="sslrootcert", refusal=TLS_REFUSAL),
    Key(name="sslcert", refusal=TLS_REFUSAL),
    Key(name="sslkey", refusal=TLS_REFUSAL),
    Key(name="balance", refusal=READ_POOL_REFUSAL),
)

EXPECTATION_KEYS = (
    Key(
        name="facts",
        description="The facts of this row; every other fact is absent.",
        schema=FACT_VALUES,
        required="a mapping of facts to values",
    ),
    Key(
        name="selected",
        description="Whether this environment must be the one chosen there.",
        schema={"type": "boolean"},
        required="true or false",
    ),
)

ENVIRONMENT_KEYS = (
    Key(
        name="environment",
        description="OpenTelemetry's deployment.environment.name. Production is guarded by rules of its own.",
        schema={"enum": [kind.value for kind in Kind]},
        required="production, staging, test or development",
    ),
    Key(
        name="priority",
        description="Among several environments that match, the highest wins. A tie chooses none.",
        schema={"type": "integer", "minimum": -HIGHEST_PRIORITY, "maximum": HIGHEST_PRIORITY, "default": 0},
    ),
    Key(
        name="match",
        description="Where this environment is: all conditions must hold. Left out: chosen only by name.",
        schema={**section_schema(SELECTOR_KEYS), "minProperties": 1},
    ),
    Key(
        name="forbid",
        description="Where all of these hold, never this environment, even if asked for by name.",
        schema={**section_schema(SELECTOR_KEYS), "type": ["object", "null"]},
    ),
    Key(
        name="databases",
        description="The databases by name, each merged over its entry in _defaults.yaml.",
        schema={"type": "object", "additionalProperties": section_schema(DATABASE_KEYS)},
        required="a mapping of at least one database",
    ),
    Key(
        name="expect",
        description="A table that `check` runs: facts, and whether this environment must be chosen there.",
        schema={"type": "array", "items": section_schema(EXPECTATION_KEYS, required=True)},
    ),
)

OWN_CONDITIONS = "each environment states its own: merged conditions would widen or weaken them unseen"

DEFAULTS_KEYS = tuple(
    dataclasses.replace(key, refusal=OWN_CONDITIONS) if key.name in ("match", "forbid", "expect") else key
    for key in ENVIRONMENT_KEYS
)


def environment_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one environment file, `_defaults.yaml` included.

    It describes the form of a file alone; what spans keys, databases or files is found by `check`.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dbambassador environment",
        "description": "An environment file; _defaults.yaml is merged under each.",
        **section_schema(ENVIRONMENT_KEYS),
    }
