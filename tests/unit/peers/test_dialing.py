"""The schedule of dials: named peers, slots by purpose, groups and classes, what is dialled beyond the slots."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from obscura.base.instant import MICROSECONDS, Duration, Instant, Now, WallTime, after, seconds
from obscura.base.limits import (
    BACKOFF_BASE,
    BACKOFF_CAP_NAMED,
    COUNTED_LINKS,
    DIAL_INTERVAL,
    DIALS_AT_ONCE,
    EXTRA_MEAN,
    FEELER_MEAN,
    OTHER_NETWORK_WAIT,
    SENIOR_DRAWS,
    SENIOR_MEAN,
    SENIOR_MISSES,
    SENIOR_PAUSE,
    SENIOR_PAUSE_MOST,
    STALE_LOOK,
    STEADY_LINK,
    TRIED_ENOUGH,
    TRIED_MISSES,
    UNCOUNTED_WAIT,
)
from obscura.base.randomness import Chance
from obscura.peers.book import AddressBook
from obscura.peers.defences import Defences
from obscura.peers.dialing import Dialer, Policy, Purpose, Situation, Wanted
from obscura.peers.groups import Grouping
from obscura.peers.pins import Verdict
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.target import Target

WALL = WallTime(1_800_000_000)
NOW = Now(Instant(0), WALL)
FULL, BLOCKS, FEELER, NAMED = Purpose.FULL, Purpose.BLOCKS, Purpose.FEELER, Purpose.NAMED
KEY = bytes(range(32))


def address(number: int, host: int = 1) -> NetAddress:
    """A routable address; each number is a group of its own."""
    return NetAddress(Network.IPV4, bytes([20 + number // 200, number % 200, 7, host]), 8333)


def onion(number: int) -> NetAddress:
    return NetAddress(Network.TORV3, bytes([number * 16]) + bytes(31), 8333)


def later(now: Now, span: Duration | int) -> Now:
    return Now(Instant(now.mono + span), WallTime(now.wall + span // MICROSECONDS))


class Stage:
    """A schedule, and what a node would tell it of its links."""

    def __init__(
        self,
        *,
        known: int = 60,
        named: tuple[NetAddress, ...] = (),
        full: int = 8,
        blocks: int = 2,
        reach: tuple[Network, ...] = (Network.IPV4,),
        defences: Defences | None = None,
        anchors: tuple[NetAddress, ...] = (),
        refused: Callable[[NetAddress, WallTime], bool] | None = None,
        banned: Callable[[NetAddress, WallTime], bool] | None = None,
    ) -> None:
        self.book = AddressBook((), Chance.from_seed(8), key=KEY)
        for number in range(known):
            self.know(address(number))
        nobody: Callable[[NetAddress, WallTime], bool] = lambda where, now: False  # noqa: E731
        self.dialer = Dialer(
            self.book,
            [Target(one) for one in named],
            Policy(
                full=full,
                blocks=blocks,
                reach=reach,
                grouping=Grouping(),
                defences=defences or Defences(),
                allow_local=False,
            ),
            Chance.from_seed(9),
            NOW.mono,
            refused=refused or nobody,
            banned=banned or nobody,
            anchors=anchors,
        )
        self.now = NOW
        self.links: list[Wanted] = []
        self.inbound: list[NetAddress] = []
        self.stale = False
        self.silent: list[NetAddress] = []

    def senior(self) -> Wanted | None:
        """The link by seniority."""
        return next((one for one in self.links if self.dialer.is_senior(one.address)), None)

    def know(self, where: NetAddress) -> None:
        self.book.learn(AddressEntry(WALL, 0, where), where.group() + where.raw[-1:], WALL)

    @property
    def situation(self) -> Situation:
        in_use = [one.address for one in self.links] + self.inbound
        return Situation(
            in_use=in_use,
            outbound=self.links,
            reached=[one for one in in_use if one not in self.silent],
            dialling=0,
            stale=self.stale,
        )

    def step(self) -> list[Wanted]:
        """What is dialled now; each dial succeeds at once."""
        chosen = self.dialer.due(self.now, self.situation)
        self.links += chosen
        return chosen

    def run(self, span: Duration | int) -> list[Wanted]:
        """All that is dialled while time passes, looking whenever the schedule says so."""
        end = self.now.mono + span
        made: list[Wanted] = []
        while (at := self.dialer.next_deadline(self.situation)) is not None and at <= end:
            self.now = later(self.now, max(0, at - self.now.mono))
            made += self.step()
        self.now = later(self.now, end - self.now.mono)
        return made

    def count(self, purpose: Purpose) -> int:
        return sum(1 for one in self.links if one.purpose is purpose)

    def drop(self, purpose: Purpose) -> None:
        """End the last link of a purpose."""
        self.end([one for one in self.links if one.purpose is purpose][-1])

    def end(self, link: Wanted) -> None:
        """End a link that has lasted."""
        self.links.remove(link)
        self.dialer.ended(link.address, STEADY_LINK, self.now, felt=link.purpose is FEELER)


def senior_stage(
    share: float, *, seniority: bool = True, feelers: bool = False, anchors: tuple[NetAddress, ...] = ()
) -> tuple[Stage, set[NetAddress]]:
    """A stage in whose tried table, of 240 addresses, ``share`` have stood for longer than all others; these."""
    stage = Stage(known=480, defences=Defences(feelers=feelers, seniority=seniority), full=2, anchors=anchors)
    first = {address(number) for number in range(0, 480, 2 * round(1 / share))}
    for number in range(0, 480, 2):
        stage.book.succeeded(address(number), WallTime(WALL - (9 if address(number) in first else 3)))
    return stage, first


class TestNamed:
    def test_they_come_back_for_ever(self) -> None:
        stage = Stage(known=0, named=(address(1),), full=0)
        dialer, now, waits = stage.dialer, NOW, []
        for _ in range(40):
            assert dialer.due(now, Situation()) == [Wanted(address(1), NAMED)]
            assert dialer.due(now, Situation()) == [], "it is being dialled"
            wait = dialer.ended(address(1), Duration(0), now)
            waits.append(wait)
            assert dialer.next_deadline(Situation()) == now.mono + wait
            assert wait == 0 or dialer.due(now, Situation()) == []
            now = later(now, wait)
        assert max(waits) <= BACKOFF_CAP_NAMED
        assert max(waits[:2]) <= 4 * MICROSECONDS

    def test_a_link_that_lived_starts_afresh(self) -> None:
        dialer = Stage(known=0, named=(address(1),)).dialer
        for _ in range(20):
            dialer.ended(address(1), Duration(0), NOW)
        assert dialer.ended(address(1), seconds(3600), NOW) <= 2 * BACKOFF_BASE

    def test_they_need_neither_slot_nor_group(self) -> None:
        stage = Stage(named=tuple(address(3, host) for host in range(1, 6)))
        stage.run(seconds(60))
        assert stage.count(NAMED) == 5
        assert stage.count(FULL) == 8

    def test_other_network_rests_for_a_day(self) -> None:
        dialer = Stage(known=0, named=(address(1),)).dialer
        assert dialer.due(NOW, Situation()) == [Wanted(address(1), NAMED)]
        dialer.other_network(address(1), NOW)
        day = OTHER_NETWORK_WAIT * MICROSECONDS
        assert dialer.due(later(NOW, day - MICROSECONDS), Situation()) == []
        assert dialer.due(later(NOW, day), Situation()) == [Wanted(address(1), NAMED)]

    def test_one_that_is_linked_already_does_not_spin(self) -> None:
        dialer = Stage(known=0, named=(address(1),)).dialer
        assert dialer.due(NOW, Situation(in_use=[address(1)])) == []
        assert dialer.next_deadline(Situation()) == after(NOW.mono, BACKOFF_CAP_NAMED)

    def test_a_ban_holds_for_them_too_and_discouragement_does_not(self) -> None:
        discouraged = Stage(known=0, named=(address(1),), refused=lambda where, now: True)
        assert discouraged.step() == [Wanted(address(1), NAMED)]
        until = WallTime(WALL + 600)
        banned = Stage(known=0, named=(address(1),), banned=lambda where, now: now < until)
        assert banned.run(seconds(599)) == []
        assert banned.run(seconds(62)) == [Wanted(address(1), NAMED)]


class TestSlots:
    def test_full_ones_first_then_blocks_and_no_more(self) -> None:
        stage = Stage(defences=Defences(feelers=False))
        made = stage.run(seconds(30))
        assert [one.purpose for one in made] == 8 * [FULL] + 2 * [BLOCKS]
        groups = [one.address.group() for one in made]
        assert len(dict.fromkeys(groups)) == 10, "one for each group"

    def test_one_at_a_time_at_a_pace(self) -> None:
        stage = Stage()
        assert len(stage.step()) == 1
        assert stage.step() == []
        stage.now = later(stage.now, DIAL_INTERVAL - 1)
        assert stage.step() == []
        stage.now = later(stage.now, 1)
        assert len(stage.step()) == 1

    def test_a_bound_on_dials_at_once(self) -> None:
        stage = Stage()
        busy = Situation(dialling=DIALS_AT_ONCE)
        assert stage.dialer.due(NOW, busy) == []
        assert stage.dialer.next_deadline(busy) is None
        assert len(stage.dialer.due(NOW, Situation(dialling=DIALS_AT_ONCE - 1))) == 1

    def test_what_others_open_to_us_does_not_choose_for_us(self) -> None:
        """An attacker who has an address in every group of honest hosts opens a link from each."""
        stage = Stage(known=12)
        stage.inbound = [address(number, 99) for number in range(12)]
        stage.run(seconds(60))
        assert stage.count(FULL) == 8

    def test_without_diversity_one_group_may_have_all(self) -> None:
        twins = [address(0, host) for host in range(1, 40)]
        for diverse, count in ((True, 1), (False, 8)):
            stage = Stage(known=0, defences=Defences(diverse_groups=diverse, feelers=False))
            for where in twins:
                stage.book.learn(AddressEntry(WALL, 0, where), where.raw[-2:], WALL)
            stage.run(seconds(600))
            assert stage.count(FULL) == count

    def test_no_discovery_no_dials(self) -> None:
        stage = Stage(full=0)
        assert stage.run(seconds(86_400)) == []

    def test_refused_unroutable_and_unreachable_ones_are_left(self) -> None:
        stage = Stage(known=0, refused=lambda where, now: where.raw[1] == 5)
        for where in (address(5), onion(1), NetAddress(Network.IPV4, bytes([10, 0, 0, 1]), 8333)):
            stage.know(where)
        assert stage.run(seconds(3_600)) == []
        stage.know(address(6))
        assert [one.address for one in stage.run(seconds(60))] == [address(6)]

    def test_deadlines_are_never_for_nothing(self) -> None:
        """With the slots full and no extra link due, the next deadline is one at which something may be dialled."""
        stage = Stage(defences=Defences(seniority=False))
        stage.run(seconds(30))
        while stage.count(FEELER):
            stage.drop(FEELER)
        looks = dials = 0
        for _ in range(50):
            at = stage.dialer.next_deadline(stage.situation)
            assert at is not None
            assert at >= stage.now.mono
            stage.now = later(stage.now, at - stage.now.mono)
            made = stage.step()
            looks, dials = looks + 1, dials + len(made)
            stage.links = [one for one in stage.links if one not in made]
        assert dials > looks // 2


class TestAnchors:
    def test_they_are_dialled_first_for_blocks(self) -> None:
        anchors = (address(50), address(51))
        stage = Stage(anchors=anchors)
        made = stage.run(seconds(10))
        assert made[:2] == [Wanted(one, BLOCKS) for one in anchors]
        assert stage.count(BLOCKS) == 2

    def test_one_that_is_refused_is_passed_over(self) -> None:
        stage = Stage(anchors=(address(50), address(51)), refused=lambda where, now: where == address(50))
        assert stage.step() == [Wanted(address(51), BLOCKS)]

    def test_without_the_defence_there_are_none(self) -> None:
        stage = Stage(anchors=(address(50),), defences=Defences(anchors=False))
        assert stage.step()[0].purpose is FULL

    def test_they_need_no_entry_in_the_book(self) -> None:
        stage = Stage(known=0, anchors=(address(50),))
        assert stage.run(seconds(1)) == [Wanted(address(50), BLOCKS)]


class TestClasses:
    def test_each_class_has_one(self) -> None:
        stage = Stage(known=150, reach=(Network.IPV4, Network.TORV3), defences=Defences(feelers=False))
        stage.know(onion(3))
        stage.run(seconds(60))
        assert any(one.address.network is Network.TORV3 and one.purpose is FULL for one in stage.links)

    def test_one_that_turns_up_later_gets_a_link_beyond_the_slots(self) -> None:
        stage = Stage(reach=(Network.IPV4, Network.TORV3), defences=Defences(feelers=False), blocks=0)
        stage.run(seconds(60))
        assert stage.count(FULL) == 8
        stage.know(onion(3))
        made = stage.run(20 * EXTRA_MEAN)
        assert made == [Wanted(onion(3), FULL)]
        assert stage.run(20 * EXTRA_MEAN) == [], "and no more"


class TestBesides:
    def full(self, **more: object) -> Stage:
        stage = Stage(**more)  # type: ignore[arg-type]
        stage.run(seconds(10))
        assert (stage.count(FULL), stage.count(BLOCKS)) == (8, 2)
        return stage

    def test_feelers_at_their_pace_one_at_a_time(self) -> None:
        stage = self.full(blocks=2)
        began, felt = stage.now.mono, 0
        while felt < 300:
            stage.run(seconds(10))
            if stage.count(FEELER):
                assert stage.count(FEELER) == 1
                felt += 1
                stage.drop(FEELER)
            for purpose, most in ((BLOCKS, 2), (FULL, 8)):
                while stage.count(purpose) > most:
                    stage.drop(purpose)
        mean = (stage.now.mono - began) / felt
        assert FEELER_MEAN * 0.8 < mean < FEELER_MEAN * 1.3

    def test_feelers_choose_what_was_never_reached(self) -> None:
        stage = self.full(known=60, defences=Defences(seniority=False))
        for number in range(0, 60, 2):
            stage.book.succeeded(address(number), WALL)
        felt = []
        for _ in range(200):
            felt += [one.address for one in stage.run(seconds(60)) if one.purpose is FEELER]
            if stage.count(FEELER):
                stage.drop(FEELER)
        assert felt
        assert all(not record.tried for where in felt if (record := stage.book.get(where)) is not None)

    def test_feelers_go_on_when_free_slots_find_nobody(self) -> None:
        stage = Stage(known=0)
        for host in range(1, 30):
            stage.book.learn(AddressEntry(WALL, 0, address(0, host)), b"s%d" % host, WALL)
        made = stage.run(20 * FEELER_MEAN)
        assert [one.purpose for one in made].count(FEELER) == 1
        assert stage.count(FULL) == 1, "they are all of one group"

    def test_one_more_for_blocks_now_and_then(self) -> None:
        stage = self.full(defences=Defences(feelers=False, seniority=False))
        for number in range(60):
            stage.book.succeeded(address(number), WALL)
        made = stage.run(20 * EXTRA_MEAN)
        assert [one.purpose for one in made] == [BLOCKS]
        stage.drop(BLOCKS)
        assert [one.purpose for one in stage.run(20 * EXTRA_MEAN)] == [BLOCKS]

    def test_links_for_blocks_go_to_tried_addresses(self) -> None:
        stage, tried = Stage(known=120, defences=Defences(feelers=False), full=2), set(range(0, 120, 3))
        for number in tried:
            stage.book.succeeded(address(number), WALL)
        met = []
        for _ in range(200):
            met += [one.address for one in stage.run(EXTRA_MEAN) if one.purpose is BLOCKS]
            stage.links = [one for one in stage.links if one.purpose is not BLOCKS]
        assert len(met) > 100
        assert set(met) <= {address(number) for number in tried}

    def test_at_most_half_of_full_links_go_to_new_addresses(self) -> None:
        stage = Stage(known=120, defences=Defences(feelers=False), blocks=0)
        tried = set(range(0, 120, 3))
        for number in tried:
            stage.book.succeeded(address(number), WALL)
        proven = {address(number) for number in tried}
        for _ in range(100):
            stage.run(seconds(20))
            assert stage.count(FULL) == 8
            assert sum(one.address not in proven for one in stage.links) <= 4
            # Only links to tried addresses end: whoever was new stays, and has half of them for good.
            leaving = next((one for one in stage.links if one.address in proven), None)
            assert leaving is not None
            stage.links.remove(leaving)
            stage.dialer.ended(leaving.address, STEADY_LINK, stage.now)

    @pytest.mark.parametrize(("full", "most"), [(1, 0), (2, 1), (3, 1), (5, 2), (8, 4)])
    def test_half_is_never_more_than_half(self, full: int, most: int) -> None:
        stage = Stage(known=120, defences=Defences(feelers=False), full=full, blocks=0)
        proven = {address(number) for number in range(0, 120, 3)}
        for one in proven:
            stage.book.succeeded(one, WALL)
        stage.stale = True
        for _ in range(60):
            stage.run(STALE_LOOK)
            assert sum(one.address not in proven for one in stage.links) <= most
            leaving = next(one for one in stage.links if one.address in proven)
            stage.links.remove(leaving)
            stage.dialer.ended(leaving.address, STEADY_LINK, stage.now)

    def test_a_key_that_has_changed_makes_a_tried_address_new(self) -> None:
        stage = Stage(known=120, defences=Defences(feelers=False), full=2, blocks=0)
        for number in range(0, 120, 3):
            stage.book.succeeded(address(number), WALL, bytes(32))
        changed = 0
        for _ in range(40):
            stage.run(seconds(20))
            for one in stage.links:
                verdict = stage.book.meet(one.address, b"\1" * 32)
                stage.dialer.opened(one.address, stage.now, b"\1" * 32)
                assert verdict is not Verdict.CHANGED or one.address in stage.dialer._unproven
                changed += verdict is Verdict.CHANGED
            leaving = stage.links[0]
            stage.links.remove(leaving)
            stage.dialer.ended(leaving.address, STEADY_LINK, stage.now)
        assert changed > 10
        assert len(stage.dialer._unproven) <= 2, "and what has ended is forgotten"

    def test_without_the_defence_new_addresses_get_more_and_more(self) -> None:
        stage = Stage(known=120, defences=Defences(feelers=False, tried_first=False), blocks=0)
        proven = {address(number) for number in range(0, 120, 3)}
        for one in proven:
            stage.book.succeeded(one, WALL)
        stage.run(seconds(20))
        for _ in range(100):
            leaving = next((one for one in stage.links if one.address in proven), None)
            if leaving is None:
                break
            stage.links.remove(leaving)
            stage.dialer.ended(leaving.address, STEADY_LINK, stage.now)
            stage.run(seconds(20))
        assert not any(one.address in proven for one in stage.links)

    def test_where_nothing_was_tried_all_slots_are_filled(self) -> None:
        stage = self.full(defences=Defences(feelers=False))
        assert stage.count(FULL) == 8

    def test_without_tried_addresses_slots_for_blocks_take_new_ones_and_nothing_is_compared(self) -> None:
        stage = self.full(defences=Defences(feelers=False))
        assert stage.run(20 * EXTRA_MEAN) == []

    def test_without_the_defence_links_for_blocks_go_anywhere(self) -> None:
        stage = Stage(known=120, defences=Defences(feelers=False, tried_first=False), full=2)
        stage.book.succeeded(address(0), WALL)
        met = set()
        for _ in range(50):
            met |= {one.address for one in stage.run(EXTRA_MEAN) if one.purpose is BLOCKS}
            stage.links = [one for one in stage.links if one.purpose is not BLOCKS]
        assert len(met) > 20

    def test_one_more_while_the_tip_is_stale(self) -> None:
        stage = self.full(defences=Defences(feelers=False), blocks=2)
        stage.stale = True
        assert [one.purpose for one in stage.step()] == [FULL]
        assert stage.count(FULL) == 9
        stage.drop(FULL)
        made = [one for one in stage.run(STALE_LOOK - 1) if one.purpose is FULL]
        assert made == []
        assert any(one.purpose is FULL for one in stage.run(2))


class TestSeniority:
    """One link for blocks by age."""

    @pytest.mark.parametrize("on", [True, False])
    def test_it_goes_to_whoever_came_early(self, on: bool) -> None:
        """Late ones have half of the tried table, and never end a link."""
        stage, early = senior_stage(0.5, seniority=on)
        stage.run(STEADY_LINK)
        alone = 0
        for _ in range(300):
            stage.run(12 * SENIOR_PAUSE)
            links = [one for one in stage.links if one.purpose is BLOCKS]
            alone += not any(one.address in early for one in links)
            for leaving in links:
                if leaving.address in early or len(links) > 2 or not any(one.address in early for one in links):
                    stage.end(leaving)
        # One draw is a late one every other time; eight are, once in 256.
        assert (alone < 12) if on else (alone > 60)
        assert 0.5**SENIOR_DRAWS < 0.01

    def test_it_is_one(self) -> None:
        """Who was there before everybody else gets this one, and of the others his share."""
        stage, eldest = senior_stage(0.1)
        his = 0
        for _ in range(200):
            stage.run(6 * SENIOR_PAUSE)
            his += sum(one.address in eldest for one in stage.links if one.purpose is BLOCKS)
            for leaving in [one for one in stage.links if one.purpose is BLOCKS]:
                if not stage.dialer.is_senior(leaving.address):
                    stage.end(leaving)
        assert his < 300, "he has a tenth of tried: one link and a tenth of the other"

    def test_it_is_dialled_beyond_the_slots_after_anchors(self) -> None:
        stage, _ = senior_stage(0.5, anchors=(address(1), address(3)))
        made = [one.address for one in stage.run(STEADY_LINK - 1) if one.purpose is BLOCKS]
        assert made == [address(1), address(3)]
        [senior] = [one for one in stage.run(2) if one.purpose is BLOCKS]
        assert stage.dialer.is_senior(senior.address)

    def test_the_next_one_comes_soon_whatever_the_slots(self) -> None:
        stage, _ = senior_stage(0.5)
        waits = []
        for _ in range(200):
            stage.run(2 * STEADY_LINK)
            senior = stage.senior()
            assert senior is not None
            while stage.count(BLOCKS) < 3:
                # One more, to compare.
                stage.dialer._blocks_at = stage.now.mono
                stage.step()
            stage.end(stage.senior() or senior)
            stage.step()
            before = stage.now.mono
            while stage.senior() is None:
                stage.run(seconds(0.1))
            waits.append(stage.now.mono - before)
            while stage.count(BLOCKS) > 2:
                stage.end(next(one for one in stage.links if one.purpose is BLOCKS and one != stage.senior()))
        assert 0.7 < sum(waits) / len(waits) / SENIOR_PAUSE < 1.3
        assert len(set(waits)) > 20, "not at the same moment"

    def test_where_nobody_answers_dials_become_rare(self) -> None:
        stage, _ = senior_stage(0.5)
        stage.run(2 * STEADY_LINK)
        dials = 0
        for _ in range(3_600):
            senior = stage.senior()
            if senior is not None:
                stage.links.remove(senior)
                stage.dialer.ended(senior.address, Duration(0), stage.now)
                stage.step()
                dials += 1
            stage.run(seconds(1))
        assert 3_600 * MICROSECONDS / SENIOR_PAUSE_MOST * 0.7 < dials < 3_600 * MICROSECONDS / SENIOR_PAUSE_MOST * 1.4
        assert stage.dialer._senior_failures > SENIOR_MISSES
        assert stage.dialer._misses == 0, "they say nothing about the others in tried"

    def test_another_key_ends_it(self) -> None:
        stage, _ = senior_stage(0.5)
        stage.run(2 * STEADY_LINK)
        senior = stage.senior()
        assert senior is not None
        stage.book.succeeded(senior.address, stage.now.wall, bytes(32))
        assert stage.book.meet(senior.address, b"\1" * 32) is Verdict.CHANGED
        stage.dialer.opened(senior.address, stage.now, b"\1" * 32)
        assert stage.senior() is None
        assert senior in stage.links

    def test_one_that_has_gone_silent_is_none(self) -> None:
        stage, _ = senior_stage(0.5)
        stage.run(2 * STEADY_LINK)
        senior = stage.senior()
        assert senior is not None
        stage.dialer.opened(senior.address, stage.now)
        stage.step()
        assert stage.senior() == senior
        stage.silent.append(senior.address)
        stage.step()
        assert stage.senior() is None

    def test_it_is_another_one_after_a_while(self) -> None:
        stage, _ = senior_stage(0.5)
        met, began, changes = set(), stage.now.mono, 200
        while len(met) < changes:
            stage.run(seconds(10))
            if (senior := stage.senior()) is not None:
                met.add((senior.address, stage.dialer._senior_until))
            while stage.count(BLOCKS) > 2:
                stage.end(next(one for one in stage.links if one.purpose is BLOCKS and one != senior))
        assert 0.8 < (stage.now.mono - began) / changes / SENIOR_MEAN < 1.2

    def test_every_other_feeler_looks_for_those_that_are_there_for_longest(self) -> None:
        stage, eldest = senior_stage(0.2, feelers=True)
        felt = []
        while len(felt) < 300:
            felt += [one.address for one in stage.run(seconds(60)) if one.purpose is FEELER]
            if stage.count(FEELER):
                stage.drop(FEELER)
            while stage.count(BLOCKS) > 2:
                stage.end(next(one for one in stage.links if one.purpose is BLOCKS and one != stage.senior()))
        tried = [one for one in felt if (record := stage.book.get(one)) is not None and record.tried]
        assert 0.4 < len(tried) / len(felt) < 0.6
        assert sum(one in eldest for one in tried) > 0.6 * len(tried), "a fifth of tried"

    def test_without_anybody_to_dial_there_is_no_haste(self) -> None:
        stage = Stage(known=11, defences=Defences(feelers=False))
        stage.run(4 * EXTRA_MEAN)
        assert stage.senior() is None, "nobody was tried"
        looks, end = 0, stage.now.mono + 20 * EXTRA_MEAN
        while (at := stage.dialer.next_deadline(stage.situation)) is not None and at < end:
            stage.now = later(stage.now, max(0, at - stage.now.mono))
            assert stage.step() == []
            looks += 1
        assert looks < 80, "twenty for this, and twenty for the one too many"


class TestTrouble:
    """The network, or all whom we knew, are gone for a while."""

    def story(self, stage: Stage, span: Duration | int, alive: Callable[[NetAddress], bool]) -> None:
        """Who is alive answers and stays, another dial fails two seconds later."""
        end = stage.now.mono + span
        failing: list[tuple[Instant, Wanted]] = []
        while stage.now.mono < end:
            for at, one in list(failing):
                if at <= stage.now.mono:
                    failing.remove((at, one))
                    stage.links.remove(one)
                    stage.dialer.ended(one.address, Duration(0), stage.now)
            for one in stage.dialer.due(stage.now, self.situation(stage, failing)):
                stage.links.append(one)
                if alive(one.address):
                    stage.dialer.opened(one.address, stage.now)
                else:
                    failing.append((after(stage.now.mono, seconds(2)), one))
            stage.now = later(stage.now, seconds(1))
        for _, one in failing:
            stage.links.remove(one)
            stage.dialer.ended(one.address, Duration(0), stage.now)

    def situation(self, stage: Stage, failing: list[tuple[Instant, Wanted]]) -> Situation:
        waiting = [one for _, one in failing]
        opened = {one.address: None for one in stage.links if one not in waiting}
        in_use = {one.address: None for one in stage.links}
        return Situation(in_use=in_use, outbound=stage.links, reached=opened, dialling=len(waiting))

    def test_after_an_outage_tried_addresses_are_still_there(self) -> None:
        """Thousands of the attacker's were told; without the network every dial fails."""
        stage = Stage(known=2_000, defences=Defences(feelers=False))
        proven = {address(number) for number in range(0, 2_000, 20)}
        for one in proven:
            stage.book.succeeded(one, WALL)
        self.story(stage, seconds(20 * 60), lambda where: False)
        assert stage.links == []
        self.story(stage, seconds(60), lambda where: True)
        assert stage.count(FULL) == 8
        assert stage.count(BLOCKS) in (2, 3, 4), "there may be one too many, to compare with, and one by seniority"
        assert sum(one.address in proven for one in stage.links if one.purpose is FULL) >= 4
        assert all(one.address in proven for one in stage.links if one.purpose is BLOCKS)

    def test_where_all_that_were_tried_are_gone_new_ones_will_do(self) -> None:
        stage = Stage(known=400, defences=Defences(feelers=False))
        gone = {address(number) for number in range(0, 400, 4)}
        for one in gone:
            stage.book.succeeded(one, WALL)
        self.story(stage, seconds(120), lambda where: where not in gone)
        assert (stage.count(FULL), stage.count(BLOCKS)) == (8, 2)

    def with_tried(self, count: int) -> tuple[Stage, set[NetAddress]]:
        stage = Stage(known=120, defences=Defences(feelers=False), full=1, blocks=0)
        tried = {address(number) for number in range(count)}
        for one in tried:
            stage.book.succeeded(one, WALL)
        assert stage.book.counts()[Network.IPV4][1] == count
        return stage, tried

    @pytest.mark.parametrize(("count", "bound"), [(TRIED_ENOUGH, True), (TRIED_ENOUGH - 1, False)])
    def test_a_small_tried_table_is_no_choice(self, count: int, bound: bool) -> None:
        stage, tried = self.with_tried(count)
        met = set()
        for _ in range(40):
            met |= {one.address for one in stage.run(seconds(20))}
            stage.drop(FULL)
        assert (met <= tried) == bound

    def test_dials_that_nobody_answers_end_the_rule(self) -> None:
        stage, tried = self.with_tried(40)
        stage.now = later(stage.now, seconds(1))
        met: list[NetAddress] = []
        for _ in range(60):
            met += [one.address for one in stage.step()]
            stage.links.clear()
            stage.dialer.ended(met[-1], Duration(0), stage.now)
            stage.now = later(stage.now, seconds(1))
        assert set(met[:TRIED_MISSES]) <= tried
        assert not set(met) <= tried, "then any address will do"
        stage.dialer.opened(next(iter(tried)), stage.now)
        assert stage.step()[0].address in tried, "until one of them answers"

    @pytest.mark.parametrize(("links", "failures"), [(COUNTED_LINKS, 1), (COUNTED_LINKS - 1, 0)])
    def test_a_dial_fails_if_we_have_a_network(self, links: int, failures: int) -> None:
        stage = Stage(known=60, defences=Defences(feelers=False))
        while len(stage.links) < links:
            stage.step()
            stage.now = later(stage.now, seconds(1))
        [one] = stage.step()
        stage.links.remove(one)
        wait = stage.dialer.ended(one.address, Duration(0), stage.now)
        assert wait <= UNCOUNTED_WAIT
        record = stage.book.get(one.address)
        assert record is not None
        assert record.failures == failures
        assert record.retry_at <= stage.now.wall + UNCOUNTED_WAIT // MICROSECONDS

    def test_failures_count_while_links_stand(self) -> None:
        stage = Stage(known=400, defences=Defences(feelers=False))
        alive = {address(number) for number in range(0, 400, 100)}
        for one in alive:
            stage.book.succeeded(one, WALL)
        self.story(stage, seconds(600), lambda where: where in alive)
        assert sum(record.failures > 0 for record in stage.book.records()) > 20


class TestEnds:
    def test_a_full_peer_is_asked_less_and_less_often(self) -> None:
        """One without a free slot completes every handshake and ends every link: its back-off grows all the same."""
        stage = Stage(known=2)
        for attempt in range(1, 6):
            stage.dialer.opened(address(1), NOW)
            stage.dialer.ended(address(1), Duration(1), NOW)
            record = stage.book.get(address(1))
            assert record is not None
            assert record.failures == attempt
        stage.dialer.opened(address(1), NOW)
        stage.dialer.ended(address(1), STEADY_LINK, NOW)
        record = stage.book.get(address(1))
        assert record is not None
        assert record.failures == 0, "a link that lasted clears them"

    @pytest.mark.parametrize(("felt", "failures"), [(True, 0), (False, 1)])
    def test_a_feeler_that_was_answered_is_no_failure(self, felt: bool, failures: int) -> None:
        stage = Stage(known=2)
        stage.dialer.opened(address(1), NOW)
        stage.dialer.ended(address(1), Duration(0), NOW, felt=felt)
        record = stage.book.get(address(1))
        assert record is not None
        assert record.failures == failures
        assert record.tried
