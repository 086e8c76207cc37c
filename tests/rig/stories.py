"""What may happen to a node, as verbs that take small numbers: a random story is a list of (verb, who, a, b).

Hypothesis draws such lists, and a fuzzer's bytes are read as one, four bytes each, so that both play on one stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from pair import make_version
from play import (
    BLOCKS,
    CHAINS,
    FAT,
    FUTURE,
    GENESIS,
    HONEST,
    LOW,
    A,
    C,
    Link,
    Play,
    address,
    headers_after,
    item,
    name_of,
)

from obscura.base.digest import double_sha256
from obscura.base.instant import WallTime
from obscura.base.names import NULL_HASH, BlockHash, ConnId, TxId
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction, parse
from obscura.ledgers.memory_transactions import output as tx_output
from obscura.wire.address import AddressEntry, Network
from obscura.wire.blocks import Block, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Mempool, Ping, Pong, Verack
from obscura.wire.inventory import KIND_TX, InventoryItem
from obscura.wire.registry import FIELD_OF, REGISTRY, encode_message

Verb: TypeAlias = Callable[[Play, int, int, int], None]
Act: TypeAlias = tuple[int, int, int, int]
ALL_BLOCKS = list(BLOCKS.values())
SPANS_S = (0.0, 0.1, 0.6, 2.5, 11.0, 31.0, 70.0, 130.0, 700.0, 1_300.0, 5_000.0)
JUMPS_S = (-100_000, -700, -500, 500, 700, 100_000, 20_000_000)


def some(play: Play, who: int) -> Link | None:
    """One of the links that there ever were, gone ones among them; mostly the latest."""
    return play.links[-1 - who % len(play.links)] if play.links else None


def _linked(act: Callable[[Play, Link, int, int], None]) -> Verb:
    def verb(play: Play, who: int, a: int, b: int) -> None:
        link = some(play, who)
        if link is not None:
            act(play, link, a, b)

    verb.__name__ = act.__name__
    return verb


def join(play: Play, who: int, a: int, b: int) -> None:
    """Somebody connects and says hello."""
    link = play.accept(address(who, a))
    if link is not None:
        play.greet(link)


def connect_only(play: Play, who: int, a: int, b: int) -> None:
    play.accept(address(who, a))


def dial_succeeds(play: Play, who: int, a: int, b: int) -> None:
    if play.dials:
        play.connected(list(play.dials)[who % len(play.dials)])
        if a % 4:
            play.greet(play.links[-1])
    elif play.links:
        # A driver's report that comes too late, or twice, for a link that has gone.
        link = some(play, who)
        if link is not None and not link.live:
            play.connected(link.conn)


def dial_fails(play: Play, who: int, a: int, b: int) -> None:
    conn = list(play.dials)[who % len(play.dials)] if play.dials else ConnId(999_999 + who)
    play.dial_failed(conn)


@_linked
def greet(play: Play, link: Link, a: int, b: int) -> None:
    play.greet(link)


@_linked
def headers(play: Play, link: Link, a: int, b: int) -> None:
    chain = CHAINS[a % len(CHAINS)]
    low, span = b % 8 * 5, (1, 3, 8, 9, 60)[b // 8 % 5]
    play.say(link, Headers(tuple(block[:80] for block in chain[low : low + span])))


@_linked
def headers_asked(play: Play, link: Link, a: int, b: int) -> None:
    """The right form of answer to ``getheaders``, from one of the chains."""
    chain = (A, HONEST, A[:12] + C, A[:20] + FUTURE, LOW, A[:5] + FAT)[a % 6]
    if link.locators:
        play.say(link, Headers(headers_after(chain, link.locators.pop(0))))


@_linked
def give(play: Play, link: Link, a: int, b: int) -> None:
    """Blocks that were asked for: whole, with another body, or none."""
    for number in range(1 + a % 16):
        if link.wanted:
            name = link.wanted.pop(0)
            block = BLOCKS.get(name)
            if block is None or b == 1:
                play.say(link, NotFound((item(name),)))
            else:
                play.say(link, Block(block + b"!" if b == 2 and number == a % 16 else block))


@_linked
def block(play: Play, link: Link, a: int, b: int) -> None:
    play.say(link, Block(ALL_BLOCKS[(a * 256 + b) % len(ALL_BLOCKS)]))


@_linked
def honest(play: Play, link: Link, a: int, b: int) -> None:
    """For a moment the peer answers all that it was asked, from one of the chains."""
    play.greet(link)
    play.serve(link, (A, HONEST, A[:12] + C, A[:20] + FUTURE, LOW, A[:5] + FAT)[a % 6])


@_linked
def inventory(play: Play, link: Link, a: int, b: int) -> None:
    kinds = (Inv, GetData, NotFound)
    names = [name_of(ALL_BLOCKS[(a + step) % len(ALL_BLOCKS)]) for step in range(b % 20)]
    extra = (InventoryItem(1, bytes(32)),) if b & 64 else ()
    play.say(link, kinds[b // 20 % 3](tuple(map(item, names)) + extra))


@_linked
def fat_getdata(play: Play, link: Link, a: int, b: int) -> None:
    play.say(link, GetData(tuple(item(name_of(one)) for one in FAT[a % 20 :] * (1 + b % 3))))


@_linked
def questions(play: Play, link: Link, a: int, b: int) -> None:
    locator = ((), (GENESIS,), (name_of(A[b % 40]), GENESIS), (BlockHash(bytes([b]) * 32),))[b % 4]
    stop = NULL_HASH if a & 8 else name_of(A[a % 40])
    play.say(
        link,
        (
            GetHeaders(1, locator, stop),
            GetBlocks(1, locator, stop),
            GetAddr(),
            Mempool(),
            Tx(b"t"),
            Ping(b),
            Pong(b),
            Inv(()),
        )[a % 8],
    )


@_linked
def gossip(play: Play, link: Link, a: int, b: int) -> None:
    ages = (0, 100, 4_000, 700_000, 3_000_000, -500, -5_000)
    entries = tuple(
        AddressEntry(WallTime(max(0, play.now.wall - ages[(a + step) % 7])), step, address(100 + b + step, step))
        for step in range((1, 3, 10, 11, 60)[a % 5])
    )
    play.say(link, Addr(entries))


@_linked
def pong(play: Play, link: Link, a: int, b: int) -> None:
    if link.pings:
        play.say(link, Pong(link.pings.pop(0) + a % 2))


@_linked
def malformed(play: Play, link: Link, a: int, b: int) -> None:
    """Payloads of any length under a right or a wrong checksum: faults, violations, now and then something legal."""
    row = REGISTRY[a % len(REGISTRY)]
    frame = encode_frame(FIELD_OF[row.message], bytes([b]) * (b % 100))
    play.feed(link, frame if b & 1 else frame[:16] + bytes([frame[16] ^ 1]) + frame[17:])


@_linked
def strange(play: Play, link: Link, a: int, b: int) -> None:
    """Unknown types, second greetings, noise."""
    match a % 4:
        case 0:
            play.feed(link, encode_frame(type_field("news"), bytes(b)))
        case 1:
            play.feed(link, encode_message(make_version(b)))
        case 2:
            play.feed(link, encode_message(Verack()))
        case _:
            play.feed(link, bytes([b]) * (a + 1))


@_linked
def half(play: Play, link: Link, a: int, b: int) -> None:
    """The first part of a message; the rest comes before the next one."""
    data = link.rest or encode_message(Block(ALL_BLOCKS[a % len(ALL_BLOCKS)]))
    cut = 1 + b * len(data) // 256
    link.rest = data[cut:]
    play.feed(link, data[:cut])


@_linked
def flood(play: Play, link: Link, a: int, b: int) -> None:
    """Many requests in one piece: tokens run out, or the answers fill the line."""
    one = (Ping(1), GetHeaders(1, (GENESIS,), NULL_HASH), Mempool(), GetAddr(), Inv(()), Block(FAT[0]))[a % 6]
    play.feed(link, encode_message(one) * (10 if a % 6 == 5 else 1 + 8 * b))


@_linked
def lost(play: Play, link: Link, a: int, b: int) -> None:
    play.lost(link)


@_linked
def congest(play: Play, link: Link, a: int, b: int) -> None:
    play.congest(link)


@_linked
def drain(play: Play, link: Link, a: int, b: int) -> None:
    play.drain(link)


def work(play: Play, who: int, a: int, b: int) -> None:
    play.work()


def deliver(play: Play, who: int, a: int, b: int) -> None:
    play.deliver()


def read(play: Play, who: int, a: int, b: int) -> None:
    play.read(who)


def answer_all(play: Play, who: int, a: int, b: int) -> None:
    play.answer_all()


def wait(play: Play, who: int, a: int, b: int) -> None:
    play.advance(SPANS_S[a % len(SPANS_S)], late=b % 4 == 3)


def jump(play: Play, who: int, a: int, b: int) -> None:
    play.jump(JUMPS_S[a % len(JUMPS_S)])
    play.deadline()


def deadline(play: Play, who: int, a: int, b: int) -> None:
    play.deadline()


def submit(play: Play, who: int, a: int, b: int) -> None:
    data = ALL_BLOCKS[(a * 256 + b) % len(ALL_BLOCKS)]
    play.submit((data, data, data + b"!", data[:80], data[:79])[who % 5])


def submit_next(play: Play, who: int, a: int, b: int) -> None:
    """The next block of the honest chain."""
    if play.ledger.height < len(HONEST):
        play.submit(HONEST[play.ledger.height])


def add_peer(play: Play, who: int, a: int, b: int) -> None:
    if len(play.named) < 6:
        play.add_peer(address(who, a))


def stop(play: Play, who: int, a: int, b: int) -> None:
    if a > 200:
        play.stop()


VERBS: tuple[Verb, ...] = (
    join,
    connect_only,
    dial_succeeds,
    dial_fails,
    greet,
    headers,
    headers_asked,
    give,
    block,
    honest,
    inventory,
    fat_getdata,
    questions,
    gossip,
    pong,
    malformed,
    strange,
    half,
    flood,
    lost,
    congest,
    drain,
    work,
    deliver,
    read,
    answer_all,
    wait,
    jump,
    deadline,
    submit,
    submit_next,
    add_peer,
    stop,
)


def _payments() -> list[bytes]:
    """Of every kind: fine, in families, in conflict, too cheap, not final yet, invalid, unreadable, orphaned."""
    found = []
    for number in range(6):
        parent = make_transaction([faucet(number)], [FAUCET_AMOUNT // 2, FAUCET_AMOUNT // 2 - 1_000])
        name = parse(parent).info.txid
        child = make_transaction([tx_output(name, 0)], [FAUCET_AMOUNT // 2 - 1_000])
        grandchild = make_transaction([tx_output(parse(child).info.txid, 0), tx_output(name, 1)], [10])
        found += [parent, child, grandchild]
        found.append(make_transaction([faucet(number)], [FAUCET_AMOUNT - 5_000], salt=1))
        found.append(make_transaction([faucet(number)], [FAUCET_AMOUNT // 2, FAUCET_AMOUNT // 2 - 1_000], seal=b"\0"))
    found.append(make_transaction([faucet(50)], [FAUCET_AMOUNT - 1]))
    found.append(make_transaction([faucet(51)], [FAUCET_AMOUNT - 1_000], lock_height=30))
    found.append(make_transaction([faucet(52)], [FAUCET_AMOUNT + 1]))
    found.append(make_transaction([tx_output(TxId(bytes(31) + b"x"), 0)], [5]))
    found += [b"unreadable", b"\0"]
    return found


PAYMENTS = _payments()
BY_NAME = {double_sha256(data): data for data in PAYMENTS}


def payments(a: int, b: int) -> list[bytes]:
    """Some of them."""
    return [PAYMENTS[(a + step) % len(PAYMENTS)] for step in range(1 + b % 40)]


def tx_items(found: Iterable[bytes]) -> tuple[InventoryItem, ...]:
    return tuple(InventoryItem(KIND_TX, double_sha256(data)) for data in found)


@_linked
def tx_announce(play: Play, link: Link, a: int, b: int) -> None:
    play.say(link, Inv(tx_items(payments(a, b))))


@_linked
def tx_give(play: Play, link: Link, a: int, b: int) -> None:
    """What was asked for, or that it is not there."""
    wanted, link.tx_wanted = link.tx_wanted, []
    for step, name in enumerate(wanted):
        data = BY_NAME.get(name)
        gone = data is None or (a % 3 == 0 and step % 2)
        play.say(link, NotFound((InventoryItem(KIND_TX, name),)) if gone or data is None else Tx(data))


@_linked
def tx_unasked(play: Play, link: Link, a: int, b: int) -> None:
    for data in payments(a, b):
        play.say(link, Tx(data))


@_linked
def tx_ask(play: Play, link: Link, a: int, b: int) -> None:
    """What it was told of, or anything."""
    told = [InventoryItem(KIND_TX, name) for name in link.tx_told[-20:]] if a % 2 else tx_items(payments(a, b))
    if told:
        play.say(link, GetData(tuple(told)))


def tx_submit(play: Play, who: int, a: int, b: int) -> None:
    for data in payments(a, b):
        play.node.submit_transaction(data, play.now)
    play.settle()


TX_VERBS: tuple[Verb, ...] = (tx_announce, tx_give, tx_unasked, tx_ask, tx_submit)
_TX_FROM = 231
"""Bytes from here on are of these verbs: the kept inputs of a time without them keep their meaning."""


def private_submit(play: Play, who: int, a: int, b: int) -> None:
    """The operator has some broadcast privately."""
    play.know_onions()
    for data in payments(a, b)[:3]:
        play.node.submit_transaction(data, play.now, apart=True)
    play.settle()


def private_change(play: Play, who: int, a: int, b: int) -> None:
    """He takes one back, or a way closes or opens."""
    waiting = play.node.broadcasts(play.now)
    if b % 3 == 0 and waiting:
        play.node.drop_broadcast(waiting[a % len(waiting)].txid, play.now)
    else:
        networks = (Network.IPV4, Network.IPV6, Network.TORV3)
        play.node.open_ways(networks[: 2 + b % 2], play.now)
    play.settle()


PRIVATE_VERBS: tuple[Verb, ...] = (private_submit, private_submit, private_change)
_PRIVATE_FROM = 250


def verb_of(number: int) -> Verb:
    """The verb of a byte."""
    if number >= _PRIVATE_FROM:
        return PRIVATE_VERBS[(number - _PRIVATE_FROM) % len(PRIVATE_VERBS)]
    if number >= _TX_FROM:
        return TX_VERBS[(number - _TX_FROM) % len(TX_VERBS)]
    return VERBS[number % len(VERBS)]


def play_out(acts: Iterable[Act], *, cut: bool, seed: int = 0, turns: bool = False) -> Play:
    """A whole story, from an empty node to its end."""
    play = Play(seed=seed, turns=turns)
    for verb, who, a, b in acts:
        verb_of(verb)(play, who, a, b)
    play.finish(cut=cut)
    return play


def read_acts(data: bytes) -> list[Act]:
    """Bytes as a story, four each."""
    return [(data[at], data[at + 1], data[at + 2], data[at + 3]) for at in range(0, len(data) - 3, 4)]
