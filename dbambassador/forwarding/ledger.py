"""The ledger of live sessions: by address, by the epoch they were leased under, and by cancel key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum

import trio

from dbambassador.forwarding.engine import Traffic
from dbambassador.values import Address, Choice


class Stage(Enum):
    """How far a session has come."""

    WAITING = "waiting"
    """For the sessions of a former choice to end."""
    DIALLING = "dialling"
    OPENING = "opening"
    """Connected; the server has said nothing yet."""
    RELAYING = "relaying"


class Lease:
    """One session's place in the ledger. Its work runs in `scope`, which eviction cancels."""

    def __init__(self, ledger: Ledger, epoch: int, address: Address, client: trio.SocketStream) -> None:
        self._ledger = ledger
        self.epoch = epoch
        self.address = address
        self.client = client
        self.scope = trio.CancelScope()
        self.key: bytes | None = None
        self.stage = Stage.WAITING
        self.stage_since = trio.current_time()
        self.left = False
        """Set where the client went away during its opening, and the session was ended for that."""
        self.fate = "cut"
        """How the session ended, if its scope was cancelled."""
        self.traffic = Traffic()

    def enter(self, stage: Stage) -> None:
        self.stage = stage
        self.stage_since = trio.current_time()

    def move(self, address: Address, epoch: int) -> None:
        """The session goes to the host's other address, which has a tenure of its own."""
        self._ledger.count(self.address, -1)
        self.address, self.epoch = address, epoch
        self._ledger.count(address, +1)


class Ledger:
    """The live sessions of one database.

    An epoch is admitted once every session has ended that its choice gives no tenure: of two addresses that
    take turns, the old one's last session ends before the new one's first.
    """

    def __init__(self) -> None:
        self._leases: set[Lease] = set()
        self._counts: Counter[Address] = Counter()
        self._keys: dict[bytes, Lease] = {}
        self._admitted = 0
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """A snapshot of the leases."""
        return iter(tuple(self._leases))

    def sessions(self, address: Address) -> int:
        """How many sessions the address has, those that begin included."""
        return self._counts[address]

    @contextmanager
    def lease(self, epoch: int, address: Address, client: trio.SocketStream) -> Iterator[Lease]:
        """A place for one session while the context lasts."""
        lease = Lease(self, epoch, address, client)
        self._leases.add(lease)
        self.count(address, +1)
        if len(self._leases) == 1:
            self._notify()
        try:
            yield lease
        finally:
            self._leases.discard(lease)
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
            lease.scope.cancel()
        while not self._leases.isdisjoint(old):
            await self._changed.wait()
        self._admitted = choice.epoch
        self._notify()
        return ended

    async def occupied(self) -> None:
        """Waits until there is a session."""
        while not self._leases:
            await self._changed.wait()

    async def idle(self) -> None:
        """Waits until no session is left."""
        while self._leases:
            await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
