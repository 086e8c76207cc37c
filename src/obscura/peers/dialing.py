"""Whom to dial, and when: named peers for ever, gossiped addresses while there are free slots.

The policy returns addresses; the node dials. Named peers are exempt from slots and from network-group diversity; others
get one link per network group (design §7).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..base.instant import MICROSECONDS, Duration, Instant, Now, WallTime, after, earliest
from ..base.limits import BACKOFF_CAP_NAMED, DIAL_INTERVAL, DIALS_AT_ONCE, OTHER_NETWORK_WAIT, STEADY_LINK
from ..base.randomness import Chance
from ..wire.address import NetAddress
from ..wire.target import Target
from .backoff import backoff
from .book import AddressBook


@dataclass(slots=True)
class _Named:
    target: Target
    failures: int
    due: Instant
    busy: bool = False


class Dialer:
    """Keeps the schedule of dials. One for each node."""

    def __init__(
        self,
        book: AddressBook,
        named: Collection[Target],
        slots: int,
        allow_local: bool,
        chance: Chance,
        now: Instant,
    ) -> None:
        self._book = book
        self._slots = slots
        self._allow_local = allow_local
        self._chance = chance
        self._named: dict[NetAddress, _Named] = {}
        self._next_pick = now
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

    def is_named(self, address: NetAddress) -> bool:
        """Whether the operator named this peer."""
        return address in self._named

    def target(self, address: NetAddress) -> Target:
        """How to dial an address: as the operator named it, else in the node's own mode."""
        state = self._named.get(address)
        return Target(address) if state is None else state.target

    def due(self, now: Now, in_use: Collection[NetAddress], automatic: int, dialling: int) -> list[NetAddress]:
        """Addresses to dial now.

        Args:
            now: both clocks.
            in_use: addresses that have a link or a dial, in either direction.
            automatic: outbound links and dials that are not to named peers.
            dialling: dials under way.
        """
        chosen: list[NetAddress] = []
        for address, state in self._named.items():
            if state.busy or state.due > now.mono:
                continue
            if address in in_use:
                state.due = after(now.mono, BACKOFF_CAP_NAMED)
                continue
            state.busy = True
            chosen.append(address)
        if self._room(automatic, dialling + len(chosen)) and now.mono >= self._next_pick:
            self._next_pick = after(now.mono, DIAL_INTERVAL)
            groups = {address.group() for address in in_use}

            def usable(address: NetAddress) -> bool:
                return (
                    address not in self._named
                    and address not in in_use
                    and address.group() not in groups
                    and address.is_routable(allow_local=self._allow_local)
                )

            picked = self._book.pick(now.wall, usable)
            if picked is not None:
                chosen.append(picked)
            else:
                # Nothing is ready: waits end after seconds at the soonest, so looking more often wakes us for nothing.
                self._next_pick = after(now.mono, Duration(10 * DIAL_INTERVAL))
        return chosen

    def next_deadline(self, automatic: int, dialling: int) -> Instant | None:
        """When :meth:`due` may have something new by time alone; never a moment at which it would do nothing. The end
        of a dial or a link makes room, and is an occasion of its own to look again."""
        times: list[Instant | None] = [state.due for state in self._named.values() if not state.busy]
        if self._room(automatic, dialling) and len(self._book) > len(self._named):
            times.append(self._next_pick)
        return earliest(*times)

    def _room(self, automatic: int, dialling: int) -> bool:
        return automatic < self._slots and dialling < DIALS_AT_ONCE

    def opened(self, address: NetAddress, now: Now, key: bytes | None = None) -> None:
        """The handshake on a link that we dialled is complete; ``key`` is the static key that it has shown, if any. The
        pin of a named peer is not the book's (see :mod:`obscura.peers.pins`)."""
        self._book.succeeded(address, now.wall, None if address in self._named else key)

    def ended(self, address: NetAddress, lived: Duration, now: Now) -> Duration:
        """A dial failed (``lived`` 0) or a link that we dialled is gone. Returns the wait before the next dial."""
        state = self._named.get(address)
        if lived >= STEADY_LINK:
            self._book.lasted(address)
        if state is None:
            return Duration(0) if lived >= STEADY_LINK else self._book.failed(address, now.wall)
        state.busy = False
        if lived >= STEADY_LINK:
            state.failures = 0
        state.failures += 1
        self._book.failed(address, now.wall, BACKOFF_CAP_NAMED)
        wait = backoff(state.failures, BACKOFF_CAP_NAMED, self._chance)
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
