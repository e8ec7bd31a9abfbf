"""The look at all sessions: what it makes of what the kernel tells; time is the test's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

import pytest
import trio

from dbambassador.forwarding.sessions import vigil as module
from dbambassador.forwarding.sessions.ledger import LEFT, Lease, Ledger, Stage
from dbambassador.forwarding.sessions.vigil import (
    LOST_AFTER,
    LOST_RETRANSMITS,
    SLOW_ANSWER,
    SLOW_DIAL,
    STALL,
    Vigil,
    Watch,
)
from dbambassador.health.evidence import Evidence, Signal
from dbambassador.health.judge import Judge
from dbambassador.transport.tcp_info import Delivery
from dbambassador.values import Address

A, B = Address("10.0.0.1", 5432), Address("10.0.0.2", 5432)


class Scene:
    """A vigil over sessions whose kernel says what the test says. It stands in for the judge as well."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.vigil = Vigil(self.ledger, cast(Judge, self))
        self.seen: list[tuple[Address, Signal]] = []
        self.answered_at = 0.0
        self.cut: list[Lease] = []
        self.said: dict[object, Delivery] = {}
        self.now = trio.current_time()

    def observe(self, evidence: Evidence) -> None:
        self.seen.append((evidence.address, evidence.signal))

    def answered_since(self, address: Address, moment: float) -> bool:
        return self.answered_at > moment

    def delivery(self, connection: socket.socket) -> Delivery | None:
        return self.said[connection]

    def say(self, lease: Lease, under_way: bool, acknowledged: int, silent: float, again: int = 0) -> None:
        assert lease.traffic.server is not None
        self.said[lease.traffic.server] = Delivery(under_way, acknowledged, silent, again)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.vigil.look(self.now)


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene()
    monkeypatch.setattr(module, "delivery", scene.delivery)
    return scene


@contextmanager
def session(scene: Scene, address: Address = A, stage: Stage = Stage.RELAYING) -> Iterator[Lease]:
    near, far = socket.socketpair()
    client = trio.SocketStream(trio.socket.from_stdlib_socket(near))
    with near, far:
        lease = scene.ledger.lease(1, address, lambda: scene.cut.append(lease))
        lease.client = client if stage is not Stage.RELAYING else None
        lease.enter(stage)
        lease.stage_since = scene.now
        lease.traffic.server = far
        yield lease
        lease.release()


async def test_data_that_nobody_confirms_for_a_second_is_doubt(scene: Scene) -> None:
    with session(scene) as lease:
        scene.say(lease, True, 100, 0.0)
        scene.pass_by(0)
        scene.say(lease, True, 100, 0.9)
        scene.pass_by(0.9)
        assert scene.seen == []
        scene.say(lease, True, 100, 1.1)
        scene.pass_by(0.2)
        assert scene.seen == [(A, Signal.STALLED)]


async def test_an_idle_session_and_one_that_is_heard_are_well(scene: Scene) -> None:
    with session(scene) as idle, session(scene) as busy, session(scene) as waiting:
        for second in range(20):
            scene.say(idle, False, 100, 1000.0 + second)  # nothing under way, for hours
            scene.say(busy, True, 100 + second, 0.1)
            busy.traffic.to_server += 1
            busy.traffic.move()
            scene.say(waiting, True, 100, 0.2)  # a client that does not read: its kernel still answers
            scene.pass_by(0.5)
        assert scene.seen == []


async def test_the_first_data_after_a_long_rest_are_no_stall(scene: Scene) -> None:
    with session(scene) as lease:
        scene.say(lease, False, 100, 3600.0)
        scene.pass_by(0)
        lease.traffic.to_server = 10
        lease.traffic.move()
        scene.say(lease, True, 100, 3600.0)
        scene.pass_by(0.25)
        scene.say(lease, False, 110, 0.1)
        scene.pass_by(0.25)
        assert scene.seen == []


async def test_an_address_is_told_of_once_a_second_however_many_sessions_stall(scene: Scene) -> None:
    with session(scene) as one, session(scene) as two, session(scene, B) as other:
        for second in range(9):
            for lease in (one, two, other):
                scene.say(lease, True, 100, second / 4)
            scene.pass_by(0.25)
        assert scene.seen.count((A, Signal.STALLED)) == 2
        assert scene.seen.count((B, Signal.STALLED)) == 2


