"""A simulated host that can be stopped for a while, as by SIGSTOP, a debugger or a laptop's lid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from obscura.base.instant import Instant
from obscura.base.names import ConnId
from obscura.node.effects import LedgerRequest
from obscura.sim.host import Host
from obscura.sim.lines import Line
from obscura.wire.address import NetAddress


class FrozenHost(Host):
    """Between :meth:`freeze` and :meth:`thaw` nothing runs; what came meanwhile comes then, in order and all at once.
    Connections that strangers open meanwhile are refused, as by a full backlog."""

    frozen = False

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True
        self._late: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen = False
        for call, arguments, named in self._late:
            call(*arguments, **named)

    def _or_later(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        if self.frozen:
            self._late.append((call, arguments, named))
        else:
            call(*arguments, **named)

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        return None if self.frozen else super().on_accept(line, address)

    def on_connected(self, conn: ConnId, line: Line) -> None:
        self._or_later(super().on_connected, conn, line)

    def on_dial_failed(self, conn: ConnId, reason: str) -> None:
        self._or_later(super().on_dial_failed, conn, reason)

    def on_data(self, conn: ConnId, data: bytes) -> None:
        self._or_later(super().on_data, conn, data)

    def on_gone(self, conn: ConnId) -> None:
        self._or_later(super().on_gone, conn)

    def on_congestion(self, conn: ConnId, *, congested: bool) -> None:
        self._or_later(super().on_congestion, conn, congested=congested)

    def _wake(self, instant: Instant) -> None:
        self._or_later(super()._wake, instant)

    def _answer(self, ticket: int, request: LedgerRequest) -> None:
        self._or_later(super()._answer, ticket, request)
