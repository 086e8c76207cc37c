"""What an attacker computes from a window: numbers, as many for each window, from times, directions and lengths alone.

Three sets, each of which begins with the ones before: *totals*; *cumulative* sizes, as in CUMUL (Panchenko et al.,
"Website Fingerprinting at Internet Scale", NDSS 2016), but sampled over time as well as over writes, since idle time is
the signal here; *detailed*, in the manner of k-fingerprinting (Hayes and Danezis, USENIX Security 2016), with what
shaping works on: lengths by the rungs of the ladder, pauses, the busiest seconds.

Directions are those of the watched node: *out* is what it writes, *in* what is written to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ..base.errors import BugError
from ..base.instant import MICROSECONDS
from ..shaping.sizes import LADDER
from .observed import Window
from .resampling import Floats, Ints

SAMPLES: Final = 50
TOTALS: Final = 4
CUMULATIVE: Final = TOTALS + 4 * SAMPLES
_SHARES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_BUSIEST: Final = 5
_RUNGS: Final = np.array(LADDER, dtype=np.int64)
_BINS: Final = len(LADDER) + 1  # and what is longer than a full record
DETAILED: Final = CUMULATIVE + 3 * len(_SHARES) + 2 * (_BINS + 4) + 2 * _BUSIEST + 6


def features(windows: Sequence[Window], window_s: float) -> Floats:
    """All numbers of windows: an array of one row a window and :data:`DETAILED` columns.

    - The first :data:`TOTALS`: bytes out, bytes in, writes out, writes in.
    - Up to :data:`CUMULATIVE`: the sum of bytes, in ones negative, and the sum without signs; both at :data:`SAMPLES`
      moments, evenly up to the window's end, then both at as many places from the first write to the last,
      interpolated.
    - Quantiles of the pauses (seconds) between writes out, in, and of both; the window's length where there is none.
    - Of each direction: writes by rung of the ladder, how many different lengths, the mean and the deviation of the
      lengths, the longest.
    - Of each direction: the volumes of the busiest seconds, the busiest first.
    - When the busiest second was, its share of the volume, the deviation of volumes, how many seconds had any, the
      time of the first write, and the mean time of bytes.

    Args:
        windows: any number; writes may be in any order.
        window_s: the length of all of them in seconds.

    Raises:
        BugError: a window has no length.
    """
    if window_s <= 0:
        msg = f"windows of {window_s} s"
        raise BugError(msg)
    found = [_detailed(*_arrays(one), window_s) for one in windows]
    return np.array(found, dtype=np.float64).reshape(len(windows), DETAILED)


def _arrays(window: Window) -> tuple[Floats, Ints]:
    """Times in seconds, ascending, and sizes with their signs."""
    seen = np.array(window.seen, dtype=np.int64).reshape(-1, 2)
    if np.any(np.diff(seen[:, 0]) < 0):
        seen = seen[np.argsort(seen[:, 0], kind="stable")]
    return seen[:, 0] / MICROSECONDS, seen[:, 1]


def _totals(sizes: Ints) -> list[float]:
    out, in_ = sizes[sizes > 0], sizes[sizes < 0]
    return [float(out.sum()), float(-in_.sum()), float(len(out)), float(len(in_))]


def _cumulative(at: Floats, sizes: Ints, window_s: float) -> Floats:
    sums = np.zeros((2, len(sizes) + 1))
    np.cumsum(sizes, out=sums[0, 1:])
    np.cumsum(np.abs(sizes), out=sums[1, 1:])
    moments = np.linspace(window_s / SAMPLES, window_s, SAMPLES)
    by_time = sums[:, np.searchsorted(at, moments, side="right")]
    places = np.linspace(0, len(sizes), SAMPLES)
    by_write = [np.interp(places, np.arange(len(sizes) + 1), line) for line in sums]
    return np.concatenate((_totals(sizes), by_time.ravel(), *by_write))


def _detailed(at: Floats, sizes: Ints, window_s: float) -> Floats:
    seconds = max(1, int(np.ceil(window_s)))
    second = np.minimum(at.astype(np.int64), seconds - 1)
    lengths = np.abs(sizes)
    parts: list[Floats | list[float]] = [_cumulative(at, sizes, window_s)]
    ways = (sizes > 0, sizes < 0)
    parts += [_pauses(at[way], window_s) for way in (*ways, slice(None))]
    parts += [_lengths(lengths[way]) for way in ways]
    for way in ways:
        volume = np.bincount(second[way], weights=lengths[way], minlength=seconds)
        busiest = np.zeros(_BUSIEST)
        top = np.sort(volume)[::-1][:_BUSIEST]
        busiest[: len(top)] = top
        parts.append(busiest)
    volume = np.bincount(second, weights=lengths, minlength=seconds)
    whole = float(volume.sum())
    parts.append(
        [
            float(np.argmax(volume)),
            float(volume.max()) / whole if whole else 0.0,
            float(volume.std()),
            float(np.count_nonzero(volume)),
            float(at[0]) if len(at) else window_s,
            float(at @ lengths) / whole if whole else window_s,
        ]
    )
    return np.concatenate(parts)


def _pauses(at: Floats, window_s: float) -> Floats:
    return np.quantile(np.diff(at), _SHARES) if len(at) > 1 else np.full(len(_SHARES), window_s)


def _lengths(lengths: Ints) -> Floats:
    by_rung = np.bincount(np.searchsorted(_RUNGS, lengths), minlength=_BINS).astype(np.float64)
    if not len(lengths):
        return np.concatenate((by_rung, np.zeros(4)))
    more = (float(len(np.unique(lengths))), float(lengths.mean()), float(lengths.std()), float(lengths.max()))
    return np.concatenate((by_rung, more))
