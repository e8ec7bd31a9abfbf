"""The ledger of live sessions: by address, by the epoch they were leased under, and by cancel key."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import partial

import trio

from dbambassador.forwarding.relay.engine import How, Traffic
from dbambassador.values import Address, Choice

LEFT = "left"
"""The fate of a session whose client went away during its opening."""
IDLE = "idle"
"""The fate of a session through which nothing passed for too long."""


class Stage(Enum):
    """How far a session has come."""

    WAITING = "waiting"
    """For the sessions of a former choice to end."""
    DIALLING = "dialling"
    OPENING = "opening"
    """Connected, and it is the server's turn to say something."""
    ASKING = "asking"
    """It is the client's turn: the server wants to know something before it opens the session."""
    RELAYING = "relaying"


def _nothing() -> None:
    pass


class Lease:
    """One session's place in the ledger."""

    __slots__ = (
        "_cut",
        "_ledger",
        "address",
        "client",
        "epoch",
        "fate",
        "key",
        "stage",
        "stage_since",
        "traffic",
        "watch",
    )

    def __init__(
        self, ledger: Ledger, epoch: int, address: Address, cut: Callable[[], None], traffic: Traffic
    ) -> None:
        self._ledger = ledger
        self._cut = cut
        self.epoch = epoch
        self.address = address
        self.client: trio.SocketStream | None = None
        """To look whether it has left, until the session is relayed."""
        self.key: bytes | None = None
        self.stage = Stage.WAITING
        self.stage_since = trio.current_time()
        self.fate = How.CUT.value
        """How the session ended, if it was cut."""
        self.traffic = traffic
        self.watch: object = None
        """What the vigil notes about the session."""

    def enter(self, stage: Stage) -> None:
        self.stage = stage
        self.stage_since = trio.current_time()

    def relayed(self, cut: Callable[[], None]) -> None:
        """An engine has the session now, and `cut` has it end it."""
        self.enter(Stage.RELAYING)
        self._cut = cut
        self.client = None

    def cut(self, fate: str = How.CUT.value) -> None:
        """Ends the session, soon."""
        if self.fate == How.CUT.value:
            self.fate = fate
        self._cut()

    def move(self, address: Address, epoch: int) -> None:
        """The session goes to the host's other address, which has a tenure of its own."""
        self._ledger.count(self.address, -1)
        self.address, self.epoch = address, epoch
        self._ledger.count(address, +1)

    def let_go(self) -> None:
        """Lets go of what it knows, and what knows it: an ended session is not to wait for the garbage
        collector."""
        self._cut = _nothing
        self.traffic.on_move = None

    def release(self) -> None:
        """The session is over. No-op if it was before."""
        self._ledger.remove(self)


class Ledger:
    """The live sessions of one database.

    An epoch is admitted once every session has ended that its choice gives no tenure: of two addresses that
    take turns, the old one's last session ends before the new one's first.
    """

    def __init__(self) -> None:
        self._leases: set[Lease] = set()
        self._counts: Counter[Address] = Counter()
        self._keys: dict[bytes, Lease] = {}
        self._moved: deque[Lease] = deque()
        self._admitted = 0
        self._ended = Traffic()
        """The bytes of all sessions that are over."""
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """A snapshot of the leases."""
        return iter(tuple(self._leases))

    def __contains__(self, lease: object) -> bool:
        return lease in self._leases

    def moved(self) -> list[Lease]:
        """The sessions that are new, or of which something passed since this was asked for the last time."""
        moved = []
        while self._moved:
            lease = self._moved.popleft()
            lease.traffic.still = True
            moved.append(lease)
        return moved

    def sessions(self, address: Address) -> int:
        """How many sessions the address has, those that begin included."""
        return self._counts[address]

    def traffic(self) -> tuple[int, int]:
        """Bytes of all its sessions, the live and the ended: to servers, to clients."""
        # The engine's thread counts on meanwhile; a sum that is a moment old does no harm.
        to_server, to_client = self._ended.to_server, self._ended.to_client
        for lease in self._leases:
            to_server += lease.traffic.to_server
            to_client += lease.traffic.to_client
        return to_server, to_client

    def lease(
        self, epoch: int, address: Address, cut: Callable[[], None], traffic: Traffic | None = None
    ) -> Lease:
        """A place for one session, until it is released. `cut` has the session end soon."""
        lease = Lease(self, epoch, address, cut, traffic or Traffic())
        lease.traffic.on_move = partial(self._moved.append, lease)
        lease.traffic.move()
        self._leases.add(lease)
        self.count(address, +1)
        if len(self._leases) == 1:
            self._notify()
        return lease

    def remove(self, lease: Lease) -> None:
        """Takes a lease out."""
        if lease not in self._leases:
            return
        self._leases.discard(lease)
        self._ended.to_server += lease.traffic.to_server
        self._ended.to_client += lease.traffic.to_client
        lease.let_go()
        self.count(lease.address, -1)
        if lease.key is not None and self._keys.get(lease.key) is lease:
            self._keys.pop(lease.key, None)
        self._notify()

    def count(self, address: Address, change: int) -> None:
        """Takes note of sessions that come to an address or leave it."""
        self._counts[address] += change
        if not self._counts[address]:
            del self._counts[address]

    def keep_key(self, lease: Lease, key: bytes) -> None:
        """Notes the cancel key that the server gave this session."""
        lease.key = key
        self._keys[key] = lease

    def address_of(self, key: bytes) -> Address | None:
        """The server that runs the session with this cancel key."""
        lease = self._keys.get(key)
        return lease.address if lease else None

    async def admission(self, epoch: int) -> None:
        """Waits until this epoch, or a later one, may have sessions."""
        while self._admitted < epoch:
            await self._changed.wait()

    async def evict(self, choice: Choice) -> Mapping[Address, int]:
        """Ends the sessions that have no tenure in this choice, then admits its epoch.

        Returns: how many sessions were ended that their clients had, by address.
        """
        old = [
            lease
            for lease in self._leases
            if lease.epoch <= choice.epoch and choice.tenures.get(lease.address) != lease.epoch
        ]
        ended = Counter(lease.address for lease in old if lease.stage is Stage.RELAYING)
        for lease in old:
            lease.cut()
        while not self._leases.isdisjoint(old):
            await self._changed.wait()
        self._admitted = choice.epoch
        self._notify()
        return ended

    async def occupied(self) -> None:
        """Waits until there is a session."""
        while not self._leases:
            await self._changed.wait()

    def cut_all(self) -> None:
        """Ends all sessions, soon."""
        for lease in self:
            lease.cut()

    async def idle(self) -> None:
        """Waits until no session is left."""
        while self._leases:
            await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
