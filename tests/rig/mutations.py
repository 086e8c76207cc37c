"""Valid sessions, spoilt in many ways and replayed at a node, while honest links beside them are watched."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from hostile import HANG_S, NOW, Client, Watch, responder, source
from memory_stage import ALLOWANCE, LINK_OBJECTS
from recording import BASE_BLOCKS, BASE_SIZE, Session, record
from subject import Subject

from obscura.base.limits import BLOCK_BYTES, BLOCKS_IN_FLIGHT, READ_BYTES
from obscura.channel.transport import PlainTransport, Transport
from obscura.wire.frame import HEADER_SIZE, encode_frame

SIDES = 1
"""Mutated sessions at once."""
BATCH = 100
"""Mutations for one node process; then it must end cleanly, and a fresh one meets the recorded chain as news."""
MINE_EVERY = 10
EARLY = 10
"""Frames of a good session that no node takes amiss."""
QUIET_S = 0.003
"""A node that says nothing for so long waits for us."""
SEND, SPOIL, PAUSE, END, RESET = "send", "spoil", "pause", "end", "reset"
"""``spoil`` writes like ``send``, with a bit flipped in what goes over the wire."""
Step = tuple[str, bytes]
Frames = tuple[bytes, ...]


def _sent(frames: list[bytes] | Frames) -> list[Step]:
    return [(SEND, one) for one in frames]


def _flip(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    spoilt = [bytearray(one) for one in frames]
    for _ in range(draw.randint(1, 8)):
        one = draw.choice(spoilt)
        one[draw.randrange(len(one))] ^= 1 << draw.randrange(8)
    return _sent([bytes(one) for one in spoilt])


def _part(frames: Frames, draw: random.Random) -> list[Step]:
    """The first frames, the last of them not whole."""
    at = draw.randrange(len(frames))
    return _sent([*frames[:at], frames[at][: draw.randrange(len(frames[at]))]])


def _truncate(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    return [*_part(frames, draw), (END, b"")]


def _duplicate(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    listed = list(frames)
    at = draw.randrange(len(listed))
    listed[at:at] = [listed[at]] * draw.choice((1, 2, 50))
    return _sent(listed)


def _reorder(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    listed = list(frames)
    # The handshake stays in its place most of the time, or nothing else would be reached.
    begin = draw.choice((0, 2, 2, 2))
    end = min(len(listed), begin + draw.randint(2, len(listed)))
    part = listed[begin:end]
    draw.shuffle(part)
    return _sent(listed[:begin] + part + listed[end:])


def _delete(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    listed = list(frames)
    for _ in range(draw.randint(1, 3)):
        del listed[draw.randrange(len(listed))]
    return _sent(listed)


def _splice(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    return _sent(frames[: draw.randint(1, len(frames))] + other[draw.randrange(len(other)) :])


def _refit(frame: bytes, payload: bytes) -> bytes:
    """The frame with another payload, its size and checksum right."""
    return encode_frame(frame[4:16], payload)


def _count(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    listed = list(frames)
    at = draw.choice([at for at, one in enumerate(listed) if len(one) > HEADER_SIZE])
    payload = listed[at][HEADER_SIZE:]
    count = draw.choice((b"\0", b"\1", b"\xfc", b"\xfd\xd0\x07", b"\xfd\xff\xff", b"\xfe" + b"\xff" * 4, b"\xff" * 9))
    place = draw.choice((0, 0, 4)) if len(payload) > 4 else 0
    listed[at] = _refit(listed[at], payload[:place] + count + payload[place + 1 :])
    return _sent(listed)


def _length(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    listed = list(frames)
    at = draw.randrange(len(listed))
    payload = listed[at][HEADER_SIZE:]
    longer = payload + draw.randbytes(draw.choice((1, 36, 5_000)))
    payload = draw.choice((payload[: draw.randint(0, len(payload))], longer))
    listed[at] = _refit(listed[at], payload)
    if draw.random() < 0.3:
        # A size that is not that of the payload: what follows is read at the wrong places.
        listed[at] = struct.pack("<I", draw.choice((0, 1, BLOCK_BYTES, 0xFFFF_FFFF))) + listed[at][4:]
    return _sent(listed)


def _field(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    listed = list(frames)
    for _ in range(draw.randint(1, 3)):
        at = draw.choice([at for at, one in enumerate(listed) if len(one) > HEADER_SIZE])
        payload = bytearray(listed[at][HEADER_SIZE:])
        width = draw.choice((1, 4, 8, 32))
        place = draw.randrange(len(payload))
        value = draw.choice((bytes(width), b"\xff" * width, draw.randbytes(width)))
        payload[place : place + width] = value
        listed[at] = _refit(listed[at], bytes(payload))
    return _sent(listed)


def _timing(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    stream = b"".join(frames)
    steps, at = list[Step](), 0
    while at < len(stream):
        size = draw.choice((1, 19, 21, 1_000, 100_000)) if len(steps) < 200 else len(stream)
        steps.append((SEND, stream[at : at + size]))
        at += size
        if draw.random() < 0.05:
            steps.append((PAUSE, b""))
    return steps


def _half_close(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    return [*_sent(frames[: draw.randint(0, len(frames))]), (END, b"")]


def _reset(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    return [*_part(frames, draw), (RESET, b"")]


def _whole(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    """As it was recorded: shows how deep the others begin."""
    return _sent(frames)


KINDS: dict[str, Callable[[Frames, Frames, random.Random], list[Step]]] = {
    "bytes flipped": _flip,
    "stream truncated": _truncate,
    "frames duplicated": _duplicate,
    "frames reordered": _reorder,
    "frames deleted": _delete,
    "sessions spliced": _splice,
    "counts changed": _count,
    "lengths changed": _length,
    "fields changed": _field,
    "cuts and pauses": _timing,
    "half-closed": _half_close,
    "reset": _reset,
    "none": _whole,
}


def _flip_sealed(frames: Frames, other: Frames, draw: random.Random) -> list[Step]:
    """Good frames, and a flipped bit in the record of one of them: the rest is poured into silence. It is an early one,
    as half of the good sessions end by ``fault-budget`` later: the blocks of the recording are unasked for here."""
    steps = _sent(frames)
    at = draw.randrange(EARLY)
    steps[at] = (SPOIL, steps[at][1])
    return steps


SEALED = "sealed bytes flipped"
VEILED_KINDS = KINDS | {SEALED: _flip_sealed}


@dataclass(frozen=True)
class Mutation:
    """One spoilt session. ``dials`` says that we are the initiator."""

    kind: str
    dials: bool
    steps: list[Step]


@dataclass
class Report:
    """What a run found. Sizes in bytes above a node's memory before it."""

    kinds: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    peak: int = 0
    bound: int = 0
    pings: int = 0
    pings_lost: int = 0
    slowest_s: float = 0.0
    blocks: int = 0
    nodes: int = 0


