"""Cursor, randomness, instants, names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.cursor import Reader, Writer, compact_size
from obscura.base.errors import LocalError, Malformed, PeerFault, Violation
from obscura.base.instant import Duration, Instant, after, earliest, minutes, seconds
from obscura.base.names import TxId, display_hash, parse_display_hash
from obscura.base.randomness import Chance

FROZEN = (3002177973326584918, 14646823360921242486, 7029966925994505570)
"""Draws of seeds 1 and 2 and of a fork."""


class TestCursor:
    @given(st.integers(0, (1 << 64) - 1))
    def test_compact_size_round_trip(self, value: int) -> None:
        reader = Reader(compact_size(value))
        assert reader.compact_size() == value
        reader.finish()

    @pytest.mark.parametrize("raw", ["fdfc00", "fd0000", "feffff0000", "ffffffffff00000000"])
    def test_longer_forms_are_refused(self, raw: str) -> None:
        with pytest.raises(Malformed) as caught:
            Reader(bytes.fromhex(raw)).compact_size()
        assert caught.value.rule == "count-not-minimal"

    def test_exact_reads(self) -> None:
        data = Writer().u8(1).u16(2).u16_be(3).u32(4).u64(5).put(b"xy").compact_size(300).done()
        reader = Reader(data)
        assert [reader.u8(), reader.u16(), reader.u16_be(), reader.u32(), reader.u64()] == [1, 2, 3, 4, 5]
        assert reader.take(2) == b"xy"
        assert reader.compact_size() == 300
        reader.finish()
        for cut in range(len(data)):
            short = Reader(data[:cut])
            with pytest.raises(Malformed):
                short.u8(), short.u16(), short.u16_be(), short.u32(), short.u64(), short.take(2), short.compact_size()

    def test_leftovers(self) -> None:
        with pytest.raises(Malformed, match="payload-leftover"):
            Reader(b"x").finish()


class TestChance:
    def test_the_stream_is_frozen(self) -> None:
        # A change here breaks every recorded seed.
        chance = Chance.from_seed(1)
        chance.take_bytes(8)
        assert (chance.u64(), Chance.from_seed(2).u64(), chance.fork("a").u64()) == FROZEN

    def test_forks_do_not_depend_on_draws(self) -> None:
        one, other = Chance.from_seed(3), Chance.from_seed(3)
        one.take_bytes(1000)
        assert one.fork("x").u64() == other.fork("x").u64() != other.fork("y").u64()

    @given(st.lists(st.integers(0, 200), max_size=20))
    def test_the_stream_does_not_depend_on_the_cuts(self, cuts: list[int]) -> None:
        chance = Chance.from_seed(4)
        assert b"".join(chance.take_bytes(cut) for cut in cuts) == Chance.from_seed(4).take_bytes(sum(cuts))

    def test_draws_are_fair(self) -> None:
        chance = Chance.from_seed(5)
        counts = [0] * 7
        for _ in range(14_000):
            counts[chance.below(7)] += 1
        assert all(1_800 < count < 2_200 for count in counts)
        draws = [chance.exponential(seconds(1)) for _ in range(20_000)]
        assert 0.97 < sum(draws) / len(draws) / 1e6 < 1.03
        assert all(0 <= chance.uniform() < 1 for _ in range(1_000))
        assert {chance.span(Duration(3), Duration(5)) for _ in range(200)} == {3, 4, 5}
        shuffled = list(range(50))
        chance.shuffle(shuffled)
        assert sorted(shuffled) == list(range(50)) != shuffled
        assert len(set(chance.sample(range(10), 4))) == 4
        assert sorted(chance.sample("ab", 5)) == ["a", "b"]

    def test_every_order_is_as_likely(self) -> None:
        chance = Chance.from_seed(6)
        counts: dict[tuple[int, ...], int] = {}
        for _ in range(12_000):
            order = [0, 1, 2]
            chance.shuffle(order)
            counts[tuple(order)] = counts.get(tuple(order), 0) + 1
        assert len(counts) == 6
        assert all(1_850 < count < 2_150 for count in counts.values())

    def test_a_bound_that_wraps_is_fair(self) -> None:
        # Two thirds of 2**64: a plain remainder would make the lower half twice as likely.
        bound = (1 << 65) // 3
        chance = Chance.from_seed(7)
        low = sum(chance.below(bound) < bound // 2 for _ in range(4_000))
        assert 1_850 < low < 2_150

    def test_streams_of_a_family_have_nothing_in_common(self) -> None:
        root = Chance.from_seed(8)
        family = [root, *(root.fork(str(number)) for number in range(50)), root.fork("a").fork("b"), root.fork("b")]
        draws = [stream.u64() for stream in family for _ in range(8)]
        assert len(set(draws)) == len(draws)

    def test_bad_use(self) -> None:
        with pytest.raises(ValueError, match="16"):
            Chance(b"short")
        with pytest.raises(ValueError, match="below"):
            Chance.from_seed(1).below(0)


def test_names() -> None:
    assert repr(TxId(b"\x01" * 32)) == str(TxId(b"\x01" * 32)) == "TxId(redacted)"
    assert "01" not in f"{TxId(bytes([1]) * 32)}"
    assert TxId(b"\x01" * 31 + b"\x02").reveal().startswith("02")
    raw = bytes(range(32))
    assert parse_display_hash(display_hash(raw)) == raw
    with pytest.raises(ValueError, match="64"):
        parse_display_hash("00")


def test_earliest() -> None:
    assert earliest(None, Instant(3), Instant(2)) == 2
    assert earliest(None) is None


def test_instants() -> None:
    assert seconds(0.0000015) == 2
    assert minutes(2) == 120_000_000
    assert after(Instant(5), seconds(1)) == 1_000_005


def test_faults_say_their_rule() -> None:
    fault = Malformed("checksum-wrong", "inv of 3 bytes")
    assert (fault.rule, fault.detail, str(fault)) == (
        "checksum-wrong",
        "inv of 3 bytes",
        "checksum-wrong: inv of 3 bytes",
    )
    assert str(Violation("wrong-phase")) == "wrong-phase"
    assert not issubclass(PeerFault, LocalError), "whose mistake it was must never be mixed up"
    assert not issubclass(LocalError, PeerFault)
