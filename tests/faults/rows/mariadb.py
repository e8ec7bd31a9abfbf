"""The faults of MariaDB, whose role cannot be known without credentials."""

from __future__ import annotations

from tests.faults.rows.names import resume_dns_and_move, stop_dns_and_kill
from tests.faults.rows.network import ALL_END, ALL_LOOPS, SILENT
from tests.faults.rows.servers import empty, fill
from tests.faults.scenario import FOLLOW, KERNEL, Expect, Scenario, in_turn, look_on
from tests.faults.setting import Setting

MARIADB = Setting(engine="mariadb")
LOGIN = {"interval": "1s"}
MOVED = Expect(detect=KERNEL, follow=FOLLOW, failed=2)

ROWS = (
    Scenario(
        name="mariadb-killed",
        fault="MariaDB: server killed",
        setting=MARIADB,
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.move(),
        expect=MOVED,
        smoke=True,
    ),
    Scenario(
        name="mariadb-unplugged",
        fault="MariaDB: host gone without a word, sessions in use, idle, or waiting for an answer",
        setting=Setting(engine="mariadb", loops=ALL_LOOPS),
        inject=lambda stage: stage.a.host.unplug(),
        recover=lambda stage: stage.move(),
        expect=ALL_END,
    ),
    Scenario(
        name="mariadb-frozen",
        fault="MariaDB: accepts TCP and never answers",
        setting=MARIADB,
        inject=lambda stage: stage.a.freeze(),
        recover=lambda stage: stage.move(),
        expect=SILENT,
    ),
    Scenario(
        name="mariadb-moved",
        fault="MariaDB: DNS names the promoted replica, the old primary lives",
        setting=MARIADB,
        recover=lambda stage: stage.move(),
        expect=Expect(follow=FOLLOW, failed=2),
    ),
    Scenario(
        name="mariadb-restarted",
        fault="MariaDB: server killed and started again",
        setting=MARIADB,
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.a.start_primary(),
        survivor="a",
        expect=MOVED,
    ),
    Scenario(
        name="mariadb-full",
        fault="MariaDB: full (1040) for 3 s",
        setting=MARIADB,
        inject=fill,
        lasts=3.0,
        recover=empty,
        survivor="a",
        expect=Expect(follow=FOLLOW),
    ),
    Scenario(
        name="mariadb-dns-stopped-moved",
        fault="MariaDB: nameserver silent while the server is killed, back with the new address",
        setting=MARIADB,
        inject=stop_dns_and_kill,
        lasts=2.0,
        recover=resume_dns_and_move,
        expect=MOVED,
    ),
    Scenario(
        name="mariadb-returns-as-primary",
        fault="MariaDB: killed, and comes back writable; DNS names the new one",
        setting=MARIADB,
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.move(),
        aftermath=in_turn(lambda stage: stage.a.start_primary(), look_on(3.0)),
        expect=MOVED,
    ),
    Scenario(
        name="mariadb-both-named",
        fault="MariaDB: DNS names both, checks with credentials; the server is killed",
        setting=Setting(
            engine="mariadb", named=("b", "a"), login=LOGIN, database={"target_session_attrs": "read-write"}
        ),
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.b.promote(),
        expect=MOVED,
    ),
    Scenario(
        name="mariadb-returns-as-replica",
        fault="MariaDB: the same, and it comes back as a replica",
        setting=Setting(
            engine="mariadb", named=("a", "b"), login=LOGIN, database={"target_session_attrs": "read-write"}
        ),
        inject=lambda stage: stage.a.kill(),
        recover=lambda stage: stage.b.promote(),
        aftermath=in_turn(lambda stage: stage.a.return_as_replica(stage.b), look_on(3.0)),
        expect=MOVED,
    ),
    Scenario(
        name="mariadb-nxdomain",
        fault="MariaDB: NXDOMAIN for 5 s: new clients wait, sessions go on",
        setting=MARIADB,
        inject=lambda stage: stage.zone.forget(),
        lasts=5.0,
        recover=lambda stage: stage.name("a"),
        survivor="a",
        expect=Expect(follow=FOLLOW, failed=0),
    ),
)
