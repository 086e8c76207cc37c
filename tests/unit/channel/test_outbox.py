"""What waits to be sealed comes out in order, however it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obscura.channel.outbox import Outbox


@given(st.lists(st.binary(max_size=40), max_size=12), st.lists(st.integers(1, 60), min_size=1, max_size=60))
def test_any_pieces_in_any_cut(pieces: list[bytes], cuts: list[int]) -> None:
    outbox, taken = Outbox(), b""
    for at, piece in enumerate(pieces):
        outbox.put([piece])
        length = min(cuts[at % len(cuts)], outbox.size)
        taken += b"".join(outbox.take(length))
    taken += b"".join(outbox.take(outbox.size))
    assert taken == b"".join(pieces)
    assert outbox.size == 0
    assert outbox.take(0) == []


def test_large_pieces_are_not_copied() -> None:
    outbox, piece = Outbox(), bytes(1_000)
    outbox.put([piece])
    [first] = outbox.take(600)
    assert isinstance(first, memoryview)
    assert first.obj is piece
    outbox.clear()
    assert outbox.size == 0
