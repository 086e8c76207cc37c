"""Private broadcast at one node: whom it is handed to, what is said there, how it ends, what it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest
from linking import Door
from stem_peers import Stage, StemPeer, child_of, items, pay, relay_id

from obscura.base.instant import Instant, WallTime, seconds
from obscura.base.limits import (
    BROADCAST_ASK,
    BROADCAST_FORGET,
    BROADCAST_KNOWN,
    BROADCAST_LINK,
    BROADCAST_LINKS,
    BROADCAST_MISSES,
    BROADCAST_PATIENCE,
    BROADCAST_RECIPIENTS,
    BROADCAST_RETURN,
    BROADCAST_RETURN_MOST,
    BROADCAST_YOUNG,
    MEMPOOL_AGE,
)
from obscura.base.names import NULL_HASH, BlockHash, ConnId
from obscura.base.randomness import Chance
from obscura.ledgers.memory_transactions import pack_body, parse
from obscura.node import private
from obscura.node.config import NoOverlay
from obscura.node.effects import LinkClosed, LinkOpened, Notice, TransactionSubmitted
from obscura.node.snapshot import BroadcastItem
from obscura.peers.bans import parse_subject
from obscura.relay import broadcast
from obscura.relay.sent import Stage as Sent
from obscura.shaping import Profile, Shaping, make_shaper
from obscura.sim.adversary import Link
from obscura.sim.crowd import onion_address
from obscura.sim.host import host_address
from obscura.sim.lines import Line
from obscura.wire.address import AddressEntry, NetAddress
from obscura.wire.address import Network as AddressNetwork
from obscura.wire.blocks import DandelionTx, GetData, GetHeaders, Headers, Inv, Tx
from obscura.wire.features import EVERYWHERE, Feature, FeatureSet
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Mempool, Ping, Verack, Version
from obscura.wire.identity import KeyClass
from obscura.wire.registry import Message, encode_message
from obscura.wire.target import Mode, Target

REACH = (AddressNetwork.IPV4, AddressNetwork.TORV3)
MINUTES = 60.0


class Recipient(StemPeer):
    """A host behind an onion service. It asks for what it is told of, and keeps that for itself."""

    asks = True
    pongs = True
    noise: tuple[Message, ...] = ()
    """Said on each link as soon as it is open."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.given: list[tuple[Instant, bytes]] = []
        self.callers: list[NetAddress] = []

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        self.callers.append(address)
        return super().on_accept(line, address)

    def on_data(self, conn: ConnId, data: bytes) -> None:
        link = self.links.get(conn)
        if link is not None and not self.pongs:
            link.channel._quiet = True  # a peer that reads and never answers
        super().on_data(conn, data)

    def opened(self, link: Link) -> None:
        for message in self.noise:
            self.say(link, message)

    def heard(self, link: Link, message: Message) -> None:
        super().heard(link, message)
        if isinstance(message, Inv) and self.asks:
            self.say(link, GetData(message.items))
        elif isinstance(message, Tx):
            self.given.append((self._world.time, message.data))


class Private(Stage):
    """A node with links to clearnet peers that watch, and onion addresses in its book."""

    def __init__(self, seed: int = 1, recipients: int = 8, kind: type[Recipient] = Recipient, **settings: Any) -> None:
        self.onions: list[Recipient] = []
        self.kind, self.recipients = kind, recipients
        super().__init__(seed, 2, {"reach": REACH, **settings})

    def config(self, **more: Any) -> Any:
        if not self.onions and self.recipients:
            names = self.world.chance.fork("onions")
            for number in range(self.recipients):
                peer = self.kind(200 + number, self.network, self.hive, (), address=onion_address(names))
                peer.start()
                self.onions.append(peer)
        return super().config(seeds=tuple(peer.address for peer in self.onions), **more)

    def send(self, data: bytes) -> TransactionSubmitted:
        self.host.send(data, apart=True)
        self.run(0.1)
        return [event for event in self.events if isinstance(event, TransactionSubmitted)][-1]

    def given(self, data: bytes) -> list[Recipient]:
        """Who was given it."""
        return [peer for peer in self.onions if data in [one for _, one in peer.given]]

    def stage(self, data: bytes) -> Sent | None:
        return self.host.node.sent_stage(parse(data).info.txid)

    def items(self) -> list[BroadcastItem]:
        return self.host.node.broadcasts(self.world.now)

    def confirm(self, *data: bytes) -> None:
        self.host.mine(pack_body(data))
        self.run(1)


