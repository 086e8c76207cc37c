"""Floor 3: the whole node as one machine. Values in, effects out, one deadline."""

from .config import NodeConfig
from .node import Node
from .snapshot import BroadcastItem, MempoolItem, PeerSnapshot, RelaySnapshot, Snapshot

__all__ = ["BroadcastItem", "MempoolItem", "Node", "NodeConfig", "PeerSnapshot", "RelaySnapshot", "Snapshot"]
