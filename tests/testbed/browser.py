"""A real browser without a screen: Debian's chromium, driven over WebDriver (W3C), which is plain HTTP."""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbambassador.demo.ports import free_port
from dbambassador.demo.processes import Process
from tests.testbed.requirements import require

FLAGS = (
    "--headless",
    "--no-sandbox",  # it refuses to run as root otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm of a container is small
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
PATIENCE = 20.0
"""Seconds that the page may take to show something: a loaded machine takes a few."""

Json = Any


class Browser:
    """One window."""

    def __init__(self, driver: str, session: str) -> None:
        self._session = f"{driver}/session/{session}"

    def open(self, url: str) -> None:
        self._post("/url", url=url)

    def run(self, script: str, *arguments: object) -> Json:
        """What a function body in the page returns, with `arguments`."""
        return self._post("/execute/sync", script=script, args=list(arguments))

    def until(self, script: str, what: str, *, patience: float = PATIENCE) -> Json:
        """Waits until the function body returns something true, and gives it."""
        return until(lambda: self.run(script), what, patience)

    def press(self, key: str) -> None:
        """One key, as `\\ue004` for Tab (WebDriver, 17.4.2)."""
        strokes = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def resize(self, width: int, height: int) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def switch_script(self, *, on: bool) -> None:
        self.command("Emulation.setScriptExecutionDisabled", value=not on)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(_asked(f"{self._session}/screenshot")))

    def complaints(self) -> list[str]:
        """What its console said since this was asked last."""
        return [entry["message"] for entry in self._post("/se/log", type="browser")]

    def requested(self) -> list[str]:
        """The addresses of everything that it loaded or asked for since this was asked last."""
        messages = [
            json.loads(entry["message"])["message"] for entry in self._post("/se/log", type="performance")
        ]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def command(self, name: str, **parameters: object) -> Json:
        """One of the DevTools protocol."""
        return self._post("/goog/cdp/execute", cmd=name, params=parameters)

    def _post(self, path: str, **body: object) -> Json:
        return _asked(self._session + path, body)


@contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `directory`, gone at the end of the block."""
    chromium = require("chromium", package="chromium")
    driver = require("chromedriver", package="chromium-driver")
    port = free_port()
    environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "TMPDIR": str(directory)}
    process = Process([driver, f"--port={port}"], directory / "chromedriver.log", environ=environ)
    try:
        base = f"http://127.0.0.1:{port}"
        until(lambda: _ready(base), "chromedriver is ready", PATIENCE)
        options = {
            "binary": str(chromium),
            "args": [*FLAGS, f"--user-data-dir={directory / 'profile'}", "about:blank"],
        }
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
        session = _asked(f"{base}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Browser(base, session)
        finally:
            _asked(f"{base}/session/{session}", method="DELETE")  # ends chromium
    finally:
        process.end()


def until(look: Callable[[], Json], what: str, patience: float) -> Json:
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.05)
    return found


def _ready(base: str) -> bool:
    try:
        return bool(_asked(f"{base}/status")["ready"])
    except OSError:
        return False


def _asked(url: str, body: Json = None, *, method: str | None = None) -> Json:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            said = json.load(error)["value"]
        raise AssertionError(f"{url}: {said['error']}: {said['message']}") from None
