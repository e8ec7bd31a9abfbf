"""The keys of an environment file, each described once: the decoder and the JSON Schema both read this.

What an environment must give may come from `_defaults.yaml` instead, so the schema of a single file does
not require it; the decoder does, after merging.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dbambassador.settings.database_format import DATABASE_KEYS, TEXT
from dbambassador.settings.reading import Key, section_schema
from dbambassador.settings.schema import Kind, Operator

HIGHEST_PRIORITY = 1_000_000

FACT_VALUES: Mapping[str, Any] = {"type": "object", "additionalProperties": TEXT}
PRIORITY_EXPECTED = f"a whole number from {-HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}"


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
