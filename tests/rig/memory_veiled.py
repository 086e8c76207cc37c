"""The bounds of the encrypted transport driven to their maximum, as ``memory_scenarios`` does for all the others."""

from __future__ import annotations

import contextlib
import os

from hostile import NOW, Client, longest_initiator, source
from memory_stage import HANDSHAKE_OBJECTS, LINK_OBJECTS, MB, Result, Stage

from obscura.base.limits import (
    BLOCK_BYTES,
    GARBAGE_BYTES,
    INBOUND_SLOTS,
    LIGHT_LINK_BYTES,
    LOBBY_LINKS,
    LOBBY_PER_GROUP,
    READ_BYTES,
    RECEIVE_TOTAL_BYTES,
)
from obscura.channel.handshake import TERMINATOR_BYTES
from obscura.crypto.agreement import POINT_BYTES
from obscura.crypto.cipher import TAG_BYTES
from obscura.crypto.kem import CIPHERTEXT_BYTES
from obscura.shaping.sizes import DATA_BYTES
from obscura.wire.frame import encode_frame, type_field

PATIENCE = 600_000_000
"""Microseconds: where silent connections must outlast a scenario, however slow the machine is."""
SEALED_CIPHERTEXT_BYTES = CIPHERTEXT_BYTES + TAG_BYTES
SINKS_MARGIN = 4_096 * LOBBY_LINKS + 2 * MB
"""How much larger a node may be after its sinks were flooded: 4 KiB for each, and what one read leaves."""


def half_veiled_handshakes(*, full: bool) -> Result:
    """The lobby is full of connections that were answered, and hold as much as garbage can without its end."""
    wave = 3_000 if full else 900
    groups = LOBBY_LINKS // LOBBY_PER_GROUP + 8
    begun = os.urandom(32 + GARBAGE_BYTES + TERMINATOR_BYTES - 1)
    with Stage("veiled handshakes without an end", blocks=3, veiled=True) as stage:
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
        # What an answer holds until the handshake is over: the keys of both kinds, and our own garbage.
        bound = LOBBY_LINKS * (2 * GARBAGE_BYTES + HANDSHAKE_OBJECTS + LINK_OBJECTS)
        return stage.done(bound, f"{wave} connections, {state['lobby']} wait")


def half_ciphertexts(*, full: bool) -> Result:
    """The lobby is full of honest-looking handshakes: the most garbage, its terminator, and the ciphertext but for its
    last byte."""
    links = LOBBY_LINKS + 100 if full else 300
    groups = LOBBY_LINKS // LOBBY_PER_GROUP + 8
    settings = {"blocks": 3, "veiled": True, "handshake_timeout": PATIENCE}
    with Stage("veiled handshakes without their last byte", **settings) as stage:
        stage.watch.expect_pongs(1)
        for number in range(links):
            client = stage.link(number % groups, greet=False)
            wire = longest_initiator()
            client.sock.sendall(b"".join(wire.take(NOW)))
            while not wire.secured:
                data = client.sock.recv(READ_BYTES)
                assert data, "the node answers"
                wire.open(data, NOW)
            last = b"".join(wire.take(NOW))
            assert len(last) == TERMINATOR_BYTES + SEALED_CIPHERTEXT_BYTES
            client.sock.sendall(last[:-1])
        state = stage.settle()
        # More than the lobby holds came, so somebody was put out for each of the others; all that are left wait.
        assert min(links, LOBBY_LINKS) * 9 // 10 < state["lobby"] <= LOBBY_LINKS, state
        assert state["sinks"] == 0, "nobody has failed yet"
        held = 2 * GARBAGE_BYTES + TERMINATOR_BYTES + SEALED_CIPHERTEXT_BYTES
        bound = min(links, LOBBY_LINKS) * (held + HANDSHAKE_OBJECTS + LINK_OBJECTS)
        return stage.done(bound, f"{links} connections, {state['lobby']} wait")


