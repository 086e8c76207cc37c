"""What is written down of a line, and how it is cut up."""

from __future__ import annotations

import pytest

from obscura.base.errors import BugError
from obscura.lab.observed import Seen
from obscura.lab.taps import Tap


def tapped(*writes: tuple[int, int]) -> Tap:
    """A tap that saw these times and signed sizes."""
    tap = Tap()
    for at, size in writes:
        tap.saw(at, abs(size), outward=size > 0)
    return tap


def test_a_window_has_its_beginning_and_not_its_end() -> None:
    tap = tapped((9, 1), (10, 2), (15, -3), (20, 4))
    assert tap.window(10, 20) == (Seen(0, 2), Seen(5, -3))
    assert tap.total(10, 20) == 5
    assert tap.window(21, 30) == ()
    assert tap.total(21, 30) == 0


def test_writes_of_one_side_at_one_time_are_one() -> None:
    tap = tapped((1, 10), (1, -5), (1, 20), (1, -6), (2, 7))
    assert tap.window(0, 3) == (Seen(1, 30), Seen(1, -11), Seen(2, 7))


def test_volume_by_seconds() -> None:
    tap = tapped((1_000_000, 1), (1_999_999, -2), (2_000_000, 4), (3_500_000, 8), (9_000_000, 100))
    assert tap.volume(1_000_000, 4_000_000) == (3, 4, 8)
    # A second that has begun is one.
    assert tap.volume(1_000_000, 3_500_001) == (3, 4, 8)


def test_time_does_not_go_back() -> None:
    with pytest.raises(BugError, match="after one at 5"):
        tapped((5, 1), (4, 1))
