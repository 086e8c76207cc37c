"""What a recorder sees of 10,000 handshakes: no fixed byte, no fixed length, every position uniform."""

from __future__ import annotations

import math
import os

import pytest
from pair import START, make_version
from veil import GENESIS, PRIVATE, STATIC

from obscura.base.limits import GARBAGE_BYTES
from obscura.base.randomness import Chance
from obscura.channel import Channel, Role
from obscura.crypto.elligator import public_of
from obscura.crypto.keysource import PooledKeys
from obscura.node.vault import Vault
from obscura.wire.identity import KeyClass
from obscura.wire.target import Mode

HANDSHAKES = 10_000
OVERALL = 0.001
M2_TAIL = 16 + 48 + 1_200
M3 = 16 + 1_104
RECORD = 18 + 3 + 16


class System:
    def token(self, length: int) -> bytes:
        return os.urandom(length)


def tail(chi_squared: float, freedom: int) -> float:
    """P(X > chi_squared), by Wilson and Hilferty's cube root (1931); good to a few percent far out in the tail."""
    shrink = 2 / (9 * freedom)
    z = ((chi_squared / freedom) ** (1 / 3) - (1 - shrink)) / math.sqrt(shrink)
    return math.erfc(z / math.sqrt(2)) / 2


def uneven(counts: dict[object, list[int]]) -> list[object]:
    """The positions whose bytes are not uniform: chi-squared, Holm's correction."""
    chances: list[tuple[float, object]] = []
    for position, row in counts.items():
        expected = sum(row) / 256
        chances.append((tail(sum((count - expected) ** 2 for count in row) / expected, 255), position))
    chances.sort(key=lambda pair: pair[0])
    rejected = []
    for rank, (chance, position) in enumerate(chances):
        if chance > OVERALL / (len(chances) - rank):
            break
        rejected.append(position)
    return rejected


class Recorder:
    """Counts bytes by their place."""

    def __init__(self) -> None:
        self.counts: dict[object, list[int]] = {}
        self.lengths: dict[str, set[int]] = {}

    def note(self, name: str, data: bytes, *, first: int = 0, last: int = 0) -> None:
        """The first and the last bytes of a flight; in between stands garbage of any length."""
        self.lengths.setdefault(name, set()).add(len(data))
        for side, part in (("first", data[:first]), ("last", data[len(data) - last :])):
            for at, byte in enumerate(part):
                self.counts.setdefault((name, side, at), [0] * 256)[byte] += 1


def record(handshakes: int) -> Recorder:
    recorder = Recorder()
    chance = Chance(os.urandom(32))
    vault = Vault(keys=PooledKeys(System(), 0), statics={KeyClass.CLEARNET: STATIC})
    dialler = Vault(keys=PooledKeys(System(), 0))
    for number in range(handshakes):
        fork = chance.fork(str(number))
        one = dialler.dial(GENESIS, Mode.VEILED, fork.fork("i"), START, pin=None, secret=None)  # type: ignore[arg-type]
        other = vault.accept(GENESIS, Mode.VEILED, KeyClass.CLEARNET, fork.fork("r"), START)  # type: ignore[arg-type]
        initiator = Channel(Role.INITIATOR, make_version(1, PRIVATE), lambda _: False, fork, START, one)
        responder = Channel(Role.RESPONDER, make_version(2, PRIVATE), lambda _: False, fork, START, other)
        m1 = initiator.take_data(START)
        responder.receive_data(m1, START)
        responder.answer()
        m2 = responder.take_data(START)
        initiator.receive_data(m2, START)
        m3 = initiator.take_data(START)
        responder.receive_data(m3, START)
        assert responder.next_event(START) is None
        back = responder.take_data(START)
        recorder.note("M1", m1, first=32)
        recorder.note("M2", m2, first=32, last=M2_TAIL)
        recorder.note("M3", m3, first=M3 + RECORD)
        recorder.note("first records back", back, first=RECORD)
    return recorder


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_position_is_uniform() -> None:
    """Four flights, from both ends; 2,500 positions. An honest run fails once in a thousand."""
    seen = record(HANDSHAKES)
    assert len(seen.counts) == 32 + 32 + M2_TAIL + M3 + RECORD + RECORD
    assert uneven(seen.counts) == []
    for name, fixed in (("M1", 32), ("M2", 32 + M2_TAIL)):
        lengths = seen.lengths[name]
        assert min(lengths) >= fixed
        assert max(lengths) <= fixed + GARBAGE_BYTES
        # Ten thousand draws of 4,096 lengths leave out one of eleven.
        assert len(lengths) > 3_500


def test_what_it_would_notice() -> None:
    """A bit that is fixed, points instead of representatives, a byte that is twice as frequent as it should be."""
    chance = Chance.from_seed(4)
    rows: dict[object, list[int]] = {at: [0] * 256 for at in range(300)}
    for _ in range(3_000):
        drawn = bytearray(chance.take_bytes(300))
        drawn[7] &= 0x7F
        if drawn[50] == 9 or chance.below(256) == 0:
            drawn[50] = 9
        drawn[100] = public_of(bytes(chance.take_bytes(32)))[31]
        for at, byte in enumerate(drawn):
            rows[at][byte] += 1
    found = uneven(rows)
    assert 7 in found
    assert 100 in found
    assert set(found) <= {7, 50, 100}


def test_the_tail_is_right() -> None:
    # Tables of the chi-squared distribution: 255 degrees of freedom, and 10.
    for value, freedom, chance in ((293.25, 255, 0.05), (310.46, 255, 0.01), (29.588, 10, 0.001), (330.52, 255, 0.001)):
        assert abs(tail(value, freedom) / chance - 1) < 0.07
