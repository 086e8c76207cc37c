"""Keeping the pools of single-use keys full while the node has nothing better to do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from ..crypto.keysource import PooledKeys

_EVERY_S: Final = 0.01  # a pair costs at most 0.2 ms: filling takes 2 % of a core
_LOOK_S: Final = 0.5


@contextlib.asynccontextmanager
async def kept_full(keys: PooledKeys) -> AsyncIterator[None]:
    """Fill ``keys`` beside the body, one pair at a time, so that no link waits for it."""
    filling = asyncio.get_running_loop().create_task(_fill(keys))
    try:
        yield
    finally:
        filling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await filling


async def _fill(keys: PooledKeys) -> None:
    while True:
        if keys.is_full:
            await asyncio.sleep(_LOOK_S)
        else:
            keys.fill_one()
            await asyncio.sleep(_EVERY_S)
