"""Catching up: headers first from one peer, then bodies from many (design §8).

How a header comes in: it connects and its work is checked → the tree holds it → if its branch has more work than our
tip, the ledger judges its context → it may become ``best`` → the downloader asks for the missing bodies → a body whose
parent is with the ledger goes there in a batch → the tip moves → peers are told.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from ..base.errors import PeerFault, Violation
from ..base.instant import Now, after
from ..base.limits import (
    FAULT_UNCONNECTED,
    FAULT_UNSOLICITED,
    HEADER_PEER_TURN,
    HEADERS_TIMEOUT,
    HEADERS_UNASKED,
    LEDGER_BATCH_BLOCKS,
    LEDGER_BATCH_BYTES,
    LOW_WORK_PER_PEER,
    LOW_WORK_TOTAL,
    PORTION_ITEMS,
    RETRY_SAME_PEER,
    SECOND_HEADER_PEER,
    TURN_TOKENS,
    UNASKED_PRICE,
)
from ..base.names import NULL_HASH, BlockHash, ConnId
from ..chain.ledger import BlockReport, BlockVerdict, HeaderInfo, HeaderReport, InvalidHeader
from ..sync.view import Entry
from ..wire.blocks import Block, GetData, GetHeaders, Headers, Inv, NotFound
from ..wire.greeting import PROTOCOL_VERSION
from ..wire.inventory import KIND_BLOCK, InventoryItem
from . import avoiding, following
from .effects import AcceptBlocks, AcceptHeaders, BlockRefused, BlockSubmitted, TipMoved
from .peer import Peer
from .state import NOBODY, NodeState, PendingBlock, PendingHeaders, headers_full

# -- headers


def begin(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has opened: learn which headers the peer has, at once or when the peer asked now has finished."""
    asked = None if state.header_peer is None else state.peers.get(state.header_peer)
    # Security: who has opened a link to us, and says nothing, does not hold up our start.
    if asked is None or (asked.inbound and not peer.inbound):
        state.header_peer = peer.conn
        state.header_peer_since = now.mono
        _ask_headers(state, peer, _common_start(state), now)
    else:
        peer.headers_wanted = True


def _common_start(state: NodeState) -> Entry:
    # One below our best: a peer that has just our best header then answers with it, and shows that it has the block.
    return state.tree.best.previous or state.tree.best


def _ask_headers(state: NodeState, peer: Peer, start: Entry, now: Now) -> None:
    peer.headers_wanted = False
    if peer.headers_asked == 0:
        peer.headers_asked_since = now.mono
    peer.headers_asked += 1
    state.timers.set(("headers", peer.conn), after(peer.headers_asked_since, SECOND_HEADER_PEER))
    state.send(peer, GetHeaders(PROTOCOL_VERSION, state.tree.locator(start), NULL_HASH))


def ask_again(state: NodeState, peer: Peer, now: Now) -> None:
    """Ask a peer for headers once more, unless it is being asked."""
    if peer.headers_asked == 0:
        _ask_headers(state, peer, _common_start(state), now)
        state.flush(peer, now)


def headers_late(state: NodeState, peer: Peer, now: Now) -> None:
    """A ``getheaders`` waits for its answer: first another peer is asked too, then the link is closed."""
    if peer.headers_asked == 0:
        # Its last answer could not be read, and it has rested since.
        begin(state, peer, now)
        return
    if peer.paused:
        # Its answer may lie unread in the socket: the time does not count (see NodeState.govern). Others are asked.
        state.timers.set(("headers", peer.conn), after(now.mono, SECOND_HEADER_PEER))
        if state.header_peer == peer.conn:
            _next_header_peer(state, now)
        return
    limit = after(peer.headers_asked_since, HEADERS_TIMEOUT)
    if now.mono >= limit:
        peer.channel.close("headers-timeout")
        return
    state.timers.set(("headers", peer.conn), limit)
    if state.header_peer == peer.conn:
        _next_header_peer(state, now)


