"""What is relayed, of what consensus would allow (design §6): three kinds of outputs, spent in the one form of each.

One form, so that nobody can change a transaction on its way without a key: it would keep its txid and lose its relay
id, and every node would have to be asked for it, and to judge it, once more. Signatures are strict DER with the lower
``s`` and a defined hash type (BIP66, BIP62 rule 5), pushes are the shortest, keys have the form that their hash commits
to, and there is nothing beside them.

Source of names and of sizes: Bitcoin Core ``src/policy/policy.cpp``, ``src/script/interpreter.cpp``.
"""

from __future__ import annotations

from typing import Final

from ...base.limits import LEGACY_HASHED_BYTES, TX_SIGOP_COST, TX_WEIGHT
from .scripts import Form, form_of
from .transaction import Transaction

_VERSIONS: Final = (1, 2)
_STRIPPED_MIN: Final = 65
"""A transaction of 64 bytes can pose as an inner node of the merkle tree (CVE-2017-12842)."""
_DUST: Final = {Form.P2PKH: 546, Form.P2WPKH: 294, Form.P2TR: 330}
"""Satoshis below which an output costs more to be spent than it is worth, at 3 satoshis for each virtual byte of the
output and of the input that will spend it (Bitcoin Core's figures)."""
_HALF_ORDER: Final = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
"""Half the order of secp256k1: a signature with a larger ``s`` has a twin with a smaller one."""
_ECDSA_TYPES: Final = frozenset({0x01, 0x02, 0x03, 0x81, 0x82, 0x83})


def unfit(transaction: Transaction) -> tuple[str, str]:
    """The first rule that a transaction breaks by itself, and numbers; both empty if it breaks none."""
    if transaction.version not in _VERSIONS:
        return "version", f"{transaction.version}: 1 and 2 are relayed"
    if transaction.weight > TX_WEIGHT:
        return "tx-size", f"{transaction.weight} weight units: {TX_WEIGHT} at most"
    if len(transaction.stripped) < _STRIPPED_MIN:
        return "tx-size-small", f"{len(transaction.stripped)} bytes without witness: {_STRIPPED_MIN} at least"
    for index, (amount, script) in enumerate(transaction.outputs):
        form = form_of(script)
        if form is None:
            return "scriptpubkey", f"output {index} is neither P2PKH nor P2WPKH nor P2TR"
        if amount < _DUST[form]:
            return "dust", f"output {index} holds {amount} satoshis: {_DUST[form]} at least"
    return "", ""


def unfit_spends(transaction: Transaction, spent: list[bytes]) -> tuple[str, str]:
    """The first rule that its inputs break, which spend outputs with the scripts ``spent``."""
    legacy = 0
    for index, output in enumerate(spent):
        form = form_of(output)
        script = transaction.scripts[index]
        witness = transaction.witnesses[index] if transaction.witnesses else ()
        if form is None:
            return "bad-txns-nonstandard-inputs", f"input {index} spends neither P2PKH nor P2WPKH nor P2TR"
        if form is Form.P2PKH:
            legacy += 1
            if witness:
                return "bad-witness-nonstandard", f"input {index} has a witness that nothing looks at"
            if not _is_key_spend(script):
                return "scriptsig-nonstandard", f"input {index} is not one signature and one key in their one form"
        elif script:
            return "scriptsig-nonstandard", f"input {index} has a script beside its witness"
        elif form is Form.P2WPKH and not _is_witness_spend(witness):
            return "bad-witness-nonstandard", f"input {index} is not one signature and one key in their one form"
        elif form is Form.P2TR and not (len(witness) == 1 and len(witness[0]) in (64, 65)):
            return "bad-witness-nonstandard", f"input {index} is not spent by its key alone"
    if legacy * len(transaction.stripped) > LEGACY_HASHED_BYTES:
        # Each such input hashes the whole transaction once more.
        return "tx-hashing", f"{legacy} inputs without witness in {len(transaction.stripped)} bytes"
    return "", ""


def too_many_sigops(cost: int) -> tuple[str, str]:
    """The rule, if a transaction's signature checks cost too much."""
    if cost > TX_SIGOP_COST:
        return "bad-txns-too-many-sigops", f"{cost}: {TX_SIGOP_COST} at most"
    return "", ""


def _is_key_spend(script: bytes) -> bool:
    """A push of a signature and a push of a key, each by its length alone."""
    size = script[0] if script else 0
    if not 9 <= size <= 73 or len(script) < size + 2:
        return False
    key = script[size + 2 :]
    if script[size + 1] != len(key) or not is_canonical_signature(script[1 : size + 1]):
        return False
    return _is_compressed(key) or (len(key) == 65 and key[0] == 4)


def _is_witness_spend(witness: tuple[bytes, ...]) -> bool:
    return len(witness) == 2 and _is_compressed(witness[1]) and is_canonical_signature(witness[0])


def _is_compressed(key: bytes) -> bool:
    return len(key) == 33 and key[0] in (2, 3)


def is_canonical_signature(signature: bytes) -> bool:
    """Whether an ECDSA signature with its hash type at the end is in its one form."""
    if not 9 <= len(signature) <= 73 or signature[-1] not in _ECDSA_TYPES:
        return False
    size = len(signature) - 1
    if signature[0] != 0x30 or signature[1] != size - 2 or signature[2] != 0x02:
        return False
    r_size = signature[3]
    if 4 + r_size + 2 > size or signature[4 + r_size] != 0x02:
        return False
    s_size = signature[5 + r_size]
    if 6 + r_size + s_size != size:
        return False
    r, s = signature[4 : 4 + r_size], signature[6 + r_size : size]
    return _is_shortest(r) and _is_shortest(s) and int.from_bytes(s, "big") <= _HALF_ORDER


def _is_shortest(number: bytes) -> bool:
    """A positive integer as DER writes it: no byte that says nothing."""
    if not number or number[0] & 0x80:
        return False
    return len(number) == 1 or number[0] != 0 or bool(number[1] & 0x80)
