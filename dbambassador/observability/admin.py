"""The client's side of the admin port, for the commands that speak to the running ambassador."""

from __future__ import annotations

from dbambassador.errors import NotRunning
from dbambassador.transport.http import fetch
from dbambassador.transport.http_messages import Failure, Response

TIMEOUT = 5.0
"""Seconds: the server's own deadline for an answer."""


async def ask(port: int, method: str, path: str, *, understood: tuple[int, ...] = (200,)) -> Response:
    """The running ambassador's answer, of one of these statuses; NotRunning where nobody, or somebody else,
    answers."""
    answer = await fetch("127.0.0.1", port, method, path, timeout=TIMEOUT)
    hint = "start it with `dbambassador run`, or name its port with --admin-port"
    place = f"127.0.0.1:{port}"
    match answer:
        case Failure(reason):
            raise NotRunning(f"no running dbambassador on {place}: {reason}", hint=hint)
        case Response() if answer.status in understood:
            return answer
    said = answer.body[:200].decode("utf-8", "backslashreplace").strip()
    raise NotRunning(f"{method} {path} on {place} was answered {answer.status}: {said!r}", hint=hint)
