"""The arithmetic of records, and the ladder."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obscura.shaping.sizes import (
    DATA_BYTES,
    FULL_RECORD,
    LADDER,
    SMALLEST_RECORD,
    carried,
    rung,
    sealed_size,
)


def test_the_numbers_of_the_specification() -> None:
    assert (DATA_BYTES, FULL_RECORD, SMALLEST_RECORD) == (65_516, 65_553, 37)


@given(st.integers(0, 5_000_000))
def test_what_is_sealed_is_carried(data: int) -> None:
    assert carried(sealed_size(data)) == data


def test_the_ladder() -> None:
    assert LADDER == (256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_553)


@given(st.integers(1, FULL_RECORD))
def test_a_rung_holds_what_it_must_and_is_the_smallest(size: int) -> None:
    held = rung(size)
    assert held >= size
    assert all(one < size for one in LADDER if one < held)
    assert held <= max(256, 2 * size) or held == FULL_RECORD
