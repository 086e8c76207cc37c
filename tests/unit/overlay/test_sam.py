"""I2P's SAM bridge: what is asked, how lines are cut and answers read, and what no bridge may have us believe."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.limits import SAM_LINE_BYTES
from obscura.overlay import sam
from obscura.overlay.faults import DaemonFault
from obscura.overlay.sam import Destination, SamLine, SamRefused
from obscura.wire.address import NetAddress, Network


def text(raw: bytes) -> str:
    """Bytes in I2P's base64."""
    return b64encode(raw, altchars=b"-~").decode()


KEYS: Final = bytes(range(256)) + b"\xfb\xff\xbf" * 42 + b"\x01\x02"
"""384 bytes of keys; their base64 has both of the letters that are I2P's own."""
PLAIN: Final = KEYS + bytes(3)
"""With the certificate that says nothing."""
TYPED: Final = KEYS + bytes.fromhex("05 0004 0007 0000")
"""With one that says Ed25519."""
LONG: Final = KEYS + b"\x05\x01\x00" + bytes(256)
"""With a certificate of 256 bytes."""
PRIVATE: Final = text(TYPED + b"\x5a" * (256 + 32))
OTHER_PRIVATE: Final = text(TYPED + b"\xa5" * (256 + 32))
HELLO_OK: Final = "HELLO REPLY RESULT=OK VERSION=3.1"
READS: Final[dict[str, Callable[[str], Any]]] = {
    "HELLO REPLY": sam.hello,
    "SESSION STATUS": sam.session_made,
    "NAMING REPLY": sam.looked_up,
    "STREAM STATUS": sam.stream_made,
}


def rule(call: Callable[..., Any], *args: Any) -> str:
    """The rule that an answer breaks."""
    with pytest.raises(DaemonFault) as caught:
        call(*args)
    return caught.value.rule


def refused(call: Callable[[str], Any], line: str) -> tuple[str, str]:
    """What a bridge says with its no."""
    with pytest.raises(SamRefused) as caught:
        call(line)
    assert str(caught.value) == f"{caught.value.result} {caught.value.text}".strip()
    return caught.value.result, caught.value.text


# -- what is asked


def test_the_words() -> None:
    assert sam.HELLO == b"HELLO VERSION MIN=3.1 MAX=3.1\n"
    assert sam.generate() == b"DEST GENERATE SIGNATURE_TYPE=7\n"
    assert sam.create("abc", None) == (
        b"SESSION CREATE STYLE=STREAM ID=abc DESTINATION=TRANSIENT SIGNATURE_TYPE=7 i2cp.leaseSetEncType=4,0\n"
    )
    assert sam.create("abc", Destination(PRIVATE)) == (
        b"SESSION CREATE STYLE=STREAM ID=abc DESTINATION=" + PRIVATE.encode() + b" i2cp.leaseSetEncType=4,0\n"
    )
    assert sam.lookup("ME") == b"NAMING LOOKUP NAME=ME\n"
    assert sam.lookup("a" * 52 + ".b32.i2p") == b"NAMING LOOKUP NAME=" + b"a" * 52 + b".b32.i2p\n"
    assert sam.connect("abc", text(TYPED)) == (
        b"STREAM CONNECT ID=abc DESTINATION=" + text(TYPED).encode() + b" SILENT=false\n"
    )
    assert sam.accept("abc") == b"STREAM ACCEPT ID=abc SILENT=false\n"


HOSTILE: Final = [
    "", "a b", "a\n", "a\nSESSION REMOVE ID=b", "a\r", "a\0", "a\tb", 'a"', "a=b", "\u0131", "a DESTINATION=b", " a",
]  # fmt: skip


@pytest.mark.parametrize("name", [*HOSTILE, "a" * 65, "a-b"])
def test_names_that_no_session_has(name: str) -> None:
    calls: list[Callable[[str], bytes]] = [
        lambda one: sam.create(one, None),
        lambda one: sam.create(one, Destination(PRIVATE)),
        lambda one: sam.connect(one, text(TYPED)),
        sam.accept,
    ]
    for call in calls:
        with pytest.raises(ValueError, match="letters and digits"):
            call(name)


