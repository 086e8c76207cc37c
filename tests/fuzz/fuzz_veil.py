"""Whatever comes instead of a handshake, a knock or records, a link works, waits or goes silent, and holds little."""

from __future__ import annotations

from collections.abc import Iterator

import other_veil
from choices import Choices
from pair import START
from veil import GENESIS, STATIC, SeededKeys, secure_channel

import rig
from obscura.base.instant import Instant
from obscura.base.limits import GARBAGE_BYTES, RECORD_BODY_BYTES, SEND_JITTER
from obscura.base.randomness import Chance
from obscura.channel import Channel, Closed, Opened, Role
from obscura.channel.access import SecretAccess, access_garbage
from obscura.channel.handshake import Mode, ResponderHandshake
from obscura.channel.records import RecordOpener
from obscura.channel.secure import SecureTransport
from obscura.crypto.cipher import CipherState
from obscura.shaping import PadShaper
from obscura.shaping.sizes import RECORD_OVERHEAD
from obscura.wire.blocks import Tx

MAX_LEN = 2_048
REACHES = (
    "channel.access.SecretAccess.admits",
    "channel.handshake.InitiatorHandshake._read_garbage",
    "channel.handshake.InitiatorHandshake._read_keys",
    "channel.handshake.ResponderHandshake._await_access",
    "channel.handshake.ResponderHandshake._read_ciphertext",
    "channel.handshake.ResponderHandshake.answer",
    "channel.handshake._Handshake._finish",
    "channel.records.RecordOpener._carried",
    "channel.records.RecordOpener.open",
    "channel.secure.SecureTransport._at_the_door",
    "channel.secure.SecureTransport.forget",
    "channel.secure.SecureTransport.secure",
    "crypto.cipher.CipherState.rekey",
)
KEY = bytes(range(32))
SECRET = b"\x0b" * 32
HOUR = 480_000
HELD = 32 + GARBAGE_BYTES + 16 + 1_250
"""The most that a handshake keeps of what has come."""
MODES = tuple(Mode)


def run(data: bytes) -> None:
    """The first byte chooses the scene."""
    choices = Choices(data)
    match choices.below(4):
        case 0:
            door(choices)
        case 1:
            lies(choices)
        case 2:
            knocks(choices)
        case _:
            records(choices)


def pull(channel: Channel, told: list[object]) -> None:
    while (event := channel.next_event(START)) is not None:
        assert not (told and isinstance(told[-1], Closed)), "nothing follows the end"
        told.append(event)
    handshake = channel.transport._handshake if isinstance(channel.transport, SecureTransport) else None
    assert handshake is None or len(handshake._stream) <= HELD
    if told and isinstance(told[-1], Closed):
        assert channel.buffered == 0
        if told[-1].silent:
            # An answer to our handshake that was earned before the fault still goes out, once.
            channel.take_data(START)
            assert channel.take_data(START) == b"", "silence"
            assert not channel.may_answer


def feed(channel: Channel, data: bytes, step: int, told: list[object], choices: Choices) -> None:
    for at in range(0, len(data), step):
        channel.receive_data(data[at : at + step], START)
        pull(channel, told)
        if channel.may_answer and choices.below(8):
            channel.answer()
            assert not channel.may_answer


def door(choices: Choices) -> None:
    """Any bytes at a listener of any mode, in any cut."""
    channel = secure_channel(Role.RESPONDER, choices.pick(MODES))
    told: list[object] = []
    step = 1 + choices.below(64)
    while choices.more:
        match choices.below(4):
            case 0:
                data = choices.piece()
            case 1:
                data = choices.piece() * (1 + choices.below(200))
            case 2:
                data = secure_channel(Role.INITIATOR, choices.pick(MODES)).take_data(START)
            case _:
                data = b"\x99\0\0\0version\0\0\0\0\0"[: choices.below(17)]
        feed(channel, data, step, told, choices)
    assert not any(isinstance(event, Opened) for event in told), "nobody opens a link without the keys"


def lies(choices: Choices) -> None:
    """A true link of any two modes, on which somebody changes, drops, doubles or adds bytes."""
    sides = {
        Role.INITIATOR: secure_channel(Role.INITIATOR, choices.pick(MODES), seed=choices.below(3)),
        Role.RESPONDER: secure_channel(
            Role.RESPONDER, choices.pick(MODES), seed=choices.below(3), shaper=PadShaper(Chance.from_seed(1))
        ),
    }
    told: dict[Role, list[object]] = {role: [] for role in Role}
    lied = dict.fromkeys(Role, False)
    sent = 0
    for turn in range(12):
        now = Instant(START + turn * SEND_JITTER)
        for role, other in ((Role.INITIATOR, Role.RESPONDER), (Role.RESPONDER, Role.INITIATOR)):
            source, target = sides[role], sides[other]
            if source.state.value == "open" and sent < 4:
                source.send(Tx(b"a transaction of no meaning" * (1 + choices.below(90))))
                sent += 1
            data = bytearray(source.take_data(now))
            if data and choices.below(4) == 1:
                at = choices.below(len(data))
                match choices.below(4):
                    case 0:
                        data[at] ^= 1 + choices.below(255)
                    case 1:
                        del data[at : at + 1 + choices.byte()]
                    case 2:
                        data[at:at] = choices.piece()
                    case _:
                        data[at:at] = data[at : at + 1 + choices.byte()]
                lied[other] = True
            feed(target, bytes(data), 1 + choices.below(2_000), told[other], choices)
    for role, channel in sides.items():
        if channel.transport.secured and not any(lied.values()):
            assert channel.transport.responder == STATIC.public
        for event in told[role]:
            assert not isinstance(event, Tx) or event.to_payload().startswith(b"a transaction"), "what arrives was sent"


