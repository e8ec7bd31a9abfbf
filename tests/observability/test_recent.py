from __future__ import annotations

from dbambassador import events
from dbambassador.observability.recent import KEPT, Recent
from tests.observability.occurrences import ADDRESS


def test_keeps_the_newest_changes_of_state_first() -> None:
    now = 0.0
    recent = Recent(lambda: now)
    for number in range(KEPT + 10):
        now = float(number)
        recent(events.SessionsEvicted("orders", ADDRESS, number + 1, "why"))
        recent(events.SessionOpened("orders", ADDRESS))
    now += 2.0
    entries = recent.entries()
    assert len(entries) == KEPT
    assert entries[0] == {
        "seconds_ago": 2.0,
        "level": "warning",
        "database": "orders",
        "text": "orders: closed 60 sessions at 10.0.0.7:5432: why",
    }
    assert entries[-1]["seconds_ago"] == 51.0


def test_the_same_again_only_moves_its_time() -> None:
    now = 0.0
    recent = Recent(lambda: now)
    recent(events.Ready(1.0))
    for number in range(100):
        now = float(number)
        recent(events.SelectionAwaited(("a",), "timeout", float(number)))
    assert [entry["seconds_ago"] for entry in recent.entries()] == [0.0, 99.0]
