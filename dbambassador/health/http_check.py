"""The check of an address by the health endpoint beside it: Patroni, clustercheck, mysqlchk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import trio

from dbambassador.health.evidence import Evidence, Role, Signal
from dbambassador.health.handshakes import CONNECT_TIMEOUT, of_unanswered_dial
from dbambassador.health.peer import Peer
from dbambassador.printable import shortened
from dbambassador.settings.schema import HttpCheck, TargetSessionAttrs
from dbambassador.transport.dial import dial
from dbambassador.transport.http import fetch
from dbambassador.transport.http_messages import Failure, Response
from dbambassador.values import Address

LARGEST_ANSWER = 64 * 1024
"""Bytes. Patroni's status is one or two KiB with a few replicas."""
LONGEST_WORD = 40
"""Characters told of a role or state that the endpoint names."""

_ASKED_FOR: Mapping[TargetSessionAttrs, Role] = {
    TargetSessionAttrs.READ_WRITE: Role.PRIMARY,
    TargetSessionAttrs.PRIMARY: Role.PRIMARY,
    TargetSessionAttrs.READ_ONLY: Role.STANDBY,
    TargetSessionAttrs.STANDBY: Role.STANDBY,
}


async def ask_beside(check: HttpCheck, wanted: TargetSessionAttrs, peer: Peer) -> Evidence | None:
    """Asks once. It has no deadline but the connect's.

    2xx means "use it": the path is chosen for the role that is wanted (Patroni's /primary, /replica). Any
    other status means "do not", as for HAProxy's `http-check expect rstatus 2..`; redirects are not followed.

    Returns: the evidence; None if this host's own lack of resources prevented the check.
    """
    address = peer.address
    beside = Address(address.host, check.port)
    dialled = await dial(beside, CONNECT_TIMEOUT)
    if dialled.socket is None:
        evidence = of_unanswered_dial(peer, dialled)
        return evidence and replace(evidence, detail=f"{evidence.detail} (health endpoint :{check.port})")
    async with trio.SocketStream(dialled.socket) as connection:
        answer = await fetch(
            beside.host,
            beside.port,
            "GET",
            check.path,
            timeout=math.inf,
            limit=LARGEST_ANSWER,
            over=connection,
        )
    if isinstance(answer, Failure):
        return Evidence(address, Signal.FAILED, f"{answer.reason} (health endpoint :{check.port})")
    detail = f"HTTP {answer.status} from :{check.port}{check.path}{_told(answer)}"
    if not 200 <= answer.status < 300:
        return Evidence(address, Signal.FAILED, detail)
    return Evidence(address, Signal.ANSWERED, detail, _ASKED_FOR.get(wanted, Role.UNKNOWN))


def _told(answer: Response) -> str:
    """What Patroni's body adds for a person (https://patroni.readthedocs.io/en/latest/rest_api.html)."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(body, dict):
        return ""
    words = [(key, body[key]) for key in ("role", "state") if isinstance(body.get(key), str)]
    return "".join(f", {key} {shortened(value, LONGEST_WORD)}" for key, value in words)
