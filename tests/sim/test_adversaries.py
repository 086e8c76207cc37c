"""Each kind of adversary really does what it says, and honest hosts bear it."""

from __future__ import annotations

import pytest
from sim_trials import adversary_trial, kinds_of, trial_of

from obscura.sim.adversaries import KINDS
from obscura.sim.trial import Trial


def lowest_counts(trial: Trial) -> int:
    return max(host.node._state.low_work for host in trial.hosts if host.alive)


def test_without_adversaries_nothing_is_amiss() -> None:
    trial = trial_of()
    report = trial.finish()
    assert report.verdict == "held", report.why
    # Links that began before their responder had looked at its coins are renewed.
    assert set(report.closed) <= {"features-changed", "peer-closed"}
    assert report.mischief == {}
    assert "mischief" not in kinds_of(trial)
    assert report.deepest_reorganisation <= 1
    assert report.blocks_mined - report.height <= 3, "blocks seldom meet on good lines"


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_honest_hosts_bear_two_of_eight(kind: str) -> None:
    trial, _ = adversary_trial(kind)
    report = trial.finish()
    assert report.verdict == "held", report.why
    assert sum(report.mischief.values()) > 10
    assert kinds_of(trial).count("mischief") == sum(report.mischief.values())
    assert report.height > report.blocks_mined // 2


def test_a_height_liar_is_asked_and_not_believed() -> None:
    trial, _ = adversary_trial("height-liar")
    report = trial.finish()
    pictures = [host.node.snapshot(trial.world.now) for host in trial.hosts]
    claims = [peer.claimed_height for picture in pictures for peer in picture.peers]
    assert max(claims) >= 1 << 40
    assert not any(picture.syncing for picture in pictures)
    assert report.verdict == "held"


def test_a_header_liar_fills_accounts_and_is_closed() -> None:
    trial, reasons = adversary_trial("header-liar")
    seen = 0
    for _ in range(20):
        trial.world.run_for(60_000_000)
        seen = max(seen, lowest_counts(trial))
    assert seen > 10, "low-work headers were held on somebody's account"
    report = trial.finish()
    assert {"high-hash", "time-too-old"} <= {*reasons}
    for act in ("low work", "no work", "too old", "unconnected"):
        assert report.mischief[f"header-liar {act}"] > 0


def test_withheld_blocks_leave_hosts_that_sync_for_ever_and_still_relay() -> None:
    trial, _ = adversary_trial("withholder")
    syncing = 0
    for _ in range(20):
        trial.world.run_for(60_000_000)
        syncing += sum(host.node.snapshot(trial.world.now).syncing for host in trial.hosts)
    assert syncing > 5, "the better headers did stand in the way"
    report = trial.finish()
    assert report.verdict == "held"
    assert report.mischief["withholder asked"] > 0


def test_a_block_liar_is_closed_for_both_lies() -> None:
    trial, reasons = adversary_trial("block-liar")
    assert trial.finish().verdict == "held"
    assert reasons.count("bad-body") > 1
    late, more = adversary_trial("block-liar", seed=2)
    # Only who is behind asks for true blocks, so some hosts are made to catch up.
    late.network.part([[number] for number in range(3)])
    late.world.run_for(200_000_000)
    late.network.heal()
    assert late.finish().mischief["block-liar mutated"] > 0
    assert "body-mismatch" in more


def test_a_not_founder_costs_a_request_and_no_more() -> None:
    trial, reasons = adversary_trial("not-founder")
    report = trial.finish()
    assert report.mischief["not-founder"] > 10
    assert "block-timeout" not in reasons


def test_a_staller_is_closed() -> None:
    trial, reasons = adversary_trial("staller")
    report = trial.finish()
    assert report.mischief["staller"] > 1
    assert report.mischief["staller headers"] > 1
    assert reasons.count("block-timeout") > 1


def test_an_equivocator_makes_forks() -> None:
    trial, _ = adversary_trial("equivocator")
    forks = 0
    for _ in range(1_200):
        trial.world.run_for(1_000_000)
        tips = {host.ledger.tip: host.ledger.height for host in trial.hosts}
        forks += len(tips) > len({*tips.values()})
    assert forks > 60, "hosts had different tips of one height for minutes"
    assert trial.finish().verdict == "held"


def test_a_selfish_miner_undoes_several_blocks_at_once() -> None:
    trial, _ = adversary_trial("selfish", span_min=40)
    report = trial.finish()
    assert report.verdict == "held"
    assert report.deepest_reorganisation >= 2


def test_a_babbler_is_closed_for_its_garbage() -> None:
    trial, heard = adversary_trial("babbler")
    trial.finish()
    assert {"frame-oversized", "type-unprintable"} <= {*heard}
    assert len({*heard}) >= 4
