"""Private broadcast for an operator: what waits for it, taking one back, and how it is kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..aio.driver import Driver
from ..base.errors import LocalError
from ..base.instant import MICROSECONDS, WallTime, seconds
from ..base.names import TxId
from ..control.server import RequestError
from ..node.effects import KeptBroadcast
from ..store import Store
from ..store.broadcasts import BroadcastQueue
from ..store.keyfile import KeyFiles
from .transactions import txid_of

log = logging.getLogger("obscura")


def listing(driver: Driver) -> list[dict[str, Any]]:
    """What is to be broadcast privately and has not been seen yet, oldest first. The operator asked: ids are revealed,
    and nothing else is that others could use, as who the recipients are."""
    return [
        {
            "txid": item.txid.reveal(),
            "age_s": item.age // MICROSECONDS,
            "confirmed": item.receipts,
            "under_way": item.under_way,
            "asked": item.asked,
            "next_in_s": None if item.next_in is None else item.next_in // MICROSECONDS,
            "waits_for_parent": item.waits_for_parent,
            "nobody": item.nobody,
        }
        for item in driver.broadcasts()
    ]


async def drop(driver: Driver, values: dict[str, Any]) -> dict[str, Any]:
    """Take a transaction back, durably. ``txid`` is its id.

    Raises:
        RequestError: it is no id, none of that id waits, or the disk refuses.
    """
    txid = txid_of(values)
    try:
        found = await driver.drop_broadcast(txid)
    except LocalError as error:
        raise RequestError("failed", str(error)) from error
    if not found:
        raise RequestError("not-waiting", "no transaction of this id waits for private broadcast")
    return {"txid": txid.reveal(), "dropped": True}


class Keeper:
    """The queue of one datadir on disk, and what earlier runs have left in it.

    Args:
        store: the open database.
        datadir: which the caller has locked.
        network: whose it is.
        wall: Unix seconds. A clock that was ahead in an earlier run makes nothing younger than new.

    Raises:
        KeyFileError: the key of the queue cannot be used; the text says how to go on.
        StoreError: the disk refuses.
    """

    def __init__(self, store: Store, datadir: Path, network: str, wall: WallTime) -> None:
        self._queue = BroadcastQueue(store, KeyFiles(datadir, network))
        self.kept = tuple(KeptBroadcast(data, seconds(max(0, wall - hour))) for data, hour in self._queue.load())
        self._warn()

    def save(self, changes: Sequence[tuple[TxId, bytes | None]]) -> None:
        """See :meth:`BroadcastQueue.save`."""
        try:
            self._queue.save(changes)
        finally:
            self._warn()

    def _warn(self) -> None:
        warnings, self._queue.warnings = self._queue.warnings, []
        for text in warnings:
            log.warning("broadcasts", extra={"values": {"text": text}})
