"""Log lines: one event a line, ``key=value`` or JSON, addresses redacted by their own type."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import fields
from typing import Any

from ..base.names import display_hash
from ..node.effects import BlockRefused, BlockSubmitted, DialFailed, Event, LinkClosed, LinkOpened, Notice, TipMoved

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


def configure(level: str, *, as_json: bool) -> None:
    """Send log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(as_json=as_json))
    root = logging.getLogger("obscura")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def log_event(event: Event) -> None:
    """One line for an event of the node; addresses stay redacted."""
    match event:
        case BlockSubmitted():
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
            log.info(name, extra={"values": {key: value for key, value in values.items() if value != ""}})
