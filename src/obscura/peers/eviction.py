"""Which inbound link leaves when one pool of slots is full and somebody new has completed his handshake.

Anybody can open links, and whoever fills all slots with his own has cut a node off from those who would have come.
So a newcomer is let in at the cost of the link that has least to say for itself (as Bitcoin Core,
``node/eviction.cpp``). Links that are hard to have at will are protected first, in this order, by several unlike
qualities, so that an attacker has to be good at all of them:

1. one link of each of a few network groups, by a keyed hash that nobody outside can compute: he cannot aim at them;
2. the lowest round trips: he has to be near;
3. who brought the latest novel transactions: he has to relay well;
4. links that carry blocks alone, by their latest novel block, then by age: gossip does not show them, so they hold
   the network together where everything else is mapped;
5. who brought the latest novel blocks: he has to be fast at what costs work.

A quality protects only links that have it, but for 4, which is also for those that have brought no block yet. Then
the longest uptime protects half of what is left, each group's oldest link before any group's second one, and so on.
Of the remaining the youngest link of the largest group leaves; of equally large groups the youngest link of all.

*Why uptime looks at groups.* By age alone whoever came first, with many links out of one group, would own that half
for as long as he likes. Going round the groups he gets one place for each group until every other group has one; and
where all are of one group, as behind a local proxy, it is age alone. To count a group once and no more would leave
those pools without protection.

*What follows.* Let ``v`` be older than every link of an attacker and than all others of its own group, and let him hold
more links than the five qualities protect (28 of 114). Then ``v`` does not leave, however good his links are. Proof:
let it. At least one of his links is left when uptime is looked at; ``v`` is the first of its group there and older, so
it stands before all of his, and as uptime does not protect ``v``, it protects none of them. ``v`` is alone of its
group then, or a younger one would leave; its group is the largest, so that each that remains has one link; and one of
his is younger than ``v``: it leaves, and not ``v``. While he holds fewer, each link that he evicts makes him hold one
more, so that he puts out 29 such links at most. If his links have none of the qualities, it is as many as the keyed
hash protects and one (5 of 114).

*Small pools.* The numbers are Bitcoin Core's, for 114 slots; of a pool of ``n`` links each is ``n / 114`` of that,
rounded down, at least one. Together they protect no more than half of the pool: what is too much is taken from those
qualities first that cost least to have (:func:`quotas`). So a quarter of every pool can leave, of 8 links 2, and a
newcomer is refused only where all links are shielded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..base.instant import Duration, Instant
from ..base.limits import (
    INBOUND_SLOTS,
    PROTECT_BLOCK_ONLY,
    PROTECT_BLOCKS,
    PROTECT_GROUPS,
    PROTECT_PINGS,
    PROTECT_TRANSACTIONS,
)
from ..base.names import ConnId
from ..base.randomness import Chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is known of one link that might leave."""

    conn: ConnId
    group: bytes
    """Its network group (:meth:`~obscura.wire.address.NetAddress.group`)."""
    opened_at: Instant
    ping: Duration | None
    """The lowest round trip that was measured."""
    transactions_at: Instant | None
    """When it last brought a transaction that was new here and good."""
    blocks_at: Instant | None
    """When it last brought a block that was new here and good."""
    relays: bool
    """Whether it carries transactions too."""
    discouraged: bool
    """Whether its host broke the rules lately."""
    shielded: bool
    """Of the operator's own kind: it never leaves."""


class Quotas(NamedTuple):
    """How many links of a pool each quality protects."""

    groups: int
    pings: int
    transactions: int
    block_only: int
    blocks: int


_FULL = Quotas(PROTECT_GROUPS, PROTECT_PINGS, PROTECT_TRANSACTIONS, PROTECT_BLOCK_ONLY, PROTECT_BLOCKS)
_BY_PRICE = ("groups", "blocks", "pings", "transactions", "block_only")
"""What cannot be had at will first; to say that one carries blocks alone costs nothing."""
_MASK = (1 << 64) - 1
_AFTER_ALL_TIMES = 1 << 80
"""Microseconds: later than any clock of ours reads."""


