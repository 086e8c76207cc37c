"""What an audit records."""

from __future__ import annotations

import pytest

from obscura.base.errors import ConfigError
from obscura.base.instant import seconds
from obscura.lab.arms import ACROSS, ONE_EPOCH, arms, parse_profiles, record_arms
from obscura.lab.observed import Activity
from obscura.lab.script import WatchOptions
from obscura.shaping import CoverOptions, LinkClass, Profile, Shaping, SteadyOptions

OPTIONS = WatchOptions(each=2)


def test_profiles_by_name() -> None:
    assert parse_profiles("all") == tuple(Profile)
    assert parse_profiles("cover, off") == (Profile.OFF, Profile.COVER)
    for text in ("", "off,", "much"):
        with pytest.raises(ConfigError, match="no profile"):
            parse_profiles(text)


def test_each_profile_has_an_arm_and_steady_two() -> None:
    shaping = Shaping(choices=((LinkClass.NAMED, Profile.OFF),), cover=CoverOptions(rate=9))
    found = {arm.name: arm for arm in arms(tuple(Profile), shaping, OPTIONS)}
    assert list(found) == ["off", "pad", "cover", ONE_EPOCH, ACROSS]
    assert [arm.shaping.profile.value for arm in found.values()] == ["off", "pad", "cover", "steady", "steady"]
    assert all(not arm.shaping.choices and arm.options == OPTIONS for arm in found.values())
    assert found["cover"].shaping.cover.rate == 9
    assert found[ACROSS].shaping.steady == SteadyOptions()
    # The first epoch, a tenth of a grown one, outlasts warm-up, windows, rests and all patience.
    assert found[ONE_EPOCH].shaping.steady.epoch >= 10 * seconds(300 + 10 * (60 + 60 + 900))


def test_a_bottleneck_is_another_line_and_compared_with_its_like() -> None:
    found = arms((Profile.OFF, Profile.STEADY), Shaping(), OPTIONS, 65_536)
    assert [(arm.name, arm.beside, arm.options.lines.bandwidth == 65_536) for arm in found] == [
        ("off", "off", False),
        (ONE_EPOCH, "off", False),
        (ACROSS, "off", False),
        ("off, slow line", "off, slow line", True),
        (f"{ONE_EPOCH}, slow line", "off, slow line", True),
    ]


def test_arms_are_recorded_in_one_set_of_worlds() -> None:
    options = WatchOptions(each=1, window_s=20, activities=(Activity.IDLE, Activity.BLOCK), warm_up_s=70)
    told: list[tuple[str, float]] = []
    shaping = Shaping(steady=SteadyOptions(lowest=65_536))
    wanted = arms((Profile.COVER, Profile.STEADY), shaping, options)
    found = record_arms(wanted, 2, 5, 1, lambda name, share: told.append((name, share)))
    assert [one.name for one in found] == ["cover", ONE_EPOCH, ACROSS]
    orders = [[window.activity for window in one.windows] for one in found]
    assert orders[0] == orders[1] == orders[2]
    assert len(orders[0]) == 4
    assert told[-1] == (ACROSS, 1.0)
    one_epoch = {abs(seen.size) for window in found[1].windows for seen in window.seen}
    assert one_epoch == {65_536 // 4}
    assert found[0].costs[0].decoy > 0
