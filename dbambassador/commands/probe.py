"""`dbambassador probe startup|readiness|liveness`: an exec probe against the running ambassador.

A kubelet starts it every few seconds, at a tenth of a CPU perhaps, and gives up after 1 s. So it costs next
to nothing: no argparse, no trio, no http.client; `__main__` calls `main` before it imports anything else.
"""

from __future__ import annotations

import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from dbambassador.errors import ExitCode

HELP = "ask the running ambassador for its startup, readiness or liveness"
CHECKS = ("startup", "readiness", "liveness")
USAGE = "usage: dbambassador probe startup|readiness|liveness [--http-address ADDRESS] [--http-port PORT]"

TIMEOUT = 5.0
"""Seconds: a kubelet gives up earlier (timeoutSeconds, 1 by default)."""

MAX_ANSWER = 65536
"""Bytes; ours has some hundred."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("check", choices=CHECKS)


def run(options: argparse.Namespace) -> ExitCode:
    """As `main`, for a command line that argparse has read."""
    from dbambassador.errors import ExitCode

    return ExitCode(_probe(options.check, options.http_address, options.http_port))


def main(argv: list[str]) -> int:
    """Reads the words after `probe`, asks, prints why not; gives the exit code: 0 for yes, else 1."""
    given: dict[str, str] = {}
    checks: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            print(USAGE)
            return 0
        if flag in ("--http-address", "--http-port"):
            given[flag] = value if equals else next(words, "")
            if not given[flag]:
                return _wrong(f"{flag} needs a value")
        elif word in CHECKS:
            checks.append(word)
        else:
            return _wrong(f"unknown argument {word!r}")
    if len(checks) != 1:
        return _wrong(f"name one of {', '.join(CHECKS)}")
    return _probe(checks[0], given.get("--http-address"), given.get("--http-port"))


def _wrong(problem: str) -> int:
    print(f"dbambassador probe: {problem}\n{USAGE}", file=sys.stderr)
    return 1


def _probe(check: str, address: str | None, port: str | int | None) -> int:
    host = destination(address or os.environ.get("DBAMBASSADOR_HTTP_ADDRESS", ""))
    number = str(port or os.environ.get("DBAMBASSADOR_HTTP_PORT", "") or 9090)
    if not (number.isascii() and number.isdigit() and 0 < int(number[:6]) < 65536):
        return _wrong(f"found port {number!r}, expected 1 to 65535")
    why_not = ask(host, int(number), f"/{check}")
    if why_not:
        print(f"{check}: {why_not}")
        return 1
    return 0


def destination(address: str) -> str:
    """Where to reach a server that listens on this address: the unspecified one is every one's loopback."""
    host = address.strip("[]")
    if host in ("", "localhost", "0.0.0.0"):
        return "127.0.0.1"
    return "::1" if host == "::" else host


def ask(host: str, port: int, path: str, timeout: float | None = None) -> str:
    """GETs a path; gives why not, empty for a 200. Errors of the network are such reasons too.

    `timeout`: seconds for all of it.
    """
    timeout = TIMEOUT if timeout is None else timeout
    deadline = time.monotonic() + timeout
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    question = f"GET {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        # Not create_connection: getaddrinfo loads the IDNA codec, a tenth of what all the rest costs.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect((host, port))
            connection.sendall(question.encode())
            while len(answer) < MAX_ANSWER and (data := connection.recv(4096)):
                answer += data
                if (left := deadline - time.monotonic()) <= 0:
                    raise TimeoutError
                connection.settimeout(left)
    except TimeoutError:
        return f"no answer from {place} within {timeout:.2g} s"
    except OSError as error:
        return f"no answer from {place}: {error.strerror or error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split(b" ")
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return f"{place} does not speak HTTP"
    if words[1] == b"200":
        return ""
    said = body.decode("utf-8", "replace").strip()
    return (
        "".join(letter if letter.isprintable() else "?" for letter in said) or f"status {words[1].decode()}"
    )