def headers_unreadable(state: NodeState, peer: Peer, now: Now) -> None:
    """An answer to ``getheaders`` could not be read: the request has failed. Another peer is asked at once, this one
    again after a rest (design §3.5)."""
    if peer.headers_asked == 0:
        return
    peer.headers_asked -= 1
    state.timers.set(("headers", peer.conn), after(now.mono, RETRY_SAME_PEER))
    if state.header_peer == peer.conn:
        _next_header_peer(state, now)


def _next_header_peer(state: NodeState, now: Now) -> None:
    """The peer that was asked first is gone or late: ask the next one that waits."""
    state.header_peer = None
    # Security: whom we have chosen first, or silent inbound links could take every turn.
    for peer in sorted(state.open_peers(), key=lambda one: one.inbound):
        if peer.headers_wanted:
            state.header_peer = peer.conn
            state.header_peer_since = now.mono
            _ask_headers(state, peer, _common_start(state), now)
            state.flush(peer, now)
            return


def _headers_finished(state: NodeState, peer: Peer, now: Now) -> None:
    """A peer has shown its tip. If it was the one asked first, all others are asked now."""
    if state.header_peer != peer.conn:
        return
    state.header_peer = None
    for other in state.open_peers():
        if other.headers_wanted:
            _ask_headers(state, other, _common_start(state), now)
            state.flush(other, now)


def on_headers(state: NodeState, peer: Peer, message: Headers, now: Now) -> Iterator[None]:
    """Headers, asked for or announced. A whole message takes some 20 ms, so this is work in steps, a portion each;
    others may be served between them.

    Raises:
        Violation: gaps, bad work, a branch that is known to be invalid, or another network's chain.
    """
    asked = peer.headers_asked > 0
    count = len(message.headers)
    if asked:
        peer.headers_asked -= 1
        peer.headers_asked_since = now.mono
        if peer.headers_asked == 0:
            state.timers.set(("headers", peer.conn), None)
        # It may be an announcement that crossed with our question: then the answer is still to come.
        peer.answer_may_follow = 0 < count <= HEADERS_UNASKED
    elif peer.answer_may_follow and count > HEADERS_UNASKED:
        peer.answer_may_follow = False
        asked = True
    else:
        peer.channel.spend(UNASKED_PRICE * max(1, count), now.mono)
        if count > HEADERS_UNASKED:
            peer.channel.charge(FAULT_UNSOLICITED, "headers-unsolicited", now.mono)
            return
    if count == 0:
        if asked:
            _headers_finished(state, peer, now)
        return
    try:
        infos = yield from _linked(state, peer, message.headers)
    except InvalidHeader:
        if asked and not peer.on_our_network:
            # Another chain's headers need not have work by our chain's rules: nothing is charged for them.
            _other_network(state, peer, now)
            return
        raise
    parent = state.tree.get(infos[0].previous)
    if parent is None:
        _unconnected(state, peer, now, asked=asked)
        return
    peer.on_our_network = True
    last = yield from _hold(state, peer, parent, message.headers, infos)
    now = state.last_now
    advanced = peer.best is None or last.work > peer.best.work
    if advanced:
        if last.work > state.tree.tip.work:
            peer.worth.announced_at = now.mono
        peer.best = last
        state.download.peer_has(peer.conn, last)
    if headers_full(count) and advanced:
        _ask_headers(state, peer, last, now)
        if state.header_peer == peer.conn and now.mono >= after(state.header_peer_since, HEADER_PEER_TURN):
            # It is busy, or drips: it goes on, and another peer is asked as well.
            _next_header_peer(state, now)
    elif asked:
        _headers_finished(state, peer, now)
    offer(state, peer, last)
    schedule(state, now)


def _linked(state: NodeState, peer: Peer, headers: tuple[bytes, ...]) -> Generator[None, None, list[HeaderInfo]]:
    """Name each header, check its work, and that each is the child of the one before."""
    infos: list[HeaderInfo] = []
    for raw in headers:
        info = state.ledger.identify_header(raw)
        if infos and info.previous != infos[-1].hash:
            raise Violation("headers-gap", f"after {len(infos)} of {len(headers)}")
        infos.append(info)
        if len(infos) % PORTION_ITEMS == 0:
            peer.channel.work(TURN_TOKENS)
            yield
    return infos


