"""A node, its honest peer and its hostile clients: the stage of the memory scenarios."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from hostile import HANG_S, Client, Watch, source
from subject import Subject

MB = 1_000_000
ALLOWANCE = 24 * MB
"""What the interpreter and the allocator may take besides: caches, arenas that are not full, one message in work."""
LINK_OBJECTS = 40_000
"""A link's own objects, with some room: channel, peer, stream, timers, the loop's."""
HANDSHAKE_OBJECTS = 20_000
"""Of a handshake that is answered and not over: noise states, a KEM pair, two X25519 pairs."""
CHURN_MARGIN = 8 * MB
"""How much larger a node may be after thousands of connections: far below 1 kB for each of them."""
WARMING = 1_000
"""Connections before those that are counted: pools, caches and arenas have their size then."""


@dataclass(frozen=True)
class Result:
    """What a scenario measured; sizes in bytes above the node's memory before it."""

    name: str
    bound: int
    peak: int
    pings: int
    slowest_s: float
    detail: str


class Stage:
    """A node, its honest peer, and the hostile clients of one scenario."""

    def __init__(self, name: str, **settings: object) -> None:
        self.name = name
        self._veiled = bool(settings.get("veiled"))
        self._stack = contextlib.ExitStack()
        self.node = self._stack.enter_context(Subject(**settings))
        self._watch: Watch | None = None
        self.base = self.node.mark()
        self.clients: list[Client] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.close(reset=True)
        self._stack.close()

    @property
    def watch(self) -> Watch:
        """The honest peer; it connects when it is first needed."""
        if self._watch is None:
            self._watch = Watch(self.node.address, veiled=self._veiled)
        return self._watch

    def link(self, number: int, *, greet: bool = True, receive_buffer: int | None = None) -> Client:
        """A hostile connection from a network group of its own. One that greets is veiled if the node's links are."""
        veiled = self._veiled and greet
        client = Client(self.node.address, source(number), greet=greet, receive_buffer=receive_buffer, veiled=veiled)
        self.clients.append(client)
        return client

    def until(self, condition: Callable[[dict[str, int]], object], what: str) -> dict[str, int]:
        """Wait for a state of the node."""
        deadline = time.monotonic() + HANG_S
        while not condition(state := self.node.state()):
            assert time.monotonic() < deadline, f"{self.name}: {what} never came: {state}"
            time.sleep(0.05)
        return state

    def settle(self) -> dict[str, int]:
        """Wait until the node's memory stands still."""
        before, same = self.node.memory, 0
        while same < 5:
            time.sleep(0.05)
            now = self.node.memory
            same = same + 1 if abs(now - before) < MB // 4 else 0
            before = now
        return self.node.state()

    def done(self, bound: int, detail: str, *, new_block: bool = True) -> Result:
        """The honest peer still gets its pong and a block; then what was measured."""
        self.watch.expect_pongs()
        if new_block:
            self.watch.expect(self.node.mine())
        peak = self.node.peak - self.base
        pings, slowest = self.watch.pings, self.watch.slowest_s
        self.watch.close()
        code, log = self.node.stop(), self.node.log()
        assert code == 0, f"{self.name}: the node ended with {code}: {log[-2_000:]}"
        assert "defect" not in log, log[-4_000:]
        return Result(self.name, bound + ALLOWANCE, peak, pings, slowest, detail)

    def churned(self, visit: Callable[[int], None], count: int, waiting: int) -> Result:
        """So many visits leave no link, no silent connection and no memory behind; ``waiting``: bytes of those that a
        node may still hold while they last."""
        self.watch.expect_pongs(1)
        for number in range(WARMING):
            visit(number)
        self._await_nobody()
        self.settle()
        before = self.base = self.node.mark()
        for number in range(count):
            visit(number)
        state = self._await_nobody()
        self.settle()
        after = self.node.memory - before
        assert after <= CHURN_MARGIN, f"{after} bytes more after {count} connections"
        detail = f"{count:,} connections, {after / MB:+.1f} MB after them, {state['timers']} timers"
        return self.done(CHURN_MARGIN + waiting, detail)

    def _await_nobody(self) -> dict[str, int]:
        return self.until(lambda state: (state["links"], state["sinks"]) == (1, 0), "the end of all links")
