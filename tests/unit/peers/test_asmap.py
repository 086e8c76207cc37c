"""Maps of autonomous systems: what is looked up, against a plain table of prefixes, and what is refused."""

from __future__ import annotations

import hashlib
import ipaddress

import pytest
from asmaps import bits_of, encode, file_of, instruction, with_v4
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.limits import ASMAP_BYTES
from obscura.peers.asmap import ASMap, ASMapError

prefixes = st.integers(0, 128).flatmap(
    lambda length: st.tuples(st.integers(0, (1 << length) - 1), st.just(length), st.integers(1, 33_521_664))
)
near = st.integers(0, 12).flatmap(
    # Few bits below ::ffff:0:0/96, so that prefixes lie within prefixes.
    lambda length: st.tuples(
        st.integers(0, (1 << length) - 1).map(lambda value: 0xFFFF << length | value),
        st.just(96 + length),
        st.integers(1, 70_000),
    )
)
tables = st.lists(prefixes | near, min_size=1, max_size=30).map(
    lambda rows: {(value, length): system for value, length, system in rows}
)


def longest(table: dict[tuple[int, int], int], address: int) -> int:
    """What a plain table says."""
    for length in range(128, -1, -1):
        if (system := table.get((address >> (128 - length), length))) is not None:
            return system
    return 0


def lookup(asmap: ASMap, address: int) -> int:
    return asmap.lookup(address.to_bytes(16, "big"))


@given(tables, st.lists(st.integers(0, (1 << 128) - 1), max_size=10), st.booleans())
def test_a_look_up_finds_the_longest_prefix(
    table: dict[tuple[int, int], int], others: list[int], defaults: bool
) -> None:
    asmap = ASMap(file_of(encode(table, defaults=defaults)))
    edges = [value << (128 - length) for value, length in table]
    ends = [first + (1 << (128 - length)) for first, (_, length) in zip(edges, table, strict=True)]
    for address in (*edges, *(end - 1 for end in ends), *(end % (1 << 128) for end in ends), *others):
        assert lookup(asmap, address) == longest(table, address)
    assert len(asmap) <= 2 * len(table) + 1, "ranges, no more than there are"


def test_ipv4_is_mapped() -> None:
    asmap = ASMap(file_of(encode(with_v4({"20.0.0.0/8": 7, "20.1.0.0/16": 8, "2a00::/16": 9}))))
    for text, system in (("20.0.0.1", 7), ("20.1.255.255", 8), ("20.2.0.0", 7), ("21.0.0.0", 0)):
        assert asmap.lookup(bytes(10) + b"\xff\xff" + ipaddress.IPv4Address(text).packed) == system
    assert asmap.lookup(ipaddress.IPv6Address("2a00::1").packed) == 9
    assert asmap.lookup(ipaddress.IPv6Address("::20.1.0.1").packed) == 0


def test_it_is_named_by_its_content() -> None:
    one, other = (file_of(encode(with_v4({"20.0.0.0/8": system}))) for system in (1, 2))
    assert ASMap(one).digest == hashlib.sha256(one).digest() != ASMap(other).digest


@pytest.mark.parametrize("system", [1, 32_768, 32_769, 98_304, 98_305, 33_521_664])
def test_numbers_of_every_class(system: int) -> None:
    assert lookup(ASMap(file_of(instruction("return", system))), 5) == system


@pytest.mark.parametrize("length", range(1, 9))
def test_patterns_of_every_length(length: int) -> None:
    pattern = 0b1011_0010 >> (8 - length)
    asmap = ASMap(
        file_of(instruction("default", 3) + instruction("match", 1 << length | pattern) + instruction("return", 4))
    )
    for value in range(256):
        assert lookup(asmap, value << 120) == (4 if value >> (8 - length) == pattern else 3)


def test_the_files_bytes_are_read_from_their_lowest_bit() -> None:
    # RETURN is 0; the number 1 is in the first class, 0, and fifteen zeros.
    assert lookup(ASMap(bytes(3)), 0) == 1
    # JUMP 1 0, class 0, five bits of 0: 17 bits on 1, which is one RETURN of 17 bits; then RETURN 2.
    jump = [*bits_of(0b10, 2), 0, *bits_of(0, 5)]
    data = file_of(jump + [0] * 17 + [0, 0] + bits_of(1, 15))
    assert [lookup(ASMap(data), address) for address in (0, 1 << 127)] == [1, 2]


RETURN = instruction("return", 1)


@pytest.mark.parametrize(
    ("bits", "why"),
    [
        ([], "ends within"),
        (RETURN[:-1], "ends within"),
        (instruction("match", 2), "ends within"),
        (instruction("default", 1), "ends within"),
        (RETURN + [0] * 8, "goes on after"),
        (RETURN + RETURN, "goes on after"),
        ([*RETURN, 1], "goes on after"),
        (instruction("jump", len(RETURN)) + RETURN, "ends within"),
        (instruction("jump", len(RETURN) + 6) + RETURN, "never reached"),
        (instruction("jump", len(RETURN) + 7) + RETURN, "leads too far"),
        (instruction("jump", 5_000) + RETURN * 3, "leads too far"),
        (instruction("jump", len(RETURN) + 1) + RETURN + [0] + RETURN, "never reached"),
        (instruction("jump", len(RETURN) + 1) + RETURN * 3, "never reached"),
        (instruction("jump", 17) + instruction("match", 300) + RETURN * 3, "runs into another"),
        (instruction("jump", 40) + instruction("jump", 50) + RETURN * 6, "leads too far"),
        (instruction("match", 256) * 16 + instruction("match", 2) + RETURN, "more bits"),
        (instruction("match", 256) * 16 + instruction("jump", len(RETURN)) + RETURN * 2, "more bits"),
    ],
)
def test_what_is_no_map_is_refused(bits: list[int], why: str) -> None:
    with pytest.raises(ASMapError, match=f"no map of autonomous systems .*{why}"):
        ASMap(_padded(bits))


def _padded(bits: list[int]) -> bytes:
    data = file_of(bits)
    # What is too short must not become long enough by the padding.
    return data if len(bits) % 8 == 0 or len(bits) > len(RETURN) else data[: len(bits) // 8]


def test_the_most_bits_that_a_path_may_take() -> None:
    whole = instruction("match", 256) * 16 + instruction("return", 5)
    asmap = ASMap(file_of(whole))
    assert [lookup(asmap, address) for address in (0, 1)] == [5, 0]
    last = instruction("match", 256) * 15 + instruction("match", 128)
    both = instruction("jump", len(RETURN)) + RETURN + instruction("return", 5)
    asmap = ASMap(file_of(last + both))
    assert [lookup(asmap, address) for address in (0, 1, 2)] == [1, 5, 0]


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(ASMapError, match=r"4,000,001 bytes; no map is larger"):
        ASMap(bytes(ASMAP_BYTES + 1))
    with pytest.raises(ASMapError, match="goes on after"):
        ASMap(bytes(ASMAP_BYTES))


@given(st.binary(max_size=60))
def test_whatever_it_is_it_is_refused_or_answers(data: bytes) -> None:
    try:
        asmap = ASMap(data)
    except ASMapError:
        return
    for address in (0, 1 << 127, (1 << 128) - 1, 0xFFFF << 32):
        assert 0 <= lookup(asmap, address) <= 33_521_664
