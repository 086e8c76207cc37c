"""Keys, secrets and targets: what is written reads back, and no text raises anything but an address error."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from obscura.wire.address import ADDRESS_LENGTHS, AddressError, NetAddress, Network, parse_address
from obscura.wire.keytext import KeyTextError, key_text, parse_key, parse_secret, secret_text
from obscura.wire.target import Mode, Target, parse_target, target_text

raw = st.binary(min_size=32, max_size=32)


def _address(network: Network) -> st.SearchStrategy[NetAddress]:
    length = ADDRESS_LENGTHS[network]
    port = st.just(0) if network is Network.I2P else st.integers(1, 65_535)
    return st.builds(NetAddress, st.just(network), st.binary(min_size=length, max_size=length), port)


addresses = st.sampled_from(list(Network)).flatmap(_address)
targets = st.one_of(
    st.builds(Target, addresses, st.none() | st.sampled_from(list(Mode))),
    st.builds(Target, addresses, st.just(Mode.VEILED), raw, st.none() | raw),
)


@given(raw)
def test_key_round_trip(key: bytes) -> None:
    assert parse_key(key_text(key)) == key
    assert parse_secret(secret_text(key)) == key


@given(raw, st.integers(0, 54), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_mistake_in_a_key(key: bytes, at: int, char: str) -> None:
    text = key_text(key)
    assume(text[at] != char)
    with pytest.raises(KeyTextError):
        parse_key(text[:at] + char + text[at + 1 :])


@given(targets)
def test_target_round_trip(target: Target) -> None:
    # Some bytes of one network's length are another network's address in text (an IPv6 in fc00::/8 is CJDNS).
    assume(parse_address(target.address.reveal()) == target.address)
    assert parse_target(target_text(target)) == target


@given(
    st.one_of(
        st.text(),
        st.builds("".join, st.lists(st.sampled_from(["obscura", "plain", "://", "@", ".", ":", "1.2.3.4", "8", "a"]))),
        st.builds(lambda target, at, char: target_text(target)[:at] + char, targets, st.integers(0, 60), st.text()),
    )
)
def test_any_text_is_a_target_or_an_address_error(text: str) -> None:
    try:
        target = parse_target(text)
    except AddressError as error:
        assert str(error)
    else:
        assert parse_target(target_text(target)) == target


SECRET = secret_text(bytes(range(100, 132)))


@given(
    st.permutations(["obscura", "://", key_text(bytes(range(32))), ".", SECRET, "@", "1.2.3.4", ":", "8333"]),
    st.integers(0, 200),
    st.sampled_from(["", " ", "@", "://", ".", ",", "-", "x", "%2e"]),
    st.integers(0, 8),
)
def test_a_text_that_was_copied_badly_is_refused_without_its_secret(
    parts: list[str], at: int, added: str, left_out: int
) -> None:
    text = "".join(parts)
    text = text[:at] + added + text[at + left_out :]
    try:
        parse_target(text)
    except AddressError as error:
        shown = str(error)
        assert not any(SECRET[start : start + 20] in shown for start in range(len(SECRET) - 19))
