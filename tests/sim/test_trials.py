"""Whole trials: a seed repeats to the bit, faults really happen, and the checkers fire when something is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from sim_trials import kinds_of, trial_of

from obscura.base.errors import ConfigError
from obscura.base.instant import minutes, seconds
from obscura.base.names import BlockHash
from obscura.base.randomness import Chance
from obscura.chain import BlockReport, BlockVerdict, HeaderReport
from obscura.ledgers.memory import MemoryLedger
from obscura.ledgers.memory_transactions import Undo
from obscura.node import bounds, on_sync
from obscura.node.effects import Event, LinkOpened
from obscura.sim.disk import Disk
from obscura.sim.faults import ADVERSARIES, FAULTS, NO_FAULTS, draw_faults
from obscura.sim.host import Host
from obscura.sim.journal import Journal, first_difference
from obscura.sim.trial import Trial, TrialOptions

OFTEN = seconds(60)


def everything(seed: int, *, hosts: int = 14, span_min: float = 15) -> Trial:
    faults = draw_faults(Chance.from_seed(seed), FAULTS, ADVERSARIES)
    return trial_of(faults, seed=seed, hosts=hosts, span_min=span_min)


class TestRepetition:
    def test_a_seed_with_all_faults_and_adversaries_repeats(self) -> None:
        one, other = everything(3), everything(3)
        report = one.finish()
        assert report == other.finish()
        assert one.journal.lines is not None
        assert other.journal.lines is not None
        assert first_difference(one.journal.lines, other.journal.lines) is None
        assert everything(4).finish().journal != report.journal

    def test_two_hash_seeds_give_one_journal(self) -> None:
        command = [sys.executable, "-m", "obscura.cli.main", "sim", "run", "--json", "--nodes", "14", "--seed", "5"]
        command += ["--hours", "0.3", "--faults", "all", "--adversaries", "all"]
        journals = []
        for hash_seed in ("0", "4242"):
            environment = os.environ | {"PYTHONHASHSEED": hash_seed}
            done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment, check=True)
            journals.append(json.loads(done.stdout)["journal"])
        assert journals[0] == journals[1]

    @pytest.mark.parametrize("seed", range(40, 46))
    def test_all_faults_at_once_hold(self, seed: int) -> None:
        report = everything(seed).finish()
        assert report.verdict == "held", report.why


class TestLinks:
    def test_every_link_is_veiled_whatever_happens_to_it(self) -> None:
        """Those to adversaries, and those of a host's next life, too."""
        trial = everything(3)
        told = trial.checker.told
        lives: dict[int, None] = {}
        opened = 0

        def listen(host: Host, event: Event) -> None:
            nonlocal opened
            if isinstance(event, LinkOpened):
                for peer in host.node.snapshot(host.clock.now).peers:
                    if peer.conn == event.conn:
                        assert (peer.transport, peer.encrypted) == ("veiled", True)
                        opened += 1
                        lives[host.life] = None
            told(host, event)

        trial.checker.told = listen  # type: ignore[method-assign]
        report = trial.finish()
        assert report.verdict == "held", report.why
        assert opened > 100
        assert len(lives) > 1, "hosts have dialled again after a crash"


