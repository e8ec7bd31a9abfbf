"""The child process that asks the Kubernetes API: a question on stdin, bounded JSON on stdout, gone.

The only module that imports the official client. It uses the client's connection pool and raw GETs: the
models would cost half a second more, and refuse answers that lack a field. It prints outcomes; what they
mean to a person is said by `api_answers`.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import urllib3

from dbambassador.reflection.reading import Files
from dbambassador.reflection.service_account import DIRECTORY, MAX_CA_BYTES

REQUEST_SECONDS = 1.0
"""For one request in all, from connecting to the last byte; urllib3's own timeouts are for each read."""

MAX_BODY = 4 * 1024 * 1024
"""Bytes. An object has 1.5 MiB at most in etcd; a node with many images is 100 KiB of JSON and more."""

PIECE = 256 * 1024
"""Bytes read at once."""

VERSION_PATH = "/version"

MAX_DETAIL = 300
"""Characters of a message that are passed on."""

Outcome = dict[str, Any]


class Overdue(BaseException):
    """The request's time is over. Not an Exception, so that no library takes it for an error of its own."""


def main() -> None:
    question = json.load(sys.stdin)
    if question["unhurried"]:
        os.nice(19)
    json.dump(answers(question), sys.stdout)


def answers(question: dict[str, Any]) -> dict[str, Outcome]:
    """One outcome for each path of the question."""
    files = Files(Path(question["root"]))
    paths: dict[str, str] = question["paths"]
    context = tls_context(files)
    if isinstance(context, dict):
        return dict.fromkeys(paths, context)
    try:
        from kubernetes.client.configuration import Configuration
        from kubernetes.client.rest import RESTClientObject
    except ImportError as error:
        return {kind: {"outcome": "no-client", "detail": str(error)[:MAX_DETAIL]} for kind in paths}
    configuration = Configuration()
    # With retries the timeouts multiply.
    configuration.retries = 0
    configuration.proxy = None
    client = RESTClientObject(configuration)
    client.pool_manager.connection_pool_kw["ssl_context"] = context
    host = question["host"]
    server = f"https://[{host}]:{question['port']}" if ":" in host else f"https://{host}:{question['port']}"
    found = {}
    for kind, path in paths.items():
        # Read anew for each request: the kubelet replaces it.
        token = bearer(files)
        if isinstance(token, dict):
            found[kind] = token
        else:
            found[kind] = described(fetched(client.pool_manager, server + path, token), path)
    return found


def tls_context(files: Files) -> ssl.SSLContext | Outcome:
    """A context that trusts the cluster's CA and nothing else."""
    reading = files.read(f"{DIRECTORY}/ca.crt", MAX_CA_BYTES)
    if not reading.present:
        return {"outcome": "no-ca", "detail": reading.reason or f"{reading.path}: not there"}
    # Not create_default_context: without certificates it would trust the system's, and from Python 3.13 on it
    # asks for extensions that the CAs of kubeadm lack.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=reading.data.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return {"outcome": "no-ca", "detail": f"{reading.path}: not certificates"}
    return context


def bearer(files: Files) -> str | Outcome:
    """The service account's token, checked to be fit for a header: an error about it must never show it."""
    reading = files.read(f"{DIRECTORY}/token")
    if not reading.present:
        return {"outcome": "no-token", "detail": reading.reason or f"{reading.path}: not there"}
    token = reading.data.strip()
    if not token or any(not 0x21 <= byte <= 0x7E for byte in token):
        return {"outcome": "no-token", "detail": f"{reading.path}: not a token"}
    return token.decode("ascii")


def fetched(pool: Any, url: str, token: str) -> Outcome | tuple[int, bytes]:
    """Status and body of one GET, or how it failed. No redirect is followed: the token is for one server."""
    options = {
        "headers": {"Authorization": f"Bearer {token}", "Accept": "application/json"},
        "timeout": urllib3.Timeout(connect=REQUEST_SECONDS, read=REQUEST_SECONDS),
        "retries": False,
        "redirect": False,
        "preload_content": False,
    }
    try:
        with at_most(REQUEST_SECONDS):
            response = pool.request("GET", url, **options)
            body = b""
            # Only the read after the last one tells an end from a cut.
            while len(body) <= MAX_BODY and (piece := response.read(PIECE, decode_content=False)):
                body += piece
            status = int(response.status)
    except urllib3.exceptions.NewConnectionError as error:  # to urllib3, a kind of timeout
        return {"outcome": "refused", "detail": _last_words(error)}
    except (Overdue, urllib3.exceptions.TimeoutError):
        return {"outcome": "timeout", "detail": f"{REQUEST_SECONDS:g} s"}
    except urllib3.exceptions.SSLError as error:
        return _tls_failure(error.args[0] if error.args else error)
    except urllib3.exceptions.ProtocolError as error:
        causes = [cause for cause in (error, *error.args, error.__cause__) if isinstance(cause, Exception)]
        if any(isinstance(cause, OSError) or "IncompleteRead" in type(cause).__name__ for cause in causes):
            return {"outcome": "cut-off"}
        return {"outcome": "garbage", "detail": "not HTTP"}
    except urllib3.exceptions.HTTPError as error:
        return {"outcome": "garbage", "detail": type(error).__name__}
    if len(body) > MAX_BODY:
        return {"outcome": "too-large", "detail": f"above {MAX_BODY // 1024 // 1024} MiB"}
    return status, body


def described(answer: Outcome | tuple[int, bytes], path: str) -> Outcome:
    """What is passed on of an answer: the few fields that make facts, or status and message."""
    if isinstance(answer, dict):
        return answer
    status, body = answer
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    document = document if isinstance(document, dict) else {}
    if status != 200:
        message = document.get("message")
        detail = message[:MAX_DETAIL] if isinstance(message, str) else ""
        return {"outcome": "status", "status": status, "detail": detail}
    if path == VERSION_PATH:
        version = document.get("gitVersion")
        if not isinstance(version, str) or not version.startswith("v"):
            return {"outcome": "garbage", "detail": "no gitVersion"}
        return {"outcome": "ok", "version": version}
    metadata = _mapping(document, "metadata")
    if metadata.get("name") != path.rpartition("/")[2]:
        return {"outcome": "garbage", "detail": "not the object that was asked for"}
    return {
        "outcome": "ok",
        "labels": metadata.get("labels") or {},
        "uid": metadata.get("uid") or "",
        "provider_id": _mapping(document, "spec").get("providerID") or "",
        "os_image": _mapping(_mapping(document, "status"), "nodeInfo").get("osImage") or "",
    }


def _mapping(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises Overdue in this thread after `seconds`, also amid an answer that drips in byte by byte."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Overdue

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _tls_failure(error: object) -> Outcome:
    if isinstance(error, ssl.SSLCertVerificationError):
        return {"outcome": "tls", "detail": error.verify_message[:MAX_DETAIL]}
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return {"outcome": "cut-off"}
    return {"outcome": "garbage", "detail": "not TLS"}


def _last_words(error: Exception) -> str:
    """The system's part of urllib3's message, which begins with the connection's repr."""
    return str(error).rpartition(": ")[2][:MAX_DETAIL]


if __name__ == "__main__":
    main()
