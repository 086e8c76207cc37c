"""docs/protocol.md is normative: its vectors, its table of messages and its names of rules are those of the code."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from obscura.base.errors import PeerFault
from obscura.base.limits import LIMITS
from obscura.wire.address import AddressEntry
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.greeting import Version
from obscura.wire.inventory import InventoryItem
from obscura.wire.registry import REGISTRY, Message, encode_message

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs/protocol.md").read_text()
VECTORS = [json.loads(line) for line in re.findall(r"```vectors\n(.*?)```", DOCUMENT, re.DOTALL)[0].splitlines()]
BY_NAME = {row.name: row.message for row in REGISTRY}


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
    names = [name for cls in type(message).__mro__ for name in getattr(cls, "__slots__", ())]
    values = {name: plain(getattr(message, name)) for name in names}
    if isinstance(message, Version):
        values["features"], values["privacy"] = message.features
    return values


@pytest.mark.parametrize("vector", [one for one in VECTORS if "fields" in one], ids=lambda one: one["name"])
def test_good_vectors(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    message = BY_NAME[vector["type"]].from_payload(payload)
    assert fields_of(message) == vector["fields"]
    if not vector.get("decode_only"):
        assert message.to_payload() == payload
    if "frame" in vector:
        assert encode_message(message).hex() == vector["frame"]
        assert encode_frame(type_field(vector["type"]), payload).hex() == vector["frame"]


@pytest.mark.parametrize("vector", [one for one in VECTORS if "rule" in one], ids=lambda one: one["name"])
def test_refused_vectors(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerFault) as caught:
        BY_NAME[vector["type"]].from_payload(bytes.fromhex(vector["payload"]))
    assert caught.value.rule == vector["rule"]


def test_every_message_has_a_vector_with_its_frame() -> None:
    assert {one["type"] for one in VECTORS if "frame" in one} == set(BY_NAME)


def test_the_table_of_messages_is_the_registry() -> None:
    for row in REGISTRY:
        line = f"| {row.name} | {row.size_max:,} | {row.phase.value} | {row.direction.value} | {row.price} |"
        assert line in DOCUMENT


def test_the_registry_has_the_specification_s_messages() -> None:
    wanted = "version verack ping pong addr getaddr block getblocks headers getheaders inv tx mempool getdata notfound"
    assert sorted(BY_NAME) == sorted(wanted.split())


def rules_in_code() -> set[str]:
    """First (or, for charges, second) literal argument of whatever names a rule, in the core."""
    found: set[str] = set()
    for package in ("base", "wire", "chain", "channel", "peers", "sync", "node"):
        for path in sorted((ROOT / "src/obscura" / package).glob("*.py")):
            for call in ast.walk(ast.parse(path.read_text())):
                if not isinstance(call, ast.Call):
                    continue
                name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                if name in ("Violation", "Malformed", "Closed", "close", "charge"):
                    for argument in call.args[:2]:
                        texts = [node for node in ast.walk(argument) if isinstance(node, ast.Constant)]
                        found |= {node.value for node in texts if re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", str(node.value))}
    return found


def test_the_names_of_rules_are_those_of_the_code() -> None:
    documented = set(re.findall(r"^\| `([a-z0-9-]+)` \|", DOCUMENT, re.MULTILINE)) - {"stopped"}
    assert rules_in_code() == documented


def test_the_handshake_in_bytes() -> None:
    from pair import feed, make_channel

    from obscura.channel import Opened, Role

    lines = re.findall(r"^(I|R) → (?:I|R)  ([0-9a-f]+)$", DOCUMENT, re.MULTILINE)
    responder, initiator = make_channel(Role.RESPONDER), make_channel(Role.INITIATOR)
    from_initiator = bytes.fromhex("".join(data for side, data in lines if side == "I"))
    from_responder = bytes.fromhex("".join(data for side, data in lines if side == "R"))
    assert isinstance(feed(responder, from_initiator)[0], Opened)
    assert isinstance(feed(initiator, from_responder)[0], Opened)


def test_limits_document() -> None:
    text = (ROOT / "docs/limits.md").read_text()
    rows = [f"| {one.name} | {one.value:,} | {one.unit} | {one.reason} |" for one in LIMITS]
    assert [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| limit")] == rows
    assert all(one.reason and one.value > 0 for one in LIMITS)
