"""Environment files → profiles; and every kind of bad input with the message it gets."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from dbambassador.settings.decoding import File, decode
from dbambassador.settings.format import environment_schema
from dbambassador.settings.schema import (
    Balance,
    Check,
    Database,
    Expectation,
    HostEndpoint,
    Kind,
    Login,
    Operator,
    Profile,
    Protocol,
    Requirement,
    SrvEndpoint,
    TargetSessionAttrs,
    TcpListen,
    UnixListen,
)
from tests.settings.making import database, decoded, only, problems, with_database

GOOD = """\
environment: production
priority: 10
match:
  matchFacts: {k8s.namespace.name: shop}
  matchExpressions:
    - {key: cloud.region, operator: In, values: [eu-west-1, eu-central-1]}
    - {key: host.name, operator: DoesNotExist}
forbid:
  matchFacts: {dbambassador.platform: compose}
databases:
  orders:
    protocol: postgresql
    listen: [localhost:5432, "unix:/var/run/postgresql/.s.PGSQL.5432"]
    endpoint: orders.${cloud.region}.db.test:5432
    target_session_attrs: read-write
    hold: 200ms
  catalog:
    protocol: mysql
    listen: ["[::1]:3306", 127.0.0.1:3306]
    endpoints:
      - {host: 10.0.0.1, port: 3306}
      - {host: "fd00::1", port: 3307, zone: b}
    check: passive
  reports:
    protocol: postgresql
    listen: [localhost:5433]
    endpoints:
      - {host: a.db.test, port: 5432, weight: 3}
      - {host: b.db.test, port: 5432}
    target_session_attrs: prefer-standby
    balance: hash
    check: {user: probe, password_file: /run/probe, interval: 5s, fall: 2}
  cache:
    protocol: tcp
    listen: [10.1.2.3:6379]
    endpoint: srv:_redis._tcp.cache.test
expect:
  - {facts: {k8s.namespace.name: shop, cloud.region: eu-west-1}, selected: true}
