"""`check`: every form of it, and what is refused."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.settings.decoding import File, decode
from dbambassador.settings.format import environment_schema
from dbambassador.settings.schema import Check, HttpCheck, Login
from tests.settings.making import database, decoded, only, problems, with_database

GOOD = "{protocol: postgresql, listen: [localhost:5432], endpoint: 'db:5432'}"


@pytest.mark.parametrize(
    ("written", "check"),
    [
        (None, Check()),
        ({}, Check()),
        ("passive", Check(passive=True)),
        ({"passive": True}, Check(passive=True)),
        (
            {"passive": True, "fall": 3, "down_interval": "2s"},
            Check(passive=True, fall=3, down_interval=2.0),
        ),
        ({"user": "probe"}, Check(login=Login("probe"))),
        (
            {"user": "probe", "password_file": "/run/secrets/probe", "database": "shop"},
            Check(login=Login("probe", "/run/secrets/probe", "shop")),
        ),
        ({"http": {"port": 8008}}, Check(http=HttpCheck(8008))),
        (
            {"http": {"port": 8008, "path": "/replica?lag=10MB"}},
            Check(http=HttpCheck(8008, "/replica?lag=10MB")),
        ),
        (
            {"interval": "10m", "fast_interval": "50ms", "down_interval": "1m", "rise": 100, "fall": 100},
            Check(interval=600.0, fast_interval=0.05, down_interval=60.0, rise=100, fall=100),
        ),
        ({"interval": "500ms"}, Check(interval=0.5, down_interval=0.5)),
        ({"interval": "100ms"}, Check(interval=0.1, fast_interval=0.1, down_interval=0.1)),
        ({"interval": "100ms", "down_interval": "1s"}, Check(interval=0.1, fast_interval=0.1)),
    ],
)
def test_every_form(written: object, check: Check) -> None:
    text = with_database(check=written)

    assert database(check=written).check == check
    jsonschema.Draft202012Validator(environment_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize("protocol", ["postgresql", "mysql", "tcp"])
def test_http_is_for_every_protocol(protocol: str) -> None:
    check = database(protocol=protocol, check={"http": {"port": 9200}}).check

    assert check.http == HttpCheck(9200, "/")


@pytest.mark.parametrize(
    ("written", "path", "found", "message"),
    [
        ("active", "", "'active'", "leave check out"),
        ("postgresql://probe:hunter2@db", "", "a URL or user name", "passive, or a mapping"),
        (["passive"], "", "a list", "passive, or a mapping"),
        (True, "", "true", "passive, or a mapping"),
        ({"pasive": True}, ".pasive", "the unknown key pasive", "did you mean passive?"),
        ({"passive": False}, ".passive", "false", "leave it out for checks"),
        ({"passive": "yes"}, ".passive", "'yes'", "true"),
        ({"user": ""}, ".user", "''", "a name of at most 128 characters"),
        ({"user": "x" * 129}, ".user", "'xxx", "a name of at most 128 characters"),
        ({"user": 7}, ".user", "the number 7", 'quote it: "7"'),
        ({"user": "pro\nbe"}, ".user", "'pro", "control character"),
        ({"user": "probe", "database": "x" * 129}, ".database", "'xxx", "at most 128"),
        (
            {"user": "probe", "password_file": "secrets/probe"},
            ".password_file",
            "no absolute path",
            "the absolute path of a file",
        ),
        ({"user": "probe", "password_file": "/run/"}, ".password_file", "no absolute path", "of a file"),
        ({"user": "probe", "password_file": 1234}, ".password_file", "no absolute path", "of a file"),
        ({"user": "probe", "password": "x"}, ".password", "password", "password_file: /PATH"),
        ({"password_file": "/run/probe"}, ".password_file", "password_file without a user", "a user as well"),
        ({"database": "shop"}, ".database", "database without a user", "a user as well"),
        ({"http": 8008}, ".http", "the number 8008", "a mapping with port or path"),
        ({"http": {}}, ".http.port", "nothing", "a port from 1 to 65535"),
        ({"http": {"path": "/primary"}}, ".http.port", "nothing", "a port from 1 to 65535"),
        ({"http": {"port": "8008"}}, ".http.port", "'8008'", "without quotes"),
        ({"http": {"port": 65536}}, ".http.port", "the number 65536", "a port from 1 to 65535"),
        ({"http": {"port": 8008, "path": "primary"}}, ".http.path", "'primary'", "begins with /"),
        ({"http": {"port": 8008, "path": "/a b"}}, ".http.path", "'/a b'", "without spaces"),
        ({"http": {"port": 8008, "path": "/a\tb"}}, ".http.path", "'/a", "control character"),
        ({"http": {"port": 8008, "path": "/é"}}, ".http.path", "'/é'", "without spaces"),
        (
            {"http": {"port": 8008, "path": "http://db:8008/"}},
            ".http.path",
            "'http://db:8008/'",
            "the host is the endpoint's",
        ),
        (
            {"http": {"port": 8008, "path": "/" + "x" * 1024}},
            ".http.path",
            "a path of 1025 characters",
            "at most 1024",
        ),
        ({"http": {"port": 8008, "tls": True}}, ".http.tls", "the unknown key tls", "port or path"),
        ({"interval": 30}, ".interval", "the number 30", "from 100ms to 10m"),
        ({"interval": "30"}, ".interval", "'30'", "with a unit: 30s"),
        ({"interval": "99ms"}, ".interval", "'99ms'", "from 100ms to 10m"),
        ({"interval": "601s"}, ".interval", "'601s'", "from 100ms to 10m"),
        ({"fast_interval": "49ms"}, ".fast_interval", "'49ms'", "from 50ms to 1m"),
        ({"fast_interval": "61s"}, ".fast_interval", "'61s'", "from 50ms to 1m"),
        ({"down_interval": "0s"}, ".down_interval", "'0s'", "from 50ms to 1m"),
        ({"down_interval": "2m"}, ".down_interval", "'2m'", "from 50ms to 1m"),
        ({"rise": 0}, ".rise", "the number 0", "from 1 to 100"),
        ({"fall": 101}, ".fall", "the number 101", "from 1 to 100"),
        ({"fall": "2"}, ".fall", "'2'", "without quotes"),
    ],
)
def test_bad_checks_say_what_was_found_and_what_is_expected(
    written: object, path: str, found: str, message: str
) -> None:
    problem = only(with_database(check=written))

    assert (problem.path, problem.found[: len(found)]) == (f"databases.orders.check{path}", found)
    assert message in str(problem)
    assert problem.line is not None


@pytest.mark.parametrize(
    ("written", "path", "found"),
    [
        ({"user": "probe", "http": {"port": 1}}, "http", "http beside user"),
        ({"password_file": "/x", "http": {"port": 1}}, "http", "http beside password_file"),
        (
            {"http": {"port": 1}, "user": "probe", "password_file": "/x", "database": "shop"},
            "http",
            "http beside user, password_file or database",
        ),
        ({"passive": True, "user": "probe"}, "passive", "passive beside user"),
        ({"passive": True, "http": {"port": 1}}, "passive", "passive beside http"),
        ({"passive": True, "interval": "5s"}, "passive", "passive beside interval"),
        ({"passive": True, "fast_interval": "1s"}, "passive", "passive beside fast_interval"),
        ({"passive": True, "rise": 2}, "passive", "passive beside rise"),
        (
            {"passive": True, "user": "probe", "http": {"port": 1}},
            "passive",
            "passive beside user or http",
        ),
    ],
)
def test_one_source_tells(written: object, path: str, found: str) -> None:
    problem = only(with_database(check=written))

    assert (problem.path, problem.found) == (f"databases.orders.check.{path}", found)


def test_tcp_knows_no_login() -> None:
    problem = only(with_database(protocol="tcp", check={"user": "probe"}))

    assert (problem.path, problem.found) == ("databases.orders.check.user", "a user")
    assert "http: {port: …}" in problem.hint


@pytest.mark.parametrize(
    "check",
    [
        {"user": "probe", "password": "hunter2"},
        {"user": "probe", "password": 31337},
        {"user": "probe", "password": {"is": "hunter2"}},
        {"user": "probe", "passwort": "hunter2"},
        {"user": "probe", "password_file": "hunter2"},
        "hunter2:hunter2@db",
    ],
)
def test_no_message_repeats_a_password(check: object) -> None:
    text = str(only(with_database(check=check)))

    assert "hunter2" not in text
    assert "31337" not in text


@pytest.mark.parametrize(
    "check",
    [
        "active",
        {"passive": False},
        {"user": ""},
        {"user": "x" * 129},
        {"password": "x"},
        {"password_file": "secrets/probe"},
        {"http": 8008},
        {"http": {"port": 0}},
        {"http": {"port": 1, "path": "primary"}},
        {"http": {"port": 1, "path": "/a b"}},
        {"http": {"port": 1, "path": "/" + "x" * 1024}},
        {"interval": 30},
        {"interval": "30"},
        {"rise": 0},
        {"fall": 101},
        {"unknown": 1},
    ],
)
def test_the_schema_refuses_what_it_can_tell_alone(check: object) -> None:
    file = yaml.safe_load(with_database(check=check))

    assert not jsonschema.Draft202012Validator(environment_schema()).is_valid(file)
    assert problems(with_database(check=check))


class TestOverTheDefaults:
    """The application's half says how to check, and an environment says otherwise."""

    def test_keys_are_merged(self) -> None:
        check = merged({"user": "probe", "fall": 2}, {"password_file": "/run/probe", "interval": "5s"})

        assert check == Check(login=Login("probe", "/run/probe"), fall=2, interval=5.0)

    @pytest.mark.parametrize(
        ("theirs", "ours", "check"),
        [
            (
                {"user": "probe", "password_file": "/x", "database": "d", "fall": 2},
                {"http": {"port": 1}},
                Check(http=HttpCheck(1), fall=2),
            ),
            ({"http": {"port": 1}, "rise": 2}, {"user": "probe"}, Check(login=Login("probe"), rise=2)),
            (
                {"user": "probe", "interval": "5s", "rise": 2, "fall": 3},
                {"passive": True},
                Check(passive=True, fall=3),
            ),
            ({"passive": True, "fall": 3}, {"user": "probe"}, Check(login=Login("probe"), fall=3)),
            ({"passive": True, "fall": 3}, {"http": {"port": 1}}, Check(http=HttpCheck(1), fall=3)),
            ("passive", {"fall": 2}, Check(fall=2)),
            ({"user": "probe"}, "passive", Check(passive=True)),
            ({"http": {"port": 1}}, {"http": {"path": "/primary"}}, Check(http=HttpCheck(1, "/primary"))),
        ],
    )
    def test_one_way_of_checking_replaces_another(self, theirs: object, ours: object, check: Check) -> None:
        assert merged(theirs, ours) == check

    def test_a_knob_alone_does_not_begin_to_dial(self) -> None:
        problem = only(with_database(check={"interval": "5s"}), defaults(check={"passive": True}))

        assert (problem.file, problem.found) == ("_defaults.yaml", "passive beside interval")

    def test_what_is_missing_there_may_be_given_here(self) -> None:
        """Nor is it known there what the database speaks."""
        assert merged({"password_file": "/x"}, {"user": "probe"}) == Check(login=Login("probe", "/x"))
        assert merged({"user": "probe"}, {}) == Check(login=Login("probe"))
        assert merged({"http": {"path": "/primary"}}, {"http": {"port": 1}}).http == HttpCheck(1, "/primary")

    def test_a_contradiction_within_them_is_theirs(self) -> None:
        both = {"user": "probe", "http": {"port": 1}}
        problem = only(with_database(check="passive"), defaults(check=both))

        assert (problem.file, problem.found) == ("_defaults.yaml", "http beside user")

    def test_names_of_databases_are_no_keys_of_a_check(self) -> None:
        each = "{protocol: tcp, listen: ['127.0.0.1:%d'], endpoint: 'a:1'}"
        theirs = f"databases: {{http: {each % 1}, endpoint: {each % 2}}}"
        ours = f"environment: test\ndatabases: {{user: {each % 3}, endpoints: {each % 4}}}"

        names = {one.name for one in decoded(ours, theirs).databases}

        assert names == {"http", "endpoint", "user", "endpoints"}


def defaults(**keys: Any) -> str:
    return yaml.safe_dump({"databases": {"orders": keys}})


def merged(theirs: object, ours: object) -> Check:
    return decoded(with_database(check=ours), defaults(check=theirs)).databases[0].check


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["user", "http", "passive", "interval", "fall", "port", "path", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"check": JUNK, "balance": JUNK, "target_session_attrs": JUNK}))
def test_any_junk_gives_problems_or_a_database(keys: dict[str, object]) -> None:
    file = {"environment": "test", "databases": {"orders": {**yaml.safe_load(GOOD), **keys}}}

    profiles, found = decode(None, [File("shop.yaml", "shop", yaml.safe_dump(file).encode())])

    assert found or profiles[0].databases
