"""SOCKS5 as its client: what is asked for, byte by byte, and every answer of a proxy at every step."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.overlay.faults import DaemonFault
from obscura.overlay.socks import Credentials, Socks5

ONION: Final = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion"
LOGIN: Final = Credentials(b"somebody", b"a long secret")
LOGIN_BYTES: Final = b"\x01\x08somebody\x0da long secret"
REASONS: Final = {
    1: "proxy-failure",
    2: "proxy-forbids",
    3: "network-unreachable",
    4: "host-unreachable",
    5: "connect-refused",
    6: "connect-timeout",
    7: "proxy-unable",
    8: "proxy-unable",
    0xF0: "onion-not-found",
    0xF1: "onion-invalid",
    0xF2: "onion-introduction",
    0xF3: "onion-rendezvous",
    0xF4: "onion-needs-key",
    0xF5: "onion-wrong-key",
    0xF6: "onion-bad-address",
    0xF7: "onion-timeout",
}
"""RFC 1928, "Replies", and Tor's socks-extensions."""
WITHOUT: Final = (b"\x05\x00",)
WITH: Final = (b"\x05\x02", b"\x01\x00")


def said(request: Socks5, *answers: bytes) -> list[bytes]:
    """What is written for each answer of the proxy."""
    return [request.feed(answer) for answer in answers]


def asked(credentials: Credentials | None = None) -> Socks5:
    """One that has sent its request."""
    request = Socks5(ONION, 8333, credentials)
    said(request, *(WITHOUT if credentials is None else WITH))
    assert request.wanted == 4
    return request


def rule(request: Socks5, answer: bytes) -> str:
    """The rule that an answer breaks."""
    with pytest.raises(DaemonFault) as caught:
        request.feed(answer)
    assert request.reason is None
    return caught.value.rule


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("1.2.3.4", 8333, "01 01020304 208d"),
        ("0.0.0.0", 0, "01 00000000 0000"),
        ("2001:db8::7", 1, "04 20010db8000000000000000000000007 0001"),
        ("fc00::1", 65_535, "04 fc000000000000000000000000000001 ffff"),
        ("::ffff:1.2.3.4", 256, "04 00000000000000000000ffff01020304 0100"),
        (ONION, 8333, f"03 3e {ONION.encode().hex()} 208d"),
        ("a" * 52 + ".b32.i2p", 0, f"03 3c {'61' * 52}{b'.b32.i2p'.hex()} 0000"),
        ("a", 80, "03 01 61 0050"),
        ("b" * 255, 80, f"03 ff {'62' * 255} 0050"),
        ("1.2.3.4.5", 80, f"03 09 {b'1.2.3.4.5'.hex()} 0050"),
    ],
)
def test_the_request_in_bytes(host: str, port: int, address: str) -> None:
    request = Socks5(host, port)
    assert request.begin() == b"\x05\x01\x00"
    assert said(request, *WITHOUT) == [bytes.fromhex(f"05 01 00 {address}")]
    other = Socks5(host, port, LOGIN)
    assert other.begin() == b"\x05\x01\x02", "no method without them is offered"
    assert said(other, *WITH) == [LOGIN_BYTES, bytes.fromhex(f"05 01 00 {address}")]


@pytest.mark.parametrize("host", ["", "a" * 256, "a" * 5_000, "\u0131.onion", "a\0", "a\n.onion", "\x1b[31m", "a\x7f"])
def test_names_that_cannot_be_asked_for(host: str) -> None:
    with pytest.raises(ValueError, match=f"a name of {len(host)} characters that cannot be asked for"):
        Socks5(host, 1)


@pytest.mark.parametrize("port", [-1, 65_536, 1 << 40])
@pytest.mark.parametrize("host", ["1.2.3.4", ONION])
def test_ports_that_there_are_not(host: str, port: int) -> None:
    with pytest.raises(ValueError, match="not a port"):
        Socks5(host, port)


@pytest.mark.parametrize("size", [0, 256, 1_000])
def test_credentials_that_do_not_fit(size: int) -> None:
    for user, password in ((bytes(size), b"x"), (b"x", bytes(size))):
        with pytest.raises(ValueError, match=f"1 to 255 bytes, not {size}"):
            Credentials(user, password)


