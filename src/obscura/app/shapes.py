"""Shaping, as an operator reads of it: what profiles cost, and what links have sent."""

from __future__ import annotations

from typing import Any

from ..base.instant import MICROSECONDS, Duration
from ..base.limits import PING_INTERVAL
from ..node.snapshot import PeerSnapshot, Snapshot
from ..shaping import Delays, Profile, Shaping, Traffic, monthly
from ..shaping.sizes import SMALLEST_RECORD, rung

_PING_BYTES = 28
"""A frame that holds a nonce."""


def idle_rate(profile: Profile, shaping: Shaping) -> float:
    """Bytes a second, each way, of a link on which nothing happens but pings, at most; of ``steady`` at its lowest
    rate."""
    record = _PING_BYTES + SMALLEST_RECORD
    # A ping of ours and a pong to the other side's in every interval.
    pings = 2 * MICROSECONDS / PING_INTERVAL
    match profile:
        case Profile.OFF:
            return pings * record
        case Profile.PAD:
            return pings * rung(record)
        case Profile.COVER:
            return pings * rung(record) + shaping.cover.rate
        case Profile.STEADY:
            return float(shaping.steady.lowest)


def costs_of(shaping: Shaping) -> list[str]:
    """A line for each profile that is in use and costs more than ``pad``."""
    lines = []
    for profile in shaping.in_use:
        if profile not in (Profile.COVER, Profile.STEADY):
            continue
        names = [one.value for one, chosen in shaping.choices if chosen is profile]
        names += ["all other" if shaping.choices else "all"] if shaping.profile is profile else []
        month = show_bytes(monthly(idle_rate(profile, shaping)))
        busy = show_bytes(monthly(shaping.steady.highest))
        most = "at most" if profile is Profile.COVER else f"a busy one {busy} at most"
        lines.append(
            f"{profile.value} ({', '.join(names)} links): an idle link costs {month} in 30 days each way, {most}"
        )
    return lines


def totals_of(picture: Snapshot) -> dict[str, Any]:
    """``shaping`` of ``obscura status --json``: bytes of all encrypted links since the node has started."""
    profiles = [peer.shaping for peer in picture.peers if peer.encrypted]
    return {
        "links": {one.value: profiles.count(one.value) for one in Profile if one.value in profiles},
        "out": bytes_of(picture.shaped_out),
        "in": bytes_of(picture.shaped_in),
    }


def link_of(peer: PeerSnapshot) -> dict[str, Any]:
    """The part of a row of ``obscura peers --json`` that is about shaping."""
    return {
        "shaping": peer.shaping if peer.encrypted else "",
        "rate": peer.rate,
        "shaped_out": bytes_of(peer.shaped_out),
        "shaped_in": bytes_of(peer.shaped_in),
        "held": _held(peer.delays),
    }


def bytes_of(traffic: Traffic) -> dict[str, int]:
    """Messages, padding and decoys."""
    return {"real": traffic.real, "padding": traffic.padding, "decoy": traffic.decoy}


def _held(delays: Delays) -> dict[str, Any]:
    mean = Duration(delays.total // delays.count) if delays.count else Duration(0)
    return {"count": delays.count, "mean_ms": mean / 1_000, "longest_ms": delays.longest / 1_000}


def show_bytes(count: float) -> str:
    """A count of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:.1f} TB"
