"""What an operator can ask of a running node about transactions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..aio.driver import Driver
from ..base.errors import LocalError
from ..base.instant import MICROSECONDS
from ..base.limits import TX_BYTES
from ..control.server import RequestError
from ..node import RelaySnapshot


async def send(driver: Driver, values: dict[str, Any]) -> dict[str, Any]:
    """Hand a transaction in. ``hex`` is the whole of it.

    Raises:
        RequestError: it is not hexadecimal, or it was refused: the code is the rule that it breaks.
    """
    text = values.get("hex")
    try:
        data = bytes.fromhex(text if isinstance(text, str) else "?")
    except ValueError:
        raise RequestError("bad-hex", "a transaction is given in hexadecimal digits, two for each byte") from None
    if not 0 < len(data) <= TX_BYTES:
        raise RequestError("bad-hex", f"{len(data)} bytes are no transaction: 1 to {TX_BYTES}")
    try:
        done = await driver.submit_transaction(data)
    except LocalError as error:
        raise RequestError("failed", str(error)) from error
    if not done.accepted:
        raise RequestError(done.rule, f"refused: {done.rule}" + (f": {done.detail}" if done.detail else ""))
    return {"txid": done.txid.reveal(), "fee": done.fee, "already": bool(done.rule)}


def mempool(driver: Driver, values: dict[str, Any]) -> dict[str, Any]:
    """What waits for a block; with ``all``, one by one: the operator asked, so ids are revealed."""
    answer = relay_of(driver.snapshot().relay)
    if values.get("all"):
        answer["transactions"] = [
            {
                "txid": item.txid.reveal(),
                "size": item.size,
                "fee": item.fee,
                "rate": item.fee * 1_000 // item.size,
                "age_s": item.age // MICROSECONDS,
                "own": item.own,
                "parents": item.parents,
            }
            for item in driver.mempool()
        ]
    return answer


def relay_of(picture: RelaySnapshot) -> dict[str, Any]:
    """The transactions' part of ``obscura status --json``."""
    return asdict(picture)
