"""What the demo reads out of the client's journal."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from dbambassador.demo.journal import Attempt, Journal, interruption, lost


def good(number: int, at: float, server: str = "a") -> Attempt:
    return Attempt(number, at, at + 0.01, written=True, rows=number, server=server)


def bad(number: int, at: float, error: str = "gone", *, until: float = 0.0, written: bool = False) -> Attempt:
    return Attempt(number, at, until or at + 0.01, written=written, error=error)


def test_an_interruption_ends_with_the_first_answer_of_the_server_awaited() -> None:
    attempts = [
        good(1, 0.0),
        bad(2, 1.0, "closed\nmore"),
        bad(3, 1.1, "refused"),
        bad(4, 1.2, "refused"),
        good(5, 2.0, "b"),
        bad(6, 3.0, "later"),
    ]
    found = interruption(attempts, 0.9, "b")
    assert found is not None
    assert found.recovered.number == 5
    assert [attempt.number for attempt in found.failed] == [2, 3, 4]
    assert found.errors == {"closed": 1, "refused": 2}


def test_an_attempt_under_way_at_the_moment_counts() -> None:
    found = interruption([bad(1, 0.5, until=1.5), good(2, 2.0, "b")], 1.0, "b")
    assert found is not None
    assert len(found.failed) == 1


def test_while_nobody_answers_it_goes_on() -> None:
    assert interruption([good(1, 0.0, "b"), bad(2, 1.0)], 0.5, "b") is None


def test_only_acknowledged_rows_can_be_lost() -> None:
    attempts = [good(1, 0), good(2, 1), bad(3, 2), bad(4, 3, written=True)]
    assert lost(attempts, {1}) == [2, 4]
    assert lost(attempts, {1, 2, 3, 4}) == []


async def test_a_line_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    journal = Journal(file)
    assert journal.attempts() == []
    first = json.dumps({"number": 1, "started": 1.0, "ended": 1.1, "error": "x"})
    second = json.dumps(
        {"number": 2, "started": 2.0, "ended": 2.1, "written": True, "rows": 1, "server": "a"}
    )
    file.write_text(first + "\n" + second[:20])
    assert [attempt.number for attempt in journal.attempts()] == [1]
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def finish() -> None:
            await trio.lowlevel.checkpoint()
            file.write_text(first + "\n" + second + "\n")

        with trio.fail_after(5):
            assert (await journal.first(lambda attempt: attempt.good)).number == 2
