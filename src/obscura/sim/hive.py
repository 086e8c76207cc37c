"""What the adversaries of a world share: they see every block at once, and their power to mine is bounded.

An honest majority of work is the promise of every chain like this, so adversaries mine *units*: one unit is one header
with a honest header's work, and units come at a stated share of the honest rate. Headers on branches with less work
than the honest tip cost nothing, as they cost next to nothing on a real chain with its low early difficulty.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base.instant import WallTime
from ..base.names import BlockHash
from ..chain import HEADER_BYTES, BlockVerdict
from ..ledgers.memory import MemoryLedger, mine
from ..sync.view import Entry, HeaderTree


class Hive:
    """The adversaries' common knowledge.

    Args:
        wall: the time that they write into their headers.
    """

    def __init__(self, wall: Callable[[], WallTime]) -> None:
        self.ledger = MemoryLedger()
        genesis = self.ledger.genesis
        self.tree = HeaderTree(genesis, self.ledger.identify_header(genesis))
        self.acts: dict[str, int] = {}
        """How often each mischief was done, by its name."""
        self.watchers: list[Callable[[], None]] = []
        """Called whenever the best chain that the hive knows has a new tip."""
        self._wall = wall
        self._serial = 0

    def count(self, act: str) -> None:
        """Note a mischief."""
        self.acts[act] = self.acts.get(act, 0) + 1

    def learn(self, block: bytes) -> None:
        """A valid block exists. One on an unknown parent is passed over."""
        report = self.ledger.accept_blocks((block,))
        [outcome] = report.outcomes
        if outcome.verdict is not BlockVerdict.ACCEPTED:
            return
        self.tree.mark_body(self.tree.add(block[:HEADER_BYTES], self.ledger.identify_block(block)))
        tip = self.tree.get(report.tip)
        if tip is not None and tip is not self.tree.tip:
            self.tree.set_tip(tip)
            for watcher in self.watchers:
                watcher()

    def below_tip(self, depth: int) -> Entry:
        """The entry of the best chain ``depth`` below its tip, genesis at the lowest."""
        entry = self.tree.at_height(max(0, self.tree.tip.height - depth))
        assert entry is not None, "the best chain has every height up to its tip"
        return entry

    def branch(self, parent: Entry, count: int, mark: bytes = b"", *, time: int | None = None) -> list[bytes]:
        """``count`` new blocks in a row on ``parent``, told to nobody.

        Args:
            parent: the entry to build on.
            count: how many.
            mark: what the first body begins with.
            time: of the first header; as early as is valid if not given, but no earlier than now.
        """
        previous: BlockHash = parent.hash
        first = max(self.ledger.identify_header(parent.raw).time + 1, self._wall()) if time is None else time
        blocks: list[bytes] = []
        for step in range(count):
            self._serial += 1
            body = (mark if step == 0 else b"") + b"hive" + self._serial.to_bytes(8, "little")
            block = mine(previous, body, first + step)
            previous = self.ledger.identify_block(block).hash
            blocks.append(block)
        return blocks
