"""Floor 3: the whole node as one machine. Values in, effects out, one deadline."""

from .config import NodeConfig
from .node import Node
from .snapshot import PeerSnapshot, Snapshot

__all__ = ["Node", "NodeConfig", "PeerSnapshot", "Snapshot"]
