"""The coin view and the chain's times together: what admission asks about the state of the chain."""

from __future__ import annotations

from .binding import Kernel
from .coins import CoinView
from .header import MEDIAN_SPAN, median_time


class ChainCoins:
    """Implements :class:`~.coin.Coins` as of the view's tip.

    Args:
        view: the coins.
        kernel: knows the blocks' times.
    """

    def __init__(self, view: CoinView, kernel: Kernel) -> None:
        self._kernel = kernel
        self._medians: dict[int, int] = {}
        self.height = view.height
        self.coin = view.coin

    def median_time(self, height: int) -> int:
        """See :class:`~.coin.Coins`."""
        if height not in self._medians:
            name = self._kernel.active_hash(height)
            # A chain that has become shorter meanwhile: what is judged now is judged again when the view follows.
            start = self._kernel.tip()[1] if name is None else name
            headers = self._kernel.headers_back(start, MEDIAN_SPAN)
            self._medians[height] = median_time(headers)
        return self._medians[height]
