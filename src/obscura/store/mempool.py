"""The transactions that wait for a block, kept from one run to the next in a file of their own.

``DATADIR/mempool.dat``, mode 0600: 8 bytes magic with the format's version, count u32, then for each its age in whole
hours u16, its length u32 and its bytes; at the end the SHA-256 of all that. Little-endian. It is written at a stop,
beside and then named, so that a power cut leaves the old one or the new one. What it holds is judged again when it is
read, so an old one does no harm; one that is damaged is passed over.

Privacy: hours, because who takes the disk need not learn when exactly each one came.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from struct import Struct, error
from typing import Final

from ..base.errors import StoreError
from ..base.instant import Duration, seconds
from ..node.effects import KeptTransaction
from .files import sync_directory

NAME: Final = "mempool.dat"
_MAGIC: Final = b"OBSMEMP\x01"
_COUNT: Final = Struct("<I")
_HEAD: Final = Struct("<HI")
_HOUR: Final = seconds(3_600)
_SUM_BYTES: Final = 32


def save_mempool(datadir: Path, transactions: Sequence[KeptTransaction]) -> None:
    """Keep these in the place of what was kept before.

    Raises:
        StoreError: the disk refuses; the old ones stay.
    """
    parts = [_MAGIC, _COUNT.pack(len(transactions))]
    for one in transactions:
        parts += (_HEAD.pack(min(one.age // _HOUR, 0xFFFF), len(one.data)), one.data)
    body = b"".join(parts)
    target = datadir / NAME
    beside = target.with_suffix(".new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(body)
            file.write(hashlib.sha256(body).digest())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
        sync_directory(datadir)
    except OSError as trouble:
        with contextlib.suppress(OSError):
            beside.unlink()
        msg = f"{target} cannot be written: {trouble.strerror}"
        raise StoreError(msg) from trouble


def load_mempool(datadir: Path) -> tuple[tuple[KeptTransaction, ...], str]:
    """What was kept, and a warning where the file cannot be used; neither where there is none."""
    path = datadir / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return (), ""
    except OSError as trouble:
        return (), f"{path} cannot be read ({trouble.strerror}): the mempool begins empty"
    body, digest = data[:-_SUM_BYTES], data[-_SUM_BYTES:]
    if not body.startswith(_MAGIC[:-1]) or hashlib.sha256(body).digest() != digest:
        return (), f"{path} is damaged: the mempool begins empty"
    if body[: len(_MAGIC)] != _MAGIC:
        return (), f"{path} has another release's format: the mempool begins empty"
    found: list[KeptTransaction] = []
    at = len(_MAGIC) + _COUNT.size
    with contextlib.suppress(error):
        for _ in range(_COUNT.unpack_from(body, len(_MAGIC))[0]):
            hours, size = _HEAD.unpack_from(body, at)
            at += _HEAD.size
            found.append(KeptTransaction(body[at : at + size], Duration(hours * _HOUR)))
            at += size
    return tuple(found), ""