def _unconnected(state: NodeState, peer: Peer, now: Now, *, asked: bool) -> None:
    if asked and not peer.on_our_network:
        # Our locator ends in our genesis, so an answer that connects to none of it is another chain's (design §3.1).
        _other_network(state, peer, now)
        return
    peer.channel.charge(FAULT_UNCONNECTED, "headers-unconnected", now.mono)
    if peer.headers_asked == 0:
        _ask_headers(state, peer, _common_start(state), now)


def _other_network(state: NodeState, peer: Peer, now: Now) -> None:
    avoiding.leave_alone(state, peer, now, proven=peer.channel.transport.secured)
    peer.channel.close("other-network")


def _hold(
    state: NodeState, peer: Peer, parent: Entry, raws: tuple[bytes, ...], infos: list[HeaderInfo]
) -> Generator[None, None, Entry]:
    """Put headers into the tree, within the bounds of low-work branches."""
    tree = state.tree
    at = 0
    while at < len(infos) and (known := tree.get(infos[at].hash)) is not None:
        parent = known
        at += 1
    if parent.invalid:
        raise Violation("invalid-ancestor", f"height {parent.height}")
    new = len(infos) - at
    if not new:
        return parent
    low = parent.work + sum(info.work for info in infos[at:]) <= tree.tip.work
    if low:
        if len(peer.low_work) + new > LOW_WORK_PER_PEER:
            raise Violation("low-work-branch", f"{new} more headers with no more work than our tip")
        if not _make_low_room(state, peer, new):
            return parent
    for done, (raw, info) in enumerate(zip(raws[at:], infos[at:], strict=True)):
        if done and done % PORTION_ITEMS == 0:
            peer.channel.work(TURN_TOKENS)
            yield
            # Meanwhile others may have shown the same, or been given what room there was, or all of it was forgotten.
            if tree.get(parent.hash) is not parent or (low and not _make_low_room(state, peer, new - done)):
                return tree.held(parent)
        known = tree.get(info.hash)
        parent = known or tree.add(raw, info)
        if low and known is None:
            parent.low = peer.conn
            peer.low_work.append(parent)
    return parent


def _make_low_room(state: NodeState, peer: Peer, new: int) -> bool:
    """Keep the sum over all links within LOW_WORK_TOTAL, at the cost of the largest account; that it is full is not
    this peer's fault. ``False`` if there is no room: the headers are not held, and cost nothing."""
    while state.low_work + new > LOW_WORK_TOTAL:
        largest = max(state.peers.values(), key=lambda other: len(other.low_work))
        if largest is peer or not largest.low_work:
            return False
        give_up_low(state, largest)
    return True


def give_up_low(state: NodeState, peer: Peer) -> None:
    """Forget what is held on a link's account. What others build on stays, on nobody's account, and goes with them."""
    doomed, peer.low_work = state.low_unowned + peer.low_work, []
    state.low_unowned = state.tree.forget(doomed)
    for entry in state.low_unowned:
        entry.low = NOBODY
    if not doomed:
        return
    # Nothing may point to what is forgotten: it would stay in memory, and blocks would be asked for by it.
    for other in state.peers.values():
        if other.best is not None and (held := state.tree.held(other.best)) is not other.best:
            other.best = held
            state.download.peer_has(other.conn, held)


def offer(state: NodeState, peer: Peer, last: Entry) -> None:
    """Show a branch to the ledger, if it has more work than our tip and was not shown yet."""
    if last.work <= state.tree.tip.work or last.invalid:
        return
    unseen: list[Entry] = []
    at: Entry | None = last
    while at is not None and not (at.checked or at.hash in state.offered):
        unseen.append(at)
        at = at.previous
    if not unseen:
        return
    unseen.reverse()
    for entry in unseen:
        state.offered[entry.hash] = None
    state.ask(AcceptHeaders(tuple(entry.raw for entry in unseen)), PendingHeaders(peer.conn, tuple(unseen)))


