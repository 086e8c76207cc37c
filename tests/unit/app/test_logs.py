"""Log lines: one event a line, addresses redacted, and nothing that a peer chose can leave its place."""

from __future__ import annotations

import json
import logging

import pytest

from obscura.app.logs import configure, log_event
from obscura.base.names import ConnId
from obscura.node.effects import LinkOpened
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
