"""What a session asks of its server."""

from __future__ import annotations

import ipaddress

from dbambassador.forwarding.service import Service
from dbambassador.forwarding.wires.wire import Request, Witness
from dbambassador.health.evidence import Role
from dbambassador.settings.schema import TargetSessionAttrs
from dbambassador.values import Address, Choice, Target


def request_of(
    service: Service, choice: Choice, target: Target, address: Address, witness: Witness, *, unix: bool
) -> Request:
    """What a session asks of its server.

    Where a standby is preferred, one whose role is not known yet is left again if it is none, as long as
    there are others; one that is known to be none was chosen for lack of others.

    Args:
      address: the one of the target's that it was dialled at.
      unix: the client came over a unix socket.
    """
    exposed = unix and not service.database.allow_cleartext_passwords and not _is_private(service, address)
    at_last = wanted = service.database.target_session_attrs
    undecided = wanted is TargetSessionAttrs.PREFER_STANDBY and len(choice.pool) > 1
    if undecided and service.judge.role(address) is Role.UNKNOWN:
        wanted = TargetSessionAttrs.STANDBY
    return Request(target.name, wanted, at_last, witness, exposed=exposed)


def _is_private(service: Service, address: Address) -> bool:
    """Nobody on the way to the server can read what is said."""
    tls = service.way_to(address).tls
    return ipaddress.ip_address(address.host).is_loopback or (tls is not None and tls.encrypts)
