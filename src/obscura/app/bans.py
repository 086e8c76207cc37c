"""What an operator can ask of a running node about hosts that are kept away."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final, Protocol

from ..base.errors import LocalError
from ..base.instant import WallTime
from ..control.server import RequestError
from ..peers.bans import FOREVER, Ban, Bans, Subject, parse_subject
from ..wire.address import AddressError

log = logging.getLogger("obscura")

DEFAULT_SECONDS: Final = 24 * 3_600
"""A ban's time if none is given: addresses change hands."""


def load(kept: Iterable[Ban]) -> list[Ban]:
    """What a store has kept, without what is not as we write it: a row that is damaged must not keep a node down."""
    good: list[Ban] = []
    for one in kept:
        try:
            Bans([one])
        except LocalError:
            log.warning("store", extra={"values": {"text": "a stored ban cannot be read, and is passed over"}})
        else:
            good.append(one)
    return good


class Banner(Protocol):
    """The driver's part in it."""

    async def ban(self, subject: Subject, until: WallTime | None) -> Ban:
        """Keep a subject away; durable on return, and links with it have ended.

        Raises:
            LocalError: it cannot be.
        """
        ...

    async def unban(self, subject: Subject) -> bool:
        """Forget what is said of exactly this subject, durably on return; ``False`` if nothing was."""
        ...

    def bans(self) -> tuple[Ban, ...]:
        """All that hold now."""
        ...


async def ban(driver: Banner, values: dict[str, Any], now: WallTime) -> dict[str, Any]:
    """Keep ``subject`` away for ``seconds`` (none given: a day; null: until it is taken back).

    Raises:
        RequestError: it names no host or subnet, the time is no time, or no more bans are kept.
    """
    subject = _subject_of(values)
    span = values.get("seconds", DEFAULT_SECONDS)
    if span is not None and (type(span) is not int or not 0 < span < FOREVER - now):
        raise RequestError("bad-time", f"a ban takes 1 to {FOREVER - now - 1} seconds, or null: until it is taken back")
    try:
        made = await driver.ban(subject, None if span is None else WallTime(now + span))
    except LocalError as error:
        raise RequestError("failed", str(error)) from error
    return _row_of(made, now)


async def unban(driver: Banner, values: dict[str, Any]) -> dict[str, Any]:
    """Forget what is said of ``subject``, be it a ban or discouragement. ``still_in``: wider subnets that hold on.

    Raises:
        RequestError: it names no host or subnet.
    """
    subject = _subject_of(values)
    try:
        found = await driver.unban(subject)
    except LocalError as error:
        raise RequestError("failed", str(error)) from error
    return {
        "unbanned": found,
        "subject": subject.reveal(),
        "still_in": [one.subject for one in driver.bans() if parse_subject(one.subject).covers(subject)],
    }


def listing(driver: Banner, now: WallTime) -> list[dict[str, Any]]:
    """All that are kept away. The subjects are revealed: the operator asked."""
    return [_row_of(one, now) for one in driver.bans()]


def _row_of(one: Ban, now: WallTime) -> dict[str, Any]:
    forever = one.until == FOREVER
    return {
        "subject": one.subject,
        "kind": one.kind,
        "made": one.made,
        "until": None if forever else one.until,
        "left_s": None if forever else max(0, one.until - now),
    }


def _subject_of(values: dict[str, Any]) -> Subject:
    try:
        return parse_subject(str(values.get("subject", "")))
    except AddressError as error:
        raise RequestError("bad-subject", str(error)) from error
