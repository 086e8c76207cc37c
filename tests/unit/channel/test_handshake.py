"""The encrypted transport's handshake: against a second implementation, in any cut, and under attack."""

from __future__ import annotations

import hashlib

import monocypher
import other_veil
import pytest
from cryptography.exceptions import InvalidTag
from veil import GENESIS, START, STATIC, SeededKeys, both, hidden_from, shake

from obscura.base.errors import BugError, PeerFault
from obscura.base.limits import GARBAGE_BYTES
from obscura.channel.handshake import InitiatorHandshake, ResponderHandshake, Secured, prologue
from obscura.crypto.agreement import KeyPair
from obscura.crypto.kem import KemPair, encapsulate
from obscura.wire.target import Mode

M2_FIXED = 32 + 16 + 48 + 1_200
M3_BYTES = 16 + 1_104


def works(one: Secured, other: Secured) -> bool:
    """Whether both directions carry data."""
    try:
        return other.receiving.open(one.sending.seal(b"there")) + one.receiving.open(other.sending.seal(b"back")) == (
            b"thereback"
        )
    except PeerFault:
        return False


def test_both_sides_get_the_same() -> None:
    one, other = shake(*both())
    assert one.session_id == other.session_id
    assert one.responder == other.responder == STATIC.public
    assert one.rest == other.rest == b""
    assert works(one, other)


@pytest.mark.parametrize("lengths", [(0, 0), (0, GARBAGE_BYTES), (GARBAGE_BYTES, 0), (GARBAGE_BYTES, GARBAGE_BYTES)])
def test_garbage_of_any_length(lengths: tuple[int, int]) -> None:
    one, other = shake(*both(garbage=(b"\0" * lengths[0], b"\xff" * lengths[1])))
    assert works(one, other)


def test_too_much_garbage_of_ours_is_a_defect() -> None:
    with pytest.raises(BugError):
        both(garbage=(bytes(GARBAGE_BYTES + 1), b""))


def test_lengths_on_the_wire() -> None:
    initiator, responder = both()
    first = initiator.take_data()
    assert len(first) == 32 + 100
    responder.receive(first)
    assert responder.take_data() == b"", "nothing before the owner's leave"
    responder.answer()
    second = responder.take_data()
    assert len(second) == M2_FIXED + 200
    initiator.receive(second)
    assert len(initiator.take_data()) == M3_BYTES


@pytest.mark.parametrize("step", [1, 2, 31, 32, 33, 1000])
def test_any_cut(step: int) -> None:
    initiator, responder = both()
    ends: list[Secured] = []

    def pour(data: bytes, into: InitiatorHandshake | ResponderHandshake) -> None:
        for at in range(0, len(data), step):
            end = into.receive(data[at : at + step])
            if end is not None:
                ends.append(end)

    pour(initiator.take_data(), responder)
    responder.answer()
    pour(responder.take_data(), initiator)
    pour(initiator.take_data(), responder)
    assert len(ends) == 2
    assert works(ends[0], ends[1])


def test_an_open_responder_may_answer_after_32_bytes() -> None:
    initiator, responder = both()
    first = initiator.take_data()
    responder.receive(first[:31])
    assert not responder.may_answer
    responder.receive(first[31:32])
    assert responder.may_answer
    responder.answer()
    assert not responder.may_answer
    with pytest.raises(BugError):
        responder.answer()
    one = initiator.receive(responder.take_data())
    other = responder.receive(first[32:] + initiator.take_data())
    assert one is not None
    assert other is not None
    assert works(one, other)


def test_bytes_behind_the_handshake_are_kept() -> None:
    initiator, responder = both()
    responder.receive(initiator.take_data())
    responder.answer()
    initiator.receive(responder.take_data() + b"")
    end = responder.receive(initiator.take_data() + b"the first record")
    assert end is not None
    assert end.rest == b"the first record"


def whole(swap: dict[str, bytes] | None = None, start: bytes = START) -> tuple[other_veil.Whole, Secured, Secured]:
    """A handshake by the package, and what the second implementation computes from the same keys."""
    seeds = SeededKeys(0).hidden(), SeededKeys(1).hidden()
    responder_keys = SeededKeys(1)
    responder_keys.hidden()
    kem = responder_keys.kem()
    sealed = encapsulate(kem.encapsulation_key)
    initiator = InitiatorHandshake(SeededKeys(0, sealed), start, b"i" * 100)
    responder = ResponderHandshake(SeededKeys(1), start, STATIC, b"r" * 200)
    first = initiator.take_data()
    responder.receive(first)
    responder.answer()
    second = responder.take_data()
    one = initiator.receive(second)
    third = initiator.take_data()
    other = responder.receive(third)
    assert one is not None
    assert other is not None
    expected = other_veil.handshake(
        start,
        (seeds[0].pair.private_bytes(), seeds[0].hidden),
        b"i" * 100,
        (seeds[1].pair.private_bytes(), seeds[1].hidden),
        b"r" * 200,
        STATIC.private_bytes(),
        kem.encapsulation_key,
        sealed[1],
        sealed[0],
        swap=swap,
    )
    if swap is None:
        assert (first, second, third) == (expected.m1, expected.m2, expected.m3)
    return expected, one, other


