from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.errors import InvalidConfiguration, UsageError
from dbambassador.reflection.explicit import from_environ, from_flags, parse, stated


def test_flags() -> None:
    assert from_flags(["cloud.region=eu-west-1", "a=b=c"]) == {
        "cloud.region": ("eu-west-1", "--fact"),
        "a": ("b=c", "--fact"),
    }


@pytest.mark.parametrize("flag", ["", "novalue", "=x", "a=", "a b=c", "a=\x1b[2J", "a=" + "x" * 2000])
def test_a_flag_that_states_no_fact_is_an_error_that_can_be_printed(flag: str) -> None:
    with pytest.raises(UsageError) as error:
        from_flags([flag])
    assert error.value.message.isprintable()
    assert "--fact" in error.value.message


def test_variables_in_both_forms() -> None:
    environ = {
        "DBAMBASSADOR_FACT_k8s.namespace.name": "shop",
        "DBAMBASSADOR_FACT_CLOUD_REGION": "eu",
        "DBAMBASSADOR_FACT_CLOUD_AVAILABILITY_ZONE": "eu-a",
        "DBAMBASSADOR_FACT_DBAMBASSADOR_K8S_CA_SHA256": "9f",
        "DBAMBASSADOR_FACT_k8s.pod.label.app.kubernetes.io/name": "orders",
        "DBAMBASSADOR_PLATFORM": "compose",
        "DBAMBASSADOR_FACT_EMPTY": "",
        "DBAMBASSADOR_FACT": "flag=its own variable",
        "DBAMBASSADOR_FACTS_FILE": "/f",
        "OTHER": "x",
    }
    assert {name: value for name, (value, _) in from_environ(environ).items()} == {
        "k8s.namespace.name": "shop",
        "cloud.region": "eu",
        "cloud.availability_zone": "eu-a",
        "dbambassador.k8s.ca.sha256": "9f",
        "k8s.pod.label.app.kubernetes.io/name": "orders",
        "dbambassador.platform": "compose",
    }
    assert from_environ(environ)["cloud.region"][1] == "DBAMBASSADOR_FACT_CLOUD_REGION"


def test_two_variables_that_state_one_fact_differently() -> None:
    environ = {"DBAMBASSADOR_FACT_cloud.region": "eu", "DBAMBASSADOR_FACT_CLOUD_REGION": "us"}
    with pytest.raises(UsageError, match=r"cloud\.region is stated twice"):
        from_environ(environ)
    assert from_environ({**environ, "DBAMBASSADOR_FACT_CLOUD_REGION": "eu"})["cloud.region"][0] == "eu"


def test_a_flag_overrules_a_variable_overrules_the_file(tmp_path: Path) -> None:
    file = tmp_path / "facts.yaml"
    file.write_text("a: file\nb: file\nc: file\n")
    environ = {"DBAMBASSADOR_FACT_a": "variable", "DBAMBASSADOR_FACT_b": "variable"}
    facts = stated(["a=flag"], file, environ)
    assert facts == {
        "a": ("flag", "--fact"),
        "b": ("variable", "DBAMBASSADOR_FACT_b"),
        "c": ("file", f"{file}:3"),
    }


def test_a_file_is_taken_as_written() -> None:
    text = b"version: 1.10\non: yes\nk8s.pod.label.a/b: 'x'\nnumber: 0x10\n"
    assert {name: value for name, (value, _) in parse(text, "f").items()} == {
        "version": "1.10",
        "on": "yes",
        "k8s.pod.label.a/b": "x",
        "number": "0x10",
    }
    assert parse(b'{"cloud.region": "eu"}', "f") == {"cloud.region": ("eu", "f:1")}
    assert parse(b"", "f") == {}


def test_all_problems_of_a_file_with_their_lines() -> None:
    text = b'a: 1\nb:\nc: [1]\nd: ""\na: 2\n"x y": 1\ne: {f: g}\n? [k]\n: v\ng: "\\x00"\n'
    with pytest.raises(InvalidConfiguration) as error:
        parse(text, "f")
    assert [problem.line for problem in error.value.problems] == [2, 3, 4, 5, 6, 7, 8, 10]
    assert error.value.message.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "data", [b"- a\n", b"text", b"a: [", b"\xff\xfe\xff", b"[" * 60_000, b"a: *b", b"a: \x00"]
)
def test_a_file_that_is_no_mapping(data: bytes) -> None:
    with pytest.raises(InvalidConfiguration) as error:
        parse(data, "f")
    assert error.value.problems[0].file == "f"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, found in (("none", "no such file"), ("fifo", "not a regular file"), (".", "a directory")):
        with pytest.raises(InvalidConfiguration, match=found):
            stated([], tmp_path / name, {})


@given(st.binary(max_size=200))
def test_junk_is_a_problem_or_a_mapping(data: bytes) -> None:
    try:
        facts = parse(data, "f")
    except InvalidConfiguration:
        return
    assert all(value and value.isprintable() for value, _ in facts.values())
