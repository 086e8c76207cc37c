"""Trials of one adversary or one fault, and what honest hosts said of the links with adversaries."""

from __future__ import annotations

from dataclasses import replace

from obscura.base.instant import minutes, seconds
from obscura.node.effects import Event, LinkClosed
from obscura.sim.faults import NO_FAULTS, FaultOptions
from obscura.sim.host import Host
from obscura.sim.journal import Journal
from obscura.sim.trial import Trial, TrialOptions

POWER = 0.5
"""As much as a model may give to adversaries, so that a short trial sees them mine."""


def trial_of(faults: FaultOptions = NO_FAULTS, *, seed: int = 1, hosts: int = 8, span_min: float = 20) -> Trial:
    """A trial with nothing but these faults; it keeps its journal's lines."""
    options = TrialOptions(seed=seed, hosts=hosts, span=minutes(span_min), faults=faults, interval=seconds(20))
    return Trial(options, Journal(keep_lines=True))


def adversary_trial(kind: str, *, seed: int = 1, **named: float) -> tuple[Trial, list[str]]:
    """A trial with two adversaries of one kind among eight hosts, and why honest hosts ended links with them."""
    trial = trial_of(replace(NO_FAULTS, adversaries=(kind,), share=0.25, power=POWER), seed=seed, **named)
    raws = [adversary.address.raw for adversary in trial.adversaries]
    assert len(raws) == 2, "a quarter of eight"
    reasons: list[str] = []
    told = trial.checker.told

    def listen(host: Host, event: Event) -> None:
        if isinstance(event, LinkClosed) and event.address.raw in raws:
            reasons.append(event.reason)
        told(host, event)

    trial.checker.told = listen  # type: ignore[method-assign]
    return trial, reasons


def kinds_of(trial: Trial) -> list[str]:
    """The kinds of a journal's entries, in order."""
    assert trial.journal.lines is not None
    return [line.split()[3] for line in trial.journal.lines]
