"""Every state that health knows is graded."""

from __future__ import annotations

from dbambassador.health.states import State
from dbambassador.observability.grades import Grade, grade


def test_every_state_but_that_of_an_address_nobody_has_tried_says_something() -> None:
    assert {state for state in State if grade(state.value) is Grade.PLAIN} == {State.NEW}


def test_a_state_of_another_version_is_plain() -> None:
    assert grade("napping") is Grade.PLAIN
