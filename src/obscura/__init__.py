"""Obscura: a privacy-first peer-to-peer network stack and node.

Builders start at :class:`obscura.node.Node` and :class:`obscura.chain.Ledger`; operators at the ``obscura``
command. How the parts stand on each other is told in ARCHITECTURE.md.
"""

__version__ = "0.1.0"
