"""The two bitfields of the handshake (specification "Feature Negotiation"; design §3.2)."""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple


class Feature(IntFlag):
    """General features."""

    NONE = 0
    BASIC_TRANSACTIONS = 0x01
    PRIVACY_FEATURES = 0x02
    DANDELION = 0x04
    COMPACT_BLOCKS = 0x08
    TOR_SUPPORT = 0x10
    I2P_SUPPORT = 0x20


class PrivacyFeature(IntFlag):
    """Privacy features. The three that describe the chain's transactions are set by the ledger."""

    NONE = 0
    TRANSACTION_OBFUSCATION = 0x01
    STEALTH_ADDRESSING = 0x02
    CONFIDENTIAL_TRANSACTIONS = 0x04
    ZERO_KNOWLEDGE_PROOFS = 0x08
    DANDELION_PLUS_PLUS = 0x10
    TOR = 0x20
    I2P = 0x40


CHAIN_BITS = (
    PrivacyFeature.STEALTH_ADDRESSING | PrivacyFeature.CONFIDENTIAL_TRANSACTIONS | PrivacyFeature.ZERO_KNOWLEDGE_PROOFS
)


class FeatureSet(NamedTuple):
    """Both bitfields of one side, or what is in force on a link. Bits that we do not know are kept as they came."""

    features: int = 0
    privacy: int = 0

    def common(self, other: FeatureSet) -> FeatureSet:
        """What is in force: local AND remote."""
        return FeatureSet(self.features & other.features, self.privacy & other.privacy)


NO_FEATURES = FeatureSet()
"""Neither bitfield has a bit set."""
EVERYWHERE = FeatureSet(Feature.TOR_SUPPORT | Feature.I2P_SUPPORT, PrivacyFeature.TOR | PrivacyFeature.I2P)
"""What every node sets on every link: it understands addresses of these networks in ``addr``, whether it dials them or
not. A bit that told who does would mark nodes that are at home in two networks (design §3.2)."""
STEMS = FeatureSet(Feature.BASIC_TRANSACTIONS | Feature.DANDELION, PrivacyFeature.DANDELION_PLUS_PLUS)
"""What both sides must have set for stems; on an encrypted link, besides."""
