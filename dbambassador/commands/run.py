"""`run`: the main job, with its signals, logs and HTTP ports."""

from __future__ import annotations

import argparse
import os
import signal

import trio

from dbambassador import __version__
from dbambassador.ambassador.lifecycle import HANG_UP, Ambassador, Terms
from dbambassador.discovery.nameserver import parse_nameserver
from dbambassador.errors import AmbassadorError, ExitCode
from dbambassador.events import Events, Started
from dbambassador.locate import request_from
from dbambassador.observability import stderr
from dbambassador.observability.latencies import Latencies
from dbambassador.observability.logs import Log, threshold
from dbambassador.observability.metrics import process
from dbambassador.observability.metrics.metrics import Metrics
from dbambassador.observability.recent import Recent
from dbambassador.observability.routes import Sources
from dbambassador.observability.server import HttpSettings, serve_http
from dbambassador.observability.systemd import serve_manager
from dbambassador.transport.notify_socket import ServiceManager, service_manager

HELP = "serve the databases of the environment that this runs in"


def configure(parser: argparse.ArgumentParser) -> None:
    """All of its flags are common ones."""


def run(options: argparse.Namespace) -> ExitCode:
    """Runs until a signal or an order ends it."""
    for nameserver in options.nameserver:
        parse_nameserver(nameserver)
    terms = Terms(
        request=request_from(options, os.environ),
        nameservers=tuple(options.nameserver),
        max_connections=options.max_connections,
        min_sigterm_delay=options.min_sigterm_delay,
        max_sigterm_delay=options.max_sigterm_delay,
        exit_zero_on_sigterm=options.exit_zero_on_sigterm,
    )
    http = HttpSettings(
        http_address=options.http_address,
        http_port=options.http_port,
        admin_port=options.admin_port,
        http_asked=bool(options.given & {"http-address", "http-port"}),
        admin_asked="admin-port" in options.given,
    )
    events = Events()
    level = threshold(quiet=options.quiet, debug=options.debug_logs)
    log = Log(stderr.write, stderr.local_time, level=level, structured=options.structured_logs)
    events.subscribe(log)
    manager = service_manager(os.environ, os.getpid())
    return trio.run(_run, terms, http, events, manager, strict_exception_groups=True)


async def _run(terms: Terms, http: HttpSettings, events: Events, manager: ServiceManager | None) -> ExitCode:
    metrics, recent = Metrics(process.measured), Recent(trio.current_time)
    latencies = Latencies()
    events.subscribe(metrics)
    events.subscribe(recent)
    events.subscribe(latencies)
    events.publish(Started(__version__, str(terms.request.directory)))
    heeded = [signal.SIGTERM, signal.SIGINT] + ([HANG_UP] if HANG_UP is not None else [])
    with trio.open_signal_receiver(*heeded) as signals:
        try:
            async with trio.open_nursery() as nursery:
                ambassador = Ambassador(terms, events.publish)
                sources = Sources(
                    ambassador.snapshot,
                    metrics,
                    recent,
                    ambassador.quit,
                    ambassador.reload,
                    ambassador.relay_silence,
                    latencies,
                )
                if manager is not None:
                    await nursery.start(serve_manager, manager, sources, events)
                await nursery.start(serve_http, http, sources, events.publish)
                code = await ambassador.run(signals)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _within(group) from None
    return code


def _within(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error for the user, out of the groups that nurseries wrap it in; a bug stays as it is."""
    ours, others = group.split(AmbassadorError)
    error: BaseException | None = ours if others is None else None
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error or group
