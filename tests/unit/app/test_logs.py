"""Log lines: one event a line, addresses redacted, and nothing that a peer chose can leave its place."""

from __future__ import annotations

import json
import logging

import pytest

from obscura.app.logs import Thinned, configure, log_event
from obscura.base.limits import LOG_LINES_BURST
from obscura.base.names import ConnId
from obscura.node.effects import LinkClosed, LinkOpened
from obscura.wire.address import parse_address

EVIL = "/x/\x1b[2J\r\n2026 info forged=1 \u202e"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_peer_cannot_forge_lines(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    configure("info", as_json=as_json)
    try:
        log_event(LinkOpened(ConnId(1), parse_address("20.1.2.3:8333"), True, EVIL))
    finally:
        logging.getLogger("obscura").handlers.clear()
    [line, rest] = capsys.readouterr().err.split("\n")
    assert rest == ""
    assert line.isprintable()
    assert "20.1.2.3" not in line
    if as_json:
        assert json.loads(line)["user_agent"] == EVIL


def test_a_flood_of_one_event_is_thinned_and_counted() -> None:
    thinned = Thinned()

    def line(event: str, at: float) -> logging.LogRecord | None:
        record = logging.makeLogRecord({"msg": event, "levelno": logging.INFO, "created": at, "values": {"conn": 1}})
        return record if thinned.filter(record) else None

    written = [line("link-closed", 100 + step / 10_000) for step in range(LOG_LINES_BURST + 500)]
    assert sum(one is not None for one in written) == LOG_LINES_BURST
    assert line("tip", 101) is not None, "each event has its own account"
    later = line("link-closed", 101.2)
    assert later is not None
    assert later.__dict__["values"] == {"conn": 1, "left_out": 500}
    assert line("link-closed", 101.5) is None
    assert line("link-closed", 100_000) is not None


def test_strangers_are_not_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    address = parse_address("20.1.2.3:8333")
    configure("info", as_json=False)
    try:
        log_event(LinkClosed(ConnId(1), address, True, "lobby-full", was_open=False))
        log_event(LinkClosed(ConnId(2), address, False, "peer-closed", was_open=False))
        log_event(LinkClosed(ConnId(3), address, True, "peer-closed"))
    finally:
        logging.getLogger("obscura").handlers.clear()
    lines = capsys.readouterr().err.splitlines()
    assert ["conn=2" in lines[0], "conn=3" in lines[1], len(lines)] == [True, True, 2]