@pytest.mark.parametrize("name", [*HOSTILE, "a" * 256, "a_b", "a/b"])
def test_names_that_i2p_does_not_know(name: str) -> None:
    with pytest.raises(ValueError, match="no name that I2P knows"):
        sam.lookup(name)


def test_the_longest_names() -> None:
    assert sam.accept("a" * 64) == b"STREAM ACCEPT ID=" + b"a" * 64 + b" SILENT=false\n"
    assert sam.lookup("a" * 255) == b"NAMING LOOKUP NAME=" + b"a" * 255 + b"\n"


@pytest.mark.parametrize(
    "private",
    [
        "",
        "TRANSIENT",
        PRIVATE + "\n",
        PRIVATE + " SILENT=true",
        PRIVATE[:-4] + "\nX==",
        "=" + PRIVATE,
        PRIVATE + "===",
        PRIVATE.replace("-", "+"),
        PRIVATE.replace("~", "/"),
        "\u0131" * 600,
        "A" * 515,
        "A" * 4097,
        *("A" * 517, "A" * 518, "ME", "a" * 52 + ".b32.i2p"),
        *(text(raw + bytes(size)) for raw in (PLAIN, TYPED, LONG) for size in (0, 1, 63)),
        *(PRIVATE[:-1], PRIVATE[: len(text(TYPED)) + 20], text(KEYS), text(KEYS + b"\x05\xff\xff" + bytes(2_000))),
        text(KEYS + b"\x05\x0c\x00" + bytes(3_072 + 64)),
    ],
)
def test_texts_that_are_no_private_keys(private: str) -> None:
    assert not sam.is_destination(private)
    with pytest.raises(ValueError, match="no private keys") as caught:
        Destination(private)
    assert len(str(caught.value)) < 80, "it quotes nothing"
    if private.isprintable() and not set(private) & set(' "'):
        assert rule(sam.generated, f"DEST REPLY PUB={text(TYPED)} PRIV={private}") == "sam-destination"


@pytest.mark.parametrize("raw", [PLAIN, TYPED, LONG])
@pytest.mark.parametrize("size", [64, 65, 66, 288, 400])
def test_the_address_of_private_keys(raw: bytes, size: int) -> None:
    assert Destination(text(raw + b"\x5a" * size)).address == sam.address_of(text(raw))


def test_the_longest_private_keys() -> None:
    longest = text(TYPED + bytes(3_072 - len(TYPED)))
    assert len(longest) == 4_096
    assert Destination(longest).address == sam.address_of(text(TYPED))
    assert not sam.is_destination(text(TYPED + bytes(3_075 - len(TYPED))))


@pytest.mark.parametrize(
    "wrong", ["x\nSESSION REMOVE ID=a", "x SILENT=true", "x\r", "", f"{text(TYPED)}\n", "a.b32.i2p="]
)
def test_connect_takes_destinations_only(wrong: str) -> None:
    assert rule(sam.connect, "abc", wrong) == "sam-destination"
    assert rule(sam.connect, "abc", PRIVATE) == "sam-destination", "private keys least of all"


# -- lines


def cut(stream: bytes, ends: list[int]) -> list[bytes]:
    """A stream in pieces."""
    at = [0, *sorted(end % (len(stream) + 1) for end in ends), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(at)]


@given(
    st.lists(st.text(st.characters(min_codepoint=0, max_codepoint=127, exclude_characters="\r\n"), max_size=40)),
    st.sampled_from(["\n", "\r\n"]),
    st.binary(max_size=60),
    st.lists(st.integers(0, 10_000), max_size=12),
)
@settings(max_examples=150)
def test_lines_in_any_cut(lines: list[str], end: str, after: bytes, ends: list[int]) -> None:
    stream = "".join(line + end for line in lines).encode() + after
    pieces = iter(cut(stream, ends))
    reader, found = SamLine(), list[str]()
    while len(found) < len(lines):
        line = reader.feed(b"")
        if line is None:
            line = reader.feed(next(pieces))
        if line is not None:
            found.append(line)
    assert found == lines
    assert reader.rest + b"".join(pieces) == after, "what follows stays as it is"


