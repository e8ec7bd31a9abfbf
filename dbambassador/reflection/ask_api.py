"""Asks the Kubernetes API through a child process that is gone afterwards.

The official client costs 45–65 MB of memory that must not stay in the ambassador, and blocks its thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio

from dbambassador.reflection import api_answers
from dbambassador.reflection.api_questions import Question
from dbambassador.reflection.findings import Findings

DEADLINE = 10.0
"""Seconds in all. At a tenth of a CPU the client takes 5 s to import; each request has 1 s of its own."""

MAX_ANSWER = 1024 * 1024
"""Bytes. Labels of one node are a few KiB; the API server itself takes no object above 1.5 MiB."""

COMMAND = (sys.executable, "-P", "-m", "dbambassador.reflection.kubernetes_api")

# What an interpreter needs to start where it is installed in an unusual place. Nothing else is handed on: no
# proxies, no secrets of the application.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "SYSTEMROOT")

_PACKAGE_PLACE = str(Path(__file__).parents[2])


async def ask(question: Question, *, deadline: float = DEADLINE) -> Findings:
    """What the API tells of the question's objects; every failure is unknown facts with the reason.

    The child has ended when this returns or is cancelled: past the deadline (seconds), or with an answer that
    has no end, it is killed.
    """
    answer = bytearray()
    code: int | None = None
    with trio.move_on_after(deadline) as scope:
        try:
            code = await _run(json.dumps(question.document()).encode(), answer)
        except OSError as error:
            reason = f"cannot start the process that asks the Kubernetes API: {error.strerror}"
            return api_answers.nothing_learned(question, reason, retryable=False)
    if scope.cancelled_caught:
        reason = f"the Kubernetes API was not heard within {deadline:g} s"
        return api_answers.nothing_learned(question, reason, retryable=True)
    if len(answer) > MAX_ANSWER:
        reason = "the process that asks the Kubernetes API answered without end"
        return api_answers.nothing_learned(question, reason, retryable=False)
    if code:
        ended = f"by signal {-code}; is memory short?" if code < 0 else f"with exit code {code}"
        reason = f"the process that asks the Kubernetes API ended {ended}"
        return api_answers.nothing_learned(question, reason, retryable=False)
    return api_answers.learned(bytes(answer), question)


async def _run(request: bytes, answer: bytearray) -> int | None:
    """Fills `answer` with the child's output. Gives its exit code; raises OSError if it cannot start."""
    try:
        async with trio.open_nursery() as nursery:
            run = partial(
                trio.run_process,
                COMMAND,
                stdin=request,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environ(),
                check=False,
                deliver_cancel=_kill,
            )
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            async with process.stdout:
                async for piece in process.stdout:
                    answer += piece
                    if len(answer) > MAX_ANSWER:
                        nursery.cancel_scope.cancel()
                        break
    except* OSError as group:
        raise group.exceptions[0] from None
    return process.returncode


def _environ() -> dict[str, str]:
    environ = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # The first entry is the working directory after `python -m`: not to be searched by what reads the token.
    # Where the package itself lies there, it comes last and hides nothing.
    path = sys.path[0 if sys.flags.safe_path else 1 :]
    environ["PYTHONPATH"] = os.pathsep.join(place for place in (*path, _PACKAGE_PLACE) if place)
    return environ


async def _kill(process: trio.Process) -> None:
    process.kill()
