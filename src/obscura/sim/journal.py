"""What happened, as one running hash.

Every event adds its time, its host, its kind and two numbers (lengths, names of links) to a SHA-256; tips add their
hash. Bytes that went over a link are never hashed, only counted: under an encrypted transport they differ from run to
run though nothing else does. Two runs of a seed have one hash; where they do not, journals that keep their lines tell
at which event they part.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from enum import IntEnum
from itertools import zip_longest
from typing import Final

_ENTRY: Final = struct.Struct("<QIBQQ")
_FLUSH: Final = 1 << 16


class Kind(IntEnum):
    """What an entry is about, with the meaning of its two numbers."""

    DIAL = 1  # link, dialled host's number
    DIAL_FAILED = 2  # link, 0
    CONNECTED = 3  # link, 0
    ACCEPTED = 4  # link (0: refused), dialling host's number
    SEND = 5  # link, bytes
    RECEIVE = 6  # link, bytes
    DROP = 7  # link, 0
    GONE = 8  # link, 0
    RESET = 9  # link, 0
    ASK = 10  # ticket, entries in the request
    ANSWER = 11  # ticket, 0
    TIMER = 12  # 0, 0
    PAUSE = 13  # link, 1 for pause and 0 for resume
    CONGESTED = 14  # link, 1 for congested and 0 for drained
    MINED = 15  # ticket, bytes
    TIP = 16  # height, blocks disconnected
    SAVED = 17  # addresses, 0
    TOLD = 18  # number of the event's class, 0
    PARTED = 19  # sides; 0 for whole again, 1 if what the earlier sides send still reaches the later ones
    CLOGGED = 20  # bytes in a second; 0 for free again, 0
    CRASHED = 21  # 1 for a power cut and 0 for a kill, entries lost
    RESTARTED = 22  # the host's life, blocks that survived
    FROZEN = 23  # 1 for frozen and 0 for thawed, 0
    CLOCK = 24  # how far the wall clock is ahead of the world's in seconds, modulo 2**64
    MISCHIEF = 25  # number of the adversary's kind, link
    SENT = 26  # ticket, bytes


class Journal:
    """Collects entries.

    Args:
        keep_lines: have them as text too, in ``lines``.
        sink: called with each of them as a line of text without its end; what it raises ends the run.
    """

    def __init__(self, *, keep_lines: bool = False, sink: Callable[[str], None] | None = None) -> None:
        self.entries = 0
        self.lines: list[str] | None = [] if keep_lines else None
        self._sink = self.lines.append if sink is None and self.lines is not None else sink
        self._hash = hashlib.sha256()
        self._waiting = bytearray()

    def note(self, time: int, host: int, kind: Kind, first: int = 0, second: int = 0, tip: bytes = b"") -> None:
        """Add an entry.

        Args:
            time: in microseconds of the world.
            host: the number of the host that it happened at.
            kind: what happened.
            first: see :class:`Kind`.
            second: see :class:`Kind`.
            tip: a block's hash; blocks are public.
        """
        self.entries += 1
        waiting = self._waiting
        waiting += _ENTRY.pack(time, host, kind, first, second)
        waiting += tip
        if len(waiting) >= _FLUSH:
            self._hash.update(waiting)
            waiting.clear()
        if self._sink is not None:
            self._sink(f"{time} host {host} {kind.name.lower()} {first} {second} {tip.hex()}".rstrip())

    def digest(self) -> str:
        """The hash of all entries so far, in hexadecimal."""
        self._hash.update(self._waiting)
        self._waiting.clear()
        return self._hash.hexdigest()


def first_difference(one: Iterable[str], other: Iterable[str]) -> tuple[int, str, str] | None:
    """Where two journals part: line number from 0 and both lines (empty past the end); ``None`` if they are equal."""
    for number, (left, right) in enumerate(zip_longest(one, other, fillvalue="")):
        if left != right:
            return number, left, right
    return None
