"""HTTP messages as values, for handlers and callers that need no protocol engine. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    """The target up to `?`, as sent: not decoded."""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case, in the order sent."""
    body: bytes = b""
    crowded: bool = False
    """So many others ask at the same time that an answer of a moment ago will do."""

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in lower case."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    """Beside Content-Type and Content-Length, which are always sent."""
    afterwards: Callable[[], None] | None = None
    """Called once the answer was sent or its client is gone."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request got no answer, as a person would say it."""

    reason: str
    answered: bool = False
    """Something did answer, but not so that it could be understood: asking again is no use."""


def text(status: int, line: str) -> Response:
    """An answer of one line of plain text."""
    return Response(status, line.encode() + b"\n")
