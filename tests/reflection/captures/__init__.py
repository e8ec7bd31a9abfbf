"""Places that dbambassador must recognise, each with the facts that it must yield there, and no others.

Every capture is written from the documentation that it names. None was taken from a live machine or cluster,
and none claims to show all that a real one holds: only what reflection reads.
"""

from __future__ import annotations

from tests.reflection.captures import containers, kubernetes, machines, platforms

CAPTURES = {
    capture.name: capture
    for room in (kubernetes, containers, platforms, machines)
    for capture in room.CAPTURES
}
