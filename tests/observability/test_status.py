"""The snapshot as text."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbambassador.observability import sentences, status
from dbambassador.observability.lines import put
from dbambassador.observability.traffic import Traffic
from tests.observability import samples
from tests.observability.hostility import crowded, hostile

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
▲ carts has no usable address, and clients wait for one
  the name leads nowhere
  10.0.0.7:5432 of orders is down: connection refused.

environment production-aws (production) from /etc/dbambassador/environments
  because its match holds, and no other environment's can

orders (postgresql, sslmode verify-full, read-write): 3 sessions
  app → 127.0.0.1:5432, [::1]:5432 → orders.db.test → 10.0.0.8:5432
  in use: 10.0.0.8:5432
  DNS asked 3.0 s ago, good for 27 s more
  traffic since the start 41 kB to the server, 1.3 MB back
     address        state  role     for   latency  sessions  why
  *  10.0.0.8:5432  up     primary  11 s  0.4 ms   3         answered
     10.0.0.7:5432  down   unknown  12 s           0         connection refused

carts (mysql): 0 sessions, 1 client waiting
  app → 127.0.0.1:3306 → no name → no address
  looking for a usable address: the name leads nowhere; clients wait 2.5 s more
  DNS not asked yet, failed: carts.db.test.: NXDOMAIN
  traffic since the start 0 B to the server, 0 B back

last events
          11 s ago  orders: sessions go to 10.0.0.8:5432 (orders.db.test)
"""
    )


def test_text_while_the_environment_is_awaited() -> None:
    assert (
        status.render({**samples.awaiting(), "recent": []})
        == """\
dbambassador 0.1.0: waiting to know the environment, up for 2 h 3 min
✖ The environment is not known yet
  k8s.node.label.tier: the API server did not answer

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
    assert sentences.summary({**samples.running(), **change}) == words


def test_a_settled_loss_and_a_stale_answer_are_said() -> None:
    snapshot = samples.running()
    snapshot["databases"][1]["choice"] |= {"settled": True, "held_seconds": 0.0}
    snapshot["databases"][1]["targets"] |= {"stale": True, "asked_seconds_ago": 90.0}
    shown = status.render({**snapshot, "recent": []})
    assert "  no usable address: the name leads nowhere\n" in shown
    assert "asked 1 min 30 s ago, stale: the last known answer is used, failed: " in shown


def test_former_certificates_are_said() -> None:
    snapshot: dict[str, Any] = {**samples.running(), "recent": []}
    snapshot["databases"][0]["certificates"] = "sslrootcert /ca.pem: no certificates in PEM form"
    assert "  former certificates in use: sslrootcert /ca.pem: no certificates" in status.render(snapshot)


HOSTILE = st.one_of(
    st.text(min_size=1, max_size=30), st.sampled_from(["\x1b[2J", "\x1b]0;title\x07", "\u202e", "a\r\nb"])
)


@given(HOSTILE)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_hostile_names_steer_no_terminal(text: str) -> None:
    snapshot = {**samples.drifted(), "recent": RECENT}
    shown = status.render(hostile(snapshot, text))
    assert shown.count("\n") == status.render(hostile(snapshot, "x")).count("\n")
    assert not any(unicodedata.category(letter).startswith("C") for letter in shown if letter != "\n")


def test_thousands_of_addresses_stay_readable() -> None:
    shown = status.render(crowded({**samples.running(), "recent": RECENT}, 20))
    assert "10.0.0.0:5432, 10.0.0.1:5432, 10.0.0.2:5432, 10.0.0.3:5432 and 16 more" in shown
    assert "     and 4 more (--json has all)\n" in shown


def test_in_colour_the_words_are_the_same() -> None:
    lines = status.lines({**samples.running(), "recent": RECENT})
    coloured = "\n".join(put(lines, coloured=True)) + "\n"
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == status.render({**samples.running(), "recent": RECENT})
    assert "\x1b[1;31mdown\x1b[0m" in coloured


def test_who_looks_again_is_told_how_fast_bytes_flow() -> None:
    traffic, snapshot = Traffic(), {**samples.running(), "recent": []}
    traffic.note(snapshot, 1.0)
    snapshot["databases"][0]["to_server_bytes"] += 5_000
    traffic.note(snapshot, 3.0)
    shown = "\n".join(put(status.lines(snapshot, traffic), coloured=False))
    assert (
        "traffic 2.5 kB/s to the server, 0 B/s back; since the start 46 kB to the server, 1.3 MB back"
        in shown
    )


def test_how_a_reload_ended() -> None:
    def said(**ended: Any) -> str:
        return status.render({**samples.running(), "recent": [], "reload": samples.reload(**ended)})

    assert "  files read anew 5.0 s ago: orders: hold, carts: new\n" in said(
        successful=True, changes=["orders: hold", "carts: new"]
    )
    assert "  files read anew 5.0 s ago: nothing changed\n" in said(successful=True)
    assert "files read" not in said(successful=True, seconds_ago=None)
    refused = said(successful=False, problems=["a.yaml: no list", "b.yaml: no"])
    assert (
        "  files read 5.0 s ago are refused, those read 1 min 5 s ago stay in use\n    a.yaml: no list\n"
        in refused
    )
