"""Active attacks on real sockets: whatever is changed, left out, repeated or made up, and wherever, nothing is answered
that was not earned, all ends are one, and each end is a FIN.

64 positions of what goes over a link, 40 times each, and probes of open and of keyed ports between them, in random
order. The node's handshake may take two seconds here instead of thirty; all connections are clients in one process.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aio_nodes import RealNode, make_vault, run, running, until
from hostile import source
from kolmogorov import holm, same_distribution, uniform
from pair import make_version
from veil import PRIVATE, secure_channel

from obscura.aio.clock import read_clock
from obscura.aio.entropy import SystemSecrets
from obscura.base.instant import seconds
from obscura.channel import Channel, Opened, Role
from obscura.crypto.agreement import KeyPair
from obscura.ledgers.memory import MemoryLedger
from obscura.node.effects import Notice
from obscura.peers.pins import NamedPin
from obscura.wire.address import NetAddress, address_from_ip
from obscura.wire.registry import encode_message

pytestmark = pytest.mark.slow
DEADLINE_S = 2.0
POSITIONS, TIMES = 64, 40
PER_SECOND = 140
"""New connections: the node answers 200 handshakes a second, and who waits for an answer has less time."""
GENESIS = MemoryLedger().tip
M1, M2, M3 = 62, 32 + 30 + 16 + 48 + 1_200, 1_120
"""Lengths with the garbage of :func:`secure_channel`."""
EARNED = (1_296, 1_296 + 4_095)
"""An answer to a first message."""


@dataclass
class Outcome:
    """How a connection went."""

    kind: str
    said: int = 0
    """Bytes of the node."""
    opened: float = 0.0
    ended: float = 0.0
    """Seconds after the connection stood, and after the link was open."""


class Client:
    """One connection to a node. A reset raises."""

    def __init__(self, kind: str, number: int) -> None:
        self.outcome = Outcome(kind)
        self.host = source(number)
        self.received = b""
        self._begun = 0.0

    async def connect(self, node: RealNode) -> None:
        self.reader, self.writer = await asyncio.open_connection(
            node.address.host(), node.address.port, local_addr=(self.host, 0)
        )
        self._begun = time.monotonic()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self) -> bytes:
        """Some bytes; none at the node's end."""
        data = await self.reader.read(65_536)
        self.outcome.said += len(data)
        if not data:
            self.outcome.ended = time.monotonic() - self._begun
        return data

    async def wait_for_the_end(self) -> Outcome:
        while not self.outcome.ended and await self.read():
            pass
        self.writer.close()
        return self.outcome

    async def speak(self, channel: Channel, flip: int = -1) -> None:
        """Play the initiator until the node says nothing more, or the link is open; change one byte on the way."""
        given, data = 0, bytearray(channel.take_data(read_clock().mono))
        while True:
            if 0 <= flip - given < len(data):
                data[flip - given] ^= 1 << random.randrange(8)
            given += len(data)
            self.send(bytes(data))
            if self.outcome.opened or not (heard := await self.read()):
                return
            channel.receive_data(heard, read_clock().mono)
            if isinstance(channel.next_event(read_clock().mono), Opened):
                self.outcome.opened = time.monotonic() - self._begun
            data = bytearray(channel.take_data(read_clock().mono))


Attack = Callable[[Client], Coroutine[Any, Any, Outcome]]


def initiator() -> Channel:
    return secure_channel(Role.INITIATOR, genesis=GENESIS, seed=0)


def flipped(position: int) -> Attack:
    async def attack(client: Client) -> Outcome:
        await client.speak(initiator(), position)
        return await client.wait_for_the_end()

    return attack


def thrown(make: Callable[[], bytes]) -> Attack:
    async def attack(client: Client) -> Outcome:
        client.send(make())
        return await client.wait_for_the_end()

    return attack