def quotas(links: int) -> Quotas:
    """The quotas of a pool of ``links`` that may leave."""
    wanted = {name: max(1, full * links // INBOUND_SLOTS) for name, full in _FULL._asdict().items()}
    room = links // 2
    for name in _BY_PRICE:
        wanted[name] = min(wanted[name], room)
        room -= wanted[name]
    return Quotas(**wanted)


def choose(candidates: Sequence[Candidate], key: bytes, *, protection: bool = True, chance: Chance) -> ConnId | None:
    """Who leaves for a newcomer. ``None``: all are shielded, and the newcomer is refused.

    Discouraged links leave first, the youngest of them. The answer depends on what the candidates are, not on their
    order; equals are told apart by a keyed hash.

    Args:
        candidates: all links of *one* pool. The caller keeps one for each class of networks, so that what happens on
            one class says nothing on another.
        key: at most 64 secret bytes, the same for the life of a node: with another one each time, an attacker would
            have his groups protected in turn.
        protection: off in experiments alone; any link leaves then.
        chance: what ``protection=False`` draws from.
    """
    pool = [one for one in candidates if not one.shielded]
    if not pool:
        return None
    # All that follows sorts stably, or takes the first of equals: this is how ties end. A product is hash enough here:
    # different connections have different ones, and their order is in nobody's hand.
    odd = int.from_bytes(_keyed(key, b"evict conn", b""), "big") | 1
    pool.sort(key=lambda one: one.conn * odd & _MASK)
    leaving = [one for one in pool if one.discouraged]
    if leaving:
        return max(leaving, key=_opened).conn
    if not protection:
        return chance.choice(pool).conn
    crowds = _by_group(_unprotected(pool, key)).values()
    largest = max(map(len, crowds))
    return max((one for crowd in crowds if len(crowd) == largest for one in crowd), key=_opened).conn


def _unprotected(pool: list[Candidate], key: bytes) -> list[Candidate]:
    """Those of the pool that nothing protects: at least one."""
    quota = quotas(len(pool))
    left = _less_groups(pool, quota.groups, key)
    left = _less(left, quota.pings, lambda one: one.ping)
    left = _less(left, quota.transactions, lambda one: _lately(one.transactions_at))
    left = _less(left, quota.block_only, _block_only)
    left = _less(left, quota.blocks, lambda one: _lately(one.blocks_at))
    return _less_uptime(left)


def _less(links: list[Candidate], count: int, rank: Callable[[Candidate], int | None]) -> list[Candidate]:
    """``links`` without the ``count`` of the lowest rank; ``None`` is not protected."""
    ranked = [(of, at) for at, one in enumerate(links) if (of := rank(one)) is not None]
    ranked.sort()
    protected = {at for _, at in ranked[:count]}
    return [one for at, one in enumerate(links) if at not in protected]


def _less_groups(links: list[Candidate], count: int, key: bytes) -> list[Candidate]:
    """Without the oldest link of each of the ``count`` groups that the keyed hash puts first."""
    crowds = _by_group(links)
    chosen = sorted(crowds, key=lambda group: _keyed(key, b"evict group", group))[:count]
    protected = {min(crowds[group], key=_opened).conn for group in chosen}
    return [one for one in links if one.conn not in protected]


def _less_uptime(links: list[Candidate]) -> list[Candidate]:
    """Without the half that has been here longest, each group's oldest before any group's second."""
    seen: dict[bytes, int] = {}
    ranked: list[tuple[int, Candidate]] = []
    for one in sorted(links, key=_opened):
        place = seen[one.group] = seen.get(one.group, -1) + 1
        ranked.append((place, one))
    # Stable: of the same place the oldest stays first.
    ranked.sort(key=lambda of: of[0])
    return [one for _, one in ranked[len(links) // 2 :]]


def _block_only(one: Candidate) -> int | None:
    """Those with a block first, the latest one before the others; then those without, by age."""
    if one.relays:
        return None
    return one.opened_at + _AFTER_ALL_TIMES if one.blocks_at is None else -one.blocks_at


def _lately(at: Instant | None) -> int | None:
    return None if at is None else -at


def _by_group(links: Sequence[Candidate]) -> dict[bytes, list[Candidate]]:
    crowds: dict[bytes, list[Candidate]] = {}
    for one in links:
        crowds.setdefault(one.group, []).append(one)
    return crowds


def _opened(one: Candidate) -> Instant:
    return one.opened_at


def _keyed(key: bytes, of: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, key=key, digest_size=8, person=of).digest()
