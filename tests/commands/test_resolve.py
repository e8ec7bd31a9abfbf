from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from dbambassador.cli import main
from dbambassador.errors import ExitCode
from tests.testbed.dns import Knot, free_port, knot

Capture = pytest.CaptureFixture[str]

ENVIRONMENT = """\
environment: test
match: {matchFacts: {k8s.namespace.name: shop}}
databases:
  orders:
    protocol: postgresql
    listen: [localhost:5432]
    endpoint: orders.db.test:5432
  stock:
    protocol: mysql
    listen: [localhost:3306]
    endpoint: srv:_mysql._tcp.db.test
"""

RECORDS = [
    "orders 20 CNAME primary",
    "primary 5 A 10.0.0.7",
    "_mysql._tcp 5 SRV 3 7 3307 stock",
    "stock 5 A 10.0.0.8",
]

SCHEMA = json.loads(files("dbambassador").joinpath("commands/schemas/resolve.schema.json").read_text())


@pytest.fixture(scope="module")
def server() -> Iterator[Knot]:
    with knot(records=RECORDS) as running:
        yield running


@pytest.fixture
def arguments(tmp_path: Path, server: Knot) -> list[str]:
    environments = tmp_path / "environments"
    environments.mkdir()
    (environments / "shop.yaml").write_text(ENVIRONMENT)
    return [
        "resolve",
        f"--environments={environments}",
        f"--root={tmp_path}",
        f"--nameserver={server.address}",
        "--fact=k8s.namespace.name=shop",
    ]


def test_shows_steps_and_addresses_to_people(arguments: list[str], server: Knot, capsys: Capture) -> None:
    assert main([*arguments, "--database=orders"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "environment shop"
    assert lines[2] == "orders (postgresql): orders.db.test:5432"
    assert lines[3].split() == ["question", "type", "answer", "server", "time", "TTL"]
    alias, address = lines[4].split(), lines[5].split()
    assert alias == ["orders.db.test", "CNAME", "primary.db.test", str(server.address), "20", "s"]
    assert address[:4] == ["primary.db.test", "A", "10.0.0.7", str(server.address)]
    assert address[5:] == ["ms", "5", "s"]
    assert lines[6].split()[:4] == ["primary.db.test", "AAAA", "no", "data"]
    assert lines[8].split() == ["address", "name", "priority", "weight", "zone", "role"]
    assert lines[9].split() == ["10.0.0.7:5432", "orders.db.test", "0", "1", "unknown"]
    assert len(lines) == 10


def test_json_keeps_to_its_schema(arguments: list[str], server: Knot, capsys: Capture) -> None:
    assert main([*arguments, "--json"]) == ExitCode.DONE
    report = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(report, SCHEMA)
    assert report["environment"] == "shop"
    orders, stock = report["databases"]
    assert orders["endpoints"] == ["orders.db.test:5432"]
    assert stock["endpoints"] == ["srv:_mysql._tcp.db.test"]
    assert stock["addresses"] == [
        {
            "host": "10.0.0.8",
            "port": 3307,
            "name": "stock.db.test",
            "priority": 3,
            "weight": 7,
            "zone": "",
            "role": "unknown",
        }
    ]
    assert [step["kind"] for step in stock["steps"]] == ["SRV", "A", "AAAA"]
    assert 0 < stock["asked_again_in_seconds"] <= 5


def test_a_database_without_an_address_is_told_with_its_reason(
    arguments: list[str], tmp_path: Path, server: Knot, capsys: Capture
) -> None:
    file = tmp_path / "environments/shop.yaml"
    file.write_text(ENVIRONMENT.replace("orders.db.test", "no.db.test"))
    assert main(arguments) == ExitCode.INVALID
    output = capsys.readouterr()
    assert f"no.db.test does not exist (NXDOMAIN from {server.address})" in output.out
    assert "10.0.0.8:3307" in output.out
    assert output.err == "no address: orders\n"
    assert main([*arguments, "--json"]) == ExitCode.INVALID
    jsonschema.validate(json.loads(capsys.readouterr().out), SCHEMA)


def test_a_nameserver_that_is_not_there_is_named(arguments: list[str], server: Knot, capsys: Capture) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    arguments = [argument.replace(str(server.address), nobody) for argument in arguments]
    assert main(arguments) == ExitCode.INVALID
    assert f"nameserver {nobody} cannot be reached (Connection refused)" in capsys.readouterr().out


def test_no_environment_is_refused_with_the_table_of_reasons(arguments: list[str], capsys: Capture) -> None:
    arguments = [argument.replace("=shop", "=other") for argument in arguments]
    assert main(arguments) == ExitCode.NO_ENVIRONMENT
    output = capsys.readouterr()
    assert output.out == ""
    assert "k8s.namespace.name" in output.err


def test_a_nameserver_must_be_an_address(arguments: list[str], capsys: Capture) -> None:
    assert main([*arguments, "--nameserver=ns.test"]) == ExitCode.INVALID
    assert "'ns.test'" in capsys.readouterr().err
