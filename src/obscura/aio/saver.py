"""Keeping addresses, pins and transactions: off the loop, one at a time, the newest state last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from ..base.errors import LocalError
from ..base.names import TxId
from ..node.effects import KeptTransaction
from ..peers.pins import NamedPin
from ..peers.record import AddressRecord
from ..wire.address import NetAddress

K = TypeVar("K")
V = TypeVar("V")
log = logging.getLogger("obscura.driver")

Save = Callable[[tuple[AddressRecord, ...]], None]
SavePins = Callable[[NetAddress, NamedPin | None], None]
"""Makes the pin of an address durable; ``None`` forgets it."""
SaveTransactions = Callable[[TxId, bytes | None], None]
"""Makes a transaction of our operator durable; ``None`` forgets it."""
SaveMempools = Callable[[tuple[KeptTransaction, ...]], None]


class AddressSaver:
    """Runs ``save`` on a thread. States that were overtaken while it ran are skipped: each one is the whole book."""

    def __init__(self, save: Save) -> None:
        self._save = save
        self._next: tuple[AddressRecord, ...] | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, records: tuple[AddressRecord, ...]) -> None:
        """Have ``records`` saved; call it on the loop."""
        self._next = records
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def finish(self) -> None:
        """Wait until the last state is saved."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._next is not None:
            records, self._next = self._next, None
            try:
                await asyncio.to_thread(self._save, records)
            except LocalError as error:
                # Addresses can be learnt again: a node that carries blocks is worth more than its address book.
                log.error("addresses-not-saved", extra={"values": {"text": str(error)}})
            except Exception as error:  # pragma: border
                log.error("addresses-not-saved", exc_info=error, extra={"values": {"text": repr(error)}})
        self._task = None


class ChangeSaver(Generic[K, V]):
    """Runs ``save`` on a thread, once for each change, the changes of one key in their order (overtaken ones are
    skipped). One that could not be saved is tried again with the next.

    Args:
        save: makes a change durable; ``None`` forgets the key's value.
        what: what is kept, in the words of a log line: ``pin``.
    """

    def __init__(self, save: Callable[[K, V | None], None], what: str) -> None:
        self._save = save
        self._what = what
        self._changes: dict[K, V | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._trouble: LocalError | None = None

    def put(self, key: K, value: V | None) -> None:
        """Have a value saved, or forgotten; call it on the loop."""
        self._changes[key] = value
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def finish(self) -> None:
        """Wait until all is saved.

        Raises:
            LocalError: something could not be.
        """
        if self._task is not None:
            await self._task
        if self._trouble is not None:
            raise self._trouble

    async def _run(self) -> None:
        self._trouble = None
        while self._changes and self._trouble is None:
            key, value = next(iter(self._changes.items()))
            del self._changes[key]
            try:
                await asyncio.to_thread(self._save, key, value)
            except Exception as error:  # noqa: BLE001  # pragma: border
                trouble = (
                    error if isinstance(error, LocalError) else LocalError(f"a {self._what} was not saved: {error!r}")
                )
                self._trouble = trouble
                # A value that changed meanwhile stays as it is now.
                self._changes.setdefault(key, value)
                log.error("%s-not-saved", self._what, extra={"values": {"text": str(trouble)}})
        self._task = None
