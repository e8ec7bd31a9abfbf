from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.discovery.candidates import MAX_NAME, candidates
from dbambassador.discovery.resolv_conf import parse_resolv_conf
from tests.testbed.requirements import require, require_root

SEARCH = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")


def test_a_bare_service_name_is_completed_first() -> None:
    assert candidates("orders", SEARCH, 5) == (
        "orders.shop.svc.cluster.local",
        "orders.svc.cluster.local",
        "orders.cluster.local",
        "orders",
    )


def test_a_name_with_enough_dots_is_asked_for_as_it_is_first() -> None:
    assert candidates("a.b", ("x.test",), 1) == ("a.b", "a.b.x.test")
    assert candidates("a.b", ("x.test",), 2) == ("a.b.x.test", "a.b")


def test_a_full_name_is_never_completed() -> None:
    assert candidates("orders.", SEARCH, 5) == ("orders",)


def test_the_root_in_the_search_list_stands_for_the_name_itself() -> None:
    assert candidates("orders", ("", "x.test"), 1) == ("orders", "orders.x.test")


def test_a_domain_that_makes_the_name_too_long_is_left_out() -> None:
    name = "a" * 60
    long = ".".join(["b" * 60] * 4)
    assert candidates(name, (long, "x.test"), 1) == (f"{name}.x.test", name)


names = st.from_regex(r"\A[a-z]{1,3}(\.[a-z]{1,3}){0,4}\.?\Z")
domains = st.lists(st.from_regex(r"\A([a-z]{1,3}(\.[a-z]{1,3}){0,2})?\Z"), max_size=5)


@given(names, domains, st.integers(0, 15))
def test_laws(name: str, search: list[str], ndots: int) -> None:
    found = candidates(name, search, ndots)
    assert len(found) == len(set(found)) <= len(search) + 1
    assert all(
        candidate and not candidate.endswith(".") and len(candidate) <= MAX_NAME for candidate in found
    )
    assert name.removesuffix(".") in found
    assert all(candidate.startswith(name.removesuffix(".")) for candidate in found)
    if name.endswith("."):
        assert len(found) == 1
    elif name.count(".") >= ndots:
        assert found[0] == name


def test_the_order_is_that_of_glibc(tmp_path: Path) -> None:
    require_root()
    require("unshare", package="util-linux")
    require("ip", package="iproute2")
    asked = ["orders", "orders.shop", "a.b.c", "a.b.c.d", "orders.", "a.b."]
    for number, options in enumerate(["ndots:1", "ndots:2", "ndots:5", "ndots:0"]):
        conf = f"nameserver 127.0.0.1\nsearch x.test y.z.test\noptions {options} timeout:1 attempts:1\n"
        path = tmp_path / f"resolv{number}.conf"
        path.write_text(conf)
        script = Path(__file__).with_name("glibc_questions.py")
        ran = subprocess.run(
            ["unshare", "--mount", "--net", sys.executable, script, path, *asked],
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        )
        configuration = parse_resolv_conf(conf)
        for name, line in zip(asked, ran.stdout.splitlines(), strict=True):
            ours = candidates(name, configuration.search, configuration.ndots)
            assert json.loads(line) == list(ours), (name, options)