@given(st.binary(max_size=200), st.integers(0, 200))
@settings(max_examples=60)
def test_the_rest_is_kept_exactly(after: bytes, at: int) -> None:
    stream = b"STREAM STATUS RESULT=OK\n" + after
    reader, line = SamLine(), None
    for begin in range(0, len(stream), at + 1):
        line = reader.feed(stream[begin : begin + at + 1])
        if line is not None:
            assert reader.rest + stream[begin + at + 1 :] == after
            break
    assert line == "STREAM STATUS RESULT=OK"


@pytest.mark.parametrize("step", [1, 7, 4_096, 100_000])
def test_the_longest_line(step: int) -> None:
    def feed(stream: bytes) -> str | None:
        reader, line = SamLine(), None
        for at in range(0, len(stream), step):
            line = reader.feed(stream[at : at + step])
        return line

    assert feed(b"x" * SAM_LINE_BYTES) is None
    assert feed(b"x" * SAM_LINE_BYTES + b"\n") == "x" * SAM_LINE_BYTES
    assert feed(b"x" * (SAM_LINE_BYTES - 1) + b"\r\n") == "x" * (SAM_LINE_BYTES - 1)
    for stream in (b"x" * (SAM_LINE_BYTES + 1), b"x" * (SAM_LINE_BYTES + 1) + b"\n", b"x" * SAM_LINE_BYTES + b"\r\n"):
        assert rule(feed, stream) == "sam-too-long"


def test_what_follows_a_line_may_be_longer() -> None:
    reader = SamLine()
    assert reader.feed(b"STREAM STATUS RESULT=OK\n" + bytes(2 * SAM_LINE_BYTES)) == "STREAM STATUS RESULT=OK"
    assert reader.rest == bytes(2 * SAM_LINE_BYTES)


@pytest.mark.parametrize("line", [b"\xff", b"HELLO REPLY RESULT=OK\x80", "HELLO \u0131".encode()])
def test_lines_that_are_no_text(line: bytes) -> None:
    assert rule(SamLine().feed, line + b"\n") == "sam-syntax"


# -- answers


def test_good_answers() -> None:
    sam.hello(HELLO_OK)
    sam.hello("HELLO REPLY VERSION=3.1 RESULT=OK")
    sam.session_made(f"SESSION STATUS RESULT=OK DESTINATION={PRIVATE}")
    sam.stream_made("STREAM STATUS RESULT=OK")
    sam.stream_made('STREAM STATUS RESULT="OK" MESSAGE="a \\"b\\""')
    assert sam.looked_up(f"NAMING REPLY RESULT=OK NAME=ME VALUE={text(TYPED)}") == text(TYPED)
    made = sam.generated(f"DEST REPLY PUB={text(TYPED)} PRIV={PRIVATE}")
    assert sam.generated(f"DEST REPLY RESULT=OK PUB={text(TYPED)} PRIV={PRIVATE}") == made
    assert made == Destination(PRIVATE) != Destination(OTHER_PRIVATE)
    assert made.private == PRIVATE
    assert sam.is_destination(PRIVATE)


