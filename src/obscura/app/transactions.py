"""What an operator can ask of a running node about transactions, and how those that wait are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ..aio.driver import Driver
from ..base.errors import LocalError
from ..base.instant import MICROSECONDS, WallTime, seconds
from ..base.limits import TX_BYTES
from ..base.names import TxId
from ..control.server import RequestError
from ..node import RelaySnapshot
from ..node.effects import KeptTransaction, SaveTransaction
from ..relay.sent import Stage
from ..store import Store


async def send(driver: Driver, values: dict[str, Any]) -> dict[str, Any]:
    """Hand a transaction in. ``hex`` is the whole of it; ``private``: it is to be broadcast privately, if possible.

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
        done = await driver.submit_transaction(data, apart=values.get("private") is True)
    except LocalError as error:
        raise RequestError("failed", str(error)) from error
    if not done.accepted:
        raise RequestError(done.rule, f"refused: {done.rule}" + (f": {done.detail}" if done.detail else ""))
    stage = "" if done.stage is None else done.stage.value
    wanted = driver.private or values.get("private") is True
    return {
        "txid": done.txid.reveal(),
        "fee": done.fee,
        "already": bool(done.rule),
        "stage": stage,
        "fell_back": wanted and done.stage in (Stage.WAITING, Stage.STEMMED, Stage.FLUFFED),
    }


def sent(driver: Driver, values: dict[str, Any]) -> dict[str, Any]:
    """How far a transaction of this run's operator has come, as far as the node knows. ``txid`` is its id.

    Raises:
        RequestError: it is no id, or no transaction of that id was sent here in this run.
    """
    txid = txid_of(values)
    stage = driver.sent_stage(txid)
    if stage is None:
        raise RequestError("not-sent", "no transaction of this id was sent here since the node has started")
    return {"txid": txid.reveal(), "stage": stage.value}


def txid_of(values: dict[str, Any]) -> TxId:
    """The id that a request names by ``txid``.

    Raises:
        RequestError: it is none.
    """
    text = values.get("txid")
    try:
        raw = bytes.fromhex(text if isinstance(text, str) else "?")
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise RequestError("bad-txid", "an id has 64 hexadecimal digits")
    return TxId(raw[::-1])


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


def load(store: Store, wall: WallTime) -> tuple[KeptTransaction, ...]:
    """What earlier runs have kept. A clock that was ahead then makes nothing younger than new.

    Raises:
        StoreError: the disk refuses.
    """
    return tuple(
        KeptTransaction(data, seconds(max(0, wall - hour)), stem) for data, stem, hour in store.load_transactions()
    )


def save(store: Store, changes: Iterable[tuple[TxId, SaveTransaction | None]]) -> None:
    """Make what the node wants kept, or forgotten, durable at once.

    Raises:
        StoreError: the disk refuses; nothing has changed.
    """
    store.keep_transactions(
        [(name, None, False) if one is None else (name, one.data, one.stem) for name, one in changes]
    )
