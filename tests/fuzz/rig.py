"""What the fuzz targets share: how they are found and run, and their kept inputs.

A target is a module ``fuzz_NAME.py`` with

* an invariant, on its first line: what holds for every input;
* ``run(data)``, which raises if it does not hold, and needs nothing but the bytes;
* ``REACHES``, functions of the product that its kept inputs must get into: a target that refuses everything early, or
  a corpus that has gone stale, fails the replay;
* ``seeds()``, inputs to begin with: the protocol's vectors, recorded sessions;
* ``MAX_LEN``, the longest input that is tried.

``python tests/fuzz/rig.py NAME …`` runs one under atheris with libFuzzer's options; ``scripts/fuzz.py`` does that for
all of them. The kept inputs are ``corpus/NAME/SHA1``; the fast suite replays them without atheris.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
NAMES = tuple(sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py")))


def load(name: str) -> ModuleType:
    """The module of a target."""
    return importlib.import_module(f"fuzz_{name}")


def kept(name: str) -> list[bytes]:
    """The kept inputs of a target, in the order of their names."""
    folder = CORPUS / name
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def replace_kept(name: str, inputs: list[bytes]) -> None:
    """Make ``inputs`` the kept ones."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for data in inputs:
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def protocol_blocks(label: str) -> list[dict[str, Any]]:
    """The JSON lines of one fenced block of docs/protocol.md: its ``vectors`` or its ``streams``."""
    [block] = re.findall(rf"```{label}\n(.*?)```", (ROOT / "docs/protocol.md").read_text(), re.DOTALL)
    return [json.loads(line) for line in block.splitlines()]


Step = tuple[CodeType, int, int, int]
"""A function, a line, the line after it, and how often that came: the number of bits of the count."""


def trace(run: Callable[[bytes], None], data: bytes) -> set[Step]:
    """The steps from line to line that ``run`` takes through the product for one input."""
    counts: Counter[tuple[CodeType, int, int]] = Counter()

    def enter(frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if "/obscura/" not in code.co_filename:
            return None
        last = -1

        def step(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal last
            if event == "line":
                counts[code, last, frame.f_lineno] += 1
                last = frame.f_lineno
            return step

        counts[code, -1, -1] += 1
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        run(data)
    finally:
        sys.settrace(before)
    return {(*step, min(count.bit_length(), 5)) for step, count in counts.items()}


def missed(run: Callable[[bytes], None], inputs: list[bytes], wanted: Collection[str]) -> set[str]:
    """Run all inputs; which of the product's functions, as ``channel.channel.Channel.send``, none of them gets into."""
    left = set(wanted)
    seen: set[CodeType] = set()

    def enter(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code not in seen:
            seen.add(frame.f_code)
            left.discard(qualified(frame.f_code) or "")

    before = sys.gettrace()
    try:
        for data in sorted(inputs, key=len, reverse=True):
            # Set anew each time: an input that exhausts the stack switches it off. Not longer than it is of use: it
            # makes everything several times slower.
            sys.settrace(enter if left else before)
            run(data)
    finally:
        sys.settrace(before)
    return left


def qualified(code: CodeType) -> str | None:
    """A function's name below ``obscura``, ``None`` for one that is not the product's."""
    _, found, path = code.co_filename.rpartition("/obscura/")
    return f"{path.removesuffix('.py').replace('/', '.')}.{code.co_qualname}" if found else None


def minimised(run: Callable[[bytes], None], inputs: list[bytes], bytes_most: int) -> list[bytes]:
    """The inputs that take a step which no shorter one takes, within ``bytes_most`` in all."""
    seen: set[Step] = set()
    chosen: list[bytes] = []
    size = 0
    for data in sorted(set(inputs), key=lambda one: (len(one), one)):
        if size + len(data) > bytes_most:
            break
        fresh = trace(run, data) - seen
        if fresh:
            seen |= fresh
            chosen.append(data)
            size += len(data)
    return chosen


def pack(piece: bytes) -> bytes:
    """A piece as :meth:`choices.Choices.piece` reads it back."""
    return bytes([len(piece)]) + piece


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory for one input; in memory where there is such a place, as a disk would be the bottleneck."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Fuzz the target that the first argument names; the other arguments are libFuzzer's."""
    import atheris

    name = sys.argv.pop(1)
    for folder in ("src", "tests/rig", "tests/fuzz"):
        sys.path.insert(0, str(ROOT / folder))
    with atheris.instrument_imports(include=["obscura"]):
        target = load(name)
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
