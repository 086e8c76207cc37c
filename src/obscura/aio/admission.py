"""The guard against replays, asked on a thread: it syncs a disk before it answers, once for all that wait then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..base.errors import LocalError
from ..base.names import ConnId
from ..node.effects import Admit
from ..peers.replay import ReplayGuard

log = logging.getLogger("obscura.driver")


class Admission:
    """Asks ``guard`` for all knocks that wait, in their order; those that come meanwhile are the next batch. The node
    bounds how many they are (KNOCKS_JUDGED).

    Args:
        guard: used by one thread at a time.
        answer: called on the loop with the link, whether its knock is new, and what went wrong, if anything did.
    """

    def __init__(self, guard: ReplayGuard, answer: Callable[[ConnId, bool, str], None]) -> None:
        self._guard = guard
        self._answer = answer
        self._waiting: list[Admit] = []
        self._task: asyncio.Task[None] | None = None

    def put(self, effect: Admit) -> None:
        """Have a knock judged; call it on the loop."""
        self._waiting.append(effect)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def finish(self) -> None:
        """Forget who waits, and wait until the guard is at rest."""
        self._waiting.clear()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            admitted, trouble = [False] * len(batch), ""
            try:
                admitted = await asyncio.to_thread(self._guard.admit, [(one.shown, one.at) for one in batch])
            except LocalError as error:
                trouble = str(error)
            except Exception as error:  # pragma: border
                log.error("defect", exc_info=error, extra={"values": {"text": "the guard against replays"}})
                trouble = "a defect of Obscura, see the log"
            for one, new in zip(batch, admitted, strict=True):
                self._answer(one.conn, new, trouble)
        self._task = None
