"""The node's company: what links are for, who is let in, who ends, who is kept away, and what classes tell."""

from __future__ import annotations

import itertools

import pytest
from nodes import Host, World, mine_chain, node_address
from stranger import Stranger
from veil import secure_channel
from veiled_node import Rig, address

from obscura.base.errors import LocalError
from obscura.base.instant import Duration, Instant, Now, WallTime, after, seconds
from obscura.base.limits import (
    BEHIND_ANSWER,
    BEHIND_SPARED,
    BEHIND_WAIT,
    DEFECT_REST,
    EXTRA_MEAN,
    OTHER_CLASS_SHARE,
    REVIEW_EVERY,
    SAVE_AT_ONCE,
    SAVE_DELAY,
    SAVE_PAUSE,
    SEEDS_BELOW,
    SEND_TOTAL_BYTES,
    STALE_LOOK,
    STALE_TIP,
    STEADY_LINK,
)
from obscura.base.randomness import Chance
from obscura.channel import Channel, Opened, Role
from obscura.node.effects import AcceptHeaders, LinkClosed, Notice
from obscura.peers.bans import parse_subject
from obscura.peers.defences import Defences
from obscura.peers.dialing import Purpose
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.blocks import Block, Headers
from obscura.wire.features import Feature
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr
from obscura.wire.identity import KeyClass
from obscura.wire.target import Target

QUIET = Defences(feelers=False)


@pytest.fixture
def world() -> World:
    return World()


def know(host: Host, *others: Host) -> None:
    """Put other nodes into a node's address book."""
    for other in others:
        now = host.world.now.wall
        host.node._state.book.learn(AddressEntry(now, 0, other.address), other.address.group(), now)
    host.node._state.plan_dials(host.world.now)


def purposes(host: Host) -> list[str]:
    return [peer.purpose for peer in host.node.snapshot(host.world.now).peers if peer.purpose]


def ends(host: Host) -> list[str]:
    return [event.reason for event in host.events if isinstance(event, LinkClosed)]


def crowd(world: World, count: int, **config: object) -> tuple[Host, list[Host]]:
    """A node that has links of its own choice to others."""
    others = [world.add(discover=False) for _ in range(count)]
    host = world.add(**({"defences": QUIET} | config))  # type: ignore[arg-type]
    know(host, *others)
    world.advance(seconds(30))
    return host, others


class TestPurposes:
    def test_slots_are_filled_by_purpose(self, world: World) -> None:
        host, _ = crowd(world, 12)
        assert sorted(purposes(host)) == 2 * ["blocks"] + 8 * ["full"]
        world.check()

    def test_block_only_links_carry_blocks_alone(self, world: World) -> None:
        host, others = crowd(world, 3, outbound_slots=1)
        host.mine(3)
        world.advance(seconds(10))
        mine = {peer.address: peer for peer in host.node.snapshot(world.now).peers}
        kinds = {"full": 0, "blocks": 0}
        for other in others:
            peer = mine[other.address]
            [theirs] = other.node.snapshot(world.now).peers
            relays = bool(peer.in_force.features & Feature.BASIC_TRANSACTIONS)
            kinds[peer.purpose] += 1
            assert relays == (peer.purpose == "full")
            assert theirs.in_force == peer.in_force
            assert other.ledger.tip == host.ledger.tip, "blocks go over both"
            known = host.address in other.node._state.book
            assert not known, "nodes without discovery learn nothing"
        assert kinds == {"full": 1, "blocks": 2}

    def test_block_only_links_neither_tell_nor_take_addresses(self, world: World) -> None:
        others = [world.add() for _ in range(2)]
        host = world.add(outbound_slots=1, block_slots=1, defences=QUIET)
        know(host, *others)
        world.advance(seconds(30))
        mine = {peer.purpose: peer.address for peer in host.node.snapshot(world.now).peers if peer.purpose}
        by_address = {other.address: other for other in others}
        blocks = by_address[mine["blocks"]]
        assert host.address in by_address[mine["full"]].node._state.book
        assert host.address not in blocks.node._state.book
        [theirs] = [p for p in blocks.node._state.peers.values() if p.address == host.address]
        blocks.node._state.send(theirs, Addr((AddressEntry(world.now.wall, 0, node_address(77)),)))
        blocks.node._state.flush(theirs, world.now)
        world.run()
        assert node_address(77) not in host.node._state.book

    def test_a_feeler_notes_what_it_finds_and_ends(self, world: World) -> None:
        other = world.add(discover=False)
        named = world.add(discover=False)
        host = world.add(1, outbound_slots=1, block_slots=0)
        assert named.address == node_address(1)
        for n in range(50, 53):
            host.node._state.book.learn(AddressEntry(world.now.wall, 0, node_address(n)), b"s", world.now.wall)
        know(host, other)
        world.advance(seconds(3_600))
        record = host.node._state.book.get(other.address)
        assert record is not None
        assert record.tried
        assert set(purposes(host)) <= {"full", "named"}

    def test_links_for_blocks_are_not_renewed_when_the_node_begins_to_relay(self, world: World) -> None:
        host, _ = crowd(world, 3, outbound_slots=1)
        world.advance(seconds(120))
        assert "features-changed" not in ends(host)