"""


def test_a_whole_file() -> None:
    assert decoded(GOOD) == Profile(
        name="shop",
        file="shop.yaml",
        kind=Kind.PRODUCTION,
        priority=10,
        match=(
            Requirement("k8s.namespace.name", Operator.IN, ("shop",)),
            Requirement("cloud.region", Operator.IN, ("eu-west-1", "eu-central-1")),
            Requirement("host.name", Operator.DOES_NOT_EXIST),
        ),
        forbid=(Requirement("dbambassador.platform", Operator.IN, ("compose",)),),
        databases=(
            Database(
                name="orders",
                protocol=Protocol.POSTGRESQL,
                listen=(
                    TcpListen("127.0.0.1", 5432),
                    TcpListen("::1", 5432, optional=True),
                    UnixListen("/var/run/postgresql/.s.PGSQL.5432"),
                ),
                endpoints=(HostEndpoint("orders.${cloud.region}.db.test", 5432),),
                target_session_attrs=TargetSessionAttrs.READ_WRITE,
                hold=0.2,
            ),
            Database(
                name="catalog",
                protocol=Protocol.MYSQL,
                listen=(TcpListen("::1", 3306), TcpListen("127.0.0.1", 3306)),
                endpoints=(HostEndpoint("10.0.0.1", 3306), HostEndpoint("fd00::1", 3307, zone="b")),
                check=Check(passive=True),
            ),
            Database(
                name="reports",
                protocol=Protocol.POSTGRESQL,
                listen=(TcpListen("127.0.0.1", 5433), TcpListen("::1", 5433, optional=True)),
                endpoints=(HostEndpoint("a.db.test", 5432, weight=3), HostEndpoint("b.db.test", 5432)),
                target_session_attrs=TargetSessionAttrs.PREFER_STANDBY,
                balance=Balance.HASH,
                check=Check(login=Login("probe", "/run/probe"), interval=5.0, fall=2),
            ),
            Database(
                name="cache",
                protocol=Protocol.TCP,
                listen=(TcpListen("10.1.2.3", 6379),),
                endpoints=(SrvEndpoint("_redis._tcp.cache.test"),),
            ),
        ),
        expect=(Expectation({"k8s.namespace.name": "shop", "cloud.region": "eu-west-1"}, True),),
    )


def test_the_schema_accepts_what_decodes() -> None:
    jsonschema.Draft202012Validator.check_schema(environment_schema())
    jsonschema.Draft202012Validator(environment_schema()).validate(yaml.safe_load(GOOD))


class TestDefaults:
    DEFAULTS = "databases: {orders: {protocol: mysql, listen: [localhost:3306], hold: 1m}}"

    def test_are_merged_under_every_environment(self) -> None:
        profile = decoded(
            "environment: test\ndatabases: {orders: {endpoint: 'db:3306', hold: 0s}}", self.DEFAULTS
        )

        assert profile.databases[0].protocol is Protocol.MYSQL
        assert profile.databases[0].hold == 0.0
        assert profile.databases[0].endpoints == (HostEndpoint("db", 3306),)

    def test_endpoint_and_endpoints_replace_each_other(self) -> None:
        defaults = "databases: {orders: {protocol: tcp, listen: [localhost:1], endpoint: 'a:1'}}"
        profile = decoded(
            "environment: test\ndatabases: {orders: {endpoints: [{host: b, port: 2}]}}", defaults
        )

        assert profile.databases[0].endpoints == (HostEndpoint("b", 2),)

    def test_a_database_that_an_environment_forgets_is_that_environments_problem(self) -> None:
        problem = only("environment: test\ndatabases: {}", self.DEFAULTS)

        assert problem.hint == "databases.orders comes from _defaults.yaml"
        assert (problem.file, problem.path, problem.found) == (
            "shop.yaml",
            "databases.orders.endpoint",
            "nothing",
        )

    def test_a_problem_of_theirs_is_told_once_at_its_own_line(self) -> None:
        _, found = decode(
            File(
                "_defaults.yaml",
                "_defaults",
                b"databases:\n  orders: {protocol: tcp, listen: [localhost], hold: 5}\n",
            ),
            [
                File(f"{name}.yaml", name, b"environment: test\ndatabases: {orders: {endpoint: 'a:1'}}")
                for name in ("one", "two")
            ],
        )

        assert [(problem.file, problem.line, problem.path) for problem in found] == [
            ("_defaults.yaml", 2, "databases.orders.listen[0]"),
            ("_defaults.yaml", 2, "databases.orders.hold"),
        ]

    @pytest.mark.parametrize("key", ["match: {matchFacts: {ab: c}}", "forbid: {}", "expect: []"])
    def test_state_no_conditions(self, key: str) -> None:
        found = problems(
            "environment: test\ndatabases: {orders: {endpoint: 'db:1'}}", f"{self.DEFAULTS}\n{key}"
        )

        assert found[0].file == "_defaults.yaml"
        assert "each environment states its own" in found[0].hint

    def test_may_be_replaced_everywhere_and_are_still_checked(self) -> None:
        problem = only(with_database(), "databases: {orders: {hold: soon}}")

        assert (problem.file, problem.found) == ("_defaults.yaml", "'soon'")


def test_no_match_is_chosen_by_name_and_an_empty_forbid_forbids_nothing() -> None:
    base = with_database()

    assert decoded(base).match is None
    for forbid in ("forbid:", "forbid: {}", "forbid: {matchFacts: {}}"):
        assert decoded(f"{base}\n{forbid}").forbid == ()


@pytest.mark.parametrize(
    "match", ["match:", "match: {}", "match: {matchFacts: {}}", "match: {matchExpressions: []}"]
)
def test_an_empty_match_is_an_error(match: str) -> None:
    problem = only(f"{with_database()}\n{match}")

    assert problem.path == "match"


def test_an_unknown_key_suggests_the_nearest() -> None:
    problem = only(with_database(endpont="db:1"))

    assert str(problem).startswith("shop.yaml:8: databases.orders.endpont: found the unknown key endpont")
    assert problem.hint == "did you mean endpoint?"
    assert only("enviroment: test\n" + with_database()).hint == "did you mean environment?"
    assert only(with_database() + "\nmatch: {k8s.namespace.name: shop}").hint == "facts go under matchFacts"


@pytest.mark.parametrize(
    ("key", "value", "path", "found", "message"),
    [
        ("listen", "localhost:5432", "listen", "'localhost:5432'", "write it as a list"),
        ("listen", [], "listen", "an empty list", "localhost:PORT"),
        ("listen", [5432], "listen[0]", "the number 5432", "quote it"),
        ("listen", ["5432"], "listen[0]", "'5432'", "port is missing"),
        ("listen", ["localhost"], "listen[0]", "'localhost'", "localhost:PORT"),
        ("listen", ["localhost:0"], "listen[0]", "'localhost:0'", "from 1 to 65535"),
        ("listen", ["localhost:65536"], "listen[0]", "'localhost:65536'", "from 1 to 65535"),
        ("listen", ["db.test:5432"], "listen[0]", "'db.test:5432'", "not a name"),
        ("listen", ["::1:5432"], "listen[0]", "'::1:5432'", "port is missing: [::1:5432]"),
        (
            "listen",
            ["[127.0.0.1]:5432"],
            "listen[0]",
            "'[127.0.0.1]:5432'",
            "IPv6 address stands in brackets",
        ),
        ("listen", ["[::1]"], "listen[0]", "'[::1]'", "the port is missing: [::1]:PORT"),
        ("listen", ["unix:socket"], "listen[0]", "'unix:socket'", "absolute"),
        ("listen", ["/run/x.sock"], "listen[0]", "'/run/x.sock'", "write unix:/run/x.sock"),
        ("listen", ["unix:/" + "x" * 107], "listen[0]", "a path of 108 bytes", "107 bytes"),
        (
            "listen",
            ["localhost:5432", "127.0.0.1:5432"],
            "listen[1]",
            "127.0.0.1:5432, twice",
            "no other one uses",
        ),
        (
            "listen",
            ["0.0.0.0:5432", "127.0.0.1:5432"],
            "listen[1]",
            "(with 0.0.0.0:5432)",
            "no other one uses",
        ),
        ("endpoint", None, "endpoint", "nothing", "HOST:PORT"),
        ("endpoint", "db.test", "endpoint", "'db.test'", "the port is missing: db.test:5432"),
        ("endpoint", "db.${region}", "endpoint", "'db.${region}'", "the port is missing: db.${region}:5432"),
        ("endpoint", "fd00::1", "endpoint", "'fd00::1'", "the port is missing: [fd00::1]:5432"),
        ("endpoint", "db.test:x", "endpoint", "'db.test:x'", "from 1 to 65535"),
        ("endpoint", ":5432", "endpoint", "':5432'", "the host is missing"),
        ("endpoint", "d b:5432", "endpoint", "'d b:5432'", "a host name"),
        ("endpoint", "10.0.0.256:5432", "endpoint", "'10.0.0.256:5432'", "looks like an IPv4 address"),
        ("endpoint", "dé.test:5432", "endpoint", "'dé.test:5432'", "xn--"),
        ("endpoint", "srv:db.test", "endpoint", "'srv:db.test'", "begins with its service"),
        ("endpoint", "db.${}.test:5432", "endpoint", "'db.${}.test:5432'", "${cloud.region}"),
        ("endpoint", "db.${region:5432", "endpoint", "'db.${region:5432'", "${cloud.region}"),
        ("endpoint", "db.$region:5432", "endpoint", "'db.$region:5432'", "${cloud.region}"),
        ("endpoint", "d/${region}:5432", "endpoint", "'d/${region}:5432'", "around ${fact}"),
        (
            "endpoint",
            "localhost:5432",
            "endpoint",
            "127.0.0.1:5432, where this database itself",
            "another address",
        ),
        ("endpoint", ["db:1"], "endpoint", "a list", "HOST:PORT"),
        ("endpoints", [{"host": "a", "port": 1}], "endpoints", "endpoint and endpoints", "only one of them"),
        ("protocol", None, "protocol", "nothing", "postgresql, mysql or tcp"),
        ("protocol", "postgres", "protocol", "'postgres'", "write postgresql"),
        ("protocol", "redis", "protocol", "'redis'", "tcp forwards it"),
        ("hold", 5, "hold", "the number 5", "a duration"),
        ("hold", "5", "hold", "'5'", "with a unit: 5s"),
        ("hold", "1h", "hold", "'1h'", "a duration"),
        ("hold", "11m", "hold", "'11m'", "to 10m"),
        ("client_idle_timeout", 60, "client_idle_timeout", "the number 60", "a duration"),
        ("client_idle_timeout", "60", "client_idle_timeout", "'60'", "with a unit: 60s"),
        ("client_idle_timeout", "200ms", "client_idle_timeout", "'200ms'", "from 1s"),
        ("client_idle_timeout", "1441m", "client_idle_timeout", "'1441m'", "to 1440m"),
        (
            "unix_socket_mode",
            "0660",
            "unix_socket_mode",
            "unix_socket_mode: '0660'",
            "listens on no unix socket",
        ),
        ("unix_socket_group", "shop", "unix_socket_group", "'shop'", "listens on no unix socket"),
        (
            "allow_cleartext_passwords",
            True,
            "allow_cleartext_passwords",
            "allow_cleartext_passwords: true",
            "only with protocol: mysql",
        ),
    ],
)
def test_bad_values_say_what_was_found_and_what_is_expected(
    key: str, value: object, path: str, found: str, message: str
) -> None:
    problem = only(with_database(**{key: value}))

    assert problem.path == f"databases.orders.{path}"
    assert found in problem.found
    assert message in str(problem)
    assert problem.line is not None


@pytest.mark.parametrize(
    ("key", "written", "message"),
    [
        ("unix_socket_mode", "0660", "found the number 0660"),
        ("unix_socket_mode", "0660", 'quote it: "0660"'),
        ("unix_socket_mode", "660", 'quote it: "660"'),
        ("unix_socket_mode", "'660a'", "an octal mode as text"),
        ("unix_socket_mode", "'0o660'", "an octal mode as text"),
        ("unix_socket_mode", "'0888'", "an octal mode as text"),
        ("unix_socket_mode", "'01777'", "an octal mode as text"),
        ("unix_socket_mode", "'0444'", "lets nobody write"),
        ("unix_socket_mode", "u=rw", "an octal mode as text"),
        ("unix_socket_group", "-1", "a group or its number"),
        ("unix_socket_group", "4294967295", "a group or its number"),
        ("unix_socket_group", "'007'", "a group or its number"),
        ("unix_socket_group", "'shop:shop'", "a group or its number"),
        ("unix_socket_group", "true", "quote it"),
        ("unix_socket_group", "''", "a group or its number"),
    ],
)
def test_who_may_use_a_unix_socket_is_written_plainly(key: str, written: str, message: str) -> None:
    problem = only(with_database(listen=["unix:/run/a"]) + f"    {key}: {written}\n")

    assert problem.path == f"databases.orders.{key}"
    assert message in str(problem)


@pytest.mark.parametrize(("written", "mode"), [("0660", 0o660), ("660", 0o660), ("0777", 0o777)])
@pytest.mark.parametrize(("group", "kept"), [("shop", "shop"), (999, "999"), ("999", "999"), (0, "0")])
def test_mode_and_group_of_a_unix_socket(written: str, mode: int, group: object, kept: str) -> None:
    read = database(listen=["unix:/run/a"], unix_socket_mode=written, unix_socket_group=group)

    assert (read.unix_socket_mode, read.unix_socket_group) == (mode, kept)
    schema = jsonschema.Draft202012Validator(environment_schema())
    keys = {"unix_socket_mode": written, "unix_socket_group": group}
    assert schema.is_valid({"databases": {"orders": keys}})


def test_cleartext_passwords_are_for_clients_of_mysql_that_come_over_a_unix_socket() -> None:
    assert not database(protocol="mysql", listen=["unix:/run/a"]).allow_cleartext_passwords
    allowing = {"protocol": "mysql", "allow_cleartext_passwords": True}
    assert database(listen=["unix:/run/a"], **allowing).allow_cleartext_passwords
    assert "listens on no unix socket" in str(only(with_database(**allowing)))
    for written in ("yes please", 1, ""):
        bad = {**allowing, "allow_cleartext_passwords": written}
        assert "true or false" in str(only(with_database(listen=["unix:/run/a"], **bad)))


@pytest.mark.parametrize("key", ["unix_socket_mode", "unix_socket_group"])
def test_defaults_may_leave_the_unix_socket_to_the_environment(key: str) -> None:
    defaults = f"databases:\n  orders:\n    listen: [localhost:5432]\n    {key}: '660'\n"

    assert getattr(decoded(with_database(listen=["unix:/run/a"]), defaults).databases[0], key) in (
        0o660,
        "660",
    )


def test_one_bad_listen_address_is_one_problem() -> None:
    assert (
        only(with_database(listen=["unix:a"], unix_socket_mode="0660")).path == "databases.orders.listen[0]"
    )


@pytest.mark.parametrize(("written", "seconds"), [("0s", 0.0), ("1s", 1.0), ("90m", 5400.0)])
def test_idle_sessions_have_a_time_or_none(written: str, seconds: float) -> None:
    assert database(client_idle_timeout=written).client_idle_timeout == seconds
    assert database().client_idle_timeout == 0.0


def test_passwords_in_an_endpoint_are_not_repeated() -> None:
    for endpoint in ("postgresql://me:hunter2@db.test:5432/shop", "me:hunter2@db.test:5432"):
        problem = only(with_database(endpoint=endpoint))
        assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        ([], "an empty list"),
        (["db:5432"], "expected a mapping with host, port"),
        ([{"host": "a"}], "endpoints[0].port: found nothing"),
        ([{"host": "a", "port": "1"}], "found '1', expected a port from 1 to 65535 (without quotes)"),
        ([{"host": "a", "port": 0}], "found the number 0"),
        ([{"host": "a b", "port": 1}], "endpoints[0].host: found 'a b'"),
        ([{"host": "a", "port": 1, "weight": 3}, {"host": "b", "port": 1}], "the same weight for all"),
        ([{"host": "a", "port": 1, "wieght": 3}], "did you mean weight?"),
        ([{"host": "::1", "port": 5432}], "where this database itself is listening"),
    ],
)
def test_bad_lists_of_endpoints(endpoints: object, message: str) -> None:
    assert message in str(only(with_database(endpoint=None, endpoints=endpoints)))


def test_equal_weights_are_accepted_as_an_order() -> None:
    endpoints = [{"host": "a", "port": 1, "weight": 3}, {"host": "b", "port": 1, "weight": 3}]

    assert len(decoded(with_database(endpoint=None, endpoints=endpoints)).databases[0].endpoints) == 2


def test_two_databases_on_one_listen_address() -> None:
    text = """\
