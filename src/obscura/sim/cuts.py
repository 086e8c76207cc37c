"""What is cut in a simulated network now: partitions, clogged hosts, hosts without power. No bytes here."""

from __future__ import annotations

from collections.abc import Sequence

from .lines import Line


class Cuts:
    """Who does not hear whom, and who is slow."""

    def __init__(self) -> None:
        self.clogged: dict[int, int] = {}
        """Hosts whose links carry a trickle, each way: its bytes in a second."""
        self.dark: dict[int, list[Line]] = {}
        """Hosts that lost their power, with their sides of the links that they had."""
        self._sides: dict[int, int] = {}
        self._one_way = False

    def part(self, sides: Sequence[Sequence[int]], *, one_way: bool) -> None:
        """See :meth:`Network.part`."""
        self._sides = {number: index for index, side in enumerate(sides, 1) for number in side}
        self._one_way = one_way

    def heal(self) -> None:
        """There is no partition any more."""
        self._sides = {}

    @property
    def parted(self) -> bool:
        """There is a partition."""
        return bool(self._sides)

    def deaf(self, sender: int, receiver: int) -> bool:
        """Whether what ``sender`` sends does not reach ``receiver``."""
        sides = self._sides
        if not sides:
            return False
        there, here = sides.get(sender, 0), sides.get(receiver, 0)
        return there > here if self._one_way else there != here

    def apart(self, one: int, other: int) -> bool:
        """Whether two hosts cannot connect: a handshake of TCP needs both ways."""
        return self.deaf(one, other) or self.deaf(other, one)

    def bandwidth(self, one: int, other: int, usual: int) -> int:
        """Bytes in a second between two hosts."""
        clogged = self.clogged
        if not clogged:
            return usual
        return min(clogged.get(one, usual), clogged.get(other, usual))