def test_it_is_handed_to_three_strangers_and_shown_to_nobody_else() -> None:
    made = Private()
    watcher = made.peer(5, links=1)
    data = pay(1)
    told = made.send(data)
    assert told.accepted and told.stage is Sent.PRIVATE and told.fee
    made.run(MINUTES)
    got = made.given(data)
    assert len(got) == BROADCAST_RECIPIENTS == made.items()[0].receipts
    assert not made.items()[0].nobody
    assert made.stage(data) is Sent.HANDED
    assert not made.waits(data)
    assert [peer.told + peer.stems for peer in (watcher, *made.ahead)] == [[], [], []]
    relay = made.host.node.snapshot(made.world.now).relay
    assert (relay.own, relay.waiting, relay.in_line) == (0, 0, 0)
    assert not made.host.disk.waiting and list(made.host.disk.private) == [relay_id(data)]


def test_nothing_else_is_said() -> None:
    made = Private()
    made.send(pay(1))
    made.run(MINUTES)
    for peer in made.given(pay(1)):
        kinds = [type(message) for _, _, message in peer.log]
        assert kinds == [Inv, Tx]
        assert peer.told == [relay_id(pay(1))]
        assert not peer.links, "and the connection is over"


def test_the_greeting_is_that_of_nobody() -> None:
    seen = []

    class Curious(Recipient):
        def opened(self, link: Link) -> None:
            seen.append(link.channel.peer_version)

    made = Private(kind=Curious)
    made.host.mine(b"")
    made.send(pay(1))
    made.run(MINUTES)
    assert len(seen) == BROADCAST_RECIPIENTS
    assert len({version.nonce for version in seen if version}) == BROADCAST_RECIPIENTS
    for version in seen:
        assert version is not None
        assert (version.timestamp, version.best_hash, version.best_height) == (0, NULL_HASH, 0)
        assert version.user_agent == "/Obscura/"
        wanted = Feature.BASIC_TRANSACTIONS | Feature.PRIVACY_FEATURES | EVERYWHERE.features
        assert version.features == FeatureSet(wanted, EVERYWHERE.privacy)


class Nosy(Recipient):
    """Says what other links would answer, or break."""

    noise = (
        Ping(7),
        GetAddr(),
        Mempool(),
        GetHeaders(1, (NULL_HASH,), BlockHash(bytes(32))),
        Addr((AddressEntry(1_700_000_000, 0, NetAddress(AddressNetwork.IPV4, bytes([9, 9, 9, 9]), 8_333)),)),
        Headers(()),
        Inv(items(pay(77))),
        GetData(items(pay(77))),
        Tx(pay(78)),
    )


def test_recipients_are_not_listened_to() -> None:
    made = Private(kind=Nosy)
    made.run(1)
    before = made.host.node._state.book.records()
    made.send(pay(1))
    made.run(MINUTES)
    assert len(made.given(pay(1))) == BROADCAST_RECIPIENTS
    for peer in made.given(pay(1)):
        assert [type(message) for _, _, message in peer.log] == [Inv, Tx]
    assert made.host.node._state.book.records() == before, "nor is the address book changed"
    assert not made.waits(pay(78))
    told = [event for event in made.events if isinstance(event, LinkOpened | LinkClosed)]
    assert not any(event.address.network is AddressNetwork.TORV3 for event in told), "no log tells of it"


class Vandal(Recipient):
    """Breaks the rules inside the encryption."""

    def opened(self, link: Link) -> None:
        self.raw(link, encode_message(Verack()), sealed=True)


class Breaker(Recipient):
    """Sends what does not open, so that the link goes silent."""

    def opened(self, link: Link) -> None:
        self.raw(link, bytes(3_000), sealed=False)


@pytest.mark.parametrize("kind", [Vandal, Breaker])
def test_a_faulty_recipient_is_neither_punished_nor_remembered(kind: type[Recipient]) -> None:
    made = Private(kind=kind)
    before = made.host.node._state.book.records()
    made.send(pay(1))
    made.run(10 * MINUTES)
    assert sum(len(peer.callers) for peer in made.onions) > BROADCAST_RECIPIENTS
    assert not made.given(pay(1))
    assert made.host.node._state.book.records() == before
    assert made.host.node.bans(made.world.now) == ()
    assert not made.host.disk.bans


def test_dials_are_apart_and_to_overlays_alone() -> None:
    made = Private()
    dialled: list[tuple[NetAddress, bool]] = []
    dial = made.network.dial

    def watch(station: Any, conn: ConnId, address: NetAddress, timeout: Any) -> None:
        if station is made.host:
            dialled.append((address, made.host.node._state.dials[conn].purpose.value == "private"))
        dial(station, conn, address, timeout)

    made.network.dial = watch  # type: ignore[method-assign]
    made.send(pay(1))
    made.run(MINUTES)
    assert [private for _, private in dialled] == [True] * BROADCAST_RECIPIENTS
    assert {address.network for address, _ in dialled} == {AddressNetwork.TORV3}
    assert len({address for address, _ in dialled}) == BROADCAST_RECIPIENTS


