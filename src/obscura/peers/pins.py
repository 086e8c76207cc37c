"""Keys that named peers have shown: trust on first use, for addresses that our operator named.

The first key that answers at a named address is pinned, and another one is refused loudly, with the command that
accepts it: the peer was set up anew, or somebody stands between. A key in the operator's own text
(``obscura://KEY@…``) needs no first use and counts more than a pin. Addresses from gossip have no place here; the pin
of one that was reached is a field of its record, and dies with it (:meth:`~obscura.peers.book.AddressBook.meet`).

Nothing here is bounded: only the operator adds to it, one pin for each peer that he names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from ..base.errors import ConfigError
from ..base.instant import WallTime
from ..wire.address import NetAddress
from ..wire.target import Mode, Target


class PinError(ConfigError):
    """The operator asks for a link that would not check the key that is pinned for its address."""


class Verdict(Enum):
    """What a key that a peer has shown is to us. Members are true in conditions."""

    NEW = "new"
    """None was known: it is pinned now."""
    SAME = "same"
    """The one that is known."""
    CHANGED = "changed"
    """Another one is known."""


@dataclass(frozen=True, slots=True)
class NamedPin:
    """A named peer's key, 32 bytes, and when it was first seen (Unix seconds)."""

    address: NetAddress
    key: bytes = field(repr=False)
    first_seen: WallTime


class Pins:
    """The keys of named peers. One for each node; the store keeps them beside, one change at a time."""

    def __init__(self, pins: Iterable[NamedPin] = ()) -> None:
        self._pins = {pin.address: pin for pin in pins}

    def __len__(self) -> int:
        return len(self._pins)

    def get(self, address: NetAddress) -> NamedPin | None:
        """The pin of an address."""
        return self._pins.get(address)

    def expected(self, target: Target) -> bytes | None:
        """The key that must answer a dial to a named target: the operator's, else the pinned one, else any."""
        if target.key is not None:
            return target.key
        pin = self._pins.get(target.address)
        return None if pin is None else pin.key

    def check_mode(self, target: Target, *, can_veil: bool) -> None:
        """Refuse a target whose dial would not check the key that is named or pinned for it: by its mode, or because
        the node has no keys to veil a link with.

        Raises:
            PinError: the text has the command that forgets the pin.
        """
        if not can_veil and self.expected(target) is not None:
            msg = (
                f"{target.address.reveal()}: its key cannot be checked, because this node has no keys: give it a vault"
            )
            raise PinError(msg)
        if target.mode in (Mode.LITERAL, Mode.PLAIN) and target.address in self._pins:
            where = target.address.reveal()
            mode = target.mode.name.lower()
            msg = (
                f"{mode}://{where}: a key is pinned for this address, and {mode} could be made to pass it over; "
                f"to give the key up: obscura key forget {where}"
            )
            raise PinError(msg)

    def meet(self, target: Target, key: bytes, now: WallTime) -> Verdict:
        """Judge the key that a named target has shown. ``NEW`` has pinned it, and the caller saves it; after
        ``CHANGED`` the link ends before anything is said on it, and :meth:`refusal` is for the operator."""
        expected = self.expected(target)
        if expected is not None and key != expected:
            return Verdict.CHANGED
        pin = self._pins.get(target.address)
        if pin is not None and pin.key == key:
            return Verdict.SAME
        self._pins[target.address] = NamedPin(target.address, key, now)
        return Verdict.NEW

    def refusal(self, target: Target) -> str:
        """What to tell the operator after ``CHANGED``."""
        where = target.address.reveal()
        if target.key is not None:
            accept = "if the new one is right, name the peer by it: obscura://KEY@HOST:PORT"
        else:
            accept = f"to accept the new one: obscura key forget {where}"
        return f"{where} has shown another key than is known: it was set up anew, or somebody poses as it; {accept}"

    def forget(self, address: NetAddress) -> bool:
        """Forget a pin: the next key that answers is taken. ``False`` if there was none."""
        return self._pins.pop(address, None) is not None