async def chatter(client: Client) -> Outcome:
    """Talks until it has heard the end: bytes lie unread whenever the node stops."""

    async def talk() -> None:
        while True:
            client.send(os.urandom(200))
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    try:
        return await client.wait_for_the_end()
    finally:
        talking.cancel()


@dataclass
class Recorded:
    """What an initiator has sent on a link that was good, and on another."""

    pieces: list[list[bytes]] = field(default_factory=list)

    async def record(self, node: RealNode) -> None:
        for number in (4_000, 4_001):
            client, channel, pieces = Client("recorded", number), initiator(), []
            await client.connect(node)
            event = None
            while not isinstance(event, Opened):
                pieces.append(channel.take_data(read_clock().mono))
                client.send(pieces[-1])
                heard = await client.read()
                assert heard, "the node speaks"
                channel.receive_data(heard, read_clock().mono)
                event = channel.next_event(read_clock().mono)
            client.writer.close()
            self.pieces.append(pieces)

    def replayed(self) -> bytes:
        return b"".join(self.pieces[0])

    def spliced(self) -> bytes:
        return self.pieces[0][0] + b"".join(self.pieces[1][1:])

    def cut(self, share: float) -> Callable[[], bytes]:
        return lambda: (whole := self.replayed())[: int(len(whole) * share)]


