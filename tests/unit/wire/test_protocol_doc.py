"""docs/protocol.md is normative: its vectors, its table of messages and its names of rules are those of the code."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import other_wire
import pytest
from pair import START, feed, make_channel, opened_pair
from vector_fields import fields_of

from obscura.base import limits
from obscura.base.errors import PeerFault
from obscura.base.limits import LIMITS
from obscura.channel import Closed, MessageFault, Opened, Role
from obscura.wire.frame import HEADER_SIZE, encode_frame, type_field
from obscura.wire.greeting import Version
from obscura.wire.registry import REGISTRY, MessageClass, encode_message

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs/protocol.md").read_text()


def fenced(label: str) -> list[dict[str, Any]]:
    """The JSON lines of a block."""
    [block] = re.findall(rf"```{label}\n(.*?)```", DOCUMENT, re.DOTALL)
    return [json.loads(line) for line in block.splitlines()]


VECTORS, STREAMS = fenced("vectors"), fenced("streams")
BY_NAME = {row.name: row.message for row in REGISTRY}


@pytest.mark.parametrize("vector", [one for one in VECTORS if "fields" in one], ids=lambda one: one["name"])
def test_good_vectors(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    message = BY_NAME[vector["type"]].from_payload(payload)
    assert fields_of(message) == vector["fields"]
    if not vector.get("decode_only"):
        assert message.to_payload() == other_wire.payload(vector["type"], vector["fields"]) == payload
    if "frame" in vector:
        assert encode_message(message).hex() == vector["frame"]
        assert encode_frame(type_field(vector["type"]), payload).hex() == vector["frame"]
        assert other_wire.frame(vector["type"], payload).hex() == vector["frame"]


@pytest.mark.parametrize("vector", [one for one in VECTORS if "rule" in one], ids=lambda one: one["name"])
def test_refused_vectors(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerFault) as caught:
        BY_NAME[vector["type"]].from_payload(bytes.fromhex(vector["payload"]))
    assert caught.value.rule == vector["rule"]


@pytest.mark.parametrize("step", [1 << 20, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("vector", STREAMS, ids=lambda one: one["name"])
def test_streams(vector: dict[str, Any], step: int) -> None:
    channel = make_channel(Role.RESPONDER) if vector["phase"] == "greeting" else opened_pair().responder
    channel.take_data(START)
    stream = bytes.fromhex(vector["stream"])
    events = [event for at in range(0, len(stream), step) for event in feed(channel, stream[at : at + step])]
    answer = bytes.fromhex(vector.get("answer", ""))
    match vector["outcome"]:
        case "close":
            assert isinstance(events[-1], Closed)
            assert (events[-1].rule, events[-1].fault) == (vector["rule"], True)
            return
        case "drop":
            assert [event.rule for event in events if isinstance(event, MessageFault)] == [vector["rule"]]
        case "ignore" | "answer":
            assert events == []
    assert not channel.is_closed
    assert channel.take_data(START) == answer
    assert (vector["outcome"] == "answer") == bool(answer)


def test_every_outcome_and_phase_has_a_stream() -> None:
    found = {(one["phase"], one["outcome"]) for one in STREAMS}
    assert found == {(phase, end) for phase in ("greeting", "open") for end in ("close", "drop", "ignore")} | {
        ("open", "answer")
    }


def test_every_message_has_a_vector_with_its_frame() -> None:
    assert {one["type"] for one in VECTORS if "frame" in one} == set(BY_NAME)


def test_the_table_of_messages_is_the_registry() -> None:
    for row in REGISTRY:
        line = f"| {row.name} | {row.size_max:,} | {row.phase.value} | {row.direction.value} | {row.price} |"
        assert line in DOCUMENT


def test_the_registry_has_the_specification_s_messages() -> None:
    wanted = "version verack ping pong addr getaddr block getblocks headers getheaders inv tx mempool getdata notfound"
    core = [row.name for row in REGISTRY if row.message_class is MessageClass.CORE]
    assert sorted(core) == sorted(wanted.split())
    assert sorted(BY_NAME) == sorted([*core, "dandeliontx"])


NAME = re.compile(r"[a-z0-9-]+")
FAULTS = {
    "Violation": "violation",
    "Malformed": "malformed",
    "Closed": "close",
    "close": "close",
    "PeerFault": "silent",
    "SilentFault": "silent",
    "silence": "silent",
}


def rules_in_code(*packages: str) -> dict[str, str]:
    """Each rule that the sources name, with its kind: what is raised, how a link is closed, what is charged."""
    found: dict[str, str] = {}
    for path in sorted(path for package in packages for path in (ROOT / "src/obscura" / package).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name in FAULTS and call.args:
                at, kind = call.args[0], FAULTS[name]
                if any(one.arg == "fault" for one in call.keywords):
                    kind = "violation"
            elif name == "charge" and len(call.args) == 3 and isinstance(call.args[0], ast.Name):
                at, kind = call.args[1], f"{getattr(limits, call.args[0].id)} points"
            else:
                continue
            for node in ast.walk(at):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                    found[node.value] = kind
    return found


def test_the_names_of_rules_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \| ([^|]+) \|$", DOCUMENT, re.MULTILINE)
    assert rules_in_code(".") == {name: kind for name, kind, _ in rows}
    assert all(meaning.strip() for _, _, meaning in rows)


def test_every_rule_of_the_wire_has_a_vector() -> None:
    named = rules_in_code("base", "wire", "channel").items()
    faults = {name for name, kind in named if kind not in ("close", "silent")}
    assert {one["rule"] for one in VECTORS + STREAMS if "rule" in one} == faults


def test_the_handshake_in_bytes() -> None:
    lines = re.findall(r"^([IR]) → [IR]  ([0-9a-f]+)$", DOCUMENT, re.MULTILINE)
    assert [side for side, _ in lines] == ["I", "R", "R", "I"]
    sent = [bytes.fromhex(data) for _, data in lines]
    ours, theirs = (Version.from_payload(frame[HEADER_SIZE:]) for frame in sent[:2])
    initiator, responder = make_channel(Role.INITIATOR, ours), make_channel(Role.RESPONDER, theirs)
    assert initiator.take_data(START) == sent[0]
    assert feed(responder, sent[0]) == []
    assert responder.take_data(START) == sent[1] + sent[2]
    assert isinstance(feed(initiator, sent[1] + sent[2])[0], Opened)
    assert initiator.take_data(START) == sent[3]
    assert isinstance(feed(responder, sent[3])[0], Opened)


def test_limits_document() -> None:
    text = (ROOT / "docs/limits.md").read_text()
    rows = [f"| {one.name} | {one.value:,} | {one.unit} | {one.reason} |" for one in LIMITS]
    assert [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| limit")] == rows
    assert all(one.reason and one.value > 0 for one in LIMITS)
