"""A node with keys: who gets in, who is met by silence and for how long, pins, rations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from veil import STATIC, SeededKeys, secure_channel
from veiled_node import OTHER, START, WALL, Rig, address, opened

from obscura.base.errors import BugError
from obscura.base.instant import Duration, Now, after, seconds
from obscura.base.limits import (
    HANDSHAKE_TIMEOUT,
    HANDSHAKES_BURST,
    HANDSHAKES_PER_SECOND,
    LOBBY_PER_GROUP,
    RATIONS_RESERVED,
    READ_ON_BYTES,
    SEND_JITTER,
    SINK_LONGEST,
    SINK_SHORTEST,
)
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.channel import Channel, Closed, Opened, Role
from obscura.channel.access import access_garbage
from obscura.channel.handshake import InitiatorHandshake
from obscura.channel.secure import SecureTransport
from obscura.crypto.agreement import KeyPair
from obscura.ledgers.memory import MemoryLedger
from obscura.node import Node, NodeConfig, doors
from obscura.node.effects import Admit, Dial, Drop, Notice, Pause, Resume, SavePin, Send, Tell
from obscura.peers.pins import NamedPin
from obscura.peers.replay import ReplayWindow
from obscura.shaping import CoverOptions, PadShaper, Profile, Shaping
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.blocks import GetHeaders, Headers, Tx
from obscura.wire.gossip import Addr
from obscura.wire.identity import KeyClass
from obscura.wire.target import Mode, Target


def test_a_node_without_keys_must_say_that_it_is_plain() -> None:
    ledger = MemoryLedger(relays=False)
    config = NodeConfig(network="memory", user_agent="/t/")
    with pytest.raises(BugError, match="vault"):
        Node(config, ledger, Chance.from_seed(1), ledger.restore(), (), Now(START, WALL))


def test_a_veiled_link_opens() -> None:
    rig = Rig()
    conn, channel = opened(rig)
    [peer] = rig.node.snapshot(rig.now).peers
    assert peer.conn == conn
    assert peer.encrypted
    assert peer.transport == "veiled"
    assert peer.session == channel.transport.session_id


def test_who_comes_from_a_network_of_another_class_meets_the_listener_s_identity() -> None:
    """Private networks use fc00::/8, which is CJDNS's."""
    rig = Rig()
    conn = rig.node.accepted(NetAddress(Network.CJDNS, b"\xfc" + bytes(15), 8333), rig.now)
    assert conn is not None
    channel = secure_channel(Role.INITIATOR, genesis=rig.genesis, pin=STATIC.public)
    assert isinstance(rig.link(conn, channel)[0], Opened)


@pytest.mark.parametrize("mode", [Mode.LITERAL, Mode.PLAIN])
def test_a_clear_version_at_a_veiled_node(mode: Mode) -> None:
    rig = Rig()
    conn = rig.accept()
    assert rig.link(conn, secure_channel(Role.INITIATOR, mode, genesis=rig.genesis)) == []
    assert rig.closed() == ["clear-frame"]
    assert not rig.dropped(conn)


PROBES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a few bytes": lambda: b"\x16\x03\x01",
    "HTTP": lambda: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "random": lambda: Chance.from_seed(8).take_bytes(6_000),
    "a clear version": lambda: secure_channel(Role.INITIATOR, Mode.PLAIN).take_data(START),
}


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("access", [None, b"\x09" * 32])
def test_every_probe_ends_at_the_same_moment(name: str, access: bytes | None) -> None:
    rig = Rig(access=access, replays=ReplayWindow())
    conn = rig.accept()
    said = rig.give(conn, PROBES[name]())
    if access is not None:
        assert said == b"", "a keyed listener says nothing"
    assert rig.give(conn, b"\x77" * 9_000) in (b"", said) or access is None
    rig.run(Duration(HANDSHAKE_TIMEOUT - 1))
    assert not rig.dropped(conn)
    assert rig.give(conn, b"more") == b""
    rig.run(Duration(1))
    assert rig.dropped(conn)
    assert rig.give(conn, b"more") == b""