def probes(recorded: Recorded) -> dict[str, Attack]:
    """What comes from somebody who holds no keys."""
    return {
        "nothing": thrown(lambda: b""),
        "31 bytes": thrown(lambda: os.urandom(31)),
        "random": thrown(lambda: os.urandom(5_000)),
        "HTTP": thrown(lambda: b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: a\r\n\r\n"),
        "TLS": thrown(lambda: bytes.fromhex("16030100f8010000f40303") + os.urandom(240)),
        "a clear version": thrown(lambda: encode_message(make_version(5, PRIVATE))),
        "low order": thrown(lambda: bytes(32) + os.urandom(2_000)),
        "replayed": thrown(recorded.replayed),
        "spliced": thrown(recorded.spliced),
        "cut early": thrown(recorded.cut(0.02)),
        "cut": thrown(recorded.cut(0.5)),
        "chatter": chatter,
    }


async def attack_all(node: RealNode, attacks: dict[str, Attack], times: int, rate: float) -> list[Outcome]:
    """Each attack so many times, in random order."""
    order = [name for name in attacks for _ in range(times)]
    random.shuffle(order)

    async def one(number: int, name: str) -> Outcome:
        await asyncio.sleep(number / rate)
        client = Client(name, number)
        await client.connect(node)
        return await attacks[name](client)

    return await asyncio.gather(*(one(number, name) for number, name in enumerate(order)))


def by_kind(outcomes: list[Outcome]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.kind, []).append(outcome.ended)
    return found


def assert_one_distribution(ends: dict[str, list[float]]) -> None:
    """Each kind's ends against those of all others together, at .001 over all kinds."""
    p_values = {
        kind: same_distribution(values, [value for other, rest in ends.items() if other != kind for value in rest])
        for kind, values in ends.items()
    }
    assert holm(p_values, 0.001) == [], p_values


def assert_in_time(outcomes: list[Outcome]) -> None:
    """Roughly: on a busy machine a client looks at its clock late. Exactly is what virtual time shows."""
    early_or_late = [one for one in outcomes if not DEADLINE_S - 0.5 < one.ended < DEADLINE_S + 2]
    assert not early_or_late


def test_an_open_port() -> None:
    async def main() -> None:
        node = RealNode(vault=make_vault(), handshake_timeout=seconds(DEADLINE_S))
        recorded = Recorded()
        async with running(node):
            await recorded.record(node)
            length = sum(map(len, recorded.pieces[0]))
            positions = sorted({round(at * (length - 1) / (POSITIONS - 1)) for at in range(POSITIONS)})
            assert len(positions) == POSITIONS
            attacks = {f"byte {at}": flipped(at) for at in positions} | probes(recorded)
            outcomes = await attack_all(node, attacks, TIMES, PER_SECOND)
        assert_in_time(outcomes)
        for outcome in outcomes:
            if outcome.kind in ("nothing", "31 bytes", "a clear version", "cut early"):
                # "cut early" ends in the middle of the first message's 32 bytes.
                assert outcome.said == 0, outcome.kind
            elif outcome.kind.startswith("byte") and int(outcome.kind[5:]) >= M1 + M3 + 150:
                assert outcome.said >= EARNED[0]
            else:
                assert EARNED[0] <= outcome.said <= EARNED[1], outcome.kind
        assert_one_distribution(by_kind(outcomes))

    run_long(main())


def test_a_keyed_port() -> None:
    async def main() -> None:
        guarded = RealNode(vault=make_vault(os.urandom(32)), handshake_timeout=seconds(DEADLINE_S))
        other = RealNode(vault=make_vault())
        recorded = Recorded()
        async with running(guarded, other):
            await recorded.record(other)
            outcomes = await attack_all(guarded, probes(recorded), TIMES, PER_SECOND)
        assert {outcome.said for outcome in outcomes} == {0}, "nothing at all"
        assert_in_time(outcomes)
        assert_one_distribution(by_kind(outcomes))

    run_long(main())


def test_an_open_link_whose_record_fails() -> None:
    """The end comes after a time that is uniform, wherever the byte was, and however much came behind it."""
    low, high = 1.0, 3.0

    def broken(position: int, more: int) -> Attack:
        async def attack(client: Client) -> Outcome:
            channel = initiator()
            await client.speak(channel)
            assert client.outcome.opened > 0
            await asyncio.sleep(0.1)
            channel.handle_deadline(read_clock().mono)
            channel.close("stopped")
            record = bytearray(channel.take_data(read_clock().mono))
            record[position % len(record)] ^= 1
            begun = time.monotonic()
            client.send(bytes(record) + os.urandom(more))
            outcome = await client.wait_for_the_end()
            outcome.ended = time.monotonic() - begun
            return outcome

        return attack

    async def main() -> None:
        node = RealNode(vault=make_vault(), inbound_slots=600, sink_span=(seconds(low), seconds(high)))
        attacks = {f"byte {at} and {more}": broken(at, more) for at in (0, 17, 18, 40, 64) for more in (0, 100_000)}
        async with running(node):
            outcomes = await attack_all(node, attacks, TIMES, 60)
        ends = by_kind(outcomes)
        assert_one_distribution(ends)
        everything = [end for values in ends.values() for end in values]
        assert low - 0.05 < min(everything)
        assert max(everything) < high + 0.5
        # A few milliseconds pass before the node knows.
        assert uniform(everything, low, high + 0.02) > 0.001

    run_long(main())


def test_the_end_of_a_stream_is_answered_at_once() -> None:
    async def main() -> None:
        node = RealNode(vault=make_vault(), handshake_timeout=seconds(30))
        recorded = Recorded()

        def ended(share: float) -> Attack:
            async def attack(client: Client) -> Outcome:
                client.send(recorded.replayed()[: int(share)])
                client.writer.write_eof()
                return await client.wait_for_the_end()

            return attack

        async with running(node):
            await recorded.record(node)
            attacks = {f"after {size}": ended(size) for size in (0, 1, 20, 32, 62, 700, 1_182, 1_250)}
            outcomes = await attack_all(node, attacks, 5, 100)
        assert all(outcome.ended < 5 for outcome in outcomes), "not the deadline's thirty seconds"

    run_long(main())


class Liar:
    """A listener that plays the responder to whoever comes, and changes one byte of what it sends."""

    def __init__(self, position: int, static: KeyPair | None = None) -> None:
        self.position = position
        self.ends: list[float] = []
        self.said: list[int] = []
        self.opened = 0
        self.static = static or KeyPair.generate(SystemSecrets())

    async def serve(self, host: str) -> None:
        self.server = await asyncio.start_server(self._take, host, 0)
        self.address = address_from_ip(*self.server.sockets[0].getsockname()[:2])

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun, given, said = time.monotonic(), 0, 0
        channel = secure_channel(Role.RESPONDER, genesis=GENESIS, static=self.static)
        while data := await reader.read(65_536):  # a reset would raise, and the loop's complaint fail the test
            said += len(data)
            channel.receive_data(data, read_clock().mono)
            event = channel.next_event(read_clock().mono)
            self.opened += isinstance(event, Opened)
            if channel.may_answer:
                channel.answer()
            out = bytearray(channel.take_data(read_clock().mono))
            if 0 <= self.position - given < len(out):
                out[self.position - given] ^= 1 << random.randrange(8)
            given += len(out)
            writer.write(bytes(out))
        self.ends.append(time.monotonic() - begun)
        self.said.append(said)
        writer.close()


def test_who_dials_is_as_silent() -> None:
    """64 positions of what a responder sends, met by eight nodes that dial them again and again."""

    async def main() -> None:
        positions = [round(at * (M2 + 150) / (POSITIONS - 1)) for at in range(POSITIONS)]
        liars = [Liar(position) for position in positions]
        for number, liar in enumerate(liars):
            await liar.serve(source(number + 6_000))
        addresses = [liar.address for liar in liars]
        ends: dict[str, list[float]] = {f"byte {liar.position}": [] for liar in liars}
        said: dict[int, list[int]] = {liar.position: [] for liar in liars}
        for _ in range(TIMES // 8):
            # New nodes each time, because one waits longer and longer before it dials a peer again.
            nodes = [RealNode(addresses, vault=make_vault(), handshake_timeout=seconds(DEADLINE_S)) for _ in range(8)]
            async with running(*nodes):
                await until(lambda: all(len(liar.ends) >= 8 for liar in liars), "all have ended")
                for liar in liars:
                    ends[f"byte {liar.position}"] += liar.ends[:8]
                    said[liar.position] += liar.said[:8]
            for liar in liars:
                liar.ends, liar.said = [], []
        for liar in liars:
            liar.server.close()
        assert all(DEADLINE_S - 0.5 < end < DEADLINE_S + 2 for values in ends.values() for end in values)
        for position, sizes in said.items():
            if position < M2:
                assert all(32 <= size <= 32 + 4_095 for size in sizes), "nothing behind the first message"
        assert_one_distribution(ends)

    run_long(main())


def test_somebody_in_the_middle_is_caught_by_the_pin() -> None:
    """A whole, unchanged handshake under another static key: the node that dials says nothing more."""

    async def main() -> None:
        liar = Liar(-1)
        await liar.serve(source(6_900))
        pins: list[NamedPin] = []

        def keep(changes: Sequence[tuple[NetAddress, NamedPin | None]]) -> None:
            [(_, pin)] = changes
            assert pin is not None
            pins.append(pin)

        first = RealNode([liar.address], vault=make_vault(), save_pins=keep)
        async with running(first):
            await until(lambda: liar.opened and pins, "the first key is taken, and kept")
        liar.static = KeyPair.generate(SystemSecrets())
        liar.opened, liar.said = 0, []
        second = RealNode([liar.address], vault=make_vault(), handshake_timeout=seconds(DEADLINE_S), pins=pins)
        async with running(second):
            await until(lambda: liar.said, "the node has given up")
        liar.server.close()
        assert liar.opened == 0
        assert all(32 <= said <= 32 + 4_095 for said in liar.said), "a first message, and nothing behind it"
        assert [one.name for one in second.events if isinstance(one, Notice)] == ["key-changed"] * len(liar.said)

    run_long(main())


def run_long(main: Coroutine[Any, Any, None]) -> None:
    run(asyncio.new_event_loop, main, limit_s=100)
