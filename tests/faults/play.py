"""Plays one row from beginning to end."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults import attempts as tried
from tests.faults.attempts import ROWS
from tests.faults.building import Stock, clients, stage
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage
from tests.faults.verdict import Seen, Verdict, judge
from tests.faults.watched import NotYet

BEYOND = 1.5
"""Seconds that a fault may stay unnoticed past its goal, before the operator acts without that. From then on
it may be the change of DNS that is noticed."""
FOLLOW_PATIENCE = 8.0
"""Seconds within which all loops must have followed; more is "never"."""
SESSIONS_END = 3.0
"""Seconds that sessions may outlive their clients."""
SETTLED = 4.0
"""Seconds after which the last check and the last lookup of the row are over."""
CALM = 0.5
"""Seconds after all that, in which nothing more should happen."""


def play(scenario: Scenario, stock: Stock, directory: Path) -> Verdict:
    """Builds the stage, lets the clients work, breaks and mends. `directory` keeps the log and the diary."""
    try:
        with stage(scenario.setting, stock, directory) as here:
            return judge(scenario, _played(scenario, here, directory))
    except NotYet as refused:
        return Verdict(scenario, (), (), not_yet=str(refused))


def _played(scenario: Scenario, here: Stage, directory: Path) -> Seen:
    descriptors = here.ambassador.descriptors(patience=0.3)
    with clients(scenario.setting, here, directory):
        here.warm_up()
        scenario.prepare(here)
        resident = here.ambassador.resident()
        injected_at = time.time()
        scenario.inject(here)
        if scenario.expect.detect is not None:
            here.await_notice(injected_at, scenario.expect.detect + BEYOND)
        time.sleep(max(0.0, injected_at + scenario.lasts - time.time()))
        findable_at = None
        if scenario.recover is not None:
            scenario.recover(here)
            findable_at = max(time.time(), here.findable_at)
            _await_followers(scenario, here, findable_at)
        if scenario.aftermath is not None:
            scenario.aftermath(here)
        time.sleep(CALM)
        ended_at = time.time()
    _await_end_of_sessions(here)
    writes = scenario.setting.writes
    settled = here.ambassador.descriptors(patience=SETTLED, enough=descriptors)
    return Seen(
        injected_at=injected_at,
        findable_at=findable_at,
        ended_at=ended_at,
        old=here.old,
        attempts=here.diary.attempts(),
        events=here.ambassador.events(),
        addresses=_addresses(scenario, here),
        rows=here.nodes[scenario.survivor].rows() if writes else None,
        resident=(resident, here.ambassador.resident()),
        descriptors=(descriptors, settled),
    )


def _await_end_of_sessions(here: Stage) -> None:
    """Those that do not end with their clients will show as descriptors."""
    deadline = time.time() + SESSIONS_END
    while here.ambassador.sessions() and time.time() < deadline:
        time.sleep(0.05)


def _addresses(scenario: Scenario, here: Stage) -> dict[str, str] | None:
    if scenario.setting.service_ip or not scenario.setting.writes:
        return None  # the address says nothing of the server, or old sessions may read on
    return {name: here.nodes[name].address for name in ("a", "b")}


def _await_followers(scenario: Scenario, here: Stage, since: float) -> None:
    loops = [loop for loop in scenario.setting.loops if loop in ROWS]
    deadline = since + FOLLOW_PATIENCE

    def followed() -> bool:
        attempts = here.diary.attempts()
        return all(
            tried.first_good(tried.of(attempts, loop), scenario.survivor, since) is not None for loop in loops
        )

    while not followed() and time.time() < deadline:
        time.sleep(0.02)
