"""``addr``: addresses of other nodes (BIP155 entries)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from ..base.cursor import Reader, compact_size
from ..base.limits import ADDR_ITEMS
from .address import ENTRY_BYTES_MIN, AddressEntry, decode_entry, encode_entry
from .inventory import checked_count


@dataclass(frozen=True, slots=True)
class Addr:
    """Entries of known networks. Those of unknown networks are skipped while reading, so they are not here."""

    type_name: ClassVar[str] = "addr"

    entries: tuple[AddressEntry, ...]

    def to_payload(self) -> bytes:
        """Count, then the entries."""
        return compact_size(len(self.entries)) + b"".join(encode_entry(entry) for entry in self.entries)

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Read a payload.

        Raises:
            Violation: ``list-too-long`` above 1,000 entries; ``address-too-long``.
            Malformed: truncated, leftovers, a wrong address length.
        """
        return cls(tuple(entry for entry in read_entries(payload) if entry is not None))


def read_entries(payload: bytes) -> Iterator[AddressEntry | None]:
    """The entries of a payload one by one; ``None`` for each that is skipped. Their faults are those of
    :meth:`Addr.from_payload`, and come when they are reached."""
    reader = Reader(payload)
    for _ in range(checked_count(reader, ADDR_ITEMS, ENTRY_BYTES_MIN)):
        yield decode_entry(reader)
    reader.finish()
