"""Targets: what an operator may write, what it means, and what is refused."""

from __future__ import annotations

import pytest

from obscura.wire.address import AddressError, Network, parse_address
from obscura.wire.identity import AccessSecret, KeyClass, class_of
from obscura.wire.keytext import key_text, secret_text
from obscura.wire.target import Mode, Target, parse_target, target_text

RAW, SECRET = bytes(range(32)), b"\x77" * 32
KEY, ACCESS = key_text(RAW), secret_text(SECRET)
ADDRESS = parse_address("20.1.2.3:8333")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("20.1.2.3:8333", Target(ADDRESS)),
        ("veiled://20.1.2.3:8333", Target(ADDRESS, Mode.VEILED)),
        ("literal://20.1.2.3:8333", Target(ADDRESS, Mode.LITERAL)),
        ("plain://20.1.2.3:8333", Target(ADDRESS, Mode.PLAIN)),
        (f"obscura://{KEY}@20.1.2.3:8333", Target(ADDRESS, Mode.VEILED, RAW)),
        (f"obscura://{KEY}.{ACCESS}@20.1.2.3:8333", Target(ADDRESS, Mode.VEILED, RAW, SECRET)),
        (f"obscura://{KEY}@[2001:db8::1]:1", Target(parse_address("[2001:db8::1]:1"), Mode.VEILED, RAW)),
        ("plain://" + "a" * 52 + ".b32.i2p:0", Target(parse_address("a" * 52 + ".b32.i2p"), Mode.PLAIN)),
    ],
)
def test_the_forms(text: str, target: Target) -> None:
    assert parse_target(f" {text}\n") == target
    assert target_text(target) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "HOST:PORT"),
        ("example.org:1", "not resolved"),
        ("1.2.3.4:0", "port 0"),
        ("plain://1.2.3.4:0", "port 0"),
        ("plain://", "HOST:PORT"),
        (
            "http://1.2.3.4:1",
            "'http' is no scheme of an address; known are obscura://, veiled://, literal://, plain://",
        ),
        ("PLAIN://1.2.3.4:1", "schemes are in lower case"),
        ("Obscura://1.2.3.4:1", "schemes are in lower case"),
        (f"{KEY}@1.2.3.4:1", "needs its scheme: obscura://KEY@1.2.3.4:1"),
        (f"plain://{KEY}@1.2.3.4:1", "a key goes with obscura:// alone, plain"),
        (f"literal://{KEY}@1.2.3.4:1", "a key goes with obscura:// alone, literal"),
        (f"veiled://{KEY}@1.2.3.4:1", "a key goes with obscura:// alone, veiled"),
        ("obscura://1.2.3.4:1", "needs a key"),
        (f"1.2.3.4:1@{KEY}.{ACCESS}", "needs its scheme: obscura://KEY@…"),
        (f"plain://1.2.3.4:1@{KEY}.{ACCESS}", "plain://…@…: a key goes with"),
        (f"obscura://1.2.3.4:1@{KEY}.{ACCESS}", "is no address"),
        (f"{ACCESS}://1.2.3.4:1", "'…' is no scheme"),
        (f"{ACCESS}x:1", "is no address"),
        (f"{ACCESS[5:]}:1", "is no address"),
        (f"{KEY},{ACCESS}", "is no address"),
        ("-".join(ACCESS[at : at + 4] for at in range(0, 55, 4)), "is no address"),
        ("a" * 56 + ".onion:1", "'a{56}.onion:1' is not a version 3 onion address"),
        ("a" * 56 + f".onion:{ACCESS}", "is no address"),
        (KEY, "is no address"),
        (f"{KEY}.{ACCESS}", "is no address"),
        (f"{KEY}:1.2.3.4:1", "is no address"),
        (f"plain://{ACCESS}:1", "is no address"),
        ("obscura://@1.2.3.4:1", "the key has 0 characters"),
        (f"obscura://{KEY}@1.2.3.4", "HOST:PORT"),
        (f"obscura://{KEY}@example.org:1", "not resolved"),
        (f"obscura://{KEY.upper()}@1.2.3.4:1", "lower case"),
        (f"obscura://{KEY[:-1]}@1.2.3.4:1", "54 characters"),
        (f"obscura://{KEY}.@1.2.3.4:1", "the access secret has 0 characters"),
        (f"obscura://{KEY}.{KEY}@1.2.3.4:1", "the key stands where the access secret belongs"),
        (f"obscura://{ACCESS}@1.2.3.4:1", "the access secret stands where the key belongs"),
        (f"obscura://.{ACCESS}@1.2.3.4:1", "the key has 0 characters"),
        (f"obscura://{KEY}.{ACCESS}x@1.2.3.4:1", "56 characters"),
        (f"obscura://{KEY}.{ACCESS}@{KEY}@1.2.3.4:1", "characters"),
    ],
)
def test_refusals_say_why_and_quote_no_secret(text: str, said: str) -> None:
    with pytest.raises(AddressError, match=said.replace(".", r"\.")) as caught:
        parse_target(text)
    assert "\n" not in str(caught.value)
    assert KEY[:20] not in str(caught.value)
    assert ACCESS[:20] not in str(caught.value)


def test_contradictions_cannot_be_built() -> None:
    for mode in (None, Mode.LITERAL, Mode.PLAIN):
        with pytest.raises(ValueError, match="veiled"):
            Target(ADDRESS, mode, RAW)
    with pytest.raises(ValueError, match="belongs to a key"):
        Target(ADDRESS, Mode.VEILED, None, SECRET)
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            Target(ADDRESS, Mode.VEILED, wrong)


def test_nothing_shows_in_a_repr() -> None:
    for target in (Target(ADDRESS), Target(ADDRESS, Mode.VEILED, RAW, SECRET)):
        for text in (repr(target), str(target), f"{target}"):
            assert "20." not in text
            assert KEY not in text
            assert repr(RAW) not in text
            assert repr(SECRET) not in text
    assert repr(AccessSecret(SECRET)) == "AccessSecret(redacted)"


def test_modes_are_true() -> None:
    assert all(Mode), "a mode never looks like none given"
    assert [mode.value for mode in Mode] == [0, 1, 2], "as in the prologue"


def test_each_network_has_a_class() -> None:
    assert [class_of(network).value for network in Network] == ["clearnet", "clearnet", "onion", "i2p", "cjdns"]
    assert len(KeyClass) == 4
