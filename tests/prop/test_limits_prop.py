"""Every bound of base/limits.py from both sides: the largest allowed is taken, the next one is not.

A row of the table that has no test here, no test elsewhere and no reason for having none fails the last test.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TypeVar

import pytest
from nodes import mine_chain
from pair import START, closing_rule, feed, make_channel, make_version
from play import GENESIS, WALL, Link, Play, address, item, name_of

from obscura.base import limits
from obscura.base.cursor import compact_size
from obscura.base.errors import Malformed, Violation
from obscura.base.instant import Duration, Instant, Now, WallTime, after
from obscura.base.names import NULL_HASH, ConnId
from obscura.base.randomness import Chance
from obscura.channel import Channel, MessageFault, Role
from obscura.channel.budget import FaultBudget, TokenBucket
from obscura.ledgers.memory import MemoryLedger
from obscura.node.effects import AcceptBlocks
from obscura.peers.backoff import backoff
from obscura.peers.book import AddressBook
from obscura.peers.dialing import Dialer, Policy, Situation
from obscura.peers.groups import Grouping
from obscura.peers.placing import Placing
from obscura.peers.record import AddressRecord
from obscura.sync.download import Downloader
from obscura.sync.view import HeaderTree
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.blocks import DandelionTx, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Mempool, Ping, Pong, Verack, Version
from obscura.wire.registry import (
    ASKING,
    BY_MESSAGE,
    FIELD_OF,
    GOSSIP,
    REGISTRY,
    SELDOM,
    TALK,
    UNKNOWN,
    UNKNOWN_SIZE_MAX,
    Budget,
    Message,
    Phase,
    Row,
    encode_message,
)

T = TypeVar("T", bound=Callable[..., None])
TESTED: dict[str, str] = {}


def bounds(*names: str) -> Callable[[T], T]:
    """Say which rows of the table a test holds from both sides."""

    def mark(test: T) -> T:
        TESTED.update(dict.fromkeys(names, test.__name__))
        return test

    return mark


def opened() -> Channel:
    channel = make_channel(Role.RESPONDER)
    feed(channel, encode_message(make_version(9)) + encode_message(Verack()))
    channel.take_data(START)
    return channel


# -- messages


@bounds(
    "PRE_HANDSHAKE_BYTES", "ADDR_BYTES", "INV_BYTES", "BLOCK_BYTES", "TX_BYTES", "LOCATOR_BYTES", "HEADERS_BYTES"
)  # fmt: skip
@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row.name)
def test_bytes_of_a_payload(row: object) -> None:
    kind, limit = row.message, row.size_max  # type: ignore[attr-defined]
    if kind is DandelionTx:
        # In clear it is as good as unknown; tests/unit/channel/test_optional.py has it where it is served.
        return
    for size, fits in ((limit, True), (limit + 1, False)):
        channel = make_channel(Role.RESPONDER)
        if kind is not Version:
            feed(channel, encode_message(make_version(9)))
        if kind not in (Version, Verack):
            feed(channel, encode_message(Verack()))
        events = feed(channel, size.to_bytes(4, "little") + FIELD_OF[kind] + bytes(4) + bytes(min(size, limit)))
        if fits:
            assert not channel.is_closed
            assert all(isinstance(event, MessageFault) for event in events)
        else:
            assert closing_rule(events) == "frame-oversized"
    sizes = {row.name: row.size_max for row in REGISTRY}
    assert sizes["version"] == limits.PRE_HANDSHAKE_BYTES
    assert sizes["addr"] == limits.ADDR_BYTES
    assert sizes["inv"] == sizes["getdata"] == sizes["notfound"] == limits.INV_BYTES
    assert (sizes["block"], UNKNOWN_SIZE_MAX) == (limits.BLOCK_BYTES, limits.BLOCK_BYTES)
    assert sizes["tx"] == sizes["dandeliontx"] == limits.TX_BYTES
    assert sizes["getblocks"] == sizes["getheaders"] == limits.LOCATOR_BYTES
    assert sizes["headers"] == limits.HEADERS_BYTES


ENTRY = (
    bytes(4) + b"\xff" + b"\xff" * 8 + b"\x63" + compact_size(limits.ADDRESS_BYTES) + bytes(limits.ADDRESS_BYTES + 2)
)
LISTS = {
    "addr": (limits.ADDR_ITEMS, ENTRY, b"", b""),
    "inv": (limits.INV_ITEMS, bytes(36), b"", b""),
    "getdata": (limits.INV_ITEMS, bytes(36), b"", b""),
    "notfound": (limits.INV_ITEMS, bytes(36), b"", b""),
    "headers": (limits.HEADERS_ITEMS, bytes(81), b"", b""),
    "getblocks": (limits.LOCATOR_ITEMS, bytes(32), bytes(4), bytes(32)),
    "getheaders": (limits.LOCATOR_ITEMS, bytes(32), bytes(4), bytes(32)),
}


@bounds("ADDR_ITEMS", "INV_ITEMS", "HEADERS_ITEMS", "LOCATOR_ITEMS")
@pytest.mark.parametrize("name", LISTS)
def test_items_of_a_list(name: str) -> None:
    most, one, before, behind = LISTS[name]
    kind = next(row.message for row in REGISTRY if row.name == name)
    payload = before + compact_size(most) + one * most + behind
    assert len(payload) == BY_MESSAGE[kind].size_max, "the largest list of the largest items fills the limit"
    kind.from_payload(payload)
    with pytest.raises(Violation, match="list-too-long"):
        kind.from_payload(before + compact_size(most + 1) + one * (most + 1) + behind)
    with pytest.raises(Violation, match="list-too-long"):
        kind.from_payload(before + compact_size(most + 1))


@bounds("ADDRESS_BYTES")
def test_bytes_of_an_address() -> None:
    head = b"\x01" + bytes(4) + b"\0\x63"
    assert Addr.from_payload(head + compact_size(512) + bytes(514)).entries == ()
    with pytest.raises(Violation, match="address-too-long"):
        Addr.from_payload(head + compact_size(513) + bytes(515))


@bounds("USER_AGENT_BYTES")
def test_bytes_of_a_user_agent() -> None:
    longest = make_version(agent="a" * limits.USER_AGENT_BYTES)
    assert Version.from_payload(longest.to_payload()) == longest
    payload = bytearray(longest.to_payload())
    payload[20:22] = (limits.USER_AGENT_BYTES + 1).to_bytes(2, "little")
    with pytest.raises(Violation, match="user-agent-too-long"):
        Version.from_payload(bytes(payload[:22]) + b"a" + bytes(payload[22:]))


def test_a_payload_of_one_byte_less_is_malformed() -> None:
    for name, (most, one, before, behind) in LISTS.items():
        kind = next(row.message for row in REGISTRY if row.name == name)
        with pytest.raises(Malformed):
            kind.from_payload((before + compact_size(most) + one * most + behind)[:-1])


# -- accounts of a link


@bounds("FAULT_BUDGET", "FAULT_DECAY")
def test_fault_budget() -> None:
    budget = FaultBudget(START)
    assert not budget.charge(limits.FAULT_BUDGET - 1, START)
    assert not budget.charge(0, START)
    early = Instant(START + limits.FAULT_DECAY - 1)
    assert FaultBudget(START).charge(limits.FAULT_BUDGET, START)
    assert budget.points(early) == limits.FAULT_BUDGET - 1
    assert budget.points(Instant(early + 1)) == limits.FAULT_BUDGET - 2
    assert not budget.charge(1, Instant(early + 1))
    assert budget.charge(1, Instant(early + 1))


@bounds("TOKENS_BURST", "TOKENS_PER_SECOND", "TOKENS_REST")
def test_tokens() -> None:
    bucket = TokenBucket(START)
    bucket.take(limits.TOKENS_BURST, START)
    assert bucket.wait(START) == 0
    bucket.take(1, START)
    wait = bucket.wait(START)
    assert wait == 1_000_000 // limits.TOKENS_PER_SECOND + limits.TOKENS_REST
    assert bucket.wait(Instant(START + wait - 1)) > 0
    assert bucket.wait(Instant(START + wait)) == 0
    late = after(START, Duration(10**15))
    bucket.take(limits.TOKENS_BURST + 1, late)
    assert bucket.wait(late) > 0, "it never holds more than a burst"


@bounds("PRICE_BYTES", "ASKED_PRICE_BYTES", "TOLD_PRICE_BYTES", "ADDR_PRICE_BYTES")
@pytest.mark.parametrize(
    "row", [row for row in REGISTRY if row.phase is Phase.OPEN and row.price], ids=lambda row: row.name
)
def test_a_price_grows_by_the_size(row: Row) -> None:
    more = row.price_bytes
    for size, tokens in ((more - 1, 0), (more, 1), (2 * more, 2)):
        if size > row.size_max or row.message is DandelionTx:
            continue
        channel = opened()
        channel.spend(limits.TOKENS_BURST - 2 - row.price - tokens, START)  # version and verack cost one each
        # Nobody can read it, but for a pong; that it came is paid for.
        feed(channel, size.to_bytes(4, "little") + FIELD_OF[row.message] + bytes(4 + size))
        assert channel.throttle(START) == 0
        channel.spend(1, START)
        assert channel.throttle(START) > 0


@bounds(
    "TALK_BURST", "TALK_PER_SECOND", "ASKING_BURST", "ASKING_PER_SECOND", "GOSSIP_BURST", "GOSSIP_PER_SECOND",
    "SELDOM_BURST", "SELDOM_PER_SECOND", "UNKNOWN_BURST", "UNKNOWN_PER_SECOND",
)  # fmt: skip
@pytest.mark.parametrize(
    ("message", "price", "budget"),
    [
        (Ping(1), 1, TALK),
        (Pong(1), 1, TALK),
        (GetHeaders(1, (), NULL_HASH), 10, ASKING),
        (GetBlocks(1, (), NULL_HASH), 10, ASKING),
        (Addr(()), 5, GOSSIP),
        (GetAddr(), 50, SELDOM),
        (Mempool(), 100, SELDOM),
        (None, limits.UNKNOWN_PRICE, UNKNOWN),
    ],
    ids=str,
)
def test_messages_with_a_budget_of_their_own(message: Message | None, price: int, budget: Budget) -> None:
    channel = opened()
    frame = encode_frame(type_field("news"), b"") if message is None else encode_message(message)
    feed(channel, frame * (budget.burst // price))
    assert channel.throttle(START) == 0, "a burst goes through"
    feed(channel, frame + encode_message(NotFound(())))
    wait = channel.throttle(START)
    enough = min(budget.burst * 1_000_000, budget.per_second * limits.TOKENS_REST)
    assert wait == -(-(price * 1_000_000 + enough) // budget.per_second), "one more is one too many, not all of it lost"
    assert channel.buffered > 0, "and what is behind it waits"
    late = after(START, wait)
    assert channel.throttle(Instant(late - 1)) > 0
    assert channel.throttle(late) == 0
    assert channel.next_event(late) == NotFound(())
    assert not channel.is_closed


# -- addresses and dials


def entry(number: int, seen: int = WALL) -> AddressEntry:
    return AddressEntry(WallTime(seen), 0, address(number // 200, number % 200))


def book_of(count: int, source: bytes | None = None) -> AddressBook:
    """A book that was told so many addresses, by as many groups or by one."""
    book = AddressBook((), Chance.from_seed(1), key=bytes(32))
    for number in range(count):
        book.learn(entry(number), source or number.to_bytes(4, "big"), WALL)
    book.check()
    return book


def full_book() -> AddressBook:
    """A book of which every place is taken: its notes of places say so."""
    stamp = Placing(bytes(32), Grouping()).stamp
    tables = ((True, limits.TRIED_BUCKETS), (False, limits.NEW_BUCKETS))
    places = [(tried, place) for tried, buckets in tables for place in range(buckets * limits.BUCKET_PLACES)]
    records = [
        AddressRecord(
            address=NetAddress(Network.IPV4, number.to_bytes(4, "big"), 1),
            source=b"source",
            seen=WALL,
            tried=tried,
            standing=stamp + (place % 65_536).to_bytes(2, "big"),
        )
        for number, (tried, place) in enumerate([*places, *places[-5:]])
    ]
    return AddressBook(records, Chance.from_seed(1), key=bytes(32))


@bounds("BOOK_ENTRIES", "BOOK_PER_SOURCE", "NEW_BUCKETS", "TRIED_BUCKETS", "BUCKET_PLACES")
def test_entries_of_the_book() -> None:
    book = full_book()
    assert len(book) == limits.BOOK_ENTRIES, "the last five have no place"
    assert not any(book.learn(entry(number), b"other", WALL) for number in range(100))
    assert book.learn(entry(1), b"other", WallTime(WALL + 2 * limits.ADDR_AGE)) is False
    fresh = AddressEntry(WallTime(WALL + 2 * limits.ADDR_AGE), 0, entry(1).address)
    assert book.learn(fresh, b"other", fresh.time), "of those that are too old one makes room"
    assert len(book) == limits.BOOK_ENTRIES
    assert 0.8 * limits.BOOK_PER_SOURCE < len(book_of(30_000, b"source")) <= limits.BOOK_PER_SOURCE


@bounds("ADDR_AGE", "ADDR_FUTURE")
def test_ages_of_an_address() -> None:
    book = AddressBook((), Chance.from_seed(1), key=bytes(32))
    assert book.learn(entry(1, WALL - limits.ADDR_AGE), b"s", WALL)
    assert not book.learn(entry(2, WALL - limits.ADDR_AGE - 1), b"s", WALL)
    book.learn(entry(3, WALL + limits.ADDR_FUTURE), b"s", WALL, direct=True)
    book.learn(entry(4, WALL + limits.ADDR_FUTURE + 1), b"s", WALL, direct=True)
    seen = [book.get(entry(number).address).seen for number in (3, 4)]  # type: ignore[union-attr]
    assert seen == [WALL + limits.ADDR_FUTURE, WALL - limits.ADDR_IMPOSSIBLE]


@bounds("GETADDR_SHARE")
@pytest.mark.parametrize("count", [1, 4, 5, 100, 101, limits.BOOK_ENTRIES])
def test_share_of_an_answer(count: int) -> None:
    book = full_book() if count == limits.BOOK_ENTRIES else book_of(count)
    answer = book.answer(WALL, lambda _: True)
    assert len(answer) == min(limits.ADDR_ITEMS, -(-len(book) * limits.GETADDR_SHARE // 100))


@bounds("DIALS_AT_ONCE", "DIAL_INTERVAL")
def test_dials_at_once() -> None:
    policy = Policy(full=100, blocks=0, allow_local=True, reach=(Network.IPV4,), grouping=Grouping())
    dialer = Dialer(book_of(1_000), (), policy, Chance.from_seed(2), START)
    now = Now(START, WALL)
    assert dialer.due(now, Situation(dialling=limits.DIALS_AT_ONCE)) == []
    assert len(dialer.due(now, Situation(dialling=limits.DIALS_AT_ONCE - 1))) == 1
    assert dialer.due(Now(Instant(START + limits.DIAL_INTERVAL - 1), WALL), Situation()) == []
    assert len(dialer.due(Now(Instant(START + limits.DIAL_INTERVAL), WALL), Situation())) == 1


@bounds("BACKOFF_BASE", "BACKOFF_CAP", "BACKOFF_CAP_NAMED", "BACKOFF_DOUBLINGS")
def test_backoff() -> None:
    chance = Chance.from_seed(3)
    for cap in (limits.BACKOFF_CAP, limits.BACKOFF_CAP_NAMED):
        for failures in (1, 2, 5, 16, 17, 10_000):
            bound = min(cap, limits.BACKOFF_BASE << min(failures, 40))
            assert all(0 <= backoff(failures, cap, chance) <= bound for _ in range(50))
    assert limits.BACKOFF_BASE << limits.BACKOFF_DOUBLINGS > limits.BACKOFF_CAP


@bounds("INBOUND_SLOTS")
def test_inbound_links() -> None:
    play = Play(named=0, slots=limits.INBOUND_SLOTS)
    links = [greeted(play) for _ in range(limits.INBOUND_SLOTS)]
    assert all(link.live for link in links)
    newcomer = greeted(play)
    assert newcomer.live, "it takes the slot of another one when its handshake is complete"
    assert sum(link.live for link in links) == limits.INBOUND_SLOTS - 1


# -- sync


def tree_of(count: int) -> tuple[HeaderTree, MemoryLedger]:
    ledger = MemoryLedger()
    tree = HeaderTree(ledger.genesis, ledger.identify_header(ledger.genesis))
    for block in mine_chain(GENESIS, count, b"limits", 1_700_000_100):
        tree.mark_checked(tree.add(block[:80], ledger.identify_header(block[:80])))
    return tree, ledger


@bounds("BLOCKS_IN_FLIGHT", "SMALL_IN_FLIGHT", "IN_FLIGHT_BYTES", "DOWNLOAD_WINDOW")
def test_requests_of_a_peer_and_the_window() -> None:
    tree, _ = tree_of(limits.DOWNLOAD_WINDOW + 40)
    download = Downloader(tree)
    download.peer_has(ConnId(1), tree.best)
    asked = wanted = download.plan(START)
    assert len(asked) == limits.BLOCKS_IN_FLIGHT, "each may be the largest"
    most = 0
    while asked:
        assert download.arrived(*asked[0], 10_000, START)
        asked = asked[1:] + (fresh := download.plan(START))
        most = max(most, len(asked))
        wanted = wanted + fresh
        download.check()
    assert most == limits.IN_FLIGHT_BYTES // 10_000 < limits.SMALL_IN_FLIGHT, "more, once they are known to be small"
    assert len(wanted) == limits.DOWNLOAD_WINDOW, "what lies above the window waits for the first missing block"
    first = wanted[0][1]
    download.settled(first)
    tree.mark_body(first)
    assert [one.height for _, one in download.plan(START)] == [limits.DOWNLOAD_WINDOW + 1]


@bounds("SYNC_BUFFER_BYTES")
def test_bytes_that_wait() -> None:
    tree, _ = tree_of(100)
    download = Downloader(tree)
    for conn in (1, 2, 3):
        download.peer_has(ConnId(conn), tree.best)
    room = limits.SYNC_BUFFER_BYTES // limits.BLOCK_BYTES
    asked = download.plan(START)
    assert len(asked) == room, "before a size is known, each block may be the largest"
    assert all(download.arrived(conn, one, limits.BLOCK_BYTES, START) for conn, one in asked)
    assert download.plan(START) == []
    download.settled(asked[0][1])
    tree.mark_body(asked[0][1])
    assert len(download.plan(START)) == 1


@bounds("BLOCK_HOLDERS")
def test_holders_of_a_block() -> None:
    tree, _ = tree_of(1)
    download = Downloader(tree)
    for conn in range(limits.BLOCK_HOLDERS + 4):
        download.peer_has(ConnId(conn), tree.best)
    now, asked = START, 0
    for _ in range(limits.BLOCK_HOLDERS + 4):
        asked += len(download.plan(now))
        download.check()
        now = after(now, limits.STALL_CAP)
    assert asked == limits.BLOCK_HOLDERS


# -- the node


CHAIN = mine_chain(GENESIS, limits.GETBLOCKS_ITEMS + 1, b"limits", 1_700_000_100)


def greeted(play: Play) -> Link:
    link = play.accept(address(len(play.links), 1))
    assert link is not None
    play.greet(link)
    link.heard.clear()
    return link


@bounds("GETBLOCKS_ITEMS", "INV_ITEMS_SENT")
def test_items_of_an_answer_to_getblocks() -> None:
    for count, answered in ((500, 500), (501, 500)):
        link = greeted(play := Play(named=0, chain=CHAIN[:count]))
        play.say(link, GetBlocks(1, (GENESIS,), NULL_HASH))
        assert [len(one.items) for one in link.heard if type(one) is Inv] == [answered]
    assert limits.GETBLOCKS_ITEMS <= limits.INV_ITEMS_SENT


@bounds("HEADERS_UNASKED", "FAULT_UNSOLICITED")
def test_headers_that_nobody_asked_for() -> None:
    for count, points in ((limits.HEADERS_UNASKED, 0), (limits.HEADERS_UNASKED + 1, limits.FAULT_UNSOLICITED)):
        link = greeted(play := Play(named=0))
        play.say(link, Headers(()))  # the answer to what it was asked at the start
        play.say(link, Headers(tuple(block[:80] for block in CHAIN[:count])))
        picture = play.node.snapshot(play.now)
        assert (picture.peers[0].faults, picture.peers[0].known_height) == (points, -1 if points else count)


@bounds("GETDATA_QUEUE")
def test_items_of_what_is_not_found() -> None:
    link = greeted(play := Play(named=0))
    play.say(link, GetData((item(bytes(32)),) * limits.INV_ITEMS))
    sizes: list[int] = []
    for _ in range(limits.INV_ITEMS // limits.TOKENS_PER_SECOND):
        sizes += [len(one.items) for one in link.heard if isinstance(one, NotFound)]
        link.heard.clear()
        play.advance(1)
    assert max(sizes) == limits.PORTION_ITEMS
    assert sum(sizes) == limits.INV_ITEMS == limits.GETDATA_QUEUE, "the largest getdata is answered whole"


@bounds("SERVE_BATCH_BLOCKS", "SERVE_BATCH_BYTES")
def test_blocks_of_one_read() -> None:
    small = mine_chain(GENESIS, limits.SERVE_BATCH_BLOCKS + 10, b"", 1_700_000_100)
    large = mine_chain(GENESIS, 5, bytes(limits.SERVE_BATCH_BYTES * 2 // 5), 1_700_000_100)
    for chain, most in ((small, limits.SERVE_BATCH_BLOCKS), (large, 2)):
        link = greeted(play := Play(named=0, chain=chain))
        play.say(link, GetData(tuple(item(name_of(block)) for block in chain)))
        sizes = []
        while play.reads:
            request = play.reads[0][1]
            assert len(request.hashes) <= limits.SERVE_BATCH_BLOCKS
            sizes.append(len(play.ledger.read_blocks(request.hashes, request.bytes_max)))
            play.read(0)
            play.advance(1)
        assert max(sizes) == most
        assert sum(sizes) == len(chain)


@bounds("LEDGER_BATCH_BLOCKS", "LEDGER_BATCH_BYTES")
def test_blocks_of_one_batch() -> None:
    for body, count, most in ((b"", 300, limits.LEDGER_BATCH_BLOCKS), (bytes(2_000_000), 8, 4)):
        play = Play(named=0)
        for block in mine_chain(GENESIS, count, body, 1_700_000_100):
            play.submit(block)
        sizes = []
        while play.asks:
            if isinstance(play.asks[0][1], AcceptBlocks):
                sizes.append(len(play.asks[0][1].blocks))
            play.work()
            play.deliver()
        assert sizes[0] == 1, "it does not wait for more"
        assert max(sizes) == most
        assert play.ledger.height == count


@bounds("ADDR_RELAY_ITEMS", "ADDR_RELAY_AGE", "ADDR_RELAY_PEERS")
def test_gossip_that_is_passed_on() -> None:
    for count, age, passed in (
        (10, 600, True),
        (11, 600, False),
        (10, 601, False),
        (10, -600, True),
        (10, -601, False),
    ):
        play = Play(named=0)
        links = [greeted(play) for _ in range(5)]
        for link in links:
            play.say(link, GetAddr())
        for link in links * 2:
            play.serve(link, [])
        play.advance(200, late=True)  # tokens for addresses: one comes every ten seconds
        play.say(links[0], Addr(tuple(entry(900 + number, play.now.wall - age) for number in range(count))))
        heard = [
            sum(isinstance(one, Addr) and one.entries[0].address != address(9, 1) for one in link.heard)
            for link in links
        ]
        assert heard[0] == 0, "not back to where it came from"
        assert sum(heard) == (count * limits.ADDR_RELAY_PEERS if passed else 0)


@bounds("MEMPOOL_INTERVAL")
def test_mempool_is_answered_once_a_minute() -> None:
    from obscura.wire.greeting import Mempool

    link = greeted(play := Play(named=0))
    for wait, answers in ((0, 1), (59, 1), (1, 2)):
        play.advance(wait)
        play.say(link, Mempool(), Ping(1))
        assert sum(type(one) is Inv for one in link.heard) == answers


@bounds("CLOCK_JUMP")
def test_a_jump_of_the_clock() -> None:
    from obscura.node.effects import Notice, Tell

    for seconds, noticed in ((600, False), (601, True), (-600, False), (-601, True)):
        play = Play(named=0)
        play.jump(seconds)
        play.node.handle_deadline(play.now)
        told = [
            one.event.name
            for one in play.node.take_effects()
            if isinstance(one, Tell) and isinstance(one.event, Notice)
        ]
        assert told == (["clock-jump"] if noticed else [])


@bounds("MEMORY_TOTAL_BYTES")
def test_all_that_peers_can_make_grow() -> None:
    """Each part is driven to its bound by scripts/memory.py; here is their sum, and the document that shows it."""
    place = Path(__file__).resolve().parents[2]
    loaded = spec_from_file_location("limits_doc", place / "scripts" / "limits_doc.py")
    assert loaded is not None
    assert loaded.loader is not None
    document = module_from_spec(loaded)
    sys.modules[loaded.name] = document  # dataclasses look their module up
    loaded.loader.exec_module(document)
    total = sum(part.size for part in document.memory())
    assert total <= limits.MEMORY_TOTAL_BYTES <= total * 1.2, "and it is no idle number"
    assert (place / "docs" / "limits.md").read_text() == document.render()


ELSEWHERE = {
    "CONNECT_TIMEOUT_OVERLAY": "tests/unit/node/test_node_ways.py",
    "HANDSHAKE_TIMEOUT_OVERLAY": "tests/unit/node/test_node_ways.py",
    "WAY_REST": "tests/unit/aio/test_ways.py",
    "WAY_REST_MOST": "tests/unit/aio/test_ways.py",
    "TOR_LINE_BYTES": "tests/unit/overlay/test_replies.py",
    "TOR_REPLY_BYTES": "tests/unit/overlay/test_replies.py",
    "SAM_LINE_BYTES": "tests/unit/overlay/test_sam.py",
    "TURN_TOKENS": "tests/unit/channel/test_budgets.py",
    "ENDING_BYTES": "tests/net/test_driver_hostile.py",
    "STRANGER_READ_BYTES": "tests/unit/aio/test_sockets.py",
    "READS_AT_ONCE": "tests/unit/aio/test_driver.py",
    "PORTION_ITEMS": "tests/unit/channel/test_budgets.py",
    "SLICE_LEAST": "tests/unit/aio/test_fair.py",
    "SLICE_BYTES": "tests/unit/aio/test_fair.py",
    "STEM_EPOCH": "tests/unit/relay/test_dandelion.py",
    "STEM_EPOCH_JITTER": "tests/unit/relay/test_dandelion.py",
    "STEM_PEERS": "tests/unit/relay/test_dandelion.py:test_peers_are_in_different_network_groups",
    "STEM_LINK_COUNT": "tests/unit/relay/test_stempool.py",
    "STEM_LINK_BYTES": "tests/unit/relay/test_stempool.py",
    "STEM_LINK_TIME": "tests/unit/relay/test_stempool.py",
    "STEM_LINK_TIME_START": "tests/unit/relay/test_stempool.py",
    "STEM_TOTAL_BYTES": "tests/unit/relay/test_stempool.py",
    "STEM_OUT_COUNT": "tests/unit/relay/test_stemline.py",
    "STEM_OUT_START": "tests/unit/relay/test_stemline.py",
    "STEM_OUT_BYTES": "tests/unit/relay/test_stemline.py",
    "STEM_OUT_TIME": "tests/unit/relay/test_stemline.py",
    "STEM_OUT_TIME_BURST": "tests/unit/relay/test_stemline.py",
    "BROADCAST_RECIPIENTS": "tests/unit/node/test_node_private.py",
    "BROADCAST_LINKS": "tests/unit/node/test_node_private.py",
    "BROADCAST_QUEUE": "tests/unit/relay/test_broadcast.py",
    "BROADCAST_LINK": "tests/unit/node/test_node_private.py",
    "BROADCAST_SPREAD": "tests/unit/relay/test_broadcast.py",
    "BROADCAST_RESUME": "tests/unit/relay/test_broadcast.py",
    "BROADCAST_ASK": "tests/unit/node/test_node_private.py",
    "BROADCAST_FORGET": "tests/unit/relay/test_broadcast.py",
    "BROADCAST_YOUNG": "tests/unit/node/test_node_private.py",
    "BROADCAST_KNOWN": "tests/unit/node/test_node_private.py",
    "BROADCAST_RETRY": "tests/unit/relay/test_broadcast.py",
    "BROADCAST_RETURN": "tests/unit/relay/test_broadcast.py",
    "BROADCAST_RETURN_MOST": "tests/unit/relay/test_broadcast.py",
    "BROADCAST_PATIENCE": "tests/unit/node/test_node_private.py",
    "BROADCAST_MISSES": "tests/unit/node/test_node_private.py",
    "BROADCAST_ROW": "tests/unit/store/test_sealed_queue.py: sizes do not name a transaction",
    "STEM_WAIT": "tests/unit/node/test_node_stems.py",
    "STEM_FLOOR": "tests/unit/node/test_node_stems.py",
    "SENT_KEPT": "tests/unit/relay/test_stempool.py",
    "MEMPOOL_BYTES": "tests/unit/relay/test_mempool.py: each pool is bounded in what its entries are counted for",
    "MEMPOOL_ENTRY_BYTES": "tests/unit/relay/test_mempool.py",
    "MEMPOOL_AGE": "tests/unit/relay/test_mempool.py",
    "FAMILY_TRANSACTIONS": "tests/unit/relay/test_mempool.py",
    "FEE_FLOOR": "tests/unit/relay/test_mempool.py",
    "FEE_FLOOR_HALF_LIFE": "tests/unit/relay/test_mempool.py",
    "RELAY_PER_SECOND": "tests/unit/relay/test_backlog.py",
    "RELAY_BURST": "tests/unit/relay/test_backlog.py",
    "RELAY_BYTES_PER_SECOND": "tests/unit/relay/test_backlog.py",
    "RELAY_BYTES_BURST": "tests/unit/relay/test_backlog.py",
    "VALIDATION_LINK_COUNT": "tests/unit/relay/test_validation.py",
    "VALIDATION_LINK_BYTES": "tests/unit/relay/test_validation.py",
    "VALIDATION_TOTAL_BYTES": "tests/unit/relay/test_validation.py",
    "VALIDATION_BATCH": "tests/unit/relay/test_validation.py",
    "VALIDATION_BATCH_COST": "tests/unit/relay/test_validation.py",
    "ORPHANS_PER_PEER": "tests/unit/relay/test_orphans.py",
    "ORPHAN_BYTES_PER_PEER": "tests/unit/relay/test_orphans.py",
    "ORPHAN_BYTES_TOTAL": "tests/unit/relay/test_orphans.py",
    "ORPHAN_AGE": "tests/unit/relay/test_orphans.py",
    "KNOWN_IDS_GENERATION": "tests/unit/relay/test_known.py",
    "TRACKED_PER_PEER": "tests/unit/relay/test_requests.py",
    "TX_IN_FLIGHT": "tests/unit/relay/test_requests.py",
    "TX_DELAY_INBOUND": "tests/unit/relay/test_requests.py",
    "TX_DELAY_OVERLOADED": "tests/unit/relay/test_requests.py",
    "TX_REQUEST_TIMEOUT": "tests/unit/relay/test_requests.py",
    "FAULT_MALFORMED": "tests/prop/test_channel_table.py",
    "FAULT_UNCONNECTED": "tests/rig/bad_input.py: headers on nothing known, 10 points",
    "HANDSHAKE_TIMEOUT": "tests/unit/channel/test_channel.py",
    "PING_INTERVAL": "tests/unit/channel/test_channel.py",
    "PING_SPREAD": "tests/unit/channel/test_channel.py",
    "PING_TIMEOUT": "tests/unit/channel/test_channel.py",
    "RECEIVE_BUFFER_BYTES": "tests/net/test_driver_hostile.py",
    "SEND_BUFFER_BYTES": "tests/unit/sim/test_network.py",
    "GRACE_STOP": "tests/unit/sim/test_network.py",
    "ADDR_BURST": "tests/unit/node/test_node_links.py: what one link may tell",
    "ADDR_TOKEN": "tests/unit/node/test_node_links.py: what one link may tell",
    "OTHER_NETWORK_WAIT": "tests/unit/peers/test_dialing.py",
    "HEADERS_TIMEOUT": "tests/unit/node/test_node_sync.py",
    "SECOND_HEADER_PEER": "tests/unit/node/test_node_sync.py",
    "LOW_WORK_PER_PEER": "tests/unit/node/test_node_sync.py",
    "LOW_WORK_TOTAL": "tests/unit/node/test_node_attacks.py",
    "RECEIVE_TOTAL_BYTES": "tests/unit/node/test_node_attacks.py",
    "LIGHT_LINK_BYTES": "tests/rig/memory_scenarios.py",
    "READ_BYTES": "tests/rig/memory_scenarios.py",
    "JOIN_BYTES": "tests/unit/aio/test_sockets.py",
    "ACCEPT_REST": "tests/crash/test_short_of_files.py:accept",
    "ENDING_LINKS": "tests/net/test_driver_hostile.py",
    "TIMER_FAILURES": "tests/unit/aio/test_driver.py:in a row",
    "LOBBY_LINKS": "tests/unit/peers/test_lobby.py",
    "LOBBY_PER_GROUP": "tests/unit/peers/test_lobby.py",
    "FD_RESERVE": "tests/unit/app/test_descriptors.py",
    "TIMERS_SLACK": "tests/unit/node/test_node_links.py:timers._heap",
    "PEER_TEXT_BYTES": "tests/unit/cli/test_peer_text.py:PEER_TEXT_BYTES",
    "KNOCKS_JUDGED": "tests/unit/node/test_node_veiled.py:KNOCKS_JUDGED",
    "REPLAY_KEPT": "tests/contract/replay_contract.py",
    "REPLAY_TIME": "tests/contract/replay_contract.py",
    "STEADY_LINK": "tests/unit/peers/test_dialing.py",
    "LOG_LINES_BURST": "tests/unit/app/test_logs.py",
    "TRACKED_TOTAL": "tests/unit/relay/test_requests.py:TRACKED_TOTAL",
    "TRACKED_SHARE": "tests/unit/relay/test_requests.py:TRACKED_SHARE",
    "COIN_STEP_BLOCKS": "tests/unit/ledgers/test_coins.py:COIN_STEP_BLOCKS",
    "COIN_STEP_BYTES": "tests/unit/ledgers/test_coins.py:COIN_STEP_BYTES",
    "COIN_UNDO_BLOCKS": "tests/unit/ledgers/test_coins.py:COIN_UNDO_BLOCKS",
    "TX_WEIGHT": "tests/unit/ledgers/test_kernel_admission.py:TX_WEIGHT",
    "TX_SIGOP_COST": "tests/unit/ledgers/test_kernel_admission.py:bad-txns-too-many-sigops",
    "BLOCK_WEIGHT": "tests/unit/ledgers/test_kernel_admission.py:test_no_more_than_a_block_holds",
    "BLOCK_SIGOP_COST": "tests/unit/ledgers/test_kernel_admission.py:test_no_more_than_a_block_holds",
    "LEGACY_HASHED_BYTES": "tests/unit/ledgers/test_kernel_admission.py:tx-hashing",
    "FAULT_INVALID_TX": "tests/unit/node/test_node_relay.py:FAULT_INVALID_TX",
    "MEMPOOL_ANSWER_AGE": "tests/unit/node/test_node_relay.py:MEMPOOL_ANSWER_AGE",
    "RELAY_BEHIND": "tests/unit/node/test_node_relay.py:RELAY_BEHIND",
    "OWN_TRANSACTIONS": "tests/unit/node/test_node_relay.py:OWN_TRANSACTIONS",
    "MEMPOOL_ANSWER": "tests/unit/node/test_node_relay.py:spreading.MEMPOOL_ANSWER",
    "LOG_LINE_EVERY": "tests/unit/app/test_logs.py:LOG_LINES_BURST",
    "SEGMENT_BYTES": "tests/unit/ledgers/test_blockstore.py:segment_bytes",
    "GARBAGE_BYTES": "tests/unit/channel/test_handshake.py:GARBAGE_BYTES",
    "RECORD_BODY_BYTES": "tests/unit/channel/test_records.py:65_520",
    "RECORDS_PER_KEY": "tests/unit/channel/test_records.py:RECORDS_PER_KEY",
    "REKEY_AFTER": "tests/unit/channel/test_records.py:REKEY_AFTER",
    "RECORDS_UNREKEYED": "tests/unit/channel/test_records.py:RECORDS_UNREKEYED",
    "SINK_SHORTEST": "tests/unit/node/test_node_veiled.py:SINK_SHORTEST",
    "SINK_LONGEST": "tests/unit/node/test_node_veiled.py:SINK_LONGEST",
    "HANDSHAKES_PER_SECOND": "tests/unit/peers/test_rations.py:HANDSHAKES_PER_SECOND",
    "HANDSHAKES_BURST": "tests/unit/peers/test_rations.py:HANDSHAKES_BURST",
    "RATIONS_RESERVED": "tests/unit/peers/test_rations.py:RATIONS_RESERVED",
    "RATION_MEMORY": "tests/unit/peers/test_knocking.py:RATION_MEMORY",
    "FIRST_PADDING": "tests/unit/shaping/test_profiles.py:FIRST_PADDING",
    "RATION_GROUPS": "tests/unit/peers/test_knocking.py:RATION_GROUPS",
    "HANDSHAKE_POOL": "tests/unit/crypto/test_keysource.py:HANDSHAKE_POOL",
    "FRAME_HEADS_KEPT": "tests/unit/node/test_node_serve.py:FRAME_HEADS_KEPT",
    "PAD_SMALLEST": "tests/unit/shaping/test_sizes.py:256",
    "COVER_RATE": "tests/unit/shaping/test_cover.py:256",
    "COVER_ANSWERS": "tests/unit/shaping/test_cover.py:COVER_ANSWERS",
    "COVER_RATE_MOST": "tests/unit/app/test_shape_settings.py:COVER_RATE_MOST",
    "COVER_SHARE": "tests/unit/shaping/test_machine.py:share / (100 - share)",
    "COVER_SHARE_MOST": "tests/unit/app/test_shape_settings.py:COVER_SHARE_MOST",
    "COVER_BURST": "tests/unit/shaping/test_machine.py:COVER_BURST",
    "COVER_DELAY": "tests/unit/shaping/test_cover.py:COVER_DELAY",
    "COVER_DELAY_MOST": "tests/unit/app/test_shape_settings.py:COVER_DELAY_MOST",
    "COVER_GAP_MOST": "tests/unit/shaping/test_cover.py:COVER_GAP_MOST",
    "STEADY_TICK": "tests/unit/shaping/test_steady.py:STEADY_TICK",
    "STEADY_EPOCH_LEAST": "tests/unit/app/test_shape_settings.py:STEADY_EPOCH_LEAST",
    "STEADY_EPOCH_MOST": "tests/unit/app/test_shape_settings.py:STEADY_EPOCH_MOST",
    "STEADY_YOUNG": "tests/unit/shaping/test_steady.py:STEADY_YOUNG",
    "STEADY_TOTAL": "tests/sim/test_shaped_links.py:total=",
    "STEADY_TOTAL_MOST": "tests/unit/app/test_shape_settings.py:STEADY_TOTAL_MOST",
    "STEADY_QUEUE_BYTES": "tests/sim/test_shaped_links.py:STEADY_QUEUE_BYTES",
    "READ_ON_BYTES": "tests/unit/node/test_node_veiled.py:READ_ON_BYTES",
    "SEND_JITTER": "tests/unit/shaping/test_profiles.py:SEND_JITTER",
    "PRINTABLE_GARBAGE": "tests/unit/shaping/test_first_packet.py:64",
    "WRITE_BESIDE_BYTES": "tests/unit/ledgers/test_kernel_ledger.py",
    "CHECKPOINT_BLOCKS": "tests/unit/ledgers/test_kernel_ledger.py:checkpoint_blocks",
    "CONTROL_LINE_BYTES": "tests/fuzz/fuzz_control.py",
    "BLOCK_ONLY_SLOTS": "tests/unit/node/test_node_company.py:test_slots_are_filled_by_purpose",
    "ANCHORS": "tests/unit/node/test_node_company.py:test_they_are_saved_when_they_open",
    "SAVE_AT_ONCE": "tests/unit/node/test_node_company.py:SAVE_AT_ONCE",
    "FEELER_MEAN": "tests/unit/peers/test_dialing.py",
    "EXTRA_MEAN": "tests/unit/peers/test_dialing.py",
    "STALE_LOOK": "tests/unit/peers/test_dialing.py",
    "BEHIND_WAIT": "tests/unit/node/test_node_company.py",
    "BEHIND_ANSWER": "tests/unit/node/test_node_company.py",
    "BEHIND_SPARED": "tests/unit/node/test_node_company.py",
    "REVIEW_EVERY": "tests/unit/node/test_node_company.py",
    "STALE_TIP": "tests/unit/node/test_node_company.py",
    "SEND_TOTAL_BYTES": "tests/unit/node/test_node_company.py",
    "OTHER_CLASS_SHARE": "tests/unit/node/test_node_company.py",
    "SEEDS_BELOW": "tests/unit/node/test_node_company.py",
    "SEEDS_BYTES": "tests/unit/app/test_peerfiles.py",
    "NEW_BUCKETS_PER_SOURCE": "tests/unit/peers/test_book.py",
    "TRIED_BUCKETS_PER_GROUP": "tests/unit/peers/test_book.py",
    "NEW_COPIES": "tests/unit/peers/test_book.py",
    "COLLISIONS": "tests/unit/peers/test_book.py",
    "COLLISION_WAIT": "tests/unit/peers/test_book.py",
    "TESTED_TIME": "tests/unit/peers/test_book.py",
    "JUST_TRIED": "tests/unit/peers/test_book.py:test_who_was_just_dialled_stays",
    "TERRIBLE_UNREACHED": "tests/unit/peers/test_book.py:test_who_is_of_no_use_makes_room",
    "TERRIBLE_FAILURES": "tests/unit/peers/test_book.py:test_who_is_of_no_use_makes_room",
    "TERRIBLE_TIME": "tests/unit/peers/test_book.py",
    "ADDR_IMPOSSIBLE": "tests/unit/peers/test_book.py:test_times_that_cannot_be",
    "ADDR_HEARSAY": "tests/unit/peers/test_book.py",
    "ADDR_NEWER": "tests/unit/peers/test_book.py",
    "GETADDR_LOOKS": "tests/unit/peers/test_book.py:asked == 5_000",
    "ADDRESSES_UNSAVED": "tests/unit/aio/test_saver_alarm.py:test_while_the_disk_refuses",
    "ASMAP_BYTES": "tests/unit/peers/test_asmap.py",
    "PROTECT_GROUPS": "tests/prop/test_eviction_prop.py",
    "PROTECT_PINGS": "tests/prop/test_eviction_prop.py",
    "PROTECT_TRANSACTIONS": "tests/prop/test_eviction_prop.py",
    "PROTECT_BLOCK_ONLY": "tests/prop/test_eviction_prop.py",
    "PROTECT_BLOCKS": "tests/prop/test_eviction_prop.py",
    "BANS_KEPT": "tests/unit/peers/test_bans.py",
    "DISCOURAGE_TIME": "tests/unit/peers/test_bans.py",
    "DISCOURAGED_KEPT": "tests/unit/peers/test_bans.py",
    "DISCOURAGED_PER_GROUP": "tests/unit/peers/test_bans.py",
    "TRIED_ENOUGH": "tests/unit/peers/test_dialing.py:TRIED_ENOUGH - 1",
    "TRIED_MISSES": "tests/unit/peers/test_dialing.py:met[:TRIED_MISSES]",
    "SENIOR_DRAWS": "tests/unit/peers/test_dialing.py:SENIOR_DRAWS",
    "SENIOR_PAUSE": "tests/unit/peers/test_dialing.py:SENIOR_PAUSE,",
    "SENIOR_PAUSE_MOST": "tests/unit/peers/test_dialing.py:SENIOR_PAUSE_MOST",
    "SENIOR_MISSES": "tests/unit/peers/test_dialing.py:SENIOR_MISSES",
    "SINCE_LEAST": "tests/unit/peers/test_book.py:SINCE_LEAST",
    "SENIOR_MEAN": "tests/unit/peers/test_dialing.py:SENIOR_MEAN",
    "COUNTED_LINKS": "tests/unit/peers/test_dialing.py:COUNTED_LINKS - 1",
    "UNCOUNTED_WAIT": "tests/unit/peers/test_dialing.py:<= UNCOUNTED_WAIT",
}
"""Rows whose two sides another file tests; it exists, and a text behind the colon says where to look in it."""
UNBOUNDING = {
    "COVER_ANSWER_LATEST": "a moment that is drawn, not a bound",
    "STEADY_SMALLEST": "the ladder of rates, whose rungs stand in tests/unit/shaping/test_steady.py",
    "STEADY_STEP": "the ladder of rates",
    "STEADY_STEPS": "the ladder of rates",
    "STEADY_LOWEST": "a default",
    "STEADY_HIGHEST": "a default",
    "STEADY_EPOCH": "a default",
    "STEADY_YOUNG_PART": "the length of young epochs, which tests/unit/shaping/test_steady.py goes through",
    "STEADY_FULL": "when a rate rises: tests/unit/shaping/test_steady.py, on both sides",
    "STEADY_EMPTY": "when a rate falls: as above",
    "STEADY_PATIENCE": "how soon it falls, on average: as above",
    "DEFECT_REST": "a wait after a defect of ours: tests/unit/node/test_node_company.py",
    "ONION_PORT": "a name, no bound",
    "DAEMON_ANSWER": "patience with a daemon of ours",
    "SAM_SESSION_ANSWER": "as DAEMON_ANSWER",
    "SAM_ACCEPTS": "as DAEMON_ANSWER: how many wait at once",
    "I2P_UNHEARD": "as DAEMON_ANSWER",
    "SAM_AGAIN": "as DAEMON_ANSWER",
    "SAM_APART_ANSWER": "as DAEMON_ANSWER: tests/unit/aio/test_i2p_apart.py",
    "SAM_LINGER": "as DAEMON_ANSWER: tests/unit/aio/test_i2p_apart.py",
    "I2P_FIRST_BYTE": "as DAEMON_ANSWER: tests/unit/aio/test_i2p_service.py",
    "SAM_MISSES": "as DAEMON_ANSWER: tests/unit/aio/test_i2p_service.py",
    "DAEMON_RETRY": "as DAEMON_ANSWER",
    "DAEMON_RETRY_MOST": "as DAEMON_ANSWER",
    "OWN_DIAL_WAIT": "as DAEMON_ANSWER",
    "TOR_END": "as DAEMON_ANSWER: tests/real/test_tor_nodes.py",
    "NOTFOUND_ITEMS": "of a message that we would send: a portion of a getdata has fewer",
    "TURN_TIME": "work before the loop looks at its sockets: tests/unit/aio/test_fair.py",
    "SLICE_TIME": "as TURN_TIME",
    "IDLE_CREDIT": "as TURN_TIME",
    "IDLE_CREDIT_TOTAL": "as TURN_TIME",
    "SWITCH_INTERVAL": "a setting of the interpreter: tests/unit/aio/test_interpreter.py",
    "DIALLED_WEIGHT": "a share of time: tests/unit/aio/test_fair.py",
    "STRANGERS_WEIGHT": "as DIALLED_WEIGHT",
    "STEM_DIFFUSERS": "a probability: tests/unit/relay/test_dandelion.py",
    "STEM_HOP": "an assumption of the embargo's mean: tests/unit/relay/test_dandelion.py",
    "STEM_EARLY": "as STEM_HOP",
    "STEM_LINK_AGE": "which links may be chosen: tests/unit/node/test_node_stems.py",
    "STEM_LINK_TIME_BURST": "how much of STEM_LINK_TIME is saved up",
    "STEM_RETRY": "a wait before something is tried again",
    "STEMMED_GENERATION": "of a table that KNOWN_IDS_GENERATION's test holds",
    "MEMPOOL_SWEEP": "a timer: one look each; the pool is bounded in bytes",
    "RENEW_MEAN": "the mean of a random wait: tests/unit/node/test_node_relay.py",
    "MEMPOOL_INPUT_BYTES": "as MEMPOOL_ENTRY_BYTES: what an entry is counted for",
    "FEE_FLOOR_STEP": "a price; tests/unit/relay/test_mempool.py looks at it",
    "RANKS_SLACK": "when a heap is swept; what it holds beside is bounded by the pool",
    "TRICKLE_INBOUND": "the mean of a random wait: tests/unit/relay/test_trickle.py",
    "TRICKLE_OUTBOUND": "as TRICKLE_INBOUND",
    "RELAY_OUTBOUND_FACTOR": "of the rates of relay: tests/unit/relay/test_backlog.py",
    "VALIDATION_GUESS_READ": "a guess that the verdict sets right",
    "VALIDATION_GUESS_INPUT": "as VALIDATION_GUESS_READ",
    "CONNECT_TIMEOUT": "handed to the driver with each Dial; bounds no memory",
    "OUTBOUND_SLOTS": "a default of the configuration: tests/unit/peers dials up to the slots that it is given",
    "ADDR_RELAY_EPOCH": "a span of the wall clock in a hash: nothing grows with it",
    "GETADDR_CACHE_LOW": "how long an answer is kept: one answer for each network, whatever the span",
    "GETADDR_CACHE_HIGH": "as GETADDR_CACHE_LOW",
    "SELF_ADVERTISE": "the mean of a random wait: one timer for each link",
    "SAVE_DELAY": "a timer: one save each",
    "SAVE_PAUSE": "as SAVE_DELAY",
    "STALL_BASE": "patience with a late block; the property is that of test_holders_of_a_block",
    "STALL_CAP": "as STALL_BASE",
    "BLOCK_TIMEOUT": "patience; the stories of tests/prop end within it",
    "HEADER_PEER_TURN": "patience; bounds no memory",
    "HEADERS_PER_TOKEN": "a price",
    "UNASKED_PRICE": "a price",
    "TX_PRICE": "a price: tests/unit/node/test_node_relay.py looks at it",
    "RECORDS_PER_TOKEN": "a price: tests/unit/node/test_node_veiled.py",
    "RETRY_SAME_PEER": "a rest; bounds no memory",
    "STALE_SERVED": "what is not told, for privacy: tests/unit/node",
    "VERSION_ROUNDING": "rounding, for privacy",
    "UNKNOWN_PRICE": "a price",
    "LISTEN_BACKLOG": "the system's queue, not ours",
    "ACCEPT_BURST": "work of one turn of the loop; the rest is accepted in the next",
    "PRINTABLE_POOL": "how many pairs are made ahead: fewer cost a dial's time, more cost memory of our own",
    "PRINTABLE_DRAWS": "work of one turn of the loop",
    "MAPPED_BYTES": "a setting of the C library's allocator",
    "KEPT_BYTES": "as MAPPED_BYTES",
    "PICK_TRIES": "work for one dial",
    "RECENT_TRY": "how likely an address is picked: tests/unit/peers/test_book.py",
    "GETADDR_BLUR": "what is not told, for privacy: tests/unit/peers/test_book.py",
    "CONTROL_IDLE": "patience with an operator's own program",
    "CONTROL_CLIENTS": "an operator's own programs; more are told that it is busy",
    "MINE_BLOCKS": "an operator's own request",
    "IMPORT_BATCH_BLOCKS": "an operator's own file, read batch by batch",
    "IMPORT_BATCH_BYTES": "as IMPORT_BATCH_BLOCKS",
    "REFUSALS_KEPT": "a cache of names of rules: each entry costs the work of a block",
    "SIM_PIECE_BYTES": "simulated sockets only",
}
"""Rows that bound no message, list or account, with what they do instead."""


def test_no_limit_is_forgotten() -> None:
    names = {one.name for one in limits.LIMITS}
    tables = [set(TESTED), set(ELSEWHERE), set(UNBOUNDING)]
    assert set().union(*tables) == names, "each row has a test or a reason; no other name has"
    assert sum(map(len, tables)) == len(names), "and only one of them"
    root = Path(__file__).resolve().parents[2]
    for name, where in ELSEWHERE.items():
        path, _, hint = where.partition(":")
        text = (root / path).read_text()
        assert hint or name in text, f"{name} is not in {path}"
    assert all(UNBOUNDING.values())
