"""The kernel's log, from which alone the names of broken rules can be learnt.

The log is one for the whole process, while several kernels may run in it. A line is produced by the very thread that
makes the C call, so lines are kept per thread and matched by block hash. The lines that name a rule (Bitcoin Core
``validationinterface.cpp`` and ``validation.cpp``)::

    [validation:debug] BlockChecked: block hash=HASH state=RULE, detail
    [validation:debug] AcceptBlockHeader: Consensus::ContextualCheckBlockHeader: HASH, RULE, detail

This module knows text only; :mod:`.binding` connects it to the library.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from ...base.names import BlockHash, display_hash

_BLOCK_MARK: Final = b"BlockChecked: block hash="
_HEADER_MARK: Final = b"CheckBlockHeader: "
_ERROR_MARK: Final = b":error]"
_FINE: Final = b"=Valid"


class _ThreadLines(threading.local):
    """The lines that name a rule, of the C call that this thread is making."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []


class KernelLog:
    """Keeps of the log what is needed: rules by thread, and the last errors of any kernel."""

    def __init__(self) -> None:
        self._thread = _ThreadLines()
        self._errors: deque[str] = deque(maxlen=6)

    def add(self, line: bytes) -> None:
        """One line, on the thread that caused it. About eight come for each block, so most are dropped at a glance."""
        if _BLOCK_MARK in line:
            if _FINE not in line:
                self._thread.lines.append(line)
        elif _HEADER_MARK in line:
            self._thread.lines.append(line)
        elif _ERROR_MARK in line[:24]:
            self._errors.append(line.decode("utf-8", "replace").strip())

    def forget(self) -> None:
        """Before a C call: what earlier ones of this thread said does not matter any more."""
        self._thread.lines.clear()

    def rule(self, block_hash: BlockHash) -> str:
        """The rule that this thread's last call named for a hash, or "" where it named none."""
        name = display_hash(block_hash).encode()
        for line in reversed(self._thread.lines):
            _, found, after = line.partition(name)
            if found:
                return _rule_in(after)
        return ""

    def take_errors(self) -> str:
        """The last error lines, for the text of an exception; they are given once."""
        text = "; ".join(self._errors)
        self._errors.clear()
        return text


def _rule_in(text: bytes) -> str:
    """The stable name in `` state=RULE, detail`` or ``, RULE (numbers), detail``."""
    text = text.removeprefix(b" state=").removeprefix(b", ")
    return text.partition(b",")[0].partition(b"(")[0].strip().decode("utf-8", "replace")
