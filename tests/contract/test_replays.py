"""The replay guards that ship, against the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from replay_contract import START, ReplayContract

from obscura.base.instant import WallTime
from obscura.peers.replay import ReplayGuard, ReplayWindow
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

    def admit(self, e_i: bytes, now: WallTime) -> bool:
        guard = ReplayFile(self._path, now)
        try:
            return guard.admit(e_i, now)
        finally:
            guard.close()


class TestFileThatIsReopened(ReplayContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], ReplayGuard]:
        return lambda: _Reopened(tmp_path / "replay")
