"""What the store says when its disk is full."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from obscura.base.errors import StoreError
from obscura.store import Store


class NoSpace:
    f_bavail, f_frsize = 1, 4_096


def test_a_full_disk_is_called_so_whatever_sqlite_calls_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "state.db")

    class Failing:
        def __enter__(self) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        def __exit__(self, *_: object) -> None: ...

        def close(self) -> None: ...

    store._database.close()
    store._database = Failing()  # type: ignore[assignment]
    with pytest.raises(StoreError, match="disk I/O error: check the disk's space and health"):
        store.put("a", "b")
    monkeypatch.setattr(os, "statvfs", lambda _: NoSpace)
    with pytest.raises(StoreError, match="disk I/O error: make space on its disk, then start again"):
        store.put("a", "b")