def draw_mutations(sessions: list[Session], count: int, seed: int, *, veiled: bool = False) -> list[Mutation]:
    """The same ones for the same sessions and seed; each kind and each role comes as often as any other."""
    draw = random.Random(seed)
    kinds = VEILED_KINDS if veiled else KINDS
    mutations = []
    for number, kind in zip(range(count), itertools.cycle(kinds), strict=False):
        session, another = draw.choice(sessions), draw.choice(sessions)
        dials = number // len(kinds) % 2 == 0
        frames = session.initiator if dials else session.responder
        other = draw.choice((another.initiator, another.responder))
        mutations.append(Mutation(kind, dials, kinds[kind](frames, other, draw)))
    return mutations


def _play(sock: socket.socket, steps: list[Step], seal: Seal) -> bool:
    """Write the steps, reading what comes, until the node closes or a moment after the last one; whether it did not."""
    sock.setblocking(False)
    try:
        for verb, data in steps:
            if verb == PAUSE:
                time.sleep(0.02)
            elif verb == END:
                sock.shutdown(socket.SHUT_WR)
            elif verb == RESET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return True
            elif not _pour(sock, seal(data, spoilt=verb == SPOIL)):
                return False
        deadline = time.monotonic() + 0.05
        while (left := deadline - time.monotonic()) > 0 and select.select([sock], [], [], left)[0]:
            if not sock.recv(262_144):
                return False
    except OSError:
        return False
    finally:
        sock.close()
    return True


def _pour(sock: socket.socket, data: bytes) -> bool:
    """Write a piece, then hear the node out: so its questions come before the answers that were recorded."""
    view = memoryview(data)
    deadline = time.monotonic() + 2
    while view or select.select([sock], [], [], QUIET_S)[0]:
        readable, writable, _ = select.select([sock], [sock] if view else [], [], 0.2)
        if readable and not sock.recv(262_144):
            return False
        if writable:
            view = view[sock.send(view) :]
        if time.monotonic() > deadline:
            return False
    return True


