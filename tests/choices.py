"""Choices as a judge publishes them, for the tests of what follows from them."""

from __future__ import annotations

from dbambassador.values import Choice, Target


def serving(epoch: int, *pool: Target, why: str = "", on_trial: bool = False) -> Choice:
    """New sessions go to these, since this epoch."""
    addresses = [address for target in pool for address in target.addresses]
    trials = frozenset(addresses) if on_trial else frozenset[object]()
    return Choice(
        epoch,
        pool,
        dict.fromkeys(addresses, epoch),
        settled=True,
        why=why,
        trials=trials,  # type: ignore[arg-type]
    )


def lost(epoch: int = 0, *, settled: bool = True, held_until: float = 0.0, why: str = "") -> Choice:
    """No address may be used."""
    return Choice(epoch, settled=settled, held_until=held_until, why=why)
