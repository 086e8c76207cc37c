"""Each bound of docs/limits.md driven to its maximum by hostile clients, with the memory that a node then takes.

The bound of a scenario is computed from the table of limits and the few constants below, which say what Python adds.
``full`` is the long form; the short one uses fewer links, and then the bound is smaller too.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator

from bad_input import frame
from hostile import HANG_S, Client, source
from memory_stage import LINK_OBJECTS, MB, Result, Stage
from memory_veiled import flooded_sinks, half_ciphertexts, half_records, half_veiled_handshakes, veiled_churn

from obscura.base.digest import double_sha256
from obscura.base.limits import (
    BLOCK_BYTES,
    BOOK_ENTRIES,
    HEADERS_UNASKED,
    INBOUND_SLOTS,
    INV_ITEMS,
    LIGHT_LINK_BYTES,
    LOBBY_LINKS,
    LOBBY_PER_GROUP,
    LOW_WORK_PER_PEER,
    LOW_WORK_TOTAL,
    PRE_HANDSHAKE_BYTES,
    READ_BYTES,
    READS_AT_ONCE,
    RECEIVE_TOTAL_BYTES,
    SEND_BUFFER_BYTES,
    SEND_TOTAL_BYTES,
    SERVE_BATCH_BYTES,
    SYNC_BUFFER_BYTES,
)
from obscura.base.names import BlockHash
from obscura.ledgers.memory import MemoryLedger, mine
from obscura.wire.blocks import Block, GetData, Headers
from obscura.wire.frame import HEADER_SIZE, encode_frame, type_field
from obscura.wire.inventory import KIND_BLOCK, InventoryItem
from obscura.wire.registry import encode_message

ENTRY_OBJECTS = 800
"""A header that is held (391 B measured), with the account it is on and the test ledger's own cache of headers."""
ADDRESS_OBJECTS = 1_500
"""An address of the book, with the copy that waits to be saved."""
VECTOR_OBJECTS = 200
"""An inventory vector while its message is read."""
GENESIS = MemoryLedger().tip


def half_blocks(*, full: bool) -> Result:
    """Every slot holds a block that is not whole."""
    links = INBOUND_SLOTS - 1 if full else 45
    with Stage("half blocks on all slots", blocks=3) as stage:
        stage.watch.expect_pongs(1)
        half = encode_frame(type_field("block"), bytes(BLOCK_BYTES))[:-1]
        for number in range(links):
            stage.link(number).pour(half)
        state = stage.settle()
        assert RECEIVE_TOTAL_BYTES - 2 * BLOCK_BYTES < state["held"] <= RECEIVE_TOTAL_BYTES, state
        # Each held frame, its last read beside it; the links that have no account; a frame that is being joined.
        bound = RECEIVE_TOTAL_BYTES + links * (LIGHT_LINK_BYTES + LINK_OBJECTS) + 2 * BLOCK_BYTES
        return stage.done(bound, f"{links} links, {state['held'] / MB:.0f} MB held, {state['open'] - 1} links left")


