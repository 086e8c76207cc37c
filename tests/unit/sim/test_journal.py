"""The journal: one hash for one run."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from obscura.sim.journal import Journal, Kind, first_difference

ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 1 << 40),
        st.integers(0, 1_000),
        st.sampled_from(Kind),
        st.integers(0, 1 << 40),
        st.integers(0, 1 << 40),
        st.sampled_from((b"", bytes(32), b"\1" * 32)),
    ),
    max_size=8,
)
Entry = tuple[int, int, Kind, int, int, bytes]


def journal(entries: list[Entry], *, keep_lines: bool = False) -> Journal:
    made = Journal(keep_lines=keep_lines)
    for entry in entries:
        made.note(*entry)
    return made


@given(ENTRIES, ENTRIES)
def test_the_hash_tells_runs_apart(one: list[Entry], other: list[Entry]) -> None:
    assert (journal(one).digest() == journal(other).digest()) == (one == other)
    left, right = journal(one, keep_lines=True), journal(other, keep_lines=True)
    assert left.digest() == journal(one).digest()
    assert left.lines is not None
    assert right.lines is not None
    assert (first_difference(left.lines, right.lines) is None) == (one == other)


def test_asking_for_the_hash_does_not_change_it() -> None:
    many = [(number, 1, Kind.SEND, number, 7, b"") for number in range(10_000)]
    plain = journal(many)
    asked = Journal()
    for entry in many:
        asked.note(*entry)
        if entry[0] % 1_000 == 0:
            asked.digest()
    assert asked.digest() == plain.digest() == plain.digest()
    assert plain.entries == 10_000


def test_the_layout_is_fixed() -> None:
    """Recorded hashes stay comparable: little-endian time u64, host u32, kind u8, two u64, tip."""
    made = journal([(1, 2, Kind.TIP, 3, 4, b"\5" * 32)])
    entry = bytes.fromhex("0100000000000000 02000000 10 0300000000000000 0400000000000000") + b"\5" * 32
    assert made.digest() == hashlib.sha256(entry).hexdigest()
