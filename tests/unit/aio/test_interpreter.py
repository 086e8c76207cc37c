"""The interpreter's settings while a node runs."""

from __future__ import annotations

import gc
import sys

import pytest

from obscura.aio.interpreter import uncollected, undisturbed
from obscura.base.instant import MICROSECONDS
from obscura.base.limits import SWITCH_INTERVAL


def test_settings_hold_while_it_lasts_and_are_as_before_behind_it() -> None:
    before = sys.getswitchinterval()
    with pytest.raises(RuntimeError), undisturbed():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL / MICROSECONDS)
        assert gc.get_freeze_count() > 0
        raise RuntimeError
    assert sys.getswitchinterval() == before
    assert gc.get_freeze_count() == 0


def test_who_has_set_a_shorter_interval_keeps_it() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.000125)
    shorter = sys.getswitchinterval()
    try:
        with undisturbed():
            assert sys.getswitchinterval() == shorter
    finally:
        sys.setswitchinterval(before)


def test_new_garbage_is_still_collected() -> None:
    class Knot:
        def __init__(self) -> None:
            self.itself = self

    with undisturbed():
        Knot()
        assert gc.collect() > 0


def test_the_collector_rests_and_then_works_if_it_did_before() -> None:
    with pytest.raises(RuntimeError), uncollected():
        assert not gc.isenabled()
        raise RuntimeError
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
