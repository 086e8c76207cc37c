"""Floor 2: one connection as a machine. It owns no socket: bytes and ``now`` go in, events and bytes come out."""

from .channel import Channel, Role
from .events import Answered, ChannelEvent, Closed, MessageFault, Opened

__all__ = ["Answered", "Channel", "ChannelEvent", "Closed", "MessageFault", "Opened", "Role"]
