"""Floor 5: the node on real sockets. Here are the clock, the entropy and the threads that the core does without."""

from .driver import Driver

__all__ = ["Driver"]