def headers_judged(state: NodeState, pending: PendingHeaders, report: HeaderReport, now: Now) -> None:
    """The ledger has looked at headers."""
    for entry in pending.entries:
        state.offered.pop(entry.hash, None)
    for entry in pending.entries[: report.accepted]:
        if not entry.invalid:
            state.tree.mark_checked(entry)
    if report.accepted < len(pending.entries):
        bad = pending.entries[report.accepted]
        peer = state.peers.get(pending.conn)
        if report.permanent:
            state.tree.invalidate(bad)
            if peer is not None:
                peer.channel.close(report.rule, f"header at height {bad.height}", fault=True)
        elif peer is not None:
            # Time may heal it, so it is neither invalid nor a violation; the peer may show it again later.
            peer.channel.charge(FAULT_UNCONNECTED, report.rule, now.mono)
            state.wake(peer.conn)
    schedule(state, now)


# -- bodies


def schedule(state: NodeState, now: Now) -> None:
    """Ask for what is missing, and close whoever holds everything up."""
    wanted: dict[ConnId, list[InventoryItem]] = {}
    for conn, entry in state.download.plan(now.mono):
        wanted.setdefault(conn, []).append(InventoryItem(KIND_BLOCK, entry.hash))
    for conn, items in wanted.items():
        peer = state.peers[conn]
        state.send(peer, GetData(tuple(items)))
        state.flush(peer, now)
    staller = state.download.overdue(now.mono)
    if staller is not None:
        state.peers[staller].channel.close("block-timeout")
        state.wake(staller)
    state.timers.set(("download", 0), state.download.next_deadline(now.mono))


