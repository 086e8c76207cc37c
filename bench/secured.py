"""Channels as nodes make them, in clear or encrypted, for benchmarks."""

from __future__ import annotations

import time
from typing import Final

from obscura.aio.entropy import SystemSecrets, system_chance
from obscura.base.instant import Instant, WallTime
from obscura.base.names import BlockHash
from obscura.channel import Channel, Role
from obscura.channel.transport import PlainTransport, Transport
from obscura.crypto.agreement import KeyPair
from obscura.crypto.keysource import PooledKeys
from obscura.ledgers.memory import MemoryLedger
from obscura.node.vault import Vault
from obscura.shaping import Profile, make_shaper
from obscura.wire.features import NO_FEATURES
from obscura.wire.greeting import Version
from obscura.wire.identity import KeyClass
from obscura.wire.target import Mode

GENESIS: Final = MemoryLedger().tip
KINDS: Final = ("plain", "off", "pad")
"""Links in clear, veiled ones that are not shaped, and those that a node makes unless it is told otherwise."""
_WALL: Final = WallTime(1_700_000_000)
_SECRETS: Final = SystemSecrets()


def clock() -> Instant:
    """The monotonic clock, as drivers read it."""
    return Instant(time.monotonic_ns() // 1_000)


def make_vault(pool: int = 0) -> Vault:
    """New keys, in pools of this size (empty at first)."""
    return Vault(keys=PooledKeys(_SECRETS, pool), statics={KeyClass.CLEARNET: KeyPair.generate(_SECRETS)})


def transport(kind: str, role: Role, vault: Vault) -> Transport:
    """One side's transport of a kind of links."""
    if kind == "plain":
        return PlainTransport()
    chance = system_chance()
    shaper = make_shaper(Profile(kind), chance, dialled=role is Role.INITIATOR)
    if role is Role.INITIATOR:
        return vault.dial(GENESIS, Mode.VEILED, chance, _WALL, pin=None, secret=None, shaper=shaper)
    return vault.accept(GENESIS, Mode.VEILED, KeyClass.CLEARNET, chance, _WALL, shaper)


def channel(kind: str, role: Role, vault: Vault) -> Channel:
    """One side of a link of a kind."""
    nonce = 1 if role is Role.INITIATOR else 2
    version = Version(1, WallTime(0), NO_FEATURES, "/Obscura:bench/", BlockHash(bytes(32)), 0, nonce)
    return Channel(role, version, lambda _: False, system_chance(), clock(), transport(kind, role, vault))