class TestFaultsHappen:
    def test_crashes_lose_writes_and_hosts_live_again(self) -> None:
        trial = trial_of(replace(NO_FAULTS, crash_every=seconds(5), down_for=seconds(5)), hosts=12)
        report = trial.finish()
        assert report.verdict == "held", report.why
        assert report.toll["crashes"] > 100
        assert report.toll["writes_lost"] > 0
        assert 0 < report.toll["power_cuts"] < report.toll["crashes"]
        assert max(host.life for host in trial.hosts) > 5
        assert kinds_of(trial).count("crashed") == kinds_of(trial).count("restarted") == report.toll["crashes"]

    def test_a_host_that_dies_while_a_block_is_written(self) -> None:
        """Exactly then: the block is told to nobody, and is there afterwards or not."""
        outcomes = {}
        for seed in range(12):
            trial = trial_of(seed=seed, hosts=2)
            trial.world.run_for(seconds(5))
            host = trial.hosts[0]
            height = host.ledger.height
            host.submit(host.template(b"unlucky"))
            losses = host.crash(power=True)
            trial.network.power_on(0)
            trial.restart(0)
            assert trial.hosts[0].ledger.height == height + 1 - losses.blocks
            outcomes[losses.blocks] = None
            trial.checker.check(trial.hosts[0])
        assert sorted(outcomes) == [0, 1]

    def test_partitions(self) -> None:
        faults = replace(NO_FAULTS, partition_every=OFTEN, partition_for=OFTEN, one_sided=0.5)
        trial = trial_of(faults, hosts=12, span_min=30)
        report = trial.finish()
        assert report.verdict == "held", report.why
        assert 0 < report.toll["one_sided"] < report.toll["partitions"]
        assert report.deepest_reorganisation >= 2, "sides did go their own ways"

    def test_clogs(self) -> None:
        trial = trial_of(replace(NO_FAULTS, clog_every=OFTEN, clog_for=OFTEN, clog_bandwidth=50))
        report = trial.finish()
        assert report.verdict == "held", report.why
        assert report.toll["clogs"] > 5
        assert report.reorganisations > 5, "blocks were late"

    def test_pauses(self) -> None:
        trial = trial_of(replace(NO_FAULTS, pause_every=OFTEN, pause_for=minutes(2)))
        report = trial.finish()
        assert report.verdict == "held", report.why
        assert report.toll["pauses"] > 5

    def test_a_frozen_host_does_nothing_until_it_thaws(self) -> None:
        trial = trial_of(hosts=4)
        trial.world.run_for(minutes(2))
        host = trial.hosts[1]
        height = host.ledger.height
        assert height > 0
        host.freeze()
        entries = sum(" host 1 " in line for line in trial.journal.lines or ())
        trial.world.run_for(minutes(5))
        assert sum(" host 1 " in line for line in trial.journal.lines or ()) == entries
        assert host.ledger.height == height < trial.hosts[0].ledger.height
        host.thaw()
        trial.world.run_for(seconds(10))
        assert host.ledger.height >= trial.hosts[0].ledger.height - 1
        trial.checker.check(host)

    def test_clocks(self) -> None:
        trial = trial_of(replace(NO_FAULTS, jump_every=OFTEN, jump_s=12 * 3_600))
        trial.trouble()
        assert trial.weather.toll.jumps > 5
        assert all(host.clock.skew == 0 for host in trial.hosts), "the clear sky puts them right"
        assert trial.settle()
        rules = [line for line in trial.journal.lines or () if " clock " in line]
        assert len(rules) > trial.weather.toll.jumps, "and that is journalled too"

    def test_loss_and_resets(self) -> None:
        report = trial_of(replace(NO_FAULTS, loss=0.1, reset=0.005)).finish()
        assert report.verdict == "held", report.why
        assert report.losses > 100
        assert report.resets > 5


class Credulous(MemoryLedger):
    """Takes any block for valid."""

    def _connect(self, node: Any) -> str:
        if super()._connect(node):
            self._undo[node.info.hash] = Undo()
        return ""


class Fragile(MemoryLedger):
    """Breaks at the third batch of headers."""

    calls = 0

    def accept_headers(self, headers: object) -> HeaderReport:
        self.calls += 1
        if self.calls == 3:
            raise ValueError("torn")
        return super().accept_headers(headers)  # type: ignore[arg-type]


class Backwards(MemoryLedger):
    """Says once that its tip is genesis again."""

    done = False

    def accept_blocks(self, blocks: object) -> BlockReport:
        report = super().accept_blocks(blocks)  # type: ignore[arg-type]
        if self.height == 3 and not self.done:
            self.done = True
            return replace(report, tip=self.identify_header(self.genesis).hash)
        return report


