"""Settings of the node machine. Files, environment and command line are read above, in ``obscura.app``."""

from __future__ import annotations

from dataclasses import dataclass

from ..base import limits
from ..base.instant import Duration
from ..shaping import Profile
from ..wire.address import NetAddress
from ..wire.target import Mode, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What a node is told at birth."""

    network: str
    """Name of the chain's network, for people: ``regtest``."""
    user_agent: str
    """``/Obscura:MAJOR.MINOR(python)/``, the same for every node of a release (design §3.2)."""
    transport: Mode = Mode.VEILED
    """How our dials begin, and the weakest way in which others may begin theirs."""
    shaping: Profile = Profile.PAD
    """The amounts and times that our side of an encrypted link shows."""
    connect: tuple[Target, ...] = ()
    """Peers that the operator named: always dialled again, and exempt from the slots."""
    advertise: NetAddress | None = None
    """Our own listening address, told to peers where it is routable."""
    hidden: NetAddress | None = None
    """Our own listening address where it is not for everybody: never kept or told, whoever tells it to us."""
    allow_local: bool = False
    """Loopback addresses are gossiped and dialled like any other (design §10)."""
    discover: bool = True
    """Fill outbound slots from gossiped addresses, ask for more, and pass them on."""
    outbound_slots: int = limits.OUTBOUND_SLOTS
    """Links that discovery keeps, besides named ones."""
    inbound_slots: int = limits.INBOUND_SLOTS
    """Links that others may open to us."""
    lobby_links: int = limits.LOBBY_LINKS
    """Inbound connections that may wait for their handshake; fewer where descriptors are short."""
    handshake_timeout: Duration = limits.HANDSHAKE_TIMEOUT
    """For transport and handshake together; and when a connection that has failed meanwhile ends."""
    sink_span: tuple[Duration, Duration] = (limits.SINK_SHORTEST, limits.SINK_LONGEST)
    """How long an open link whose record failed stays in silence, at least and at most."""
    relay_inbound_mean: Duration = limits.TRICKLE_INBOUND
    """Mean delay of what inbound links are told of a transaction."""
    relay_outbound_mean: Duration = limits.TRICKLE_OUTBOUND
    """And of what an outbound link is told."""
    relay_tenths: int = 10
    """Tenths of the usual rate at which transactions are announced; 0 for no bound, in a network of one's own."""
    mempool_bytes: int = limits.MEMPOOL_BYTES
    """Memory for the transactions that wait for a block."""
    minimum_work: int = 0
    """Bodies are downloaded only for a chain with at least this much work (design §8)."""
