"""Bitcoin's transactions written down, part by part: what the parser's tests read back."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from obscura.base.cursor import compact_size


def serialised(
    version: int,
    inputs: Sequence[tuple[bytes, bytes, int]],
    outputs: Sequence[tuple[int, bytes]],
    witnesses: Sequence[Sequence[bytes]],
    lock_time: int,
) -> bytes:
    """The one form of these parts (BIP144): outpoint, script and sequence of each input, amount and script of each
    output, and a stack for each input where any has one."""
    marked = any(witnesses)
    parts = [struct.pack("<i", version), b"\0\1" if marked else b"", compact_size(len(inputs))]
    parts += [
        point + compact_size(len(script)) + script + struct.pack("<I", number) for point, script, number in inputs
    ]
    parts.append(compact_size(len(outputs)))
    parts += [struct.pack("<q", amount) + compact_size(len(script)) + script for amount, script in outputs]
    if marked:
        for stack in witnesses:
            parts += [compact_size(len(stack)), *(compact_size(len(item)) + item for item in stack)]
    return b"".join([*parts, struct.pack("<I", lock_time)])
