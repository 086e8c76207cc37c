"""What keeps a node from being isolated, each part by itself, so that experiments can show what it is worth.

Every real node has all of them. ``obscura sim eclipse`` and ``obscura sim flood`` switch them off, one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Defences:
    """All on, as in every real node."""

    buckets: bool = True
    """A network group reaches a few buckets of the address book only, by a key that nobody else knows (Heilman et al.
    2015). Off: any place of a table, at random."""
    test_before_evict: bool = True
    """A tried address makes room for another one only when a feeler has found it gone. Off: it does at once."""
    feelers: bool = True
    """Short links that only look whether an address of the new table answers."""
    anchors: bool = True
    """Block-only links are the first to be dialled again after a restart."""
    diverse_groups: bool = True
    """One outbound link for each network group."""
    own_links: bool = True
    """Only links that we opened say that an address is good. Off: inbound ones say it too (Monero, until 2025)."""
    block_only: bool = True
    """Two outbound links that carry blocks alone, so that gossip does not show them."""
    tried_first: bool = True
    """Block-only links, and half of the full ones, go to addresses of the tried table, while it has a choice of them.
    Off: a coin decides between the tables."""
    seniority: bool = True
    """One block-only link goes to an address that has stood in the tried table for longer than others, and some feelers
    look whether such still answer."""
    eviction: bool = True
    """A full node lets a newcomer in at the cost of the link with least to say for itself. Off: newcomers are
    refused."""
    protection: bool = True
    """Links with qualities that are hard to forge stay. Off: a full node evicts any link, at random."""
    addr_rate: bool = True
    """Addresses of a peer are accepted at a bounded rate."""
    discouragement: bool = True
    """Who broke the rules inside an encrypted link is not dialled, and the first to be evicted."""


ALL = Defences()
"""What every real node has."""
NAMES: tuple[str, ...] = tuple(one.name for one in fields(Defences))
"""The defences, as experiments name them."""
