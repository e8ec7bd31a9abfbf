"""`dbambassador status --watch` in a real terminal."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.commands.stub import Stub, stub
from tests.observability import samples
from tests.testbed.processes import SOURCE, words
from tests.testbed.terminal import Terminal, terminal

pytestmark = pytest.mark.waits

ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"
COLOURS = re.compile(r"\x1b\[[0-9;]*3[0-9]")


FIRST = "dbambassador 0.1.0: ready"


@contextmanager
def watching(
    directory: Path, ambassador: Stub, size: tuple[int, int] = (80, 24), **variables: str
) -> Iterator[Terminal]:
    """A terminal in which it is watched."""
    with terminal(directory, size, {"PYTHONPATH": SOURCE, **variables}) as screen:
        screen.until("$", "the shell")
        screen.type(shlex.join(words("status", "--watch", "--admin-port", str(ambassador.admin_port))))
        screen.until(FIRST, "the first picture")
        yield screen


@pytest.fixture
def ambassador() -> Iterator[Stub]:
    with stub(samples.running()) as started:
        yield started


def test_it_follows_in_place_and_leaves_no_trace(ambassador: Stub, tmp_path: Path) -> None:
    with watching(tmp_path, ambassador) as screen:
        shown = screen.seen()
        assert shown[0].startswith(FIRST), "and nothing of the shell"
        assert shown[1] == "▲ carts has no usable address, and clients wait for one"
        assert max(map(len, shown)) < 80
        assert "\x1b[33m▲" in screen.coloured()

        ambassador.snapshot = {**samples.running(), "phase": "draining"}
        screen.until("dbambassador 0.1.0: shutting down", "the next picture")
        screen.press("C-c")
        screen.until("--watch", "the shell's screen")
        screen.type("echo ended with $?")
        left = screen.until("ended with 130", "its exit code")
        assert not any("dbambassador 0.1.0" in line for line in left)
        written = screen.written()
        assert written.count(ENTERED) == written.count(LEFT) == 1
        assert b"\x1b[2J" not in written, "no picture is erased before the next one"
        assert written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l"), "the cursor is back"


def test_it_fills_a_wide_terminal_and_follows_its_size(ambassador: Stub, tmp_path: Path) -> None:
    why = "connection refused " * 8 + "at last"
    ambassador.snapshot["databases"][0]["addresses"][0]["why"] = why
    with watching(tmp_path, ambassador, (240, 50)) as screen:
        screen.until(why, "the whole reason")
        screen.resize(60, 10)
        shown = screen.until("…", "a smaller picture")
        assert len(shown) <= 10
        assert shown[0].startswith(FIRST)
        assert max(map(len, shown)) < 60
        screen.resize(240, 50)
        screen.until(why, "the whole reason again")


def test_it_says_that_the_ambassador_is_gone_and_waits_for_it(tmp_path: Path) -> None:
    with ExitStack() as ending:
        with stub(samples.running()) as ambassador:
            screen = ending.enter_context(watching(tmp_path, ambassador, (120, 50)))
        shown = screen.until("✖ no running dbambassador on 127.0.0.1", "that it is gone")
        assert any(re.search(r"what it said .* ago:", line) for line in shown)
        assert any("production-aws" in line for line in shown), "what it said last can still be read"


def test_colours_are_for_who_wants_them(ambassador: Stub, tmp_path: Path) -> None:
    with watching(tmp_path, ambassador, NO_COLOR="1") as screen:
        assert not COLOURS.search(screen.coloured())


def test_a_job_that_is_stopped_gives_the_terminal_back(ambassador: Stub, tmp_path: Path) -> None:
    with watching(tmp_path, ambassador) as screen:
        screen.type("typed without need")
        screen.press("C-z")
        screen.until("Stopped", "the shell's screen")
        screen.type("fg")
        screen.until(FIRST, "the picture again")
        screen.send(signal.SIGTERM)
        screen.until("Stopped", "the shell's screen again")
        screen.type("echo ended with $?")
        left = screen.until("ended with 143", "its exit code")
        assert not any("dbambassador 0.1.0" in line or "typed" in line for line in left)
