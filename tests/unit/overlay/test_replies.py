"""Replies of Tor's control port in any cut, their bounds, and the values in their lines."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.limits import TOR_LINE_BYTES, TOR_REPLY_BYTES
from obscura.overlay.faults import DaemonFault
from obscura.overlay.replies import Reply, ReplyLine, ReplyReader, pairs, quoted_values

# -- replies


def cut(stream: bytes, ends: Iterable[int]) -> list[bytes]:
    """A stream in pieces."""
    at = [0, *sorted(end % (len(stream) + 1) for end in ends), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(at)]


def read(pieces: Iterable[bytes]) -> tuple[list[Reply], str | None]:
    """The replies of a stream up to the first fault, and the rule that it breaks."""
    reader, replies = ReplyReader(), list[Reply]()
    try:
        for piece in pieces:
            replies.extend(reader.feed(piece))
    except DaemonFault as fault:
        return replies, fault.rule
    return replies, None


def stream_of(reply: Reply) -> bytes:
    """A reply as Tor writes it."""
    lines = []
    for line in reply.lines:
        mark = " " if line is reply.lines[-1] else "+" if line.body else "-"
        lines.append(f"{reply.code:03}{mark}{line.text}")
        if mark == "+":
            lines += ["." + one if one.startswith(".") else one for one in line.body]
            lines.append(".")
    return "".join(line + "\r\n" for line in lines).encode()


one_line = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", ".", "..", "250 OK", "650 HS_DESC", ".250 OK", "A=B", '"']
)
reply_lines = st.builds(ReplyLine, one_line, st.lists(one_line, max_size=3).map(tuple) | st.just(()))
replies_ = st.builds(
    lambda code, lines, last: Reply(code, (*lines, ReplyLine(last))),
    st.sampled_from([200, 250, 251, 510, 650, 650, 0, 999]),
    st.lists(reply_lines, max_size=4),
    one_line,
)
ends = st.lists(st.integers(0, 100_000), max_size=12)


@given(st.lists(replies_, max_size=5), ends)
@settings(max_examples=150)
def test_replies_in_any_cut(replies: list[Reply], ends: list[int]) -> None:
    stream = b"".join(map(stream_of, replies))
    assert read(cut(stream, ends)) == (replies, None)
    assert read(bytes([byte]) for byte in stream) == (replies, None)


_SCRAPS: Final = st.sampled_from(
    [b"250 ", b"250-", b"250+", b"650 ", b"65", b"\r\n", b"\n", b".\r\n", b"\r", b".", b" ", b"x=y", b"\xff", b"\x00"]
)


@given(st.lists(_SCRAPS | st.binary(max_size=3), max_size=30).map(b"".join), ends)
@settings(max_examples=200)
def test_rubbish_in_any_cut(stream: bytes, ends: list[int]) -> None:
    whole, fault = read([stream])
    assert read(cut(stream, ends)) == (whole, fault)
    for reply in whole:
        assert reply.lines
        assert reply.is_fine == (reply.code // 100 == 2)
        assert reply.is_event == (reply.code // 100 == 6)
        assert reply.last == reply.lines[-1].text


@pytest.mark.parametrize(
    ("stream", "replies"),
    [
        (b"250 OK\r\n", [Reply(250, (ReplyLine("OK"),))]),
        (b"250 \r\n", [Reply(250, (ReplyLine(""),))]),
        (b"250 a\n250 b\n", [Reply(250, (ReplyLine("a"),)), Reply(250, (ReplyLine("b"),))]),
        (b"250-a=b\r\n250 OK\r\n", [Reply(250, (ReplyLine("a=b"), ReplyLine("OK")))]),
        (
            b"250+a=\r\nx\r\n..\r\n.y\r\n250 z\r\n\r\n.\r\n250 OK\r\n",
            [Reply(250, (ReplyLine("a=", ("x", ".", "y", "250 z", "")), ReplyLine("OK")))],
        ),
        (b"250+a\r\n.\r\n250 OK\r\n", [Reply(250, (ReplyLine("a"), ReplyLine("OK")))]),
        (
            b"650 A\r\n250-b\r\n250 c\r\n650-D\r\n650 e\r\n",
            [
                Reply(650, (ReplyLine("A"),)),
                Reply(250, (ReplyLine("b"), ReplyLine("c"))),
                Reply(650, (ReplyLine("D"), ReplyLine("e"))),
            ],
        ),
        (b"250 \xff\xc3\xa9\r\n", [Reply(250, (ReplyLine("\ufffd\u00e9"),))]),
        (b"250 OK", []),
        (b"250 OK\r", []),
        (b"250-a\r\n", []),
        (b"250+a\r\n250 OK\r\n", []),
        (b"", []),
    ],
)
def test_forms(stream: bytes, replies: list[Reply]) -> None:
    assert read([stream]) == (replies, None)


@pytest.mark.parametrize(
    "stream",
    [
        b"\r\n",
        b"250\r\n",
        b"25 OK\r\n",
        b" 250 OK\r\n",
        b"250:OK\r\n",
        b"250\tOK\r\n",
        b"2x0 OK\r\n",
        b"-50 OK\r\n",
        b"+50 OK\r\n",
        b"OK\r\n",
        "\u0662\u0665\u0660 OK\r\n".encode(),
        b"\x00\x00\x00 OK\r\n",
        b"HTTP/1.0 501 Tor is not an HTTP Proxy\r\n",
        b"SSH-2.0-x\r\n",
        b"250-a\r\n251 OK\r\n",
        b"250-a\r\n650 b\r\n",
        b"650-a\r\n250 b\r\n",
        b"250+a\r\nx\r\n.\r\n551 b\r\n",
    ],
)
def test_what_is_no_reply(stream: bytes) -> None:
    for pieces in ([stream], [bytes([byte]) for byte in stream]):
        assert read(pieces) == ([], "control-syntax")


def test_replies_before_a_fault_come_first() -> None:
    stream = b"515 Authentication failed\r\n650 x\r\ngarbage\r\n250 OK\r\n"
    both = [Reply(515, (ReplyLine("Authentication failed"),)), Reply(650, (ReplyLine("x"),))]
    for step in (1, 30, 1_000):
        assert read(in_steps(stream, step)) == (both, "control-syntax")
    reader = iter(ReplyReader().feed(stream))
    assert [next(reader), next(reader)] == both
    with pytest.raises(DaemonFault):
        next(reader)


def test_a_fault_quotes_nothing() -> None:
    for stream in (b"PrivateKey=ED25519-V3:secret\r\n", b"250-a\r\n251 secret\r\n", b"x" * (TOR_LINE_BYTES + 1)):
        with pytest.raises(DaemonFault) as caught:
            list(ReplyReader().feed(stream))
        assert "secret" not in str(caught.value)
        assert len(str(caught.value)) < 80


def test_a_reply_hides_what_it_says() -> None:
    [reply] = ReplyReader().feed(b"250-ServiceID=name\r\n250+PrivateKey=secret\r\nmore\r\n.\r\n250 OK\r\n")
    for text in (repr(reply), repr(reply.lines), str(reply), f"{reply.lines[1]}"):
        assert not any(word in text for word in ("name", "secret", "more"))
    assert "250" in repr(reply)


STEPS: Final = (1, 4_093, 65_536, 1 << 30)


def in_steps(stream: bytes, step: int) -> list[bytes]:
    return [stream[at : at + step] for at in range(0, len(stream), step)]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("head", [b"250 ", b"250+x\r\n", b"650-"])
def test_the_longest_line(step: int, head: bytes) -> None:
    last = head.rpartition(b"\n")[2]
    longest = head + b"y" * (TOR_LINE_BYTES - len(last))
    assert read(in_steps(longest, step)) == ([], None)
    for end in (b"\r", b"\n", b"\r\n"):
        assert read(in_steps(longest + end, step))[1] is None
    for more in (b"y", b"y\n", b"y\r\n", b"\ry", b"\r\r", b"\r\r\n", b"yy" * TOR_LINE_BYTES):
        assert read(in_steps(longest + more, step)) == ([], "control-too-long")


@pytest.mark.parametrize("step", STEPS[1:])
@pytest.mark.parametrize(("head", "begin", "tail"), [("", "250-", "250 OK\r\n"), ("250+x\r\n", "", ".\r\n250 OK\r\n")])
def test_the_longest_reply(step: int, head: str, begin: str, tail: str) -> None:
    line = f"{begin}{'y' * 1_000}\r\n"
    lines = line * (TOR_REPLY_BYTES // len(line) - 1)
    left = TOR_REPLY_BYTES - len(head + lines + begin + "\r\n" + tail)
    longest, longer = (f"{head}{lines}{begin}{'z' * size}\r\n{tail}".encode() for size in (left, left + 1))
    assert len(longest) == TOR_REPLY_BYTES
    [reply], fault = read(in_steps(longest, step))
    assert (reply.last, fault) == ("OK", None)
    assert read(in_steps(longer, step)) == ([], "control-too-long")
    assert read(in_steps(longest + longest, step))[1] is None, "each reply is measured for itself"


def test_replies_do_not_add_up() -> None:
    reader = ReplyReader()
    event = b"650 STATUS_CLIENT " + b"x" * 1_000 + b"\r\n"
    assert sum(len(list(reader.feed(event * 50))) for _ in range(25)) == 1_250
    assert 1_250 * len(event) > TOR_REPLY_BYTES


# -- pairs


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("   ", {}),
        ("A=b", {"A": "b"}),
        ("A=b C D=e", {"A": "b", "C": "", "D": "e"}),
        ("  A=b   C=d  ", {"A": "b", "C": "d"}),
        ("A=", {"A": ""}),
        ('A=""', {"A": ""}),
        ("A=b=c==", {"A": "b=c=="}),
        ('A=b"c', {"A": 'b"c'}),
        ("=b", {"": "b"}),
        ("A=1 A=2", {"A": "1"}),
        ('A="b c" D=e', {"A": "b c", "D": "e"}),
        ('A="b \\"c\\" \\\\ d"', {"A": 'b "c" \\ d'}),
        (r'A="\n\t\r\x\'"', {"A": "\n\t\rx'"}),
        (r'A="\101\0\7z\1234"', {"A": "A\0\7zS4"}),
        (r'A="\303\251"', {"A": "\u00e9"}),
        (r'A="\377"', {"A": "\ufffd"}),
        (r'A="\501"', {"A": "A"}),
        (r'A="\8"', {"A": "8"}),
        ('A="\u00e9 \\\u00e9"', {"A": "\u00e9 \u00e9"}),
        ('METHODS=COOKIE,SAFECOOKIE COOKIEFILE="/run/a b"', {"METHODS": "COOKIE,SAFECOOKIE", "COOKIEFILE": "/run/a b"}),
    ],
)
def test_pairs(text: str, found: dict[str, str]) -> None:
    assert pairs(text) == found


@pytest.mark.parametrize("text", ['A="', 'A="b', 'A="b\\"', 'A="b\\', 'A=b C="d e', 'A="\\1'])
def test_quotes_that_do_not_end(text: str) -> None:
    with pytest.raises(DaemonFault) as caught:
        pairs(text)
    assert caught.value.rule == "control-syntax"


def escaped(value: str) -> str:
    """In quotes, as Tor does it: what is not plain ASCII in octal."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in value.encode())
    return '"' + "".join(plain) + '"'


