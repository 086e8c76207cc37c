"""How often a uniformly random first packet is exempt, computed, and exact bounds for a count of them."""

from __future__ import annotations

import math

from obscura.shaping.first_packet import POPCOUNT_HIGH, POPCOUNT_LOW, PREFIX_BYTES, RUN_BYTES

PRINTABLE = 95 / 256


def binomial(n: int, p: float) -> list[float]:
    """The probabilities of 0 … n."""
    log = math.lgamma(n + 1)
    return [
        math.exp(log - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p))
        for k in range(n + 1)
    ]


def exempt_probability(length: int) -> float:
    """Of uniformly random bytes. The rules are taken as independent: for the shortest packets, where two of them
    overlap most, that changes less than a hundredth of the average over all lengths."""
    popcount = half = 0.0
    if length <= 600:  # above, both are below 1e-9
        bits = binomial(8 * length, 0.5)
        popcount = sum(p for k, p in enumerate(bits) if k / length <= POPCOUNT_LOW or k / length >= POPCOUNT_HIGH)
        half = sum(p for k, p in enumerate(binomial(length, PRINTABLE)) if 2 * k > length)
    prefix = PRINTABLE**PREFIX_BYTES
    run = PRINTABLE ** (RUN_BYTES + 1) * (1 + (length - RUN_BYTES - 1) * (1 - PRINTABLE))
    tls = 2 / 256 * 1 / 256 * 10 / 256
    http = 2 / 256**4 + 2 / 256**5
    return 1 - math.prod(1 - p for p in (popcount, prefix, half, run, tls, http))


def binomial_bounds(n: int, p: float, outside: float) -> tuple[int, int]:
    """The smallest and the largest count that are not in the tails, each of ``outside / 2``."""
    tail, low = 0.0, 0
    probabilities = binomial(n, p)
    while (tail := tail + probabilities[low]) < outside / 2:
        low += 1
    tail, high = 0.0, n
    while (tail := tail + probabilities[high]) < outside / 2:
        high -= 1
    return low, high