@pytest.mark.parametrize("kind", READS)
@pytest.mark.parametrize(
    ("words", "result", "message"),
    [
        ("RESULT=I2P_ERROR", "I2P_ERROR", ""),
        ("RESULT=NOVERSION", "NOVERSION", ""),
        ('RESULT=TIMEOUT MESSAGE="no lease \\"set\\", it=gone"', "TIMEOUT", 'no lease "set", it=gone'),
        ("RESULT=TIMEOUT MESSAGE=slow and lost", "TIMEOUT", "slow"),
        ('MESSAGE="x" RESULT=INVALID_ID', "INVALID_ID", "x"),
        ("RESULT=KEY_NOT_FOUND NAME=a.i2p", "KEY_NOT_FOUND", ""),
        ("RESULT=I2P_ERROR RESULT=OK", "I2P_ERROR", ""),
        ("RESULT=ok", "UNKNOWN", ""),
        ("", "UNKNOWN", ""),
        ("RESULT", "UNKNOWN", ""),
        ("RESULT=", "UNKNOWN", ""),
        ("result=OK", "UNKNOWN", ""),
        ('RESULT="OK\\n"', "UNKNOWN", ""),
        ('RESULT="OK "', "UNKNOWN", ""),
        ("RESULT=I2P-ERROR", "UNKNOWN", ""),
        ("RESULT=X_9", "X_9", ""),
        ("RESULT=" + "Y" * 32, "Y" * 32, ""),
        ("RESULT=" + "Y" * 33, "UNKNOWN", ""),
        ('RESULT=X MESSAGE="\\033[31mred\\nline\\177"', "X", "?[31mred?line?"),
        ("RESULT=" + "Y" * 500 + ' MESSAGE="' + "z " * 500 + '"', "UNKNOWN", "z " * 100),
    ],
)  # fmt: skip
def test_refusals(kind: str, words: str, result: str, message: str) -> None:
    assert refused(READS[kind], f"{kind} {words}".strip()) == (result, message)


@pytest.mark.parametrize("kind", [*READS, "DEST REPLY"])
@pytest.mark.parametrize(
    "line", ["", " ", "RESULT=OK", "HELLO", "HELLO  REPLY RESULT=OK", "hello reply RESULT=OK", "PING"]
)
def test_other_answers(kind: str, line: str) -> None:
    others = [
        line,
        f" {kind} RESULT=OK",
        f"{kind}RESULT=OK",
        *(f"{other} RESULT=OK" for other in READS if other != kind),
    ]
    call = READS.get(kind, sam.generated)
    for other in others:
        assert rule(call, other) == "sam-syntax"


@pytest.mark.parametrize("kind", [*READS, "DEST REPLY"])
def test_a_quote_that_does_not_end(kind: str) -> None:
    assert rule(READS.get(kind, sam.generated), f'{kind} RESULT=OK MESSAGE="x').endswith("-syntax")


@pytest.mark.parametrize(
    ("words", "result", "message"),
    [
        ('RESULT=I2P_ERROR MESSAGE="no such type"', "I2P_ERROR", "no such type"),
        (f"RESULT=I2P_ERROR PRIV={PRIVATE}", "I2P_ERROR", ""),
        ("RESULT=", "UNKNOWN", ""),
        ("RESULT=ok", "UNKNOWN", ""),
    ],
)
def test_a_refusal_to_make_a_destination(words: str, result: str, message: str) -> None:
    assert refused(sam.generated, f"DEST REPLY {words}") == (result, message)


@pytest.mark.parametrize(
    "version", ["", "VERSION=", "VERSION=3.0", "VERSION=3.3", "VERSION=9", "VERSION=3.10", "VERSION=3.1x"]
)
def test_another_version_than_was_asked_for(version: str) -> None:
    assert rule(sam.hello, f"HELLO REPLY RESULT=OK {version}") == "sam-version"


@pytest.mark.parametrize("words", ["", "PRIV=", f"PUB={text(TYPED)}", "PRIV=short", f"PRIV={PRIVATE}+", 'PRIV="a\\nb"'])
def test_no_destination_was_made(words: str) -> None:
    assert rule(sam.generated, f"DEST REPLY {words}") == "sam-destination"


# -- destinations


@pytest.mark.parametrize("raw", [PLAIN, TYPED, LONG, KEYS + b"\x05\x0a\x7d" + bytes(2_685)])
def test_the_address_of_a_destination(raw: bytes) -> None:
    address = sam.address_of(text(raw))
    assert address == NetAddress(Network.I2P, hashlib.sha256(raw).digest(), 0)
    assert sam.caller(text(raw)) == sam.caller(f"{text(raw)} FROM_PORT=0 TO_PORT=0") == address
    assert sam.looked_up(f"NAMING REPLY RESULT=OK VALUE={text(raw)}") == text(raw)


