"""Whether the kubelet has replaced the content of a volume, for the price of a readlink."""

from __future__ import annotations

import os
from pathlib import Path

from dbambassador.reflection.downward import VOLUMES
from dbambassador.reflection.service_account import DIRECTORY

_WATCHED = (*VOLUMES, DIRECTORY)
NEVER_UPDATED = ("",) * len(_WATCHED)
"""What `versions` tells where no volume is of the kind that is updated."""


def versions(root: Path) -> tuple[str, ...]:
    """Changes with every update of the downward volume or the service account's; "" for one without updates.

    The kubelet writes new content beside the old one and moves the link `..data` to it, all at once:
    pkg/volume/util/atomic_writer.go. Where there is no such link there are no updates either: a volume that
    is mounted by `subPath` keeps what it had at the start.
    """
    return tuple(_target(f"{root}{volume}/..data") for volume in _WATCHED)


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""
