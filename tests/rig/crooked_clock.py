"""``obscura`` in a world whose wall clock is what a file says: ``python crooked_clock.py FILE ARGUMENTS…``.

The file holds the seconds by which the clock is wrong, and may change while the process runs. Only Python's view of the
wall clock is bent, which is the node's; the monotonic clock, and what the consensus engine reads, stay as they are.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main() -> None:
    """Bend the clock, then run the command line."""
    offset, straight = Path(sys.argv[1]), time.time
    last = [0.0]

    def crooked() -> float:
        text = offset.read_text()
        if text:  # empty while it is being written
            last[0] = float(text)
        return straight() + last[0]

    time.time = crooked
    del sys.argv[1]
    from obscura.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