def test_a_known_destination() -> None:
    address = sam.address_of("A" * 516)
    assert address.reveal() == "gem7z2yovuoqqbg3sd5qzb5dhaiit6osezfdo3cbuonanzjsuzaq.b32.i2p:0"
    assert address.is_routable(allow_local=False)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "ME",
        text(KEYS),
        text(KEYS + bytes(2)),
        text(PLAIN[:-1] + b"\x01"),
        text(PLAIN + b"\x01"),
        text(TYPED[:-1]),
        text(TYPED + b"\x00"),
        PRIVATE,
        text(TYPED).rstrip("="),
        text(TYPED) + "=",
        text(TYPED) + "AAAA",
        "=" + text(TYPED),
        text(TYPED)[:100] + "\n" + text(TYPED)[100:],
        text(TYPED)[:100] + " " + text(TYPED)[100:],
        text(TYPED)[:100] + "==" + text(TYPED)[102:],
        text(TYPED)[:100] + "_" + text(TYPED)[101:],
        text(TYPED)[:100] + "\u0131" + text(TYPED)[101:],
        text(TYPED) + "\n",
        text(TYPED).replace("-", "+"),
        text(TYPED).replace("~", "/"),
        *(text(TYPED)[:-3] + letter + "==" for letter in "BCEIP"),
        text(KEYS + b"\x05\xff\xff" + bytes(65_535)),
        text(KEYS + b"\x05\x0a\x7e" + bytes(2_686)),
        "a" * 52 + ".b32.i2p",
    ],
    ids=lambda one: one[:20],
)
def test_texts_that_are_no_destination(wrong: str) -> None:
    for call in (sam.address_of, lambda one: sam.looked_up(f'NAMING REPLY RESULT=OK VALUE="{quoted(one)}"')):
        with pytest.raises(DaemonFault) as caught:
            call(wrong)
        assert caught.value.rule == "sam-destination"
        assert len(str(caught.value)) < 80, "it quotes nothing"


def quoted(one: str) -> str:
    return one.replace("\\", "\\\\").replace('"', '\\"')


@pytest.mark.parametrize("line", ["", "STREAM STATUS RESULT=I2P_ERROR", f" {text(TYPED)}", f"{text(TYPED)[:-2]} x"])
def test_lines_that_name_no_caller(line: str) -> None:
    assert rule(sam.caller, line) == "sam-destination"


def test_nothing_shows_in_a_repr() -> None:
    one = Destination(PRIVATE)
    for shown in (repr(one), str(one), f"{one}", repr([one])):
        assert "Destination(redacted)" in shown
        assert PRIVATE[:8] not in shown
    assert "redacted" in repr(sam.address_of(text(TYPED)))


# -- whatever a bridge says

_WORDS: Final = st.sampled_from([
    *READS, "DEST REPLY", "RESULT=OK", "RESULT=", 'MESSAGE="', '"', "\\", "VALUE=", "PRIV=", text(TYPED), PRIVATE, "=",
])  # fmt: skip


@given(st.lists(_WORDS | st.text(max_size=3), max_size=8).map(" ".join) | st.text(max_size=60))
@settings(max_examples=200)
def test_whatever_a_line_says(line: str) -> None:
    for call in (*READS.values(), sam.generated, sam.caller, sam.address_of):
        try:
            found = call(line)
        except SamRefused as error:
            assert re.fullmatch(r"[A-Z0-9_]{1,32}", error.result)
            assert error.text.isprintable()
            assert len(error.text) <= 200
        except DaemonFault:
            pass
        else:
            if isinstance(found, str):
                command = sam.connect("a", found)
                assert command.count(b"\n") == 1
                assert command.count(b" ") == 4, "a destination that was looked up adds no words"
            elif isinstance(found, Destination):
                assert sam.create("a", found).count(b"\n") == 1
                assert found.address.network is Network.I2P


# -- what is told


@pytest.mark.parametrize("quoted", [PRIVATE[-150:], "a" * 52 + ".b32.i2p"])
def test_long_words_of_a_refusal_do_not_show(quoted: str) -> None:
    assert quoted not in refused(sam.session_made, f'SESSION STATUS RESULT=INVALID_KEY MESSAGE="not {quoted}"')[1]
