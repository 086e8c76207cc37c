"""Stems at one node, between peers that a test plays: what comes, where it goes, how it ends, what it shows."""

from __future__ import annotations

from typing import Any

import pytest
from stem_peers import Stage, StemPeer, child_of, items, pay, relay_id

from obscura.base.instant import Instant, seconds
from obscura.base.limits import (
    FAMILY_TRANSACTIONS,
    FAULT_INVALID_TX,
    FEE_FLOOR,
    STEM_FLOOR,
    STEM_OUT_START,
    STEM_WAIT,
    TX_PRICE,
)
from obscura.ledgers.memory_transactions import pack_body, parse
from obscura.node.config import NoStem
from obscura.node.effects import KeptTransaction, LinkClosed, StemStep, TransactionSubmitted
from obscura.relay.sent import Stage as Sent
from obscura.wire.blocks import DandelionTx, Inv
from obscura.wire.features import STEMS, Feature, FeatureSet, PrivacyFeature
from obscura.wire.target import Target

LONG = 40.0
"""Longer than any announcement takes, in seconds."""
NEVER = seconds(1_000_000)


def stage(seed: int = 1, stem_peers: int = 2, **settings: Any) -> Stage:
    return Stage(seed, stem_peers, {"embargo_mean": NEVER, **settings})


def stemmed(made: Stage, data: bytes) -> list[StemPeer]:
    """The stem peers that were given it."""
    return [peer for peer in made.ahead if relay_id(data) in peer.stems]


def sent(made: Stage, data: bytes) -> Sent | None:
    return made.host.node.sent_stage(parse(data).info.txid)


def submitted(made: Stage) -> TransactionSubmitted:
    return [event for event in made.events if isinstance(event, TransactionSubmitted)][-1]


def test_the_bits_are_set_where_stems_are_served() -> None:
    made = stage()
    for peer in made.ahead:
        [link] = peer.open_links
        assert STEMS.common(link.channel.in_force) == STEMS
        assert link.channel.in_force.features & Feature.PRIVACY_FEATURES


