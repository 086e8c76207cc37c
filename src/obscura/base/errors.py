"""Whose mistake was it?

Two branches that never mix. A :class:`PeerFault` says that bytes from outside broke a rule; it is raised inside the
core, caught by the channel or the node, and turned into a dropped message or a closed link. It never leaves the core.
A :class:`LocalError` says that the caller (an operator, a builder, or we ourselves) asked for something impossible; it
does leave, with a text that tells what to do.

Every fault names the rule that was broken by a short, stable name (``"frame-oversized"``): the names are listed in
docs/protocol.md, and they go to logs and counters, never to the peer.
"""

from __future__ import annotations


class ObscuraError(Exception):
    """The root of everything that Obscura raises on purpose."""


class LocalError(ObscuraError):
    """Our side asked for something that cannot be. The text says what to change."""


class ConfigError(LocalError):
    """A setting is unknown, impossible, or in conflict with another one."""


class StoreError(LocalError):
    """Something on disk is unusable: locked by another process, corrupt, from a newer release, or out of space."""


class BugError(ObscuraError):
    """An invariant of ours does not hold. Whoever sees this has found a defect of Obscura and should report it."""


class PeerFault(ObscuraError):
    """A peer broke a rule of the protocol.

    Args:
        rule: the stable name of the broken rule.
        detail: numbers that help a reader of the log; contains nothing secret.
    """

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule = rule
        self.detail = detail


class Malformed(PeerFault):
    """A message that cannot be read: it is dropped and the link's fault budget is charged (design §3.5)."""


class Violation(PeerFault):
    """A broken rule that ends the link at once (design §3.5)."""


class SilentFault(PeerFault):
    """The encrypted transport has failed. The link has ended, and the peer must not be told by a byte or by the moment
    of the end (transport: "Silence"): it may be a prober, or somebody on the path who has flipped a bit."""
