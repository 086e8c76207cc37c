"""Files about peers: seeds and maps of autonomous systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from obscura.app.peerfiles import read_asmap, read_seeds
from obscura.app.settings import Settings
from obscura.base.errors import ConfigError
from obscura.base.limits import SEEDS_BYTES
from obscura.wire.address import parse_address

TEXT = """# where to begin
203.0.113.7:8333   # a friend's
[2001:db8::1]:8333

203.0.113.7:8333
"""


def test_lines_comments_and_repeats(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text(TEXT)
    wanted = (parse_address("203.0.113.7:8333"), parse_address("[2001:db8::1]:8333"))
    assert read_seeds(Settings(), tmp_path) == wanted, "the usual name needs no setting"
    (tmp_path / "other").write_text(TEXT)
    assert read_seeds(Settings(seeds="other"), tmp_path) == wanted
    assert read_seeds(Settings(seeds=str(tmp_path / "other")), Path("/nowhere")) == wanted


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert read_seeds(Settings(), tmp_path) == ()
    assert read_asmap(Settings(), tmp_path) is None


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"203.0.113.7:8333\nseed.example.org\n", "line 2: 'seed.example.org' is not HOST:PORT"),
        (b"\xff\xfe", "is no text"),
        (b"#" * (SEEDS_BYTES + 1), f"more than {SEEDS_BYTES} bytes"),
    ],
)
def test_a_bad_one_is_refused_by_name(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(ConfigError, match=match):
        read_seeds(Settings(seeds="s"), tmp_path)


def test_what_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"seeds: .*cannot be read: No such file"):
        read_seeds(Settings(seeds="s"), tmp_path)
    with pytest.raises(ConfigError, match=r"asmap: .*cannot be read: No such file"):
        read_asmap(Settings(asmap="m"), tmp_path)


def test_what_is_no_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"\x00\x01\x02\x03" * 100)
    with pytest.raises(ConfigError, match="asmap: "):
        read_asmap(Settings(asmap="m"), tmp_path)


def test_no_secret_of_a_seed_shows(tmp_path: Path) -> None:
    secret = "s" * 55
    for line in (f"obscura://{'k' * 55}.{secret}@127.0.0.1:1", f"{'k' * 55}.{secret}@127.0.0.1:1", secret):
        (tmp_path / "s").write_text(line)
        with pytest.raises(ConfigError, match="line 1") as caught:
            read_seeds(Settings(seeds="s"), tmp_path)
        assert "ssss" not in str(caught.value)


def test_a_seed_has_a_port(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("1.2.3.4:0")
    with pytest.raises(ConfigError, match="port 0"):
        read_seeds(Settings(seeds="s"), tmp_path)
