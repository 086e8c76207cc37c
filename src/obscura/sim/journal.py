"""What happened, as a running hash: two runs of one seed must have one hash (design §12).

Lines hold times, hosts, kinds and lengths, never bytes of messages: ciphertext is not reproducible.
"""

from __future__ import annotations

import hashlib


class Journal:
    """A SHA-256 over lines; keeps the lines, too, where two runs are to be compared."""

    def __init__(self, *, keep_lines: bool = False) -> None:
        self._hash = hashlib.sha256()
        self.lines: list[str] | None = [] if keep_lines else None

    def note(self, time: int, host: int, kind: str, detail: object = "") -> None:
        """Add one line."""
        line = f"{time} {host} {kind} {detail}\n"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def digest(self) -> str:
        """The hash up to now, in hexadecimal."""
        return self._hash.hexdigest()


def first_difference(one: list[str], other: list[str]) -> tuple[int, str, str] | None:
    """Where two journals part: line number from 0 and both lines (empty past the end); ``None`` if they are equal."""
    for number in range(max(len(one), len(other))):
        left = one[number] if number < len(one) else ""
        right = other[number] if number < len(other) else ""
        if left != right:
            return number, left, right
    return None
