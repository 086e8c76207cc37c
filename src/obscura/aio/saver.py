"""Keeping addresses: off the loop, one at a time, the newest state last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..base.errors import LocalError
from ..peers.record import AddressRecord

log = logging.getLogger("obscura.driver")

Save = Callable[[tuple[AddressRecord, ...]], None]


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
