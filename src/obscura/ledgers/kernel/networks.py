"""The networks that the kernel can validate, and what their bytes begin with.

Sources: Bitcoin Core ``src/kernel/chainparams.cpp`` for genesis, proof-of-work limit and message start (which is also
the magic of ``blk*.dat`` records); ``bitcoinkernel.h`` for the numbers of the chain types. A test compares each genesis
with the kernel's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...base.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Network:
    """One network's constants."""

    name: str
    """As in ``--network``."""
    chain_type: int
    """``btck_ChainType`` of the C library."""
    genesis: bytes
    """The genesis header, 80 bytes."""
    pow_limit: int
    """The easiest target that any header may claim."""
    magic: bytes
    """Four bytes before every record of a ``blk*.dat`` file."""


_MAINNET_LIMIT: Final = (1 << 224) - 1
_OLD_MERKLE: Final = bytes.fromhex("3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a")
"""Bitcoin, signet and regtest share one genesis transaction (The Times, 3 January 2009)."""
_TESTNET4_MERKLE: Final = bytes.fromhex("4e7b2b9128fe0291db0693af2ae418b767e657cd407e80cb1434221eaea7a07a")
_FIRST: Final = bytes.fromhex("01000000") + bytes(32)
"""Version 1, no previous block."""

BITCOIN: Final = Network(
    name="bitcoin",
    chain_type=0,
    genesis=_FIRST + _OLD_MERKLE + bytes.fromhex("29ab5f49ffff001d1dac2b7c"),
    pow_limit=_MAINNET_LIMIT,
    magic=bytes.fromhex("f9beb4d9"),
)
TESTNET4: Final = Network(
    name="testnet4",
    chain_type=2,
    genesis=_FIRST + _TESTNET4_MERKLE + bytes.fromhex("046f3566ffff001dbb0c7817"),
    pow_limit=_MAINNET_LIMIT,
    magic=bytes.fromhex("1c163f28"),
)
SIGNET: Final = Network(
    name="signet",
    chain_type=3,
    genesis=_FIRST + _OLD_MERKLE + bytes.fromhex("008f4d5fae77031e8ad22203"),
    pow_limit=0x00000377AE << 216,
    magic=bytes.fromhex("0a03cf40"),
)
REGTEST: Final = Network(
    name="regtest",
    chain_type=4,
    genesis=_FIRST + _OLD_MERKLE + bytes.fromhex("dae5494dffff7f2002000000"),
    pow_limit=(1 << 255) - 1,
    magic=bytes.fromhex("fabfb5da"),
)

NETWORKS: Final = {network.name: network for network in (BITCOIN, TESTNET4, SIGNET, REGTEST)}


def network_named(name: str) -> Network:
    """The network of a name.

    Raises:
        ConfigError: there is none; the text lists those that exist.
    """
    try:
        return NETWORKS[name]
    except KeyError:
        msg = f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}"
        raise ConfigError(msg) from None
