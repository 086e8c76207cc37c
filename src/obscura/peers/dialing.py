"""Whom to dial, when, and what for (design §7).

Named peers are dialled for ever, and exempt from slots and from network-group diversity. All other dials are for free
slots, one link for each network group, whatever others have opened to us:

* *anchors*: where the last run had block-only links, first of all; nobody can have put them there since.
* *full* links relay everything. A class of networks that is reachable and has none comes first, every other time.
* *blocks* links carry blocks alone, so that neither addresses nor transactions show that they are there.
* Of full links, half go to addresses of the tried table, and of blocks links all: who fills the new one with his own,
  and never hangs up, does not get these as well. This holds while the tried table has some choice, and while not all
  that are dialled there fail: then any address will do until a tried one answers.
* One of the blocks links goes to whoever has stood in tried for longest among several that are drawn. An attacker who
  came lately, and would have all links in the end, does not get this one; when it ends another is dialled soon, before
  anything else, and beyond the slots if they are taken. Only one is chosen so: one who came before everybody else would
  get it. After a while it is a link like any other and another one is dialled, as an attacker's would never end.
* With next to no link of ours open a failed dial counts for nothing, or an hour without network would leave no tried
  address that may be dialled, and all slots to whoever fills the new table.
* With all slots full, now and then: a *feeler*, which only looks whether an address of the new table answers (or one
  that stands in the way of another in the tried table, or has stood there for longest); one more blocks link, to
  compare what is known there with what we know; one more full link, to a class that has none, or because our tip has
  not moved for long. What is one too many is ended again by the node's review.

The policy returns addresses; the node dials.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from ..base.instant import MICROSECONDS, Duration, Instant, Now, WallTime, after, earliest
from ..base.limits import (
    BACKOFF_CAP_NAMED,
    BACKOFF_DOUBLINGS,
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
)
from ..base.randomness import Chance
from ..wire.address import NetAddress, Network
from ..wire.identity import KeyClass, class_of
from ..wire.target import Target
from .backoff import backoff
from .book import AddressBook
from .books import AddressBooks
from .defences import ALL, Defences
from .groups import Grouping


class Purpose(Enum):
    """What a link that we open is for."""

    NAMED = "named"
    """Our operator wants it; it relays everything."""
    FULL = "full"
    """It relays everything."""
    BLOCKS = "blocks"
    """It carries blocks and their headers alone."""
    FEELER = "feeler"
    """It ends when its handshake is done."""
    PRIVATE = "private"
    """It hands one transaction over, and shows nothing of who we are. It is no part of the schedule."""

    @property
    def relays(self) -> bool:
        """Transactions and addresses are told on it."""
        return self in (Purpose.NAMED, Purpose.FULL)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A dial to be made."""

    address: NetAddress
    purpose: Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the schedule must know of the node's links."""

    in_use: Collection[NetAddress] = ()
    """Addresses that have a link or a dial, in either direction."""
    outbound: Sequence[Wanted] = ()
    """Links that we have opened, those that have gone silent as well, and dials under way."""
    reached: Collection[NetAddress] = ()
    """Of these, links whose handshake is done."""
    dialling: int = 0
    """Dials under way, as far as they count against DIALS_AT_ONCE."""
    stale: bool = False
    """Our tip has not moved for long, and nothing is on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the schedule is to keep."""

    full: int
    """Slots for full links; with none there are no automatic links at all."""
    blocks: int
    """Slots for block-only links."""
    allow_local: bool = False
    """Loopback addresses are dialled like any other."""
    reach: Collection[Network]
    """Networks that can be dialled."""
    grouping: Grouping
    """Network groups."""
    defences: Defences = ALL
    """Switched off in experiments alone."""


@dataclass(slots=True)
class _Named:
    target: Target
    failures: int
    due: Instant
    busy: bool = False
    barred: bool = False
    """It was not dialled because it is banned."""


