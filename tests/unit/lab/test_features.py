"""What attackers compute from a window."""

from __future__ import annotations

import numpy as np
import pytest
from recorded import plain, recording

from obscura.base.errors import BugError
from obscura.lab.features import CUMULATIVE, DETAILED, SAMPLES, TOTALS, features
from obscura.lab.observed import Activity, Seen, Window


def window(*seen: tuple[int, int]) -> Window:
    """A window of writes (milliseconds, size)."""
    return Window(1, 1, Activity.IDLE, tuple(Seen(at * 1_000, size) for at, size in seen))


SOME = window((500, 300), (1_500, -700), (1_650, 65_553), (9_000, -256))
DIRECTION = CUMULATIVE + 21
"""The first column of lengths out; those in are fourteen later."""


def test_totals_are_bytes_and_writes_of_each_direction() -> None:
    assert features([SOME, window()], 10.0)[:, :TOTALS].tolist() == [[65_853, 956, 2, 2], [0, 0, 0, 0]]


def test_sums_over_time() -> None:
    row = features([SOME], 10.0)[0]
    signed, absolute = row[TOTALS:][:SAMPLES], row[TOTALS + SAMPLES :][:SAMPLES]
    # Samples are at .2 s, .4 s, … 10 s.
    assert signed[[1, 2, 7, 8, 49]].tolist() == [0, 300, -400, 65_153, 64_897]
    assert absolute[[1, 2, 7, 8, 49]].tolist() == [0, 300, 1_000, 66_553, 66_809]


def test_sums_over_writes_are_interpolated() -> None:
    row = features([window((0, 49), (9_999, 98))], 10.0)[0]
    by_write = row[TOTALS + 2 * SAMPLES :][:SAMPLES]
    assert by_write[0] == 0
    assert by_write[-1] == 147
    assert by_write[10] == pytest.approx(49 * 20 / 49)
    assert by_write[40] == pytest.approx(49 + 98 * (80 / 49 - 1))


def test_lengths_by_rung() -> None:
    row = features([SOME], 10.0)[0]
    out, into = row[DIRECTION:][:14], row[DIRECTION + 14 :][:14]
    assert out.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 2, (300 + 65_553) / 2, (65_553 - 300) / 2, 65_553]
    assert into.tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 478, 222, 700]


def test_pauses_and_busy_seconds() -> None:
    row = features([SOME], 10.0)[0]
    out, into, both = row[CUMULATIVE:][:21].reshape(3, 7)
    assert out[[0, -1]].tolist() == pytest.approx([1.15, 1.15])
    assert into[[0, -1]].tolist() == pytest.approx([7.5, 7.5])
    assert both[[0, 3, -1]].tolist() == pytest.approx([0.15, 1.0, 7.35])
    assert row[-16:-11].tolist() == [65_553, 300, 0, 0, 0]
    assert row[-11:-6].tolist() == [700, 256, 0, 0, 0]
    busiest, part, _, seconds, first, _ = row[-6:]
    assert (busiest, seconds, first) == (1, 3, 0.5)
    assert part == pytest.approx(66_253 / 66_809)


def test_a_silent_window_has_numbers_as_well() -> None:
    rows = features([window(), window((3_000, 5))], 10.0)
    assert rows.shape == (2, DETAILED)
    assert np.isfinite(rows).all()
    assert rows[0, CUMULATIVE:][:21].tolist() == [10.0] * 21


def test_the_order_in_which_writes_were_noted_does_not_count() -> None:
    mixed = Window(1, 1, Activity.IDLE, SOME.seen[::-1])
    assert np.array_equal(features([mixed], 10.0), features([SOME], 10.0))


def test_shapes_and_finiteness() -> None:
    windows = recording("plain", plain, worlds=3).windows
    found = features(windows, 20.0)
    assert found.shape == (15, DETAILED) == (15, 269)
    assert np.isfinite(found).all()
    assert features([], 20.0).shape == (0, DETAILED)


def test_a_window_has_a_length() -> None:
    with pytest.raises(BugError, match="windows of 0 s"):
        features([SOME], 0)
    with pytest.raises(BugError):
        features([SOME], -1.0)
