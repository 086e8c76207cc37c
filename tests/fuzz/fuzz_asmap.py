"""A map of autonomous systems is refused by ASMapError, or every address has one answer, that of the program itself."""

from __future__ import annotations

from collections.abc import Iterator

from asmaps import Bits, encode, file_of, instruction, with_v4

from obscura.peers.asmap import ASMap, ASMapError

MAX_LEN = 1_000
REACHES = (
    "peers.asmap.ASMap._note",
    "peers.asmap.ASMap._walk",
    "peers.asmap.ASMap.lookup",
    "peers.asmap._damaged",
    "peers.asmap._instruction",
)
_CLASSES = {"return": (1, range(15, 25)), "jump": (17, range(5, 31)), "match": (2, range(1, 9))}


def run(data: bytes) -> None:
    """The whole input is a file."""
    try:
        asmap = ASMap(data)
    except ASMapError as error:
        assert "bit" in str(error), "an operator is told where it goes wrong"
        return
    assert 0 < len(asmap) <= 8 * len(data), "no more ranges than the file can tell apart"
    bits = [byte >> at & 1 for byte in data for at in range(8)]
    addresses = [0, (1 << 128) - 1, 0xFFFF << 32, 1 << 127]
    addresses += [int.from_bytes((data * 16)[at : at + 16], "big") for at in range(min(len(data), 6))]
    for high, low in zip(asmap._highs, asmap._lows, strict=True):
        first = high << 64 | low
        addresses += [first, max(0, first - 1)]
    for address in addresses[:200]:
        assert asmap.lookup(address.to_bytes(16, "big")) == interpret(bits, address)


def interpret(bits: Bits, address: int) -> int:
    """What the program itself answers: it is run bit by bit."""
    at, taken, default = 0, 0, 0

    def bit() -> int:
        nonlocal at
        at += 1
        return bits[at - 1]

    def number(name: str) -> int:
        least, sizes = _CLASSES[name]
        for size in sizes:
            if size == sizes[-1] or not bit():
                break
            least += 1 << size
        return least + sum(bit() << place for place in range(size - 1, -1, -1))

    def next_of_address() -> int:
        nonlocal taken
        taken += 1
        return address >> (128 - taken) & 1

    while True:
        if not bit():
            return number("return")
        if not bit():
            offset = number("jump")
            at += offset if next_of_address() else 0
        elif not bit():
            pattern = number("match")
            for place in range(pattern.bit_length() - 2, -1, -1):
                if next_of_address() != pattern >> place & 1:
                    return default
        else:
            default = number("return")


def seeds() -> Iterator[bytes]:
    """Maps of some prefixes, and programs that break each of the rules."""
    one = instruction("return", 1)
    tables = (
        {"20.0.0.0/8": 7},
        {"20.0.0.0/8": 7, "20.1.0.0/16": 40_000, "20.1.7.0/24": 3, "2a00::/16": 9, "2a00:1::/32": 33_000_000},
        {"0.0.0.0/1": 1, "128.0.0.0/1": 2, "::/1": 3, "8000::/1": 4},
        {"::/0": 5, "20.1.2.3/32": 6},
    )
    for table in tables:
        for defaults in (False, True):
            yield file_of(encode(with_v4(table), defaults=defaults))
    yield file_of(one)
    yield file_of(one + [0] * 8)
    yield file_of([*one, 1])
    yield file_of(instruction("jump", len(one)) + one + one)
    yield file_of(instruction("jump", len(one) + 1) + one * 3)
    yield file_of(instruction("jump", 5_000) + one * 3)
    yield file_of(instruction("jump", 17) + instruction("match", 300) + one * 3)
    yield file_of(instruction("jump", 40) + instruction("jump", 50) + one * 6)
    yield file_of(instruction("match", 256) * 16 + one)
    yield file_of(instruction("match", 256) * 16 + instruction("match", 2) + one)
    yield file_of(instruction("match", 256) * 16 + instruction("jump", len(one)) + one * 2)
    yield file_of(instruction("default", 70_000) + instruction("match", 5) + one)
