"""Reading the environment files anew, and serving by them: all of what they say, or nothing of it."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import trio

from dbambassador.ambassador.serving import Serving
from dbambassador.drift import DriftWatch
from dbambassador.errors import AmbassadorError, InvalidConfiguration
from dbambassador.events import (
    CatalogueReloaded,
    Publish,
    Reloaded,
    ReloadRefused,
    ReloadUntimely,
    StageCrashed,
)
from dbambassador.latest import Latest
from dbambassador.locate import Located, Request, anew
from dbambassador.profiles.catalogue import version
from dbambassador.profiles.changes import changes, elsewhere

LOOK_PERIOD = 1.0
"""Seconds between looks at a mounted ConfigMap, three system calls each. The kubelet itself takes about a
minute to update one, and for a moment after that the names of its files are not those of the new content: so
what is read has to be the same at two looks."""
NO_MORE = 1 << 62
"""Beyond the number of any request."""


class Reloader:
    """Reloads one at a time. Requests that come meanwhile are served together, by one after it."""

    def __init__(self, request: Request, located: Located, serving: Serving, drift: DriftWatch) -> None:
        self._request = request
        self.located = located
        """What is served; another one after each reload."""
        self._serving = serving
        self._drift = drift
        self._tried = located.catalogue.version
        """Of the directory, when it was last read."""
        self._last: CatalogueReloaded | ReloadRefused | None = None
        """How that ended, but for the start."""
        self._asked = Latest("")
        """By what, the last time."""
        self._done: Latest[tuple[int, Reloaded | None]] = Latest((0, None))
        """The last outcome, and the number of the last request that it is the answer to."""
        self._loaded_at, self._loaded_time = trio.current_time(), time.time()
        self._ended_at: float | None = None

    def ask(self, trigger: str) -> int:
        """Asks for a reload. Returns: the number of the request."""
        self._asked.publish(trigger)
        return self._asked.version

    async def reload(self, trigger: str) -> Reloaded:
        """Asks for a reload, and waits for its outcome."""
        number = self.ask(trigger)
        while True:
            seen, (served, outcome) = self._done.version, self._done.value
            if served >= number and outcome is not None:
                return outcome
            await self._done.newer(seen)

    async def run(self, publish: Publish) -> None:
        """Reloads when asked, and when a mounted ConfigMap has changed. For ever."""
        try:
            async with trio.open_nursery() as nursery:
                if self._tried:  # nothing else is updated all at once, and none but a volume stays readable
                    nursery.start_soon(self._watch)
                served = 0
                while True:
                    trigger = await self._asked.newer(served)
                    served = self._asked.version
                    outcome = await self._reload(trigger, publish)
                    publish(outcome)
                    self._done.publish((served, outcome))
        finally:
            self._done.publish((NO_MORE, ReloadUntimely("", "shutting down")))

    def snapshot(self, now: float) -> dict[str, Any]:
        """What is in use since when, and how the last reload ended."""
        last = self._last
        return {
            "successful": not isinstance(last, ReloadRefused),
            "seconds_ago": None if self._ended_at is None else round(now - self._ended_at, 3),
            "changes": list(last.changes) if isinstance(last, CatalogueReloaded) else [],
            "problems": list(last.problems) if isinstance(last, ReloadRefused) else [],
            "loaded_seconds_ago": round(now - self._loaded_at, 3),
            "loaded_timestamp_seconds": round(self._loaded_time, 3),
        }

    async def _reload(self, trigger: str, publish: Publish) -> Reloaded:
        self._tried = version(self._request.directory)
        outcome: CatalogueReloaded | ReloadRefused
        try:
            # In a thread: to read a large catalogue takes a while. From a file server that hangs it takes for
            # ever, which the end of the process must not wait for.
            load = partial(anew, self._request, self.located)
            located = await trio.to_thread.run_sync(load, abandon_on_cancel=True)
            self._tried = located.catalogue.version
            outcome = await self._follow(trigger, located)
        except InvalidConfiguration as invalid:
            outcome = ReloadRefused(trigger, tuple(map(str, invalid.problems)))
        except AmbassadorError as error:
            hint = f" ({error.hint})" if error.hint else ""
            outcome = ReloadRefused(trigger, (f"{error.message}{hint}",))
        except Exception as bug:  # what is served goes on
            publish(StageCrashed("", "reload", repr(bug)))
            outcome = ReloadRefused(trigger, (f"a bug: {bug!r}",))
        self._ended_at, self._last = trio.current_time(), outcome
        return outcome

    async def _follow(self, trigger: str, located: Located) -> CatalogueReloaded | ReloadRefused:
        before, now = self.located.profile, located.profile
        assert before is not None
        reason = elsewhere(before, located.selection)
        if reason or now is None:
            return ReloadRefused(trigger, (reason,))
        found = changes(before, now)
        if found:
            await self._serving.commit(await self._serving.prepare(found))
        self.located = located
        self._drift.adopt(located)
        self._loaded_at, self._loaded_time = trio.current_time(), time.time()
        return CatalogueReloaded(trigger, found.words)

    async def _watch(self) -> None:
        seen = self._tried
        while True:
            await trio.sleep(LOOK_PERIOD)
            before, seen = seen, version(self._request.directory)
            if seen and seen == before and seen != self._tried:
                self.ask("the ConfigMap was updated")
