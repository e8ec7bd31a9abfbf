"""The one sentence at the top of status page and text."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.observability.verdict import Mood, of_database, verdict
from tests.observability import samples


def alone(**changes: object) -> dict[str, Any]:
    """`orders` alone, with changes to its parts."""
    snapshot = samples.running()
    orders = snapshot["databases"][0]
    del snapshot["databases"][1:], orders["addresses"][0]
    for part, change in changes.items():
        orders[part] = {**orders[part], **change} if isinstance(change, dict) else change
    return snapshot


NOWHERE: dict[str, Any] = {"address": None, "pool": [], "why": "10.0.0.7:5432: connection refused"}
WELL = "orders is served by 10.0.0.8:5432."


@pytest.mark.parametrize(
    ("snapshot", "mood", "sentence"),
    [
        (alone(), Mood.WELL, WELL),
        (
            alone(choice={**NOWHERE, "settled": True, "held_seconds": 0.0}),
            Mood.TROUBLE,
            "orders has no usable address, and clients are refused: 10.0.0.7:5432: connection refused.",
        ),
        (
            alone(choice={**NOWHERE, "settled": True, "held_seconds": 2.5}),
            Mood.REDUCED,
            "orders has no usable address, and clients wait for one: 10.0.0.7:5432: connection refused.",
        ),
        (
            alone(choice={**NOWHERE, "settled": False, "held_seconds": 0.0}),
            Mood.REDUCED,
            "orders has no usable address, and clients wait for one: 10.0.0.7:5432: connection refused.",
        ),
        (
            alone(choice={"on_trial": True}),
            Mood.REDUCED,
            "orders is tried out: only the next session can tell whether its address is of use again.",
        ),
        (
            alone(targets={"stale": True, "failure": "timeout"}),
            Mood.REDUCED,
            "DNS fails, and the last known answer for orders is used: timeout.",
        ),
        (
            alone(targets={"failure": "db does not exist", "addresses": []}),
            Mood.REDUCED,
            "DNS gives no address for orders, and its former one is used: db does not exist.",
        ),
        (
            alone(targets={"failure": "db does not exist"}),
            Mood.REDUCED,
            "DNS fails for a part of orders: db does not exist.",
        ),
        (
            alone(certificates="/ca.pem: no certificate"),
            Mood.REDUCED,
            "Changed certificates of orders cannot be used: /ca.pem: no certificate.",
        ),
        (
            {**alone(), "clients": {"connected": 512, "limit": 512}},
            Mood.TROUBLE,
            "No more clients are let in: there are 512, the most there may be.",
        ),
        ({**alone(), "clients": {"connected": 512, "limit": None}}, Mood.WELL, WELL),
        (
            {**alone(), "drift": samples.drifted()["drift"]},
            Mood.REDUCED,
            "A restart would choose staging: its match holds, and no other environment's can.",
        ),
        (
            {**alone(), "reload": samples.reload(successful=False, problems=["a.yaml: no", "b.yaml: no"])},
            Mood.REDUCED,
            "Changed environment files are refused, those of before stay in use: a.yaml: no, b.yaml: no.",
        ),
        ({**alone(), "reload": samples.reload(successful=True, changes=["orders"])}, Mood.WELL, WELL),
        ({**alone(), "databases": []}, Mood.WELL, "Running, without any database."),
        ({**alone(), "ready": False}, Mood.PASSING, "Starting."),
        ({**alone(), "phase": "locating", "ready": False}, Mood.PASSING, "Finding out where this runs."),
        (
            {**alone(), "phase": "draining"},
            Mood.PASSING,
            "Shutting down: sessions may end, and no new ones come.",
        ),
        (
            samples.awaiting(),
            Mood.TROUBLE,
            "The environment is not known yet: k8s.node.label.tier: the API server did not answer.",
        ),
    ],
)
def test_the_verdict(snapshot: dict[str, Any], mood: Mood, sentence: str) -> None:
    found = verdict(snapshot)
    assert (found.mood, str(found.first), found.more) == (mood, sentence, ())


def test_the_worst_comes_first_and_nothing_is_left_out() -> None:
    found = verdict(samples.drifted())
    assert found.mood is Mood.REDUCED
    assert (
        str(found.first) == "carts has no usable address, and clients wait for one: the name leads nowhere."
    )
    assert tuple(map(str, found.more)) == (
        "A restart would choose staging: its match holds, and no other environment's can.",
        "10.0.0.7:5432 of orders is down: connection refused.",
    )
    trouble = samples.running()
    trouble["clients"] = {"connected": 512, "limit": 512}
    assert verdict(trouble).mood is Mood.TROUBLE
    assert len(verdict(trouble).more) == 2


def test_an_address_that_is_down_while_others_serve_is_mentioned() -> None:
    snapshot = samples.running()
    del snapshot["databases"][1]
    found = verdict(snapshot)
    assert (found.mood, str(found.first)) == (Mood.WELL, WELL)
    assert tuple(map(str, found.more)) == ("10.0.0.7:5432 of orders is down: connection refused.",)
    orders = snapshot["databases"][0]
    orders["addresses"].append({**orders["addresses"][0], "address": "10.0.0.6:5432"})
    assert tuple(map(str, verdict(snapshot).more)) == ("2 other addresses of orders are down.",)


def test_time_alone_changes_no_word_of_it() -> None:
    def later(value: Any) -> Any:
        match value:
            case dict():
                return {
                    key: inner + 1.5 if key.endswith("seconds") and isinstance(inner, float) else later(inner)
                    for key, inner in value.items()
                }
            case list():
                return [later(inner) for inner in value]
        return value

    for snapshot in (samples.drifted(), samples.awaiting()):
        assert verdict(later(snapshot)) == verdict(snapshot)


def test_the_mood_of_one_database() -> None:
    orders, carts = samples.running()["databases"]
    assert (of_database(orders), of_database(carts)) == (Mood.WELL, Mood.REDUCED)


@given(st.text(max_size=1000))
def test_somebody_elses_words_stay_short_and_harmless(text: str) -> None:
    for snapshot in (alone(choice={**NOWHERE, "why": text}), alone(name=text)):
        said = str(verdict(snapshot).first)
        assert len(said) < 5000
        assert not any(unicodedata.category(letter).startswith("C") for letter in said)


def test_a_role_that_sessions_hide_is_told_where_it_matters() -> None:
    snapshot = alone()
    (orders,) = snapshot["databases"]
    (serving,) = orders["addresses"]
    serving["role"] = "unknown"

    found = verdict(snapshot)

    assert [str(found.first), *map(str, found.more)] == [
        WELL,
        "Whether 10.0.0.8:5432 of orders is read-write cannot be seen: "
        "its sessions do not tell, and no check logs in.",
    ]
    assert found.mood is Mood.WELL
    orders["addresses"].append(serving | {"address": "[fd00::8]:5432", "sessions": 0})
    assert verdict(snapshot).mood is Mood.WELL  # the same host
    orders["addresses"].append(serving | {"address": "10.0.0.9:5432", "sessions": 0})
    assert verdict(snapshot).mood is Mood.REDUCED  # the next session may come to the other one
    orders["target_session_attrs"] = "any"
    assert verdict(snapshot).more == ()
