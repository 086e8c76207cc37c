"""Settings of the node machine. Files, environment and command line are read above, in ``obscura.app``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ..base import limits
from ..base.instant import Duration
from ..peers.asmap import ASMap
from ..peers.defences import ALL, Defences
from ..shaping import Shaping
from ..wire.address import NetAddress, Network
from ..wire.target import Mode, Target


class NoStem(Enum):
    """What becomes of our operator's transactions while there is no stem peer."""

    FLUFF = "fluff"
    """They wait for one as long as ``stem_wait`` says, and are spread by the node itself then."""
    WAIT = "wait"
    """They wait for ever."""
    NOW = "now"
    """They are spread at once: where nothing is to be hidden."""


class NoOverlay(Enum):
    """What becomes of our operator's private broadcasts where no way leads to an onion or I2P address."""

    STEM = "stem"
    """They go by stem: at once if the node dials no such network, else when nobody was reached for ten minutes. What an
    earlier run has left never does."""
    NEVER = "never"
    """They are refused, or wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What a node is told at birth."""

    network: str
    """Name of the chain's network, for people: ``regtest``."""
    user_agent: str
    """``/Obscura:MAJOR.MINOR(python)/``, the same for every node of a release (design §3.2)."""
    transport: Mode = Mode.VEILED
    """How our dials begin, and the weakest way in which others may begin theirs."""
    shaping: Shaping = field(default_factory=Shaping)
    """The amounts and times that our side of an encrypted link shows."""
    connect: tuple[Target, ...] = ()
    """Peers that the operator named: always dialled again, and exempt from the slots."""
    advertise: tuple[NetAddress, ...] = ()
    """Our own listening addresses, told to peers where they are routable, each to peers of its own class alone."""
    hidden: NetAddress | None = None
    """Our own listening address where it is not for everybody: never kept or told, whoever tells it to us."""
    allow_local: bool = False
    """Loopback addresses are gossiped and dialled like any other (design §10)."""
    discover: bool = True
    """Fill outbound slots from gossiped addresses, ask for more, and pass them on."""
    outbound_slots: int = limits.OUTBOUND_SLOTS
    """Links that discovery keeps, besides named ones. With none there are no automatic links at all."""
    block_slots: int = limits.BLOCK_ONLY_SLOTS
    """Links for blocks alone that discovery keeps besides these."""
    reach: tuple[Network, ...] = (Network.IPV4, Network.IPV6)
    """Networks that discovery dials."""
    seeds: tuple[NetAddress, ...] = ()
    """Addresses that a book without any other of their class begins with."""
    asmap: ASMap | None = field(default=None, repr=False)
    """Which addresses are of one autonomous system, and so of one network group."""
    defences: Defences = ALL
    """Switched off in experiments alone."""
    inbound_slots: int = limits.INBOUND_SLOTS
    """Links that others may open to us, in each class of networks."""
    lobby_links: int = limits.LOBBY_LINKS
    """Inbound connections that may wait for their handshake, in each class; fewer where descriptors are short."""
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
    stem_diffusers: float = limits.STEM_DIFFUSERS / 100
    """The share of epochs in which the node spreads what others stem."""
    stem_epoch: Duration = limits.STEM_EPOCH
    """Length of an epoch."""
    stem_hop: Duration = limits.STEM_HOP
    """What a step of a stem takes; embargoes follow from it."""
    stem_early: float = limits.STEM_EARLY / 100
    """The probability that an embargo ends early on a stem of the expected length."""
    embargo_mean: Duration | None = None
    """Mean of the embargoes; if not given, it follows from the three above."""
    stem_link_age: Duration = limits.STEM_LINK_AGE
    """How long a link must have lasted to be a stem peer."""
    stem_wait: Duration = limits.STEM_WAIT
    """How long our operator's transactions wait for a stem peer."""
    no_stem: NoStem = NoStem.FLUFF
    """And what follows when there is none."""
    private: bool = False
    """Our operator's transactions are broadcast privately, also where he does not say so."""
    no_overlay: NoOverlay = NoOverlay.STEM
    """And what follows where that is not possible."""
    trace_stems: bool = False
    """Tell of every step of every stem (:class:`~obscura.node.effects.StemTrace`). It gives away what stems hide: for
    networks of experiments."""
    mempool_bytes: int = limits.MEMPOOL_BYTES
    """Memory for the transactions that wait for a block."""
    minimum_work: int = 0
    """Bodies are downloaded only for a chain with at least this much work (design §8)."""

    @property
    def stem_hops(self) -> float:
        """Expected steps of a stem; as many as usual where no node ends one."""
        share = self.stem_diffusers
        return 1 / share if 0 < share < 1 else 100 / limits.STEM_DIFFUSERS
