"""Is there a completion of the unknown facts in which all of this holds? Answered exactly, with a witness.

A constraint is a disjunction of restrictions; all constraints must hold. The search branches on the
constraint with the fewest alternatives left (unit propagation is the case of one), so that what an ordinary
catalogue asks is answered without search. A budget bounds the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbambassador.profiles.conditions import Domain, Domains, Restriction, Token, Unmentioned

Constraint = tuple[Restriction, ...]
"""At least one of these holds. An empty constraint cannot hold."""

Completion = dict[str, Token]


class TooManyCombinations(Exception):
    """The budget is spent: whether there is such a completion stays open."""


class Budget:
    """How many restrictions may still be examined, for one question or, as `whole`, for several together."""

    def __init__(self, steps: int, whole: Budget | None = None) -> None:
        self._left = steps
        self._whole = whole

    @property
    def spent(self) -> bool:
        return self._left < 0

    def spend(self, steps: int) -> None:
        """Raises `TooManyCombinations` where this is more than is left."""
        self._left -= steps
        if self._whole is not None:
            self._whole.spend(steps)
        if self._left < 0:
            raise TooManyCombinations


def find(domains: Domains, constraints: Sequence[Constraint], budget: Budget) -> Completion | None:
    """A completion of `domains` in which every constraint holds, or None if there is none.

    Raises `TooManyCombinations`.
    """
    pending = [(dict(domains), list(constraints))]
    while pending:
        state, open_constraints = pending.pop()
        fewest: list[Restriction] | None = None
        undecided = []
        for constraint in open_constraints:
            budget.spend(1 + len(constraint))
            if any(_certain(restriction, state) for restriction in constraint):
                continue
            possible = [restriction for restriction in constraint if _possible(restriction, state)]
            undecided.append(tuple(possible))
            if fewest is None or len(possible) < len(fewest):
                fewest = possible
                if not possible:
                    break
        if fewest is None:
            return {key: _plainest(tokens) for key, tokens in state.items()}
        # The last one pushed is tried first: alternatives keep their order.
        for restriction in reversed(fewest):
            narrowed = {key: state[key] & tokens for key, tokens in restriction.items()}
            pending.append(({**state, **narrowed}, undecided))
    return None


def _certain(restriction: Restriction, state: Domains) -> bool:
    return all(state[key] <= tokens for key, tokens in restriction.items())


def _possible(restriction: Restriction, state: Domains) -> bool:
    return all(not state[key].isdisjoint(tokens) for key, tokens in restriction.items())


def _plainest(tokens: Domain) -> Token:
    """Absent if it may be (the smallest example), else the first mentioned value, else another value."""
    if Unmentioned.ABSENT in tokens:
        return Unmentioned.ABSENT
    mentioned = sorted(token for token in tokens if isinstance(token, str))
    return mentioned[0] if mentioned else Unmentioned.OTHER