environment: test
databases:
  orders: {protocol: tcp, listen: [localhost:5432], endpoint: "a:1"}
  catalog: {protocol: tcp, listen: ["[::1]:5432"], endpoint: "a:1"}
  socket: {protocol: tcp, listen: ["unix:/run/a"], endpoint: "a:1"}
  again: {protocol: tcp, listen: ["unix:/run//a"], endpoint: "a:1"}
"""
    found = problems(text)

    assert [(problem.line, problem.path, problem.found) for problem in found] == [
        (4, "databases.catalog.listen[0]", "[::1]:5432, where orders already listens"),
        (6, "databases.again.listen[0]", "unix:/run/a, where socket already listens"),
    ]


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("matchFacts: {ab: 1}", 'quote it: "1"'),
        ("matchFacts: {ab: true}", 'quote it: "true"'),
        ("matchFacts: {ab: ''}", "a text that is not empty"),
        ("matchFacts: {ab: }", "found nothing"),
        ('matchFacts: {ab: "x\\ty"}', "control character"),
        (f"matchFacts: {{ab: '{':'.join(['FF'] * 32)}'}}", f"without colons ({'ff' * 32})"),
        ("matchFacts: {'a b': c}", "the name of a fact"),
        ("matchFacts: [ab]", "a mapping of facts to values"),
        ("matchExpressions: {key: ab}", "a list of conditions"),
        ("matchExpressions: [{key: ab}]", "operator: found nothing"),
        ("matchExpressions: [{operator: Exists}]", "key: found nothing"),
        ("matchExpressions: [{key: ab, operator: in, values: [x]}]", "found 'in', expected an operator: In,"),
        ("matchExpressions: [{key: ab, operator: In}]", "values: found nothing"),
        ("matchExpressions: [{key: ab, operator: NotIn, values: []}]", "at least one value for NotIn"),
        ("matchExpressions: [{key: ab, operator: In, values: x}]", "write it as a list"),
        ("matchExpressions: [{key: ab, operator: Exists, values: [x]}]", "no values with Exists"),
        ("matchLabels: {ab: c}", "did you mean matchFacts?"),
    ],
)
@pytest.mark.parametrize("place", ["match", "forbid"])
def test_bad_conditions(place: str, selector: str, message: str) -> None:
    assert message in str(only(f"{with_database()}\n{place}: {{{selector}}}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a, b]", "found a list, expected a mapping"),
        ("hello", "found 'hello', expected a mapping"),
        (
            "environment: prod\ndatabases: {a: {protocol: tcp, listen: [localhost:1], endpoint: 'a:1'}}",
            "'prod'",
        ),
        (
            "databases: {a: {protocol: tcp, listen: [localhost:1], endpoint: 'a:1'}}",
            "environment: found nothing",
        ),
        ("environment: test", "databases: found nothing"),
        ("environment: test\ndatabases: {}", "at least one database"),
        ("environment: test\ndatabases:", "at least one database"),
        ("environment: test\ndatabases: {orders: }", "found nothing, expected a mapping"),
        (with_database() + "\npriority: high", "found 'high', expected a whole number"),
        (with_database() + "\npriority: 1.5", "the number 1.5"),
        (with_database() + "\npriority: 010", "the number 010"),
        (with_database() + "\npriority: " + "9" * 5000, "expected a whole number"),
        (with_database() + "\nexpect: {}", "a list of rows"),
        (with_database() + "\nexpect: [{facts: {}}]", "expect[0].selected: found nothing"),
        (with_database() + "\nexpect: [{facts: {}, selected: 'true'}]", "true or false"),
        (with_database().replace("orders", "or ders"), "the name or ders"),
    ],
)
def test_bad_files(text: str, message: str) -> None:
    assert message in str(only(text))


def test_a_bad_file_name_is_a_problem() -> None:
    _, found = decode(None, [File("sh op.yaml", "sh op", with_database().encode())])

    assert found[0].found == "the file name sh op"


def test_many_problems_come_together_in_order() -> None:
    text = (
        GOOD.replace("priority: 10", "priority: x")
        .replace("hold: 200ms", "hold: 1")
        .replace("host: 10.0.0.1, ", "")
    )

    assert [problem.path for problem in problems(text)] == [
        "priority",
        "databases.orders.hold",
        "databases.catalog.endpoints[0].host",
    ]