class TestAnchors:
    def test_they_are_saved_when_they_open_and_used_at_the_start(self, world: World) -> None:
        host, _ = crowd(world, 12)
        anchors = host.anchors
        now = {peer.address for peer in host.node.snapshot(world.now).peers if peer.purpose == "blocks"}
        assert set(anchors) == now
        assert len(anchors) == 2
        host.node.stop(world.now)
        world.run()
        assert host.anchors == anchors, "the end of a run takes none of them away"
        again = world.add(anchors=anchors)
        world.advance(seconds(5))
        used = {peer.address for peer in again.node.snapshot(world.now).peers if peer.purpose == "blocks"}
        assert used == now

    def test_the_end_of_a_link_takes_no_anchor_away(self, world: World) -> None:
        host, others = crowd(world, 2, outbound_slots=1, block_slots=1)
        [anchor] = host.anchors
        gone = next(other for other in others if other.address == anchor)
        gone.node.stop(world.now)
        world.hosts.remove(gone)
        world.advance(seconds(20))
        assert host.anchors == (anchor,)

    def test_one_that_is_gone_gives_its_place_to_one_that_lasts(self, world: World) -> None:
        first, *others = [world.add(discover=False) for _ in range(4)]
        gone = (node_address(200), node_address(201))
        host = world.add(anchors=gone, outbound_slots=1, block_slots=1, defences=QUIET)
        know(host, first, *others)
        world.advance(Duration(STEADY_LINK - seconds(10)))
        assert purposes(host).count("blocks") == 1
        assert host.node._state.company.anchors == gone, "not one that has only just opened"
        world.advance(seconds(60))
        [lasting] = [peer.address for peer in host.node.snapshot(world.now).peers if peer.purpose == "blocks"]
        assert host.anchors == (lasting, gone[0])

    def test_hosts_that_hang_up_replace_none(self, world: World) -> None:
        host, others = crowd(world, 12)
        world.advance(seconds(120))
        kept = host.anchors
        assert len(kept) == 2
        # Those that are there now end one after the other, and so does whoever takes their place.
        for _ in range(6):
            for peer in host.node.snapshot(world.now).peers:
                if peer.purpose == "blocks":
                    end = next(other for other in others if other.address == peer.address)
                    [theirs] = [one for one in end.node._state.peers.values() if one.address == host.address]
                    theirs.channel.close("test")
                    end.node._state.wake(theirs.conn)
                    end.node.receive(theirs.conn, b"", world.now)
            world.advance(seconds(40))
        assert len(ends(host)) >= 6, "links have come and gone"
        assert host.anchors == kept


