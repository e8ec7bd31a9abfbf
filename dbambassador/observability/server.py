"""The two HTTP ports: health and metrics for machines, status and orders for the person on this host."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from functools import partial

import trio

from dbambassador.errors import CannotListen, UsageError
from dbambassador.events import HttpOpened, HttpSkipped, Publish
from dbambassador.observability.routes import Admin, Health, Sources
from dbambassador.transport.crowd import Limits
from dbambassador.transport.descriptors import allowed, http_places
from dbambassador.transport.http import serve

LOOPBACKS = ("127.0.0.1", "::1")

# Who else listens there by default, as their manuals say.
USUAL_HOLDERS = {
    9090: "another dbambassador, cloud-sql-proxy or Prometheus",
    9091: "another dbambassador, cloud-sql-proxy or the Prometheus Pushgateway",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Where the two ports are."""

    http_address: str = "127.0.0.1"
    """Of the health port; `localhost` is both loopbacks. The admin port is always on loopback."""
    http_port: int = 9090
    admin_port: int = 9091
    http_asked: bool = False
    """The address or port was asked for by name: failing to have it ends the process."""
    admin_asked: bool = False


@dataclass(frozen=True, slots=True)
class HttpAddresses:
    """What was opened, as (host, port)."""

    health: tuple[tuple[str, int], ...]
    admin: tuple[tuple[str, int], ...]


async def serve_http(
    settings: HttpSettings,
    sources: Sources,
    publish: Publish,
    *,
    task_status: trio.TaskStatus[HttpAddresses] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves both ports until cancelled; says what was opened when it is started.

    Errors: CannotListen for a port that was asked for by name and cannot be had; one that was not is
    skipped, with an event. UsageError if both are the same port.
    """
    if settings.http_port == settings.admin_port != 0:
        raise UsageError(
            f"--http-port and --admin-port are both {settings.http_port}", hint="give them different ports"
        )
    health_hosts = LOOPBACKS if settings.http_address == "localhost" else (settings.http_address.strip("[]"),)
    health = await _open("health", health_hosts, settings.http_port, settings.http_asked, publish)
    try:
        admin = await _open("admin", LOOPBACKS, settings.admin_port, settings.admin_asked, publish)
    except BaseException:
        await _close(health)
        raise
    limits = Limits.of(http_places(allowed()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve, limits=limits), health, Health(sources, publish))
        nursery.start_soon(partial(serve, limits=limits), admin, Admin(sources, publish))
        task_status.started(HttpAddresses(_addresses(health), _addresses(admin)))


async def _open(
    purpose: str, hosts: tuple[str, ...], port: int, asked: bool, publish: Publish
) -> list[trio.SocketListener]:
    opened: list[trio.SocketListener] = []
    for host in hosts:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            if len(hosts) > 1 and host == "::1" and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue  # a host without IPv6
            reason = (error.strerror or str(error)).lower()
            if asked:
                await _close(opened)
                raise _cannot_listen(purpose, place, port, error.errno, reason) from error
            publish(HttpSkipped(purpose, place, reason))
            continue
        opened += listeners
        if port == 0:
            port = listeners[0].socket.getsockname()[1]  # any free port, but the same one for each address
    for where, bound in _addresses(opened):
        publish(HttpOpened(purpose, f"[{where}]:{bound}" if ":" in where else f"{where}:{bound}"))
    return opened


def _cannot_listen(purpose: str, place: str, port: int, code: int | None, reason: str) -> CannotListen:
    flag = "--admin-port" if purpose == "admin" else "--http-port"
    message = f"cannot open the {purpose} port on {place}: {reason}"
    if code == errno.EADDRINUSE:
        holders = USUAL_HOLDERS.get(port, "another program")
        return CannotListen(
            f"{message}; perhaps {holders} holds it",
            hint=f"`ss -ltnp 'sport = :{port}'` names the holder; {flag} takes another port",
        )
    return CannotListen(message, hint=f"choose another with {flag}")


async def _close(listeners: list[trio.SocketListener]) -> None:
    for listener in listeners:
        await trio.aclose_forcefully(listener)


def _addresses(listeners: list[trio.SocketListener]) -> tuple[tuple[str, int], ...]:
    return tuple(listener.socket.getsockname()[:2] for listener in listeners)
