from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.discovery.resolv_conf import ResolvConf, parse_resolv_conf
from dbambassador.values import Address

KUBERNETES = """\
# written by the kubelet
search shop.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver fd00::a
options ndots:5 timeout:1 attempts:3 edns0
"""


def test_reads_what_a_kubelet_writes() -> None:
    assert parse_resolv_conf(KUBERNETES) == ResolvConf(
        nameservers=(Address("10.96.0.10", 53), Address("fd00::a", 53)),
        search=("shop.svc.cluster.local", "svc.cluster.local", "cluster.local"),
        ndots=5,
        timeout=1,
        attempts=3,
    )


def test_an_empty_file_means_the_nameserver_on_this_host() -> None:
    assert parse_resolv_conf("") == ResolvConf((Address("127.0.0.1", 53),), (), 1, 5, 2)


def test_the_last_of_search_and_domain_wins() -> None:
    assert parse_resolv_conf("search a.test b.test\ndomain c.test.").search == ("c.test",)
    assert parse_resolv_conf("domain c.test\nsearch a.test b.test.").search == ("a.test", "b.test")
    assert parse_resolv_conf("search a.test\nsearch .").search == ("",)


def test_options_keep_to_the_bounds_of_glibc() -> None:
    conf = parse_resolv_conf("options ndots:99 timeout:600 attempts:0\noptions ndots:x timeout: attempts:-1")
    assert (conf.ndots, conf.timeout, conf.attempts) == (15, 30, 1)


def test_three_nameservers_count_and_broken_ones_do_not() -> None:
    text = "nameserver\nnameserver ns.test\n" + "\n".join(f"nameserver 10.0.0.{n} # {n}" for n in range(1, 6))
    assert [server.host for server in parse_resolv_conf(text).nameservers] == [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
    ]


lines = st.lists(
    st.tuples(
        st.sampled_from(["nameserver", "search", "domain", "options", "sortlist", "#", ";", ""]),
        st.text(alphabet="abc.:019 \tndotsimeu", max_size=30),
    )
)


@given(lines.map(lambda rows: "\n".join(" ".join(row) for row in rows)) | st.text())
def test_any_text_gives_a_configuration_within_bounds(text: str) -> None:
    conf = parse_resolv_conf(text)
    assert 1 <= len(conf.nameservers) <= 3
    assert len(conf.search) <= 32
    assert 0 <= conf.ndots <= 15
    assert 1 <= conf.timeout <= 30
    assert 1 <= conf.attempts <= 5
