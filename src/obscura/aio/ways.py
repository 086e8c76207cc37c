"""The ways to each network: who opens a connection, and whether that can be now.

There is one way for each network, and none for those that the operator has left out: what has no way cannot be dialled
by mistake. A way through a daemon is closed while the daemon is down; the node does not dial then, as the failure would
be held against addresses that have nothing to do with it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..base.instant import MICROSECONDS, Duration
from ..base.limits import WAY_REST, WAY_REST_MOST
from ..wire.address import NetAddress, Network


class DialError(Exception):
    """A dial came to nothing.

    Args:
        reason: a stable name that ``Node.dial_failed`` takes.
        ours: it came no further than us or a daemon of ours, so that nothing is known of the address.
        rests: and the way is of no use for a moment. Without ``ours`` it never is.
    """

    def __init__(self, reason: str, *, ours: bool = False, rests: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ours = ours
        self.rests = ours and rests


def not_isolated() -> DialError:
    """Why a way that cannot connect apart does not connect."""
    return DialError("not-isolated", ours=True, rests=False)


class Watch(Protocol):
    """Wants to know what becomes of a connection."""

    def heard(self) -> None:
        """Something came by it, for the first time."""
        ...

    def ended(self) -> None:
        """It is over; nothing follows."""
        ...


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that stands."""

    sock: socket.socket
    """Non-blocking; whoever gets this owns it."""
    first: bytes = b""
    """What was read of it already."""
    watch: Watch | None = None
    """To be told; by whoever has the socket."""


class Way(Protocol):
    """Opens connections to addresses of a network."""

    async def open(self, address: NetAddress, *, apart: bool = False) -> Connected:
        """Connect. May be cancelled, and then leaves nothing open.

        Args:
            address: where to.
            apart: by an identity and a circuit of its own, which no other connection shares.

        Raises:
            DialError: it came to nothing; ``not-isolated``: the way cannot connect apart, and has not tried.
            OSError: the same, as sockets say it.
        """
        ...


class Ways:
    """All of them.

    Args:
        ways: by network.
    """

    def __init__(self, ways: Mapping[Network, Way]) -> None:
        self._ways = dict(ways)
        self._shut: dict[Network, None] = {}
        """Closed by whoever looks after the daemon, until it says otherwise."""
        self._resting: dict[Network, asyncio.TimerHandle] = {}
        """Closed for a moment, after the daemon could not be reached."""
        self._rests: dict[Network, int] = {}
        self._dials: dict[asyncio.Timeout, Network] = {}
        """Under way; one that is cut off is not here any more."""
        self.changed: Callable[[], None] = lambda: None
        """Called when a way opens or closes."""

    @property
    def networks(self) -> frozenset[Network]:
        """Those that have a way, open or not."""
        return frozenset(self._ways)

    @property
    def open(self) -> frozenset[Network]:
        """Those that can be dialled now."""
        return frozenset(one for one in self._ways if one not in self._shut and one not in self._resting)

    def let(self, networks: Iterable[Network], *, open: bool) -> None:  # noqa: A002 it says it best
        """Open or close the ways to some networks; others than we have are passed over. Dials by a way that closes come
        to nothing now, as a daemon may keep them until they are of no use."""
        before = self.open
        for network in networks:
            if open:
                self._shut.pop(network, None)
                self._rests.pop(network, None)
                if (rest := self._resting.pop(network, None)) is not None:
                    rest.cancel()
            else:
                self._shut[network] = None
                for dial in [dial for dial, of in self._dials.items() if of is network]:
                    del self._dials[dial]
                    dial.reschedule(0)
        if self.open != before:
            self.changed()

    async def connect(self, address: NetAddress, timeout: Duration, *, apart: bool = False) -> Connected:
        """Dial. May be cancelled.

        Args:
            address: where to.
            timeout: in microseconds.
            apart: so that nobody sees by the connection that it and another one come from one node.

        Raises:
            DialError: ``unreachable-network``, ``connect-timeout``, ``connect-refused``, ``connect-error``,
                ``not-isolated`` (there is no way to dial it apart), or what a proxy says.
        """
        way = self._ways.get(address.network)
        if way is None:
            raise DialError("unreachable-network")
        limit = asyncio.timeout(timeout / MICROSECONDS)
        self._dials[limit] = address.network
        try:
            async with limit:
                made = await way.open(address, apart=apart)
        except TimeoutError:
            if limit not in self._dials:
                raise DialError("way-closed", ours=True) from None
            raise DialError("connect-timeout") from None
        except ConnectionRefusedError:
            raise DialError("connect-refused") from None
        except OSError as error:
            raise DialError("connect-error") from error
        except DialError as error:
            if error.rests:
                self._rest(address.network)
            raise
        finally:
            self._dials.pop(limit, None)
        self._rests.pop(address.network, None)
        return made

    def close(self) -> None:
        """Nothing opens or closes by itself any more."""
        self.changed = lambda: None
        for rest in self._resting.values():
            rest.cancel()
        self._resting.clear()

    def _rest(self, network: Network) -> None:
        """The daemon could not be reached: nobody is dialled through it for a moment. The next dial is the test."""
        if network in self._resting:
            return
        times = self._rests.get(network, 0)
        self._rests[network] = min(times + 1, 16)
        wait = min(WAY_REST << times, WAY_REST_MOST) / MICROSECONDS
        self._resting[network] = asyncio.get_running_loop().call_later(wait, self._wake, network)
        self.changed()

    def _wake(self, network: Network) -> None:
        self._resting.pop(network, None)
        self.changed()