def half_records(*, full: bool) -> Result:
    """Every slot holds a block that is not whole, and behind it the largest record, not whole either. The slots of
    those that had to go are taken by links that hold such a record only."""
    links = INBOUND_SLOTS - 1 if full else 45
    with Stage("half records on all slots", blocks=3, veiled=True) as stage:
        stage.watch.expect_pongs(1)
        half = encode_frame(type_field("block"), bytes(BLOCK_BYTES))[:-1]
        for number in range(links):
            client = stage.link(number)
            client.pour(client.sealed(half[:-DATA_BYTES]))
            client.pour(client.sealed(half[-DATA_BYTES:])[:-1])
        state = stage.settle()
        assert RECEIVE_TOTAL_BYTES - 2 * BLOCK_BYTES < state["held"] <= RECEIVE_TOTAL_BYTES, state
        heavy = state["open"] - 1
        for number in range(links - heavy):
            client = stage.link(links + number)
            client.pour(client.sealed(half[:DATA_BYTES])[:-1])
        state = stage.settle()
        assert state["open"] - 1 == links, "a record that is not whole costs nobody the link"
        bound = RECEIVE_TOTAL_BYTES + links * (LIGHT_LINK_BYTES + LINK_OBJECTS) + 2 * BLOCK_BYTES
        return stage.done(bound, f"{links} links, {state['held'] / MB:.0f} MB held by {heavy} of them")


def flooded_sinks(*, full: bool) -> Result:
    """The lobby is full of silent connections, each poured full: all slots were open links whose record has failed, the
    others handshakes whose garbage has no end."""
    links, sinks, each = (INBOUND_SLOTS - 1, LOBBY_LINKS, MB) if full else (45, 120, MB)
    endless = os.urandom(POINT_BYTES + GARBAGE_BYTES + TERMINATOR_BYTES)
    settings = {"blocks": 3, "veiled": True, "handshake_timeout": PATIENCE, "sink_span": (PATIENCE, PATIENCE)}
    with Stage("flooded sinks", **settings) as stage:
        stage.watch.expect_pongs(1)
        for number in range(links):
            stage.link(number).sock.sendall(bytes(100))
        for number in range(links, sinks):
            stage.link(number, greet=False).sock.sendall(endless)
        for client in stage.clients[links:]:
            # With the answer there are keys, and with the next byte it is plain that no terminator comes.
            assert client.sock.recv(READ_BYTES), "the node answers"
            client.sock.sendall(b"!")
        state = stage.until(lambda state: state["sinks"] == sinks, "everybody is silent")
        assert state["links"] == 1, state
        assert state["lobby"] == sinks, state
        stage.settle()
        before = stage.node.memory
        poured = sum(client.pour(os.urandom(each), 10) for client in stage.clients)
        assert poured == sinks * each, "a sink takes all that comes"
        state = stage.settle()
        assert state["sinks"] == sinks, "and ends for nothing that comes"
        grown = stage.node.memory - before
        assert grown <= SINKS_MARGIN, f"{grown} bytes more after {poured} bytes"
        detail = (
            f"{sinks} silent connections, {links} of them were links; {poured / MB:.0f} MB taken, {grown / MB:+.1f} MB"
        )
        return stage.done(sinks * LINK_OBJECTS, detail)


def veiled_churn(*, full: bool) -> Result:
    """Thousands of short connections leave nothing behind: silent ones, some that stop in the handshake, open links,
    and open links of which a record failed."""
    with Stage("veiled churn", blocks=3, veiled=True) as stage:

        def visit(number: int) -> None:
            kind = number % 4
            client = Client(stage.node.address, source(number % 200), greet=kind == 0, veiled=kind in (0, 1))
            if kind == 2:
                client.sock.sendall(os.urandom(POINT_BYTES + number % GARBAGE_BYTES))
            elif kind == 0 and number % 8:
                client.sock.sendall(os.urandom(100))
            client.close(reset=number % 3 == 0)

        # Handshakes are rationed, so this is not as fast as in clear.
        held = 2 * GARBAGE_BYTES + HANDSHAKE_OBJECTS + LINK_OBJECTS
        return stage.churned(visit, 8_000 if full else 2_000, LOBBY_LINKS * held)
