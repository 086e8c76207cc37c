"""Ctrl-C in the middle of the kernel's work."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from crash_chain import ROOT, name_of, row

from obscura.ledgers.kernel import binding
from obscura.ledgers.kernel.binding import Kernel
from obscura.ledgers.kernel.interrupts import interrupts_wait
from obscura.ledgers.kernel.networks import REGTEST


def test_it_waits_until_the_call_has_returned() -> None:
    steps: list[str] = []

    def work() -> None:
        with interrupts_wait():
            signal.raise_signal(signal.SIGINT)
            steps.append("done")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["done"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_are_left_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with interrupts_wait():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_a_block_is_judged_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(REGTEST.chain_type, tmp_path / "kernel")
    [block] = row(1)
    real = binding.k.btck_chainstate_manager_process_block

    def disturbed(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(binding.k, "btck_chainstate_manager_process_block", disturbed)
        with pytest.raises(KeyboardInterrupt):
            kernel.submit_block(name_of(block), block)
    assert kernel.tip() == (1, name_of(block))
    assert kernel.active_hash(0) == ROOT
    kernel.close()
