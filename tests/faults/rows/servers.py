"""What happens to a PostgreSQL server: it dies, hangs, fills up, starts, comes back."""

from __future__ import annotations

from tests.faults.attempts import Loop
from tests.faults.postgresql import PostgresqlNode
from tests.faults.scenario import FOLLOW, KERNEL, SILENCE, UNSEEN, Expect, Scenario, in_turn, look_on
from tests.faults.setting import Setting
from tests.faults.stage import Stage

MOVED = Expect(detect=KERNEL, follow=FOLLOW, failed=2)
"""Each of the two loops may lose the attempt that met the fault."""


def fill(stage: Stage) -> None:
    stage.a.fill(stage.lan["db-c"], stage.ending)


def empty(stage: Stage) -> None:
    stage.ending.close()


def restart_slowly(stage: Stage) -> None:
    assert isinstance(stage.a, PostgresqlNode)
    stage.a.kill()
    stage.a.start_slowly()


def be_ready(stage: Stage) -> None:
    assert isinstance(stage.a, PostgresqlNode)
    stage.a.be_ready()


ROWS = (
    Scenario(
        name="nothing",
        fault="none, for comparison",
        lasts=3.0,
        survivor="a",
        expect=UNSEEN,
    ),
    Scenario(
        name="killed",
        fault="server killed (SIGKILL): resets",
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.move(),
        expect=MOVED,
    ),
    Scenario(
        name="both-named",
        fault="server killed, DNS names both, the other one a standby until then",
        setting=Setting(named=("a", "b")),
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.b.promote(),
        expect=MOVED,
    ),
    Scenario(
        name="both-named-login",
        fault="the same, and checks with credentials every second",
        setting=Setting(named=("a", "b"), login={"interval": "1s"}),
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.b.promote(),
        expect=MOVED,
    ),
    Scenario(
        name="returns-as-standby",
        fault="killed, and comes back as a standby that DNS names as well",
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.move(),
        aftermath=in_turn(
            lambda stage: stage.a.return_as_replica(stage.b),
            lambda stage: stage.name("a", "b"),
            look_on(3.0),
        ),
        expect=MOVED,
    ),
    Scenario(
        name="returns-as-primary",
        fault="killed, and comes back believing to be primary; DNS names the new one",
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.move(),
        aftermath=in_turn(lambda stage: stage.a.start_primary(), look_on(2.0)),
        expect=MOVED,
        smoke=True,
    ),
    Scenario(
        name="frozen",
        fault="server accepts TCP and never answers (SIGSTOP)",
        inject=lambda stage: stage.a.freeze(),
        recover=lambda stage: stage.move(),
        expect=Expect(detect=SILENCE, cut_tells=True, follow=FOLLOW, failed=2),
        smoke=True,
    ),
    Scenario(
        name="full",
        fault="server full (53300) for 3 s",
        inject=fill,
        lasts=3.0,
        recover=empty,
        survivor="a",
        expect=Expect(follow=FOLLOW),
    ),
    Scenario(
        name="full-kept",
        fault="the same, seen by a connection that it already has",
        setting=Setting(loops=(Loop.KEPT,)),
        inject=fill,
        lasts=3.0,
        recover=empty,
        survivor="a",
        expect=UNSEEN,
    ),
    Scenario(
        name="starting",
        fault="server killed, then starting (57P03) for 3 s",
        inject=restart_slowly,
        lasts=3.0,
        recover=be_ready,
        survivor="a",
        expect=MOVED,
        smoke=True,
    ),
)
