"""Replies of Tor's control port, from bytes (Tor's control-spec, "Message format").

A reply has one code and one or more lines; a line that stands with ``+`` has a body after it. Events have codes of 650
and come between replies, never within one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..base.limits import TOR_LINE_BYTES, TOR_REPLY_BYTES
from .faults import DaemonFault

_WORD_SHOWN: Final = 24
"""Characters. A password in hexadecimal, a key and an address are longer, but for the shortest passwords."""
_PREFIX: Final = 4
"""Three digits, and a mark that says what follows."""


@dataclass(frozen=True, slots=True)
class ReplyLine:
    """One line of a reply, without its code."""

    text: str = field(repr=False)
    body: tuple[str, ...] = field(default=(), repr=False)
    """Lines that belong to it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, or one event."""

    code: int
    lines: tuple[ReplyLine, ...]

    @property
    def is_event(self) -> bool:
        """Nobody has asked for it."""
        return 600 <= self.code < 700

    @property
    def is_fine(self) -> bool:
        """What was asked for was done."""
        return 200 <= self.code < 300

    @property
    def last(self) -> str:
        """Text of the last line: of an error, what is wrong."""
        return self.lines[-1].text


class ReplyReader:
    """Cuts a stream of bytes into replies. After a fault it is of no use."""

    __slots__ = ("_body", "_code", "_data", "_lines", "_size")

    def __init__(self) -> None:
        self._data = bytearray()
        self._lines: list[ReplyLine] = []
        self._code: int | None = None
        """Of the reply that is being read."""
        self._body: list[str] | None = None
        """Of the line that is being read."""
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Reply]:
        """The replies that are complete with this, one after the other; take all of them.

        Raises:
            DaemonFault: a line or a reply is too long, or is none; those before it have come by then.
        """
        self._data += data
        begin = 0
        while (end := self._data.find(b"\n", begin)) >= 0:
            line = bytes(self._data[begin:end]).removesuffix(b"\r")
            self._size += end + 1 - begin
            begin = end + 1
            if len(line) > TOR_LINE_BYTES or self._size > TOR_REPLY_BYTES:
                break
            reply = self._line(line.decode("utf-8", "replace"))
            if reply is not None:
                yield reply
        del self._data[:begin]
        # Of an unfinished line the carriage return may have come.
        if len(self._data) > TOR_LINE_BYTES + self._data.endswith(b"\r") or end >= 0:
            raise DaemonFault("control-too-long", f"{self._size + len(self._data)} bytes")

    def _line(self, line: str) -> Reply | None:
        if self._body is not None:
            if line == ".":
                self._lines[-1] = ReplyLine(self._lines[-1].text, tuple(self._body))
                self._body = None
            else:
                self._body.append(line.removeprefix("."))
            return None
        code, mark, text = line[:3], line[3:_PREFIX], line[_PREFIX:]
        if not (code.isascii() and code.isdigit()) or mark not in ("-", "+", " "):
            raise DaemonFault("control-syntax", f"a line of {len(line)} characters")
        if self._code not in (None, int(code)):
            raise DaemonFault("control-syntax", f"codes {self._code} and {code} in one reply")
        self._code = int(code)
        self._lines.append(ReplyLine(text))
        if mark == "+":
            self._body = []
        if mark != " ":
            return None
        reply = Reply(self._code, tuple(self._lines))
        self._code, self._lines, self._size = None, [], 0
        return reply


def shown(text: str) -> str:
    """A daemon's words in our log: bounded, one line, no controls. It may quote what it was told, a key or an address:
    no long words."""
    words = ("…" if len(word) > _WORD_SHOWN else word for word in text.split(" "))
    return "".join(char if char.isprintable() else "?" for char in " ".join(words)[:200])


def pairs(text: str) -> dict[str, str]:
    """``KEY=value KEY="quoted value" WORD``: values by key, quotes and escapes undone; a word's value is empty. Of two
    with the same key the first counts.

    Raises:
        DaemonFault: a quote that does not end.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        end = at
        while end < len(text) and text[end] not in " =":
            end += 1
        key, value = text[at:end], ""
        if end < len(text) and text[end] == "=":
            end += 1
            if text[end : end + 1] == '"':
                value, end = _quoted(text, end + 1)
            else:
                stop = text.find(" ", end)
                stop = len(text) if stop < 0 else stop
                value, end = text[end:stop], stop
        found.setdefault(key, value)
        at = end
    return found


def quoted_values(text: str) -> list[str]:
    """``"first value" "second"``: the values, escapes undone.

    Raises:
        DaemonFault: a quote that does not end.
    """
    found: list[str] = []
    at = 0
    while (begin := text.find('"', at)) >= 0:
        value, at = _quoted(text, begin + 1)
        found.append(value)
    return found


def _quoted(text: str, at: int) -> tuple[str, int]:
    """What stands in quotes from ``at`` on, and where the quote has ended. Escapes are C's, as Tor writes them."""
    plain = bytearray()
    while at < len(text):
        char = text[at]
        if char == '"':
            return plain.decode("utf-8", "replace"), at + 1
        if char != "\\":
            plain += char.encode("utf-8", "replace")
            at += 1
            continue
        digits = text[at + 1 : at + 4]
        octal = 0
        while octal < len(digits) and digits[octal] in "01234567":
            octal += 1
        if octal:
            plain.append(int(digits[:octal], 8) & 0xFF)
            at += 1 + octal
        else:
            plain += {"n": b"\n", "t": b"\t", "r": b"\r"}.get(digits[:1], digits[:1].encode("utf-8", "replace"))
            at += 2
    raise DaemonFault("control-syntax", "a quote that does not end")