class Seal:
    """Makes a session's clear bytes those of the wire."""

    def __init__(self, transport: Transport, seed: int) -> None:
        self._transport = transport
        self._draw = random.Random(seed)

    def __call__(self, data: bytes, *, spoilt: bool) -> bytes:
        self._transport.put([data], NOW, urgent=True)
        wire = bytearray(b"".join(self._transport.take(NOW)))
        if spoilt:
            wire[self._draw.randrange(len(wire))] ^= 1 << self._draw.randrange(8)
        return bytes(wire)


def _one(node: Subject, mutation: Mutation, number: int, veiled: bool) -> None:
    host = source(number % 400)
    if mutation.dials:
        with contextlib.suppress(ConnectionError):
            client = Client(node.address, host, greet=False, veiled=veiled)
            _judge(mutation, _play(client.sock, mutation.steps, Seal(client.wire, number)))
        return
    with socket.socket() as listener:
        listener.bind((host, 0))
        listener.listen()
        listener.settimeout(HANG_S)
        address = f"{host}:{listener.getsockname()[1]}"
        node.dial(address)
        link, _ = listener.accept()
        node.forget(address)
        wire: Transport = responder() if veiled else PlainTransport()
        while veiled and not wire.secured:
            wire.open(link.recv(262_144), NOW)
            if wire.may_answer:
                wire.answer()
            link.sendall(b"".join(wire.take(NOW)))
        _judge(mutation, _play(link, mutation.steps, Seal(wire, number)))


def _judge(mutation: Mutation, stands: bool) -> None:
    """A good session whose records fail from somewhere on: the node takes all of it and does not end the connection."""
    assert stands or mutation.kind != SEALED, f"the node has ended a link that it should keep in silence: {mutation}"


def _batch(mutations: list[Mutation], report: Report, veiled: bool) -> None:
    with Subject(blocks=BASE_BLOCKS, size=BASE_SIZE, discover=True, outbound_slots=0, veiled=veiled) as node:
        host, port = node.address
        with Subject(connect=[f"{host}:{port}"], veiled=veiled) as follower:
            watch = Watch(node.address, veiled=veiled)
            watch.expect(node.mine())
            base = node.mark()
            with ThreadPoolExecutor(SIDES) as players:
                playing = [players.submit(_one, node, one, number, veiled) for number, one in enumerate(mutations)]
                for number, future in enumerate(playing):
                    future.result(HANG_S)
                    if number % MINE_EVERY == 0:
                        watch.expect(node.mine())
                        report.blocks += 1
            watch.expect_pongs()
            watch.expect(last := node.mine())
            # The honest links are left, and nobody else.
            deadline = time.monotonic() + HANG_S
            while (mine := node.state())["links"] != 2 or follower.state()["height"] != mine["height"]:
                assert time.monotonic() < deadline, f"{mine} and {follower.state()} after block {last.hex()}"
                time.sleep(0.05)
            report.peak = max(report.peak, node.peak - base)
            report.pings += watch.pings
            report.slowest_s = max(report.slowest_s, watch.slowest_s)
            report.pings_lost += bool(watch.failure)
            watch.close()
            assert follower.log().count("link-closed") == 0, follower.log()
            assert follower.stop() == 0
        code, log = node.stop(), node.log()
        assert code == 0, f"the node ended with {code}: {log[-3_000:]}"
        for word in ("defect", "Traceback", "listener-failed"):
            assert word not in log, log[log.index(word) - 500 :][:6_000]
        report.rules.update(re.findall(r"link-closed .*reason=(\S+)", log))
        report.nodes += 1


def run(count: int, seed: int, progress: Callable[[int], None] = lambda done: None, *, veiled: bool = False) -> Report:
    """Record, spoil, replay, in clear or inside veiled links. Raises ``AssertionError`` with the log where a node or an
    honest link suffers."""
    sessions = [asyncio.run(record(*shape)) for shape in ((2, 1, 300), (1, 0, 60_000), (3, 2, 2_000))]
    report = Report()
    report.bound = SIDES * (2 * (BLOCK_BYTES + READ_BYTES) + LINK_OBJECTS) + BLOCKS_IN_FLIGHT * 60_000 + ALLOWANCE
    mutations = draw_mutations(sessions, count, seed, veiled=veiled)
    for begin in range(0, count, BATCH):
        _batch(mutations[begin : begin + BATCH], report, veiled)
        progress(min(count, begin + BATCH))
    report.kinds.update(one.kind for one in mutations)
    return report
