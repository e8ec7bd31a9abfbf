"""The ledger of live sessions: by the epoch they were leased under, and by cancel key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from dbambassador.values import Address


class Lease:
    """One session's place in the ledger. Its work runs in `scope`, which eviction cancels."""

    def __init__(self, epoch: int, address: Address) -> None:
        self.epoch = epoch
        self.address = address
        self.scope = trio.CancelScope()
        self.key: bytes | None = None


class Ledger:
    """The live sessions of one database.

    An epoch is admitted once every session of the epochs before it has ended, so that no two addresses serve
    a database at the same time.
    """

    def __init__(self) -> None:
        self._leases: set[Lease] = set()
        self._keys: dict[bytes, Lease] = {}
        self._admitted = 0
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._leases)

    @contextmanager
    def lease(self, epoch: int, address: Address) -> Iterator[Lease]:
        """A place for one session while the context lasts."""
        lease = Lease(epoch, address)
        self._leases.add(lease)
        try:
            yield lease
        finally:
            self._leases.discard(lease)
            if lease.key is not None and self._keys.get(lease.key) is lease:
                self._keys.pop(lease.key, None)
            self._notify()

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

    async def evict(self, epoch: int) -> int:
        """Ends the sessions of all epochs before this one, then admits it.

        Returns: how many sessions were ended.
        """
        old = [lease for lease in self._leases if lease.epoch < epoch]
        for lease in old:
            lease.scope.cancel()
        while not self._leases.isdisjoint(old):
            await self._changed.wait()
        self._admitted = epoch
        self._notify()
        return len(old)

    async def idle(self) -> None:
        """Waits until no session is left."""
        while self._leases:
            await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
