"""(g) What the encrypted transport costs: bulk and small messages against links in clear, and the handshake against the
primitives that it is made of."""

from __future__ import annotations

import os
import statistics
import time

import monocypher
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from obscura.base.instant import WallTime
from obscura.base.randomness import Chance
from obscura.channel.secure import SecureTransport
from obscura.crypto.kdf import hkdf_pair
from obscura.crypto.keysource import PooledKeys
from obscura.node.vault import Vault
from obscura.wire.identity import KeyClass
from obscura.wire.target import Mode

from .links import BATCH, PAYLOAD, between_processes
from .measure import Times, interleaved
from .report import Row, Table
from .secured import GENESIS, KINDS, clock, make_vault

_NAMES = {"plain": "in clear (baseline)", "off": "veiled, not shaped", "pad": "veiled, padded (the default)"}
_WALL = WallTime(1_700_000_000)
_HANDSHAKES = 20


def _throughput(
    name: str, size: int, batch: int, count: int, rounds: int, aim: str, *, kept: bool = False
) -> list[Row]:
    """All kinds of links in each round; ratios within a round."""
    speeds = [{kind: between_processes(kind, count, size, batch, kept=kept) for kind in KINDS} for _ in range(rounds)]
    return [
        Row(
            f"{name}: {_NAMES[kind]}",
            statistics.median(one[kind] for one in speeds) * (size + 20) / 1e6,
            "MB/s",
            statistics.median(one[kind] / one["plain"] for one in speeds),
            aim if kind == "pad" else "",
        )
        for kind in KINDS
    ]


def _primitives() -> None:
    """What the libraries must compute for one handshake, both sides, and nothing else."""
    (hidden_i, private_i), (hidden_r, private_r) = monocypher.elligator_key_pair(), monocypher.elligator_key_pair()
    point_i, point_r = monocypher.elligator_map(hidden_i), monocypher.elligator_map(hidden_r)
    static = X25519PrivateKey.generate()
    for private, point in ((private_i, point_r), (private_r, point_i), (private_i, point_r), (private_r, point_i)):
        X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(point))
    kem = MLKEM768PrivateKey.generate()
    key = kem.public_key().public_bytes_raw()
    _, sealed = MLKEM768PublicKey.from_public_bytes(key).encapsulate()
    kem.decapsulate(sealed)
    transcript = bytes(32)
    for plain in (static.public_key().public_bytes_raw(), key, sealed):
        aead = ChaCha20Poly1305(transcript)
        aead.decrypt(bytes(12), aead.encrypt(bytes(12), plain, transcript), transcript)
    for _ in range(10):
        hkdf_pair(transcript, transcript)
    os.urandom(4_096)


def _shake(initiator: SecureTransport, responder: SecureTransport) -> None:
    now = clock()
    responder.open(b"".join(initiator.take(now)), now)
    responder.answer()
    initiator.open(b"".join(responder.take(now)), now)
    responder.open(b"".join(initiator.take(now)), now)
    assert initiator.secured and responder.secured


def _both(near: Vault, vault: Vault, count: int) -> None:
    chance = Chance(os.urandom(32))
    for _ in range(count):
        _shake(
            near.dial(GENESIS, Mode.VEILED, chance, _WALL, pin=None, secret=None),
            vault.accept(GENESIS, Mode.VEILED, KeyClass.CLEARNET, chance, _WALL),
        )


def _responder_cpu(pooled: bool, rounds: int) -> Times:
    """What one answer costs who is dialled: from M1 to a verified M3."""
    rounds_s = []
    for _ in range(rounds):
        vault, own = make_vault(2 * _HANDSHAKES), make_vault()
        keys = vault.keys
        assert isinstance(keys, PooledKeys)
        while pooled and not keys.is_full:
            keys.fill_one()
        chance = Chance(os.urandom(32))
        spent = 0
        for _ in range(_HANDSHAKES):
            initiator = own.dial(GENESIS, Mode.VEILED, chance, _WALL, pin=None, secret=None)
            now = clock()
            first = b"".join(initiator.take(now))
            begin = _cpu()
            responder = vault.accept(GENESIS, Mode.VEILED, KeyClass.CLEARNET, chance, _WALL)
            responder.open(first, now)
            responder.answer()
            second = b"".join(responder.take(now))
            spent += _cpu() - begin
            initiator.open(second, now)
            third = b"".join(initiator.take(now))
            begin = _cpu()
            responder.open(third, now)
            spent += _cpu() - begin
            assert responder.secured
        rounds_s.append(spent / 1e9 / _HANDSHAKES)
    return Times(tuple(rounds_s))


def _cpu() -> int:
    return time.thread_time_ns()


def run(*, quick: bool) -> Table:
    """Links in clear, and the primitives, are the baselines."""
    rounds = 1 if quick else 9
    rows = _throughput("300 B, batched", PAYLOAD, BATCH, 20_000 if quick else 400_000, rounds, "≥ 0.50")
    for name, size, batch, count in (("64 KB", 65_000, 4, 8_000), ("1 MB", 1_000_000, 1, 500)):
        some = count // 15 if quick else count
        rows += _throughput(f"{name}, frames kept", size, batch, some, rounds, "≥ 0.75", kept=True)
        rows += _throughput(f"{name}, frames made", size, batch, some, rounds, "")
    near, far = make_vault(), make_vault()
    times = interleaved(
        {
            "primitives": (lambda: [_primitives() for _ in range(_HANDSHAKES)], _HANDSHAKES),
            "handshake": (lambda: _both(near, far, _HANDSHAKES), _HANDSHAKES),
        },
        5 if quick else 41,
    )
    primitives, handshake = times["primitives"], times["handshake"]
    fresh, pooled = (_responder_cpu(full, 3 if quick else 21) for full in (False, True))
    base = primitives.median
    rows += [
        Row("handshake: the primitives of both sides (baseline)", base * 1e6, "µs", 1.0),
        Row("handshake: both sides, no key ready", handshake.median * 1e6, "µs", handshake.ratio(primitives), "≤ 1.50"),
        Row("handshake: the responder, no key ready", fresh.median * 1e6, "µs", fresh.median / base),
        Row("handshake: the responder, pools full", pooled.median * 1e6, "µs", pooled.median / base),
    ]
    return Table("transport", "(g) The encrypted transport (ratio: speed or time against the baseline)", tuple(rows))
