"""The encrypted transport's records (transport: "Records").

A record is ``seal(u16 n) ‖ seal(body)``, and a body of n bytes is ``data ‖ zeros ‖ u16 data length ‖ u8 flags``. The
length is sealed too, so that no byte of the stream means anything to a reader without the keys, and any amount of
padding can stand in a record. Data length 0 is a decoy. Each call of the cipher uses one value of its counter.

Rekeying: flag bit 0 says that the sender replaces its key behind this record. A key is used for
:data:`~obscura.base.limits.RECORDS_PER_KEY` records or :data:`~obscura.base.limits.REKEY_AFTER`, whichever is first, so
that what is seized from a running process opens no more of a recording than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from ..base.errors import BugError, PeerFault
from ..base.instant import Instant
from ..base.limits import RECORD_BODY_BYTES, RECORDS_PER_KEY, RECORDS_PER_TOKEN, RECORDS_UNREKEYED, REKEY_AFTER
from ..crypto.cipher import TAG_BYTES, CipherState
from ..shaping import Traffic
from ..shaping.sizes import RECORD_OVERHEAD, TRAILER_BYTES

_LENGTH: Final = Struct("<H")
_TRAILER: Final = Struct("<HB")
SEALED_LENGTH_BYTES: Final = _LENGTH.size + TAG_BYTES
_REKEY: Final = 0x01


class RecordSealer:
    """Makes the records of one direction.

    Args:
        cipher: its key.
        now: when the key was made.
    """

    __slots__ = ("_cipher", "_records", "_since", "traffic")

    def __init__(self, cipher: CipherState, now: Instant) -> None:
        self._cipher = cipher
        self._records = 0
        self._since = now
        self.traffic = Traffic()
        """What was sealed."""

    def seal(self, data: Sequence[bytes | memoryview], body: int, now: Instant) -> tuple[bytes, bytes]:
        """One record, in two pieces: a large one is not moved again.

        Args:
            data: in pieces, at most :data:`~obscura.shaping.sizes.DATA_BYTES` together; none for a decoy.
            body: length of the body: data, padding and three bytes more.
            now: decides whether the key is replaced behind this record.

        Raises:
            BugError: the data do not fit the body, or the body is none.
        """
        length = sum(map(len, data))
        padding = body - TRAILER_BYTES - length
        if padding < 0 or body > RECORD_BODY_BYTES:
            msg = f"{length} bytes in a record's body of {body}"
            raise BugError(msg)
        self._records += 1
        rekey = self._records >= RECORDS_PER_KEY or now - self._since >= REKEY_AFTER
        plain = b"".join((*data, bytes(padding), _TRAILER.pack(length, _REKEY if rekey else 0)))
        cipher = self._cipher
        record = cipher.seal(_LENGTH.pack(body)), cipher.seal(plain)
        if rekey:
            cipher.rekey()
            self._records = 0
            self._since = now
        if length:
            self.traffic.real += length
            self.traffic.padding += padding
        else:
            self.traffic.decoy += body + RECORD_OVERHEAD
        return record

    def forget(self) -> None:
        """Drop the key."""
        self._cipher.forget()


class RecordOpener:
    """Opens the records of one direction. A body is opened only when it is whole."""

    __slots__ = ("_body", "_cipher", "_records", "_rest", "_work", "fault", "traffic")

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher
        self._rest = bytearray()
        self._body = 0
        """Sealed length of the record whose length is known; 0 if that is what comes next."""
        self._records = 0
        self._work = 0
        self.fault: PeerFault | None = None
        """What was wrong with a record; nothing is opened any more."""
        self.traffic = Traffic()
        """What was opened."""

    @property
    def buffered(self) -> int:
        """Bytes of a record that is not whole."""
        return len(self._rest)

    def open(self, data: bytes) -> list[memoryview]:
        """Take bytes in any cut; the data of all records that they complete, in order.

        A record that fails sets :attr:`fault`: ``tag-wrong``, ``record-malformed`` or ``rekey-overdue``. What was
        complete before it is returned all the same, so that what a link answers does not depend on how its stream was
        cut; it has nothing more to say then.
        """
        if self.fault is not None:
            return []
        stream: bytes | bytearray = data
        if self._rest:
            self._rest += data
            if len(self._rest) < (self._body or SEALED_LENGTH_BYTES):
                return []
            stream = self._rest
        pieces: list[memoryview] = []
        with memoryview(stream) as view:
            try:
                at = self._open_records(view, pieces)
            except PeerFault as fault:
                self.forget()
                self.fault = fault
            else:
                self._rest = bytearray(view[at:])
        return pieces

    def _open_records(self, view: memoryview, pieces: list[memoryview]) -> int:
        """Append the data of whole records to ``pieces``; where the rest begins."""
        at = 0
        end = len(view)
        while True:
            need = self._body or SEALED_LENGTH_BYTES
            if end - at < need:
                return at
            plain = self._cipher.open(view[at : at + need])
            at += need
            if self._body:
                self._body = 0
                if carried := self._carried(plain):
                    pieces.append(carried)
            else:
                (length,) = _LENGTH.unpack(plain)
                if not TRAILER_BYTES <= length <= RECORD_BODY_BYTES:
                    raise PeerFault("record-malformed", f"a body of {length} bytes")
                self._body = length + TAG_BYTES

    def take_price(self) -> int:
        """Whole tokens for the records opened since they were last taken (limits: RECORDS_PER_TOKEN)."""
        tokens, self._work = divmod(self._work, RECORDS_PER_TOKEN)
        return tokens

    def forget(self) -> None:
        """Drop the key and what is buffered."""
        self._cipher.forget()
        self._rest = bytearray()

    def _carried(self, plain: bytes) -> memoryview:
        length, flags = _TRAILER.unpack_from(plain, len(plain) - TRAILER_BYTES)
        padding = len(plain) - TRAILER_BYTES - length
        if padding < 0:
            raise PeerFault("record-malformed", f"{length} bytes of data in a body of {len(plain)}")
        if padding and plain.count(0, length, length + padding) != padding:
            raise PeerFault("record-malformed", "padding that is not zero")
        if flags & ~_REKEY:
            raise PeerFault("record-malformed", f"flags {flags:#x}")
        self._records += 1
        self._work += 1
        if flags & _REKEY:
            self._cipher.rekey()
            self._records = 0
            self._work += RECORDS_PER_TOKEN
        elif self._records > RECORDS_UNREKEYED:
            raise PeerFault("rekey-overdue")
        if length:
            self.traffic.real += length
            self.traffic.padding += padding
        else:
            self.traffic.decoy += len(plain) + RECORD_OVERHEAD
        return memoryview(plain)[:length]
