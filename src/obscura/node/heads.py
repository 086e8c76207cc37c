"""Headers of the frames of blocks, kept for the next peer that asks for the same block.

A frame's checksum costs as much as everything else that sending a block does. The body that belongs to a block's hash
does not change once the ledger has accepted it.
"""

from __future__ import annotations

from ..base.errors import BugError
from ..base.limits import FRAME_HEADS_KEPT
from ..base.names import BlockHash
from ..wire.blocks import Block
from ..wire.registry import encode_parts


class FrameHeads:
    """The last FRAME_HEADS_KEPT headers that were used."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[BlockHash, bytes] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def __contains__(self, block_hash: BlockHash) -> bool:
        return block_hash in self._heads

    def take(self, block_hash: BlockHash, block: bytes) -> bytes:
        """The header of the block's frame, made now if it is not kept.

        Raises:
            BugError: the ledger's block is larger than the protocol carries.
        """
        head = self._heads.pop(block_hash, None)
        if head is None:
            try:
                head, _ = encode_parts(Block(block))
            except ValueError as error:
                msg = "a stored block is larger than the protocol carries"
                raise BugError(msg) from error
            if len(self._heads) >= FRAME_HEADS_KEPT:
                del self._heads[next(iter(self._heads))]
        self._heads[block_hash] = head
        return head