@pytest.mark.parametrize(
    "start",
    [
        START,
        prologue(GENESIS, Mode.LITERAL, (b"version of one", b"version of the other")),
        prologue(GENESIS, Mode.PLAIN),
    ],
)
def test_against_a_second_implementation(start: bytes) -> None:
    expected, one, other = whole(start=start)
    assert one.session_id == other.session_id == expected.session_id
    sealed = other_veil.ChaCha20Poly1305(expected.initiator_key).encrypt(bytes(12), b"text", None)
    assert one.sending.seal(b"text") == sealed
    assert other.receiving.open(sealed) == b"text"
    back = other_veil.ChaCha20Poly1305(expected.responder_key).encrypt(bytes(12), b"text", None)
    assert other.sending.seal(b"text") == back
    assert one.receiving.open(back) == b"text"


@pytest.mark.parametrize("step", ["ee", "es", "kem"])
def test_final_keys_need_every_secret(step: str) -> None:
    """Who knows all but one of the three secrets has none of the final keys: the later quantum computer that finds
    every Diffie-Hellman result lacks the KEM's, and a broken KEM leaves the Diffie-Hellman results."""
    expected, one, other = whole()
    guessed, _, _ = whole({step: hashlib.sha256(b"a guess").digest()})
    assert guessed.initiator_key != expected.initiator_key
    assert guessed.responder_key != expected.responder_key
    sealed = one.sending.seal(b"text")
    with pytest.raises(InvalidTag):
        other_veil.ChaCha20Poly1305(guessed.initiator_key).decrypt(bytes(12), sealed, None)
    assert other.receiving.open(sealed) == b"text"


