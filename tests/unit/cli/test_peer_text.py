"""Peers that are named in a file or on standard input."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from obscura.base.errors import ConfigError
from obscura.base.limits import PEER_TEXT_BYTES
from obscura.cli.options import peer_text

PEER = "obscura://KEY.SECRET@203.0.113.7:8333"


@pytest.mark.parametrize("text", [PEER, f"{PEER}\n", f"\n  {PEER}\r\n\n", PEER + " " * (PEER_TEXT_BYTES - len(PEER))])
def test_one_line_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "peer").write_bytes(text.encode())
    assert peer_text(f"@{tmp_path}/peer") == PEER
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert peer_text("-") == PEER


@pytest.mark.parametrize("text", ["203.0.113.7:8333", PEER, ""])
def test_an_argument_is_itself(text: str) -> None:
    assert peer_text(text) == text


@pytest.mark.parametrize(
    "data", [b"", b"\n", PEER.encode() * 2 + b"\n" + PEER.encode(), b"\xff\xfe" + PEER.encode(), bytes(1 << 20)]
)
def test_what_is_no_peer_is_refused_and_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    (tmp_path / "peer").write_bytes(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    for argument, where in ((f"@{tmp_path}/peer", "peer"), ("-", "standard input")):
        with pytest.raises(ConfigError, match=f"{where} must hold one line") as caught:
            peer_text(argument)
        assert "SECRET" not in str(caught.value)


def test_a_place_that_cannot_be_read(tmp_path: Path) -> None:
    for where in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ConfigError, match="cannot be read: "):
            peer_text(f"@{where}")
