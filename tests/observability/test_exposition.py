from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.observability.metrics.exposition import Format, preferred

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (PROMETHEUS_2_42, Format.OPENMETRICS),
        (PROMETHEUS_3, Format.OPENMETRICS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ('Application/OpenMetrics-Text; version="1.0.0"', Format.OPENMETRICS),
        ("application/openmetrics-text; version=2.0.0", Format.TEXT),
        ("application/openmetrics-text;q=0, text/plain", Format.TEXT),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", Format.TEXT),
        ("application/openmetrics-text;q=high", Format.TEXT),
        ("text/plain;version=0.0.4", Format.TEXT),
        ("text/html,*/*;q=0.8", Format.TEXT),
        ("*/*", Format.TEXT),
        ("", Format.TEXT),
        (None, Format.TEXT),
    ],
)
def test_whoever_asks_for_openmetrics_gets_it(accept: str | None, form: Format) -> None:
    assert preferred(accept) is form


@given(st.text())
def test_no_accept_header_is_an_error(accept: str) -> None:
    assert preferred(accept) in Format
