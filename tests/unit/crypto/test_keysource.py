"""Pools of single-use keys."""

from __future__ import annotations

from obscura.base.limits import HANDSHAKE_POOL
from obscura.crypto.kem import encapsulate
from obscura.crypto.keysource import PooledKeys


class Zeros:
    def token(self, length: int) -> bytes:
        return bytes(length)


def test_pools_fill_up_to_their_size_and_no_further() -> None:
    keys = PooledKeys(Zeros())
    made = 0
    while not keys.is_full:
        keys.fill_one()
        made += 1
    assert made == 2 * HANDSHAKE_POOL
    keys.fill_one()
    assert repr(keys) == f"PooledKeys(<{HANDSHAKE_POOL} and {HANDSHAKE_POOL} keys>)"


def test_what_is_taken_is_gone_and_an_empty_pool_makes_new_ones() -> None:
    keys = PooledKeys(Zeros(), size=2)
    for _ in range(4):
        keys.fill_one()
    assert keys.is_full
    hidden = [keys.hidden() for _ in range(5)]
    assert len({pair.hidden for pair in hidden}) == 5
    assert not keys.is_full
    kems = [keys.kem() for _ in range(5)]
    assert len({pair.encapsulation_key for pair in kems}) == 5
    secret, ciphertext = keys.encapsulate(kems[0].encapsulation_key)
    assert kems[0].decapsulate(ciphertext) == secret
    assert encapsulate(kems[0].encapsulation_key)[0] != secret
    assert keys.token(3) == bytes(3)
