"""Floor 5: the node in a simulated world. One heap, one seed, virtual time; no clock, no entropy, no sockets.

The same :class:`~obscura.node.Node` runs here as on real sockets. A seed names a run completely: the journal's hash is
the same on every machine and under every hash seed. Whole runs are in :mod:`obscura.sim.trial` (faults, adversaries,
checkers; ``obscura sim run``) and, with bad lines only, in :mod:`obscura.sim.scenario`.
"""
