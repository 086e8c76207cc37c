"""``python -m bench``: run the benchmarks, print their tables, write JSON."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from obscura.aio.allocator import keep_memory

from . import book, codec, floods, idle, links, pings, relay, start, sync, transport, world
from .report import Table

ALL: dict[str, Callable[..., Table]] = {
    "codec": codec.run,
    "sync": sync.run,
    "links": links.run,
    "idle": idle.run,
    "start": start.run,
    "sim": world.run,
    "transport": transport.run,
    "relay": relay.run,
    "floods": floods.run,
    "pings": pings.run,
    "book": book.run,
}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(ALL)} (all)")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: does it run at all?")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in ALL]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(ALL)}")
    keep_memory()
    sys.stdout.write(f"CPython {platform.python_version()}, {platform.machine()}\n\n")
    tables: list[Table] = []
    for name in given.names or ALL:
        table = ALL[name](quick=given.quick)
        tables.append(table)
        sys.stdout.write(table.text() + "\n")
        sys.stdout.flush()
    if given.json:
        given.json.write_text(json.dumps([table.json() for table in tables], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