class Dialer:
    """Keeps the schedule of dials. One for each node.

    Args:
        book: of addresses.
        named: peers that our operator wants.
        policy: what to keep.
        refused: whether an address is banned or discouraged.
        banned: whether it is banned; a named peer is dialled all the same if it is discouraged.
        anchors: where the last run had block-only links.
        chance: draws moments and choices.
        now: the moment of the start.
    """

    def __init__(
        self,
        book: AddressBook | AddressBooks,
        named: Collection[Target],
        policy: Policy,
        chance: Chance,
        now: Instant,
        *,
        refused: Callable[[NetAddress, WallTime], bool] = lambda address, now: False,
        banned: Callable[[NetAddress, WallTime], bool] = lambda address, now: False,
        anchors: Sequence[NetAddress] = (),
    ) -> None:
        self._book = book
        self._policy = policy
        self._refused = refused
        self._banned = banned
        self._chance = chance
        self._named: dict[NetAddress, _Named] = {}
        self._anchors = list(anchors) if policy.defences.anchors else []
        self._open = tuple(policy.reach)
        """Networks to which there is a way now."""
        self._unproven: dict[NetAddress, None] = {}
        """Dials and links to addresses that were of the new table when they were picked, or are a new peer's."""
        self._senior: NetAddress | None = None
        """The link for blocks, or the dial, that was picked for its seniority."""
        self._senior_until = now
        self._senior_open = False
        self._senior_at = after(now, STEADY_LINK)
        """When the next one is dialled, if there is none: by the beginning anchors have had their turn."""
        self._senior_failures = 0
        """How many have not lasted, one after the other."""
        self._misses = 0
        """Dials to tried addresses that nobody answered, and looks that found none ready, since one was answered."""
        self._established = 0
        """Automatic links that were open at the last look."""
        self._next_pick = now
        self._empty = False
        """The last look for a free slot has found nothing."""
        self._feeler_at = after(now, chance.exponential(FEELER_MEAN))
        self._blocks_at = after(now, chance.exponential(EXTRA_MEAN))
        self._class_at = after(now, chance.exponential(EXTRA_MEAN))
        self._stale_at = now
        for target in named:
            self.name(target, now)

    def name(self, target: Target, now: Instant) -> None:
        """A peer that the operator wants: dialled now, and again whenever it is lost. Named once more with another
        mode or key, its next dial is by these."""
        address = target.address
        if target.secret is not None:
            # Privacy: where a keyed listener is, is for those alone whom its operator has told.
            self._book.hide(address)
        if (state := self._named.get(address)) is not None:
            state.target = target
            return
        if target.secret is None:
            self._book.name(address)
        known = self._book.get(address)
        self._named[address] = _Named(target, failures=known.failures if known else 0, due=now)

    def open_ways(self, networks: Collection[Network], now: Instant) -> None:
        """To these networks there is a way now, to no others. A daemon that is down says nothing about addresses: they
        are not dialled before it is back, and then named ones at once."""
        before, self._open = self._open, tuple(one for one in self._policy.reach if one in networks)
        for address, state in self._named.items():
            if address.network in self._open and address.network not in before:
                state.due = min(state.due, now)

    def unbanned(self, now: Now) -> None:
        """Some are not banned any more: those of them that are named are dialled now."""
        for address, state in self._named.items():
            if not state.busy and state.barred and not self._banned(address, now.wall):
                state.barred = False
                state.due = now.mono

    @property
    def open(self) -> tuple[Network, ...]:
        """Networks to which there is a way now."""
        return self._open

    def may_name(self, address: NetAddress) -> bool:
        """Whether an address is of a network that can be dialled at all."""
        return address.network in self._policy.reach

    @property
    def named_addresses(self) -> list[NetAddress]:
        """Peers that the operator named, but those who answer only whom they have invited."""
        return [address for address, state in self._named.items() if state.target.secret is None]

    def refuses(self, address: NetAddress, now: WallTime) -> bool:
        """Whether an address is banned or discouraged."""
        return self._refused(address, now)

    def is_named(self, address: NetAddress) -> bool:
        """Whether the operator named this peer."""
        return address in self._named

    def names_host(self, address: NetAddress) -> bool:
        """Whether the operator named a peer on this host, at whatever port."""
        return any(one.raw == address.raw and one.network is address.network for one in self._named)

    def is_senior(self, address: NetAddress) -> bool:
        """Whether the link to this address is the one for blocks that was picked for its seniority."""
        return address == self._senior

    def target(self, address: NetAddress) -> Target:
        """How to dial an address: as the operator named it, else in the node's own mode."""
        state = self._named.get(address)
        return Target(address) if state is None else state.target

    # -- the schedule

    def due(self, now: Now, situation: Situation) -> list[Wanted]:
        """The dials to be made now."""
        self._look(now.mono, situation)
        chosen = self._named_due(now, situation)
        if situation.dialling + len(chosen) >= DIALS_AT_ONCE or not self._policy.full:
            return chosen
        self._book.resolve(now.wall, situation.reached)
        wanted = self._seek_senior(now, situation) or self._for_slots(now, situation) or self._besides(now, situation)
        if wanted is not None:
            known = self._book.get(wanted.address)
            if known is None or not known.tried:
                self._unproven[wanted.address] = None
            self._book.attempted(wanted.address, now.wall)
            chosen.append(wanted)
        return chosen

    def _look(self, now: Instant, situation: Situation) -> None:
        own = [one.address for one in situation.outbound if one.purpose in (Purpose.FULL, Purpose.BLOCKS)]
        self._established = sum(address in situation.reached for address in own)
        if self._senior is not None and (now >= self._senior_until or not self._has_senior(situation)):
            self._lose_senior(now)
        if self._unproven:
            self._unproven = {address: None for address in self._unproven if address in situation.in_use}

    # -- the link by seniority

    def _has_senior(self, situation: Situation) -> bool:
        """Whether it is open, or being dialled; one that has gone silent is neither."""
        if self._senior_open and self._senior not in situation.reached:
            return False
        return any(one.address == self._senior and one.purpose is Purpose.BLOCKS for one in situation.outbound)

    def _lose_senior(self, now: Instant) -> None:
        # Security: until there is another one all others may be one attacker's. Privacy: who ends a link to see whether
        # it was this one must not find out by the clock.
        doublings = min(max(0, self._senior_failures - SENIOR_MISSES), BACKOFF_DOUBLINGS)
        mean = min(SENIOR_PAUSE << doublings, SENIOR_PAUSE_MOST)
        self._senior, self._senior_open = None, False
        self._senior_at = after(now, self._chance.exponential(Duration(mean)))

    def _may_seek_senior(self, situation: Situation) -> bool:
        """Whether there is none, and room for it: it does not wait for another one too many to be ended."""
        policy = self._policy
        return (
            self._senior is None
            and policy.defences.seniority
            and policy.defences.tried_first
            and policy.blocks > 0
            and _count(situation, Purpose.BLOCKS) < policy.blocks + 2
        )

    def _seek_senior(self, now: Now, situation: Situation) -> Wanted | None:
        if now.mono < self._senior_at or not self._may_seek_senior(situation):
            return None
        usable = self._usable(now.wall, situation)
        self._senior = self._book.pick(now.wall, usable, tried=True, networks=self._open, draws=SENIOR_DRAWS)
        if self._senior is None:
            self._senior_at = after(now.mono, self._chance.exponential(EXTRA_MEAN))
            return None
        self._senior_until = after(now.mono, self._chance.exponential(SENIOR_MEAN))
        return Wanted(self._senior, Purpose.BLOCKS)

    def _named_due(self, now: Now, situation: Situation) -> list[Wanted]:
        chosen: list[Wanted] = []
        for address, state in self._named.items():
            if state.busy or state.due > now.mono or address.network not in self._open:
                continue
            state.barred = self._banned(address, now.wall)
            if address in situation.in_use or state.barred:
                state.due = after(now.mono, BACKOFF_CAP_NAMED)
                continue
            state.busy = True
            chosen.append(Wanted(address, Purpose.NAMED))
        return chosen

    def _for_slots(self, now: Now, situation: Situation) -> Wanted | None:
        """A dial for a free slot."""
        purpose = self._free_slot(situation)
        if purpose is None or now.mono < self._next_pick:
            return None
        self._next_pick = after(now.mono, DIAL_INTERVAL)
        usable = self._usable(now.wall, situation)
        wanted: Wanted | None = None
        if _count(situation, Purpose.BLOCKS) < self._policy.blocks:
            # To some there may be no way yet: they have their turn when there is.
            for address in [one for one in self._anchors if one.network in self._open]:
                self._anchors.remove(address)
                if usable(address):
                    wanted = Wanted(address, Purpose.BLOCKS)
                    break
        if wanted is None:
            lacking = self._lacking(situation) if purpose is Purpose.FULL and self._chance.below(2) else ()
            picked = self._pick_lacking(now, usable, lacking) or self._pick(now, usable, purpose, situation)
            wanted = None if picked is None else Wanted(picked, purpose)
        self._empty = wanted is None
        if self._empty:
            # Nothing is ready: waits end after seconds at the soonest, so looking more often wakes us for nothing.
            self._next_pick = after(now.mono, Duration(10 * DIAL_INTERVAL))
        return wanted

    def _pick(
        self, now: Now, usable: Callable[[NetAddress], bool], purpose: Purpose, situation: Situation
    ) -> NetAddress | None:
        """An address for a link of this purpose."""
        if not self._wants_tried(purpose, situation):
            return self._book.pick(now.wall, usable, networks=self._open)
        picked = self._book.pick(now.wall, usable, tried=True, networks=self._open)
        if picked is None:
            # All of them wait. So does the slot for a while, or a bad minute would fill it from the new table.
            self._misses += 1
        return picked

    def _pick_lacking(
        self, now: Now, usable: Callable[[NetAddress], bool], lacking: Sequence[Network]
    ) -> NetAddress | None:
        """An address of a class to which no link relays."""
        if not lacking:
            return None
        first = (True, None) if self._policy.defences.tried_first else (None,)
        found = (self._book.pick(now.wall, usable, tried=tried, networks=lacking) for tried in first)
        return next((address for address in found if address is not None), None)

    def _wants_tried(self, purpose: Purpose, situation: Situation) -> bool:
        """Whether a link is for an address of the tried table."""
        if not self._policy.defences.tried_first or self._misses >= TRIED_MISSES:
            return False
        if purpose is Purpose.FULL:
            full = [one.address for one in situation.outbound if one.purpose is Purpose.FULL]
            if 2 * (sum(address in self._unproven for address in full) + 1) <= self._policy.full:
                return False
        counts = self._book.counts()
        tried = sum(counts[network][1] for network in self._open)
        return tried >= TRIED_ENOUGH + len(situation.outbound)

    def _besides(self, now: Now, situation: Situation) -> Wanted | None:
        """A dial beyond the slots, when there is no other one to be made."""
        if self._free_slot(situation) is not None:
            return self._feel(now, situation) if self._empty else None
        usable = self._usable(now.wall, situation)
        picked: NetAddress | None = None
        purpose = Purpose.FULL
        if situation.stale and now.mono >= self._stale_at and not self._extra(situation, Purpose.FULL):
            self._stale_at = after(now.mono, STALE_LOOK)
            picked = self._pick(now, usable, Purpose.FULL, situation)
        if picked is None and now.mono >= self._class_at and not self._extra(situation, Purpose.FULL):
            self._class_at = after(now.mono, self._chance.exponential(EXTRA_MEAN))
            picked = self._pick_lacking(now, usable, self._lacking(situation))
        if picked is None and self._policy.blocks and now.mono >= self._blocks_at:
            self._blocks_at = after(now.mono, self._chance.exponential(EXTRA_MEAN))
            if not self._extra(situation, Purpose.BLOCKS):
                purpose = Purpose.BLOCKS
                tried = True if self._policy.defences.tried_first else None
                picked = self._book.pick(now.wall, usable, tried=tried, networks=self._open)
        return self._feel(now, situation) if picked is None else Wanted(picked, purpose)

    def _feel(self, now: Now, situation: Situation) -> Wanted | None:
        if not self._policy.defences.feelers or now.mono < self._feeler_at or _count(situation, Purpose.FEELER):
            return None
        self._feeler_at = after(now.mono, self._chance.exponential(FEELER_MEAN))
        usable = self._usable(now.wall, situation, diverse=False)
        picked = self._book.to_test(now.wall, lambda one: one in situation.reached or usable(one))
        if picked is not None and picked in situation.reached:
            # It is there: we have a link to it.
            self._book.succeeded(picked, now.wall)
            picked = None
        if picked is None and self._policy.defences.seniority and self._chance.below(2):
            # Of those who have been there for longest some are gone: better known before one of them is needed.
            picked = self._book.pick(now.wall, usable, tried=True, networks=self._open, draws=SENIOR_DRAWS)
        picked = picked or self._book.pick(now.wall, usable, tried=False, networks=self._open)
        return None if picked is None else Wanted(picked, Purpose.FEELER)

    def _usable(self, now: WallTime, situation: Situation, *, diverse: bool = True) -> Callable[[NetAddress], bool]:
        policy = self._policy
        group = policy.grouping.group
        # Security: inbound links do not count, or who opens one from each group would choose whom we dial.
        outbound = situation.outbound if diverse and policy.defences.diverse_groups else ()
        taken = {group(one.address) for one in outbound if one.purpose is not Purpose.FEELER}

        def usable(address: NetAddress) -> bool:
            return (
                address not in self._named
                and address not in situation.in_use
                and address.network in self._open
                and address.is_routable(allow_local=policy.allow_local)
                and group(address) not in taken
                and not self._refused(address, now)
            )

        return usable

    def _free_slot(self, situation: Situation) -> Purpose | None:
        if _count(situation, Purpose.FULL) < self._policy.full:
            return Purpose.FULL
        return Purpose.BLOCKS if _count(situation, Purpose.BLOCKS) < self._policy.blocks else None

    def _extra(self, situation: Situation, purpose: Purpose) -> bool:
        """Whether there is one too many already."""
        slots = self._policy.full if purpose is Purpose.FULL else self._policy.blocks
        return _count(situation, purpose) > slots

    def _lacking(self, situation: Situation) -> tuple[Network, ...]:
        """Reachable networks of the classes to which no link relays."""
        had: dict[KeyClass, None] = {
            class_of(one.address.network): None for one in situation.outbound if one.purpose.relays
        }
        return tuple(network for network in sorted(self._open) if class_of(network) not in had)

    def next_deadline(self, situation: Situation) -> Instant | None:
        """When :meth:`due` may have something new by time alone; never a moment at which it would do nothing. The end
        of a dial or a link makes room, and is an occasion of its own to look again."""
        times: list[Instant | None] = [
            state.due for address, state in self._named.items() if not state.busy and address.network in self._open
        ]
        policy = self._policy
        known = len(self._book) > sum(one in self._book for one in self._named) or bool(self._anchors)
        if policy.full and known and situation.dialling < DIALS_AT_ONCE:
            free = self._free_slot(situation) is not None
            if free:
                times.append(self._next_pick)
            else:
                if policy.blocks and not self._extra(situation, Purpose.BLOCKS):
                    times.append(self._blocks_at)
                if not self._extra(situation, Purpose.FULL):
                    times += [self._class_at] if self._lacking(situation) else []
                    times += [self._stale_at] if situation.stale else []
            if self._senior is not None:
                times.append(self._senior_until)
            elif self._may_seek_senior(situation):
                times.append(self._senior_at)
            if policy.defences.feelers and (self._empty or not free) and not _count(situation, Purpose.FEELER):
                times.append(self._feeler_at)
        return earliest(*times)

    # -- what came of it

    def opened(self, address: NetAddress, now: Now, key: bytes | None = None) -> None:
        """The handshake on a link that we dialled is complete; ``key`` is the static key that it has shown, if any. The
        pin of a named peer is not the book's (see :mod:`obscura.peers.pins`)."""
        named = address in self._named
        known = None if named else self._book.get(address)
        if known is not None and not known.tried:
            # It may have been tried when it was picked: with another key it is a new peer.
            self._unproven[address] = None
            if address == self._senior:
                # It has shown another key than the one that was there for so long.
                self._lose_senior(now.mono)
        elif known is not None:
            self._misses = 0
        self._senior_open |= address == self._senior
        self._book.succeeded(address, now.wall, None if named else key)

    def ended(
        self,
        address: NetAddress,
        lived: Duration,
        now: Now,
        *,
        felt: bool = False,
        told: bool = False,
        ours: bool = False,
    ) -> Duration:
        """A dial failed (``lived`` 0) or a link that we dialled is gone.

        Args:
            address: whose.
            lived: since its handshake was done.
            now: both clocks.
            felt: it was a feeler, and has done what it was for.
            told: addresses were told on it, so that when it was seen last gives no secret away.
            ours: the dial did not come further than a daemon of ours, which says nothing about the address.

        Returns:
            The wait before the next dial.
        """
        proven = address not in self._unproven
        if address == self._senior:
            # Its dials are many where few answer, which says nothing about the others in tried.
            proven = False
            self._senior_failures = 0 if lived >= STEADY_LINK else self._senior_failures + (not ours)
        self._unproven.pop(address, None)
        state = self._named.get(address)
        if lived >= STEADY_LINK:
            self._book.lasted(address)
            if told:
                self._book.sighted(address, now.wall)
        if state is None:
            if ours:
                return self._book.unanswered(address, now.wall)
            if lived >= STEADY_LINK or felt:
                return Duration(0)
            known = self._book.get(address)
            if lived == 0 and (known is None or known.succeeded < known.attempted):
                # Nobody has answered this dial.
                self._misses += proven
                if self._established < COUNTED_LINKS:
                    return self._book.unanswered(address, now.wall)
            return self._book.failed(address, now.wall)
        state.busy = False
        if lived >= STEADY_LINK:
            state.failures = 0
        if not ours:
            state.failures += 1
            self._book.failed(address, now.wall, BACKOFF_CAP_NAMED)
        wait = backoff(max(1, state.failures), BACKOFF_CAP_NAMED, self._chance)
        state.due = after(now.mono, wait)
        return wait

    def other_network(self, address: NetAddress, now: Now) -> None:
        """This address serves another chain, or is ourselves: leave it for 24 h (design §3.1)."""
        self._book.avoid(address, WallTime(now.wall + OTHER_NETWORK_WAIT))
        state = self._named.get(address)
        if state is not None:
            state.busy = False
            state.due = after(now.mono, Duration(OTHER_NETWORK_WAIT * MICROSECONDS))

    def rebase(self, shift: int) -> None:
        """The wall clock jumped; see :meth:`AddressBook.rebase`."""
        self._book.rebase(shift)


def _count(situation: Situation, purpose: Purpose) -> int:
    return sum(1 for one in situation.outbound if one.purpose is purpose)
