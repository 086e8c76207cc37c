"""Bitcoin's script forms, as bytes: which outputs are relayed, and how many signature checks a script may cost.

Source: Bitcoin Core ``src/script/solver.cpp``, ``src/script/script.cpp`` (``GetSigOpCount``, ``IsPushOnly``) and
``src/consensus/tx_verify.cpp``; BIP16, BIP141, BIP341.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from .transaction import Transaction

WITNESS_SCALE: Final = 4
_MULTISIG_KEYS: Final = 20
"""What a multisignature counts for where its number of keys is not read."""
_CHECKSIG: Final = (0xAC, 0xAD)
_CHECKMULTISIG: Final = (0xAE, 0xAF)
_CHECKS: Final = _CHECKSIG + _CHECKMULTISIG


class Form(Enum):
    """The kinds of outputs that are relayed and may be spent by what is relayed (design §6)."""

    P2PKH = "pubkeyhash"
    P2WPKH = "witness_v0_keyhash"
    P2TR = "witness_v1_taproot"


def form_of(script: bytes) -> Form | None:
    """The form of an output's script; ``None`` for all that is not relayed."""
    size = len(script)
    if size == 22 and script.startswith(b"\x00\x14"):
        return Form.P2WPKH
    if size == 34 and script.startswith(b"\x51\x20"):
        return Form.P2TR
    if size == 25 and script.startswith(b"\x76\xa9\x14") and script.endswith(b"\x88\xac"):
        return Form.P2PKH
    return None


def instructions(script: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcodes and what they push, up to the first one that is cut short."""
    at = 0
    while at < len(script):
        opcode = script[at]
        at += 1
        size = 0
        if opcode < 0x4C:
            size = opcode
        elif opcode <= 0x4E:
            width = 1 << (opcode - 0x4C)
            if at + width > len(script):
                return
            size = int.from_bytes(script[at : at + width], "little")
            at += width
        if at + size > len(script):
            return
        yield opcode, script[at : at + size]
        at += size


def sigops(script: bytes, *, accurate: bool) -> int:
    """Signature checks that a script counts for. ``accurate``: a multisignature counts its keys, where they are pushed
    by the opcode before it."""
    # Speed: most scripts hold no such byte at all, not even in what they push.
    if not any(opcode in script for opcode in _CHECKS):
        return 0
    count, last = 0, 0xFF
    for opcode, _ in instructions(script):
        if opcode in _CHECKSIG:
            count += 1
        elif opcode in _CHECKMULTISIG:
            count += last - 0x50 if accurate and 0x51 <= last <= 0x60 else _MULTISIG_KEYS
        last = opcode
    return count


def sigop_cost(transaction: Transaction, spent: Sequence[bytes]) -> int:
    """What a transaction counts for in a block's 80,000, where ``spent`` are the scripts of the outputs that it spends:
    what is outside the witness four times, what is inside once."""
    legacy = sum(sigops(script, accurate=False) for script in transaction.scripts)
    legacy += sum(sigops(script, accurate=False) for _, script in transaction.outputs)
    cost = WITNESS_SCALE * legacy
    for index, output in enumerate(spent):
        program = output
        if _is_p2sh(output):
            redeem = _last_push(transaction.scripts[index])
            cost += WITNESS_SCALE * sigops(redeem, accurate=True)
            program = redeem
        witness = transaction.witnesses[index] if transaction.witnesses else ()
        cost += _witness_sigops(program, witness)
    return cost


def _is_p2sh(script: bytes) -> bool:
    return len(script) == 23 and script.startswith(b"\xa9\x14") and script.endswith(b"\x87")


def _last_push(script: bytes) -> bytes:
    """What a script that only pushes leaves on top; empty for any other one."""
    found, read = b"", 0
    for opcode, pushed in instructions(script):
        if opcode > 0x60:
            return b""
        found = pushed
        read += 1
    return found if read else b""


def _witness_sigops(program: bytes, witness: Sequence[bytes]) -> int:
    if len(program) == 22 and program.startswith(b"\x00\x14"):
        return 1
    if len(program) == 34 and program.startswith(b"\x00\x20") and witness:
        return sigops(witness[-1], accurate=True)
    return 0
