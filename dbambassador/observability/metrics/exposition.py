"""Metrics as text: OpenMetrics 1.0, or Prometheus' text format 0.0.4 for whoever does not ask. Pure.

https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from dbambassador.observability.metrics.families import Family, Kind


class Format(Enum):
    """The value is the content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series."""

    labels: tuple[str, ...]
    """Values, in the order of the family's labels."""
    value: float
    suffix: str = ""
    """Of a histogram's sample: `_bucket`, `_sum` or `_count`."""
    bound: float | None = None
    """Of a bucket."""


Exposed = Iterable[tuple[Family, Iterable[Sample]]]


def preferred(accept: str | None) -> Format:
    """The format that an Accept header asks for (RFC 9110 section 12.5.1); as Prometheus sends it, or not."""
    wanted = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for media_range in (accept or "").lower().split(","):
        name, *parameters = (part.strip() for part in media_range.split(";"))
        values = dict(part.partition("=")[::2] for part in parameters)
        if name in wanted and _offered(name, values.get("version", "").strip('"')):
            wanted[name] = max(wanted[name], _quality(values.get("q", "1")))
    openmetrics, plain = wanted.values()
    return Format.OPENMETRICS if openmetrics > 0 and openmetrics >= plain else Format.TEXT


def _offered(name: str, version: str) -> bool:
    return name == "text/plain" or version in ("", "0.0.1", "1.0.0")


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def render(exposed: Exposed, form: Format) -> str:
    """All families as one scrape."""
    lines = [line for family, samples in exposed for line in _family(family, samples, form)]
    if form is Format.OPENMETRICS:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _family(family: Family, samples: Iterable[Sample], form: Format) -> Iterator[str]:
    name, kind = family.name, family.kind.value
    if form is Format.OPENMETRICS:
        name = name.removesuffix("_total" if family.kind is Kind.COUNTER else "")
        name = name.removesuffix("_info" if family.kind is Kind.INFO else "")
    elif family.kind is Kind.INFO:
        kind = Kind.GAUGE.value
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {kind}"
    if form is Format.OPENMETRICS and family.unit:
        yield f"# UNIT {name} {family.unit}"
    for sample in samples:
        pairs = [f'{key}="{_escape(text)}"' for key, text in zip(family.labels, sample.labels, strict=True)]
        if sample.bound is not None:
            pairs.append(f'le="{_bound(sample.bound)}"')
        series = f"{family.name}{sample.suffix}" + (f"{{{','.join(pairs)}}}" if pairs else "")
        yield f"{series} {_number(sample.value)}"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _bound(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(float(value))


def _number(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if int(value) == value else repr(float(value))
