"""The status page as a person sees it: in Chromium, while a database fails over."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.demo.processes import temporary_directory
from tests.commands.stub import Stub, stub
from tests.end_to_end.setting import CHOSEN, environments, port_of, postgresql_database
from tests.observability import samples
from tests.observability.hostility import crowded, hostile
from tests.testbed.browser import Browser, browser
from tests.testbed.dns import Knot
from tests.testbed.postgresql import Pair
from tests.testbed.processes import StartAmbassador

pytestmark = pytest.mark.waits

VERDICT = "return document.querySelector('h1').textContent"
STATE = "return document.getElementById('state').textContent"
TAB, ENTER = "\ue004", "\ue007"

CONTRASTS = """
const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const rgba = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const [r, g, b, a = 1] = rgba(getComputedStyle(each).backgroundColor);
    if (a === 1) return [r, g, b];
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll("header *, body > p, main *")) {
  const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!words || !element.checkVisibility()) continue;
  const shades = [rgba(getComputedStyle(element).color), behind(element)];
  const [one, two] = shades.map(light).sort((a, b) => b - a);
  const contrast = (one + 0.05) / (two + 0.05);
  if (contrast < 4.5) poor.push(`${element.outerHTML}: ${contrast.toFixed(2)}`);
}
return poor;
"""
"""Every element with text of its own whose contrast is below 4.5 (WCAG 2.2, 1.4.3)."""

COUNT_QUESTIONS = """
const ask = fetch;
window.questions = 0;
window.fetch = (...all) => { window.questions++; return ask(...all); };
"""
FAIL_WHILE_DEAD = """
const ask = fetch;
window.fetch = (...all) => window.dead ? Promise.reject(new TypeError("gone")) : ask(...all);
window.dead = true;
"""
ANSWER_IN_ANOTHER_STYLE = """
const ask = fetch;
window.fetch = async (...all) => {
  const answer = await ask(...all);
  return new Response((await answer.text()).replace("</style>", " </style>"), { status: 200 });
};
window.old = true;
"""

DIRECTIONS = """
const styles = [...document.querySelectorAll("bdi")].map((each) => getComputedStyle(each));
return [...new Set(styles.map((style) => `${style.unicodeBidi} ${style.direction}`))];
"""
ASK_AT_ONCE = "document.dispatchEvent(new Event('visibilitychange'))"
"""As when a person comes back to the tab: no test needs to wait for the next second."""


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """One browser for the module: it takes a second to start, and much memory."""
    with temporary_directory("browser-") as directory, browser(directory) as opened:
        yield opened


@contextmanager
def shown(window: Browser, snapshot: dict[str, Any]) -> Iterator[Stub]:
    """The page of an ambassador that says this, open in the window."""
    with stub(snapshot) as ambassador:
        window.open(f"http://127.0.0.1:{ambassador.admin_port}/")
        window.complaints()
        window.requested()
        yield ambassador
        window.open("about:blank")


def test_a_failover_is_seen_as_it_happens(
    window: Browser, ambassador: StartAmbassador, postgresql_pair: Pair, nameserver: Knot, tmp_path: Path
) -> None:
    primary, standby = postgresql_pair.primary, postgresql_pair.standby
    _name(nameserver, primary)
    database = postgresql_database(
        "srv:_postgresql._tcp.orders.db.test", target_session_attrs="read-write", hold="60s"
    )
    directory = environments(tmp_path, orders=database)
    running = ambassador("--environments", directory, *CHOSEN, "--nameserver", str(nameserver.address))
    with _writer(port_of(database)):
        window.requested()
        window.open(f"http://127.0.0.1:{running.admin_port}/")
        well = f"return document.querySelector('h1').textContent.endsWith('127.0.0.1:{primary.port}')"
        window.until(well, "the page says that all is well")
        window.run("document.querySelector('details').open = true; document.querySelector('summary').focus()")
        window.until(
            "return / [kM]?B.s/.test(document.querySelector('.traffic strong').textContent)", "a rate"
        )

        primary.kill()
        window.until(f"{VERDICT}.includes('orders has no usable address, and clients wait')", "the outage")
        window.until("return document.querySelector('.path .broken') !== null", "the way is broken")
        window.until("return /client waiting/.test(document.querySelector('.path').textContent)", "who waits")
        standby.promote()
        _name(nameserver, standby)
        back = f"{VERDICT} === 'orders is served by 127.0.0.1:{standby.port}'"
        window.until(back, "all is well again")

    assert window.run("return document.title").startswith("● here · ready")
    assert "sessions go to" in window.run("return document.querySelector('.events').textContent")
    assert window.run("return document.querySelector('details').open"), "an open fold stays open"
    assert window.run("return document.activeElement.nodeName") == "SUMMARY", "the focus stays where it was"
    assert window.complaints() == []
    assert {re.sub(r":\d+/$", "/", url) for url in window.requested()} == {"http://127.0.0.1/"}


def test_when_the_ambassador_is_gone_the_page_says_so_and_waits_for_it(window: Browser) -> None:
    with shown(window, samples.running()) as ambassador:
        window.until(f"{STATE} === 'live'", "it is live")
        window.run(FAIL_WHILE_DEAD + ASK_AT_ONCE)
        window.until("return !document.getElementById('gone').hidden", "a gone ambassador")
        said = window.run("return document.getElementById('gone').textContent")
        assert said.startswith("The ambassador does not answer since ")
        assert window.run("return document.title") == "✖ no answer · dbambassador"
        ambassador.snapshot = {**samples.running(), "phase": "draining"}
        window.run("window.dead = false")
        window.until("return document.getElementById('gone').hidden", "it is back")
        window.until(f"{VERDICT}.length && document.title.includes('shutting down')", "what it says now")


def test_a_bug_in_the_page_is_told_apart_from_a_gone_ambassador(window: Browser) -> None:
    with shown(window, samples.running()) as ambassador:
        ambassador.snapshot = {}
        window.run(ASK_AT_ONCE)
        window.until("return !document.getElementById('gone').hidden", "the error")
        assert "(it answered 500)" in window.run("return document.getElementById('gone').textContent")


def test_an_ambassador_of_another_version_is_loaded_anew(window: Browser) -> None:
    with shown(window, samples.running()):
        window.run(ANSWER_IN_ANOTHER_STYLE + ASK_AT_ONCE)
        window.until("return window.old !== true", "it is loaded anew")


def test_every_control_is_reached_by_keyboard(window: Browser) -> None:
    snapshot = {**samples.running(), "recent": []}
    with shown(window, snapshot) as ambassador:
        controls = window.run("return document.querySelectorAll('button, summary, a').length")
        reached = []
        for _ in range(controls):
            window.press(TAB)
            reached.append(window.run("return document.activeElement.textContent"))
            outline = "return getComputedStyle(document.activeElement).outlineStyle"
            assert window.run(outline) == "solid", f"the focus on {reached[-1]} is seen"
        assert len(set(reached)) == len(reached) - 1, "two databases have a fold of the same name"
        assert reached[0] == "Pause"
        assert reached[-1] == "as JSON"

        window.run("document.getElementById('pause').focus()")
        window.press(ENTER)
        assert window.run(STATE) == "paused"
        window.run(COUNT_QUESTIONS)
        window.run(ASK_AT_ONCE)
        assert window.run("return window.questions") == 0
        ambassador.snapshot = {**snapshot, "databases": []}
        window.press(ENTER)
        window.until(f"{VERDICT} === 'Running, without any database'", "it goes on")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["running", "drifted", "awaiting"])
def test_every_text_stands_out_from_what_is_behind_it(window: Browser, scheme: str, name: str) -> None:
    levels = [samples.event(level, level=level) for level in ("info", "warning", "error")]
    window.prefer(scheme)
    with shown(window, getattr(samples, name)() | {"recent": levels}):
        window.run("document.querySelectorAll('details').forEach((fold) => fold.open = true)")
        window.run(
            "document.getElementById('gone').hidden = false; document.getElementById('gone').append('gone')"
        )
        assert window.run(CONTRASTS) == []
        back = window.run("return getComputedStyle(document.body).backgroundColor")
        assert back == {"light": "rgb(246, 247, 249)", "dark": "rgb(16, 20, 24)"}[scheme]


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_nothing_is_wider_than_the_window(window: Browser, width: int) -> None:
    for text in (None, "w" * 10_000):
        snapshot = {**samples.drifted(), "recent": [samples.event("x" * 500)]}
        with shown(window, snapshot if text is None else hostile(snapshot, text)):
            window.resize(width, 900)
            window.run("document.querySelectorAll('details').forEach((fold) => fold.open = true)")
            assert window.run("return document.documentElement.scrollWidth") <= width


HOSTILE = (
    "<script>window.hit = 1</script>",
    '"><img src=x onerror="window.hit = 1">',
    "</style></title></script><script>window.hit = 1</script>",
    "javascript:window.hit = 1",
    "\u202e\u2066evil\u0000\u001b[2J",
    "\u0639\u0631\u0628\u0649",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_run_nothing(window: Browser, text: str) -> None:
    snapshot = crowded({**samples.drifted(), "recent": [samples.event(text)]}, 30)
    with shown(window, hostile(snapshot, text)) as ambassador:
        ambassador.snapshot = hostile({**samples.running(), "uptime_seconds": 1.0}, text + "!")
        window.run(ASK_AT_ONCE)
        window.until("return document.querySelector('h1').textContent.includes('!')", "the next picture")
        assert window.run("return window.hit") is None
        assert window.run("return document.scripts.length") == 1
        assert window.run(DIRECTIONS) == ["isolate ltr"]
        assert window.complaints() == []
        assert {re.sub(r":\d+/$", "/", url) for url in window.requested()} <= {"http://127.0.0.1/"}


def test_without_script_the_page_loads_itself_anew(window: Browser) -> None:
    window.switch_script(on=False)
    try:
        with shown(window, samples.running()) as ambassador:
            ambassador.snapshot = {**samples.running(), "databases": []}
            window.until(f"{VERDICT} === 'Running, without any database'", "it is loaded anew")
    finally:
        window.switch_script(on=True)


@contextmanager
def _writer(port: int) -> Iterator[None]:
    """An application that writes whatever happens, gone at the end of the block."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.05):
            try:
                with psycopg.connect(
                    f"host=127.0.0.1 port={port} user=postgres connect_timeout=60"
                ) as session:
                    while not ended.wait(0.05):
                        session.execute("SELECT repeat('x', 1000)")
            except psycopg.Error:
                continue

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


def _name(nameserver: Knot, server: PostgreSQL) -> None:
    nameserver.replace("_postgresql._tcp.orders", "SRV", f"0 0 {server.port} localhost-v4")