values = st.dictionaries(
    st.text("ABCXYZ_", min_size=1, max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    max_size=5,
)


@given(values)
@settings(max_examples=100)
def test_pairs_read_back(written: dict[str, str]) -> None:
    assert pairs(" ".join(f"{key}={escaped(value)}" for key, value in written.items())) == written


@given(st.text(st.sampled_from('AB= "\\01\u00e9\n'), max_size=30) | st.text(max_size=30))
@settings(max_examples=200)
def test_any_text_is_pairs_or_a_fault(text: str) -> None:
    try:
        found = pairs(text)
    except DaemonFault:
        assert '"' in text
    else:
        assert not any(" " in key or "=" in key for key in found)


# -- values in quotes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("a b=c", []),
        ('""', [""]),
        ('"a"', ["a"]),
        ('"a b" "c"', ["a b", "c"]),
        ('"a""b"', ["a", "b"]),
        ('x "a" y "b" z', ["a", "b"]),
        ('"a" "a"', ["a", "a"]),
        ('"a \\"b\\" \\\\"', ['a "b" \\']),
        (r'"\303\251\n"', ["\u00e9\n"]),
    ],
)
def test_quoted_values(text: str, found: list[str]) -> None:
    assert quoted_values(text) == found


@pytest.mark.parametrize("text", ['"', '"a', '"a" "', '"a\\"', '"a" x"', '"a\\'])
def test_quoted_values_that_do_not_end(text: str) -> None:
    with pytest.raises(DaemonFault) as caught:
        quoted_values(text)
    assert caught.value.rule == "control-syntax"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=5))
@settings(max_examples=60)
def test_quoted_values_read_back(written: list[str]) -> None:
    assert quoted_values(" ".join(map(escaped, written))) == written
