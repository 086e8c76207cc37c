"""What an operator chooses of shaping, and what he is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from obscura.app.settings import Settings, load
from obscura.app.shapes import costs_of, idle_rate
from obscura.base.errors import ConfigError
from obscura.base.instant import MICROSECONDS, seconds
from obscura.base.limits import (
    COVER_DELAY_MOST,
    COVER_RATE_MOST,
    COVER_SHARE_MOST,
    STEADY_EPOCH_LEAST,
    STEADY_EPOCH_MOST,
    STEADY_TOTAL_MOST,
)
from obscura.shaping import CoverOptions, LinkClass, Profile, Shaping, SteadyOptions

L, P = LinkClass, Profile


def test_defaults() -> None:
    assert Settings().shapes == Shaping()
    assert Shaping().of(*LinkClass) is Profile.PAD
    assert Shaping().in_use == (Profile.PAD,)


def test_all_that_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "obscura.toml").write_text('shaping = "cover"\nshape = ["named=steady", "onion = off"]\n')
    given = {
        "cover_rate": 99, "cover_share": 7, "cover_delay_ms": 55,
        "steady_lowest": 1_024, "steady_highest": 65_536, "steady_epoch": 120,
    }  # fmt: skip
    assert load(tmp_path, {}, given).shapes == Shaping(
        profile=P.COVER,
        choices=((L.NAMED, P.STEADY), (L.ONION, P.OFF)),
        cover=CoverOptions(rate=99, share=7, delay=seconds(0.055)),
        steady=SteadyOptions(lowest=1_024, highest=65_536, epoch=seconds(120)),
    )


@pytest.mark.parametrize(
    ("classes", "profile"),
    [
        ((L.CLEARNET, L.OUTBOUND), P.PAD),
        ((L.CLEARNET, L.INBOUND), P.OFF),
        ((L.ONION, L.INBOUND), P.COVER),
        ((L.NAMED, L.ONION, L.OUTBOUND), P.STEADY),
        ((L.I2P, L.OUTBOUND), P.PAD),
    ],
)
def test_the_most_particular_choice_decides(classes: tuple[LinkClass, ...], profile: Profile) -> None:
    chosen = Shaping(choices=((L.INBOUND, P.OFF), (L.ONION, P.COVER), (L.NAMED, P.STEADY)))
    assert chosen.of(*classes) is profile
    assert chosen.in_use == (P.OFF, P.PAD, P.COVER, P.STEADY)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shaping": "much"}, "choose one of off, pad, cover, steady"),
        ({"shape": ("named",)}, "CLASS=PROFILE, where CLASS is one of named, onion"),
        ({"shape": ("nobody=pad",)}, "CLASS=PROFILE"),
        ({"shape": ("named=much",)}, "the profiles are off, pad"),
        ({"shape": ("named=pad", "named=off")}, "another profile is given for named as well"),
        ({"cover_rate": COVER_RATE_MOST + 1}, f"0 to {COVER_RATE_MOST}"),
        ({"cover_share": COVER_SHARE_MOST + 1}, f"0 to {COVER_SHARE_MOST}"),
        ({"cover_delay_ms": COVER_DELAY_MOST // 1_000 + 1}, f"0 to {COVER_DELAY_MOST // 1_000}"),
        ({"steady_lowest": 1_000}, "choose one of 1024, 4096, 16384"),
        ({"steady_lowest": 65_536, "steady_highest": 16_384}, "steady_highest is 16384: at most that"),
        ({"steady_total": STEADY_TOTAL_MOST + 1}, f"0 to {STEADY_TOTAL_MOST}"),
        ({"steady_epoch": STEADY_EPOCH_LEAST // MICROSECONDS - 1}, "steady_epoch = 9 cannot be"),
        ({"steady_epoch": STEADY_EPOCH_MOST // MICROSECONDS + 1}, "steady_epoch = 86401 cannot be"),
        (
            {"steady_lowest": 1_024, "steady_highest": 4_096},
            "16384 at least: a block would take longer than peers wait",
        ),
        ({"shape": ("named=steady",), "connect": ("plain://127.0.0.1:9",)}, "has a link in clear, which has no decoys"),
        (
            {"shaping": "cover", "transport": "plain"},
            "a link in clear is not shaped; choose literal or veiled, or leave cover away",
        ),
        ({"shape": ("named=steady",), "transport": "plain"}, "leave steady away"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s).*") as refused:
        load(tmp_path, {}, given)
    assert said in str(refused.value)


def test_low_rates_are_for_small_blocks(tmp_path: Path) -> None:
    slow = {"steady_lowest": 1_024, "steady_highest": 4_096, "network": "regtest"}
    assert load(tmp_path, {}, slow).shapes.steady.highest == 4_096
    with pytest.raises(ConfigError, match="4096 at least: headers would take longer"):
        load(tmp_path, {}, slow | {"steady_highest": 1_024})


def test_bounds_themselves_can_be_chosen(tmp_path: Path) -> None:
    most = {
        "cover_rate": COVER_RATE_MOST, "cover_share": COVER_SHARE_MOST,
        "cover_delay_ms": COVER_DELAY_MOST // 1_000, "steady_epoch": STEADY_EPOCH_MOST // MICROSECONDS,
    }  # fmt: skip
    load(tmp_path, {}, most)
    load(tmp_path, {}, {"cover_rate": 0, "cover_share": 0, "cover_delay_ms": 0, "steady_epoch": 10})


def test_an_operator_is_told_what_it_costs() -> None:
    assert costs_of(Shaping()) == []
    chosen = Shaping(profile=P.COVER, choices=((L.NAMED, P.STEADY),))
    assert costs_of(chosen) == [
        "cover (all other links): an idle link costs 674.6 MB in 30 days each way, at most",
        "steady (named links): an idle link costs 42.5 GB in 30 days each way, a busy one 2.7 TB at most",
    ]
    assert [round(idle_rate(profile, chosen), 2) for profile in Profile] == [1.08, 4.27, 260.27, 16_384.0]
