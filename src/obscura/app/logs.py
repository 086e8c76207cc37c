"""Log lines: one event a line, ``key=value`` or JSON, addresses redacted by their own type."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import fields
from typing import Any

from ..base.instant import MICROSECONDS
from ..base.limits import LOG_LINE_EVERY, LOG_LINES_BURST
from ..base.names import display_hash
from ..node.effects import (
    BlockRefused,
    BlockSubmitted,
    DialFailed,
    Event,
    LinkClosed,
    LinkOpened,
    Notice,
    StemTrace,
    TipMoved,
    TransactionSubmitted,
)

log = logging.getLogger("obscura")


class _Line(logging.Formatter):
    def __init__(self, *, as_json: bool) -> None:
        super().__init__("%(asctime)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = getattr(record, "values", {})
        when, level = self.formatTime(record, self.datefmt), record.levelname.lower()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if self._as_json:
            line = {"time": when, "level": level, "event": record.getMessage(), **values}
            return json.dumps(line | ({"trace": trace} if trace else {}), default=str)
        shown = "".join(f" {key}={_quoted(value)}" for key, value in values.items())
        return f"{when} {level:<7} {record.getMessage()}{shown}" + (f"\n{trace}" if trace else "")


def _quoted(value: object) -> str:
    # Security: a peer chooses some of these texts; nothing of them may move the terminal's cursor or begin a line.
    text = str(value)
    plain = text.isprintable() and not any(char in text for char in ' "=')
    return text if text and plain else json.dumps(text)


class Thinned(logging.Filter):
    """Lets LOG_LINES_BURST lines of each event through, then one every LOG_LINE_EVERY.

    Peers cause most lines, and must not fill a disk. The line after a gap says how many were left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._events: dict[str, _Account] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        # The names of events are in our sources, so there are only so many.
        account = self._events.setdefault(record.getMessage(), _Account(record.created))
        if not account.take(record.created):
            return False
        if account.left_out:
            record.values = {**getattr(record, "values", {}), "left_out": account.left_out}
            account.left_out = 0
        return True


class _Account:
    """How many lines of an event may be written."""

    def __init__(self, now: float) -> None:
        self.left_out = 0
        self._lines = float(LOG_LINES_BURST)
        self._since = now

    def take(self, now: float) -> bool:
        earned = max(0.0, now - self._since) * MICROSECONDS / LOG_LINE_EVERY
        self._lines = min(LOG_LINES_BURST, self._lines + earned)
        self._since = now
        if self._lines < 1:
            self.left_out += 1
            return False
        self._lines -= 1
        return True


def configure(level: str, *, as_json: bool) -> None:
    """Send log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(as_json=as_json))
    handler.addFilter(Thinned())
    root = logging.getLogger("obscura")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def log_event(event: Event) -> None:
    """One line for an event of the node; addresses stay redacted."""
    match event:
        case BlockSubmitted() | TransactionSubmitted() | StemTrace():
            return
        case TipMoved(tip, height, disconnected):
            values = {"height": height, "tip": display_hash(tip), "disconnected": disconnected}
            log.info("tip", extra={"values": values})
        case BlockRefused(block_hash, verdict, rule, conn):
            values = {"block": display_hash(block_hash), "verdict": verdict.value, "rule": rule, "conn": conn or "own"}
            log.warning("block-refused", extra={"values": values})
        case Notice(name, text):
            log.warning(name, extra={"values": {"text": text}})
        case DialFailed(address, reason, retry_in):
            values = {"address": address, "reason": reason, "retry_in_s": round(retry_in / 1e6, 1)}
            log.debug("dial-failed", extra={"values": values})
        case LinkOpened() | LinkClosed():
            name = "link-opened" if isinstance(event, LinkOpened) else "link-closed"
            values = {field.name: getattr(event, field.name) for field in fields(event)}
            was_open = values.pop("was_open", True)
            # Strangers that never complete a handshake are not worth a line each.
            level = logging.DEBUG if event.inbound and not was_open else logging.INFO
            log.log(level, name, extra={"values": {key: value for key, value in values.items() if value != ""}})
