"""Seeing to it that strangers' connections never take the file descriptors that the node needs for its own files.

Without one of those a block cannot be stored, and the node would have to end: anybody could stop it by connecting often
enough. So the system's limit is raised as far as it goes, and if it is still too low, there are fewer inbound slots.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import replace
from typing import Final

from ..base.errors import ConfigError
from ..base.limits import FD_RESERVE
from .settings import Settings

log = logging.getLogger("obscura")

_UNLIMITED: Final = 1 << 20
"""What an unlimited number is taken for."""


def fitted(settings: Settings) -> Settings:
    """``settings`` with no more inbound slots than there are descriptors for.

    Raises:
        ConfigError: the limit is too low for a node without any.
    """
    own = FD_RESERVE + settings.outbound + len(settings.peers())
    wanted = own + settings.inbound
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (_UNLIMITED if one == resource.RLIM_INFINITY else one for one in limits)
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, limits[1]))
    if soft >= wanted:
        return settings
    if soft < own:
        msg = f"{soft} open files are allowed here (ulimit -n), a node needs {own}, and one more for each inbound link"
        raise ConfigError(msg)
    text = f"{soft} open files are allowed (ulimit -n): {soft - own} inbound links instead of {settings.inbound}"
    log.warning("few-descriptors", extra={"values": {"text": text}})
    return replace(settings, inbound=soft - own)
