"""Keeping addresses, pins, bans and transactions: off the loop, one save at a time, each of all that has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ..base.errors import LocalError
from ..base.names import TxId
from ..node.effects import SaveTransaction
from ..peers.bans import Ban
from ..peers.pins import NamedPin
from ..peers.record import AddressRecord
from ..wire.address import NetAddress

K = TypeVar("K")
V = TypeVar("V")
log = logging.getLogger("obscura.driver")

SaveAddressChanges = Callable[[Sequence[tuple[NetAddress, AddressRecord | None]]], None]
"""Makes durable what has changed in the address book, all of it at once; ``None`` forgets an address."""
SavePins = Callable[[Sequence[tuple[NetAddress, NamedPin | None]]], None]
"""Makes the pins of addresses durable; ``None`` forgets one."""
KeepBans = Callable[[Sequence[tuple[str, Ban | None]]], None]
"""Makes durable who is kept away, by subject; ``None`` forgets one."""
KeepAnchors = Callable[[tuple[NetAddress, ...]], None]
"""Makes durable whom to dial first after a restart."""
SaveTransactions = Callable[[Sequence[tuple[TxId, SaveTransaction | None]]], None]
"""Makes durable which transactions are kept, all of these at once; ``None`` forgets one."""

SaveBroadcasts = Callable[[Sequence[tuple[TxId, bytes | None]]], None]
"""Makes durable which transactions are to be broadcast privately, so that nobody else can read them; ``None`` forgets
one."""


class ChangeSaver(Generic[K, V]):
    """Runs ``save`` on a thread, one call at a time, each with all changes that wait (of one key the newest). What
    could not be saved is tried again with the next change.

    Args:
        save: makes changes durable; ``None`` forgets a key's value.
        what: what is kept, in the words of a log line: ``pin``.
        most: of what peers can make change without end, how many changes may wait while the disk refuses. Beyond, the
            oldest are given up.
    """

    def __init__(
        self, save: Callable[[Sequence[tuple[K, V | None]]], None], what: str, *, most: int | None = None
    ) -> None:
        self._save = save
        self._what = what
        self._most = most
        self._changes: dict[K, V | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._saving: asyncio.Future[LocalError | None] | None = None
        """The call under way: at its end why it failed, or ``None``."""
        self._next: asyncio.Future[LocalError | None] | None = None
        """The call after it, if somebody waits for that one already."""
        self._trouble: LocalError | None = None

    def put(self, key: K, value: V | None) -> None:
        """Have a value saved, or forgotten; call it on the loop."""
        self._changes[key] = value
        if self._most is not None and len(self._changes) > self._most:
            del self._changes[next(iter(self._changes))]
        if self._task is None:
            self._trouble = None
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def finish(self) -> None:
        """Wait until all is saved that was put before; what others put meanwhile is not waited for.

        Raises:
            LocalError: something could not be.
        """
        trouble = self._trouble
        if self._task is not None and self._changes:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            trouble = await asyncio.shield(self._next)
        elif self._saving is not None:
            trouble = await asyncio.shield(self._saving)
        if trouble is not None:
            raise trouble

    async def _run(self) -> None:
        while self._changes and self._trouble is None:
            batch, self._changes = self._changes, {}
            ended = self._saving = self._next or asyncio.get_running_loop().create_future()
            self._next = None
            try:
                await asyncio.to_thread(self._save, list(batch.items()))
            except Exception as error:  # noqa: BLE001  # pragma: border
                self._trouble = (
                    error if isinstance(error, LocalError) else LocalError(f"a {self._what} was not saved: {error!r}")
                )
                # A value that changed meanwhile stays as it is now.
                self._changes = batch | self._changes
                log.error("%s-not-saved", self._what, extra={"values": {"text": str(self._trouble)}})
            self._saving = None
            ended.set_result(self._trouble)
        self._task = None
        if self._next is not None:
            # It had to wait for a call that will not come: the one before it has failed.
            waiting, self._next = self._next, None
            waiting.set_result(self._trouble)
