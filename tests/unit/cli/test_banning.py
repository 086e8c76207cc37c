"""``obscura ban``, ``unban`` and ``bans``, over a real control socket whose node only keeps bans."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from obscura.app import bans as requests
from obscura.base.instant import WallTime
from obscura.cli.main import main
from obscura.control.server import ControlServer
from obscura.peers.bans import Ban, Bans, Subject
from obscura.wire.address import NetAddress, Network, parse_address

NOW = WallTime(1_800_000_000)
"""2027-01-15 08:00 UTC."""
ONION = NetAddress(Network.TORV3, bytes(range(32)), 0).host()


class Listed:
    """A driver whose node only keeps bans."""

    def __init__(self) -> None:
        self.kept = Bans()

    async def ban(self, subject: Subject, until: WallTime | None) -> Ban:
        return self.kept.ban(subject, until, NOW)

    async def unban(self, subject: Subject) -> bool:
        return self.kept.unban(subject)

    def bans(self) -> tuple[Ban, ...]:
        return self.kept.listing(NOW)

    async def answer(self, method: str, values: dict[str, Any]) -> Any:
        match method:
            case "ban":
                return await requests.ban(self, values, NOW)
            case "unban":
                return await requests.unban(self, values)
        return requests.listing(self, NOW)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Listed]:
    """A node on ``tmp_path``, in a thread."""
    listed = Listed()
    ready = threading.Event()
    stops: list[Callable[[], None]] = []

    async def serve() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        stops.append(lambda: loop.call_soon_threadsafe(over.set) and None)
        async with ControlServer(tmp_path / "control.sock", listed.answer):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield listed
    stops[0]()
    thread.join()


class Obscura:
    """Runs commands in this process."""

    def __init__(self, datadir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.datadir, self.monkeypatch, self.capsys = datadir, monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["obscura", *arguments, "--datadir", str(self.datadir)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = self.capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err


@pytest.fixture
def obscura(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Obscura:
    return Obscura(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("options", "until"),
    [
        ((), "2027-01-16 08:00 UTC"),
        (("--hours", "2"), "2027-01-15 10:00 UTC"),
        (("--days", "30"), "2027-02-14 08:00 UTC"),
        (("--forever",), "obscura unban 203.0.113.7/32"),
    ],
)
def test_ban(node: Listed, obscura: Obscura, options: tuple[str, ...], until: str) -> None:
    code, out, err = obscura("ban", "203.0.113.7:8333", *options)
    assert (code, err) == (0, "")
    assert out.startswith("203.0.113.7/32 is kept away until")
    assert out.rstrip().endswith(until)
    code, out, err = obscura("ban", "203.0.113.7", "--json", *options)
    assert (code, err) == (0, "")
    assert json.loads(out)["subject"] == "203.0.113.7/32"
    assert node.kept.is_banned(parse_address("203.0.113.7:1"), NOW)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ban", "example.com"), "names are not resolved"),
        (("ban", "203.0.113.7/24"), "say 203.0.113.0/24"),
        (("unban", "0.0.0.0/0"), "everybody"),
        (("ban", "203.0.113.7", "--hours", "1", "--forever"), "one of --hours, --days and --forever"),
        (("ban", "203.0.113.7", "--hours", "1", "--days", "1"), "one of --hours, --days and --forever"),
        (("ban", "203.0.113.7", "--hours", "0"), "hours"),
        (("ban", "203.0.113.7", "--days", "-1"), "days"),
        (("ban",), "SUBJECT"),
        (("ban", "obscura://KEY.SECRET@203.0.113.7:1"), "of a host or a subnet"),
    ],
)
def test_wrong_usage_shows_before_a_node_is_asked(obscura: Obscura, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = obscura(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "SECRET" not in err


def test_a_time_that_is_none(node: Listed, obscura: Obscura) -> None:
    code, _, err = obscura("ban", "203.0.113.7", "--days", "99999999")
    assert code == 1
    assert err.startswith("error: a ban takes 1 to")
    assert not node.bans()


def test_without_a_node(obscura: Obscura) -> None:
    for arguments in (("ban", "203.0.113.7"), ("unban", "203.0.113.7"), ("bans",)):
        code, out, err = obscura(*arguments)
        assert (code, out) == (3, "")
        assert "no node runs" in err


def test_unban(node: Listed, obscura: Obscura) -> None:
    obscura("ban", "203.0.113.7")
    obscura("ban", "203.0.113.0/24")
    assert obscura("unban", "203.0.113.7") == (
        0,
        "203.0.113.7/32 is let in again\nbut 203.0.113.0/24 is still kept away, or discouraged\n",
        "",
    )
    code, out, err = obscura("unban", "203.0.113.7")
    assert (code, out) == (1, "")
    assert err == "error: nothing was said of 203.0.113.7/32 itself, but of 203.0.113.0/24\n"
    code, out, err = obscura("unban", "203.0.113.7", "--json")
    assert (code, json.loads(out)["unbanned"]) == (1, False)
    code, out, _ = obscura("unban", "203.0.113.0/24", "--json")
    assert (code, json.loads(out)["unbanned"]) == (0, True)
    assert obscura("unban", "203.0.113.0/24")[2] == "error: nothing was said of 203.0.113.0/24 itself\n"
    assert not node.bans()


def test_bans(node: Listed, obscura: Obscura) -> None:
    assert obscura("bans") == (0, "no bans\n", "")
    obscura("ban", "203.0.113.0/24", "--days", "30")
    obscura("ban", ONION, "--forever")
    obscura("ban", "2001:db8::/32", "--hours", "5")
    node.kept.discourage(parse_address("9.9.9.9:1"), WallTime(NOW - 86_400 + 30))
    code, out, err = obscura("bans")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["subject", "203.0.113.0/24", "2001:db8::/32", ONION, "9.9.9.9/32"]
    assert " ".join(lines[1].split()[1:]) == "operator 2027-02-14 08:00 UTC 30 d 0 h"
    assert " ".join(lines[2].split()[1:]) == "operator 2027-01-15 13:00 UTC 5 h 0 min"
    assert " ".join(lines[3].split()[1:]) == "operator obscura unban -"
    assert " ".join(lines[4].split()[1:]) == "discouraged 2027-01-15 08:00 UTC 1 min"
    rows = json.loads(obscura("bans", "--json")[1])
    assert [row["until"] for row in rows] == [NOW + 30 * 86_400, NOW + 5 * 3_600, None, NOW + 30]


def test_a_subject_in_a_file(node: Listed, obscura: Obscura, tmp_path: Path) -> None:
    (tmp_path / "whom").write_text(f"{ONION}:8333\n")
    assert obscura("ban", f"@{tmp_path}/whom")[0] == 0
    assert [one.subject for one in node.bans()] == [ONION]