class TestTheWay:
    def test_what_is_ours_goes_to_one_stem_peer_and_is_told_to_nobody(self) -> None:
        made = stage()
        watcher = made.peer(5, links=1)
        data = pay(1)
        made.host.send(data)
        made.run(LONG)
        assert len(stemmed(made, data)) == 1
        assert made.steps(data) == [StemStep.OWN, StemStep.GIVEN]
        assert submitted(made).accepted
        assert submitted(made).stage is sent(made, data) is Sent.STEMMED
        assert not made.waits(data)
        assert [peer.told for peer in (watcher, *made.ahead)] == [[], [], []]
        assert made.host.node.snapshot(made.world.now).relay.own == 0, "nothing shows a stem"

    def test_all_that_is_ours_takes_one_way_for_an_epoch(self) -> None:
        made = stage()
        many = [pay(number) for number in range(20)]
        for data in many:
            made.host.send(data)
        made.run(10)
        assert len({tuple(peer.number for peer in stemmed(made, data)) for data in many}) == 1

    def test_what_comes_on_two_links_takes_two_ways(self) -> None:
        made = stage()
        first, second = made.peer(5, links=1), made.peer(6, links=1)
        made.run(1)
        for number in range(10):
            first.stem(pay(number))
            second.stem(pay(100 + number))
        made.run(10)
        ways = [
            {tuple(peer.number for peer in stemmed(made, pay(base + number))) for number in range(10)}
            for base in (0, 100)
        ]
        assert all(len(way) == 1 for way in ways)
        assert ways[0] != ways[1]

    def test_a_copy_on_the_same_link_is_dropped_and_on_another_goes_its_way(self) -> None:
        made = stage()
        peers = [made.peer(number, links=1) for number in (5, 6)]
        data = pay(1)
        for peer in (peers[0], peers[0], peers[1], peers[1]):
            peer.stem(data)
            made.run(2)
        assert len(stemmed(made, data)) == 2
        assert all(peer.stems.count(relay_id(data)) == 1 for peer in made.ahead)
        assert made.steps(data).count(StemStep.CAME) == 2
        assert StemStep.SPREAD not in made.steps(data), "a copy makes nobody spread it"

    def test_a_child_goes_where_its_parent_went(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        for number in range(6):
            parent = pay(number)
            peer.stem(parent)
            made.run(1)
            peer.stem(child_of(parent))
            made.run(1)
            assert stemmed(made, child_of(parent)) == stemmed(made, parent) != []

    def test_a_child_builds_on_what_its_own_link_has_brought_alone(self) -> None:
        """Else its verdict, or the time until it, would tell what others have in stem."""
        for held in (True, False):
            made = stage()
            peers = [made.peer(number, links=1) for number in (5, 6)]
            if held:
                peers[0].stem(pay(1))
                made.run(1)
            peers[1].stem(child_of(pay(1)))
            made.run(1)
            assert not stemmed(made, child_of(pay(1)))
            made.host.send(child_of(pay(1)))
            made.run(1)
            assert submitted(made).rule == "bad-txns-inputs-missingorspent"

    def test_a_diffuser_spreads_the_child_of_what_it_holds(self) -> None:
        made = stage(stem_epoch=seconds(100_000), stem_diffusers=1.0, embargo_mean=NEVER)
        peer = made.peer(5, links=1)
        made.host.send(pay(1))
        made.run(1)
        peer.stem(pay(1), child_of(pay(1)))
        made.run(LONG)
        assert made.waits(pay(1))
        assert made.waits(child_of(pay(1)))

    def test_our_operator_may_spend_what_he_has_sent(self) -> None:
        made = stage()
        chain = [pay(1)]
        for _ in range(3):
            made.host.send(chain[-1])
            made.run(1)
            assert submitted(made).accepted
            assert stemmed(made, chain[-1]) == stemmed(made, chain[0])
            chain.append(child_of(chain[-1]))

    def test_what_finds_no_room_goes_when_there_is_some(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        many = [pay(number) for number in range(STEM_OUT_START + 10)]
        for data in many:
            made.host.send(data)
        made.run(10)
        given = [data for data in many if stemmed(made, data)]
        assert len(given) == STEM_OUT_START
        assert sent(made, many[-1]) is Sent.WAITING
        peer.announce_transactions(*given[:10])
        made.run(LONG)
        assert all(stemmed(made, data) for data in many)
        assert sent(made, many[-1]) is Sent.STEMMED

    def test_many_short_links_do_not_take_others_turns(self) -> None:
        """Nor do they show, at a stem peer, which stems are our operator's."""
        made = stage(stem_peers=1)
        honest = made.peer(5, links=1)
        for number in range(2 * STEM_OUT_START):
            short = made.peer(200 + number, links=1)
            short.stem(pay(1_000 + number))
            made.run(0.3)
            short.drop(short.open_links[0])
        theirs, ours = [pay(number) for number in range(5)], [pay(100 + number) for number in range(5)]
        for one, other in zip(theirs, ours, strict=True):
            honest.stem(one)
            made.host.send(other)
        made.run(10)
        assert [bool(stemmed(made, data)) for data in (*theirs, *ours)] == [True] * 10

    def test_chains_in_stem_are_as_short_as_in_the_open(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        chain = [pay(1)]
        while len(chain) < FAMILY_TRANSACTIONS + 2:
            chain.append(child_of(chain[-1]))
        for data in chain:
            peer.stem(data)
            made.run(0.5)
        assert [bool(stemmed(made, data)) for data in chain] == [True] * FAMILY_TRANSACTIONS + [False] * 2

    def test_a_diffuser_spreads_what_others_stem_and_stems_its_own(self) -> None:
        made = stage(stem_diffusers=1.0)
        peer = made.peer(5, links=1)
        theirs, ours = pay(1), pay(2)
        peer.stem(theirs)
        made.host.send(ours)
        made.run(LONG)
        assert made.waits(theirs)
        assert all(relay_id(theirs) in one.told for one in (*made.ahead, peer)), "who has stemmed it sees it spread"
        assert len(stemmed(made, ours)) == 1
        assert not stemmed(made, theirs)
        assert not made.waits(ours)

    def test_a_diffuser_spreads_a_copy_of_its_own_as_it_does_any(self) -> None:
        """Else a spy who has it would tell the origin by stemming it back."""
        made = stage(stem_diffusers=1.0)
        peer = made.peer(5, links=1)
        data = pay(1)
        made.host.send(data)
        made.run(5)
        peer.stem(data)
        made.run(LONG)
        assert made.waits(data)
        assert relay_id(data) in peer.told

    def test_without_stem_peers_others_stems_are_spread(self) -> None:
        made = stage(stem_peers=0)
        peer = made.peer(5, links=1)
        peer.stem(pay(1))
        made.run(5)
        assert made.waits(pay(1))

    def test_a_link_must_last_and_be_encrypted_and_ours(self) -> None:
        made = stage(stem_link_age=seconds(60))
        made.peer(5, links=1)
        made.host.send(pay(1))
        made.run(30)
        assert not stemmed(made, pay(1))
        assert sent(made, pay(1)) is Sent.WAITING
        made.run(60)
        assert len(stemmed(made, pay(1))) == 1
        assert sent(made, pay(1)) is Sent.STEMMED

    def test_a_peer_that_takes_no_stems_may_be_chosen_and_gets_none(self) -> None:
        made = Stage(1, 2, {"embargo_mean": NEVER}, bits=FeatureSet(Feature.BASIC_TRANSACTIONS))
        peer = made.peer(5, links=1)
        made.host.send(pay(1))
        peer.stem(pay(2))
        made.run(LONG)
        assert not any(stemmed(made, pay(number)) for number in (1, 2))
        assert sent(made, pay(1)) is Sent.WAITING
        assert made.waits(pay(2)), "what is routed to it spreads here"


class TestTheEnd:
    def test_what_comes_back_in_the_open_is_in_the_mempool_and_no_longer_in_stem(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        data = pay(1)
        made.host.send(data)
        made.run(2)
        peer.announce_transactions(data)
        made.run(LONG)
        assert made.waits(data)
        assert sent(made, data) is Sent.SEEN
        [item] = made.host.node.mempool(made.world.now)
        assert item.own
        assert all(relay_id(data) in one.told for one in made.ahead)
        block = made.host.template(pack_body([data]))
        made.host.submit(block)
        made.run(2)
        assert sent(made, data) is Sent.CONFIRMED

    def test_an_announcement_alone_ends_nothing(self) -> None:
        """A spy that swallows stems must not be able to stop the embargo by a word."""
        made = stage(embargo_mean=seconds(30))
        peer = made.peer(5, links=1)
        data = pay(1)
        peer.stem(data)
        made.run(1)
        peer.say(peer.open_links[0], Inv(items(data)))
        made.run(300)
        assert made.waits(data)
        assert StemStep.SPREAD in made.steps(data)

    def test_the_origin_tries_its_other_stem_peer_once(self) -> None:
        made = stage(embargo_mean=seconds(20), stem_epoch=seconds(100_000))
        data = pay(1)
        made.host.send(data)
        made.run(600)
        assert [step for step in made.steps(data) if step is not StemStep.TOLD] == [
            StemStep.OWN, StemStep.GIVEN, StemStep.EXPIRED, StemStep.GIVEN, StemStep.EXPIRED, StemStep.SPREAD,
        ]  # fmt: skip
        assert len(stemmed(made, data)) == 2
        assert sent(made, data) is Sent.FLUFFED
        assert made.waits(data)

    def test_a_family_is_given_to_the_other_one_together(self) -> None:
        made = stage(stem_epoch=seconds(100_000))
        parent = pay(1)
        made.host.send(parent)
        made.run(1)
        child = child_of(parent)
        made.host.send(child)
        made.run(1)
        [first] = stemmed(made, child)
        relay = made.host.node._state.relay
        assert relay is not None
        entry = relay.stems.pool.get(relay_id(child))
        assert entry is not None
        relay.stems.pool.set_embargo(entry, made.world.time)
        relay.due = True
        made.host.send(pay(50))
        made.run(5)
        [other] = [peer for peer in made.ahead if peer is not first]
        assert [name for name in other.stems if name in (relay_id(parent), relay_id(child))] == [
            relay_id(parent),
            relay_id(child),
        ]

    def test_everybody_else_spreads_it_at_once(self) -> None:
        made = stage(embargo_mean=seconds(20), stem_epoch=seconds(100_000))
        peer = made.peer(5, links=1)
        data = pay(1)
        child = child_of(data)
        peer.stem(data, child)
        made.run(600)
        assert made.waits(data)
        assert made.waits(child)
        assert made.steps(data).count(StemStep.GIVEN) == 1
        assert relay_id(data) in peer.told

    @pytest.mark.parametrize("fallback", NoStem)
    def test_without_stem_peers_ours_waits_as_the_operator_wants(self, fallback: NoStem) -> None:
        made = stage(stem_peers=0, no_stem=fallback)
        made.host.send(pay(1))
        made.run(2)
        assert made.waits(pay(1)) is (fallback is NoStem.NOW)
        assert submitted(made).accepted
        made.run(STEM_WAIT / 1e6 - 10)
        assert made.waits(pay(1)) is (fallback is NoStem.NOW)
        made.run(20)
        assert made.waits(pay(1)) is (fallback is not NoStem.WAIT)
        if fallback is NoStem.WAIT:
            made.run(100_000)
            assert sent(made, pay(1)) is Sent.WAITING
        else:
            assert sent(made, pay(1)) is Sent.FLUFFED

    def test_what_waits_takes_the_stem_peer_that_a_new_epoch_brings(self) -> None:
        """Though the node is quiet, and never both: stemmed and spread."""
        for seed in range(6):
            made = stage(seed, stem_peers=0, stem_epoch=seconds(200), no_stem=NoStem.FLUFF)
            deaf = [
                made.peer(20 + number, bits=FeatureSet(Feature.BASIC_TRANSACTIONS))
                if number < 2
                else made.peer(20 + number)
                for number in range(4)
            ]
            for one in deaf:
                made.host.node.add_peer(Target(one.address), made.world.now)
            made.host.send(pay(1))
            made.run(STEM_WAIT / 1e6 + 60)
            steps = [step for step in made.steps(pay(1)) if step in (StemStep.GIVEN, StemStep.SPREAD)]
            assert steps in ([StemStep.GIVEN], [StemStep.SPREAD]), steps
            if any(peer.stems for peer in deaf):
                assert steps == [StemStep.GIVEN]

    def test_an_orphan_of_the_open_that_was_in_stem_as_well_leaves_nothing_behind(self) -> None:
        made = stage()
        peer, other = made.peer(5, links=1), made.peer(6, links=1)
        parent, child = pay(1), child_of(pay(1))
        other.announce_transactions(child)
        made.run(5)
        peer.stem(parent, child)
        made.run(2)
        made.host.submit(made.host.template(pack_body([parent, child])))
        made.run(LONG)
        assert made.host.disk.waiting == {}

    def test_what_is_contradicted_in_the_open_is_dropped_at_its_end(self) -> None:
        made = stage(embargo_mean=seconds(20))
        peer = made.peer(5, links=1)
        data, rival = pay(1), pay(1, salt=9)
        made.host.send(data)
        made.run(1)
        peer.announce_transactions(rival)
        made.run(600)
        assert made.waits(rival)
        assert not made.waits(data)
        assert sent(made, data) is Sent.REFUSED
        assert StemStep.SPREAD not in made.steps(data)

    def test_a_block_ends_a_stem(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        theirs, ours = pay(1), pay(2)
        peer.stem(theirs)
        made.host.send(ours)
        made.run(2)
        made.host.submit(made.host.template(pack_body([theirs, ours])))
        made.run(2)
        assert sent(made, ours) is Sent.CONFIRMED
        relay = made.host.node._state.relay
        assert relay is not None
        assert len(relay.stems.pool) == 0
        assert not made.host.disk.waiting

    def test_the_end_of_a_link_ends_none_of_its_stems(self) -> None:
        made = stage(embargo_mean=seconds(20))
        peer = made.peer(5, links=1)
        data = pay(1)
        peer.stem(data)
        made.run(1)
        peer.drop(peer.open_links[0])
        made.run(600)
        assert made.waits(data)

    def test_a_stem_peer_that_leaves_is_replaced(self) -> None:
        made = stage(stem_peers=4, embargo_mean=seconds(100_000))
        made.host.send(pay(0))
        made.run(1)
        [first] = stemmed(made, pay(0))
        first.drop(first.open_links[0])
        made.run(1)
        made.host.send(pay(1))
        made.run(1)
        assert stemmed(made, pay(1)) not in ([], [first])


class TestWhatIsTaken:
    def test_no_refusal_costs_or_shows_anything(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        good = pay(1)
        low = make_rate(FEE_FLOOR * STEM_FLOOR // 100 - 2)
        refused = [low, pay(1, salt=7), child_of(pay(99)), pay(40, seal=b"\0")]
        peer.stem(good)
        made.run(1)
        for data in refused:
            peer.stem(data)
        made.run(5)
        assert not any(stemmed(made, data) for data in refused)
        assert [peer.told, made.ahead[0].told] == [[], []]
        faults = [one.faults for one in made.host.node.snapshot(made.world.now).peers]
        assert sorted(faults) == [0, 0, FAULT_INVALID_TX], "only what no block may hold is charged"
        # The open knows nothing of it: what was refused by stem alone is asked for when it is announced.
        peer.announce_transactions(refused[1])
        made.run(LONG)
        assert made.waits(refused[1])

    def test_a_bad_child_of_a_stem_is_charged_no_more_than_an_orphan(self) -> None:
        for held in (True, False):
            made = stage()
            peer = made.peer(5, links=1)
            if held:
                peer.stem(pay(1))
                made.run(1)
            peer.stem(child_of(pay(1), seal=b"\0"))
            made.run(5)
            assert [one.faults for one in made.host.node.snapshot(made.world.now).peers] == [0, 0, 0]

    def test_the_floor_is_a_little_higher_than_the_mempool_s(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        enough, low = make_rate(FEE_FLOOR * STEM_FLOOR // 100 + 1, 2), make_rate(FEE_FLOOR + 2, 3)
        peer.stem(enough, low)
        made.run(1)
        assert [bool(stemmed(made, data)) for data in (enough, low)] == [True, False]
        made.host.send(low)
        made.run(1)
        told = submitted(made)
        assert (told.accepted, told.rule) == (False, "min relay fee not met")
        peer.announce_transactions(low)
        made.run(LONG)
        assert made.waits(low)

    def test_our_operator_is_told_of_his_own_conflicts_and_of_no_others(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        peer.stem(pay(1))
        made.host.send(pay(2))
        made.run(1)
        made.host.send(pay(2, salt=5))
        made.run(1)
        assert submitted(made).rule == "txn-mempool-conflict"
        made.host.send(pay(1, salt=5))
        made.run(1)
        assert submitted(made).accepted
        made.host.send(pay(1, salt=5))
        made.run(1)
        assert (submitted(made).accepted, submitted(made).rule) == (True, "txn-already-in-mempool")

    def test_a_stem_of_another_becomes_ours_without_a_difference(self) -> None:
        for held in (True, False):
            for seed in range(4):
                made = stage(seed)
                peer = made.peer(5, links=1)
                if held:
                    peer.stem(pay(1))
                    made.run(1)
                made.host.send(pay(1))
                made.run(1)
                told = submitted(made)
                assert (told.accepted, told.rule, told.stage) == (True, "", Sent.STEMMED)

    def test_it_is_ignored_without_the_bits_or_from_whom_we_have_dialled(self) -> None:
        made = stage()
        deaf = made.peer(5, links=1, bits=FeatureSet(Feature.BASIC_TRANSACTIONS, PrivacyFeature.NONE))
        deaf.stem(pay(1))
        made.ahead[0].say(made.ahead[0].open_links[0], DandelionTx(pay(2)))
        made.run(5)
        assert not any(stemmed(made, pay(number)) for number in (1, 2))
        assert not any(isinstance(event, LinkClosed) for event in made.events), "it is no fault"

    def test_unreadable_ones_are_charged(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        peer.stem(b"not a transaction")
        made.run(1)
        assert sorted(one.faults for one in made.host.node.snapshot(made.world.now).peers) == [0, 0, 20]

    def test_stems_cost_tokens(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        for number in range(30_000 // TX_PRICE):
            peer.stem(pay(number))
        made.run(0.5)
        came = sum(step.step is StemStep.CAME for _, step in made.traces)
        assert 0 < came < 3_000


def make_rate(rate: int, number: int = 1) -> bytes:
    """A transaction that pays ``rate`` for 1,000 virtual bytes, rounded up."""
    size = parse(pay(number, pad=40_000)).info.size
    return pay(number, -(-rate * size // 1_000), pad=40_000)


class TestTheNextRun:
    def test_what_was_sent_again_counts_as_ours(self) -> None:
        """Before the kept one was judged: its verdict is his."""
        made = stage()
        made.host.send(pay(1))
        made.run(2)
        made.restart(power=True)
        while made.host.node.snapshot(made.world.now).relay.ready is False:
            made.world.run_until(Instant(made.world.time + 1))
        made.host.send(pay(1))
        made.run(5)
        assert submitted(made).accepted
        assert sent(made, pay(1)) is not None

    def test_our_operator_s_new_ones_do_not_wait_for_kept_ones(self) -> None:
        made = stage(embargo_mean=seconds(3_000))
        peer = made.peer(5, links=1)
        for number in range(200):
            peer.stem(pay(1_000 + number))
            made.run(0.1)
        made.restart(power=True)
        made.run(20)
        made.host.send(pay(1))
        made.run(10)
        assert len(stemmed(made, pay(1))) == 1
        assert sent(made, pay(1)) is Sent.STEMMED

    def test_what_was_in_stem_goes_on_in_stem_whosever_it_was(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        theirs, ours = pay(1), pay(2)
        peer.stem(theirs)
        made.host.send(ours)
        made.run(2)
        made.restart(power=True)
        made.run(120)
        steps = [[step for step in made.steps(data) if step is not StemStep.HEARD] for data in (theirs, ours)]
        assert steps[0] == steps[1] == [StemStep.GIVEN], "both go our own way once more, and are told to nobody"
        assert stemmed(made, theirs) == stemmed(made, ours) != []
        assert sent(made, ours) is None
        assert not made.waits(ours)
        assert made.host.node.snapshot(made.world.now).relay.own == 0

    def test_the_disk_does_not_tell_whose_it_is(self) -> None:
        made = stage()
        peer = made.peer(5, links=1)
        theirs, ours = pay(1), pay(2)
        peer.stem(theirs)
        made.host.send(ours)
        made.run(2)
        kept = made.host.disk.waiting
        assert sorted(kept) == sorted(map(relay_id, (theirs, ours)))
        marks = {name: repr(value)[repr(value).index("stem") :] for name, value in kept.items()}
        assert len(set(marks.values())) == 1, marks

    def test_its_embargo_goes_on(self) -> None:
        made = stage()
        data = pay(1)
        made.host.send(data)
        made.run(2)
        made.restart(power=False, embargo_mean=seconds(20))
        made.run(600)
        assert made.waits(data)
        assert made.steps(data).count(StemStep.EXPIRED) == 1, "nobody knows any more that it could try another way"

    def test_what_spread_meanwhile_is_forgotten(self) -> None:
        made = stage()
        data = pay(1)
        made.host.send(data)
        made.run(2)
        block = made.host.template(pack_body([data]))
        made.restart(power=True)
        made.host.submit(block)
        made.run(60)
        assert made.host.disk.waiting == {}


def test_a_kept_transaction_says_nothing_of_its_owner() -> None:
    assert set(KeptTransaction.__slots__) == {"data", "age", "stem"}