def knocks(choices: Choices) -> None:
    """Garbage at a keyed listener: only the holder of the secret is answered."""
    keys = SeededKeys(3)
    pair = keys.hidden()
    good = access_garbage(SECRET, pair.hidden, choices.piece(), HOUR + choices.below(5) - 2)
    garbage = bytearray(good)
    what = choices.below(4)
    if what == 1:
        garbage[choices.below(len(garbage))] ^= 1 + choices.below(255)
    elif what == 2:
        garbage[:0] = choices.piece()
    elif what == 3:
        garbage = bytearray(choices.rest())
    responder = ResponderHandshake(SeededKeys(4), GENESIS, STATIC, b"", access=SecretAccess(SECRET, HOUR))
    stream = pair.hidden + bytes(garbage)
    step = 1 + choices.below(300)
    for at in range(0, len(stream), step):
        responder.receive(stream[at : at + step])
    hours = [HOUR - 1, HOUR, HOUR + 1]
    known = any(bytes(garbage) == access_garbage(SECRET, pair.hidden, bytes(garbage[:-32]), hour) for hour in hours)
    assert responder.may_answer is known
    assert responder.take_data() == b""


def records(choices: Choices) -> None:
    """Bodies of any form, sealed right, in any cut, against a second reading of the form."""
    opener, key, counter, stream, wanted, fault = RecordOpener(CipherState(KEY)), KEY, 0, b"", b"", False
    while choices.more:
        aead = other_veil.ChaCha20Poly1305(key)
        body = choices.piece()
        if choices.below(3):
            used = choices.below(len(body) + 1)
            flags = choices.below(2) if choices.below(8) else choices.byte()
            body = body[:used] + bytes(choices.below(40)) + used.to_bytes(2, "little") + bytes([flags])
        size = len(body) if choices.below(16) else choices.below(65_536)
        head = aead.encrypt(other_veil.nonce(counter), size.to_bytes(2, "little"), None)
        sealed = aead.encrypt(other_veil.nonce(counter + 1), body, None)
        stream += head + sealed
        counter += 2
        used = int.from_bytes(body[-3:-1], "little") if len(body) >= 3 else 1 << 20
        whole = size == len(body) and 3 <= size <= RECORD_BODY_BYTES and used <= size - 3
        if not whole or any(body[used:-3]) or body[-1] > 1:
            fault = True
            break
        wanted += body[:used]
        if body[-1] == 1:
            key, counter = other_veil.rekeyed(key), 0
    got, step = b"", 1 + len(stream) // 7
    for at in range(0, len(stream), step):
        got += b"".join(opener.open(stream[at : at + step]))
        assert opener.buffered < RECORD_BODY_BYTES + RECORD_OVERHEAD
    assert got == wanted, "what stands before a fault is taken, whatever the cut"
    # A record that claims to be longer than it is may still be waited for.
    assert opener.fault is None or fault, "a good record is no fault"


def seeds() -> Iterator[bytes]:
    """Each scene, each lie."""
    yield b""
    for mode in range(3):
        yield bytes([0, mode, 63, 2, mode, 1]) + b"\x20" * 30
        yield bytes([0, mode, 0, 3, 16, 0, 40]) + bytes(range(40))
        yield bytes([0, mode, 40, 1, 200]) + b"\xaa" * 200 + bytes([150, 1, 1])
        for other in range(3):
            yield bytes([1, mode, 0, other, 0]) + bytes([2, 0, 7, 208, 1] * 20)
            yield bytes([1, mode, 0, other, 0]) + bytes([0, 3, 3, 7]) * 30
            for lie in range(4):
                yield bytes([1, mode, 0, other, 0, 0, 2, 0, 1, 0, 5, lie, 9, 9, 9, 3, 0, 1, 0, 40, lie, 8]) * 3
    for what in range(4):
        for hour in range(5):
            yield bytes([2, 3, 1, 2, 3, hour, what, 20, 7, 50, 1])
    for flags in range(3):
        yield bytes([3]) + bytes([5, 1, 2, 3, 4, 5, 1, 5, 1, flags, 9, 1]) * 4
        yield bytes([3, 3, 0, 0, 0, 0, 1]) + bytes([3, 0, 0, flags, 0, 1])
    for stream in rig.protocol_blocks("vectors")[:2]:
        yield bytes([0, 2, 63, 0, 200]) + bytes.fromhex(stream.get("payload", ""))[:200]
