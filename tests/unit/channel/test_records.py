"""Records: their form against a second implementation, any cut, rekeying, and whatever is not a record."""

from __future__ import annotations

import other_veil
import pytest

from obscura.base.errors import BugError, PeerFault
from obscura.base.instant import Instant
from obscura.base.limits import RECORD_BODY_BYTES, RECORDS_PER_KEY, RECORDS_UNREKEYED, REKEY_AFTER
from obscura.base.randomness import Chance
from obscura.channel.records import RecordOpener, RecordSealer
from obscura.crypto.cipher import CipherState
from obscura.shaping import Traffic
from obscura.shaping.sizes import DATA_BYTES, RECORD_OVERHEAD

KEY = bytes(range(32))
NOW = Instant(1_000_000)


def sealer() -> RecordSealer:
    return RecordSealer(CipherState(KEY), NOW)


def opener() -> RecordOpener:
    return RecordOpener(CipherState(KEY))


def sealed(one: RecordSealer, data: bytes, body: int, now: Instant) -> bytes:
    """A record in one piece; its data were given in two."""
    pieces = [data[:3], memoryview(data)[3:]] if data else []
    return b"".join(one.seal(pieces, body, now))


def failed(other: RecordOpener, stream: bytes) -> str | None:
    """The rule that a stream breaks; nothing is opened afterwards."""
    other.open(stream)
    assert other.open(bytes(18)) == []
    return None if other.fault is None else other.fault.rule


def raw(body: bytes, n: int = 0, length: int | None = None) -> bytes:
    """A sealed record of any body."""
    aead = other_veil.ChaCha20Poly1305(KEY)
    head = (len(body) if length is None else length).to_bytes(2, "little")
    return aead.encrypt(other_veil.nonce(n), head, None) + aead.encrypt(other_veil.nonce(n + 1), body, None)


@pytest.mark.parametrize(
    ("data", "body"), [(b"", 3), (b"x", 4), (b"some data", 12), (b"some data", 300), (b"z" * DATA_BYTES, 65_519)]
)
def test_the_form(data: bytes, body: int) -> None:
    record = sealed(sealer(), data, body, NOW)
    assert record == other_veil.record(KEY, 0, data, body)
    assert len(record) == body + RECORD_OVERHEAD
    assert b"".join(opener().open(record)) == data


def test_counters_go_on() -> None:
    one = sealer()
    stream = b"".join(sealed(one, bytes([at]) * at, at + 10, NOW) for at in range(5))
    assert stream == b"".join(other_veil.record(KEY, 2 * at, bytes([at]) * at, at + 10) for at in range(5))


def test_any_cut() -> None:
    one = sealer()
    datas = [b"", b"a", b"b" * 300, b"", b"c" * 5_000, b"d" * DATA_BYTES, b"e"]
    stream = b"".join(
        sealed(one, data, min(len(data) + 3 + 7 * at, RECORD_BODY_BYTES), NOW) for at, data in enumerate(datas)
    )
    chance = Chance.from_seed(3)
    for largest in (1, 17, 18, 19, 4_000, len(stream)):
        other, got, at = opener(), b"", 0
        while at < len(stream):
            step = 1 + chance.below(largest)
            got += b"".join(other.open(stream[at : at + step]))
            assert other.buffered < RECORD_BODY_BYTES + RECORD_OVERHEAD
            at += step
        assert got == b"".join(datas)
        assert other.buffered == 0
        assert other.traffic.decoy == (3 + RECORD_OVERHEAD) + (3 + 7 * 3 + RECORD_OVERHEAD)


def test_padding_and_decoys_are_counted() -> None:
    one, other = sealer(), opener()
    assert other.open(sealed(one, b"", 100, NOW) + sealed(one, b"abc", 50, NOW)) == [b"abc"]
    assert one.traffic == other.traffic == Traffic(real=3, padding=44, decoy=100 + RECORD_OVERHEAD)


@pytest.mark.parametrize(("data", "body"), [(b"", 2), (b"x", 3), (b"", 65_520), (b"z" * (DATA_BYTES + 1), 65_519)])
def test_what_does_not_fit_is_a_defect(data: bytes, body: int) -> None:
    with pytest.raises(BugError):
        sealed(sealer(), data, body, NOW)