async def test_a_session_is_lost_if_its_address_answers_others(scene: Scene) -> None:
    with session(scene) as lease:
        scene.say(lease, True, 100, 0.0)
        scene.pass_by(0)
        began = scene.now
        scene.say(lease, True, 100, LOST_AFTER, LOST_RETRANSMITS - 1)
        scene.pass_by(LOST_AFTER)
        assert not scene.cut  # the address may be just as dead
        scene.answered_at = began + 1.5
        scene.pass_by(0.25)
        assert not scene.cut  # a slow path, not a dead one
        scene.say(lease, True, 100, LOST_AFTER, LOST_RETRANSMITS)
        scene.pass_by(0.25)
        assert scene.cut == [lease]
        assert lease.fate == "stalled"


async def test_a_session_whose_host_came_back_has_one_more_retransmission_to_recover(scene: Scene) -> None:
    with session(scene) as lease:
        scene.say(lease, True, 100, 0.0)
        scene.pass_by(0)
        began = scene.now
        scene.say(lease, True, 100, LOST_AFTER, LOST_RETRANSMITS)
        scene.pass_by(LOST_AFTER)
        scene.answered_at = began + LOST_AFTER  # the link is back, and the next retransmission not yet due
        for _ in range(3):
            scene.pass_by(0.25)
        assert not scene.cut
        scene.say(lease, True, 100, LOST_AFTER, LOST_RETRANSMITS + 1)
        scene.pass_by(0.25)
        assert scene.cut == [lease]


async def test_one_dead_flow_says_nothing_of_an_address_that_acknowledges_others(scene: Scene) -> None:
    with session(scene) as dead, session(scene) as alive:
        for second in range(12):
            scene.say(dead, True, 100, second / 4, LOST_RETRANSMITS)
            scene.say(alive, True, 100 + second, 0.0)
            scene.pass_by(0.25)
        assert scene.seen == []


async def test_every_active_session_is_looked_at_in_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OTHERS", 4)
    with ExitStack() as ending:
        leases = [ending.enter_context(session(scene)) for _ in range(12)]
        for turn in range(60):
            for lease in leases:
                lease.traffic.to_server += 1
                lease.traffic.move()
                scene.say(lease, True, 100 + turn, 0.0)
            scene.pass_by(0.25)
        assert all(isinstance(lease.watch, Watch) and lease.watch.acknowledged > 100 for lease in leases)


async def test_a_session_of_which_nothing_passes_is_not_looked_at(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Lease] = []
    look = Vigil._waits

    def note(self: Vigil, lease: Lease, watch: Watch, now: float) -> bool:
        looked_at.append(lease)
        return look(self, lease, watch, now)

    monkeypatch.setattr(Vigil, "_waits", note)
    with session(scene) as idle, session(scene) as busy:
        for lease in (idle, busy):
            scene.say(lease, False, 100, 0.0)
        scene.pass_by(0.25)
        looked_at.clear()
        for _ in range(4):
            busy.traffic.to_client += 1
            busy.traffic.move()
            scene.pass_by(0.25)
        assert looked_at == [busy] * 4
        scene.pass_by(0.25)
        assert looked_at == [busy] * 4
        idle.traffic.to_server += 1
        idle.traffic.move()
        scene.pass_by(0.25)
        assert looked_at == [busy] * 4 + [idle]


async def test_a_slow_dial_and_a_slow_opening_are_told_of(scene: Scene) -> None:
    with session(scene, A, Stage.DIALLING), session(scene, B, Stage.OPENING):
        scene.pass_by(SLOW_ANSWER - 0.01)
        assert scene.seen == []
        scene.pass_by(0.02)
        assert scene.seen == [(B, Signal.HESITATED)]
        scene.pass_by(SLOW_DIAL)
        assert scene.seen == [(B, Signal.HESITATED), (A, Signal.STALLED)]