def on_block(state: NodeState, peer: Peer, message: Block, now: Now) -> None:
    """A block: the answer to a request of ours, or charged.

    Raises:
        Violation: its header's work is bad.
    """
    info = state.ledger.identify_block(message.data)
    entry = state.tree.get(info.hash)
    if entry is None or not state.download.requested_from(peer.conn, info.hash):
        peer.channel.spend(UNASKED_PRICE * (1 + len(message.data) // 1_000), now.mono)
        peer.channel.charge(FAULT_UNSOLICITED, "block-unsolicited", now.mono)
        return
    peer.blocks_received += 1
    peer.channel.alive(now.mono)
    if state.download.arrived(peer.conn, entry, len(message.data), now.mono):
        _queue(state, PendingBlock(entry, message.data, peer.conn))
    # Speed: blocks come many at once; what follows of them is done once, when the input ends.
    state.sync_due = True


def submit(state: NodeState, data: bytes, ticket: int) -> None:
    """A block of our own operator: the same way in, without a request."""
    try:
        info = state.ledger.identify_block(data)
    except PeerFault as fault:
        state.tell(BlockSubmitted(ticket, NULL_HASH, BlockVerdict.INVALID, fault.rule))
        return
    refused = _unfit(state, info)
    if refused is not None:
        state.tell(BlockSubmitted(ticket, info.hash, *refused))
        return
    entry = state.tree.add(data[: len(state.tree.genesis.raw)], info)
    _uncharge(state, entry)
    _queue(state, PendingBlock(entry, data, None, ticket))
    feed(state)


def _unfit(state: NodeState, info: HeaderInfo) -> tuple[BlockVerdict, str] | None:
    """Why a block of our operator cannot go to the ledger, if so."""
    known = state.tree.get(info.hash)
    if known is not None and (known.body or known.hash in state.handed):
        return BlockVerdict.DUPLICATE, "duplicate"
    parent = state.tree.get(info.previous)
    if parent is None or not (parent.body or parent.hash in state.handed or parent.invalid):
        return BlockVerdict.ORPHAN, "prev-blk-not-found"
    if parent.invalid:
        return BlockVerdict.INVALID, "invalid-ancestor"
    return None


def _queue(state: NodeState, block: PendingBlock) -> None:
    """Hand a body on if its parent is with the ledger or on its way there, else keep it until then."""
    parent = block.entry.previous
    assert parent is not None, "genesis is never asked for"
    if block.entry.invalid:
        _give_up(state, block)
        return
    if not (parent.body or parent.hash in state.handed):
        state.waiting.setdefault(parent.hash, []).append(block)
        return
    line = [block]
    while line:
        block = line.pop()
        state.handed[block.entry.hash] = None
        state.ready.append(block)
        line.extend(state.waiting.pop(block.entry.hash, ()))


def catch_up(state: NodeState, now: Now) -> None:
    """Do what the blocks of this input call for: give the ledger its next batch, ask for more."""
    if state.sync_due:
        state.sync_due = False
        feed(state)
        schedule(state, now)


def feed(state: NodeState) -> None:
    """Give the ledger its next batch, if it is idle."""
    if state.ledger_busy or not state.ready:
        return
    batch: list[PendingBlock] = []
    size = 0
    while state.ready and len(batch) < LEDGER_BATCH_BLOCKS and (not batch or size < LEDGER_BATCH_BYTES):
        block = state.ready.popleft()
        batch.append(block)
        size += len(block.data)
    state.ledger_busy = True
    state.ask(AcceptBlocks(tuple(block.data for block in batch)), tuple(batch))


def blocks_judged(state: NodeState, batch: tuple[PendingBlock, ...], report: BlockReport, now: Now) -> None:
    """The ledger has decided about a batch."""
    state.ledger_busy = False
    returned: list[PendingBlock] = []
    for block, outcome in zip(batch, report.outcomes, strict=True):
        entry = block.entry
        state.handed.pop(entry.hash, None)
        if outcome.verdict is BlockVerdict.ORPHAN and entry.previous is not None and not entry.previous.body:
            # Its parent was refused in this very batch; the right one may still come.
            returned.append(block)
            continue
        state.download.settled(entry)
        if outcome.verdict is BlockVerdict.ACCEPTED and block.conn in state.peers:
            state.peers[block.conn].worth.block_at = now.mono
        if outcome.verdict in (BlockVerdict.ACCEPTED, BlockVerdict.DUPLICATE):
            _uncharge(state, entry)
            state.tree.mark_body(entry)
        else:
            _refuse(state, block, outcome.verdict, outcome.rule, now)
            state.download.again(entry)
        if block.ticket is not None:
            state.tell(BlockSubmitted(block.ticket, entry.hash, outcome.verdict, outcome.rule))
    for refusal in report.invalidated:
        known = state.tree.get(refusal.hash)
        if known is not None and not known.invalid:
            state.tree.invalidate(known)
            state.tell(BlockRefused(refusal.hash, BlockVerdict.INVALID, refusal.rule, None))
    for block in returned:
        _queue(state, block)
    _sift_waiting(state, lambda entry: not entry.invalid)
    tip = state.tree.get(report.tip)
    if tip is not None and tip is not state.tree.tip:
        left, joined = state.tree.set_tip(tip)
        state.company.tip_moved_at = now.mono
        state.tell(TipMoved(tip.hash, tip.height, left))
        announce(state, joined, now)
        following.follow(state)
    feed(state)
    schedule(state, now)


def _refuse(state: NodeState, block: PendingBlock, verdict: BlockVerdict, rule: str, now: Now) -> None:
    state.tell(BlockRefused(block.entry.hash, verdict, rule, block.conn))
    if verdict is BlockVerdict.INVALID and not block.entry.invalid:
        state.tree.invalidate(block.entry)
    peer = None if block.conn is None else state.peers.get(block.conn)
    if peer is None:
        return
    if verdict in (BlockVerdict.INVALID, BlockVerdict.MUTATED):
        peer.channel.close(rule, f"block at height {block.entry.height}", fault=True)
        state.wake(peer.conn)
    elif verdict is BlockVerdict.FUTURE:
        peer.channel.charge(FAULT_UNCONNECTED, rule, now.mono)
        state.wake(peer.conn)


def _give_up(state: NodeState, block: PendingBlock) -> None:
    """A body that cannot be used."""
    state.download.settled(block.entry)
    if block.ticket is not None:
        state.tell(BlockSubmitted(block.ticket, block.entry.hash, BlockVerdict.ORPHAN, "prev-blk-not-found"))


def _sift_waiting(state: NodeState, keep: Callable[[Entry], bool]) -> None:
    """Give up the bodies that wait for a parent and that ``keep`` does not admit."""
    for parent, line in list(state.waiting.items()):
        kept = [block for block in line if keep(block.entry)]
        if len(kept) == len(line):
            continue
        for block in line:
            if block not in kept:
                _give_up(state, block)
        if kept:
            state.waiting[parent] = kept
        else:
            del state.waiting[parent]


def _uncharge(state: NodeState, entry: Entry) -> None:
    """A body for a low-work header is here: it is no longer on its sender's account."""
    if entry.low is not None:
        account = state.low_unowned if entry.low == NOBODY else state.peers[entry.low].low_work
        account.remove(entry)
        entry.low = None


def announce(state: NodeState, joined: list[Entry], now: Now) -> None:
    """Tell peers of new blocks: by ``headers`` to those known to have the parent, else by ``inv`` of the tip.

    While we catch up, peers that have shown more work are not told. Security: the others are. Better headers whose
    blocks nobody gives out would otherwise silence every node that was shown them.
    """
    if not joined:
        return
    parent, tip = joined[0].previous, joined[-1]
    syncing = state.syncing
    for peer in state.open_peers():
        if _knows(state, peer, tip) or (syncing and peer.best is not None and peer.best.work > tip.work):
            continue
        if parent is not None and _knows(state, peer, parent) and len(joined) <= HEADERS_UNASKED:
            state.send(peer, Headers(tuple(entry.raw for entry in joined)))
            peer.sent = tip
        else:
            state.send(peer, Inv((InventoryItem(KIND_BLOCK, tip.hash),)))
        state.flush(peer, now)


def _knows(state: NodeState, peer: Peer, entry: Entry) -> bool:
    """Whether a peer has a header: it has shown it or one above it, or we have sent it."""
    shown, sent = peer.best, peer.sent
    return (shown is not None and state.tree.is_ancestor(entry, shown)) or (
        sent is not None and state.tree.is_ancestor(entry, sent)
    )


# -- inventory


def on_inv(state: NodeState, peer: Peer, message: Inv, now: Now) -> None:
    """Blocks exist. One that we do not know leads to ``getheaders``."""
    for item in reversed(message.items):
        if item.kind != KIND_BLOCK:
            continue
        entry = state.tree.get(BlockHash(item.hash))
        if entry is None:
            if peer.headers_asked == 0:
                _ask_headers(state, peer, _common_start(state), now)
            return
        if not entry.invalid and (peer.best is None or entry.work > peer.best.work):
            if entry.work > state.tree.tip.work:
                peer.worth.announced_at = now.mono
            peer.best = entry
            state.download.peer_has(peer.conn, entry)
            schedule(state, now)
        return


def on_notfound(state: NodeState, peer: Peer, message: NotFound, now: Now) -> None:
    """What we asked for will not come from here; it is asked of others at once."""
    failed = [item for item in message.items if state.download.not_found(peer.conn, BlockHash(item.hash))]
    if failed:
        schedule(state, now)


def peer_gone(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has ended: give its requests to others, and its low-work headers up."""
    state.download.peer_gone(peer.conn)
    state.timers.set(("headers", peer.conn), None)
    give_up_low(state, peer)
    # Bodies of a branch that nobody is left to complete would hold their share of the buffer for ever.
    bests = [other.best for other in state.open_peers() if other.best is not None]
    _sift_waiting(
        state,
        lambda entry: state.download.on_path(entry) or any(state.tree.is_ancestor(entry, best) for best in bests),
    )
    if state.header_peer == peer.conn:
        _next_header_peer(state, now)
    schedule(state, now)
