"""Seeing to it that strangers' connections never take the file descriptors that the node needs for its own files.

Without one of those a block cannot be stored, and the node would have to end: anybody could stop it by connecting often
enough. So the system's limit is raised as far as it goes. If it is still too low, fewer connections may wait for their
handshake, and then there are fewer inbound slots.

Each class of networks has slots and a lobby of its own (:mod:`obscura.node.inbound`). At an IPv4 address one class
arrives; at an IPv6 address it can be two, as CJDNS's are IPv6 addresses (fc00::/8). An onion service and an I2P
destination bring one more each.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import replace
from typing import Final

from ..base.errors import ConfigError
from ..base.limits import FD_RESERVE, LOBBY_LINKS, LOBBY_PER_GROUP
from ..wire.address import Network
from .settings import Settings

log = logging.getLogger("obscura")

_UNLIMITED: Final = 1 << 20
"""What an unlimited number is taken for."""


def fitted(settings: Settings) -> tuple[Settings, int]:
    """``settings`` with no more inbound slots than there are descriptors for, and how many connections of a class may
    wait for their handshake: LOBBY_LINKS, or what is left, but one network group's at least (those few the reserve can
    bear).

    Raises:
        ConfigError: the limit is too low for a node without any.
    """
    own = FD_RESERVE + settings.outbound + len(settings.peers())
    listening = settings.listen_address()
    classes = 2 if listening is not None and listening.network in (Network.IPV6, Network.CJDNS) else 1
    classes += settings.has_onion + settings.has_destination
    wanted = own + classes * (settings.inbound + LOBBY_LINKS)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (_UNLIMITED if one == resource.RLIM_INFINITY else one for one in limits)
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, limits[1]))
    if soft >= wanted:
        return settings, LOBBY_LINKS
    if soft < own:
        msg = f"{soft} open files are allowed here (ulimit -n), a node needs {own}, and one more for each inbound link"
        raise ConfigError(msg)
    each = (soft - own) // classes
    if each >= settings.inbound:
        return settings, max(LOBBY_PER_GROUP, each - settings.inbound)
    text = f"{soft} open files are allowed (ulimit -n): {each} inbound links instead of {settings.inbound}"
    log.warning("few-descriptors", extra={"values": {"text": text}})
    return replace(settings, inbound=each), LOBBY_PER_GROUP