class TestFaults:
    def test_every_flipped_bit_of_a_record(self) -> None:
        record = sealed(sealer(), b"data", 20, NOW)
        for bit in range(8 * len(record)):
            wrong = bytearray(record)
            wrong[bit // 8] ^= 1 << bit % 8
            assert failed(opener(), bytes(wrong)) == "tag-wrong"

    def test_replayed_swapped_and_left_out(self) -> None:
        one = sealer()
        first, second = sealed(one, b"first", 20, NOW), sealed(one, b"second", 20, NOW)
        for stream in (first + first, second + first, second):
            assert failed(opener(), stream) == "tag-wrong"

    def test_what_was_good_before_is_returned(self) -> None:
        one, other = sealer(), opener()
        good = sealed(one, b"first", 20, NOW) + sealed(one, b"second", 20, NOW)
        assert other.open(good + bytes(18)) == [b"first", b"second"]
        assert other.fault is not None
        assert other.buffered == 0

    @pytest.mark.parametrize("length", [0, 1, 2, 65_520, 65_535])
    def test_lengths_that_no_record_has(self, length: int) -> None:
        assert failed(opener(), raw(b"", length=length)[:18]) == "record-malformed"

    @pytest.mark.parametrize(
        "body",
        [
            b"\x01\x00\x00",  # one byte of data in a body that has none
            b"abc\xff\xff\x00",
            b"abc\x03\x00\x02",  # flags
            b"abc\x03\x00\x80",
            b"abc\x02\x00\x00",  # padding that is not zero
            b"\x00" * 9 + b"\x01" + b"\x00\x00\x00",
        ],
    )
    def test_bodies_that_break_the_form(self, body: bytes) -> None:
        assert failed(opener(), raw(body)) == "record-malformed"

    def test_a_body_is_not_opened_before_it_is_whole(self) -> None:
        record = sealed(sealer(), b"data", 4_000, NOW)
        other = opener()
        wrong = record[:18] + bytes(len(record) - 18)
        assert other.open(wrong[:-1]) == []
        assert failed(other, wrong[-1:]) == "tag-wrong"


class TestRekeying:
    def test_after_so_many_records(self) -> None:
        one, other = sealer(), opener()
        for _ in range(RECORDS_PER_KEY - 1):
            other.open(sealed(one, b"", 3, NOW))
        last = sealed(one, b"last", 7, NOW)
        assert last == other_veil.record(KEY, 2 * (RECORDS_PER_KEY - 1), b"last", 7, flags=1)
        assert other.open(last) == [b"last"]
        new = sealed(one, b"new", 6, NOW)
        assert new == other_veil.record(other_veil.rekeyed(KEY), 0, b"new", 6)
        assert other.open(new) == [b"new"]

    def test_after_some_time(self) -> None:
        one, other = sealer(), opener()
        early = sealed(one, b"early", 8, Instant(NOW + REKEY_AFTER - 1))
        due = sealed(one, b"due", 6, Instant(NOW + REKEY_AFTER))
        assert early == other_veil.record(KEY, 0, b"early", 8)
        assert due == other_veil.record(KEY, 2, b"due", 6, flags=1)
        then = sealed(one, b"then", 7, Instant(NOW + REKEY_AFTER + 1))
        assert then == other_veil.record(other_veil.rekeyed(KEY), 0, b"then", 7)
        assert other.open(early + due + then) == [b"early", b"due", b"then"]

    def test_the_past_stays_closed(self) -> None:
        """Who takes the keys of both sides after a rekeying cannot open what was recorded before."""
        one, other = sealer(), opener()
        before = sealed(one, b"before", 20, Instant(NOW + REKEY_AFTER))
        other.open(before)
        for holder in (one, other):
            seized = CipherState(holder._cipher._key)
            with pytest.raises(PeerFault):
                seized.open(before[:18])
            assert KEY not in (seized._key, other_veil.rekeyed(seized._key))

    def test_a_sender_that_never_does_it(self) -> None:
        other = opener()
        aead = other_veil.ChaCha20Poly1305(KEY)
        other._records = RECORDS_UNREKEYED - 1  # a million records take two seconds; the rest is the same
        first = raw(b"\0\0\0")
        assert other.open(first) == []
        second = aead.encrypt(other_veil.nonce(2), b"\3\0", None) + aead.encrypt(other_veil.nonce(3), b"\0\0\0", None)
        assert failed(other, second) == "rekey-overdue"


def test_forgotten_keys() -> None:
    one, other = sealer(), opener()
    other.open(b"x" * 5)
    one.forget()
    other.forget()
    assert other.buffered == 0
    with pytest.raises(BugError):
        sealed(one, b"", 3, NOW)
    with pytest.raises(BugError):
        other.open(bytes(18))
