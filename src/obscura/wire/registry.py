"""The one table of messages (design §3.4). Nothing about a message is written twice.

A row holds the message's type (its codec), the largest payload, the phase in which it may come, who may send it, its
class, the feature bits that both sides must have set, and its price in rate-limit tokens. The channel and the node read
the table; docs/protocol.md shows it, and a test keeps both equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from ..base import limits
from .blocks import Block, DandelionTx, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from .features import NO_FEATURES, STEMS, FeatureSet
from .frame import encode_header, type_field
from .gossip import Addr
from .greeting import GetAddr, Mempool, Ping, Pong, Verack, Version

Message: TypeAlias = (
    Version
    | Verack
    | Ping
    | Pong
    | Addr
    | GetAddr
    | Block
    | GetBlocks
    | Headers
    | GetHeaders
    | Inv
    | Tx
    | Mempool
    | GetData
    | NotFound
    | DandelionTx
)


class Phase(Enum):
    """When a message may come."""

    GREETING = "greeting"
    """Before the handshake is done, and at no other time."""
    OPEN = "open"
    """After both ``verack``."""


class Direction(Enum):
    """Who may send a message."""

    BOTH = "both"
    FROM_INITIATOR = "from initiator"
    """From the side that dialled. From the other side it is ignored, as Bitcoin Core does with ``getaddr``."""


class MessageClass(Enum):
    """The specification's three kinds of extension."""

    CORE = "core"
    OPTIONAL = "optional"
    EXPERIMENTAL = "experimental"


class Budget(NamedTuple):
    """Tokens that a link may spend on some messages, apart from all that it may spend."""

    name: str
    per_second: int
    burst: int


TALK: Final = Budget("talk", limits.TALK_PER_SECOND, limits.TALK_BURST)
ASKING: Final = Budget("asking", limits.ASKING_PER_SECOND, limits.ASKING_BURST)
GOSSIP: Final = Budget("gossip", limits.GOSSIP_PER_SECOND, limits.GOSSIP_BURST)
SELDOM: Final = Budget("seldom", limits.SELDOM_PER_SECOND, limits.SELDOM_BURST)
UNKNOWN: Final = Budget("unknown", limits.UNKNOWN_PER_SECOND, limits.UNKNOWN_BURST)


@dataclass(frozen=True, slots=True)
class Row:
    """What is known about one message. ``price`` is in tokens, plus one for every ``price_bytes`` of payload, unless it
    is 0. An optional one whose bits are not all in force, or that is ``sealed`` and comes in clear, is ignored like one
    that we do not know."""

    message: type[Message]
    size_max: int
    phase: Phase
    price: int
    direction: Direction = Direction.BOTH
    message_class: MessageClass = MessageClass.CORE
    needs: FeatureSet = NO_FEATURES
    sealed: bool = False
    """It goes over encrypted links alone."""
    budget: Budget | None = None
    """What of it a link may send, where it has a natural rate."""
    price_bytes: int = limits.PRICE_BYTES

    def is_served(self, in_force: FeatureSet, *, secured: bool) -> bool:
        """Whether it is understood on a link where these features are in force."""
        return self.needs.common(in_force) == self.needs and (secured or not self.sealed)

    @property
    def name(self) -> str:
        """The message's type name."""
        return self.message.type_name


# Prices: an answer that was asked for is bounded by the asking, so it is free here, and the node charges the ones that
# nobody asked for. Requests cost by what they make us do: a lookup, a read from disk. Lists cost by their entries.
REGISTRY: Final[tuple[Row, ...]] = (
    Row(Version, limits.PRE_HANDSHAKE_BYTES, Phase.GREETING, price=1),
    Row(Verack, 0, Phase.GREETING, price=1),
    Row(Ping, 8, Phase.OPEN, price=1, budget=TALK),
    Row(Pong, 8, Phase.OPEN, price=1, budget=TALK),
    Row(Addr, limits.ADDR_BYTES, Phase.OPEN, price=5, budget=GOSSIP, price_bytes=limits.ADDR_PRICE_BYTES),
    Row(GetAddr, 0, Phase.OPEN, price=50, direction=Direction.FROM_INITIATOR, budget=SELDOM),
    Row(Block, limits.BLOCK_BYTES, Phase.OPEN, price=0),
    Row(GetBlocks, limits.LOCATOR_BYTES, Phase.OPEN, price=10, budget=ASKING),
    Row(Headers, limits.HEADERS_BYTES, Phase.OPEN, price=0),
    Row(GetHeaders, limits.LOCATOR_BYTES, Phase.OPEN, price=10, budget=ASKING),
    Row(Inv, limits.INV_BYTES, Phase.OPEN, price=1, price_bytes=limits.TOLD_PRICE_BYTES),
    Row(Tx, limits.TX_BYTES, Phase.OPEN, price=0),
    Row(Mempool, 0, Phase.OPEN, price=100, budget=SELDOM),
    Row(GetData, limits.INV_BYTES, Phase.OPEN, price=1, price_bytes=limits.ASKED_PRICE_BYTES),
    Row(NotFound, limits.INV_BYTES, Phase.OPEN, price=1, price_bytes=limits.TOLD_PRICE_BYTES),
    Row(
        DandelionTx,
        limits.TX_BYTES,
        Phase.OPEN,
        price=limits.TX_PRICE,
        direction=Direction.FROM_INITIATOR,
        message_class=MessageClass.OPTIONAL,
        needs=STEMS,
        sealed=True,
    ),
)

BY_TYPE_FIELD: Final[dict[bytes, Row]] = {type_field(row.name): row for row in REGISTRY}
"""Rows by the 12 bytes of a frame."""
BY_MESSAGE: Final[dict[type, Row]] = {row.message: row for row in REGISTRY}
FIELD_OF: Final[dict[type, bytes]] = {row.message: type_field(row.name) for row in REGISTRY}
UNKNOWN_PRICE: Final = limits.UNKNOWN_PRICE
UNKNOWN_SIZE_MAX: Final = limits.BLOCK_BYTES
"""Largest payload of an unknown type: what the largest known one has. It is never buffered."""


def encode_message(message: Message) -> bytes:
    """The frame of a message.

    Raises:
        ValueError: its payload is over its limit: our mistake, the peer would close the link.
    """
    header, payload = encode_parts(message)
    return header + payload


def encode_parts(message: Message) -> tuple[bytes, bytes]:
    """A message's header and payload, apart: a large payload need not be copied behind its header.

    Raises:
        ValueError: as :func:`encode_message`.
    """
    payload = message.to_payload()
    row = BY_MESSAGE[type(message)]
    if len(payload) > row.size_max:
        msg = f"a {row.name} of {len(payload)} bytes is over its limit of {row.size_max}"
        raise ValueError(msg)
    return encode_header(FIELD_OF[type(message)], payload), payload
