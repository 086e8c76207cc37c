"""Tor and I2P for a node: the ways to each network, and the services by which others reach us there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from ..aio.dial import DirectWay
from ..aio.i2p import I2PPlan, I2PService, I2PWay
from ..aio.services import Host, Service, running
from ..aio.socks import Endpoint, SocksWay
from ..aio.tor import TorPlan, TorService
from ..aio.torprocess import TorProcess
from ..aio.ways import Way, Ways
from ..base.limits import ONION_PORT
from ..overlay.control import is_onion_key
from ..overlay.sam import is_destination
from ..store.servicekey import I2P, ONION, ServiceKey
from ..wire.address import NetAddress, Network
from ..wire.identity import KeyClass
from .settings import Settings

log = logging.getLogger("obscura")
_CLEARNET: Final = (Network.IPV4, Network.IPV6)


class Overlays:
    """What the settings ask for.

    Args:
        settings: of the node.
        datadir: its directory, which the caller has locked.
        listening: where the node listens for IP addresses, if it does.
        heard: told how far daemons have come, for people: a stable name and a text, which may reveal our addresses.

    Raises:
        ConfigError: a daemon that is to be started is not installed.
    """

    def __init__(
        self, settings: Settings, datadir: Path, listening: NetAddress | None, heard: Callable[[str, str], None]
    ) -> None:
        self._settings = settings
        self._datadir = datadir
        self._heard = heard
        self._tor_way = SocksWay(settings.endpoint("tor_socks"), isolate=True)
        self._tor = TorProcess(datadir / "tor", settings.tor_extra, heard) if settings.own_tor else None
        reach = settings.reach()
        ways: dict[Network, Way] = {}
        if Network.TORV3 in reach:
            ways[Network.TORV3] = self._tor_way
        sam = settings.endpoint("i2p_sam")
        self._i2p_way = None if sam is None or Network.I2P not in reach else I2PWay(sam)
        if self._i2p_way is not None:
            ways[Network.I2P] = self._i2p_way
        direct = DirectWay(listening.host() if listening is not None and listening.is_loopback() else None)
        clearnet: Way = direct
        match settings.clearnet_way():
            case "tor":
                clearnet = self._tor_way
            case "proxy":
                clearnet = SocksWay(settings.endpoint("proxy"), isolate=False)
        ways |= {network: clearnet for network in _CLEARNET if network in reach}
        if Network.CJDNS in reach:
            ways[Network.CJDNS] = direct
        self.ways = Ways(ways)

    @property
    def classes(self) -> tuple[KeyClass, ...]:
        """Classes of networks in which others reach us besides IP addresses: each needs an identity."""
        settings = self._settings
        found = ((KeyClass.ONION, settings.has_onion), (KeyClass.I2P, settings.has_destination))
        return tuple(of for of, has in found if has)

    @contextlib.asynccontextmanager
    async def running(self, host: Host) -> AsyncIterator[None]:
        """Daemons and sessions beside the body."""
        async with running(self._services(host)):
            yield

    def _services(self, host: Host) -> list[Service]:
        services: list[Service] = []
        if self._tor is not None:
            services.append(self._tor)
        settings = self._settings
        if self._i2p_way is not None:
            keys = ServiceKey(self._datadir, I2P, is_destination) if settings.has_destination else None
            i2p = I2PPlan(endpoint=self._i2p_way.endpoint, keys=keys, heard=self._heard)
            services.append(I2PService(i2p, host, self.ways, self._i2p_way))
        if self._tor is None and not settings.tor_control:
            return services
        through = [Network.TORV3] + (list(_CLEARNET) if settings.clearnet_way() == "tor" else [])
        plan = TorPlan(
            control=self._control,
            networks=tuple(network for network in through if network in self.ways.networks),
            port=ONION_PORT if settings.has_onion else 0,
            keys=ServiceKey(self._datadir, ONION, is_onion_key) if settings.has_onion else None,
            password=settings.tor_password or None,
            own=self._tor is not None,
            cookie_path=None if self._tor is None else self._tor.cookie_path,
            find_socks=not settings.tor_socks,
            heard=self._heard,
        )
        services.append(TorService(plan, host, self.ways, self._tor_way))
        return services

    async def _control(self) -> Endpoint | None:
        if self._tor is not None:
            return await self._tor.control()
        found = self._settings.endpoint("tor_control")
        assert found is not None, "there is a control port to ask"
        await asyncio.sleep(0)
        return found
