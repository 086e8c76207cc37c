"""The far end of a veiled link, without a socket: what the ping benchmark's peers say is made and read here."""

from __future__ import annotations

from typing import Final

from obscura.base.instant import Instant, WallTime
from obscura.base.names import BlockHash
from obscura.channel import Role
from obscura.ledgers.memory import MemoryLedger, mine
from obscura.wire.features import Feature, FeatureSet
from obscura.wire.frame import HEADER_SIZE, parse_header
from obscura.wire.greeting import Verack, Version
from obscura.wire.registry import BY_TYPE_FIELD, Message, encode_message

from .secured import make_vault, transport

BASE: Final = 2_500
"""Blocks that everybody has: more than one answer to ``getheaders`` holds."""
BODY_BYTES: Final = 1_000
_TIME: Final = 1_700_000_001
_NOW: Final = Instant(0)
"""The peers' clock stands: they do not rekey by time."""
_VERSION: Final = Version(
    1, WallTime(0), FeatureSet(Feature.BASIC_TRANSACTIONS), "/Obscura:bench/", BlockHash(bytes(32)), 0, 7
)
_GREETING: Final = encode_message(_VERSION) + encode_message(Verack())
_vault = make_vault()


def grown(ledger: MemoryLedger, count: int) -> list[bytes]:
    """``count`` blocks on top of a ledger's tip: the same ones in every process."""
    made = []
    for step in range(ledger.height, ledger.height + count):
        made.append(mine(ledger.tip, step.to_bytes(4, "little") + bytes(BODY_BYTES), _TIME + step))
        ledger.accept_blocks(made[-1:])
    return made


class Veil:
    """One link, as its initiator sees it."""

    def __init__(self) -> None:
        self._wire = transport("off", Role.INITIATOR, _vault)
        self._stream = bytearray()
        self.opened = False
        """The handshake is over."""
        self._greeted = False

    def to_send(self) -> bytes:
        """What the handshake has to say next; behind it, once, the greeting."""
        if self._wire.secured and not self._greeted:
            self._greeted = True
            self._wire.put([_GREETING], _NOW, urgent=True)
        return b"".join(self._wire.take(_NOW))

    def sealed(self, data: bytes) -> bytes:
        """Clear bytes as they go over the wire, behind all that was sealed before."""
        self._wire.put([data], _NOW, urgent=True)
        return b"".join(self._wire.take(_NOW))

    def frames(self, data: bytes) -> list[tuple[str, bytes]]:
        """Bytes have come: the frames that they complete, by type name and payload."""
        for piece in self._wire.open(data, _NOW):
            self._stream += piece
        found: list[tuple[str, bytes]] = []
        at = 0
        while len(self._stream) - at >= HEADER_SIZE:
            size, field, _ = parse_header(self._stream, at)
            if len(self._stream) - at < HEADER_SIZE + size:
                break
            name = field.rstrip(b"\0").decode()
            found.append((name, bytes(self._stream[at + HEADER_SIZE : at + HEADER_SIZE + size])))
            self.opened |= name == "verack"
            at += HEADER_SIZE + size
        del self._stream[:at]
        return found


def decode(name: str, payload: bytes) -> Message | None:
    """A message of a known type."""
    row = next((row for row in BY_TYPE_FIELD.values() if row.name == name), None)
    return None if row is None else row.message.from_payload(payload)
