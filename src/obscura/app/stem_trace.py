"""Every step of every stem in a file, for networks of experiments (``--stem-trace``): a JSON object a line.

``at`` is in seconds of the system's monotonic clock, the same for all processes of a machine; ``id`` is the relay id as
people write it; ``conn`` is the node's own number of the link, 0 for none.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..base.errors import StoreError
from ..node.effects import Event, StemTrace

FILE_NAME: Final = "stems.jsonl"


class StemTraceFile:
    """Written while the ``with`` lasts; it begins empty.

    Raises:
        StoreError: the file cannot be made.
    """

    def __init__(self, datadir: Path) -> None:
        try:
            self._file = (datadir / FILE_NAME).open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise StoreError(f"{datadir / FILE_NAME} cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, event: Event) -> None:
        """Note an event of the node, if it is a step of a stem."""
        if isinstance(event, StemTrace):
            line = {
                "at": round(time.monotonic(), 6),
                "step": event.step.value,
                "id": event.relay_id.reveal(),
                "conn": event.conn or 0,
            }
            self._file.write(json.dumps(line) + "\n")