@pytest.mark.parametrize("size", [1, 255])
def test_credentials_that_just_fit(size: int) -> None:
    request = Socks5("a", 1, Credentials(b"u" * size, b"p" * size))
    assert request.feed(b"\x05\x02") == b"\x01" + bytes([size]) + b"u" * size + bytes([size]) + b"p" * size


class TestTheMethod:
    @pytest.mark.parametrize("credentials", [None, LOGIN])
    def test_every_choice(self, credentials: Credentials | None) -> None:
        offered = 0 if credentials is None else 2
        for method in range(256):
            request = Socks5(ONION, 8333, credentials)
            answer = bytes([5, method])
            if method == offered:
                assert request.feed(answer)
                assert request.reason is None
            elif method == 0xFF:
                assert request.feed(answer) == b""
                assert (request.reason, request.wanted) == ("proxy-authentication", 0)
            else:
                assert rule(request, answer) == "socks-method", "one that was not offered"

    @pytest.mark.parametrize("credentials", [None, LOGIN])
    def test_every_other_version(self, credentials: Credentials | None) -> None:
        for version in set(range(256)) - {5}:
            for method in (0, 2, 0xFF):
                assert rule(Socks5(ONION, 8333, credentials), bytes([version, method])) == "socks-version"


class TestTheLogin:
    def test_every_status(self) -> None:
        for status in range(256):
            request = Socks5(ONION, 8333, LOGIN)
            request.feed(b"\x05\x02")
            written = request.feed(bytes([1, status]))
            if status == 0:
                assert written.startswith(b"\x05\x01\x00\x03")
            else:
                assert (written, request.reason, request.wanted) == (b"", "proxy-authentication", 0)

    def test_every_other_version(self) -> None:
        for version in set(range(256)) - {1}:
            request = Socks5(ONION, 8333, LOGIN)
            request.feed(b"\x05\x02")
            assert rule(request, bytes([version, 0])) == "socks-version"


@pytest.mark.parametrize("credentials", [None, LOGIN])
class TestTheReply:
    def test_every_refusal(self, credentials: Credentials | None) -> None:
        for code in range(1, 256):
            request = asked(credentials)
            # Whatever kind of address it names: the proxy may close at once.
            assert request.feed(bytes([5, code, 0, code])) == b""
            assert (request.reason, request.wanted) == (REASONS.get(code, "proxy-failure"), 0)

    def test_every_other_version(self, credentials: Credentials | None) -> None:
        for version in set(range(256)) - {5}:
            assert rule(asked(credentials), bytes([version, 0, 0, 1])) == "socks-version"
            assert rule(asked(credentials), bytes([version, 1, 0, 1])) == "socks-version"

    def test_every_other_kind_of_address(self, credentials: Credentials | None) -> None:
        for kind in set(range(256)) - {1, 3, 4}:
            assert rule(asked(credentials), bytes([5, 0, 0, kind])) == "socks-address"

    @pytest.mark.parametrize(("kind", "size"), [(1, 6), (4, 18)])
    def test_addresses(self, credentials: Credentials | None, kind: int, size: int) -> None:
        request = asked(credentials)
        assert request.feed(bytes([5, 0, 0, kind])) == b""
        assert request.wanted == size
        assert request.feed(bytes(size)) == b""
        assert (request.reason, request.wanted) == (None, 0), "the stream stands"

    def test_names_of_every_length(self, credentials: Credentials | None) -> None:
        for length in range(256):
            request = asked(credentials)
            assert said(request, b"\x05\x00\x00\x03", bytes([length])) == [b"", b""]
            assert request.wanted == length + 2
            assert request.feed(b"\xff" * (length + 2)) == b""
            assert (request.reason, request.wanted) == (None, 0)


STEPS: Final[dict[str, Callable[[], Socks5]]] = {
    "method": lambda: Socks5(ONION, 1, LOGIN),
    "login": lambda: fed(Socks5(ONION, 1, LOGIN), b"\x05\x02"),
    "reply": lambda: asked(LOGIN),
    "address": lambda: fed(asked(), b"\x05\x00\x00\x04"),
    "length": lambda: fed(asked(), b"\x05\x00\x00\x03"),
    "name": lambda: fed(asked(), b"\x05\x00\x00\x03", b"\x07"),
    "refused": lambda: fed(Socks5(ONION, 1), b"\x05\xff"),
    "done": lambda: fed(asked(), b"\x05\x00\x00\x01", bytes(6)),
}


