"""What happens to the names: they change, they fail, they disagree. The database is PostgreSQL."""

from __future__ import annotations

from tests.faults.scenario import FOLLOW, KERNEL, UNDISTURBED, UNSEEN, Expect, Scenario, in_turn
from tests.faults.setting import Setting
from tests.faults.stage import Stage

BOTH = ("a", "b")
KILLED_AND_FOUND = Expect(detect=KERNEL, follow=FOLLOW, failed=2)
ROWS_OF_READERS = Setting(named=BOTH, random=True, writes=False)
POOL = Setting(named=BOTH, random=True, writes=False, database={"balance": "round-robin"})


def stop_dns_and_kill(stage: Stage) -> None:
    stage.zone.pause()
    stage.a.kill()


def resume_dns_and_move(stage: Stage) -> None:
    stage.b.promote()
    stage.zone.resume()
    stage.name("b")


def kill_dns_and_server(stage: Stage) -> None:
    stage.zone.kill()
    stage.a.kill()


def start_dns_and_move(stage: Stage) -> None:
    stage.b.promote()
    stage.zone.start()
    stage.name("b")


def name_again(stage: Stage) -> None:
    stage.name("a")


ROWS = (
    Scenario(
        name="moved",
        fault="DNS names the promoted standby, the old primary lives",
        recover=lambda stage: stage.move(),
        expect=Expect(follow=FOLLOW, failed=2),
        smoke=True,
    ),
    Scenario(
        name="ttl-0",
        fault="server killed, TTL 0",
        setting=Setting(ttl=0),
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.move(),
        expect=KILLED_AND_FOUND,
    ),
    Scenario(
        name="ttl-day",
        fault="server killed, TTL one day",
        setting=Setting(ttl=86400),
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.move(),
        expect=KILLED_AND_FOUND,
    ),
    Scenario(
        name="dns-stopped",
        fault="nameserver silent for 5 s, the database well",
        inject=lambda stage: stage.zone.pause(),
        lasts=5.0,
        recover=lambda stage: stage.zone.resume(),
        survivor="a",
        expect=UNSEEN,
    ),
    Scenario(
        name="dns-killed",
        fault="nameserver dead for 5 s, the database well",
        inject=lambda stage: stage.zone.kill(),
        lasts=5.0,
        recover=lambda stage: stage.zone.start(),
        survivor="a",
        expect=UNSEEN,
    ),
    Scenario(
        name="dns-stopped-moved",
        fault="nameserver silent while the server is killed, back with the new address",
        inject=stop_dns_and_kill,
        lasts=2.0,
        recover=resume_dns_and_move,
        expect=KILLED_AND_FOUND,
        smoke=True,
    ),
    Scenario(
        name="dns-killed-moved",
        fault="nameserver dead while the server is killed, back with the new address",
        inject=kill_dns_and_server,
        lasts=2.0,
        recover=start_dns_and_move,
        expect=KILLED_AND_FOUND,
    ),
    Scenario(
        name="servfail",
        fault="SERVFAIL for 5 s",
        inject=lambda stage: stage.zone.fail(),
        lasts=5.0,
        survivor="a",
        expect=UNSEEN,
    ),
    Scenario(
        name="nxdomain",
        fault="NXDOMAIN for 5 s: new clients wait, sessions go on",
        inject=lambda stage: stage.zone.forget(),
        lasts=5.0,
        recover=name_again,
        survivor="a",
        expect=Expect(follow=FOLLOW, failed=0),
    ),
    Scenario(
        name="empty",
        fault="a name without addresses for 5 s: new clients wait, sessions go on",
        inject=lambda stage: stage.zone.empty(),
        lasts=5.0,
        recover=name_again,
        survivor="a",
        expect=Expect(follow=FOLLOW, failed=0),
    ),
    Scenario(
        name="rotating",
        fault="two addresses in another order each time, one a standby",
        setting=Setting(named=BOTH, rotate=True),
        lasts=4.0,
        survivor="a",
        expect=UNSEEN,
    ),
    Scenario(
        name="rotating-killed",
        fault="the same, and the server is killed",
        setting=Setting(named=BOTH, rotate=True),
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.b.promote(),
        expect=KILLED_AND_FOUND,
    ),
    Scenario(
        name="random-reader",
        fault="a reader's name gives one of two addresses at random; without `balance` the database moves",
        setting=ROWS_OF_READERS,
        lasts=5.0,
        survivor="a",
        expect=Expect(failed=10, gap=UNDISTURBED),
    ),
    Scenario(
        name="random-pool",
        fault="the same, with `balance: round-robin`",
        setting=POOL,
        lasts=5.0,
        survivor="a",
        expect=UNSEEN,
    ),
    Scenario(
        name="random-pool-killed",
        fault="the same, and one of the readers is killed",
        setting=POOL,
        inject=lambda stage: stage.b.kill(),
        lasts=3.0,
        survivor="a",
        expect=Expect(failed=2, gap=KERNEL + UNDISTURBED),
    ),
    Scenario(
        name="disagreeing",
        fault="the first nameserver silent for 4 s, the second names the standby, where some are tried",
        setting=Setting(second_opinion=("b",)),
        inject=lambda stage: stage.zone.pause(),
        lasts=4.0,
        recover=lambda stage: stage.zone.resume(),
        survivor="a",
        expect=Expect(failed=40, gap=5.0),
    ),
    Scenario(
        name="disagreeing-login",
        fault="the same, and checks with credentials every second",
        setting=Setting(second_opinion=("b",), login={"interval": "1s"}),
        inject=lambda stage: stage.zone.pause(),
        lasts=4.0,
        recover=lambda stage: stage.zone.resume(),
        survivor="a",
        expect=UNSEEN,
    ),
    Scenario(
        name="disagreeing-killed",
        fault="server killed; the second nameserver knows the new address 2 s before the first",
        setting=Setting(second_opinion=("b",)),
        inject=in_turn(lambda stage: stage.a.kill(), lambda stage: stage.b.promote()),
        lasts=2.0,
        recover=lambda stage: stage.name("b"),
        expect=KILLED_AND_FOUND,
    ),
    Scenario(
        name="ttl-day-moved",
        fault="DNS names the promoted standby, the old primary lives, TTL one day (clamped to 30 s)",
        setting=Setting(ttl=86400),
        recover=lambda stage: stage.move(),
        expect=Expect(follow=FOLLOW + 3.0, failed=2),
    ),
)
