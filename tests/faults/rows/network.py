"""What happens between the application and PostgreSQL: silence, refusal, loss, a server that was replaced."""

from __future__ import annotations

from tests.faults.attempts import Loop
from tests.faults.scenario import FOLLOW, KERNEL, SILENCE, Expect, Scenario, in_turn, look_on
from tests.faults.setting import Setting
from tests.faults.stage import Stage

ALL_LOOPS = (Loop.KEPT, Loop.FRESH, Loop.IDLE, Loop.WAITING)
SILENT = Expect(detect=SILENCE, cut_tells=True, follow=FOLLOW, failed=2)
ALL_END = Expect(detect=SILENCE, cut_tells=True, follow=FOLLOW, failed=2, ended=FOLLOW)
"""Sessions on which nothing comes or goes end with the others, at the latest at the switch."""


def replace_behind_service(stage: Stage) -> None:
    stage.b.promote()
    stage.service.point(stage.b.host)


def stretch(stage: Stage) -> None:
    stage.cable.stretch(delay=0.1, loss=0.05)


ROWS = (
    Scenario(
        name="unplugged",
        fault="host gone without a word, sessions in use, idle, or waiting for an answer",
        setting=Setting(loops=ALL_LOOPS),
        inject=lambda stage: stage.a.host.unplug(),
        recover=lambda stage: stage.move(),
        expect=ALL_END,
        smoke=True,
    ),
    Scenario(
        name="unplugged-idle",
        fault="host gone without a word, only idle sessions; checks with credentials every second",
        setting=Setting(loops=(Loop.IDLE,), login={"interval": "1s"}),
        inject=lambda stage: stage.a.host.unplug(),
        recover=lambda stage: stage.move(),
        expect=Expect(detect=SILENCE + 1.0, ended=FOLLOW),
    ),
    Scenario(
        name="dropped",
        fault="packets to its port vanish",
        setting=Setting(loops=ALL_LOOPS),
        inject=lambda stage: stage.a.host.drop(stage.a.port),
        recover=lambda stage: stage.move(),
        expect=ALL_END,
    ),
    Scenario(
        name="rejected",
        fault="packets to its port answered with EHOSTUNREACH",
        inject=lambda stage: stage.a.host.reject(stage.a.port),
        recover=lambda stage: stage.move(),
        expect=Expect(detect=KERNEL, follow=FOLLOW, failed=2),
    ),
    Scenario(
        name="link-down",
        fault="the application's own link down for 3 s (ENETUNREACH)",
        inject=lambda stage: stage.app.link_down(),
        lasts=3.0,
        recover=lambda stage: stage.app.heal(),
        survivor="a",
        expect=Expect(detect=KERNEL, follow=FOLLOW, failed=2, bystander=None),
    ),
    Scenario(
        name="answers-lost",
        fault="one-way loss: nothing of the server arrives here",
        inject=lambda stage: stage.app.ignore(stage.a.host.ip),
        recover=lambda stage: stage.move(),
        expect=SILENT,
    ),
    Scenario(
        name="questions-lost",
        fault="one-way loss: nothing of ours arrives there",
        inject=lambda stage: stage.a.host.ignore(stage.app.ip),
        recover=lambda stage: stage.move(),
        expect=SILENT,
    ),
    Scenario(
        name="service-killed",
        fault="server killed and replaced behind an unchanged service IP",
        setting=Setting(service_ip=True),
        inject=lambda stage: stage.a.kill(),
        recover=replace_behind_service,
        expect=Expect(detect=KERNEL, follow=FOLLOW, failed=2),
    ),
    Scenario(
        name="service-silent",
        fault="server gone without a word and replaced at once behind an unchanged service IP",
        setting=Setting(service_ip=True),
        inject=in_turn(lambda stage: stage.a.host.unplug(), replace_behind_service),
        recover=in_turn(),
        expect=SILENT,
    ),
    Scenario(
        name="long-and-lossy",
        fault="round trips of 200 ms and 5 % loss for 6 s",
        setting=Setting(long_cable=True),
        inject=stretch,
        lasts=6.0,
        recover=lambda stage: stage.cable.stretch(),
        survivor="a",
        expect=Expect(follow=FOLLOW, failed=0, bystander=None),
    ),
    Scenario(
        name="killed-far-away",
        fault="round trips of 200 ms and 5 % loss, then the server is killed",
        setting=Setting(long_cable=True),
        prepare=in_turn(stretch, look_on(2.0)),
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.move(),
        expect=Expect(failed=2, bystander=None),
    ),
)
