"""Our own view of the header tree: hash, parent, work (design §8).

The ledger keeps every header that it is shown for ever, so headers are held and judged here first: their work is
checked, they connect, and a branch with no more work than our tip is bounded. Only a branch with more work than the tip
is shown to the ledger, and building one costs real work.

An entry passes through: *held* (connects, work checked) → *checked* (the ledger found its context fine) → *body* (its
block is stored and valid). *Invalid* is for ever, and holds for all that builds on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..base.errors import BugError
from ..base.names import BlockHash, ConnId
from ..chain.ledger import HeaderInfo


def _skip_height(height: int) -> int:
    """Where an entry's skip pointer leads: as ``GetSkipHeight`` of Bitcoin Core's block index."""
    if height < 2:
        return 0

    def without_lowest_one(number: int) -> int:
        return number & (number - 1)

    if height & 1:
        return without_lowest_one(without_lowest_one(height - 1)) + 1
    return without_lowest_one(height)


class Entry:
    """One header. ``work`` is cumulative from genesis; ``low`` names the link that is charged for a low-work one."""

    __slots__ = ("body", "checked", "children", "hash", "height", "invalid", "low", "previous", "raw", "skip", "work")

    def __init__(self, raw: bytes, info: HeaderInfo, previous: Entry | None) -> None:
        self.raw = raw
        self.hash = info.hash
        self.previous = previous
        self.height: int = 0 if previous is None else previous.height + 1
        self.work: int = info.work + (0 if previous is None else previous.work)
        self.children = 0
        self.skip: Entry | None = None if previous is None else previous.ancestor(_skip_height(self.height))
        self.checked = False
        self.body = False
        self.invalid = False
        self.low: ConnId | None = None

    def ancestor(self, height: int) -> Entry:
        """The ancestor at a height (or itself), in a number of steps that grows with the logarithm of the distance."""
        at = self
        while at.height > height:
            skip, previous = at.skip, at.previous
            assert previous is not None, "an entry above height 0 has a parent"
            before = _skip_height(at.height - 1)
            # Stepping back by one is better where the parent's own skip lands nearer, as in Bitcoin Core.
            if skip is not None and (
                skip.height == height or (skip.height > height and not (before < skip.height - 2 and before >= height))
            ):
                at = skip
            else:
                at = previous
        return at

    def __repr__(self) -> str:
        return f"Entry({self.height}, {self.hash[::-1].hex()[:16]}…)"


class HeaderTree:
    """All headers that we hold. ``tip`` ends the active chain (the ledger's), ``best`` the best checked headers."""

    def __init__(self, genesis: bytes, info: HeaderInfo) -> None:
        root = Entry(genesis, info, None)
        root.checked = root.body = True
        self._entries: dict[BlockHash, Entry] = {root.hash: root}
        self._active: list[Entry] = [root]
        self.best = root
        self.checks = 0
        """Counts :meth:`mark_checked`: who found nothing to do with unchecked headers looks again when it has grown."""

    @property
    def genesis(self) -> Entry:
        """The root."""
        return self._active[0]

    @property
    def tip(self) -> Entry:
        """The end of the active chain."""
        return self._active[-1]

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, block_hash: BlockHash) -> Entry | None:
        """The entry of a hash, if held."""
        return self._entries.get(block_hash)

    def at_height(self, height: int) -> Entry | None:
        """The active chain's entry at a height."""
        return self._active[height] if 0 <= height < len(self._active) else None

    def is_active(self, entry: Entry) -> bool:
        """Whether an entry is part of the active chain."""
        return self.at_height(entry.height) is entry

    def add(self, raw: bytes, info: HeaderInfo) -> Entry:
        """Hold a header whose parent is held. A child of an invalid entry is invalid.

        Raises:
            BugError: the parent is not held; the caller looks first.
        """
        known = self._entries.get(info.hash)
        if known is not None:
            return known
        parent = self._entries.get(info.previous)
        if parent is None:
            msg = "a header is added before its parent"
            raise BugError(msg)
        entry = Entry(raw, info, parent)
        entry.invalid = parent.invalid
        parent.children += 1
        self._entries[entry.hash] = entry
        return entry

    def restore(self, raw: bytes, info: HeaderInfo, *, has_body: bool) -> Entry:
        """Hold a header that the ledger kept: it is checked already."""
        entry = self.add(raw, info)
        entry.checked = True
        entry.body = has_body
        self._consider(entry)
        return entry

    def mark_checked(self, entry: Entry) -> None:
        """The ledger found an entry's context fine; it may be the new ``best``."""
        self.checks += not entry.checked
        entry.checked = True
        self._consider(entry)

    def mark_body(self, entry: Entry) -> None:
        """An entry's block is stored and valid so far."""
        entry.body = True
        entry.low = None
        self.mark_checked(entry)

    def _consider(self, entry: Entry) -> None:
        if not entry.invalid and entry.work > self.best.work:
            self.best = entry

    def set_tip(self, entry: Entry) -> tuple[int, list[Entry]]:
        """Make ``entry`` the end of the active chain.

        Returns:
            How many blocks left the active chain, and those that joined it, in order of height.
        """
        joined: list[Entry] = []
        at = entry
        while not self.is_active(at):
            joined.append(at)
            assert at.previous is not None, "every branch ends in the active chain: genesis is on it"
            at = at.previous
        left = len(self._active) - 1 - at.height
        del self._active[at.height + 1 :]
        joined.reverse()
        self._active.extend(joined)
        self._consider(entry)
        return left, joined

    def invalidate(self, entry: Entry) -> None:
        """Mark an entry, and all that builds on it, as invalid; ``best`` falls back to the best that is left."""
        entry.invalid = True
        doomed = {entry.hash: entry}
        # Parents were inserted before their children, so one pass finds every descendant.
        for candidate in self._entries.values():
            if candidate.previous is not None and candidate.previous.hash in doomed:
                candidate.invalid = True
                doomed[candidate.hash] = candidate
        if self.best.invalid:
            # The tip can be among the invalid: the ledger says a moment later which one it has instead.
            self.best = next(one for one in reversed(self._active) if not one.invalid)
            for candidate in self._entries.values():
                if candidate.checked:
                    self._consider(candidate)

    def forget(self, doomed: Sequence[Entry]) -> list[Entry]:
        """Give up low-work headers, parents first in ``doomed``. Returns those that stay because others build on them,
        parents first; all are off their accounts."""
        kept: list[Entry] = []
        for entry in reversed(doomed):
            entry.low = None
            if entry.children == 0 and not entry.body and entry is not self.best:
                del self._entries[entry.hash]
                assert entry.previous is not None, "genesis is on nobody's account"
                entry.previous.children -= 1
            else:
                kept.append(entry)
        kept.reverse()
        return kept

    def held(self, entry: Entry) -> Entry:
        """``entry``, or its last ancestor that was not forgotten."""
        at = entry
        while self._entries.get(at.hash) is not at:
            assert at.previous is not None, "genesis is never forgotten"
            at = at.previous
        return at

    def fork(self, entry: Entry) -> Entry:
        """The last entry that ``entry``'s branch shares with the active chain."""
        while not self.is_active(entry):
            assert entry.previous is not None, "every branch ends in the active chain: genesis is on it"
            entry = entry.previous
        return entry

    def is_ancestor(self, ancestor: Entry, entry: Entry) -> bool:
        """Whether ``ancestor`` is ``entry`` or one of its ancestors."""
        return ancestor.height <= entry.height and entry.ancestor(ancestor.height) is ancestor

    def after(self, start: Entry, stop: BlockHash, count: int) -> list[Entry]:
        """Up to ``count`` entries of the active chain after ``start`` (which is active), ending with ``stop``."""
        found: list[Entry] = []
        for entry in self._active[start.height + 1 : start.height + 1 + count]:
            found.append(entry)
            if entry.hash == stop:
                break
        return found

    def locate(self, locator: Sequence[BlockHash]) -> Entry:
        """The first entry of a locator that is in our active chain; genesis if there is none."""
        for block_hash in locator:
            entry = self._entries.get(block_hash)
            if entry is not None and self.is_active(entry):
                return entry
        return self.genesis

    def locator(self, start: Entry) -> tuple[BlockHash, ...]:
        """Hashes from ``start`` downwards: ten in a row, then with doubling steps, genesis last."""
        hashes: list[BlockHash] = []
        step = 1
        at = start
        while True:
            hashes.append(at.hash)
            if at.height == 0:
                return tuple(hashes)
            if len(hashes) >= 10:
                step *= 2
            at = at.ancestor(max(0, at.height - step))

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        for height, entry in enumerate(self._active):
            assert entry.height == height, "the active chain is indexed by height"
            assert entry.body, "the active chain has every body"
            assert not entry.invalid, "the active chain is valid"
            assert height == 0 or entry.previous is self._active[height - 1], "the active chain is linked"
        assert self.best.checked, "best is a header that the ledger saw"
        assert not self.best.invalid, "best can be valid"
        assert self.best.work >= self.tip.work, "best is no worse than the tip"
