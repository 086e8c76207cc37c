"""Messages as docs/protocol.md writes their fields: hashes and raw bytes in hexadecimal, lists for tuples."""

from __future__ import annotations

from typing import Any

from obscura.wire.address import AddressEntry
from obscura.wire.blocks import GetData, Inv, NotFound
from obscura.wire.greeting import Version
from obscura.wire.inventory import InventoryItem
from obscura.wire.registry import Message


def plain(value: Any) -> Any:
    """A field as the document writes it."""
    match value:
        case bytes():
            return value.hex()
        case AddressEntry():
            return [value.time, value.features, int(value.address.network), value.address.raw.hex(), value.address.port]
        case InventoryItem():
            return [value.kind, value.hash.hex()]
        case tuple():
            return [plain(item) for item in value]
    return value


def fields_of(message: Message) -> dict[str, Any]:
    """A message as the document writes it."""
    slots = [name for cls in type(message).__mro__ for name in getattr(cls, "__slots__", ())]
    names = ["items"] if isinstance(message, Inv | GetData | NotFound) else slots
    values = {name: plain(getattr(message, name)) for name in names}
    if isinstance(message, Version):
        values["features"], values["privacy"] = message.features
    return values
