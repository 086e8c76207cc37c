"""What records add to what they carry, and the ladder of sizes that a padded link shows."""

from __future__ import annotations

from typing import Final

from ..base.limits import PAD_SMALLEST, RECORD_BODY_BYTES

TRAILER_BYTES: Final = 3
"""Behind data and padding in a record's body: u16 data length, u8 flags."""
RECORD_OVERHEAD: Final = 2 + 16 + 16
"""What a record adds to its body on the wire: its length, and two tags."""
DATA_BYTES: Final = RECORD_BODY_BYTES - TRAILER_BYTES
"""The most data that a record carries."""
FULL_RECORD: Final = RECORD_BODY_BYTES + RECORD_OVERHEAD
"""The largest record on the wire: 65,553 bytes."""
SMALLEST_RECORD: Final = TRAILER_BYTES + RECORD_OVERHEAD
"""A record that carries nothing: 37 bytes on the wire."""


def sealed_size(data: int) -> int:
    """Bytes on the wire of the fewest records that carry ``data`` bytes."""
    records = -(-data // DATA_BYTES)
    return data + records * SMALLEST_RECORD


def carried(wire: int) -> int:
    """The most data that ``wire`` bytes of whole records carry."""
    full, rest = divmod(wire, FULL_RECORD)
    return full * DATA_BYTES + max(0, rest - SMALLEST_RECORD)


def rungs() -> tuple[int, ...]:
    """The sizes of a last, or only, record on a padded link: powers of two from PAD_SMALLEST, then a full record."""
    sizes = []
    size = PAD_SMALLEST
    while size < FULL_RECORD // 2:
        sizes.append(size)
        size *= 2
    return (*sizes, FULL_RECORD)


LADDER: Final = rungs()


def rung(size: int) -> int:
    """The smallest rung of the ladder that holds ``size`` bytes of the wire; ``size`` is at most a full record."""
    return next(one for one in LADDER if one >= size)
