"""One function, many graphs, some processes.

Each graph has a stream of chance of its own, forked by its number, and results come back in the graphs' order: they do
not depend on how many processes there are, or on which of them was faster.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from ..base.errors import LocalError
from ..base.randomness import Chance
from .parent import end_with_parent

A = TypeVar("A")
T = TypeVar("T")


class Workers:
    """Does the work of graphs; a context manager.

    Args:
        seed: draws everything.
        jobs: processes; 1 works in this one.
        progress: told how much of a piece of work is done, from 0 to 1.
    """

    def __init__(self, seed: int, jobs: int = 1, progress: Callable[[float], None] | None = None) -> None:
        self._seed = seed
        self._jobs = jobs
        self._progress = progress
        self._pool: ProcessPoolExecutor | None = None
        self._known: dict[Any, list[Any]] = {}
        """What was asked already: rows share setups."""

    def __enter__(self) -> Workers:
        if self._jobs > 1:
            # Not by fork: it copies threads' locks, and other systems have no fork.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_leave_interrupts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        if error is not None:
            # Nobody wants what they still do.
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def each(self, function: Callable[[A, Chance], T], arguments: Sequence[A], graphs: int) -> list[list[T]]:
        """What a function says of each graph, for each argument.

        Args:
            function: stands at the top of its module, as other processes must find it.
            arguments: hashable; all get the same graphs.
            graphs: how many.

        Raises:
            LocalError: a process has died.
        """
        missing = [one for one in dict.fromkeys(arguments) if (function, one, graphs) not in self._known]
        tasks = [(one, index) for one in missing for index in range(graphs)]
        results: list[T] = []
        try:
            for result in self._map(partial(_one, function, self._seed), tasks):
                results.append(result)
                if self._progress is not None:
                    self._progress(len(results) / len(tasks))
        except BrokenProcessPool as error:
            raise LocalError("a worker process has died, perhaps for want of memory: try fewer --jobs") from error
        for at, one in enumerate(missing):
            self._known[function, one, graphs] = results[at * graphs : (at + 1) * graphs]
        return [self._known[function, one, graphs] for one in arguments]

    def _map(self, function: Callable[[A], T], tasks: Sequence[A]) -> Iterator[T]:
        return map(function, tasks) if self._pool is None else self._pool.map(function, tasks)


def _one(function: Callable[[A, Chance], T], seed: int, task: tuple[A, int]) -> T:
    argument, index = task
    return function(argument, Chance.from_seed(seed).fork(f"graph {index}"))


def _leave_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal; this one's parent ends it, also when it is killed itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