def test_the_end_of_a_stream_is_answered_at_once() -> None:
    rig = Rig()
    conn = rig.accept()
    rig.give(conn, secure_channel(Role.INITIATOR, Mode.PLAIN).take_data(START))
    assert not rig.dropped(conn)
    rig.node.disconnected(conn, rig.now)
    rig.drain()
    assert rig.dropped(conn)
    rig.run(seconds(100))
    assert rig.effects.count(Drop(conn)) == 1


def test_a_record_that_fails_starts_a_sink() -> None:
    spans = []
    for number in range(12):
        rig = Rig()
        conn, channel = opened(rig)
        for _ in range(number):
            rig.node.accepted(address(9), rig.now)  # other draws of chance, by other names of links
        rig.run(SEND_JITTER)  # its first ping and its first questions are out
        rig.sent_so_far(conn)
        channel.send(Tx(b"z" * 200))
        record = bytearray(channel.take_data(rig.now.mono))
        record[40] ^= 1
        assert rig.give(conn, bytes(record)) == b""
        assert rig.closed()[-1] == "tag-wrong"
        assert not rig.dropped(conn)
        begun = rig.now.mono
        rig.run(Duration(SINK_SHORTEST - 1))
        assert not rig.dropped(conn)
        while not rig.dropped(conn):
            deadline = rig.node.next_deadline()
            assert deadline is not None
            rig.run(Duration(max(0, deadline - rig.now.mono)))
        spans.append(rig.now.mono - begun)
    assert all(SINK_SHORTEST <= span <= SINK_LONGEST for span in spans)


def test_a_sink_answers_by_decoys_as_a_link_that_lives_does() -> None:
    """Who flips a byte sees no difference: what comes is answered now and then, whatever it is."""
    cover = Shaping(profile=Profile.COVER, cover=CoverOptions(rate=0))
    answered = []
    for flip in (False, True):
        count = 0
        for seed in range(30):
            rig = Rig(shaping=cover, seed=seed)
            conn, channel = opened(rig)
            rig.run(seconds(2))
            rig.sent_so_far(conn)
            for at in range(6):
                channel.send(Tx(bytes(at)))
                record = bytearray(channel.take_data(rig.now.mono))
                record[40] ^= flip
                rig.node.receive(conn, bytes(record), rig.now)
                rig.run(seconds(0.3))
                count += bool(rig.sent_so_far(conn))
        answered.append(count)
    assert all(40 < count < 140 for count in answered)
    assert abs(answered[0] - answered[1]) < 35


def test_a_sink_goes_on_at_the_constant_rate_of_its_link() -> None:
    """And not where nobody takes it: what it emits would pile up."""
    rig = Rig(shaping=Shaping(profile=Profile.STEADY))
    conn, _ = opened(rig)
    rig.run(seconds(1))
    rig.sent_so_far(conn)
    assert rig.give(conn, bytes(18)) == b""
    assert rig.closed()[-1] == "tag-wrong"
    rate = Shaping().steady.lowest
    rig.run(seconds(10))
    assert len(rig.sent_so_far(conn)) == 10 * rate
    rig.node.congested(conn, rig.now)
    rig.run(seconds(5))
    assert rig.sent_so_far(conn) == b""
    rig.node.drained(conn, rig.now)
    rig.run(seconds(5))
    assert len(rig.sent_so_far(conn)) == 5 * rate
    rig.run(Duration(SINK_LONGEST - seconds(20)))
    assert rig.dropped(conn)