class TestAttacks:
    def test_every_flipped_byte_ends_in_failure(self) -> None:
        """Each byte of each message, one bit: no keys on the side that is lied to, or keys that fit nobody."""
        for message in range(3):
            length = (132, M2_FIXED + 200, M3_BYTES)[message]
            for position in range(0, length, 5):
                assert not self._survives(message, position), (message, position)

    def _survives(self, message: int, position: int) -> bool:
        initiator, responder = both(seed=1)

        def lie(data: bytes, at: int) -> bytes:
            if at != message:
                return data
            return data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :]

        try:
            responder.receive(lie(initiator.take_data(), 0))
            responder.answer()
            one = initiator.receive(lie(responder.take_data(), 1))
            other = responder.receive(lie(initiator.take_data(), 2))
        except PeerFault as fault:
            assert fault.rule in {"tag-wrong", "terminator-missing"}
            return False
        return one is not None and other is not None and works(one, other)

    def test_truncation_waits_and_says_nothing(self) -> None:
        initiator, responder = both()
        responder.receive(initiator.take_data())
        responder.answer()
        second = responder.take_data()
        assert initiator.receive(second[:-1]) is None
        assert initiator.take_data() == b""
        one = initiator.receive(second[-1:])
        third = initiator.take_data()
        assert responder.receive(third[:-1]) is None
        assert responder.take_data() == b""
        assert one is not None
        assert responder.receive(third[-1:]) is not None

    def test_a_replayed_initiator_gets_nowhere(self) -> None:
        initiator, responder = both()
        first = initiator.take_data()
        responder.receive(first)
        responder.answer()
        initiator.receive(responder.take_data())
        third = initiator.take_data()
        again = ResponderHandshake(SeededKeys(77), START, STATIC, b"other")
        again.receive(first)
        again.answer()
        assert again.receive(third) is None
        with pytest.raises(PeerFault, match="terminator-missing"):
            again.receive(bytes(GARBAGE_BYTES + 16))

    def test_two_sessions_spliced(self) -> None:
        sides = [both(seed=5), both(seed=6)]
        for initiator, responder in sides:
            responder.receive(initiator.take_data())
            responder.answer()
        answers = [responder.take_data() for _, responder in sides]
        for (initiator, _), answer in zip(sides, reversed(answers), strict=True):
            try:
                assert initiator.receive(answer) is None
            except PeerFault as fault:
                assert fault.rule == "terminator-missing"
            assert initiator.take_data() == b""

    def test_somebody_in_the_middle_is_caught_by_the_pin(self) -> None:
        """A whole handshake with another static key: it works without a pin, and sends nothing with one."""
        crook = KeyPair(hashlib.sha256(b"crook").digest())
        for pin, caught in ((None, False), (STATIC.public, True), (crook.public, False)):
            initiator = InitiatorHandshake(SeededKeys(2), START, b"", pin=pin)
            responder = ResponderHandshake(SeededKeys(3), START, crook, b"")
            responder.receive(initiator.take_data())
            responder.answer()
            second = responder.take_data()
            if caught:
                with pytest.raises(PeerFault, match="key-changed"):
                    initiator.receive(second)
                assert initiator.take_data() == b""
            else:
                end = initiator.receive(second)
                assert end is not None
                assert end.responder == crook.public

    def test_a_static_key_that_is_not_owned_is_not_believed(self) -> None:
        """The pinned public key shown by somebody without its private half: a wrong tag, not a changed key."""

        class Shown(KeyPair):
            __slots__ = ()

        liar = Shown(hashlib.sha256(b"liar").digest())
        liar.public = STATIC.public
        initiator = InitiatorHandshake(SeededKeys(2), START, b"", pin=STATIC.public, own=(STATIC.public,))
        responder = ResponderHandshake(SeededKeys(3), START, liar, b"")
        responder.receive(initiator.take_data())
        responder.answer()
        with pytest.raises(PeerFault, match="tag-wrong"):
            initiator.receive(responder.take_data())
        assert initiator.take_data() == b""

    def test_a_link_to_ourselves(self) -> None:
        initiator = InitiatorHandshake(SeededKeys(2), START, b"", own=(b"\1" * 32, STATIC.public))
        responder = ResponderHandshake(SeededKeys(3), START, STATIC, b"")
        responder.receive(initiator.take_data())
        responder.answer()
        with pytest.raises(PeerFault, match="own-key"):
            initiator.receive(responder.take_data())

    @pytest.mark.parametrize(
        "other", [prologue(b"\1" * 32, Mode.VEILED), prologue(GENESIS, Mode.LITERAL, (b"a", b"b"))]
    )
    def test_another_chain_or_mode_or_a_stripped_bit(self, other: bytes) -> None:
        initiator = InitiatorHandshake(SeededKeys(2), START, b"")
        responder = ResponderHandshake(SeededKeys(3), other, STATIC, b"")
        responder.receive(initiator.take_data())
        responder.answer()
        try:
            assert initiator.receive(responder.take_data() + bytes(5_000)) is None
        except PeerFault as fault:
            assert fault.rule == "terminator-missing"

    @pytest.mark.parametrize("shown", [bytes(32), b"\xff" * 32, b"\0" * 31 + b"\xc0"])
    def test_an_ephemeral_of_low_order_gets_a_normal_looking_answer(self, shown: bytes) -> None:
        """All-zero bytes stand for the point of order 2: the answer has the usual length, and nothing follows it."""
        keys = SeededKeys(9)
        responder = ResponderHandshake(keys, START, STATIC, b"garbage")
        responder.receive(shown)
        responder.answer()
        assert len(responder.take_data()) == M2_FIXED + 7
        if monocypher.elligator_map(shown) == bytes(32):
            assert keys.random_secrets > 0
        with pytest.raises(PeerFault, match="terminator-missing"):
            responder.receive(bytes(GARBAGE_BYTES + 16))

    def test_an_initiator_meets_an_ephemeral_of_low_order(self) -> None:
        initiator, _ = both()
        with pytest.raises(PeerFault, match="terminator-missing"):
            initiator.receive(bytes(32 + GARBAGE_BYTES + 16))
        assert len(initiator.take_data()) == 132, "M1, and nothing else"

    @pytest.mark.parametrize("step", [32, 100, 1 << 20])
    def test_more_than_garbage_before_the_answer(self, step: int) -> None:
        """Its first 32 bytes have earned an answer, however it is cut; then it fails. Little of it is kept."""
        _, responder = both()
        stream = bytes(32 + 100_000)
        for at in range(0, len(stream), step):
            assert responder.receive(stream[at : at + step]) is None
            assert responder.may_answer
        assert len(responder._stream) <= GARBAGE_BYTES + 16
        responder.answer()
        assert len(responder.take_data()) > M2_FIXED
        with pytest.raises(PeerFault, match="terminator-missing"):
            responder.receive(b"")

    def test_an_invalid_kem_key(self) -> None:
        """From a responder that holds its static key, and sends nonsense sealed: a fault, nothing more is sent."""

        class Nonsense(SeededKeys):
            def kem(self) -> KemPair:
                pair = super().kem()
                pair.encapsulation_key = b"\xff" * 1_184
                return pair

        initiator = InitiatorHandshake(SeededKeys(2), START, b"")
        responder = ResponderHandshake(Nonsense(3), START, STATIC, b"")
        responder.receive(initiator.take_data())
        responder.answer()
        with pytest.raises(PeerFault, match="kem-malformed"):
            initiator.receive(responder.take_data())

    def test_the_longest_search_ends_on_the_byte(self) -> None:
        initiator, responder = both(garbage=(b"", b"\0" * GARBAGE_BYTES))
        responder.receive(initiator.take_data())
        responder.answer()
        second = responder.take_data()
        lied = second[:32] + b"\1" * (GARBAGE_BYTES + 15)
        assert initiator.receive(lied) is None
        with pytest.raises(PeerFault, match="terminator-missing"):
            initiator.receive(b"\1")


def test_secrets_do_not_show() -> None:
    one, _ = shake(*both())
    assert one.session_id.hex() not in repr(one)
    assert "object at" in repr(one)
    assert hidden_from(b"x").hidden.hex() not in repr(hidden_from(b"x"))
