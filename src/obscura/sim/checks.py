"""What must hold in a simulated world at every moment, judged from outside of the nodes.

1. The active chain of an honest host is valid: every block on it links to the one before, has its work, its own body,
   and breaks no rule. The judge here reads the block's bytes; it asks no ledger for an opinion.
2. Each new tip of a machine has more work than the last one, and no restart loses work: what a host's tip was when it
   crashed had been acknowledged, so it is there afterwards. (It may have more: a block in progress may have survived.)
3. Every block that a ledger has acknowledged can be read after a crash.
4. A node's invariants and the bounds of base/limits.py hold (:meth:`Node.check`), and its tip is its ledger's.
5. Nothing raises out of an honest node; the run that drives the world sees to that.
"""

from __future__ import annotations

import struct

from ..base.digest import double_sha256
from ..base.errors import BugError
from ..base.names import NULL_HASH, BlockHash, display_hash
from ..chain import HEADER_BYTES, BlockReport, BlockVerdict
from ..ledgers.memory import GENESIS, INVALID_MARK, TARGET, WORK
from ..node.effects import Event, TipMoved
from .host import Host

_FIELDS = struct.Struct("<I32s32sIQ")


class SafetyError(BugError):
    """Something that must never happen has happened.

    Args:
        rule: the short name of what did not hold.
        host: where.
        detail: the numbers.
    """

    def __init__(self, rule: str, host: int, detail: str) -> None:
        super().__init__(f"{rule} at host {host}: {detail}")
        self.rule = rule
        self.host = host
        self.detail = detail


class SafetyChecker:
    """Watches all honest hosts of one world. Its verbs raise :class:`SafetyError`."""

    def __init__(self) -> None:
        self.tips_judged = 0
        self.checks = 0
        self._heights: dict[BlockHash, int] = {NULL_HASH: -1}
        self._times: dict[BlockHash, int] = {NULL_HASH: -1}
        """Of blocks that are valid with all that is below them."""
        self._work: dict[int, int] = {}
        self._acknowledged: dict[int, dict[BlockHash, None]] = {}
        self._judge(GENESIS, 0)

    @property
    def best_height(self) -> int:
        """The height of the most work that any honest host has ever had as its tip."""
        return max(self._work.values(), default=WORK) // WORK - 1

    def told(self, host: Host, event: Event) -> None:
        """A node has told something."""
        if isinstance(event, TipMoved):
            self.tips_judged += 1
            work = self._work_of(host, event.tip)
            before = self._work.get(host.number, 0)
            if work <= before:
                raise SafetyError("tip-work", host.number, f"a tip of work {work} follows one of {before}")
            self._work[host.number] = work

    def answered(self, host: Host, report: BlockReport) -> None:
        """A ledger has decided about blocks."""
        acknowledged = self._acknowledged.setdefault(host.number, {})
        for outcome in report.outcomes:
            if outcome.verdict is BlockVerdict.ACCEPTED:
                acknowledged[outcome.hash] = None
        for refusal in report.invalidated:
            acknowledged.pop(refusal.hash, None)

    def restarted(self, host: Host) -> None:
        """A machine has begun its next life."""
        acknowledged = list(self._acknowledged.get(host.number, ()))
        for name, block in zip(acknowledged, host.ledger.read_blocks(acknowledged), strict=True):
            if block is None:
                raise SafetyError("acknowledged-lost", host.number, f"block {display_hash(name)} is gone")
        work = self._work_of(host, host.ledger.tip)
        before = self._work.get(host.number, 0)
        if work < before:
            raise SafetyError("crash-work", host.number, f"work {work} after a crash, {before} before")
        self._work[host.number] = work

    def check(self, host: Host) -> None:
        """Walk a node from inside."""
        self.checks += 1
        try:
            host.node.check()
        except AssertionError as error:
            raise SafetyError("invariant", host.number, str(error)) from error
        tip = host.node.snapshot(host.clock.now).tip
        work, least = self._work_of(host, tip), self._work.get(host.number, 0)
        if work < least:
            raise SafetyError("tip-work", host.number, f"the node is at work {work} and had {least}")

    def _work_of(self, host: Host, tip: BlockHash) -> int:
        """The work of a chain, every block of which is judged once in the life of this checker."""
        unjudged: list[bytes] = []
        name = tip
        while name not in self._heights:
            [block] = host.ledger.read_blocks((name,))
            if block is None:
                raise SafetyError("body-missing", host.number, f"block {display_hash(name)} of the active chain")
            if double_sha256(block[:HEADER_BYTES]) != name:
                raise SafetyError("body-other", host.number, f"block {display_hash(name)} is another one")
            unjudged.append(block)
            name = BlockHash(_FIELDS.unpack_from(block)[1])
        for block in reversed(unjudged):
            self._judge(block, host.number)
        return (self._heights[tip] + 1) * WORK

    def _judge(self, block: bytes, host: int) -> None:
        """Admit a block whose parent was admitted."""
        header, body = block[:HEADER_BYTES], block[HEADER_BYTES:]
        name = BlockHash(double_sha256(header))
        _, previous, commitment, time, _ = _FIELDS.unpack(header)
        faults = {
            "work": int.from_bytes(name, "little") >= TARGET,
            "body": commitment != double_sha256(body),
            "mark": body.startswith(INVALID_MARK),
            "time": time <= self._times[previous],
        }
        broken = [rule for rule, holds in faults.items() if holds]
        if broken:
            where = f"block {display_hash(name)} breaks {', '.join(broken)}"
            raise SafetyError("invalid-block", host, f"{where} and is in the active chain")
        self._heights[name] = self._heights[previous] + 1
        self._times[name] = time
