"""Bitcoin's transactions as bytes: one form for each content, and nothing else parses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transaction_bytes import serialised

from obscura.base.cursor import compact_size
from obscura.chain.transactions import InvalidTransaction
from obscura.ledgers.blockfile import BlockFile
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.networks import BITCOIN
from obscura.ledgers.kernel.transaction import parse_block, parse_transaction

DATA = Path(__file__).parents[2] / "data" / "bitcoin_mainnet_1_255.dat"

# The example of BIP143, "Native P2WPKH", signed: a transaction with two inputs, the second with a witness.
SIGNED = bytes.fromhex(
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb"
    "62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed"
    "01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9"
    "148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac00"
    "0247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f5"
    "1928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000"
)


def test_the_example_of_bip143() -> None:
    parsed = parse_transaction(SIGNED)
    assert parsed.txid[::-1].hex() == "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609"
    assert parsed.relay_id == block_hash(SIGNED)
    assert (parsed.version, parsed.lock_time) == (1, 17)
    assert parsed.sequences == (0xFFFFFFEE, 0xFFFFFFFF)
    assert [amount for amount, _ in parsed.outputs] == [112_340_000, 223_450_000]
    assert [len(script) for script in parsed.scripts] == [73, 0]
    assert [len(stack) for stack in parsed.witnesses] == [0, 2]
    assert not parsed.is_coinbase
    assert parsed.weight == 3 * len(parsed.stripped) + len(SIGNED)
    bare = parse_transaction(parsed.stripped)
    assert bare.witnesses == ()
    assert (bare.txid, bare.relay_id) == (parsed.txid, parsed.txid)
    info = parsed.info()
    assert (info.txid, info.relay_id, info.spends, info.outputs) == (parsed.txid, parsed.relay_id, parsed.spends, 2)
    assert "redacted" in repr(parsed)


@pytest.mark.parametrize("form", [SIGNED, parse_transaction(SIGNED).stripped], ids=["witness", "bare"])
def test_every_cut_and_every_leftover_is_refused(form: bytes) -> None:
    for cut in range(len(form)):
        with pytest.raises(InvalidTransaction):
            parse_transaction(form[:cut])
    with pytest.raises(InvalidTransaction) as caught:
        parse_transaction(form + b"\0")
    assert caught.value.rule == "tx-leftover"


INPUT = bytes(36) + b"\0" + b"\xff" * 4
OUTPUT = bytes(8) + b"\0"


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        # A bare form without inputs and with one output reads as a marker and a flag: BIP144's trap.
        (b"\x00\x01" + OUTPUT, "tx-no-inputs"),
        (b"\x00\x00", "tx-no-inputs"),
        (b"\x00\x02\x01" + INPUT + b"\x01" + OUTPUT + b"\x01\x00", "tx-flag"),
        (b"\x00\x01\x00\x01" + OUTPUT, "tx-no-inputs"),
        (b"\x00\x01\x01" + INPUT + b"\x01" + OUTPUT + b"\x00", "tx-superfluous-witness"),
        (b"\xfd\x01\x00" + INPUT + b"\x01" + OUTPUT, "tx-count-form"),
        (b"\x01" + INPUT + b"\xfe\x01\x00\x00\x00" + OUTPUT, "tx-count-form"),
        (b"\x01" + INPUT[:36] + b"\xfd\x00\x00" + INPUT[37:] + b"\x01" + OUTPUT, "tx-count-form"),
        (b"\xff" + b"\xff" * 8 + INPUT + b"\x01" + OUTPUT, "tx-truncated"),
        (b"\x02" + INPUT + b"\x01" + OUTPUT, "tx-truncated"),
        (b"\x01" + INPUT + b"\xfd\xff\xff" + OUTPUT, "tx-truncated"),
        (b"\x01" + INPUT + b"\x01" + OUTPUT[:8] + b"\xff" + b"\x7f" * 8, "tx-truncated"),
        (b"\x00\x01\x01" + INPUT + b"\x01" + OUTPUT + b"\xfe\xff\xff\xff\x00", "tx-truncated"),
    ],
)
def test_each_fault_of_form_has_its_name(body: bytes, rule: str) -> None:
    with pytest.raises(InvalidTransaction) as caught:
        parse_transaction(bytes(4) + body + bytes(4))
    assert caught.value.rule == rule


def test_the_largest_message_is_the_largest_transaction() -> None:
    with pytest.raises(InvalidTransaction) as caught:
        parse_transaction(bytes(4_000_001))
    assert caught.value.rule == "tx-oversize"


def test_the_blocks_of_the_chains_begin() -> None:
    for entry in BlockFile(DATA, BITCOIN.magic).blocks():
        transactions = parse_block(entry.block)
        assert transactions[0].is_coinbase
        assert not any(transaction.is_coinbase for transaction in transactions[1:])
        assert (
            entry.block[:80] + compact_size(len(transactions)) + b"".join(t.data for t in transactions) == entry.block
        )
        with pytest.raises(InvalidTransaction):
            parse_block(entry.block[:-1])
        with pytest.raises(InvalidTransaction):
            parse_block(entry.block + b"\0")


SCRIPTS = st.one_of(st.binary(max_size=40), st.integers(250, 300).map(bytes))
INPUTS = st.tuples(
    st.binary(min_size=36, max_size=36), SCRIPTS, st.integers(0, 0xFFFF_FFFF), st.lists(SCRIPTS, max_size=3)
)


@given(
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.lists(INPUTS, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(-(1 << 63), (1 << 63) - 1), SCRIPTS), max_size=5),
    st.integers(0, 0xFFFF_FFFF),
    st.data(),
)
def test_what_was_written_is_read(
    version: int,
    inputs: list[tuple[bytes, bytes, int, list[bytes]]],
    outputs: list[tuple[int, bytes]],
    lock_time: int,
    data: st.DataObject,
) -> None:
    stacks = [stack for _, _, _, stack in inputs]
    bare = [(o, s, q) for o, s, q, _ in inputs]
    form = serialised(version, bare, outputs, stacks, lock_time)
    parsed = parse_transaction(form)
    assert (parsed.version, parsed.lock_time) == (version, lock_time)
    assert [*zip(parsed.spends, parsed.scripts, parsed.sequences, strict=True)] == bare
    assert list(parsed.outputs) == outputs
    if any(stacks):
        assert [list(stack) for stack in parsed.witnesses] == stacks
    assert parsed.data == form
    assert parsed.stripped == serialised(version, bare, outputs, [], lock_time)
    # One changed byte: another transaction, or none; never the same one.
    at = data.draw(st.integers(0, len(form) - 1))
    changed = form[:at] + bytes([form[at] ^ data.draw(st.integers(1, 255))]) + form[at + 1 :]
    try:
        other = parse_transaction(changed)
    except InvalidTransaction:
        return
    assert other.relay_id != parsed.relay_id
    again = [*zip(other.spends, other.scripts, other.sequences, strict=True)]
    stacks = [list(stack) for stack in other.witnesses]
    assert serialised(other.version, again, list(other.outputs), stacks, other.lock_time) == changed
