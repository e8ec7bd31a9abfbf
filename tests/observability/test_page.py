"""The status page as bytes; tests/end_to_end/test_page_in_browser.py looks at it in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbambassador.observability.page import page
from dbambassador.observability.page.files import page_files
from dbambassador.observability.page.markup import Html, element, join
from dbambassador.observability.traffic import Traffic
from tests.observability import samples
from tests.observability.hostility import crowded, hostile

RECENT = [
    samples.event("orders: sessions go to 10.0.0.8:5432 (orders.db.test)", seconds_ago=11.0),
    samples.event("orders: no usable address: 10.0.0.7:5432: refused", seconds_ago=12.0, level="warning"),
]

VOID = {"meta", "link", "rect", "polyline"}


class Elements(HTMLParser):
    """The elements and the text of a page; that every element is closed is seen to."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.said).split())


def rendered(snapshot: dict[str, Any], traffic: Traffic | None = None) -> str:
    return page.render({"recent": RECENT, **snapshot}, traffic or Traffic(), page_files())


def read(shown: str) -> Elements:
    elements = Elements()
    elements.feed(shown)
    elements.close()
    assert elements.open == []
    return elements


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (
            samples.running(),
            "and clients wait for onethe name leads nowhere10.0.0.7:5432 of orders is down: ",
        ),
        (samples.running(), "production-aws production"),
        (samples.running(), "because its match holds, and no other environment's can"),
        (samples.running(), "needs k8s.namespace.name = shop-staging; found shop"),
        (
            samples.running(),
            "application3 sessionslistens on127.0.0.1:5432[::1]:5432nameorders.db.testgood for 27 s",
        ),
        (samples.running(), "1 client waiting, for 2.5 s more"),
        (samples.running(), RECENT[0]["text"]),
        (samples.running(), "4 clients of at most 512"),
        (
            samples.awaiting(),
            "Waiting for k8s.node.label.tier: the API server did not answer; trying again in 3.5 s.",
        ),
        (samples.drifted(), "changed 1 min 5 s ago: k8s.pod.label.tier; a start would choose staging"),
        (
            {
                **samples.running(),
                "reload": samples.reload(successful=False, problems=["a.yaml: no list"] * 10),
            },
            "files read 5.0 s ago are refused, those read 1 min 5 s ago stay in usea.yaml: no list",
        ),
        ({**samples.running(), "recent": []}, "none yet"),
        ({**samples.running(), "databases": []}, "Running, without any database"),
    ],
)
def test_the_page_tells(snapshot: dict[str, Any], words: str) -> None:
    assert words in read(rendered(snapshot)).text


def test_the_title_tells_the_mood_and_where() -> None:
    title = re.search("<title>(.*)</title>", rendered(samples.running()))
    assert title is not None
    assert title[1] == "▲ production-aws · ready · dbambassador"


def test_it_is_small_and_loads_nothing() -> None:
    shown = rendered({**samples.running(), "recent": RECENT * 25})
    assert len(shown.encode()) < 50_000
    elements = read(shown)
    assert not {"img", "iframe", "object", "embed", "form", "base"} & set(elements.elements)
    loaded = [
        value for name, value in elements.attributes if name in ("src", "href", "action", "data", "style")
    ]
    assert [value.partition(",")[0] for value in loaded if value is not None] == [
        "data:image/svg+xml",
        "/status",
    ]


def test_the_policy_lets_its_own_script_and_style_work_and_nothing_else() -> None:
    files = page_files()
    shown = rendered(samples.running())
    for tag, kind in (("script", "script-src"), ("style", "style-src")):
        (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", shown, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in files.policy
    assert files.policy.startswith("default-src 'none'; ")
    assert "unsafe" not in files.policy


def test_without_script_it_loads_itself_anew() -> None:
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in rendered(samples.running())


def test_traffic_is_shown_as_a_rate_and_a_curve() -> None:
    traffic, snapshot = Traffic(), samples.running()
    for second in range(5):
        traffic.note(snapshot, float(second))
        snapshot["databases"][0]["to_client_bytes"] += 34_000
    shown = rendered(snapshot, traffic)
    assert "34 kB/s" in read(shown).text
    assert "traffic to clients in the last minute, at most 34 kB/s" in shown
    assert '<polyline points="112.0,1.0 114.0,1.0 ' in shown
    for second in range(5, 60):
        traffic.note(snapshot, float(second))
    curve = re.search('<polyline points="([^"]*)"', rendered(snapshot, traffic))
    assert curve is not None
    assert len(curve[1].split()) == 2 * 59, "a long curve is whole"


HOSTILE = st.one_of(
    st.text(min_size=1, max_size=30),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x>',
            "' onload=x '",
            "\x1b[2J",
            "&lt;",
            "\u202e",
            "</style>",
            "x" * 10_000,
        ]
    ),
)


@given(HOSTILE)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_hostile_names_put_nothing_into_the_page(text: str) -> None:
    snapshot = {**samples.drifted(), "recent": RECENT}
    found, harmless = read(rendered(hostile(snapshot, text))), read(rendered(hostile(snapshot, "x")))
    assert found.elements == harmless.elements
    assert [name for name, _ in found.attributes] == [name for name, _ in harmless.attributes]


def test_thousands_of_everything_and_long_names_stay_bounded() -> None:
    snapshot = crowded({**samples.drifted(), "recent": RECENT}, 3000)
    assert len(rendered(snapshot)) < 500_000
    text = read(rendered(snapshot)).text
    assert "and 2988 more" in text
    assert "and 2981 more databases" in text
    assert "and 2950 more; dbambassador explain --all shows them" in text
    assert len(rendered(hostile(snapshot, "<" * 10_000))) < 2_000_000


def test_what_is_no_markup_is_escaped_wherever_it_is_put() -> None:
    shown = element("p", "<b>", Html("<i></i>"), 1 < 2, title='"<', aria_label=None, class_="x")
    assert shown == '<p title="&quot;&lt;" class="x">&lt;b&gt;<i></i>True</p>'
    assert join("a&b", "\u202e") == "a&amp;b\\u202e"
