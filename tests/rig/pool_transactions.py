"""Made-up transactions for what looks only at names and at what is spent."""

from __future__ import annotations

import hashlib

from obscura.base.names import TxId
from obscura.chain import OutPoint, TxInfo


def tx_id(name: str) -> TxId:
    """An id that is as good as random, the same for each name."""
    return TxId(hashlib.sha256(name.encode()).digest())


def point(name: str, index: int = 0) -> OutPoint:
    """An output of the transaction ``name``."""
    return OutPoint(tx_id(name) + index.to_bytes(4, "little"))


def made_up(name: str, *spends: OutPoint, size: int = 200, outputs: int = 2, form: str = "") -> tuple[bytes, TxInfo]:
    """A transaction ``name`` of ``size`` virtual bytes; other forms of it have other relay ids."""
    info = TxInfo(tx_id(name), tx_id(f"{name}/{form}"), 4 * size, spends or (point(f"coin of {name}"),), outputs)
    return name.encode().ljust(size, b"."), info