def fed(request: Socks5, *answers: bytes) -> Socks5:
    said(request, *answers)
    return request


@pytest.mark.parametrize("step", STEPS)
def test_another_number_of_bytes_is_a_mistake_of_ours(step: str) -> None:
    request = STEPS[step]()
    wanted = request.wanted
    for size in {0, 1, wanted - 1, wanted + 1, 300} - {wanted, -1} | ({0} if not wanted else set()):
        with pytest.raises(ValueError, match=f"{wanted} bytes are wanted, not {size}"):
            request.feed(b"\x05" * size)
        assert request.wanted == wanted, "nothing was taken"


@pytest.mark.parametrize("tail", ["01 00000000 0000", "03 00 0000", "03 02 6162 0000", f"04 {'00' * 16} 0000"])
def test_nothing_of_the_stream_is_taken(tail: str) -> None:
    request = Socks5(ONION, 8333)
    stream = bytes.fromhex(f"0500 050000 {tail}") + b"the stream"
    at = 0
    while request.wanted:
        end = at + request.wanted
        request.feed(stream[at:end])
        at = end
    assert stream[at:] == b"the stream"


@given(st.data(), st.sampled_from([None, LOGIN]))
@settings(max_examples=150)
def test_whatever_a_proxy_says(data: st.DataObject, credentials: Credentials | None) -> None:
    request = Socks5(ONION, 8333, credentials)
    written = [request.begin()]
    likely = st.sampled_from([b"\x05", b"\x00", b"\x01", b"\x02", b"\x03", b"\x04", b"\xff"])
    byte = likely | st.binary(min_size=1, max_size=1)
    try:
        for _ in range(6):
            if not request.wanted:
                break
            assert request.wanted <= 255 + 2
            few = min(request.wanted, 4)
            answer = b"".join(data.draw(st.lists(byte, min_size=few, max_size=few)))
            written.append(request.feed(answer.ljust(request.wanted, b"\0")))
    except DaemonFault:
        assert request.reason is None
    else:
        assert request.wanted == 0, "it ends after six answers at most"
    requests = [one for one in written if one.startswith(b"\x05\x01\x00\x03")]
    assert len(requests) <= 1
    if credentials is not None:
        assert not requests or written[1] == LOGIN_BYTES, "nothing is asked for before the login"


@given(st.ip_addresses(), st.integers(0, 65_535))
@settings(max_examples=50)
def test_every_ip_address_goes_as_bytes(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    [written] = said(Socks5(str(address), port), *WITHOUT)
    kind = b"\x01" if address.version == 4 else b"\x04"
    assert written == b"\x05\x01\x00" + kind + address.packed + port.to_bytes(2, "big")


def test_nothing_shows_in_a_repr() -> None:
    for text in (repr(LOGIN), str(LOGIN), f"{LOGIN}", repr((LOGIN,)), repr(asked(LOGIN))):
        for secret in ("somebody", "secret", ONION[:10]):
            assert secret not in text


def test_a_fault_does_not_quote_what_was_asked_for() -> None:
    for answers in ([b"\x04\x00"], [b"\x05\x07"], [b"\x05\x02", b"\x05\x00"], [*WITH, b"\x05\x00\x00\x09"]):
        with pytest.raises(DaemonFault) as caught:
            said(Socks5(ONION, 8333, LOGIN), *answers)
        assert "onion" not in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["\u0131" + ONION, ONION + "\n", ONION + "\0", ONION * 5])
def test_a_name_that_cannot_be_asked_for_is_not_quoted(host: str) -> None:
    with pytest.raises(ValueError, match=f"a name of {len(host)} characters that cannot be asked for") as caught:
        Socks5(host, 1)
    assert ONION not in f"{caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "answers",
    [
        [b"\x04\x00"],
        [b"\x05\x07"],
        [b"\x05\x02", b"\x05\x00"],
        [*WITH, b"\x04\x00\x00\x01"],
        [*WITH, b"\x05\x00\x00\x09"],
    ],
)
def test_nothing_goes_on_after_a_fault(answers: list[bytes]) -> None:
    request = Socks5(ONION, 8333, LOGIN)
    said(request, *answers[:-1])
    rule(request, answers[-1])
    assert request.wanted == 0
    for answer in (b"", b"\x05\x02", answers[-1]):
        with pytest.raises(ValueError, match="0 bytes are wanted"):
            request.feed(answer)
