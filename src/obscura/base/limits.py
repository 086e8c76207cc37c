"""Every number that bounds something, in one table, each with its reason.

``LIMITS`` is the table (docs/limits.md is made from it, and a test keeps them equal); the module constants are its
values. Sources: the field's best nodes, as named in the reason, and the design.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .instant import MICROSECONDS, Duration


@dataclass(frozen=True, slots=True)
class Limit:
    """One row: a value, its unit, and why it is not larger or smaller."""

    name: str
    value: int
    unit: str
    reason: str


_rows: list[Limit] = []


def _limit(name: str, value: int, unit: str, reason: str) -> int:
    _rows.append(Limit(name, value, unit, reason))
    return value


def _span(name: str, value_s: float, reason: str) -> Duration:
    microseconds = round(value_s * MICROSECONDS)
    _rows.append(Limit(name, microseconds, "µs", reason))
    return Duration(microseconds)


# -- messages

PRE_HANDSHAKE_BYTES: Final = _limit(
    "PRE_HANDSHAKE_BYTES", 1_024, "bytes", "a stranger gets a small buffer; version is the largest early message"
)
USER_AGENT_BYTES: Final = _limit("USER_AGENT_BYTES", 256, "bytes", "as Bitcoin Core; keeps version under 1,024")
ADDR_ITEMS: Final = _limit("ADDR_ITEMS", 1_000, "entries", "as Bitcoin Core; one answer to getaddr fits")
ADDR_BYTES: Final = _limit(
    "ADDR_BYTES",
    3 + ADDR_ITEMS * (4 + 9 + 1 + 3 + 512 + 2),
    "bytes",
    "the largest 1,000 BIP155 entries: 4 time, 9 features, 1 network, 3 + 512 address, 2 port",
)
ADDRESS_BYTES: Final = _limit("ADDRESS_BYTES", 512, "bytes", "BIP155's bound for addresses of unknown networks")
INV_ITEMS: Final = _limit("INV_ITEMS", 50_000, "items", "as Bitcoin Core, accepted")
INV_BYTES: Final = _limit("INV_BYTES", 3 + INV_ITEMS * 36, "bytes", "50,000 vectors of 36 bytes and their count")
INV_ITEMS_SENT: Final = _limit("INV_ITEMS_SENT", 1_000, "items", "what we send at once; as Bitcoin Core")
NOTFOUND_ITEMS: Final = _limit(
    "NOTFOUND_ITEMS", 5_016, "items", "100 requests of transactions x 50 and 16 of blocks; larger is ignored (Core)"
)
BLOCK_BYTES: Final = _limit("BLOCK_BYTES", 4_000_000, "bytes", "Bitcoin's maximal block weight, all witness")
TX_BYTES: Final = _limit("TX_BYTES", 400_000, "bytes", "policy weight of a transaction; no relayable one is larger")
LOCATOR_ITEMS: Final = _limit("LOCATOR_ITEMS", 101, "hashes", "as Bitcoin Core; 10 + log2(height) are needed")
LOCATOR_BYTES: Final = _limit("LOCATOR_BYTES", 4 + 1 + LOCATOR_ITEMS * 32 + 32, "bytes", "version, 101 hashes, stop")
HEADERS_ITEMS: Final = _limit("HEADERS_ITEMS", 2_000, "headers", "as Bitcoin Core; fewer mean that the tip is reached")
HEADERS_BYTES: Final = _limit("HEADERS_BYTES", 3 + HEADERS_ITEMS * 81, "bytes", "2,000 headers of 80 + 1 bytes")
HEADERS_UNASKED: Final = _limit("HEADERS_UNASKED", 8, "headers", "an announcement; more must be asked for (Core)")
GETBLOCKS_ITEMS: Final = _limit("GETBLOCKS_ITEMS", 500, "items", "answer to getblocks, as Bitcoin Core")

# -- links

CONNECT_TIMEOUT: Final = _span("CONNECT_TIMEOUT", 5, "as Bitcoin Core: a host that lives answers sooner")
CONNECT_TIMEOUT_OVERLAY: Final = _span(
    "CONNECT_TIMEOUT_OVERLAY",
    120,
    "circuits and tunnels are made first; an I2P router gives up after about 60",
)
HANDSHAKE_TIMEOUT_OVERLAY: Final = _span(
    "HANDSHAKE_TIMEOUT_OVERLAY", 120, "on Tor and I2P (transport: deadlines): a round trip takes seconds there"
)
HANDSHAKE_TIMEOUT: Final = _span("HANDSHAKE_TIMEOUT", 30, "transport and handshake together; libp2p's value")
PING_INTERVAL: Final = _span("PING_INTERVAL", 120, "as Bitcoin Core")
PING_SPREAD: Final = _span(
    "PING_SPREAD", 30, "a ping is so much earlier or later at most: both sides of a link fall out of step at once"
)
PING_TIMEOUT: Final = _span("PING_TIMEOUT", 1_200, "as Bitcoin Core: a peer busy with blocks is not dead")
FAULT_BUDGET: Final = _limit("FAULT_BUDGET", 100, "points", "as Zebra; five malformed messages in a burst are too many")
FAULT_MALFORMED: Final = _limit("FAULT_MALFORMED", 20, "points", "a bad checksum or an undecodable payload")
FAULT_UNSOLICITED: Final = _limit(
    "FAULT_UNSOLICITED", 20, "points", "a block that was never asked for: 4 MB of our traffic for nothing"
)
FAULT_UNCONNECTED: Final = _limit(
    "FAULT_UNCONNECTED", 10, "points", "headers that connect to nothing we know; Core allows ten in a row"
)
FAULT_INVALID_TX: Final = _limit(
    "FAULT_INVALID_TX", 20, "points", "a transaction that no block may hold: an honest node judges before it relays"
)
FAULT_DECAY: Final = _span("FAULT_DECAY", 6, "one point is forgiven each: a whole budget in ten minutes")
TOKENS_PER_SECOND: Final = _limit(
    "TOKENS_PER_SECOND", 1_000, "tokens", "messages cost 1 or more: sixty times what an honest busy link needs"
)
TOKENS_BURST: Final = _limit("TOKENS_BURST", 20_000, "tokens", "an honest peer's burst after a partition heals")
TOKENS_REST: Final = _span(
    "TOKENS_REST", 0.1, "a link that has spent its tokens rests until it has so much time's worth: pauses cost as well"
)
PRICE_BYTES: Final = _limit("PRICE_BYTES", 4_096, "bytes", "of unasked payload that cost one token more")
ASKED_PRICE_BYTES: Final = _limit(
    "ASKED_PRICE_BYTES", 36, "bytes", "of a getdata, one item, that cost one token more: 10 µs to look it up and answer"
)
TOLD_PRICE_BYTES: Final = _limit(
    "TOLD_PRICE_BYTES", 144, "bytes", "of inv and notfound, four items, that cost one token more: 2.5 µs for each"
)
ADDR_PRICE_BYTES: Final = _limit(
    "ADDR_PRICE_BYTES", 16, "bytes", "of addr, one entry, that cost one token more: 10 µs to read it"
)
TALK_PER_SECOND: Final = _limit(
    "TALK_PER_SECOND", 50, "tokens", "for ping and pong: an honest peer pings every two minutes, a test every 50 ms"
)
TALK_BURST: Final = _limit("TALK_BURST", 200, "tokens", "at once: 2 ms of answers")
ASKING_PER_SECOND: Final = _limit(
    "ASKING_PER_SECOND", 100, "tokens", "for getheaders and getblocks: ten, or 20,000 headers a second"
)
ASKING_BURST: Final = _limit(
    "ASKING_BURST", 1_000, "tokens", "at once: a hundred, or 200,000 headers; an honest peer asks for each part once"
)
GOSSIP_PER_SECOND: Final = _limit(
    "GOSSIP_PER_SECOND", 50, "tokens", "for addr: some messages of one or two; ADDR_TOKEN takes one in ten seconds"
)
GOSSIP_BURST: Final = _limit("GOSSIP_BURST", 2_500, "tokens", "at once: two full answers to getaddr of usual addresses")
SELDOM_PER_SECOND: Final = _limit(
    "SELDOM_PER_SECOND", 2, "tokens", "for mempool, answered once a minute, and getaddr, answered once"
)
SELDOM_BURST: Final = _limit("SELDOM_BURST", 200, "tokens", "at once: two of mempool")
UNKNOWN_PER_SECOND: Final = _limit(
    "UNKNOWN_PER_SECOND", 100, "tokens", "for unknown types: twenty a second of what is of no use to us"
)
UNKNOWN_BURST: Final = _limit("UNKNOWN_BURST", 1_000, "tokens", "at once: two hundred")
PORTION_ITEMS: Final = _limit(
    "PORTION_ITEMS",
    128,
    "entries",
    "of a longer list are dealt with at once, for a millisecond: as many as we ask a peer for at once",
)
TURN_TOKENS: Final = _limit(
    "TURN_TOKENS", 100, "tokens", "that a link may spend before others have their turn: a millisecond"
)
TURN_TIME: Final = _span("TURN_TIME", 0.001, "of links' turns before the loop looks at sockets and timers again")
SWITCH_INTERVAL: Final = _span(
    "SWITCH_INTERVAL", 0.0005, "a thread that computes keeps the loop waiting so long: a tenth of what is usual"
)
SLICE_TIME: Final = _span("SLICE_TIME", 0.0005, "of one link's turn, as its own bytes before let expect")
IDLE_CREDIT: Final = _span(
    "IDLE_CREDIT", 0.005, "of the loop's time that a link which was idle is ahead of others: some dear answers to pings"
)
IDLE_CREDIT_TOTAL: Final = _span(
    "IDLE_CREDIT_TOTAL", 0.1, "of that over all links: those who are busy wait so long if all others come at once"
)
SLICE_LEAST: Final = _limit("SLICE_LEAST", 1_024, "bytes", "in a turn, however costly they are: a call costs 50 µs")
SLICE_BYTES: Final = _limit("SLICE_BYTES", 16_384, "bytes", "in a link's first turn: 2 ms of the smallest messages")
DIALLED_WEIGHT: Final = _limit(
    "DIALLED_WEIGHT", 8, "shares", "of a link that we have dialled: among 114 others eight have a third of the time"
)
STRANGERS_WEIGHT: Final = _limit(
    "STRANGERS_WEIGHT", 4, "shares", "of all handshakes together: a fifth of the time beside twenty links that flood"
)
RECEIVE_BUFFER_BYTES: Final = _limit(
    "RECEIVE_BUFFER_BYTES", 5_000_000, "bytes", "read and dropped while a link says goodbye: a whole block under way"
)
RECEIVE_TOTAL_BYTES: Final = _limit(
    "RECEIVE_TOTAL_BYTES",
    128_000_000,
    "bytes",
    "unfinished frames and unserved requests of inbound links together; honest ones stay within SYNC_BUFFER_BYTES",
)
LIGHT_LINK_BYTES: Final = _limit(
    "LIGHT_LINK_BYTES", 65_536, "bytes", "held for a link without an account in that sum: 114 of them make 7 MB"
)
READ_BYTES: Final = _limit("READ_BYTES", 262_144, "bytes", "read from a socket at once; larger reads gain nothing")
STRANGER_READ_BYTES: Final = _limit(
    "STRANGER_READ_BYTES", 16_384, "bytes", "before a handshake is complete: all of one is 7 kB at most; 512 may wait"
)
JOIN_BYTES: Final = _limit(
    "JOIN_BYTES", 65_536, "bytes", "small writes are joined up to it: below, calls cost more than copies"
)
UNKNOWN_PRICE: Final = _limit("UNKNOWN_PRICE", 5, "tokens", "for a message of an unknown type: it is of no use to us")
LISTEN_BACKLOG: Final = _limit(
    "LISTEN_BACKLOG", 512, "connections", "held by the system until we look; with a full one an honest peer waits 1 s"
)
ACCEPT_BURST: Final = _limit(
    "ACCEPT_BURST", 4, "connections", "accepted in one turn of the loop: a flood must not hold up the links"
)
ACCEPT_REST: Final = _span("ACCEPT_REST", 1, "without file descriptors; links that end meanwhile free some")
ENDING_LINKS: Final = _limit(
    "ENDING_LINKS",
    64,
    "sockets",
    "saying goodbye at once; more is a flood of links that we drop, and the oldest is cut",
)
ENDING_BYTES: Final = _limit(
    "ENDING_BYTES",
    16_000_000,
    "bytes",
    "that they have not taken, together: a link that ends for what it does not take must not hold it a second more",
)
TIMER_FAILURES: Final = _limit(
    "TIMER_FAILURES", 10, "failures", "of the timer's input in a row: going on would only hide the defect"
)
SEND_BUFFER_BYTES: Final = _limit(
    "SEND_BUFFER_BYTES", 1_000_000, "bytes", "as Bitcoin Core: above it nothing more is served to a peer"
)
OTHER_CLASS_SHARE: Final = _limit(
    "OTHER_CLASS_SHARE",
    4,
    "th",
    "of these sums, for onion, I2P and CJDNS each: a sum over classes would link them",
)
SEND_TOTAL_BYTES: Final = _limit(
    "SEND_TOTAL_BYTES",
    256_000_000,
    "bytes",
    "that inbound links do not take, together: some sixty that sync on slow lines; beyond, who waits longest ends",
)
INBOUND_SLOTS: Final = _limit(
    "INBOUND_SLOTS", 114, "links", "as Bitcoin Core: 125 less outbound; taken when the handshake is complete"
)
LOBBY_LINKS: Final = _limit(
    "LOBBY_LINKS", 512, "links", "inbound, handshake not complete; with all else below the usual 1,024 descriptors"
)
LOBBY_PER_GROUP: Final = _limit(
    "LOBBY_PER_GROUP", 16, "links", "of them from one network group; an honest handshake is over in a round trip"
)
PROTECT_GROUPS: Final = _limit(
    "PROTECT_GROUPS", 4, "links", "of 114, one for each group that a keyed hash puts first: nobody can aim at it (Core)"
)
PROTECT_PINGS: Final = _limit(
    "PROTECT_PINGS", 8, "links", "of 114, by lowest round trip: who is far away cannot forge it (Core)"
)
PROTECT_TRANSACTIONS: Final = _limit(
    "PROTECT_TRANSACTIONS", 4, "links", "of 114, that brought the latest novel transactions, as Bitcoin Core"
)
PROTECT_BLOCK_ONLY: Final = _limit(
    "PROTECT_BLOCK_ONLY", 8, "links", "of 114, that carry blocks alone: gossip does not show them (Core)"
)
PROTECT_BLOCKS: Final = _limit(
    "PROTECT_BLOCKS", 4, "links", "of 114, that brought the latest novel blocks, as Bitcoin Core"
)
OUTBOUND_SLOTS: Final = _limit("OUTBOUND_SLOTS", 8, "links", "as Bitcoin Core, full relay")
BLOCK_ONLY_SLOTS: Final = _limit(
    "BLOCK_ONLY_SLOTS", 2, "links", "outbound, for blocks alone, as Bitcoin Core: gossip does not show them"
)
ANCHORS: Final = _limit("ANCHORS", 2, "addresses", "of block-only links are dialled first after a restart (Core)")
FD_RESERVE: Final = _limit(
    "FD_RESERVE", 160, "descriptors", "never given to inbound links: files, the kernel, dials, links that say goodbye"
)
GRACE_STOP: Final = _span("GRACE_STOP", 1, "for peers to take what is queued when a node stops")

MAPPED_BYTES: Final = _limit(
    "MAPPED_BYTES", 16_000_000, "bytes", "allocations from here on are given back at once; all of a block's are smaller"
)
KEPT_BYTES: Final = _limit(
    "KEPT_BYTES", 64_000_000, "bytes", "freed memory that the process keeps for the next blocks; as the sync buffer"
)
TIMERS_SLACK: Final = _limit(
    "TIMERS_SLACK", 256, "deadlines", "replaced ones kept, besides as many as are live; sweeping more often costs more"
)

# -- addresses

NEW_BUCKETS: Final = _limit("NEW_BUCKETS", 1_024, "buckets", "of addresses that were told, as Bitcoin Core")
TRIED_BUCKETS: Final = _limit("TRIED_BUCKETS", 256, "buckets", "of addresses that we have reached, as Bitcoin Core")
BUCKET_PLACES: Final = _limit("BUCKET_PLACES", 64, "addresses", "in a bucket, each in its one place, as Bitcoin Core")
NEW_BUCKETS_PER_SOURCE: Final = _limit(
    "NEW_BUCKETS_PER_SOURCE", 64, "buckets", "that one network group can fill by telling: a sixteenth (Core)"
)
TRIED_BUCKETS_PER_GROUP: Final = _limit(
    "TRIED_BUCKETS_PER_GROUP", 8, "buckets", "that addresses of one network group can fill: a thirty-second (Core)"
)
NEW_COPIES: Final = _limit("NEW_COPIES", 8, "places", "of one address that many have told; each is rarer (Core)")
BOOK_ENTRIES: Final = _limit(
    "BOOK_ENTRIES",
    (NEW_BUCKETS + TRIED_BUCKETS) * BUCKET_PLACES,
    "addresses",
    "all places of both tables, 575 bytes for each that is taken: 47 MB; those that the operator names come on top",
)
BOOK_PER_SOURCE: Final = _limit(
    "BOOK_PER_SOURCE",
    NEW_BUCKETS_PER_SOURCE * BUCKET_PLACES,
    "addresses",
    "told by one network group and not reached: the places that it can fill",
)
COLLISIONS: Final = _limit(
    "COLLISIONS", 10, "addresses", "reached, whose place another has that is to be tested first, as Bitcoin Core"
)
COLLISION_WAIT: Final = _limit(
    "COLLISION_WAIT", 2_400, "s", "for such a test; without one the newcomer takes the place (Core)"
)
TESTED_TIME: Final = _limit(
    "TESTED_TIME", 4 * 3_600, "s", "that a test counts: who answered in it keeps its place, who did not loses it (Core)"
)
JUST_TRIED: Final = _limit("JUST_TRIED", 60, "s", "since the last dial: it may still be answered (Core)")
TERRIBLE_UNREACHED: Final = _limit(
    "TERRIBLE_UNREACHED", 3, "failures", "of an address that was never reached: it is given up (Core)"
)
TERRIBLE_FAILURES: Final = _limit(
    "TERRIBLE_FAILURES", 10, "failures", "of one that was reached, but not for TERRIBLE_TIME: it is given up (Core)"
)
TERRIBLE_TIME: Final = _limit("TERRIBLE_TIME", 7 * 86_400, "s", "see TERRIBLE_FAILURES")
RECENT_TRY: Final = _limit(
    "RECENT_TRY", 600, "s", "since the last dial: the address is a hundred times less likely to be picked (Core)"
)
ADDRESSES_UNSAVED: Final = _limit(
    "ADDRESSES_UNSAVED",
    2 * BOOK_ENTRIES,
    "changes",
    "of addresses wait while the disk refuses: all that are known, and as many that are forgotten; some 90 MB",
)
ADDR_AGE: Final = _limit("ADDR_AGE", 30 * 86_400, "s", "as Bitcoin Core: older addresses are of no use")
ADDR_FUTURE: Final = _limit("ADDR_FUTURE", 600, "s", "as Bitcoin Core: a time further ahead is a lie")
ADDR_IMPOSSIBLE: Final = _limit(
    "ADDR_IMPOSSIBLE", 5 * 86_400, "s", "that an address is taken to be old whose time cannot be, as Bitcoin Core"
)
ADDR_HEARSAY: Final = _limit(
    "ADDR_HEARSAY", 7_200, "s", "taken off the time of an address that somebody else tells of (Core)"
)
ADDR_NEWER: Final = _limit("ADDR_NEWER", 3_600, "s", "by which a sighting must be newer to count (Core)")
ADDR_TOKEN: Final = _span("ADDR_TOKEN", 10, "one address is accepted each: 0.1/s as Bitcoin Core")
ADDR_BURST: Final = _limit("ADDR_BURST", 1_000, "addresses", "after our own getaddr, as Bitcoin Core")
ADDR_RELAY_ITEMS: Final = _limit("ADDR_RELAY_ITEMS", 10, "addresses", "only small addr messages are gossip (Core)")
ADDR_RELAY_AGE: Final = _limit("ADDR_RELAY_AGE", 600, "s", "only fresh addresses are passed on (Core)")
ADDR_RELAY_PEERS: Final = _limit("ADDR_RELAY_PEERS", 2, "links", "as Bitcoin Core")
ADDR_RELAY_EPOCH: Final = _limit("ADDR_RELAY_EPOCH", 86_400, "s", "the same two peers for a day (Core)")
GETADDR_SHARE: Final = _limit("GETADDR_SHARE", 23, "%", "of the book in one answer, as Bitcoin Core")
GETADDR_LOOKS: Final = _limit(
    "GETADDR_LOOKS", 5_000, "addresses", "looked at for one answer: five for each that it may have"
)
GETADDR_BLUR: Final = _limit(
    "GETADDR_BLUR",
    24,
    "h",
    "less one, drawn for each address of an answer and taken off its time: no two answers agree",
)
SEEDS_BYTES: Final = _limit("SEEDS_BYTES", 1_000_000, "bytes", "of a file of seeds: some 15,000 onion addresses")
SEEDS_BELOW: Final = _limit(
    "SEEDS_BELOW", 10, "addresses", "of a class are known at least, or it begins with the operator's seeds"
)
GETADDR_CACHE_LOW: Final = _span("GETADDR_CACHE_LOW", 21 * 3600, "an answer is kept 21 to 27 h (Core)")
GETADDR_CACHE_HIGH: Final = _span("GETADDR_CACHE_HIGH", 27 * 3600, "see GETADDR_CACHE_LOW")
SELF_ADVERTISE: Final = _span("SELF_ADVERTISE", 86_400, "mean of the exponential interval, as Bitcoin Core")

# -- dialling

BACKOFF_BASE: Final = _span("BACKOFF_BASE", 1, "the first retry falls within a second or two")
BACKOFF_CAP_NAMED: Final = _span("BACKOFF_CAP_NAMED", 60, "the operator named this peer and waits for it")
BACKOFF_CAP: Final = _span("BACKOFF_CAP", 3_600, "addresses from gossip: an hour, others are there to be tried")
BACKOFF_DOUBLINGS: Final = _limit("BACKOFF_DOUBLINGS", 16, "steps", "keeps the arithmetic small; the cap binds first")
DIALS_AT_ONCE: Final = _limit("DIALS_AT_ONCE", 8, "dials", "a burst of SYN would mark the node; sockets are few")
DIAL_INTERVAL: Final = _span("DIAL_INTERVAL", 0.5, "between dials to addresses from gossip, as Bitcoin Core")
TRIED_ENOUGH: Final = _limit(
    "TRIED_ENOUGH", 16, "addresses", "of tried, besides those in use, before links must go there: fewer are no choice"
)
TRIED_MISSES: Final = _limit(
    "TRIED_MISSES", 10, "dials", "to tried addresses that fail in a row before any address will do: all may be gone"
)
SENIOR_DRAWS: Final = _limit(
    "SENIOR_DRAWS",
    8,
    "draws",
    "from tried, of which the one that stands there longest is dialled: late ones who have half of it get 1 in 256",
)
SENIOR_PAUSE: Final = _span(
    "SENIOR_PAUSE", 5, "on average from the end of that link to the next dial: one to the moment would name it"
)
SENIOR_PAUSE_MOST: Final = _span(
    "SENIOR_PAUSE_MOST", 60, "the same after failures, which double it: where nobody answers, no flood of dials"
)
SENIOR_MISSES: Final = _limit(
    "SENIOR_MISSES", 4, "failures", "in a row before the pause grows: of old addresses many are gone"
)
SINCE_LEAST: Final = _limit(
    "SINCE_LEAST", 1_700_000_000, "s", "since 1970 (November 2023): what was reached before was so by a clock not set"
)
SENIOR_MEAN: Final = _span(
    "SENIOR_MEAN", 1_800, "until another link is chosen by seniority: an attacker's would stay for ever"
)
COUNTED_LINKS: Final = _limit(
    "COUNTED_LINKS", 2, "links", "we have opened and hold: with fewer a failed dial may be our own line's fault (Core)"
)
UNCOUNTED_WAIT: Final = _span("UNCOUNTED_WAIT", 60, "at most, before an address that was dialled then is again")
DEFECT_REST: Final = _span("DEFECT_REST", 1, "before a deadline is met again whose handling has failed")
FEELER_MEAN: Final = _span("FEELER_MEAN", 120, "between looks whether an address of the new table answers (Core)")
EXTRA_MEAN: Final = _span(
    "EXTRA_MEAN", 300, "between links beyond the slots: one for blocks, one to a class that has none (Core)"
)
STALE_TIP: Final = _span("STALE_TIP", 1_800, "without a block, three times Bitcoin's interval: others may know more")
STALE_LOOK: Final = _span("STALE_LOOK", 600, "between further links because of a stale tip, as Bitcoin Core")
REVIEW_EVERY: Final = _span("REVIEW_EVERY", 45, "between looks at the links that we opened, as Bitcoin Core")
BEHIND_WAIT: Final = _span(
    "BEHIND_WAIT", 1_200, "a peer that we chose, and that does not know our tip, is asked then (Core)"
)
BEHIND_ANSWER: Final = _span("BEHIND_ANSWER", 120, "and ends when it has not shown it by then (Core)")
BEHIND_SPARED: Final = _limit(
    "BEHIND_SPARED", 4, "links", "that once had our tip stay: a chain that only some know must not cost all (Core)"
)
SAVE_DELAY: Final = _span("SAVE_DELAY", 60, "changed addresses begin to reach the disk: a kill loses what came since")
SAVE_AT_ONCE: Final = _limit("SAVE_AT_ONCE", 1_000, "addresses", "are handed to the store in one step: 5 to 10 ms")
SAVE_PAUSE: Final = _span("SAVE_PAUSE", 0.1, "before the next portion: a whole book that changed is saved in 8 s")
OTHER_NETWORK_WAIT: Final = _limit("OTHER_NETWORK_WAIT", 86_400, "s", "design §3.1: not dialled for 24 h")

STEADY_LINK: Final = _span("STEADY_LINK", 60, "a link that lasted so long was a success; its next dial starts afresh")
PICK_TRIES: Final = _limit(
    "PICK_TRIES",
    64,
    "addresses",
    "looked at for one dial: a scan of the whole book would tell by its time what is in it",
)
REPLAY_KEPT: Final = _limit(
    "REPLAY_KEPT", 100_000, "values", "accepted by a keyed listener; only holders of its secret fill it; some 16 MB"
)
REPLAY_TIME: Final = _limit(
    "REPLAY_TIME",
    3 * 3_600 + 600,
    "s",
    "a first message's mac holds for three hours of the clock; its connection may have begun a handshake's time before",
)
ASMAP_BYTES: Final = _limit(
    "ASMAP_BYTES", 4_000_000, "bytes", "of a map of autonomous systems: twice one of the whole routing table"
)
BANS_KEPT: Final = _limit(
    "BANS_KEPT", 10_000, "bans", "of the operator's own: published lists of spies have some thousand; 5 MB"
)
DISCOURAGE_TIME: Final = _limit(
    "DISCOURAGE_TIME", 86_400, "s", "as Core's ban was and Monero's block is; longer hits whoever has the address next"
)
DISCOURAGED_KEPT: Final = _limit(
    "DISCOURAGED_KEPT", 8_192, "hosts", "the oldest goes first; 4 MB, and more than all groups of free addresses fill"
)
DISCOURAGED_PER_GROUP: Final = _limit(
    "DISCOURAGED_PER_GROUP",
    128,
    "hosts",
    "of one network group: an IPv6 block, or onion addresses, must not have the others forgotten",
)

# -- sync

DOWNLOAD_WINDOW: Final = _limit("DOWNLOAD_WINDOW", 1_024, "blocks", "as Bitcoin Core, above the first missing one")
BLOCKS_IN_FLIGHT: Final = _limit("BLOCKS_IN_FLIGHT", 16, "blocks", "per peer, as Bitcoin Core, however large they are")
SMALL_IN_FLIGHT: Final = _limit(
    "SMALL_IN_FLIGHT", 256, "blocks", "per peer, while they are small: with 16 a round trip is all that is waited for"
)
IN_FLIGHT_BYTES: Final = _limit(
    "IN_FLIGHT_BYTES", 2_000_000, "bytes", "of expected blocks per peer, beyond the first 16: 100 Mbit/s for 160 ms"
)
SYNC_BUFFER_BYTES: Final = _limit(
    "SYNC_BUFFER_BYTES", 64_000_000, "bytes", "bodies that wait for their parent or the ledger; 16 largest blocks"
)
LEDGER_BATCH_BLOCKS: Final = _limit("LEDGER_BATCH_BLOCKS", 256, "blocks", "one fsync each batch; 12 ms of validation")
LEDGER_BATCH_BYTES: Final = _limit("LEDGER_BATCH_BYTES", 8_000_000, "bytes", "two largest blocks; bounds a stop's wait")
STALL_BASE: Final = _span("STALL_BASE", 2, "as Bitcoin Core, doubled per staller, times 0.85 per block")
STALL_CAP: Final = _span("STALL_CAP", 64, "as Bitcoin Core")
BLOCK_TIMEOUT: Final = _span("BLOCK_TIMEOUT", 600, "as Bitcoin Core, plus half of it for each other downloading peer")
HEADERS_TIMEOUT: Final = _span("HEADERS_TIMEOUT", 120, "for one answer to getheaders, as Bitcoin Core")
SECOND_HEADER_PEER: Final = _span(
    "SECOND_HEADER_PEER", 10, "a peer that is late with headers does not hold up the start: another is asked too"
)
HEADER_PEER_TURN: Final = _span(
    "HEADER_PEER_TURN", 60, "a peer that gives headers slowly does not hold up the start: another is asked as well"
)
HEADERS_PER_TOKEN: Final = _limit(
    "HEADERS_PER_TOKEN", 20, "headers", "of an answer cost the asker a token; a whole one takes over a millisecond"
)
BLOCK_HOLDERS: Final = _limit(
    "BLOCK_HOLDERS", 8, "links", "asked for one block, each when all before are late; colluders cannot hold it back"
)
UNASKED_PRICE: Final = _limit("UNASKED_PRICE", 2, "tokens", "for each header, or kB of block, that nobody asked for")
RETRY_SAME_PEER: Final = _span("RETRY_SAME_PEER", 2, "design §3.5: a failed request returns to the same peer after it")
LOW_WORK_PER_PEER: Final = _limit(
    "LOW_WORK_PER_PEER", 10_000, "headers", "on branches with no more work than our tip (design §8)"
)
LOW_WORK_TOTAL: Final = _limit("LOW_WORK_TOTAL", 50_000, "headers", "the same, over all peers (design §8)")
GETDATA_QUEUE: Final = _limit(
    "GETDATA_QUEUE", 50_000, "items", "what one getdata may hold; the link's reading pauses until it is served"
)
SERVE_BATCH_BLOCKS: Final = _limit(
    "SERVE_BATCH_BLOCKS", 128, "blocks", "read from the store at once for one peer: a portion of what it asks for"
)
SERVE_BATCH_BYTES: Final = _limit(
    "SERVE_BATCH_BYTES",
    1_000_000,
    "bytes",
    "read at once for one peer, or one block; two batches may wait on each link",
)
READS_AT_ONCE: Final = _limit(
    "READS_AT_ONCE", 16, "answers", "of the store wait for their link's turn; the next are read when one has had it"
)
FRAME_HEADS_KEPT: Final = _limit(
    "FRAME_HEADS_KEPT", 4_096, "blocks", "whose frame's header is kept for the next peer that asks: 0.7 MB"
)
MEMPOOL_INTERVAL: Final = _span("MEMPOOL_INTERVAL", 60, "mempool is answered once in it")
STALE_SERVED: Final = _limit(
    "STALE_SERVED", 288, "blocks", "depth below the tip to which blocks off the active chain are served: two days"
)
CLOCK_JUMP: Final = _limit(
    "CLOCK_JUMP", 600, "s", "a wall clock that moves further rebases wall deadlines (design §10)"
)
VERSION_ROUNDING: Final = _limit("VERSION_ROUNDING", 600, "s", "version's time is rounded down to it: no fingerprint")

# -- daemons beside us

ONION_PORT: Final = _limit(
    "ONION_PORT", 8_333, "port", "of every onion service: nobody on the way sees it, and one of our own would be a mark"
)

TOR_LINE_BYTES: Final = _limit(
    "TOR_LINE_BYTES", 65_536, "bytes", "of one line at Tor's control port; what is asked for has some hundreds"
)
TOR_REPLY_BYTES: Final = _limit(
    "TOR_REPLY_BYTES", 1 << 20, "bytes", "of one reply; a program that poses as Tor must not fill memory"
)
SAM_LINE_BYTES: Final = _limit(
    "SAM_LINE_BYTES", 8_192, "bytes", "of one line of an I2P router: the longest holds private keys, about 1,300"
)

WAY_REST: Final = _span("WAY_REST", 2, "nobody is dialled through a daemon that could not be reached; it doubles")
WAY_REST_MOST: Final = _span("WAY_REST_MOST", 60, "and so long at most: the next dial finds a daemon that is back")
DAEMON_ANSWER: Final = _span("DAEMON_ANSWER", 60, "a daemon answers so soon, or its session is made anew")
SAM_SESSION_ANSWER: Final = _span(
    "SAM_SESSION_ANSWER", 300, "but for a new I2P session, which waits for its tunnels (Core: 3 min)"
)
SAM_ACCEPTS: Final = _limit("SAM_ACCEPTS", 4, "sockets", "wait for those who come by I2P: each takes one")
SAM_AGAIN: Final = _span(
    "SAM_AGAIN", 12, "between two I2P sessions with the same keys: after 8 s i2pd has forgotten the first one"
)
I2P_FIRST_BYTE: Final = _span(
    "I2P_FIRST_BYTE", 30, "a stream that we have opened ends if nothing comes: a round trip takes some seconds"
)
SAM_MISSES: Final = _limit(
    "SAM_MISSES", 3, "dials", "fail in a row until their I2P session is made anew, if nothing runs by it: old leases"
)
I2P_UNHEARD: Final = _span(
    "I2P_UNHEARD", 1_800, "a new I2P session by which nobody has come is made once more: it may not be published"
)
DAEMON_RETRY: Final = _span("DAEMON_RETRY", 1, "before a session with a daemon is made anew; it doubles (Core)")
DAEMON_RETRY_MOST: Final = _span("DAEMON_RETRY_MOST", 60, "and so long at most")
TOR_END: Final = _span("TOR_END", 5, "a tor of our own ends so soon when it is told to, or is killed")
SAM_APART_ANSWER: Final = _span(
    "SAM_APART_ANSWER",
    90,
    "for a session of one dial alone: three quarters of CONNECT_TIMEOUT_OVERLAY, the rest is the stream's",
)
SAM_LINGER: Final = _span(
    "SAM_LINGER", 30, "such a session outlives its stream: as I2P_FIRST_BYTE, since what was said last takes as long"
)
OWN_DIAL_WAIT: Final = _span(
    "OWN_DIAL_WAIT", 5, "between tries to reach our own onion service: a descriptor needs some"
)

# -- the operator's side

CONTROL_LINE_BYTES: Final = _limit(
    "CONTROL_LINE_BYTES",
    900_000,
    "bytes",
    "one request: the largest transaction as text; a program must not fill memory",
)
CONTROL_IDLE: Final = _span("CONTROL_IDLE", 60, "a client of the control socket that says nothing is dropped")
CONTROL_CLIENTS: Final = _limit(
    "CONTROL_CLIENTS",
    32,
    "clients",
    "of the control socket at once; a script that leaks them gets an error, not memory",
)
MINE_BLOCKS: Final = _limit("MINE_BLOCKS", 100_000, "blocks", "mined by one request: half an hour of regtest")
LOG_LINES_BURST: Final = _limit(
    "LOG_LINES_BURST", 1_000, "lines", "of one event, before it is thinned out: peers cause most of them"
)
LOG_LINE_EVERY: Final = _span("LOG_LINE_EVERY", 1, "a line of an event over its burst: 86,400 a day, some 20 MB")
IMPORT_BATCH_BLOCKS: Final = _limit(
    "IMPORT_BATCH_BLOCKS", 256, "blocks", "more would not be faster: the batch's one sync is already spread thin"
)
IMPORT_BATCH_BYTES: Final = _limit(
    "IMPORT_BATCH_BYTES", 8 << 20, "bytes", "bounds the memory of a batch; two full blocks fit at least"
)
SEGMENT_BYTES: Final = _limit(
    "SEGMENT_BYTES", 128 << 20, "bytes", "a block file is closed before it grows past it: as Bitcoin Core's"
)
WRITE_BESIDE_BYTES: Final = _limit(
    "WRITE_BESIDE_BYTES", 2_000_000, "bytes", "of accepted blocks are written while the next are judged; one sync each"
)
CHECKPOINT_BLOCKS: Final = _limit(
    "CHECKPOINT_BLOCKS", 2_000, "blocks", "between flushes of the kernel in an import: bounds the replay after a kill"
)
REFUSALS_KEPT: Final = _limit(
    "REFUSALS_KEPT", 10_000, "blocks", "refused ones whose rule is remembered; one that falls out loses only its name"
)
SIM_PIECE_BYTES: Final = _limit("SIM_PIECE_BYTES", 65_536, "bytes", "what a simulated socket hands over at once")

# -- the encrypted transport

GARBAGE_BYTES: Final = _limit(
    "GARBAGE_BYTES",
    4_095,
    "bytes",
    "random bytes after an ephemeral key: no first packet has a fixed length; as BIP324",
)
RECORD_BODY_BYTES: Final = _limit(
    "RECORD_BODY_BYTES",
    65_519,
    "bytes",
    "with its tag a body is at most 65,535 bytes: Noise's largest message",
)
RECORDS_PER_KEY: Final = _limit(
    "RECORDS_PER_KEY",
    1 << 16,
    "records",
    "then a sender replaces its key: one that is seized opens no more than these",
)
REKEY_AFTER: Final = _span("REKEY_AFTER", 600, "and so it does for the first record that it sends after this time")
RECORDS_UNREKEYED: Final = _limit(
    "RECORDS_UNREKEYED",
    1 << 20,
    "records",
    "a sender that has not replaced its key by then is at fault: 16 times late",
)
PAD_SMALLEST: Final = _limit(
    "PAD_SMALLEST",
    256,
    "bytes",
    "the shortest burst of a padded link; a ping, an inv, a header or a small request are all one of these",
)
FIRST_PADDING: Final = _limit(
    "FIRST_PADDING",
    4_095,
    "bytes",
    "at most, in the first bursts of a padded link: version and verack have one length, which would follow the garbage",
)
SEND_JITTER: Final = _span(
    "SEND_JITTER", 0.02, "a padded link holds what is not urgent for so long at most: 10 ms on average, and on each hop"
)
COVER_RATE: Final = _limit(
    "COVER_RATE",
    256,
    "bytes/s",
    "of decoys that an idle link may send each way, unless the operator says otherwise: 664 MB in 30 days",
)
COVER_RATE_MOST: Final = _limit(
    "COVER_RATE_MOST", 65_536, "bytes/s", "that an operator may allow: 170 GB in 30 days; above it, steady hides more"
)
COVER_SHARE: Final = _limit(
    "COVER_SHARE",
    50,
    "percent",
    "of what a link sends that decoys beyond COVER_RATE may be: one byte for each real one",
)
COVER_SHARE_MOST: Final = _limit("COVER_SHARE_MOST", 90, "percent", "that an operator may allow: nine bytes for one")
COVER_BURST: Final = _limit(
    "COVER_BURST", 16_384, "bytes", "of decoys at once after a pause: a large transaction's worth, not a block's"
)
COVER_DELAY: Final = _span("COVER_DELAY", 0.2, "real traffic is held so long at most under cover: as a round trip is")
COVER_DELAY_MOST: Final = _span(
    "COVER_DELAY_MOST", 2, "that an operator may allow: below it no answer of ours is late by our peers' rules"
)
COVER_ANSWERS: Final = _limit(
    "COVER_ANSWERS", 40, "percent", "of all decoys may be answers: the other side, which they follow, decides no others"
)
COVER_ANSWER_LATEST: Final = _span(
    "COVER_ANSWER_LATEST", 0.25, "as one that was held, or waited for a verdict; the earliest is as quick as a pong"
)
COVER_GAP_MOST: Final = _span("COVER_GAP_MOST", 600, "no link that may send decoys is without one for longer")
STEADY_TICK: Final = _span(
    "STEADY_TICK", 0.25, "a message waits an eighth of a second on average; 64 links cost 256 writes a second"
)
STEADY_SMALLEST: Final = _limit("STEADY_SMALLEST", 1_024, "bytes/s", "the lowest rung: 2.7 GB in 30 days each way")
STEADY_STEP: Final = _limit("STEADY_STEP", 4, "times", "from rung to rung: the rate tells demand to a factor of 4")
STEADY_STEPS: Final = _limit("STEADY_STEPS", 6, "rungs", "to 1 MiB a second: a fast link's share of a sync")
STEADY_LOWEST: Final = _limit(
    "STEADY_LOWEST",
    16_384,
    "bytes/s",
    "unless the operator says otherwise: 42 GB in 30 days; a block of 1.5 MB in 92 s",
)
STEADY_HIGHEST: Final = _limit(
    "STEADY_HIGHEST", 1_048_576, "bytes/s", "unless the operator says otherwise: the ladder's end"
)
STEADY_TOTAL: Final = _limit(
    "STEADY_TOTAL",
    4_194_304,
    "bytes/s",
    "to which a class's links may rise together, unless the operator says otherwise: peers cannot buy more by asking",
)
STEADY_TOTAL_MOST: Final = _limit(
    "STEADY_TOTAL_MOST", 1 << 30, "bytes/s", "that an operator may allow: more than a node can encrypt"
)
STEADY_EPOCH: Final = _span("STEADY_EPOCH", 600, "unless the operator says otherwise: most hold a block of Bitcoin's")
STEADY_EPOCH_LEAST: Final = _span("STEADY_EPOCH_LEAST", 10, "40 ticks: below it rates would show when demand began")
STEADY_EPOCH_MOST: Final = _span("STEADY_EPOCH_MOST", 86_400, "a day")
STEADY_QUEUE_BYTES: Final = _limit(
    "STEADY_QUEUE_BYTES",
    65_536,
    "bytes",
    "and two ticks' worth may wait for a link at a constant rate before nothing more is served to it",
)
READ_ON_BYTES: Final = _limit(
    "READ_ON_BYTES",
    65_536,
    "bytes",
    "that wait for their turn while a link at a constant rate is read on: requests, not blocks",
)
STEADY_YOUNG: Final = _limit("STEADY_YOUNG", 5, "epochs", "are short at first: from the lowest rung to the highest")
STEADY_YOUNG_PART: Final = _limit("STEADY_YOUNG_PART", 10, "th", "part of an epoch that a young one lasts: a minute")
STEADY_FULL: Final = _limit("STEADY_FULL", 75, "percent", "of what an epoch carries; more demand raises the rate")
STEADY_EMPTY: Final = _limit(
    "STEADY_EMPTY", 6, "percent", "of what an epoch carries, a quarter of the next lower rung; less may lower the rate"
)
STEADY_PATIENCE: Final = _limit(
    "STEADY_PATIENCE",
    2,
    "epochs",
    "with much demand, or hardly any, on average, before a rate changes: blurs the moment",
)
PRINTABLE_POOL: Final = _limit(
    "PRINTABLE_POOL", 8, "pairs", "whose first bytes are printable: each costs 383 draws; as many as dials at once"
)
PRINTABLE_GARBAGE: Final = _limit(
    "PRINTABLE_GARBAGE",
    32,
    "bytes",
    "at least, behind a printable ephemeral key: the first write is 64 bytes, of which a few printable ones are few",
)
PRINTABLE_DRAWS: Final = _limit(
    "PRINTABLE_DRAWS", 10, "draws", "at once while the node is idle: a millisecond, so that no link waits for it"
)
RECORDS_PER_TOKEN: Final = _limit(
    "RECORDS_PER_TOKEN",
    16,
    "records",
    "cost the sender a token: 3 µs each, whatever they carry; a new key costs one",
)
SINK_SHORTEST: Final = _span("SINK_SHORTEST", 30, "a link whose record failed stays open so long at least")
SINK_LONGEST: Final = _span("SINK_LONGEST", 90, "and so long at most: the moment of its end tells nothing")
HANDSHAKES_PER_SECOND: Final = _limit(
    "HANDSHAKES_PER_SECOND", 200, "answers", "half a millisecond each: a tenth of a core, whoever floods"
)
HANDSHAKES_BURST: Final = _limit(
    "HANDSHAKES_BURST", 400, "answers", "at once after a pause: a restart of many peers is no flood"
)
RATIONS_RESERVED: Final = _limit(
    "RATIONS_RESERVED",
    50,
    "answers",
    "of the burst, for network groups that had none lately: a flood does not take them",
)
RATION_MEMORY: Final = _span("RATION_MEMORY", 10, "a group that was answered so long ago is as good as a new one")
RATION_GROUPS: Final = _limit(
    "RATION_GROUPS", 1_024, "groups", "whose last answer is remembered, to answer others first; twice LOBBY_LINKS"
)
PEER_TEXT_BYTES: Final = _limit(
    "PEER_TEXT_BYTES", 4_096, "bytes", "read of a file that names a peer: the longest form has 200"
)
KNOCKS_JUDGED: Final = _limit(
    "KNOCKS_JUDGED",
    512,
    "knocks",
    "with the guard against replays at once, for one sync of the disk; others wait, however long the disk hangs",
)
HANDSHAKE_POOL: Final = _limit(
    "HANDSHAKE_POOL",
    64,
    "pairs",
    "of each kind, made while idle: a burst of handshakes meets ready keys; 0.5 MB",
)

# -- transactions

MEMPOOL_BYTES: Final = _limit(
    "MEMPOOL_BYTES", 100_000_000, "bytes", "of memory for all that wait: some 40,000 usual ones, twelve blocks' worth"
)
MEMPOOL_ENTRY_BYTES: Final = _limit(
    "MEMPOOL_ENTRY_BYTES",
    2_000,
    "bytes",
    "each one is counted for beside its own: objects, indexes, what it was read into",
)
MEMPOOL_INPUT_BYTES: Final = _limit(
    "MEMPOOL_INPUT_BYTES", 400, "bytes", "and for each of its inputs, as an index names the output that it spends"
)
MEMPOOL_AGE: Final = _span("MEMPOOL_AGE", 14 * 86_400, "as Bitcoin Core: what no miner takes in two weeks leaves")
FAMILY_TRANSACTIONS: Final = _limit(
    "FAMILY_TRANSACTIONS", 25, "transactions", "a chain of unconfirmed ones, either way (Core): walking it stays cheap"
)
FEE_FLOOR: Final = _limit(
    "FEE_FLOOR",
    100,
    "per 1,000 vB",
    "the least fee that is relayed, as Bitcoin Core since 30: spam must cost something",
)
FEE_FLOOR_STEP: Final = _limit(
    "FEE_FLOOR_STEP", 100, "per 1,000 vB", "above what was evicted: who fills the pool anew pays for the bandwidth"
)
FEE_FLOOR_HALF_LIFE: Final = _span(
    "FEE_FLOOR_HALF_LIFE", 12 * 3_600, "a raised floor sinks by half, faster while the pool is empty (Core)"
)
RANKS_SLACK: Final = _limit(
    "RANKS_SLACK", 1_000, "ranks", "that no longer hold, kept beside as many as do: sweeping more often costs more"
)
TRICKLE_INBOUND: Final = _span(
    "TRICKLE_INBOUND", 5, "mean delay of an announcement to inbound links, one timer a network (Core)"
)
TRICKLE_OUTBOUND: Final = _span("TRICKLE_OUTBOUND", 2, "mean delay of an announcement to an outbound link (Core)")
RELAY_PER_SECOND: Final = _limit(
    "RELAY_PER_SECOND", 14, "transactions", "announced to inbound links: twice what blocks can hold (Core)"
)
RELAY_BURST: Final = _limit("RELAY_BURST", 420, "transactions", "announced at once after a quiet half minute (Core)")
RELAY_BYTES_PER_SECOND: Final = _limit(
    "RELAY_BYTES_PER_SECOND",
    20_000,
    "bytes",
    "of the transactions announced: what each link may come to ask for (Core)",
)
RELAY_BYTES_BURST: Final = _limit("RELAY_BYTES_BURST", 12_000_000, "bytes", "at once after ten quiet minutes (Core)")
RELAY_OUTBOUND_FACTOR: Final = _limit(
    "RELAY_OUTBOUND_FACTOR", 25, "tenths", "of these rates for outbound links, which we chose ourselves (Core)"
)
VALIDATION_LINK_COUNT: Final = _limit(
    "VALIDATION_LINK_COUNT",
    200,
    "transactions",
    "of one link before the ledger: twice what Bitcoin Core asks one peer for at once",
)
VALIDATION_LINK_BYTES: Final = _limit(
    "VALIDATION_LINK_BYTES", 400_000, "bytes", "of one link before the ledger, or a single transaction"
)
VALIDATION_TOTAL_BYTES: Final = _limit(
    "VALIDATION_TOTAL_BYTES", 16_000_000, "bytes", "of all links before the ledger; beyond, who holds most is refused"
)
VALIDATION_BATCH: Final = _limit(
    "VALIDATION_BATCH", 64, "transactions", "judged at one request: a thread's turn costs as much as a signature"
)
VALIDATION_BATCH_COST: Final = _span(
    "VALIDATION_BATCH_COST", 0.02, "for one request, as guessed, and one transaction beyond: a block waits so long"
)
VALIDATION_GUESS_READ: Final = _span("VALIDATION_GUESS_READ", 0.00005, "guessed for a transaction but its inputs")
VALIDATION_GUESS_INPUT: Final = _span("VALIDATION_GUESS_INPUT", 0.0001, "guessed for an input: one signature")
KNOWN_IDS_GENERATION: Final = _limit(
    "KNOWN_IDS_GENERATION",
    24_576,
    "transactions",
    "a link is known to have, the latest; twice as many at most: Core's filter holds 50,000. 0.5 MB for a busy link",
)
TRACKED_PER_PEER: Final = _limit(
    "TRACKED_PER_PEER", 5_000, "transactions", "announced by one link and not here yet (Core): 2 MB"
)
TRACKED_TOTAL: Final = _limit(
    "TRACKED_TOTAL", 100_000, "transactions", "announced by all links; beyond, each has its share alone: 44 MB"
)
TRACKED_SHARE: Final = _limit(
    "TRACKED_SHARE", 500, "transactions", "of one link that are taken whatever others have announced: a busy minute's"
)
TX_IN_FLIGHT: Final = _limit(
    "TX_IN_FLIGHT", 100, "transactions", "asked of one link at once before it counts as busy, as Bitcoin Core"
)
TX_DELAY_INBOUND: Final = _span("TX_DELAY_INBOUND", 2, "before a link that we did not choose is asked, as Bitcoin Core")
TX_DELAY_OVERLOADED: Final = _span("TX_DELAY_OVERLOADED", 2, "more, before a busy link is asked, as Bitcoin Core")
TX_REQUEST_TIMEOUT: Final = _span("TX_REQUEST_TIMEOUT", 60, "for one answer; then another link is asked (Core)")
ORPHANS_PER_PEER: Final = _limit(
    "ORPHANS_PER_PEER", 100, "transactions", "of one link wait for a parent: Core's whole orphanage, for each link"
)
ORPHAN_BYTES_PER_PEER: Final = _limit(
    "ORPHAN_BYTES_PER_PEER", 400_000, "bytes", "of memory for them; a link that brings more loses its own oldest"
)
ORPHAN_BYTES_TOTAL: Final = _limit(
    "ORPHAN_BYTES_TOTAL", 20_000_000, "bytes", "of memory over all links: fifty full accounts; the largest one pays"
)
ORPHAN_AGE: Final = _span("ORPHAN_AGE", 300, "announcements lie seconds apart, not minutes; Core has waited for twenty")
COIN_STEP_BLOCKS: Final = _limit(
    "COIN_STEP_BLOCKS",
    64,
    "blocks",
    "of the coin view's step: the ledger's other work waits for it, and a kill loses it",
)
COIN_STEP_BYTES: Final = _limit("COIN_STEP_BYTES", 4_000_000, "bytes", "of their blocks: two full ones, half a second")
COIN_UNDO_BLOCKS: Final = _limit(
    "COIN_UNDO_BLOCKS", 2_016, "blocks", "that the coin view can take back: a fortnight; deeper, it is made anew"
)
TX_WEIGHT: Final = _limit("TX_WEIGHT", 400_000, "weight units", "of one that is relayed: a tenth of a block (Core)")
TX_SIGOP_COST: Final = _limit("TX_SIGOP_COST", 16_000, "checks", "of one that is relayed: a fifth of a block's (Core)")
BLOCK_WEIGHT: Final = _limit("BLOCK_WEIGHT", 4_000_000, "weight units", "of a block (BIP141)")
BLOCK_SIGOP_COST: Final = _limit("BLOCK_SIGOP_COST", 80_000, "checks", "of a block (BIP141)")
LEGACY_HASHED_BYTES: Final = _limit(
    "LEGACY_HASHED_BYTES",
    20_000_000,
    "bytes",
    "hashed for inputs without witness, which each hash the whole transaction: a bomb costs a tenth of a second",
)
TX_PRICE: Final = _limit(
    "TX_PRICE",
    10,
    "tokens",
    "for each transaction announced, or sent unasked: 100 a second of a link, three times what an honest one tells",
)
MEMPOOL_SWEEP: Final = _span("MEMPOOL_SWEEP", 3_600, "between looks for what has waited two weeks: it is no hurry")
MEMPOOL_ANSWER: Final = _limit(
    "MEMPOOL_ANSWER", 5_000, "transactions", "named in answer to mempool, what pays most: some ten milliseconds of work"
)
MEMPOOL_ANSWER_AGE: Final = _span(
    "MEMPOOL_ANSWER_AGE", 60, "of what mempool names: twelve mean delays, so that asking shows nothing sooner"
)
OWN_TRANSACTIONS: Final = _limit(
    "OWN_TRANSACTIONS",
    10_000,
    "transactions",
    "of our operator that wait, in stem or for a block: a program must not fill all room",
)
RELAY_BEHIND: Final = _limit(
    "RELAY_BEHIND", 24, "blocks", "behind the best header: what is announced then cannot be judged here, mostly"
)
RENEW_MEAN: Final = _span(
    "RENEW_MEAN",
    2,
    "between ends of links that began before we could relay: one by one, at moments that say nothing",
)

# -- stems

STEM_EPOCH: Final = _span(
    "STEM_EPOCH", 600, "ways stay for it, and are drawn anew before they are learnt (Dandelion++)"
)
STEM_EPOCH_JITTER: Final = _span(
    "STEM_EPOCH_JITTER", 30, "at most, added to each epoch: nodes' epochs drift apart (Monero)"
)
STEM_PEERS: Final = _limit(
    "STEM_PEERS", 2, "links", "that stems leave by: the stems of all nodes form a 4-regular graph (Dandelion++)"
)
STEM_DIFFUSERS: Final = _limit(
    "STEM_DIFFUSERS", 10, "%", "of a node's epochs in which it spreads what others stem: ten steps on average (Grin)"
)
STEM_HOP: Final = _span(
    "STEM_HOP", 0.3, "assumed for a step of a stem: three ways over a link of 110 ms, as measured in the field"
)
STEM_EARLY: Final = _limit(
    "STEM_EARLY", 10, "%", "of stems of the expected length on which a timer may fire although nobody swallowed them"
)
STEM_LINK_AGE: Final = _span(
    "STEM_LINK_AGE", 60, "a link must have lasted so long to be a stem peer: as STEADY_LINK, it was tried"
)
STEM_WAIT: Final = _span("STEM_WAIT", 600, "our operator's transactions wait for a stem peer so long: an epoch")
STEM_FLOOR: Final = _limit(
    "STEM_FLOOR", 110, "%", "of the mempool's least fee: a stem must still be good enough when it spreads"
)
STEM_LINK_COUNT: Final = _limit(
    "STEM_LINK_COUNT", 1_000, "transactions", "in stem that one link has brought: a minute of 16 a second"
)
STEM_LINK_BYTES: Final = _limit("STEM_LINK_BYTES", 800_000, "bytes", "of them, or one transaction; two of the largest")
STEM_LINK_TIME: Final = _limit(
    "STEM_LINK_TIME", 20_000, "µs", "of judging in a second for what one link stems: a fiftieth of a core"
)
STEM_LINK_TIME_BURST: Final = _span("STEM_LINK_TIME_BURST", 0.5, "of judging at once, for one link that was quiet")
STEM_LINK_TIME_START: Final = _span("STEM_LINK_TIME_START", 0.1, "of that, for a link that is new: links are cheap")
STEM_TOTAL_BYTES: Final = _limit(
    "STEM_TOTAL_BYTES",
    32_000_000,
    "bytes",
    "of memory for all stems; beyond, only who has less than his share finds room",
)
STEM_OUT_COUNT: Final = _limit(
    "STEM_OUT_COUNT",
    800,
    "transactions",
    "outstanding with one stem peer; the rest of STEM_LINK_COUNT there is for who has less than his share here",
)
STEM_OUT_START: Final = _limit(
    "STEM_OUT_START", 64, "transactions", "of them at first, and at least: a usual node has one or two outstanding"
)
STEM_OUT_BYTES: Final = _limit(
    "STEM_OUT_BYTES", 400_000, "bytes", "of them: one of the largest fits, and one more there"
)
STEM_OUT_TIME: Final = _limit(
    "STEM_OUT_TIME",
    10_000,
    "µs",
    "of judging in a second that one stem peer is asked for, by guess: half of STEM_LINK_TIME",
)
STEM_OUT_TIME_BURST: Final = _span("STEM_OUT_TIME_BURST", 0.05, "of it at once: half of STEM_LINK_TIME_START")
STEM_RETRY: Final = _span(
    "STEM_RETRY", 1, "after which a stem is spread again that somebody has just sent in the open, if that failed"
)
SENT_KEPT: Final = _limit(
    "SENT_KEPT",
    20_000,
    "transactions",
    "of our operator whose way is remembered, for his questions; the oldest go first",
)
STEMMED_GENERATION: Final = _limit(
    "STEMMED_GENERATION", 2_048, "transactions", "a link is known to have stemmed: more than its account holds"
)

# -- private broadcast

BROADCAST_RECIPIENTS: Final = _limit(
    "BROADCAST_RECIPIENTS", 3, "recipients", "that must confirm a transaction: one or two may swallow it (Core)"
)
BROADCAST_LINKS: Final = _limit(
    "BROADCAST_LINKS",
    8,
    "connections",
    "for private broadcast at once: each is a circuit, or an I2P session, of its own",
)
BROADCAST_QUEUE: Final = _limit(
    "BROADCAST_QUEUE",
    1_000,
    "transactions",
    "of our operator that are to be broadcast privately: an hour of one each 4 s",
)
BROADCAST_ASK: Final = _span(
    "BROADCAST_ASK", 60, "from the inv to its getdata: who has the transaction already never asks"
)
BROADCAST_LINK: Final = _span(
    "BROADCAST_LINK", 180, "a connection for private broadcast lasts so long at most, from when it stands (Core)"
)
BROADCAST_SPREAD: Final = _span(
    "BROADCAST_SPREAD",
    5,
    "on average, before the first recipient is dialled, and between those that are sought at once",
)
BROADCAST_RESUME: Final = _span(
    "BROADCAST_RESUME", 60, "the same after a start: that a node has started must not be followed by its transactions"
)
BROADCAST_RETRY: Final = _span(
    "BROADCAST_RETRY", 20, "on average, before a recipient that failed is replaced; doubles with each three that fail"
)
BROADCAST_RETURN: Final = _span(
    "BROADCAST_RETURN",
    120,
    "to twice that: a transaction that all have is waited for; doubles each time (Core: 2 to 3 min)",
)
BROADCAST_RETURN_MOST: Final = _span(
    "BROADCAST_RETURN_MOST", 3_600, "at most: an hour without a sign of it, and one more recipient hears of it"
)
BROADCAST_PATIENCE: Final = _span(
    "BROADCAST_PATIENCE", 600, "in which nobody at all was reached; then the fall-back policy holds: as STEM_WAIT"
)
BROADCAST_MISSES: Final = _limit(
    "BROADCAST_MISSES",
    3,
    "verdicts",
    "in a row, an hour apart, by which what it spends is not there: a parent, or another chain, may come back",
)
BROADCAST_FORGET: Final = _span(
    "BROADCAST_FORGET",
    3_600,
    "on average, from when one has come back to when the disk forgets it: together they would mark it",
)
BROADCAST_YOUNG: Final = _limit(
    "BROADCAST_YOUNG", 86_400, "s", "at least, that a start leaves to what waits: the clock may be wrong, or was then"
)
BROADCAST_KNOWN: Final = _limit(
    "BROADCAST_KNOWN", 604_800, "s", "reached so long ago, or told by two network groups: rather such are recipients"
)
BROADCAST_ROW: Final = _limit(
    "BROADCAST_ROW",
    4_096,
    "bytes",
    "rows of the queue on disk are padded to multiples: their sizes name no transaction",
)

# -- all of it

MEMORY_TOTAL_BYTES: Final = _limit(
    "MEMORY_TOTAL_BYTES",
    1_900_000_000,
    "bytes",
    "above a node at rest, whatever peers do: the sum of all that they can make grow, at the end of docs/limits.md",
)

LIMITS: Final[tuple[Limit, ...]] = tuple(_rows)
