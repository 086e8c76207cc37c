"""Frames, and the one table of messages."""

from __future__ import annotations

import re

import other_wire
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from obscura.base import limits
from obscura.base.errors import Violation
from obscura.wire.blocks import DandelionTx, Tx
from obscura.wire.features import NO_FEATURES, STEMS, Feature, FeatureSet, PrivacyFeature
from obscura.wire.frame import HEADER_SIZE, check_type_field, checksum, encode_frame, parse_header, type_field
from obscura.wire.registry import (
    BY_MESSAGE,
    BY_TYPE_FIELD,
    FIELD_OF,
    REGISTRY,
    UNKNOWN_SIZE_MAX,
    Direction,
    MessageClass,
    Phase,
)

LEGAL = re.compile(rb"[!-~]{1,12}\0*")
printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)


@given(st.one_of(st.binary(min_size=12, max_size=12), printable.map(lambda name: name.encode().ljust(12, b"\0"))))
@example(bytes(12))
@example(b"inv\0v\0\0\0\0\0\0\0")
@example(b"\0inv\0\0\0\0\0\0\0\0")
@example(b"a" * 12)
@example(b"in v\0\0\0\0\0\0\0\0")
@example(b"\x7f".ljust(12, b"\0"))
def test_a_type_field_is_printable_then_zeros(field: bytes) -> None:
    if LEGAL.fullmatch(field):
        check_type_field(field)
        return
    with pytest.raises(Violation) as caught:
        check_type_field(field)
    after_nul = b"\0" in field.rstrip(b"\0")
    assert caught.value.rule == ("type-after-nul" if after_nul else "type-unprintable")


@given(printable, st.binary(max_size=200), st.binary(max_size=30))
def test_a_frame_reads_back_at_any_offset(name: str, payload: bytes, before: bytes) -> None:
    whole = encode_frame(type_field(name), payload)
    assert whole == other_wire.frame(name, payload)
    assert len(whole) == HEADER_SIZE + len(payload)
    assert parse_header(before + whole, len(before)) == (len(payload), type_field(name), checksum(payload))


@given(st.binary(min_size=1, max_size=60), st.data())
def test_every_flipped_bit_of_a_payload_changes_the_checksum(payload: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(payload) * 8 - 1))
    flipped = bytearray(payload)
    flipped[at // 8] ^= 1 << at % 8
    assert checksum(flipped) != checksum(payload)


@pytest.mark.parametrize("name", ["", "a" * 13, "a b", "a\0", "a\x7f"])
def test_names_that_cannot_be_types(name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        type_field(name)


def test_the_table_is_consistent() -> None:
    assert len(REGISTRY) == len(BY_TYPE_FIELD) == len(BY_MESSAGE) == len(FIELD_OF) == 16
    for row in REGISTRY:
        field = FIELD_OF[row.message]
        assert BY_TYPE_FIELD[field] is BY_MESSAGE[row.message] is row
        assert field == row.name.encode().ljust(12, b"\0")
        assert 0 <= row.size_max <= UNKNOWN_SIZE_MAX
        assert (row.message_class is MessageClass.CORE) == (row.needs == NO_FEATURES), "what is core needs no bit"
    assert {row.name for row in REGISTRY if row.phase is Phase.GREETING} == {"version", "verack"}
    assert {row.name for row in REGISTRY if row.direction is not Direction.BOTH} == {"getaddr", "dandeliontx"}
    assert {row.name for row in REGISTRY if row.price == 0} == {"block", "headers", "tx"}, "unasked ones are priced"
    early = [row for row in REGISTRY if row.phase is Phase.GREETING]
    assert all(row.size_max <= limits.PRE_HANDSHAKE_BYTES for row in early)


@given(*[st.integers(0, (1 << 32) - 1)] * 4)
def test_in_force_is_what_both_have(a: int, b: int, c: int, d: int) -> None:
    one, other = FeatureSet(a, b), FeatureSet(c, d)
    assert one.common(other) == other.common(one) == FeatureSet(a & c, b & d)
    assert one.common(one) == one
    assert one.common(NO_FEATURES) == NO_FEATURES


def test_a_stem_needs_three_bits_and_encryption() -> None:
    row = BY_MESSAGE[DandelionTx]
    assert row.is_served(STEMS, secured=True)
    assert not row.is_served(STEMS, secured=False)
    for bit in (Feature.BASIC_TRANSACTIONS, Feature.DANDELION):
        assert not row.is_served(FeatureSet(STEMS.features & ~bit, STEMS.privacy), secured=True)
    assert not row.is_served(FeatureSet(STEMS.features, PrivacyFeature.NONE), secured=True)
    assert row.is_served(FeatureSet(0xFFFF_FFFF, 0xFFFF_FFFF), secured=True)


def test_what_is_in_stem_does_not_show() -> None:
    assert repr(DandelionTx(b"secret")) == "DandelionTx(redacted)"
    assert repr(Tx(b"secret")) == "Tx(redacted)"
    assert DandelionTx(b"same") != Tx(b"same")
