"""The node machine's links: dialling, slots, self-connection, gossip, limits, clock jumps."""

from __future__ import annotations

import pytest
from nodes import Host, World, node_address
from pair import make_version
from stranger import Stranger

from obscura.base.instant import Instant, Now, WallTime, seconds
from obscura.base.limits import ADDR_ITEMS, DIALS_AT_ONCE, HANDSHAKE_TIMEOUT, LOBBY_LINKS, LOBBY_PER_GROUP, TOKENS_BURST
from obscura.node.effects import DialFailed, LinkClosed, LinkOpened, Notice, Pause, Resume
from obscura.peers.defences import Defences
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Ping, Verack
from obscura.wire.identity import KeyClass
from obscura.wire.registry import encode_message
from obscura.wire.target import Target


@pytest.fixture
def world() -> World:
    return World()


def peers(host: Host, world: World) -> int:
    return len(host.node.snapshot(world.now).peers)


def public(number: int) -> NetAddress:
    return NetAddress(Network.IPV4, bytes([20, number, 0, 1]), 8333)


def crowded(number: int) -> NetAddress:
    """Two of each network group."""
    group = number // 2
    return NetAddress(Network.IPV4, bytes([20 + group // 256, group % 256, number % 2, 1]), 9)


class TestDialling:
    def test_a_named_peer_that_is_away_is_found_later(self, world: World) -> None:
        host = world.add(1)
        world.run()
        world.advance(seconds(120))
        failures = [event for event in host.events if isinstance(event, DialFailed)]
        assert 3 <= len(failures) <= 40
        world.add()
        world.advance(seconds(61))
        assert peers(host, world) == 1

    def test_a_lost_peer_is_dialled_again(self, world: World) -> None:
        first, second = world.add(), world.add(0)
        world.run()
        [picture] = first.node.snapshot(world.now).peers
        first.node._state.peers[picture.conn].channel.close("test")
        first.node.handle_deadline(world.now)
        first.node._state.wake(picture.conn)
        first.node.receive(picture.conn, b"", world.now)
        world.run()
        world.advance(seconds(10))
        assert peers(second, world) == 1
        assert sum(isinstance(event, LinkOpened) for event in second.events) == 2

    def test_self_connection(self, world: World) -> None:
        host = world.add(0)
        world.run()
        assert peers(host, world) == 0
        reasons = [event.reason for event in host.events if isinstance(event, LinkClosed)]
        assert "self-connection" in reasons
        world.advance(seconds(3_600))
        again = len([event for event in host.events if isinstance(event, LinkClosed)]) // 2
        # The operator has named it; whoever repeats a nonce of ours must not silence a named peer.
        assert 60 <= again < 180, "as after any failure"

    def test_own_nonce_is_forgotten_with_the_link(self, world: World) -> None:
        host = world.add(0)
        world.run()
        assert host.node._state.dial_nonces == {}

    def test_inbound_slots(self, world: World) -> None:
        host = world.add(inbound_slots=2)
        first = Stranger(world, host, "127.101.1.1:1")
        second = Stranger(world, host, "127.102.1.1:1")
        third = Stranger(world, host, "127.103.1.1:1", greet=False)
        heard = third.send(encode_message(make_version(nonce=5)))
        assert not third.closed, "it waits in the lobby like anybody"
        assert heard == []
        third.say(Verack())
        assert not third.closed
        assert [one.reason for one in (first, second) if one.closed] == ["evicted"], "a newcomer takes a place"
        assert peers(host, world) == 2
        world.check()
        host.node.disconnected(third.conn, world.now)
        world.run()
        Stranger(world, host, "127.104.1.1:1")
        assert peers(host, world) == 2, "a slot that is free again is given"
        world.check()

    def test_without_eviction_newcomers_are_refused(self, world: World) -> None:
        host = world.add(inbound_slots=2, defences=Defences(eviction=False))
        Stranger(world, host, "127.101.1.1:1")
        Stranger(world, host, "127.102.1.1:1")
        third = Stranger(world, host, "127.103.1.1:1")
        assert third.reason == "slots-taken"
        assert not any(isinstance(event, LinkOpened) and event.conn == third.conn for event in host.events)
        world.check()

    def test_a_full_group_loses_its_own_oldest(self, world: World) -> None:
        host = world.add()
        other = Stranger(world, host, "127.100.1.1:1", greet=False)
        crowd = [Stranger(world, host, f"127.101.1.{n}:1", greet=False) for n in range(1, LOBBY_PER_GROUP + 2)]
        world.run()
        assert crowd[0].reason == "lobby-full"
        assert not any(one.closed for one in [*crowd[1:], other])
        other.say(make_version(nonce=5), Verack())
        assert not other.closed, "who was there before the crowd still gets in"
        world.check()

    def test_a_full_lobby_loses_of_its_largest_group(self, world: World) -> None:
        """A flood over many groups evicts its own; the next newcomer of any group finds a place."""
        host = world.add()
        honest = Stranger(world, host, "127.100.1.1:1", greet=False)
        for number in range(LOBBY_LINKS + 100):
            assert host.node.accepted(crowded(number), world.now) is not None
        world.run()
        assert len(host.node._state.company.pools[KeyClass.CLEARNET].lobby) == LOBBY_LINKS
        assert not honest.closed, "pairs leave before those who stand alone"
        honest.say(make_version(nonce=5), Verack())
        assert not honest.closed
        world.check()
        world.advance(HANDSHAKE_TIMEOUT)
        assert len(host.node._state.company.pools[KeyClass.CLEARNET].lobby) == 0
        assert peers(host, world) == 1
        world.check()

    def test_a_flood_leaves_no_timers(self, world: World) -> None:
        host = world.add()
        for number in range(5_000):
            host.node.accepted(crowded(number), world.now)
            host.node.take_effects()
        assert len(host.node._state.timers._heap) < 4 * LOBBY_LINKS

    def test_silent_strangers_are_dropped(self, world: World) -> None:
        host = world.add()
        stranger = Stranger(world, host, greet=False)
        world.advance(HANDSHAKE_TIMEOUT)
        assert stranger.reason == "handshake-timeout"

    def test_gossip_leads_to_links(self, world: World) -> None:
        hub = world.add()
        world.add(0)
        world.run()
        late = world.add(0)
        world.advance(seconds(60))
        assert node_address(1) in late.node._state.book
        assert peers(late, world) >= 2, "it has dialled whom it heard of"
        assert peers(hub, world) >= 2

    def test_dials_that_hang_do_not_freeze_the_node(self, world: World) -> None:
        """As many dials under way as may be, named and not, and more addresses known: time goes on. Of those that the
        operator named four count at most, so that others have their turn."""
        from obscura.node.effects import Dial

        host = world.add(*range(20, 24))
        host.filter = lambda effect: not isinstance(effect, Dial)
        for number in range(30):
            entry = AddressEntry(world.now.wall, 0, public(number))
            host.node._state.book.learn(entry, bytes([number]), world.now.wall)
        host.node.add_peer(Target(node_address(25)), world.now)
        world.advance(seconds(60))
        assert len(host.node._state.dials) == 5 + DIALS_AT_ONCE // 2
        world.check()


class TestGossip:
    def test_learning_is_limited_and_shuffled(self, world: World) -> None:
        host = world.add()
        stranger = Stranger(world, host)
        entries = tuple(AddressEntry(world.now.wall, 0, public(number)) for number in range(200))
        stranger.say(Addr(entries))
        assert len(host.node._state.book) == 1, "0.1/s, and one to begin with"
        world.advance(seconds(100))
        stranger.read()
        stranger.say(Addr(entries))
        assert 10 <= len(host.node._state.book) <= 13

    def test_getaddr_once_and_cached(self, world: World) -> None:
        host = world.add()
        book = host.node._state.book
        for number in range(100):
            book.learn(AddressEntry(world.now.wall, 0, public(number)), bytes([number]), world.now.wall)
        stranger = Stranger(world, host)
        answers = [message for message in stranger.say(GetAddr()) if isinstance(message, Addr)][:1]
        assert len(answers[0].entries) == 23 <= ADDR_ITEMS
        assert stranger.say(GetAddr()) == []
        other = Stranger(world, host, "127.150.1.1:9")
        assert other.say(GetAddr())[:1] == answers, "the same copy for a day"

    def test_fresh_addresses_are_passed_on_to_two(self, world: World) -> None:
        host = world.add()
        strangers = [Stranger(world, host, f"127.{number}.1.1:9") for number in range(100, 106)]
        for stranger in strangers[1:]:
            stranger.say(GetAddr())
        strangers[0].say(Addr((AddressEntry(world.now.wall, 0, public(1)),)))
        told = [stranger for stranger in strangers[1:] if any(isinstance(m, Addr) for m in stranger.read())]
        assert len(told) == 2
        assert strangers[0].read() == []

    def test_no_gossip_without_discovery(self, world: World) -> None:
        host = world.add(discover=False)
        stranger = Stranger(world, host)
        assert stranger.say(Addr((AddressEntry(world.now.wall, 0, public(1)),)), GetAddr()) == []
        assert len(host.node._state.book) == 0


class TestPace:
    def test_a_flooder_is_paused_and_resumed(self, world: World) -> None:
        host = world.add()
        stranger = Stranger(world, host)
        flood = encode_message(Ping(1)) * (TOKENS_BURST + 500)
        host.node.receive(stranger.conn, flood, world.now)
        effects = host.node.take_effects()
        assert any(effect == Pause(stranger.conn) for effect in effects)
        assert not any(isinstance(effect, Resume) for effect in effects)
        host.node.handle_deadline(Now(Instant(world.now.mono + seconds(1)), world.now.wall))
        assert any(effect == Resume(stranger.conn) for effect in host.node.take_effects())
        assert host.node.snapshot(world.now).peers[0].conn == stranger.conn


class TestClock:
    def test_a_jump_is_noticed_once_and_harmless(self, world: World) -> None:
        host = world.add(1)
        world.run()
        jumped = Now(Instant(world.now.mono + seconds(1)), WallTime(world.now.wall + 100_000))
        host.node.handle_deadline(jumped)
        host.node.handle_deadline(Now(Instant(jumped.mono + seconds(1)), WallTime(jumped.wall + 1)))
        names = [
            event.name
            for event in host.events + [e.event for e in host.node.take_effects() if hasattr(e, "event")]
            if isinstance(event, Notice)
        ]  # type: ignore[union-attr]
        assert names.count("clock-jump") == 1

    def test_version_time_is_rounded(self, world: World) -> None:
        host = world.add()
        stranger = Stranger(world, host, greet=False)
        stranger.send(encode_message(make_version(5)) + encode_message(Verack()))
        version = host.node._state.peers[stranger.conn].channel._version
        assert version.timestamp % 600 == 0
