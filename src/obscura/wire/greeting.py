"""``version``, ``verack``, ``ping`` and ``pong``: opening a link and keeping it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from ..base.cursor import Reader, Writer
from ..base.errors import Malformed, Violation
from ..base.instant import WallTime
from ..base.limits import USER_AGENT_BYTES
from ..base.names import BlockHash
from .features import FeatureSet

PROTOCOL_VERSION: Final = 1
PROTOCOL_VERSION_MIN: Final = 1


@dataclass(frozen=True, slots=True)
class Version:
    """The specification's HandshakeMessage, in its order (design §3.2).

    ``timestamp`` is Unix seconds, rounded down to 600; ``nonce`` is 64 bits and serves only to find a connection to
    oneself. Unknown feature bits are kept.
    """

    type_name: ClassVar[str] = "version"

    protocol: int
    timestamp: WallTime
    features: FeatureSet
    user_agent: str
    best_hash: BlockHash
    best_height: int
    nonce: int

    def to_payload(self) -> bytes:
        """The payload; raises ``ValueError`` for a user agent over 256 bytes."""
        agent = self.user_agent.encode()
        if len(agent) > USER_AGENT_BYTES:
            msg = f"a user agent of {len(agent)} bytes; {USER_AGENT_BYTES} at most"
            raise ValueError(msg)
        return (
            Writer()
            .u32(self.protocol)
            .u64(self.timestamp)
            .u32(self.features.features)
            .u32(self.features.privacy)
            .u16(len(agent))
            .put(agent)
            .put(self.best_hash)
            .u64(self.best_height)
            .u64(self.nonce)
            .done()
        )

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Read a payload.

        Raises:
            Violation: ``user-agent-too-long``.
            Malformed: truncated, leftovers, or a user agent that is not UTF-8 (``user-agent-not-utf8``).
        """
        reader = Reader(payload)
        protocol = reader.u32()
        timestamp = WallTime(reader.u64())
        features = FeatureSet(reader.u32(), reader.u32())
        agent_length = reader.u16()
        if agent_length > USER_AGENT_BYTES:
            raise Violation("user-agent-too-long", f"{agent_length} bytes, {USER_AGENT_BYTES} allowed")
        try:
            user_agent = reader.take(agent_length).decode()
        except UnicodeDecodeError:
            raise Malformed("user-agent-not-utf8") from None
        best_hash = BlockHash(reader.take(32))
        best_height = reader.u64()
        nonce = reader.u64()
        reader.finish()
        return cls(protocol, timestamp, features, user_agent, best_hash, best_height, nonce)


@dataclass(frozen=True, slots=True)
class _Empty:
    """A message whose payload is empty."""

    def to_payload(self) -> bytes:
        """Nothing."""
        return b""

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Nothing; its limit of 0 bytes is checked at the frame."""
        Reader(payload).finish()
        return cls()


@dataclass(frozen=True, slots=True)
class Verack(_Empty):
    """The other side's ``version`` is accepted."""

    type_name: ClassVar[str] = "verack"


@dataclass(frozen=True, slots=True)
class GetAddr(_Empty):
    """Ask for addresses of other nodes."""

    type_name: ClassVar[str] = "getaddr"


@dataclass(frozen=True, slots=True)
class Mempool(_Empty):
    """Ask which transactions wait."""

    type_name: ClassVar[str] = "mempool"


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? ``nonce`` is 64 bits."""

    type_name: ClassVar[str] = "ping"

    nonce: int

    def to_payload(self) -> bytes:
        """8 bytes."""
        return self.nonce.to_bytes(8, "little")

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Raises ``Malformed`` unless there are exactly 8 bytes."""
        reader = Reader(payload)
        nonce = reader.u64()
        reader.finish()
        return cls(nonce)


@dataclass(frozen=True, slots=True)
class Pong(Ping):
    """Yes: echoes the nonce of a ``ping``."""

    type_name: ClassVar[str] = "pong"
