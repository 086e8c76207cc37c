"""A real node for a recording: on loopback, with a chain in memory, and telling of each of its writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..aio.clock import read_clock
from ..aio.dial import DirectWay
from ..aio.driver import Driver
from ..aio.entropy import SystemSecrets
from ..aio.listen import open_listener
from ..aio.ways import Ways
from ..aio.worker import LedgerWorker
from ..base.instant import Duration, Instant, Now, seconds
from ..base.names import BlockHash, ConnId
from ..base.randomness import Chance
from ..crypto.agreement import KeyPair
from ..crypto.keysource import PooledKeys
from ..ledgers.memory import MemoryLedger
from ..node import Node, NodeConfig
from ..node.effects import Event, TipMoved
from ..node.vault import Vault
from ..shaping import Shaping
from ..sim.host import host_address
from ..wire.address import NetAddress, Network
from ..wire.identity import KeyClass
from ..wire.target import Target

_LINK_AGE: Final = seconds(0.3)


def free_address(number: int) -> NetAddress:
    """127.x.y.1 with a port that the system draws."""
    host = host_address(number)
    return NetAddress(host.network, host.raw, 0)


class Member:
    """One node with its driver, which is to be run.

    Args:
        host: its address, with port 0.
        dials: whom.
        chance: of the node.
        shaping: of its links.
        scale: how much shorter than usual transactions wait.

    Raises:
        ConfigError: the address is not to be had.
    """

    def __init__(
        self, host: NetAddress, dials: tuple[NetAddress, ...], chance: Chance, shaping: Shaping, scale: float
    ) -> None:
        self.moved: dict[BlockHash, Instant] = {}
        """When its tip was which block."""
        self.writes: list[tuple[ConnId, Instant, int]] = []
        """Link, time and bytes of each."""
        ledger = MemoryLedger()
        listener = open_listener(host)
        self.address = NetAddress(host.network, host.raw, listener.getsockname()[1])
        usual = NodeConfig(network="memory", user_agent="/Obscura:lab/")
        config = replace(
            usual,
            shaping=shaping,
            connect=tuple(map(Target, dials)),
            allow_local=True,
            discover=False,
            relay_inbound_mean=Duration(round(usual.relay_inbound_mean * scale)),
            relay_outbound_mean=Duration(round(usual.relay_outbound_mean * scale)),
            stem_link_age=_LINK_AGE,
            # There is but one way to go from the peer: it spreads what it is given.
            stem_diffusers=1.0,
        )
        secrets = SystemSecrets()
        vault = Vault(keys=PooledKeys(secrets), statics={KeyClass.CLEARNET: KeyPair.generate(secrets)})

        def make_node(now: Now) -> Node:
            return Node(config, ledger, chance, ledger.restore(), (), now, vault=vault)

        self.driver = Driver(
            make_node,
            LedgerWorker(ledger),
            listener=listener,
            ways=Ways({Network.IPV4: DirectWay(host.host())}),
            listeners=(self._heard,),
            tap=self._wrote,
        )

    def _heard(self, event: Event) -> None:
        if isinstance(event, TipMoved):
            self.moved.setdefault(event.tip, read_clock().mono)

    def _wrote(self, conn: ConnId, size: int) -> None:
        self.writes.append((conn, read_clock().mono, size))