def test_when_it_comes_back_it_is_a_transaction_like_any_other() -> None:
    made = Private()
    data = pay(1)
    made.send(data)
    made.run(MINUTES)
    other = made.peer(5, links=1)
    other.announce_transactions(data)
    made.run(10)
    assert made.stage(data) is Sent.SEEN
    assert made.waits(data)
    assert not made.items()
    assert list(made.host.disk.waiting) == list(made.host.disk.private) == [relay_id(data)], "the disk forgets it later"
    [item] = made.host.node.mempool(made.world.now)
    assert not item.own, "nothing marks it"
    made.run(20 * MINUTES)
    assert len(made.given(data)) == BROADCAST_RECIPIENTS, "nobody more is dialled"
    assert all(relay_id(data) in peer.told for peer in made.ahead), "it is told on"
    made.run(12 * BROADCAST_FORGET / 1e6)
    assert not made.host.disk.private
    made.host.send(data, apart=True)
    made.run(1)
    [item] = made.host.node.mempool(made.world.now)
    assert not item.own, "nor does asking after it"


class TestTrouble:
    def test_who_does_not_ask_or_confirm_is_made_up_for(self) -> None:
        for fault in ("asks", "pongs"):
            made = Private(recipients=12)
            for peer in made.onions[:6]:
                setattr(peer, fault, False)
            data = pay(1)
            made.send(data)
            made.run(30 * MINUTES)
            [item] = made.items()
            assert item.receipts >= BROADCAST_RECIPIENTS
            honest = [peer for peer in made.given(data) if peer in made.onions[6:]]
            assert len(honest) == item.receipts
            bad = sum(len(peer.callers) for peer in made.onions[:6])
            assert bad, "some were tried"

    def test_a_connection_does_not_last(self) -> None:
        made = Private(recipients=3)
        for peer in made.onions:
            peer.asks = False
        made.send(pay(1))
        made.run(20)
        assert all(peer.links for peer in made.onions)
        made.run(BROADCAST_ASK / 1e6 - 21)
        assert all(peer.links for peer in made.onions), "slow is not faulty"
        made.run(22)
        assert not any(1 for peer in made.onions for link in peer.links.values() if link.conn == 1)

    def test_nor_does_one_that_is_never_confirmed(self) -> None:
        made = Private(recipients=3)
        for peer in made.onions:
            peer.pongs = False
        made.send(pay(1))
        made.run(20)
        made.run(BROADCAST_LINK / 1e6 - 21)
        assert any(peer.links for peer in made.onions)
        made.run(22)
        assert not any(1 for peer in made.onions for link in peer.links.values() if link.conn == 1)

    def test_one_that_does_not_come_back_is_handed_to_one_more_by_waits_that_double(self) -> None:
        made = Private(recipients=12)
        data = pay(1)
        made.send(data)
        made.run(BROADCAST_RETURN / 1e6)
        assert len(made.given(data)) == 3
        made.run(BROADCAST_RETURN / 1e6 + 40)
        assert len(made.given(data)) == 4
        times = sorted(at for peer in made.onions for at, _ in peer.given)
        made.run(10 * BROADCAST_RETURN / 1e6)
        later = sorted(at for peer in made.onions for at, _ in peer.given)[4:]
        gaps = [(two - one) / BROADCAST_RETURN for one, two in zip([times[3], *later], later, strict=False)]
        assert 2 <= gaps[0] < 4.2
        assert all(gap >= 4 for gap in gaps[1:])

    def test_nobody_is_dialled_while_no_way_is_open(self) -> None:
        made = Private(no_overlay=NoOverlay.NEVER)
        made.host.node.open_ways((AddressNetwork.IPV4,), made.world.now)
        made.send(pay(1))
        made.run(20 * MINUTES)
        assert not any(peer.callers for peer in made.onions)
        made.host.node.open_ways(REACH, made.world.now)
        made.run(10 * MINUTES)
        assert len(made.given(pay(1))) >= BROADCAST_RECIPIENTS

    def test_a_daemon_that_fails_says_nothing_about_recipients(self) -> None:
        made = Private(recipients=1)
        fail = made.host.on_dial_failed
        node = made.host.node

        def ours(conn: ConnId, reason: str) -> None:
            made.host._dials.pop(conn, None)
            node.dial_failed(conn, reason, made.world.now, ours=True)
            made.host._settle()

        made.onions[0].frozen = False
        made.host.on_dial_failed = ours  # type: ignore[method-assign]
        made.network.leave(made.onions[0])
        made.send(pay(1))
        made.run(3 * MINUTES)
        [item] = made.items()
        assert item.asked == 0
        made.host.on_dial_failed = fail  # type: ignore[method-assign]

    def test_few_recipients_get_it_again(self) -> None:
        made = Private(recipients=1)
        made.send(pay(1))
        made.run(5 * MINUTES)
        assert len([1 for _, data in made.onions[0].given if data == pay(1)]) >= 2

    def test_connections_at_once_are_bounded(self) -> None:
        made = Private(recipients=40)
        for peer in made.onions:
            peer.asks = False
        for number in range(12):
            made.send(pay(number))
        most = 0
        for _ in range(100):
            made.run(1)
            most = max(most, sum(len(peer.links) for peer in made.onions))
        assert most == BROADCAST_LINKS

    def test_a_crash_loses_nothing_and_marks_nothing(self) -> None:
        for when in (0.0, 3.0, 8.0, 30.0):
            made = Private(recipients=12)
            data = pay(1)
            made.send(data)
            made.run(when)
            made.restart(power=True)
            assert not made.host.disk.waiting
            made.run(2)
            assert [item.receipts for item in made.items()] == [0]
            assert made.stage(data) is Sent.PRIVATE
            made.run(6 * MINUTES)
            assert next(item.receipts for item in made.items()) >= BROADCAST_RECIPIENTS
            assert all(peer.told + peer.stems == [] for peer in made.ahead)
            made.network.power_on(0)
            made.peer(5, links=1).announce_transactions(data)
            made.run(10)
            assert made.stage(data) is Sent.SEEN
            made.run(12 * BROADCAST_FORGET / 1e6)
            assert not made.host.disk.private

    def test_a_kill_between_the_mempool_and_the_queue_ends_it_at_the_next_start(self) -> None:
        made = Private()
        data = pay(1)
        made.send(data)
        made.run(30)
        kept = dict(made.host.disk.private)
        made.peer(5, links=1).announce_transactions(data)
        made.run(10)
        made.host.disk.private.update(kept)
        made.restart(power=True)
        callers = sum(len(peer.callers) for peer in made.onions)
        made.run(1)
        assert not made.items()
        assert made.waits(data) and made.stage(data) is None, "it is anybody's"
        made.run(12 * BROADCAST_FORGET / 1e6)
        assert not made.host.disk.private
        assert sum(len(peer.callers) for peer in made.onions) == callers

    def test_one_that_a_block_took_meanwhile_is_given_up_by_itself(self) -> None:
        made = Private()
        data = pay(1)
        made.send(data)
        made.run(30)
        kept = dict(made.host.disk.private)
        made.confirm(data)
        assert made.stage(data) is Sent.CONFIRMED and not made.items()
        made.host.disk.private.update(kept)
        made.restart(power=True)
        made.run(BROADCAST_MISSES * 4 * BROADCAST_RETURN_MOST / 1e6)
        assert not made.items() and not made.host.disk.private
        assert made.stage(data) is Sent.GONE


