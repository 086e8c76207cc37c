"""Makes maps of autonomous systems, as ``asmap.dat`` of Bitcoin Core has them, for tests."""

from __future__ import annotations

import ipaddress
from typing import Final

Bits = list[int]
Prefixes = dict[tuple[int, int], int]
"""By the first bits of an address and how many they are: the system."""
_CODES: Final = {
    "return": ((0,), 1, range(15, 25)),
    "jump": ((1, 0), 17, range(5, 31)),
    "match": ((1, 1, 0), 2, range(1, 9)),
    "default": ((1, 1, 1), 1, range(15, 25)),
}


def bits_of(value: int, count: int) -> Bits:
    """The last bits of a number, most significant first."""
    return [value >> at & 1 for at in range(count - 1, -1, -1)]


def instruction(name: str, number: int) -> Bits:
    """One instruction with its number."""
    kind, least, sizes = _CODES[name]
    head: Bits = []
    for size in sizes:
        if number - least < 1 << size:
            return [*kind, *head, *([] if size == sizes[-1] else [0]), *bits_of(number - least, size)]
        head.append(1)
        least += 1 << size
    raise AssertionError(f"{number} is too large for {name}")


def file_of(bits: Bits) -> bytes:
    """The bytes of a program: least significant bit first, padded by zeros."""
    padded = bits + [0] * (-len(bits) % 8)
    return bytes(
        sum(bit << at for at, bit in enumerate(padded[start : start + 8])) for start in range(0, len(padded), 8)
    )


def with_v4(table: dict[str, int]) -> Prefixes:
    """Prefixes by their texts."""
    found: Prefixes = {}
    for text, system in table.items():
        network = ipaddress.ip_network(text)
        value, bits, length = int(network.network_address), network.max_prefixlen, network.prefixlen
        value >>= bits - length
        found[(value, length) if bits == 128 else (0xFFFF << length | value, 96 + length)] = system
    return found


def encode(prefixes: Prefixes, *, defaults: bool = False) -> Bits:
    """A program that finds the longest prefix. ``defaults``: a prefix with others inside is set as the default first;
    without, it is answered wherever none of these holds."""
    return _encode(sorted(prefixes.items()), 0, 0, 0, 0, defaults=defaults)


Rows = list[tuple[tuple[int, int], int]]


def _encode(rows: Rows, value: int, length: int, here: int, default: int, *, defaults: bool) -> Bits:
    """For addresses that begin with ``length`` bits of ``value``: ``here`` is what holds for them all so far."""
    here = next((system for prefix, system in rows if prefix == (value, length)), here)
    rows = [row for row in rows if row[0][1] > length]
    if not rows:
        return instruction("return", here)
    head: Bits = []
    if defaults and here != default:
        head, default = instruction("default", here), here
    # Only what all prefixes inside share may be matched, and only if the rest is the default.
    shared = length
    while here == default and shared - length < 8 and _all_share(rows, shared + 1):
        shared += 1
    if shared > length:
        (first, bits), _ = rows[0]
        pattern = first >> (bits - shared)
        number = 1 << (shared - length) | pattern & ((1 << (shared - length)) - 1)
        rest = _encode(rows, pattern, shared, here, default, defaults=defaults)
        return head + instruction("match", number) + rest
    sides = []
    for side in (0, 1):
        inside = [row for row in rows if row[0][0] >> (row[0][1] - length - 1) == value << 1 | side]
        sides.append((inside, value << 1 | side))
    zero, one = (_side(inside, side, length + 1, here, default, defaults=defaults) for inside, side in sides)
    return head + instruction("jump", len(zero)) + zero + one


def _side(rows: Rows, value: int, length: int, here: int, default: int, *, defaults: bool) -> Bits:
    if rows or here:
        return _encode(rows, value, length, here, default, defaults=defaults)
    raise AssertionError("a side without any answer was matched away")


def _all_share(rows: Rows, length: int) -> bool:
    return (
        all(bits >= length for (_, bits), _ in rows)
        and len({first >> (bits - length) for (first, bits), _ in rows}) == 1
    )
