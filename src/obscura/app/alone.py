"""What commands do on a datadir that no node uses; they hold its lock meanwhile."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ..base.errors import StoreError
from ..base.instant import WallTime
from ..chain.ledger import BlockVerdict
from ..store import open_datadir
from ..wire.address import NetAddress
from .compose import claim, mine_request, mined, open_ledger, open_store, wall_now


def mine_alone(datadir: Path, network: str, values: dict[str, Any]) -> dict[str, Any]:
    """Mine on a datadir that no node uses.

    Raises:
        LocalError: the datadir is at fault.
        RequestError: as :func:`mine_request`.
    """
    with contextlib.ExitStack() as stack:
        locked = stack.enter_context(open_datadir(datadir))
        store = open_store(locked, network)
        stack.callback(store.close)
        count, script = mine_request(network, values)
        ledger = open_ledger(network, datadir, relay=False)
        stack.callback(ledger.close)
        ledger.restore()
        claim(store, network)
        block = b""
        for _ in range(count):
            block = ledger.mine(script, WallTime(wall_now()))
            outcome = ledger.accept_blocks([block]).outcomes[0]
            if outcome.verdict is not BlockVerdict.ACCEPTED:
                raise StoreError(f"the block was refused: {outcome.rule}")
        height, tip = ledger.tip
        return mined(count, height, tip, block, 0)


def forget_pin_alone(datadir: Path, network: str, address: NetAddress) -> bool:
    """Forget a named peer's key on a datadir that no node uses; ``False`` if none was pinned.

    Raises:
        LocalError: the datadir is at fault.
    """
    with open_datadir(datadir) as locked, contextlib.closing(open_store(locked, network)) as store:
        return store.forget_pin(address)
