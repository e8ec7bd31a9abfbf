"""The snapshot for people: as text and as a page."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbambassador.observability import page, status
from tests.observability import samples

RECENT = [
    samples.event(
        "orders: sessions go to 10.0.0.8:5432 (orders.db.test)", seconds_ago=11.0, database="orders"
    )
]


def test_text_of_a_running_ambassador() -> None:
    assert (
        status.render({**samples.running(), "recent": RECENT})
        == """\
dbambassador 0.1.0: ready, up for 2 h 3 min

environment production-aws (production) from /etc/dbambassador/environments
  because its match holds, and no other environment's can

orders (postgresql, sslmode verify-full): 3 sessions
  app → 127.0.0.1:5432, [::1]:5432 → orders.db.test → 10.0.0.8:5432
  in use: 10.0.0.8:5432
  DNS asked 3.0 s ago, good for 27 s more
     address        name            state  role     for   sessions  why
     10.0.0.7:5432  orders.db.test  down   unknown  12 s  0         connection refused
  *  10.0.0.8:5432  orders.db.test  up     primary  11 s  3         answered

carts (mysql): 0 sessions, 1 client waiting
  app → 127.0.0.1:3306 → no name → no address
  looking for a usable address: the name leads nowhere; clients wait 2.5 s more
  DNS not asked yet, failed: carts.db.test.: NXDOMAIN

last events
          11 s ago  orders: sessions go to 10.0.0.8:5432 (orders.db.test)
"""
    )


def test_text_while_the_environment_is_awaited() -> None:
    assert (
        status.render({**samples.awaiting(), "recent": []})
        == """\
dbambassador 0.1.0: waiting to know the environment, up for 2 h 3 min

environment not chosen yet
  waiting for k8s.node.label.tier: the API server did not answer
  trying again in 3.5 s
"""
    )


def test_a_drift_is_said() -> None:
    words = (
        "changed 1 min 5 s ago: k8s.pod.label.tier; a start would choose staging:"
        " its match holds, and no other environment's can"
    )
    snapshot = {**samples.drifted(), "recent": []}
    assert f"\n  {words}\n" in status.render(snapshot)
    assert words in " ".join(read(page.render(snapshot)).said)
    snapshot["drift"]["would_choose"] = None
    assert "a start would choose no environment: " in status.render(snapshot)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"phase": "locating", "ready": False}, "finding out where this runs"),
        ({"ready": False}, "starting"),
        ({"phase": "draining"}, "shutting down"),
        ({"phase": "of a later version"}, "of a later version"),
    ],
)
def test_summary(change: dict[str, Any], words: str) -> None:
    assert status.summary({**samples.running(), **change}) == words


def test_a_settled_loss_and_a_stale_answer_are_said() -> None:
    snapshot = samples.running()
    snapshot["databases"][1]["choice"] |= {"settled": True, "held_seconds": 0.0}
    snapshot["databases"][1]["targets"] |= {"stale": True, "asked_seconds_ago": 90.0}
    shown = status.render({**snapshot, "recent": []})
    assert "  no usable address: the name leads nowhere\n" in shown
    assert "asked 1 min 30 s ago, stale: the last known answer is used, failed: " in shown


class Elements(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def read(shown: str) -> Elements:
    elements = Elements()
    elements.feed(shown)
    elements.close()
    return elements


def hostile(value: Any, text: str) -> Any:
    """The snapshot with every string in it replaced."""
    match value:
        case str():
            return text
        case dict():
            return {key: hostile(inner, text) for key, inner in value.items()}
        case list():
            return [hostile(inner, text) for inner in value]
    return value


def test_former_certificates_are_said() -> None:
    snapshot: dict[str, Any] = {**samples.running(), "recent": []}
    snapshot["databases"][0]["certificates"] = "sslrootcert /ca.pem: no certificates in PEM form"
    assert "  former certificates in use: sslrootcert /ca.pem: no certificates" in status.render(snapshot)


def test_the_page_tells_what_the_text_tells() -> None:
    said = " ".join(read(page.render({**samples.running(), "recent": RECENT})).said)
    for words in ("dbambassador: ready", "production-aws", "app → 127.0.0.1:5432", "down", RECENT[0]["text"]):
        assert str(words) in said
    assert "waiting for k8s.node.label.tier" in " ".join(
        read(page.render({**samples.awaiting(), "recent": []})).said
    )


def test_the_page_is_small_and_loads_nothing() -> None:
    shown = page.render({**samples.running(), "recent": RECENT * 50})
    assert len(shown) < 50_000
    assert not {"script", "link", "img", "iframe"} & set(read(shown).elements)


HOSTILE = st.one_of(
    st.text(min_size=1, max_size=30),
    st.sampled_from(["<script>alert(1)</script>", '"><img src=x>', "\x1b[2J", "&lt;", "\u202e"]),
)


@given(HOSTILE)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_hostile_names_change_neither_page_nor_terminal(text: str) -> None:
    snapshot = {**samples.drifted(), "recent": RECENT}
    found = hostile(snapshot, text)
    harmless = hostile(snapshot, "x")
    assert read(page.render(found)).elements == read(page.render(harmless)).elements
    shown = status.render(found)
    assert shown.count("\n") == status.render(harmless).count("\n")
    assert not any(unicodedata.category(letter).startswith("C") for letter in shown if letter != "\n")
