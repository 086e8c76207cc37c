"""What the control socket answers about bans, over a driver that is a list."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from obscura.app import bans as requests
from obscura.base.errors import LocalError, StoreError
from obscura.base.instant import WALL_MOST, WallTime
from obscura.control.server import RequestError
from obscura.peers.bans import Ban, Bans, Subject, parse_subject
from obscura.wire.address import parse_address

NOW = WallTime(1_800_000_000)
DAY = 86_400


class Listed:
    """A driver whose node only keeps bans."""

    def __init__(self, trouble: LocalError | None = None) -> None:
        self.kept = Bans()
        self.trouble = trouble

    async def ban(self, subject: Subject, until: WallTime | None) -> Ban:
        if self.trouble is not None:
            raise self.trouble
        return self.kept.ban(subject, until, NOW)

    async def unban(self, subject: Subject) -> bool:
        if self.trouble is not None:
            raise self.trouble
        return self.kept.unban(subject)

    def bans(self) -> tuple[Ban, ...]:
        return self.kept.listing(NOW)


def ban(driver: Listed, **values: Any) -> dict[str, Any]:
    return asyncio.run(requests.ban(driver, values, NOW))


def unban(driver: Listed, **values: Any) -> dict[str, Any]:
    return asyncio.run(requests.unban(driver, values))


def test_a_day_if_nothing_is_said() -> None:
    row = ban(Listed(), subject="203.0.113.7:8333")
    assert row == {
        "subject": "203.0.113.7/32",
        "kind": "operator",
        "made": NOW,
        "until": NOW + DAY,
        "left_s": DAY,
    }


def test_for_so_long_or_for_ever() -> None:
    driver = Listed()
    assert ban(driver, subject="203.0.113.0/24", seconds=60)["until"] == NOW + 60
    row = ban(driver, subject="203.0.113.0/24", seconds=None)
    assert (row["until"], row["left_s"]) == (None, None)
    assert requests.listing(driver, WallTime(NOW + 7)) == [row]


def test_the_longest_time() -> None:
    most = WALL_MOST - NOW - 1
    assert ban(Listed(), subject="203.0.113.7", seconds=most)["until"] == WALL_MOST - 1
    for span in (most + 1, 0, -1, 1.5, "60", True, [], 1 << 70):
        with pytest.raises(RequestError, match="a ban takes 1 to") as caught:
            ban(Listed(), subject="203.0.113.7", seconds=span)
        assert caught.value.code == "bad-time"


@pytest.mark.parametrize("subject", ["", "here", "203.0.113.7/24", None, 5, ["203.0.113.7"], {}])
def test_what_is_no_subject(subject: object) -> None:
    for ask in (ban, unban):
        with pytest.raises(RequestError) as caught:
            ask(Listed(), subject=subject)
        assert caught.value.code == "bad-subject"


def test_the_list_reveals_and_has_both_kinds() -> None:
    driver = Listed()
    driver.kept.discourage(parse_address("[2001:db8::7]:1"), NOW)
    ban(driver, subject="203.0.113.7")
    assert [(row["subject"], row["kind"], row["left_s"]) for row in requests.listing(driver, NOW)] == [
        ("203.0.113.7/32", "operator", DAY),
        ("2001:db8::7/128", "discouraged", DAY),
    ]
    assert requests.listing(driver, WallTime(NOW + 2 * DAY))[0]["left_s"] == 0, "a clock that jumps between two reads"


def test_unban_says_what_still_holds() -> None:
    driver = Listed()
    ban(driver, subject="203.0.113.7")
    ban(driver, subject="203.0.0.0/16", seconds=None)
    ban(driver, subject="203.0.113.8")
    wider = {"subject": "203.0.113.7/32", "still_in": ["203.0.0.0/16"]}
    assert unban(driver, subject="203.0.113.7") == {"unbanned": True, **wider}
    assert unban(driver, subject="203.0.113.7") == {"unbanned": False, **wider}
    assert unban(driver, subject="203.0.0.0/16") == {"unbanned": True, "subject": "203.0.0.0/16", "still_in": []}
    driver.kept.discourage(parse_address("9.9.9.9:1"), NOW)
    assert unban(driver, subject="9.9.9.9")["unbanned"], "discouragement too is taken back"
    assert [one.subject for one in driver.bans()] == ["203.0.113.8/32"]


@pytest.mark.parametrize("trouble", [LocalError("10000 bans are kept at most"), StoreError("the disk is full")])
def test_what_the_node_refuses(trouble: LocalError) -> None:
    for ask in (ban, unban):
        with pytest.raises(RequestError, match=str(trouble)) as caught:
            ask(Listed(trouble), subject="203.0.113.7")
        assert caught.value.code == "failed"


def test_parse_and_answer_agree() -> None:
    row = ban(Listed(), subject="[2001:db8::1]:8333")
    assert parse_subject(row["subject"]).reveal() == row["subject"]
