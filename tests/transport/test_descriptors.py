"""Who gets how many file descriptors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.forwarding.admission import limit
from dbambassador.forwarding.admission.limit import RESERVED, capacity
from dbambassador.transport.descriptors import FEWEST_PLACES, MOST_PLACES, http_places


@given(st.integers(70, 2_000_000))
def test_clients_and_http_ports_never_want_more_than_there_are(descriptors: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limit, "allowed", lambda: descriptors)
        beyond_the_fewest = 2 * (http_places(descriptors) - FEWEST_PLACES)
        assert 2 * capacity() + beyond_the_fewest + RESERVED <= descriptors
        assert 2 * capacity() >= 0.87 * (descriptors - RESERVED) - 1


def test_without_a_limit_there_is_none() -> None:
    assert http_places(0) == MOST_PLACES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limit, "allowed", lambda: 0)
        assert capacity() == 0
