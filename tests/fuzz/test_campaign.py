"""The engine finds what is planted, and says how to see it again."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from random import Random

import pytest

from tests.fuzz.campaign import Campaign
from tests.fuzz.coverage import Coverage
from tests.fuzz.execution import Finding, Watch, watching
from tests.fuzz.mutation import Mutator
from tests.fuzz.structure import Structure
from tests.fuzz.target import KIB, Target

HERE = sys.modules[__name__]


def target(feed: Callable[[bytes], object], *seeds: bytes, seconds: float = 0.2) -> Target:
    return Target(
        name="planted",
        feed=feed,
        seeds=seeds or (b"seed",),
        covers=(HERE,),
        raises=(UnicodeDecodeError,),
        seconds=seconds,
    )


def of_one(feed: Callable[[bytes], object], data: bytes) -> Finding | None:
    with watching() as watch:
        return watch.run(target(feed), data)


def declared(data: bytes) -> str:
    return data.decode("ascii")


def divides(data: bytes) -> float:
    return 1 / len(data)


def spins(data: bytes) -> None:
    while data:
        pass


def spins_and_swallows(data: bytes) -> None:
    while data:
        try:
            spins(data)
        except Exception:
            continue


def hoards(data: bytes) -> bytes:
    return bytes(len(data) * 100 * KIB)


def deep(data: bytes) -> None:
    """Chance alone would have to get all four right at once."""
    if data[:1] == b"\x80":
        if data[1:2] == b"\xfe":
            if data[2:3] == b"\x16":
                if data[3:4] == b"\x7f":
                    raise LookupError("deep inside")
                return
            return
        return
    return


def test_declared_exceptions_are_none() -> None:
    assert of_one(declared, b"\xff") is None


def test_an_undeclared_exception_is_found_with_its_traceback() -> None:
    finding = of_one(divides, b"")
    assert finding is not None
    assert finding.kind == "ZeroDivisionError"
    assert "divides" in finding.detail
    assert "--replay -" in str(finding)


@pytest.mark.parametrize("feed", [spins, spins_and_swallows])
def test_a_hang_ends_and_is_found(feed: Callable[[bytes], object]) -> None:
    finding = of_one(feed, b"x")
    assert finding is not None
    assert finding.kind == "hang"


def test_memory_above_the_bound_is_found() -> None:
    with watching() as watch:
        finding = watch.measured(target(hoards), b"xxx")
        assert watch.measured(target(hoards), b"xx") is None
    assert finding is not None
    assert finding.kind == "memory"


def test_what_lies_behind_several_conditions_is_reached() -> None:
    with watching() as watch:
        campaign = Campaign(target(deep), 1, watch)
        campaign.sow()
        campaign.run(30_000)
    assert [finding.kind for finding in campaign.findings] == ["LookupError"]
    assert campaign.findings[0].data == b"\x80\xfe\x16\x7f", "nothing is left of it that is not needed"


def test_a_campaign_gives_up_on_what_fails_always() -> None:
    with watching() as watch:
        campaign = Campaign(target(lambda data: [][len(data)]), 1, watch)
        campaign.sow()
        campaign.run(10_000)
    assert campaign.weary
    assert campaign.executions < 200
    assert len(campaign.findings) == 1


def test_the_same_seed_makes_the_same_inputs() -> None:
    assert _inputs(1) == _inputs(1)
    assert _inputs(1) != _inputs(2)


def _inputs(seed: int) -> list[bytes]:
    noted: list[bytes] = []
    with watching() as watch:
        campaign = Campaign(target(declared, b"one", b"two"), seed, watch, noted.append)
        campaign.sow()
        campaign.run(300)
    return noted


def test_inputs_are_never_longer_than_they_may_be() -> None:
    mutator = Mutator(Random(1), [b"word" * 10], 1000)
    data, longest = b"seed", 0
    for _ in range(3000):
        data = mutator.mutated(data, b"other") or b"seed"
        longest = max(longest, len(data))
    assert longest == 1000


def test_documents_keep_their_form() -> None:
    structure = Structure(Random(1))
    data = b'{"a": [1, {"b": null}], "c": "d"}'
    for _ in range(1000):
        changed = structure.mutated(data)
        assert changed is not None
        assert Structure(Random(1)).mutated(changed) is not None or len(changed) > 1000
    assert structure.mutated(b"{") is None


def test_only_lines_of_functions_are_counted() -> None:
    coverage = Coverage([HERE])
    with coverage.tracing():
        divides(b"x")
    reached = {line for _, line in coverage.reached & coverage.lines}
    first = divides.__code__.co_firstlineno
    assert reached == {first, first + 1}


def test_the_watch_gives_the_signal_back() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with watching() as watch:
        assert isinstance(watch, Watch)
        assert signal.getsignal(signal.SIGVTALRM) != before
    assert signal.getsignal(signal.SIGVTALRM) == before