async def test_a_slow_client_is_no_slow_server(scene: Scene) -> None:
    def turn(stage: Stage) -> None:
        lease.enter(stage)
        lease.stage_since = scene.now

    with session(scene, A, Stage.OPENING) as lease:
        scene.pass_by(0.25)
        turn(Stage.ASKING)
        for _ in range(8):
            scene.pass_by(0.25)
        assert scene.seen == []
        turn(Stage.OPENING)
        scene.pass_by(SLOW_ANSWER - 0.01)
        assert scene.seen == []
        scene.pass_by(0.02)
        assert scene.seen == [(A, Signal.HESITATED)]


async def test_a_session_without_an_answer_is_told_of_once_unless_its_server_speaks_to_others(
    scene: Scene,
) -> None:
    with session(scene) as asking, session(scene) as other:
        for lease in (asking, other):
            scene.say(lease, False, 100, 0.0)
        scene.pass_by(0.25)
        asking.traffic.to_server, asking.traffic.asked = 10, True
        asking.traffic.move()
        for _ in range(8):
            other.traffic.to_client += 1
            other.traffic.move()
            scene.pass_by(0.25)
        assert scene.seen == []
        for _ in range(8):
            scene.pass_by(0.25)
        assert scene.seen == [(A, Signal.HESITATED)]
        asking.traffic.to_client, asking.traffic.asked = 10, False
        asking.traffic.move()
        scene.pass_by(0.25)
        asking.traffic.to_server, asking.traffic.asked = 20, True
        asking.traffic.move()
        scene.pass_by(0.25)
        scene.pass_by(SLOW_ANSWER)
        assert scene.seen == [(A, Signal.HESITATED)] * 2


async def test_an_answer_within_the_look_of_its_question_leaves_nobody_waiting(scene: Scene) -> None:
    with session(scene) as quick:
        scene.say(quick, False, 100, 0.0)
        scene.pass_by(0.25)
        quick.traffic.to_server, quick.traffic.to_client = 10, 20
        quick.traffic.move()
        for _ in range(8):
            scene.pass_by(0.25)
        assert scene.seen == []
        quick.traffic.to_server, quick.traffic.to_client, quick.traffic.asked = 20, 40, True
        quick.traffic.move()
        for _ in range(8):
            scene.pass_by(0.25)
        assert scene.seen == [(A, Signal.HESITATED)]


async def test_a_client_that_leaves_during_the_opening_frees_its_place(scene: Scene) -> None:
    with session(scene, A, Stage.OPENING) as lease:
        scene.pass_by(0.25)
        assert lease.fate != LEFT
        assert lease.traffic.server is not None
        lease.traffic.server.close()  # the far end of its own connection
        scene.pass_by(0.25)
        assert lease.fate == LEFT
        assert scene.cut == [lease]


async def test_nothing_is_kept_of_sessions_that_ended(scene: Scene) -> None:
    with session(scene) as lease:
        scene.say(lease, True, 100, 0.0)
        scene.pass_by(STALL)
        assert scene.vigil._active == {lease}
    scene.pass_by(0.25)
    assert not scene.vigil._active


async def test_nothing_is_kept_of_those_that_waited_while_their_server_speaks(scene: Scene) -> None:
    with session(scene) as busy:
        scene.say(busy, False, 100, 0.0)
        for _ in range(20):
            busy.traffic.to_client += 1
            busy.traffic.move()
            with session(scene) as short:
                scene.say(short, False, 100, 0.0)
                short.traffic.to_server, short.traffic.asked = 10, True
                scene.pass_by(0.25)
        assert sum(map(len, scene.vigil._waiting.values())) <= 4


async def test_a_slow_dial_begins_anew_if_the_address_answers_others(scene: Scene) -> None:
    with session(scene, A, Stage.DIALLING) as lease:
        began = scene.now
        scene.pass_by(SLOW_DIAL)
        assert not scene.cut
        scene.answered_at = began + SLOW_DIAL
        scene.pass_by(0.25)
        assert scene.cut == [lease]
        assert lease.fate != LEFT


async def test_another_idle_timeout_gives_every_session_its_time_anew(scene: Scene) -> None:
    with session(scene) as lease:
        scene.say(lease, False, 0, 0.0)
        scene.pass_by(100)
        scene.vigil.adopt(60)
        scene.now = trio.current_time()
        scene.pass_by(59)
        assert scene.cut == []
        scene.pass_by(2)
        assert scene.cut == [lease]
