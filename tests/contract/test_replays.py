"""The replay guards that ship, against the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from replay_contract import START, ReplayContract

from obscura.base.instant import WallTime
from obscura.peers.replay import Knock, ReplayGuard, ReplayWindow
from obscura.store.replay import ReplayFile


class TestWindow(ReplayContract):
    @pytest.fixture
    def make(self) -> Callable[[], ReplayGuard]:
        return ReplayWindow


class TestFile(ReplayContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterator[Callable[[], ReplayGuard]]:
        opened: list[ReplayFile] = []

        def make() -> ReplayGuard:
            opened.append(ReplayFile(tmp_path / "replay", WallTime(START)))
            return opened[-1]

        yield make
        for one in opened:
            one.close()


class _Reopened:
    """A file that is closed and opened again around every call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def admit(self, knocks: Sequence[Knock]) -> list[bool]:
        guard = ReplayFile(self._path, knocks[0][1] if knocks else WallTime(START))
        try:
            return guard.admit(knocks)
        finally:
            guard.close()


class TestFileThatIsReopened(ReplayContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], ReplayGuard]:
        return lambda: _Reopened(tmp_path / "replay")