class TestReview:
    def test_a_link_for_blocks_too_many_comes_and_goes(self, world: World) -> None:
        host, _ = crowd(world, 16)
        seen = 0
        for _ in range(60):
            world.advance(Duration(EXTRA_MEAN // 3))
            seen = max(seen, purposes(host).count("blocks"))
        assert 3 <= seen <= 4, "one to compare, and one by seniority"
        assert "one-too-many" in ends(host)
        world.advance(Duration(4 * REVIEW_EVERY))
        assert purposes(host).count("full") <= 9
        world.check()

    def test_a_stale_tip_makes_it_look_for_others(self, world: World) -> None:
        host, _ = crowd(world, 12, block_slots=0)
        world.advance(Duration(STALE_TIP - seconds(60)))
        assert purposes(host).count("full") == 8
        before = set(host.node._state.peers)
        most = 8
        for _ in range(30):
            world.advance(seconds(10))
            most = max(most, purposes(host).count("full"))
        assert most == 9
        world.advance(Duration(4 * STALE_LOOK))
        assert set(host.node._state.peers) >= before, "those who came end again, as they have shown nothing"
        assert ends(host).count("one-too-many") >= 3

    def test_the_senior_one_for_blocks_is_never_the_one_too_many(self, world: World) -> None:
        host, _ = crowd(world, 16)
        state = host.node._state
        while purposes(host).count("blocks") < 3:
            world.advance(seconds(5))
        *_, middle, youngest = [peer for peer in state.open_peers() if peer.purpose is Purpose.BLOCKS]
        state.dialer._senior, state.dialer._senior_until = youngest.address, after(world.now.mono, 10 * REVIEW_EVERY)
        world.advance(Duration(3 * REVIEW_EVERY))
        assert middle.conn not in state.peers, "the younger of the two others"
        assert youngest.conn in state.peers

    def test_a_header_without_its_block_does_not_switch_the_alarm_off(self, world: World) -> None:
        host, _ = crowd(world, 12, block_slots=0)
        Stranger(world, host).say(Headers((mine_chain(host.ledger.tip, 1, b"x", world.block_time())[0][:80],)))
        world.advance(Duration(STALE_TIP + seconds(600)))
        assert host.node._state.is_stale(world.now.mono)

    def test_the_younger_one_without_a_block_leaves(self, world: World) -> None:
        host, _ = crowd(world, 16)
        state = host.node._state
        while purposes(host).count("blocks") < 3:
            world.advance(seconds(5))
        blocks = [peer for peer in state.open_peers() if peer.purpose is not None and peer.purpose.value == "blocks"]
        state.dialer._senior, state.dialer._senior_until = blocks[0].address, after(world.now.mono, 10 * REVIEW_EVERY)
        blocks[-1].worth.block_at = Instant(5)
        world.advance(Duration(3 * REVIEW_EVERY))
        assert blocks[-2].conn not in state.peers, "the youngest has brought a block, the one before it has not"
        assert blocks[-1].conn in state.peers

    def test_who_stays_behind_is_asked_once_more_and_ends(self, world: World) -> None:
        """Peers whose chain stands still while ours grows are of no use; some that had our tip once are spared."""
        host, others = crowd(world, 8, outbound_slots=8, block_slots=0)
        world.advance(Duration(2 * REVIEW_EVERY))
        assert sum(peer.worth.spared for peer in host.node._state.peers.values()) == BEHIND_SPARED
        before = list(host.node._state.peers.values())
        for other in others:
            # Its ledger never answers: it hears of the block, and stays where it is.
            other.hold = AcceptHeaders
        host.mine(2)
        world.advance(Duration(BEHIND_WAIT - REVIEW_EVERY))
        assert "behind" not in ends(host)
        world.advance(Duration(BEHIND_ANSWER + 4 * REVIEW_EVERY))
        assert ends(host).count("behind") == len(before) - BEHIND_SPARED
        assert all(peer.worth.spared == (peer.conn in host.node._state.peers) for peer in before)


class TestKeepingAway:
    def test_a_ban_ends_links_and_dials_and_lets_nobody_in(self, world: World) -> None:
        host, _ = crowd(world, 3, outbound_slots=2, block_slots=0)
        first = next(peer.address for peer in host.node.snapshot(world.now).peers)
        stranger = Stranger(world, host, "127.200.1.7:1")
        made = host.node.ban(parse_subject("127.200.1.0/24"), WallTime(world.now.wall + 600), world.now)
        assert made.kind == "operator"
        world.run()
        assert stranger.reason == "banned"
        assert host.node.accepted(stranger.address, world.now) is None
        host.node.ban(parse_subject(first.host()), None, world.now)
        world.advance(seconds(120))
        assert all(peer.address != first for peer in host.node.snapshot(world.now).peers)
        assert len(host.bans) == 2
        assert host.node.unban(parse_subject("127.200.1.0/24"), world.now)
        assert not host.node.unban(parse_subject("127.200.1.0/24"), world.now)
        world.run()
        assert sum(ban is not None for ban in host.bans.values()) == 1
        Stranger(world, host, "127.200.1.7:1")
        world.check()

    def test_a_ban_ends_by_itself(self, world: World) -> None:
        host = world.add()
        host.node.ban(parse_subject("127.200.1.7"), WallTime(world.now.wall + 60), world.now)
        world.advance(Duration(seconds(61) + SAVE_DELAY))
        assert host.node.bans(world.now) == ()
        assert list(host.bans.values()) == [None], "the store forgets it too"
        Stranger(world, host, "127.200.1.7:1")

    def test_gossip_about_the_banned_is_not_believed(self, world: World) -> None:
        host = world.add()
        host.node.ban(parse_subject(node_address(60).host()), None, world.now)
        Stranger(world, host).say(Addr((AddressEntry(world.now.wall, 0, node_address(60)),)))
        assert node_address(60) not in host.node._state.book

    def test_a_banned_peer_cannot_be_named(self, world: World) -> None:
        host = world.add()
        host.node.ban(parse_subject(node_address(60).host()), None, world.now)
        with pytest.raises(LocalError, match="is banned"):
            host.node.add_peer(Target(node_address(60)), world.now)

    def test_a_named_peer_that_is_banned_is_told_and_dialled_when_it_is_not(self, world: World) -> None:
        other = world.add(discover=False)
        host = world.add(0, discover=False)
        world.run()
        subject = parse_subject(other.address.host())
        host.node.ban(subject, None, world.now)
        world.advance(seconds(600))
        assert not purposes(host)
        host.node.start(world.now)
        assert any(isinstance(event, Notice) and event.name == "named-banned" for event in take_events(host))
        host.node.unban(subject, world.now)
        world.advance(seconds(1))
        assert purposes(host) == ["named"]


def take_events(host: Host) -> list[object]:
    host.world.run()
    return list(host.events)


def linked(rig: Rig, where: NetAddress) -> tuple[int, Channel]:
    """An encrypted inbound link from an address."""
    conn = rig.node.accepted(where, rig.now)
    assert conn is not None
    channel = secure_channel(Role.INITIATOR, genesis=rig.genesis)
    told = rig.link(conn, channel)
    assert any(isinstance(one, Opened) for one in told)
    return conn, channel


class TestDiscouragement:
    def misbehave(self, rig: Rig, where: NetAddress) -> None:
        conn, channel = linked(rig, where)
        channel.send(Block(b"\x00" * 200))
        rig.link(conn, channel)
        assert rig.closed()[-1] not in ("peer-closed", "stopped")

    def test_who_broke_the_rules_inside_the_encryption_is_discouraged(self) -> None:
        rig = Rig()
        self.misbehave(rig, address(1))
        [ban] = rig.node.bans(rig.now)
        assert ban.kind == "discouraged"
        linked(rig, address(1))
        [peer] = rig.node.snapshot(rig.now).peers
        assert peer.discouraged, "it may come while there is room"

    @pytest.mark.parametrize("where", ["127.0.0.1", "onion"])
    def test_hosts_behind_a_proxy_are_not(self, where: str) -> None:
        rig = Rig()
        hidden = NetAddress(Network.TORV3, bytes(32), 0)
        of = NetAddress(Network.IPV4, bytes([127, 0, 0, 1]), 5) if where == "127.0.0.1" else hidden
        if of is hidden:
            # Their door needs a key of its own; the fault is the same.
            peer_class = KeyClass.ONION
            assert peer_class not in rig.node._state.company.pools
            rig.node._state.door.vault.statics[peer_class] = rig.node._state.door.vault.statics[KeyClass.CLEARNET]  # type: ignore[union-attr,index]
        self.misbehave(rig, of)
        assert rig.node.bans(rig.now) == ()


class TestClasses:
    """What one identity of a node says must say nothing of another."""

    ONION = NetAddress(Network.TORV3, bytes([7]) + bytes(31), 8333)

    def test_an_address_of_another_class_is_neither_believed_nor_told(self, world: World) -> None:
        host = world.add()
        stranger = Stranger(world, host)
        stranger.say(Addr((AddressEntry(world.now.wall, 0, self.ONION),)))
        assert self.ONION not in host.node._state.book
        now = world.now.wall
        for n in range(40):
            host.node._state.book.learn(
                AddressEntry(now, 0, NetAddress(Network.TORV3, bytes([n] * 32), 1)), b"s%d" % n, now
            )
            host.node._state.book.learn(AddressEntry(now, 0, node_address(n + 20)), b"t%d" % n, now)
        [answer] = [
            one
            for one in Stranger(world, host, "127.201.1.1:1").say(GetAddr())
            if isinstance(one, Addr) and len(one.entries) > 1
        ]
        assert len(answer.entries) == 10, "23 % of the forty of this class"
        assert all(one.address.network is Network.IPV4 for one in answer.entries)

    def test_a_full_door_of_one_class_puts_out_nobody_of_another(self, world: World) -> None:
        host = world.add(inbound_slots=3)
        clear = [Stranger(world, host, f"127.{n}.1.1:1") for n in (101, 102, 103)]
        hidden = [inside(world, host, n) for n in range(12)]
        world.run()
        assert not any(one.closed for one in clear)
        assert sum(not one.closed for one in hidden) == 3
        world.check()

    def test_what_links_of_one_class_hold_ends_none_of_another(self, world: World) -> None:
        host = world.add()
        clear = Stranger(world, host)
        host.node.congested(clear.conn, world.now, unsent=SEND_TOTAL_BYTES)
        hidden = [inside(world, host, n) for n in range(3)]
        for one in hidden:
            host.node.congested(one.conn, world.now, unsent=SEND_TOTAL_BYTES // OTHER_CLASS_SHARE // 2)
        world.run()
        assert not clear.closed
        assert [one.closed for one in hidden] == [True, False, False]
        world.check()

    def test_gossip_of_one_class_takes_no_place_from_another(self, world: World) -> None:
        host = world.add()
        book, now = host.node._state.book, world.now.wall
        chance = Chance.from_seed(1)
        onions = [NetAddress(Network.TORV3, chance.take_bytes(32), 8333) for _ in range(500)]
        for _ in range(30_000):
            where = NetAddress(Network.IPV4, bytes([20]) + chance.take_bytes(3), 8333)
            book.learn(AddressEntry(now, 0, where), chance.take_bytes(2), now)
        taken = sum(book.learn(AddressEntry(now, 0, one), b"o%d" % n, now) for n, one in enumerate(onions))
        assert taken > 450, "next to all; of tables that all share, every other place would be taken"

    def test_our_address_is_told_to_its_own_class_alone(self, world: World) -> None:
        own = NetAddress(Network.TORV3, bytes([9] * 32), 8333)
        host = world.add(advertise=(own, NetAddress(Network.IPV4, bytes([20, 1, 0, 1]), 8333)))
        for stranger, network in ((Stranger(world, host), Network.IPV4), (inside(world, host, 1), Network.TORV3)):
            told = [one for one in stranger.say(GetAddr()) if isinstance(one, Addr)]
            assert [entry.address.network for one in told for entry in one.entries] == [network]


def inside(world: World, host: Host, number: int) -> Stranger:
    """Somebody who has come by the onion service."""
    stranger = Stranger.__new__(Stranger)
    onion = NetAddress(Network.TORV3, number.to_bytes(32, "big"), 0)
    Stranger.__init__(stranger, world, host, onion.reveal() if onion.port else f"{onion.host()}:0")
    return stranger


class TestDefects:
    def test_one_costs_no_other_deadline_its_turn(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        host = world.add()
        world.run()
        due = host.node._state.timers
        for name in ("dial", "save", "review"):
            due.set((name, 0), world.now.mono)

        def fail(*_: object) -> None:
            raise KeyError("a defect")

        with monkeypatch.context() as broken:
            broken.setattr(host.node._state.dialer, "due", fail)
            with pytest.raises(KeyError):
                host.node.handle_deadline(world.now)
        later = Now(Instant(world.now.mono + DEFECT_REST), world.now.wall)
        keys = {}
        while (key := due.pop_due(later.mono)) is not None:
            keys[key] = None
        assert {name for name, _ in keys} == {"dial", "save", "review"}


class TestTelling:
    def test_a_link_for_blocks_does_not_show_in_answers(self, world: World) -> None:
        host, _ = crowd(world, 6, outbound_slots=3)
        before = {peer.address for peer in host.node.snapshot(world.now).peers if peer.purpose == "blocks"}
        for where in before:
            record = host.node._state.book.get(where)
            assert record is not None
            assert record.tried
            assert record.seen < record.succeeded - 3_600, "when it was told, less two hours for hearsay"

    def test_who_is_banned_is_not_told(self, world: World) -> None:
        host = world.add()
        now = world.now.wall
        for n in range(40):
            host.node._state.book.learn(AddressEntry(now, 0, node_address(n + 60)), b"s%d" % n, now)
        host.node.ban(parse_subject("127.0.0.0/8"), None, world.now)
        host.node.unban(parse_subject("127.0.0.0/8"), world.now)
        host.node.ban(parse_subject("127.64.0.0/10"), None, world.now)
        [answer] = [one for one in Stranger(world, host, "127.50.1.1:1").say(GetAddr()) if isinstance(one, Addr)][:1]
        assert all(one.address.raw[1] < 64 for one in answer.entries)


class TestSaving:
    def test_a_whole_book_is_saved_in_portions_and_by_the_end_at_once(self, world: World) -> None:
        host = world.add(outbound_slots=0)
        world.advance(SAVE_DELAY)
        book = host.node._state.book

        def flood(age: int) -> None:
            for number in range(5 * SAVE_AT_ONCE):
                where = NetAddress(Network.IPV4, (0x0B00_0000 + 977 * number).to_bytes(4, "big"), 8333)
                book.learn(
                    AddressEntry(WallTime(world.now.wall - age), 0, where), bytes([4, number % 251]), world.now.wall
                )

        flood(9_000)
        assert len(book) > 4 * SAVE_AT_ONCE
        saved = [0]
        for _ in range((SAVE_DELAY // SAVE_PAUSE) + 10):
            world.advance(SAVE_PAUSE)
            saved.append(len(host.saved))
        assert max(b - a for a, b in itertools.pairwise(saved)) == SAVE_AT_ONCE
        assert host.saved == {record.address: record for record in book.records()}
        flood(0)
        assert host.saved != {record.address: record for record in book.records()}
        host.node.stop(world.now)
        world.run()
        assert host.saved == {record.address: record for record in book.records()}


class TestSeeds:
    def test_a_node_without_a_full_link_takes_them_again(self, world: World) -> None:
        host = world.add(seeds=(node_address(99),))
        state = host.node._state
        for n in range(SEEDS_BELOW):
            state.book.learn(AddressEntry(world.now.wall, 0, node_address(n + 200)), b"s%d" % n, world.now.wall)
        state.book.hide(node_address(99))
        assert node_address(99) not in state.book
        host.node._state.book._of(node_address(99))._hidden.clear()
        world.advance(Duration(2 * REVIEW_EVERY))
        assert node_address(99) in state.book, "what is known has led nowhere"

    def test_an_empty_book_begins_with_them(self, world: World) -> None:
        other = world.add(discover=False)
        host = world.add(seeds=(other.address, NetAddress(Network.IPV4, bytes([10, 0, 0, 1]), 8333)))
        world.advance(seconds(5))
        assert "full" in purposes(host)
        assert len(host.node._state.book) == 1, "what nobody can reach is left out"

    def test_a_book_that_has_some_does_not(self, world: World) -> None:
        host = world.add(seeds=(node_address(99),), advertise=())
        assert node_address(99) in host.node._state.book
        full = world.add(seeds=(node_address(99),))
        for n in range(SEEDS_BELOW):
            now = world.now.wall
            full.node._state.book.learn(AddressEntry(now, 0, node_address(n + 50)), b"s%d" % n, now)
        full.node._state.book.hide(node_address(99))
        full.node.start(world.now)
        assert len(full.node._state.book) == SEEDS_BELOW


def test_who_takes_nothing_for_longest_ends_when_all_together_hold_too_much(world: World) -> None:
    host = world.add()
    slow = [Stranger(world, host, f"127.{n}.1.1:1") for n in range(100, 104)]
    for stranger in slow[:3]:
        host.node.congested(stranger.conn, world.now, unsent=SEND_TOTAL_BYTES // 3)
        world.run()
    assert not any(one.closed for one in slow)
    host.node.drained(slow[0].conn, world.now)
    host.node.congested(slow[0].conn, world.now, unsent=SEND_TOTAL_BYTES // 3)
    host.node.congested(slow[3].conn, world.now, unsent=5_000_000)
    world.run()
    assert [one.closed for one in slow] == [False, True, False, False], "the first one has taken some meanwhile"
    assert slow[1].reason == "send-total"
    world.check()