def test_a_steady_link_is_read_on_while_nothing_more_is_dealt_with_up_to_a_bound() -> None:
    rig = Rig(shaping=Shaping(profile=Profile.STEADY))
    conn, channel = opened(rig)
    rig.run(seconds(1))
    rig.node.congested(conn, rig.now)
    rig.drain()
    paused = [Pause(conn), Resume(conn)]
    assert not any(one in paused for one in rig.effects)
    for _ in range(2):
        channel.send(Tx(bytes(READ_ON_BYTES // 2 - 100)))
        rig.node.receive(conn, channel.take_data(rig.now.mono), rig.now)
        rig.drain()
        assert not any(one in paused for one in rig.effects)
    channel.send(Tx(bytes(1_000)))
    rig.node.receive(conn, channel.take_data(rig.now.mono), rig.now)
    rig.drain()
    assert [one for one in rig.effects if one in paused] == [Pause(conn)]
    rig.node.drained(conn, rig.now)
    rig.drain()
    assert [one for one in rig.effects if one in paused] == [Pause(conn), Resume(conn)]
    assert rig.node.snapshot(rig.now).peers[0].state == "open"


def test_sinks_count_among_the_strangers() -> None:
    """A group that is full of silent connections loses its oldest to a new one, as with any stranger."""
    rig = Rig()
    conns = []
    for number in range(LOBBY_PER_GROUP):
        conn = rig.accept(number, group=3)
        rig.give(conn, secure_channel(Role.INITIATOR, Mode.PLAIN).take_data(START))
        conns.append(conn)
    assert not any(rig.dropped(conn) for conn in conns)
    rig.accept(99, group=3)
    rig.drain()
    assert rig.dropped(conns[0])
    assert not any(rig.dropped(conn) for conn in conns[1:])


def test_a_stopping_node_ends_its_sinks() -> None:
    rig = Rig()
    conn = rig.accept()
    rig.give(conn, secure_channel(Role.INITIATOR, Mode.PLAIN).take_data(START))
    rig.node.stop(rig.now)
    rig.drain()
    assert rig.dropped(conn)


class TestRations:
    def test_who_comes_over_them_waits_and_is_answered(self) -> None:
        rig = Rig()
        answered: dict[ConnId, int] = {}
        conns = []
        for number in range(HANDSHAKES_BURST - RATIONS_RESERVED + 3):
            # Each group comes more than once: the last of the burst are not for it.
            conn = rig.accept(number % 250, group=number % 50)
            conns.append(conn)
            answered[conn] = len(rig.give(conn, Chance.from_seed(number).take_bytes(40)))
        assert sum(1 for size in answered.values() if size) == HANDSHAKES_BURST - RATIONS_RESERVED
        waiting = [conn for conn in conns if not answered[conn]]
        assert waiting == conns[-3:]
        rig.effects.clear()
        rig.run(Duration(3 * 1_000_000 // HANDSHAKES_PER_SECOND))
        late = [one.conn for one in rig.effects if isinstance(one, Send)]
        assert list(dict.fromkeys(late)) == waiting, "in their order"

    def test_of_a_crowd_one_is_answered_in_each_turn_of_the_loop(self) -> None:
        """An answer costs a millisecond, and links are served between two."""
        rig = Rig()
        for number in range(HANDSHAKES_BURST + 5):
            rig.give(rig.accept(number % 250, group=number % 50), Chance.from_seed(number).take_bytes(40))
        rig.now = Now(after(rig.now.mono, seconds(1)), rig.now.wall)
        for _ in range(5):
            rig.effects.clear()
            rig.node.handle_deadline(rig.now)
            rig.drain()
            assert len({one.conn for one in rig.effects if isinstance(one, Send)}) == 1
            deadline = rig.node.next_deadline()
            assert deadline is not None
            assert deadline <= rig.now.mono, "and the next one at once"
        rig.give(rig.accept(251, group=51), Chance.from_seed(9_999).take_bytes(40))
        deadline = rig.node.next_deadline()
        assert deadline is not None
        assert deadline <= rig.now.mono, "whoever comes meanwhile"


class TestKeyed:
    SECRET = b"\x0a" * 32

    def knock(self, rig: Rig, hour: int, seed: int = 0) -> tuple[Channel, bytes]:
        keys = SeededKeys(seed)
        pair = keys.hidden()

        def begin(start: bytes) -> InitiatorHandshake:
            return InitiatorHandshake(
                keys, start, access_garbage(self.SECRET, pair.hidden, b"pad" * 9, hour), pin=STATIC.public, pair=pair
            )

        transport = SecureTransport(begin, rig.genesis, Mode.VEILED, dialled=True)
        model = secure_channel(Role.INITIATOR, genesis=rig.genesis)
        channel = Channel(Role.INITIATOR, model._version, lambda _: False, Chance.from_seed(1), rig.now.mono, transport)
        return channel, pair.hidden

    def test_a_guest_gets_in_and_a_copy_of_its_knock_does_not(self) -> None:
        rig = Rig(access=self.SECRET, replays=ReplayWindow())
        conn = rig.accept()
        channel, _ = self.knock(rig, WALL // 3_600)
        first = channel.take_data(rig.now.mono)
        answer = rig.give(conn, first)
        assert len(answer) > 1_200
        again = rig.accept(2)
        assert rig.give(again, first) == b""
        assert rig.closed() == ["replayed"]
        assert not rig.dropped(again)
        channel.receive_data(answer, rig.now.mono)
        assert any(isinstance(one, Opened) for one in rig.link(conn, channel))

    def test_an_old_knock(self) -> None:
        rig = Rig(access=self.SECRET, replays=ReplayWindow())
        conn = rig.accept()
        channel, _ = self.knock(rig, WALL // 3_600 - 2)
        assert rig.give(conn, channel.take_data(rig.now.mono)) == b""

    def asked(self, rig: Rig) -> tuple[ConnId, Channel]:
        """A guest has knocked, and the guard has not answered."""
        conn = rig.accept()
        channel, shown = self.knock(rig, WALL // 3_600)
        assert rig.give(conn, channel.take_data(rig.now.mono)) == b""
        assert [one for one in rig.effects if isinstance(one, Admit)] == [Admit(conn, shown, rig.now.wall)]
        assert rig.give(conn, b"more") == b""
        assert sum(isinstance(one, Admit) for one in rig.effects) == 1, "it is asked once"
        return conn, channel

    def test_nothing_is_said_before_the_guard_has_answered(self) -> None:
        rig = Rig(access=self.SECRET)
        conn, _ = self.asked(rig)
        rig.run(seconds(3))
        assert rig.sent(conn) == b""
        rig.node.admitted(conn, True, rig.now)
        assert len(rig.sent(conn)) > 1_200

    @pytest.mark.parametrize("trouble", ["", "the disk is full"])
    def test_who_is_not_admitted_meets_silence(self, trouble: str) -> None:
        rig = Rig(access=self.SECRET)
        conn, _ = self.asked(rig)
        rig.node.admitted(conn, False, rig.now, trouble=trouble)
        assert rig.sent(conn) == b""
        assert rig.closed() == ["replayed"]
        assert not rig.dropped(conn)
        notices = [one.event for one in rig.effects if isinstance(one, Tell) and isinstance(one.event, Notice)]
        assert [one.name for one in notices] == ["no-peers"] + ["replays-unwritable"] * bool(trouble)

    def test_a_disk_that_fails_is_told_once_until_it_is_well(self) -> None:
        rig = Rig(access=self.SECRET)

        def answer(number: int, new: bool, trouble: str) -> int:
            conn = rig.accept(number)
            channel, _ = self.knock(rig, WALL // 3_600, number)
            rig.give(conn, channel.take_data(rig.now.mono))
            rig.effects.clear()
            rig.node.admitted(conn, new, rig.now, trouble=trouble)
            rig.drain()
            return sum(isinstance(one, Tell) and isinstance(one.event, Notice) for one in rig.effects)

        full = "the disk is full"
        assert [answer(number, False, full) for number in range(3)] == [1, 0, 0]
        assert answer(3, True, "") == 0
        assert [answer(number, False, full) for number in (4, 5)] == [1, 0]

    def test_no_more_are_before_the_guard_than_it_judges_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doors, "KNOCKS_JUDGED", 2)
        rig = Rig(access=self.SECRET)
        conns = []
        for number in range(5):
            conns.append(rig.accept(number, group=number))
            channel, _ = self.knock(rig, WALL // 3_600, number)
            rig.give(conns[-1], channel.take_data(rig.now.mono))

        def asked() -> list[ConnId]:
            return [one.conn for one in rig.effects if isinstance(one, Admit)]

        assert asked() == conns[:2]
        rig.run(seconds(3))
        assert asked() == conns[:2], "time alone makes no room"
        rig.node.disconnected(conns[0], rig.now)
        rig.drain()
        assert asked() == conns[:2], "the guard still works for who has gone"
        rig.node.admitted(conns[0], True, rig.now)
        assert rig.sent(conns[0]) == b""
        assert asked() == conns[:3], "the next in turn"
        for conn in conns[1:]:
            rig.node.admitted(conn, True, rig.now)
            assert len(rig.sent(conn)) > 1_200
        assert asked() == conns

    def test_who_has_gone_meanwhile(self) -> None:
        rig = Rig(access=self.SECRET)
        conn, _ = self.asked(rig)
        rig.node.disconnected(conn, rig.now)
        rig.drain()
        rig.node.admitted(conn, True, rig.now)
        assert rig.sent(conn) == b""


class TestDials:
    def dial(self, rig: Rig, static: KeyPair = STATIC) -> tuple[Dial, list[object]]:
        [dial] = [one for one in rig.drain() + rig.effects if isinstance(one, Dial)][:1]
        rig.node.connected(dial.conn, rig.now)
        channel = secure_channel(Role.RESPONDER, Mode.PLAIN, genesis=rig.genesis, static=static)
        told: list[object] = []
        data = rig.sent(dial.conn)
        while data:
            channel.receive_data(data, rig.now.mono)
            while (event := channel.next_event(rig.now.mono)) is not None:
                told.append(event)
            if channel.may_answer:
                channel.answer()
            data = rig.give(dial.conn, channel.take_data(rig.now.mono))
        return dial, told

    def notices(self, rig: Rig) -> list[str]:
        return [one.event.name for one in rig.effects if isinstance(one, Tell) and isinstance(one.event, Notice)]

    def test_the_first_key_of_a_named_peer_is_pinned(self) -> None:
        rig = Rig(connect=(Target(address(7)),))
        _, told = self.dial(rig, OTHER)
        assert isinstance(told[0], Opened)
        [pin] = [one for one in rig.effects if isinstance(one, SavePin)]
        assert pin.key == OTHER.public

    @pytest.mark.parametrize("mode", list(Mode))
    def test_another_key_is_refused_loudly_and_nothing_is_sent_to_it(self, mode: Mode) -> None:
        """Also by a node whose other dials are in clear: a pin is checked on a veiled link."""
        rig = Rig(mode, connect=(Target(address(7)),), pins=(NamedPin(address(7), STATIC.public, WALL),))
        dial, told = self.dial(rig, OTHER)
        assert told == []
        assert rig.closed() == ["key-changed"]
        assert self.notices(rig).count("key-changed") == 1
        assert not rig.dropped(dial.conn)
        rig.run(HANDSHAKE_TIMEOUT)
        assert rig.dropped(dial.conn)

    def test_nothing_is_dialled_in_its_place_before_the_silence_is_over(self) -> None:
        """A new dial would tell who sits between when, and so at which byte, the last one failed."""
        rig = Rig(connect=(Target(address(7)),), pins=(NamedPin(address(7), STATIC.public, WALL),))
        self.dial(rig, OTHER)
        rig.run(Duration(HANDSHAKE_TIMEOUT - 1))
        assert sum(isinstance(one, Dial) for one in rig.effects) == 1
        rig.run(seconds(5))
        assert sum(isinstance(one, Dial) for one in rig.effects) == 2

    def test_a_key_that_another_dial_has_pinned_meanwhile_is_told_of_once(self) -> None:
        rig = Rig(connect=(Target(address(7)),))
        rig.node._state.pins.meet(Target(address(7)), STATIC.public, WALL)
        self.dial(rig, OTHER)
        assert rig.closed() == ["key-changed"]
        assert self.notices(rig) == ["key-changed"]

    def test_the_same_key_is_welcome(self) -> None:
        rig = Rig(connect=(Target(address(7)),), pins=(NamedPin(address(7), OTHER.public, WALL),))
        _, told = self.dial(rig, OTHER)
        assert isinstance(told[0], Opened)
        assert not [one for one in rig.effects if isinstance(one, SavePin)]

    def test_who_relays_our_dial_to_our_own_listener_does_not_silence_a_pinned_peer(self) -> None:
        rig = Rig(connect=(Target(address(7)),), pins=(NamedPin(address(7), OTHER.public, WALL),))
        self.dial(rig, STATIC)
        assert rig.closed() == ["key-changed"]
        rig.run(Duration(HANDSHAKE_TIMEOUT + seconds(5)))
        assert sum(isinstance(one, Dial) for one in rig.effects) == 2

    def test_a_named_peer_that_shows_our_own_key_is_dialled_again(self) -> None:
        rig = Rig(connect=(Target(address(7)),))
        self.dial(rig, STATIC)
        assert rig.closed() == ["own-key"]
        rig.run(Duration(HANDSHAKE_TIMEOUT + seconds(5)))
        assert sum(isinstance(one, Dial) for one in rig.effects) == 2

    def test_the_answer_to_a_dial_that_was_earned_goes_out_whatever_follows(self) -> None:
        """M3 is earned by M2, and junk in the same read does not take it back."""
        sizes = []
        for junk in (b"", bytes(100)):
            rig = Rig(connect=(Target(address(7)),), shaping=Shaping(profile=Profile.OFF))
            rig.drain()
            [dial] = [one for one in rig.effects if isinstance(one, Dial)]
            rig.node.connected(dial.conn, rig.now)
            channel = secure_channel(Role.RESPONDER, genesis=rig.genesis, static=OTHER)
            channel.receive_data(rig.sent(dial.conn), rig.now.mono)
            assert channel.next_event(rig.now.mono) is None
            channel.answer()
            sizes.append(len(rig.give(dial.conn, channel.take_data(rig.now.mono) + junk)))
        assert sizes[0] == sizes[1] > 1_120

    def test_our_own_key_is_a_link_to_ourselves(self) -> None:
        rig = Rig(connect=(Target(address(7)),))
        _, told = self.dial(rig)
        assert told == []
        assert rig.closed() == ["own-key"]

    def test_a_literal_dial_pins_nothing(self) -> None:
        rig = Rig(connect=(Target(address(7), Mode.LITERAL),))
        _, told = self.dial(rig, OTHER)
        assert isinstance(told[0], Opened)
        assert not [one for one in rig.effects if isinstance(one, SavePin)]


def test_the_channel_says_why_it_has_gone_silent() -> None:
    channel = secure_channel(Role.RESPONDER)
    channel.silence("replayed", START)
    assert channel.next_event(START) == Closed("replayed", fault=True, silent=True)


class TestShape:
    def test_messages_wait_a_little_and_pings_do_not(self) -> None:
        rig = Rig()
        conn, channel = opened(rig)
        channel.send(GetHeaders(1, (rig.genesis,), bytes(32)))
        said = rig.give(conn, channel.take_data(rig.now.mono))
        rig.run(SEND_JITTER)
        said += rig.sent_so_far(conn)
        assert len(said) % 256 == 0
        channel.receive_data(said, rig.now.mono)
        told = []
        while (event := channel.next_event(rig.now.mono)) is not None:
            told.append(event)
        assert any(isinstance(event, Headers) for event in told)

    def test_a_link_that_fails_goes_on_in_its_shape(self) -> None:
        """What waited when a record failed comes at its time, in its amount, as random bytes."""
        rig = Rig()
        conn, channel = opened(rig)
        rig.run(SEND_JITTER)
        rig.sent_so_far(conn)
        channel.send(GetHeaders(1, (rig.genesis,), bytes(32)))
        assert rig.give(conn, channel.take_data(rig.now.mono) + bytes(18)) == b""
        assert rig.closed() == ["tag-wrong"]
        rig.run(SEND_JITTER)
        ghost = rig.sent_so_far(conn)
        assert len(ghost) == 256
        channel.receive_data(ghost, rig.now.mono)
        assert channel.next_event(rig.now.mono) == Closed("tag-wrong", fault=True, silent=True), "no record"
        rig.run(Duration(SINK_LONGEST))
        assert rig.sent_so_far(conn) == b""
        assert rig.dropped(conn)

    def test_a_peer_that_ends_a_silent_connection_gets_what_was_held_back(self) -> None:
        """As it would on a link that has not failed."""
        sizes = []
        for bad in (b"", bytes(18)):
            rig = Rig()
            conn, channel = opened(rig)
            rig.run(SEND_JITTER)
            rig.sent_so_far(conn)
            channel.send(GetHeaders(1, (rig.genesis,), bytes(32)))
            assert rig.give(conn, channel.take_data(rig.now.mono) + bad) == b""
            rig.node.disconnected(conn, rig.now)
            sizes.append(len(rig.sent(conn)))
            assert rig.dropped(conn)
        assert sizes == [256, 256]

    def test_the_handshake_s_bursts_have_many_lengths(self) -> None:
        first, second = set(), set()
        for seed in range(12):
            rig = Rig(seed=seed)
            conn = rig.accept()
            channel = secure_channel(
                Role.INITIATOR, genesis=rig.genesis, seed=seed, shaper=PadShaper(Chance.from_seed(seed), 2)
            )
            answer = rig.give(conn, channel.take_data(rig.now.mono))
            channel.receive_data(answer, rig.now.mono)
            third = channel.take_data(rig.now.mono)
            first.add(len(third))
            second.add(len(rig.give(conn, third)))
        assert len(first) > 8
        assert len(second) > 8

    def test_decoys_are_paid_for(self) -> None:
        rig = Rig()
        conn, channel = opened(rig)
        sealer = channel.transport._sealer
        assert sealer is not None
        record = lambda: b"".join(sealer.seal([], 3, rig.now.mono))  # noqa: E731
        for _ in range(40):
            rig.give(conn, b"".join(record() for _ in range(10_000)))
            if Pause(conn) in rig.effects:
                break
        assert Pause(conn) in rig.effects

    def test_without_shaping(self) -> None:
        rig = Rig(shaping=Shaping(profile=Profile.OFF))
        conn, channel = opened(rig)
        channel.send(GetHeaders(1, (rig.genesis,), bytes(32)))
        assert 0 < len(rig.give(conn, channel.take_data(rig.now.mono))) < 256


class TestWhereAKeyedListenerIs:
    SECRET = b"\x0b" * 32

    def gossip(self, rig: Rig, of: NetAddress) -> tuple[ConnId, Channel]:
        conn, channel = opened(rig)
        channel.send(Addr((AddressEntry(WALL, 0, of),)))
        rig.give(conn, channel.take_data(rig.now.mono))
        return conn, channel

    def test_a_guest_neither_keeps_nor_tells_it(self) -> None:
        where = address(7)
        rig = Rig(connect=(Target(where, Mode.VEILED, OTHER.public, self.SECRET),), discover=True)
        rig.drain()
        [dial] = [one for one in rig.effects if isinstance(one, Dial)]
        assert dial.address == where, "it is dialled"
        self.gossip(rig, where)
        self.gossip(rig, address(8))
        book = rig.node._state.book
        assert where not in book
        assert address(8) in book, "others are learnt"
        rig.node.add_peer(Target(address(8), Mode.VEILED, OTHER.public, self.SECRET), rig.now)
        assert address(8) not in book, "what was known before is forgotten"

    def test_the_listener_does_not_pass_its_own_on(self) -> None:
        rig = Rig(discover=True, hidden=address(9))
        self.gossip(rig, address(9))
        assert address(9) not in rig.node._state.book


def test_a_silent_link_keeps_its_slot() -> None:
    rig = Rig()
    conn, channel = opened(rig)
    channel.send(Tx(b"z"))
    rig.give(conn, channel.take_data(rig.now.mono) + bytes(18))
    assert rig.closed() == ["tag-wrong"]
    assert rig.node._state.company.pools[KeyClass.CLEARNET].open == 1
    rig.run(SINK_LONGEST)
    assert rig.dropped(conn)
    assert rig.node._state.company.pools[KeyClass.CLEARNET].open == 0


class TestNamedAnew:
    """Who is named by a key takes the place of whoever was there before."""

    def test_a_link_of_gossip_ends(self) -> None:
        rig = Rig(connect=(Target(address(7)),))
        dial, told = TestDials().dial(rig, OTHER)
        assert isinstance(told[0], Opened)
        rig.node.add_peer(Target(address(7), Mode.VEILED, STATIC.public[::-1]), rig.now)
        rig.drain()
        assert rig.closed() == ["named-anew"]
        assert rig.dropped(dial.conn)
        rig.run(seconds(5))
        again = [one for one in rig.effects if isinstance(one, Dial)][-1]
        assert again.conn != dial.conn
        assert rig.node._state.dials[again.conn].key == STATIC.public[::-1]

    def test_a_dial_under_way_asks_for_the_key_that_is_named_meanwhile(self) -> None:
        rig = Rig(connect=(Target(address(7)),))
        rig.drain()
        rig.node.add_peer(Target(address(7), Mode.VEILED, STATIC.public[::-1]), rig.now)
        _, told = TestDials().dial(rig, OTHER)
        assert told == []
        assert rig.closed() == ["key-changed"]