def half_handshakes(*, full: bool) -> Result:
    """The lobby is full of connections that each sent all but the last byte of a first message, and more come."""
    wave = 3_000 if full else 900
    groups = LOBBY_LINKS // LOBBY_PER_GROUP + 8
    begun = frame("version", bytes(PRE_HANDSHAKE_BYTES))[: PRE_HANDSHAKE_BYTES - 1]
    with Stage("half-open handshakes", blocks=3) as stage:
        stage.watch.expect_pongs(1)
        for number in range(wave):
            client = stage.link(number % groups, greet=False)
            with contextlib.suppress(OSError):
                client.sock.sendall(begun)
            if len(stage.clients) > LOBBY_LINKS + 200:
                stage.clients.pop(0).close(reset=True)
        # The last of them may still wait to be accepted.
        state = stage.until(lambda state: state["lobby"] > LOBBY_LINKS * 9 // 10, "a full lobby")
        assert state["lobby"] <= LOBBY_LINKS, state
        state = stage.settle()
        late = stage.link(1_000)
        late.close()
        bound = LOBBY_LINKS * (PRE_HANDSHAKE_BYTES + HEADER_SIZE + LINK_OBJECTS)
        return stage.done(bound, f"{wave} connections, {state['lobby']} wait")


def _unread(stage: Stage, links: int, items: int) -> None:
    """Links that ask for ``items`` blocks each and do not read."""
    stage.watch.expect_pongs(1)
    wanted = stage.node.mine()
    stage.watch.expect(wanted)
    asking = GetData(tuple([InventoryItem(KIND_BLOCK, wanted)] * items))
    for number in range(links):
        stage.link(number, receive_buffer=8_192).say(asking)


def long_requests(*, full: bool) -> Result:
    """Every link asks for 50,000 blocks and reads none."""
    links = INBOUND_SLOTS - 1 if full else 30
    size = 100_000
    with Stage("getdata of 50,000 on all links, unread", blocks=3, size=size) as stage:
        _unread(stage, links, INV_ITEMS)
        state = stage.settle()
        assert state["serve"] > 0
        assert state["held"] <= RECEIVE_TOTAL_BYTES
        queues = min(RECEIVE_TOTAL_BYTES, links * 36 * INV_ITEMS)
        # A queue holds at most twice its vectors; one request is read at a time.
        bound = 2 * queues + INV_ITEMS * VECTOR_OBJECTS + links * _unsent_bound(size)
        return stage.done(
            bound, f"{links} links, {state['serve']:,} requests held, {state['unsent'] / MB:.0f} MB unsent"
        )


def _unsent_bound(size: int) -> int:
    """What one link that does not read may have waiting: what may be unsent before it counts, and two batches, as the
    loop keeps the whole of a batch until its last byte is sent."""
    return SEND_BUFFER_BYTES + 2 * max(SERVE_BATCH_BYTES, size) + LINK_OBJECTS


def slow_readers(*, full: bool) -> Result:
    """Every link asks for the largest blocks and does not read."""
    links = INBOUND_SLOTS - 1 if full else 20
    size = BLOCK_BYTES - 200
    with Stage("largest blocks, unread", blocks=3, size=size) as stage:
        _unread(stage, links, 40)
        state = stage.settle()
        assert state["unsent"] > links * SEND_BUFFER_BYTES
        # Besides what waits on each link: batches that are read and framed, and wait for their link's turn.
        together = SEND_TOTAL_BYTES + links * (SEND_BUFFER_BYTES + LINK_OBJECTS) + 2 * size
        bound = min(links * _unsent_bound(size), together) + 2 * READS_AT_ONCE * size
        return stage.done(bound, f"{links} links, {state['unsent'] / MB:.0f} MB unsent", new_block=False)


def low_work(*, full: bool) -> Result:
    """Headers on branches with no more work than our tip, up to the bound over all peers, and beyond."""
    total = LOW_WORK_TOTAL if full else LOW_WORK_PER_PEER
    branches = total // HEADERS_UNASKED
    links = total // LOW_WORK_PER_PEER + 1
    with Stage("low-work headers", blocks=HEADERS_UNASKED + 4) as stage:
        stage.watch.expect_pongs(1)
        clients = [stage.link(number) for number in range(links)]
        for client in clients:
            client.say(Headers(()))
        for serial in range(branches * 11 // 10):
            clients[serial % links].sock.sendall(encode_message(_branch(serial)))
        state = stage.until(lambda state: state["low_work"] >= total * 9 // 10, "enough low-work headers")
        assert state["low_work"] <= LOW_WORK_TOTAL
        bound = (branches * 11 // 10) * HEADERS_UNASKED * ENTRY_OBJECTS + links * LINK_OBJECTS
        return stage.done(bound, f"{state['low_work']:,} headers held of {links} links")


def _branch(serial: int) -> Headers:
    previous, raws = GENESIS, []
    for step in range(HEADERS_UNASKED):
        raw = mine(previous, b"%d" % serial, 1_710_000_000 + step)[:80]
        previous = BlockHash(double_sha256(raw))
        raws.append(raw)
    return Headers(tuple(raws))


@contextlib.contextmanager
def _servers(count: int) -> Iterator[list[tuple[str, object]]]:
    import socket

    with contextlib.ExitStack() as stack:
        servers = []
        for number in range(count):
            sock = stack.enter_context(socket.socket())
            sock.bind((source(number), 0))
            sock.listen()
            sock.settimeout(HANG_S)
            servers.append((f"{source(number)}:{sock.getsockname()[1]}", sock))
        yield servers


def full_book(*, full: bool) -> Result:
    """Peers that we dialled tell a thousand addresses each: more than the new table takes."""
    count = 100 if full else 3
    with _servers(count) as servers, contextlib.ExitStack() as stack:
        names = [name for name, _ in servers]
        stage = stack.enter_context(Stage("address book", blocks=3, connect=names, discover=True, outbound_slots=0))
        stage.watch.expect_pongs(1)
        now = int(time.time())
        for number, (_, sock) in enumerate(servers):
            link, _ = sock.accept()  # type: ignore[attr-defined]
            stack.callback(link.close)
            link.sendall(frame("version", _version()) + frame("verack"))
            entries = b"".join(
                struct.pack("<IB", now, 0)
                + b"\x01\x04"
                + bytes([127, 10 + number, at % 250, at // 250 + 1])
                + b"\0\x01"
                for at in range(1_000)
            )
            link.sendall(frame("addr", b"\xfd\xe8\x03" + entries))
        # Who finds his place taken is left out: of so many in so few places, one in two.
        wanted = count * 450
        state = stage.until(lambda state: state["addresses"] >= wanted, "a full book")
        assert state["addresses"] <= BOOK_ENTRIES
        bound = BOOK_ENTRIES * ADDRESS_OBJECTS + count * LINK_OBJECTS
        return stage.done(bound, f"{state['addresses']} addresses")


def _version() -> bytes:
    from bad_input import version

    return version(nonce=4_711)


def claims(*, full: bool) -> Result:
    """Frames that claim more than is allowed, and the largest messages of unknown types."""
    links = INBOUND_SLOTS - 1 if full else 30
    unknown = frame("news", bytes(BLOCK_BYTES))
    with Stage("oversized claims, unknown messages", blocks=3) as stage:
        stage.watch.expect_pongs(1)
        for number in range(4 * links):
            client = stage.link(number)
            client.sock.sendall(struct.pack("<I12s4s", 0xFFFF_FFFF, b"block", b"1234"))
            client.pour(bytes(READ_BYTES), 0.2)
        for number in range(links):
            # Those that were closed linger for a second at most; then these have the slots.
            stage.link(number).pour(unknown[:-1], 0.2)
        state = stage.settle()
        # An unknown message is dropped as it comes: a link holds one read at most.
        bound = links * (READ_BYTES + LINK_OBJECTS)
        return stage.done(bound, f"{4 * links} claims of 4 GB, {state['open'] - 1} unknown messages of 4 MB")


def withheld(*, full: bool) -> Result:
    """Peers give the largest blocks of a better chain, but never the first of them."""
    links = 6 if full else 3
    ahead = 2 * SYNC_BUFFER_BYTES // BLOCK_BYTES
    ledger, blocks = MemoryLedger(), []
    for step in range(ahead):
        blocks.append(mine(ledger.tip, bytes(BLOCK_BYTES - 200) + b"%d" % step, 1_730_000_000 + step))
        ledger.accept_blocks(blocks[-1:])
    by_name = {double_sha256(block[:80]): block for block in blocks}
    first = double_sha256(blocks[0][:80])
    with Stage("sync buffer, first block withheld", size=1_000) as stage:
        stage.watch.expect_pongs(1)
        clients = [stage.link(number) for number in range(links)]
        for client in clients:
            while client.hear_frame()[0] != "getheaders":
                pass
            client.say(Headers(tuple(block[:80] for block in blocks)))
            client.sock.settimeout(3)
        stage.until(lambda state: state["headers"] == ahead, "the better chain")
        busy = True
        while busy:
            busy = False
            for client in clients:
                with contextlib.suppress(TimeoutError):
                    name, payload = client.hear_frame()
                    busy = True
                    if name != "getdata":
                        continue
                    wanted = GetData.from_payload(payload)
                    for item in wanted.items:
                        if item.hash != first:
                            client.say(Block(by_name[item.hash]))
        state = stage.settle()
        assert state["height"] == 0
        assert SYNC_BUFFER_BYTES * 3 // 4 < state["buffered"] <= SYNC_BUFFER_BYTES, state
        # What waits, and on each link a block that is being received and joined.
        bound = SYNC_BUFFER_BYTES + links * 2 * (BLOCK_BYTES + READ_BYTES)
        return stage.done(
            bound, f"{state['buffered'] / MB:.0f} MB wait for the first of {ahead} blocks", new_block=False
        )


def churn(*, full: bool) -> Result:
    """Thousands of short connections leave nothing behind."""
    with Stage("churn", blocks=3) as stage:

        def visit(number: int) -> None:
            client = Client(stage.node.address, source(number % 200), greet=number % 2 == 0)
            if number % 4 == 1:
                client.sock.sendall(frame("version", bytes(1_000))[:700])
            elif number % 4 == 2:
                client.say(GetData((InventoryItem(KIND_BLOCK, bytes(32)),)))
            client.close(reset=number % 3 == 0)

        return stage.churned(visit, 20_000 if full else 3_000, LOBBY_LINKS * LINK_OBJECTS)


SCENARIOS = (
    half_blocks,
    half_handshakes,
    half_veiled_handshakes,
    half_ciphertexts,
    half_records,
    flooded_sinks,
    long_requests,
    slow_readers,
    low_work,
    full_book,
    claims,
    withheld,
    churn,
    veiled_churn,
)
