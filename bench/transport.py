"""(g) What the encrypted transport costs: bulk and small messages against links in clear, and the handshake against the
primitives that it is made of."""

from __future__ import annotations

import gc
import os
import statistics
import time
from hashlib import sha256

import monocypher
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from obscura.base.instant import WallTime
from obscura.base.limits import GARBAGE_BYTES
from obscura.base.randomness import Chance
from obscura.channel.handshake import prologue
from obscura.crypto.kdf import hkdf_pair
from obscura.crypto.keysource import PooledKeys
from obscura.wire.identity import KeyClass
from obscura.wire.target import Mode

from .links import BATCH, PAYLOAD, between_processes
from .measure import Times
from .report import Row, Table
from .secured import GENESIS, KINDS, clock, make_vault

_NAMES = {"plain": "in clear (baseline)", "off": "veiled, not shaped", "pad": "veiled, padded (the default)"}
_WALL = WallTime(1_700_000_000)
_HANDSHAKES = 20
_PROLOGUE = prologue(GENESIS, Mode.VEILED)
_GARBAGE = bytes(GARBAGE_BYTES // 2)
"""As long as it is on average."""


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


def _primitives(static: X25519PrivateKey) -> None:
    """What the libraries must compute for one handshake, both sides, no key ready, and nothing else.

    Args:
        static: the responder's identity; it is older than the handshake.
    """
    (hidden_i, private_i), (hidden_r, private_r) = monocypher.elligator_key_pair(), monocypher.elligator_key_pair()
    ours, theirs = map(X25519PrivateKey.from_private_bytes, (private_i, private_r))
    point_i, point_r = monocypher.elligator_map(hidden_i), monocypher.elligator_map(hidden_r)
    identity = static.public_key().public_bytes_raw()
    for private, point in ((ours, point_r), (theirs, point_i), (ours, identity), (static, point_i)):
        private.exchange(X25519PublicKey.from_public_bytes(point))
    kem = MLKEM768PrivateKey.generate()
    key = kem.public_key().public_bytes_raw()
    _, sealed = MLKEM768PublicKey.from_public_bytes(key).encapsulate()
    kem.decapsulate(sealed)
    transcript = bytes(32)
    for plain in (identity, key, sealed):
        box = ChaCha20Poly1305(transcript).encrypt(bytes(12), plain, transcript)
        ChaCha20Poly1305(transcript).decrypt(bytes(12), box, transcript)
    # Of each side: both agreements, the terminators, the KEM's secret, Split; and the transcript's steps.
    for _ in range(2):
        for _ in range(5):
            hkdf_pair(transcript, transcript)
        for mixed in (_PROLOGUE, hidden_i, b"", hidden_r, _GARBAGE, identity, key, _GARBAGE, sealed):
            sha256(transcript + mixed).digest()
    os.urandom(2 * len(_GARBAGE))


def _sides(*, ready: bool) -> tuple[float, float]:
    """CPU seconds of the initiator and of the responder for one handshake, from birth to its end.

    Args:
        ready: whether the single-use keys lie in pools.
    """
    near, far = (make_vault(_HANDSHAKES if ready else 0) for _ in range(2))
    for vault in (near, far):
        keys = vault.keys
        assert isinstance(keys, PooledKeys)
        while not keys.is_full:
            keys.fill_one()
    chance = Chance(os.urandom(32))
    now = clock()
    initiator_ns = responder_ns = 0
    for _ in range(_HANDSHAKES):
        begun = time.thread_time_ns()
        initiator = near.dial(GENESIS, Mode.VEILED, chance, _WALL, pin=None, secret=None)
        first = b"".join(initiator.take(now))
        dialled = time.thread_time_ns()
        responder = far.accept(GENESIS, Mode.VEILED, KeyClass.CLEARNET, chance, _WALL)
        responder.open(first, now)
        responder.answer()
        second = b"".join(responder.take(now))
        answered = time.thread_time_ns()
        initiator.open(second, now)
        third = b"".join(initiator.take(now))
        completed = time.thread_time_ns()
        responder.open(third, now)
        verified = time.thread_time_ns()
        assert initiator.secured
        assert responder.secured
        initiator_ns += dialled - begun + completed - answered
        responder_ns += answered - dialled + verified - completed
    return initiator_ns / 1e9 / _HANDSHAKES, responder_ns / 1e9 / _HANDSHAKES


def _alone() -> float:
    """CPU seconds of the primitives of one handshake."""
    static = X25519PrivateKey.generate()
    begun = time.thread_time_ns()
    for _ in range(_HANDSHAKES):
        _primitives(static)
    return (time.thread_time_ns() - begun) / 1e9 / _HANDSHAKES


def _handshake(rounds: int) -> list[Row]:
    """Every variant once a round, one round more before that is thrown away; ratios within a round."""
    measured: list[tuple[float, ...]] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds + 1):
            base, made, pooled = _alone(), _sides(ready=False), _sides(ready=True)
            measured.append((base, sum(made), *made, *pooled))
    finally:
        gc.enable()
    aims = {"both sides, no key ready": "≤ 1.50"}
    names = ("the primitives of both sides (baseline)", *aims)
    names += tuple(
        f"the {side}, {keys}" for keys in ("no key ready", "pools full") for side in ("initiator", "responder")
    )
    columns = [Times(column) for column in zip(*measured[1:], strict=True)]
    return [
        Row(f"handshake: {name}", times.median * 1e6, "µs", times.ratio(columns[0]), aims.get(name, ""))
        for name, times in zip(names, columns, strict=True)
    ]


def run(*, quick: bool) -> Table:
    """Links in clear, and the primitives, are the baselines."""
    rounds = 1 if quick else 9
    rows = _throughput("300 B, batched", PAYLOAD, BATCH, 20_000 if quick else 400_000, rounds, "≥ 0.50")
    for name, size, batch, count in (("64 KB", 65_000, 4, 8_000), ("1 MB", 1_000_000, 1, 500)):
        some = count // 15 if quick else count
        rows += _throughput(f"{name}, frames kept", size, batch, some, rounds, "≥ 0.75", kept=True)
        rows += _throughput(f"{name}, frames made", size, batch, some, rounds, "≥ 0.75")
    rows += _handshake(3 if quick else 41)
    return Table("transport", "(g) The encrypted transport (ratio: speed or time against the baseline)", tuple(rows))