class TestFallBack:
    @pytest.mark.parametrize("private", [False, True])
    def test_without_overlays_it_goes_by_stem_at_once(self, private: bool) -> None:
        made = Private(recipients=0, reach=(AddressNetwork.IPV4,), private=private)
        data = pay(1)
        if private:
            made.host.send(data)
            made.run(1)
        else:
            assert made.send(data).stage in (Sent.WAITING, Sent.STEMMED)
        made.run(20)
        assert sum(relay_id(data) in peer.stems for peer in made.ahead) == 1
        assert not made.host.disk.private

    def test_or_is_refused(self) -> None:
        made = Private(recipients=0, reach=(AddressNetwork.IPV4,), no_overlay=NoOverlay.NEVER)
        told = made.send(pay(1))
        assert not told.accepted and told.rule == "no-overlay"
        assert "--tor" in told.detail
        made.run(20 * MINUTES)
        assert all(peer.stems + peer.told == [] for peer in made.ahead)

    def test_where_nobody_is_reached_it_goes_by_stem_after_ten_minutes(self) -> None:
        made = Private(recipients=0, embargo_mean=seconds(1_000_000))
        data = pay(1)
        assert made.send(data).stage is Sent.PRIVATE
        made.run(BROADCAST_PATIENCE / 1e6 - 5)
        assert all(peer.stems + peer.told == [] for peer in made.ahead)
        made.run(8 * MINUTES)
        assert sum(relay_id(data) in peer.stems for peer in made.ahead) == 1
        assert made.stage(data) is Sent.STEMMED
        made.run(MINUTES)
        assert not made.items() and not made.host.disk.private
        assert list(made.host.disk.waiting) == [relay_id(data)]

    def test_or_waits_for_ever(self) -> None:
        made = Private(recipients=0, no_overlay=NoOverlay.NEVER)
        made.send(pay(1))
        made.run(2 * 3_600)
        assert all(peer.stems + peer.told == [] for peer in made.ahead)
        [item] = made.items()
        assert item.age > 3_600 * 1_000_000
        assert item.nobody, "the operator is told why"

    def test_or_for_two_weeks_and_a_day_after_a_start_at_least(self) -> None:
        made = Private(recipients=0, no_overlay=NoOverlay.NEVER)
        made.send(pay(1))
        [(name, (data, hour))] = made.host.disk.private.items()
        made.host.disk.private[name] = data, WallTime(hour - MEMPOOL_AGE // 1_000_000 - 99_999)
        made.restart(power=True)
        made.run(BROADCAST_YOUNG - 600)
        assert made.stage(pay(1)) is Sent.PRIVATE
        made.run(1_200)
        assert made.stage(pay(1)) is Sent.EXPIRED
        assert not made.host.disk.private

    def test_one_that_somebody_was_given_does_not(self) -> None:
        made = Private(recipients=3)
        for peer in made.onions:
            peer.pongs = False
        made.send(pay(1))
        made.run(3_600)
        assert made.given(pay(1))
        assert all(peer.stems + peer.told == [] for peer in made.ahead)

    def test_nor_one_whose_recipients_are_there_and_silent(self) -> None:
        made = Private(recipients=3)
        for peer in made.onions:
            peer.asks = False
        made.send(pay(1))
        made.run(3_600)
        assert all(peer.stems + peer.told == [] for peer in made.ahead)

    def test_nor_one_that_waits_for_its_parent(self) -> None:
        made = Private()
        made.send(pay(1))
        made.send(child_of(pay(1)))
        made.run(2 * BROADCAST_PATIENCE / 1e6)
        made.peer(5, links=1).announce_transactions(pay(1))
        made.run(10 * MINUTES)
        assert len(made.given(child_of(pay(1)))) >= BROADCAST_RECIPIENTS
        assert all(peer.stems == [] for peer in made.ahead)

    def test_nor_one_of_an_earlier_run(self) -> None:
        made = Private(recipients=0)
        made.send(pay(1))
        made.restart(power=True)
        made.run(3 * 3_600)
        assert all(peer.stems + peer.told == [] for peer in made.ahead)
        assert made.items()[0].nobody
        made.restart(power=True, reach=(AddressNetwork.IPV4,))
        made.run(3_600)
        assert all(peer.stems + peer.told == [] for peer in made.ahead)
        assert any(isinstance(event, Notice) and event.name == "private-waits" for event in made.events)

    def test_many_that_share_few_connections_do_not(self) -> None:
        made = Private(recipients=20)
        for number in range(60):
            made.send(pay(number))
        made.run(3_600)
        assert all(peer.stems == [] for peer in made.ahead)

    def test_one_with_a_receipt_does_not(self) -> None:
        made = Private(recipients=1)
        made.send(pay(1))
        made.run(2 * MINUTES)
        made.host.node.open_ways((AddressNetwork.IPV4,), made.world.now)
        made.run(3_600)
        assert all(peer.stems + peer.told == [] for peer in made.ahead)
        assert made.items()

    def test_a_kill_on_the_way_into_stem_loses_nothing(self) -> None:
        made = Private(recipients=0)
        data = pay(1)
        made.send(data)
        while relay_id(data) not in made.host.disk.waiting:
            made.run(1)
        assert relay_id(data) in made.host.disk.private
        made.restart(power=True)
        made.run(15 * MINUTES)
        assert not made.items()
        made.run(12 * BROADCAST_FORGET / 1e6)
        assert not made.host.disk.private
        assert list(made.host.disk.waiting) == [relay_id(data)]


class TestWhatItIs:
    def test_all_are_private_where_the_operator_says_so(self) -> None:
        made = Private(private=True)
        made.host.send(pay(1))
        made.run(MINUTES)
        assert len(made.given(pay(1))) == BROADCAST_RECIPIENTS

    def test_sent_again_it_stays_private(self) -> None:
        made = Private()
        data = pay(1)
        made.send(data)
        made.host.send(data)
        made.run(0.1)
        told = [event for event in made.events if isinstance(event, TransactionSubmitted)][-1]
        assert told.accepted and told.rule and told.stage is Sent.PRIVATE
        made.run(MINUTES)
        assert all(peer.stems + peer.told == [] for peer in made.ahead)

    def test_one_that_breaks_a_rule_is_refused(self) -> None:
        made = Private()
        assert made.send(pay(1, seal=b"\0")).rule
        assert made.send(pay(2, fee=0)).rule
        assert made.send(b"nonsense").rule
        assert made.send(child_of(pay(9))).rule == "bad-txns-inputs-missingorspent"
        made.run(MINUTES)
        assert not any(peer.callers for peer in made.onions) and not made.host.disk.private

    def test_one_that_contradicts_another_is_refused(self) -> None:
        made = Private()
        made.send(pay(1))
        assert made.send(pay(1, salt=1)).rule == "txn-mempool-conflict"
        made.host.send(pay(1, salt=2))
        made.run(0.1)
        assert [event for event in made.events if isinstance(event, TransactionSubmitted)][-1].rule
        made.host.send(pay(3))
        made.run(0.1)
        assert made.send(pay(3, salt=1)).rule == "txn-mempool-conflict"

    def test_what_others_took_the_room_of_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(broadcast, "BROADCAST_QUEUE", 2)
        made = Private()
        for number in range(4):
            made.host.node.submit_transaction(pay(number), made.world.now, apart=True)
        made.host._settle()
        made.run(1)
        told = [event for event in made.events if isinstance(event, TransactionSubmitted)]
        assert [one.rule for one in told] == ["", "", "too-many-private", "too-many-private"]
        assert len(made.items()) == len(made.host.disk.private) == 2

    def test_another_form_of_it_is_it(self) -> None:
        made = Private()
        made.send(pay(1))
        made.run(MINUTES)
        made.peer(5, links=1).announce_transactions(pay(1, seal=b"\1\1"))
        made.run(10)
        assert made.stage(pay(1)) is Sent.SEEN and not made.items()

    def test_a_child_waits_for_its_parent(self) -> None:
        made = Private()
        parent = pay(1)
        child = child_of(parent)
        made.send(parent)
        assert made.send(child).accepted
        made.run(3 * MINUTES)
        assert len(made.given(parent)) == BROADCAST_RECIPIENTS and not made.given(child)
        assert [item.waits_for_parent for item in made.items()] == [False, True]
        made.peer(5, links=1).announce_transactions(parent)
        made.run(2 * MINUTES)
        assert len(made.given(child)) == BROADCAST_RECIPIENTS

    def test_what_contradicts_it_in_a_block_ends_it_after_some_hours(self) -> None:
        made = Private()
        made.send(pay(1))
        made.run(MINUTES)
        made.confirm(pay(1, salt=1))
        made.run(BROADCAST_RETURN_MOST / 1e6)
        assert made.items(), "another chain may have it otherwise"
        made.run(4 * BROADCAST_MISSES * BROADCAST_RETURN_MOST / 1e6)
        assert made.stage(pay(1)) is Sent.GONE
        assert not made.items() and not made.host.disk.private
        assert len(made.given(pay(1))) == BROADCAST_RECIPIENTS

    def test_what_contradicts_it_in_the_open_ends_it_after_some_tries(self) -> None:
        made = Private()
        made.send(pay(1))
        made.run(MINUTES)
        made.peer(5, links=1).announce_transactions(pay(1, salt=1))
        made.run(4 * BROADCAST_MISSES * BROADCAST_RETURN_MOST / 1e6)
        assert made.stage(pay(1)) is Sent.REFUSED
        assert len(made.given(pay(1))) == BROADCAST_RECIPIENTS

    def test_the_operator_may_take_it_back(self) -> None:
        made = Private()
        data = pay(1)
        made.send(data)
        assert made.host.node.drop_broadcast(parse(data).info.txid, made.world.now)
        made.host._settle()
        assert not made.host.node.drop_broadcast(parse(data).info.txid, made.world.now)
        made.run(10 * MINUTES)
        assert not made.given(data) and not made.host.disk.private
        assert made.stage(data) is Sent.DROPPED
        assert made.send(data).stage is Sent.PRIVATE, "and may change his mind"

    def test_who_is_being_handed_it_sees_no_end_when_it_comes_back(self) -> None:
        made = Private(recipients=3)
        for peer in made.onions:
            peer.asks = False
        data = pay(1)
        made.send(data)
        made.run(30)
        made.peer(5, links=1).announce_transactions(data)
        made.run(10)
        assert made.stage(data) is Sent.SEEN
        assert all(peer.links for peer in made.onions)
        [link] = made.onions[0].open_links
        made.onions[0].say(link, GetData(items(data)))
        made.run(5)
        assert made.given(data) == [made.onions[0]]

    def test_links_to_one_of_the_recipients_by_other_ways_are_as_before(self) -> None:
        made = Private(recipients=1)
        before = made.host.node._state.situation(made.world.now)
        made.onions[0].asks = False
        made.send(pay(1))
        made.run(20)
        assert made.onions[0].links
        after_ = made.host.node._state.situation(made.world.now)
        assert (before.in_use, before.outbound, before.dialling) == (after_.in_use, after_.outbound, after_.dialling)


class TestOracles:
    """What a recipient could try to find out whose connection it is."""

    def test_a_nonce_of_it_is_nobodys(self) -> None:
        """He shows it at each door, and looks where it is taken for one's own."""

        class Holder(Recipient):
            nonces: ClassVar[list[int]] = []

            def flush(self, link: Link) -> None:
                version = link.channel.peer_version
                if version is None:
                    super().flush(link)
                elif version.nonce not in self.nonces:
                    # Its answer is kept back, and the connection waits for it.
                    self.nonces.append(version.nonce)

        class Shower(StemPeer):
            shown = 0

            def version(self) -> Version:
                return replace(super().version(), nonce=self.shown)

        made = Private(kind=Holder)
        made.send(pay(1))
        made.run(20)
        assert any(peer.links for peer in made.onions) and Holder.nonces, "the connection stands"
        door = made.host.node._state.door
        assert door.vault is not None
        keys = door.vault.statics
        door.vault = replace(door.vault, statics={**keys, KeyClass.ONION: keys[KeyClass.CLEARNET]})
        onion = onion_address(made.world.chance.fork("us"))
        Door(600, onion, made.host, made.network)
        for number, nonce in enumerate(Holder.nonces):
            for serial, address in ((700 + number, host_address(0)), (750 + number, onion)):
                shower = Shower(serial, made.network, made.hive, [address])
                shower.shown = nonce
                shower.start()
                made.run(5)
                assert shower.open_links, "it is a stranger's as any other"

    def test_a_nonce_of_another_link_is_nobodys_on_it(self) -> None:
        seen: list[int] = []

        class Teller(Recipient):
            def version(self) -> Version:
                return replace(super().version(), nonce=seen[0])

        made = Private(kind=Teller)
        # A dial of ours whose handshake is not complete.
        seen.append(0)
        made.host.node.add_peer(Target(made.onions[0].address), made.world.now)
        made.host._settle()
        made.run(5)
        state = made.host.node._state
        [conn] = [peer.conn for peer in state.open_peers() if peer.address == made.onions[0].address]
        state.dial_nonces[4711] = conn
        seen[0] = 4711
        made.send(pay(1))
        made.run(MINUTES)
        assert len(made.given(pay(1))) == BROADCAST_RECIPIENTS
        assert sum(len(peer.callers) for peer in made.onions) == BROADCAST_RECIPIENTS + 1, "each at once"
        assert conn in state.peers, "and the other link stands"

    def test_a_key_of_ours_is_anybodys(self) -> None:
        """He passes it on to an onion service that he suspects to be ours, and looks who falls silent."""
        made = Private()
        door = made.host.node._state.door
        assert door.vault is not None
        ours = door.vault.statics[KeyClass.CLEARNET]
        door.vault = replace(door.vault, statics={**door.vault.statics, KeyClass.ONION: ours})
        for peer in made.onions:
            assert peer._vault is not None
            # (These answer by the one key that they have.)
            peer._vault = replace(peer._vault, statics={KeyClass.CLEARNET: ours})
        made.send(pay(1))
        made.run(MINUTES)
        assert len(made.given(pay(1))) == BROADCAST_RECIPIENTS

    def test_it_is_begun_as_anybody_would(self) -> None:
        dials: list[dict[str, Any]] = []
        made = Private(transport=Mode.LITERAL, shaping=Shaping(profile=Profile.OFF))
        vault = made.host.node._state.door.vault
        assert vault is not None

        class Watched:
            def __getattr__(self, name: str) -> Any:
                return getattr(vault, name)

            def dial(self, genesis: bytes, mode: Mode, *rest: Any, **named: Any) -> Any:
                dials.append({"mode": mode, **named})
                return vault.dial(genesis, mode, *rest, **named)

        made.host.node._state.door.vault = Watched()  # type: ignore[assignment]
        made.send(pay(1))
        made.run(MINUTES)
        assert len(made.given(pay(1))) == BROADCAST_RECIPIENTS
        for dial in (one for one in dials if one["of"] is KeyClass.ONION):
            assert dial["mode"] is Mode.VEILED and dial["as_anybody"]
            assert dial["pin"] is None and dial["secret"] is None
            assert type(dial["shaper"]) is type(make_shaper(Profile.PAD, Chance.from_seed(1), dialled=True))


class TestRecipients:
    """Whom it is handed to."""

    def test_one_that_is_named_meanwhile_has_another_link_besides(self) -> None:
        made = Private(recipients=1)
        recipient = made.onions[0]
        recipient.asks = False
        made.send(pay(1))
        made.run(20)
        [mine] = recipient.links
        made.host.node.add_peer(Target(recipient.address), made.world.now)
        made.host._settle()
        made.run(5)
        assert mine in recipient.links and len(recipient.links) == 2
        made.run(10 * MINUTES)
        assert len(recipient.callers) > 3, "and the transaction goes on"

    def test_an_address_that_one_stranger_told_is_the_last_choice(self) -> None:
        made = Private(recipients=12)
        planted = made.world.chance.fork("planted")
        spies = []
        wall = made.world.now.wall
        for number in range(60):
            spy = Recipient(800 + number, made.network, made.hive, (), address=onion_address(planted))
            spies.append(spy)
            entry = AddressEntry(WallTime(wall - 600), 0, spy.address)
            made.host.node._state.book.learn(entry, b"one group", wall)
        for number in range(10):
            made.send(pay(number))
        made.run(3 * MINUTES)
        assert all(len(made.given(pay(number))) >= BROADCAST_RECIPIENTS for number in range(10))
        assert not any(spy.given for spy in spies)

    def test_two_groups_or_a_week_make_one_known(self) -> None:
        made = Private(recipients=0)
        state = made.host.node._state
        wall = made.world.now.wall
        one, two, old, young = (onion_address(made.world.chance.fork(f"{number}")) for number in range(4))
        for address in (one, two, old, young):
            state.book.learn(AddressEntry(WallTime(wall - 600), 0, address), b"first", wall)
        for step in range(200):
            # Another copy is taken by a coin.
            state.book.learn(AddressEntry(WallTime(wall - 599 + step), 0, two), b"second", wall)
        for address, at in ((old, wall - BROADCAST_KNOWN), (young, wall - BROADCAST_KNOWN + 600)):
            state.book.attempted(address, WallTime(at))
            state.book.succeeded(address, WallTime(at))
        known = [private._is_well_known(state, address, wall) for address in (one, two, old, young)]
        assert known == [False, True, True, False]

    def test_nobody_who_is_banned(self) -> None:
        made = Private(recipients=1, connect=())
        made.host.node.add_peer(Target(made.onions[0].address), made.world.now)
        made.host.node.ban(parse_subject(made.onions[0].address.host()), None, made.world.now)
        made.host._settle()
        made.run(5)
        before = len(made.onions[0].callers)
        made.send(pay(1))
        made.run(10 * MINUTES)
        assert len(made.onions[0].callers) == before

    def test_dials_to_the_silent_become_seldom(self) -> None:
        made = Private(recipients=12, no_overlay=NoOverlay.NEVER)
        for peer in made.onions:
            made.network.leave(peer)
        counts = []
        dial = made.network.dial

        def count(station: Any, conn: ConnId, address: NetAddress, timeout: Any) -> None:
            if address.network is AddressNetwork.TORV3:
                counts.append(made.world.time)
            dial(station, conn, address, timeout)

        made.network.dial = count  # type: ignore[method-assign]
        made.send(pay(1))
        made.run(3_600)
        assert 8 <= len(counts) <= 40


class TestProbes:
    """What a peer hears that asks about a transaction, where it is in the queue and where it is unknown."""

    @staticmethod
    def probe(*, queued: bool, messages: tuple[Message, ...]) -> list[str]:
        made = Private(recipients=0, no_overlay=NoOverlay.NEVER, embargo_mean=seconds(1_000_000))
        prober = made.peer(5, links=1)
        if queued:
            assert made.send(pay(1)).accepted
        made.run(30)
        prober.has[relay_id(pay(1))] = pay(1)
        prober.has[relay_id(pay(1, salt=1))] = pay(1, salt=1)
        prober.has[relay_id(child_of(pay(1)))] = child_of(pay(1))
        prober.log.clear()
        for message in messages:
            prober.say(prober.open_links[0], message)
        made.run(60)
        relay = made.host.node.snapshot(made.world.now).relay
        shown = [(relay.waiting, relay.in_line, relay.orphans, relay.announced)]
        stems = [[relay_id(pay(1)) in peer.stems, len(peer.stems), len(peer.told)] for peer in made.ahead]
        return [str(message) for _, _, message in prober.log if not isinstance(message, Ping)] + [f"{shown} {stems}"]

    @pytest.mark.parametrize(
        "messages",
        [
            (GetData(items(pay(1))),),
            (Inv(items(pay(1))),),
            (Tx(pay(1)),),
            (Tx(pay(1, salt=1)),),
            (Tx(child_of(pay(1))),),
            (Inv(items(child_of(pay(1)))),),
            (DandelionTx(pay(1)),),
            (DandelionTx(pay(1, salt=1)),),
            (DandelionTx(child_of(pay(1))),),
            (DandelionTx(child_of(pay(1), seal=b"\0")),),
            (Mempool(),),
        ],
    )
    def test_no_answer_depends_on_the_queue(self, messages: tuple[Message, ...]) -> None:
        assert self.probe(queued=True, messages=messages) == self.probe(queued=False, messages=messages)