def broken(ledger: type[MemoryLedger], **faults: object) -> Trial:
    options = TrialOptions(
        seed=1,
        hosts=6,
        span=minutes(20),
        faults=replace(NO_FAULTS, **faults),  # type: ignore[arg-type]
        interval=seconds(20),
    )
    return Trial(options, make_ledger=lambda number: ledger if number == 1 else MemoryLedger)


class TestCheckersFire:
    def test_an_invalid_block_in_an_active_chain(self) -> None:
        report = broken(Credulous, adversaries=("block-liar",), share=0.2, power=0.5).finish()
        assert report.verdict == "unsafe"
        assert report.why.startswith("invalid-block at host 1")

    def test_an_exception_out_of_a_host(self) -> None:
        report = broken(Fragile).finish()
        assert report.verdict == "unsafe"
        assert report.why.startswith("ValueError out of host 1: torn")

    def test_a_tip_that_goes_back(self) -> None:
        report = broken(Backwards).finish()
        assert report.verdict == "unsafe"
        assert "host 1" in report.why
        assert report.why.startswith("tip-work")

    def test_an_acknowledged_block_that_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        accepted = Disk.accepted

        def forget(self: Disk, blocks: tuple[bytes, ...], report: BlockReport) -> None:
            accepted(self, blocks, report)
            if len(self.blocks) > 3:
                self.blocks.popitem()

        monkeypatch.setattr(Disk, "accepted", forget)
        report = trial_of(replace(NO_FAULTS, crash_every=OFTEN, down_for=seconds(5))).finish()
        assert report.verdict == "unsafe"
        assert report.why.startswith("acknowledged-lost")

    def test_a_bound_that_does_not_hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bounds, "BOOK_ENTRIES", -100)
        report = trial_of().finish()
        assert report.verdict == "unsafe"
        assert report.why.startswith("invariant")
        assert "address book" in report.why

    def test_a_graph_that_is_cut_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trial = trial_of()
        trial.network.part([[0, 1, 2]])
        monkeypatch.setattr(trial.network, "heal", lambda: None)
        report = trial.finish()
        assert report.verdict == "stuck"
        assert len(report.tips) >= 2
        assert report.settled_s == -1

    def test_a_relay_that_is_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        trial = trial_of()
        trial.trouble()
        assert trial.settle()
        monkeypatch.setattr(on_sync, "announce", lambda state, joined, now: None)
        report = trial.finish()
        assert report.verdict == "stuck"
        assert report.why == "the last block did not reach everybody"

    def test_who_is_down_does_not_agree(self) -> None:
        trial = trial_of()
        trial.world.run_for(seconds(30))
        trial._mining = False
        assert trial.settle()
        trial.hosts[2].crash(power=False)
        assert not trial.agreed
        trial.restart(2)
        assert trial.settle()


def test_refused_outcomes_are_not_acknowledged() -> None:
    disk = Disk()
    ledger = MemoryLedger()
    report = ledger.accept_blocks((bytes(100),))
    assert report.outcomes[0].verdict is not BlockVerdict.ACCEPTED
    disk.accepted((bytes(100),), report)
    assert disk.blocks == {}
    assert BlockHash(bytes(32)) not in disk.blocks


@pytest.mark.parametrize("wrong", [{"hosts": 1}, {"hosts": 70_000}, {"span": seconds(1)}, {"interval": seconds(0.1)}])
def test_impossible_trials(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        TrialOptions(seed=1, **wrong)  # type: ignore[arg-type]


def test_a_journal_can_go_elsewhere() -> None:
    lines: list[str] = []
    options = TrialOptions(seed=1, hosts=4, span=minutes(2), faults=NO_FAULTS)
    report = Trial(options, Journal(sink=lines.append)).finish()
    assert Trial(options).finish() == report
    assert len(lines) > 100
