"""What of a simulated host survives a crash.

The model, as strict as the :class:`~obscura.chain.ledger.Ledger` contract and no kinder:

* A block that the ledger has acknowledged as ``ACCEPTED`` is synced: it survives every crash.
* A batch in progress is on the disk up to a block that chance draws; nobody was told of it, so the rest is simply gone.
* Headers without their block are written but never synced: chance draws how many of them survive.
* Of the address book what has changed is saved, one save at a time; a save in progress is done or not done as a whole,
  and changes that wait for its end are lost with it.
* A named peer's pin is on the disk as soon as the node has said so: it is one small transaction.
* A transaction that waits, whoever sent it, is on the disk as soon as the node has said so; one that is to be broadcast
  privately as well.
* A knock at a keyed listener is on the disk before it is answered, and nothing of it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..base.instant import Now, WallTime, seconds, whole_hour
from ..base.names import BlockHash, TxId
from ..base.randomness import Chance
from ..chain import HEADER_BYTES, BlockReport, BlockVerdict
from ..ledgers.memory import MemoryLedger
from ..node.effects import AcceptBlocks, KeptBroadcast, KeptTransaction, LedgerRequest
from ..node.vault import Vault
from ..peers.bans import Ban
from ..peers.pins import NamedPin
from ..peers.record import AddressRecord
from ..peers.replay import ReplayWindow
from ..wire.address import NetAddress
from .world import World


class Clock:
    """A host's clocks: its wall clock may be wrong by ``skew`` seconds, its monotonic one never is."""

    def __init__(self, world: World) -> None:
        self.skew = 0
        self._world = world

    @property
    def now(self) -> Now:
        """Both clocks."""
        mono, wall = self._world.now
        return Now(mono, WallTime(wall + self.skew))


@dataclass(frozen=True, slots=True)
class Held:
    """A transaction that is kept, whether it is on its stem, and since which hour."""

    data: bytes = field(repr=False)
    stem: bool
    hour: WallTime


@dataclass(frozen=True, slots=True)
class Losses:
    """What a crash has cost: of blocks in progress, of headers, and whether a save of addresses was under way."""

    blocks: int = 0
    headers: int = 0
    saves: int = 0

    @property
    def total(self) -> int:
        """How many writes were lost."""
        return self.blocks + self.headers + self.saves


class Disk:
    """The disk of one host, through all of its lives."""

    def __init__(self) -> None:
        self.blocks: dict[BlockHash, bytes] = {}
        """Synced, in the order in which they were accepted: parents before children."""
        self.headers: dict[BlockHash, bytes] = {}
        """Written and not synced."""
        self.pins: dict[NetAddress, NamedPin] = {}
        self.waiting: dict[TxId, Held] = {}
        self.private: dict[TxId, tuple[bytes, WallTime]] = {}
        """For private broadcast: the bytes, and since which hour."""
        """Transactions that wait, synced."""
        self.bans: dict[str, Ban] = {}
        """Who is kept away, synced."""
        self.anchors: tuple[NetAddress, ...] = ()
        """Where there were block-only links, synced."""
        self.book_key: bytes | None = None
        """What decides where the address book keeps what, once it is drawn."""
        self.vault: Vault | None = None
        """The keys of the host, once it has some: they are the same in its next life."""
        self.replays = ReplayWindow()
        """Who has knocked at the host, if its listener is keyed."""
        self._addresses: dict[NetAddress, AddressRecord] = {}
        self._saving: dict[NetAddress, AddressRecord | None] = {}
        """The save in progress."""
        self._to_save: dict[NetAddress, AddressRecord | None] = {}
        """What waits for its end."""

    @property
    def addresses(self) -> tuple[AddressRecord, ...]:
        """The address book, synced."""
        return tuple(self._addresses.values())

    @addresses.setter
    def addresses(self, records: tuple[AddressRecord, ...]) -> None:
        self._addresses = {one.address: one for one in records}

    def accepted(self, blocks: Sequence[bytes], report: BlockReport) -> None:
        """The ledger has decided about a batch: what it accepts is synced before it says so."""
        for block, outcome in zip(blocks, report.outcomes, strict=True):
            if outcome.verdict is BlockVerdict.ACCEPTED:
                self.blocks[outcome.hash] = block
                self.headers.pop(outcome.hash, None)

    def headers_accepted(self, ledger: MemoryLedger, headers: Sequence[bytes]) -> None:
        """The ledger holds these headers from now on."""
        for header in headers:
            name = ledger.identify_header(header).hash
            if name not in self.blocks:
                self.headers[name] = header

    def saving(self, changes: Sequence[tuple[NetAddress, AddressRecord | None]]) -> None:
        """Changes of the address book are to be saved: at once, or when the save in progress is done."""
        (self._to_save if self._saving else self._saving).update(changes)

    def saved(self) -> None:
        """The save in progress is done, and the next one begins if something waits."""
        for address, record in self._saving.items():
            if record is None:
                self._addresses.pop(address, None)
            else:
                self._addresses[address] = record
        self._saving, self._to_save = self._to_save, {}

    def all_saved(self) -> None:
        """An orderly end has waited for everything."""
        self.saved()
        self.saved()

    def keep_bans(self, changes: Sequence[tuple[str, Ban | None]]) -> None:
        """Bans are kept, or forgotten."""
        for subject, ban in changes:
            if ban is None:
                self.bans.pop(subject, None)
            else:
                self.bans[subject] = ban

    def save_pin(self, address: NetAddress, pin: NamedPin | None) -> None:
        """A pin is kept, or forgotten."""
        if pin is not None:
            self.pins[address] = pin
        else:
            self.pins.pop(address, None)

    def keep_transaction(self, relay_id: TxId, data: bytes, wall: WallTime, *, stem: bool) -> None:
        """A transaction is kept, or its mark changes: one that is kept already keeps its hour."""
        known = self.waiting.get(relay_id)
        self.waiting[relay_id] = Held(data, stem, whole_hour(wall) if known is None else known.hour)

    def forget_transaction(self, relay_id: TxId) -> None:
        """A transaction is kept no longer."""
        self.waiting.pop(relay_id, None)

    def kept(self, wall: WallTime) -> tuple[KeptTransaction, ...]:
        """The transactions for the next life, in the order of their ids: the disk knows no other."""
        return tuple(
            KeptTransaction(held.data, seconds(max(0, wall - held.hour)), held.stem)
            for _, held in sorted(self.waiting.items(), key=lambda item: item[0])
        )

    def broadcasts(self, wall: WallTime) -> tuple[KeptBroadcast, ...]:
        """The private broadcasts for the next life, in an order that says nothing."""
        return tuple(
            KeptBroadcast(data, seconds(max(0, wall - hour))) for _, (data, hour) in sorted(self.private.items())
        )

    def keep_broadcast(self, relay_id: TxId, data: bytes, wall: WallTime) -> None:
        """A transaction for private broadcast is kept."""
        self.private.setdefault(relay_id, (data, whole_hour(wall)))

    def forget_broadcast(self, relay_id: TxId) -> None:
        """It is kept no longer."""
        self.private.pop(relay_id, None)

    def crash(self, ledger: MemoryLedger, under_way: Sequence[LedgerRequest], chance: Chance) -> Losses:
        """The host is gone in the middle of what it did.

        Args:
            ledger: the host's, which tells which blocks of a torn batch stand.
            under_way: requests that the ledger has not answered.
            chance: draws what survives.
        """
        lost = 0
        for request in under_way:
            if isinstance(request, AcceptBlocks):
                written = request.blocks[: chance.below(len(request.blocks) + 1)]
                self.accepted(written, ledger.accept_blocks(written))
                lost += len(request.blocks) - len(written)
        kept = chance.below(len(self.headers) + 1)
        gone = len(self.headers) - kept
        self.headers = dict(list(self.headers.items())[:kept])
        saves = 0
        if self._saving:
            if chance.below(2):
                self.saved()
            saves = 1 if self._saving else 0
            self._saving, self._to_save = {}, {}
        return Losses(lost, gone, saves)

    def load(self, clock: Clock, make: Callable[..., MemoryLedger] = MemoryLedger) -> MemoryLedger:
        """A ledger that holds what survived. Times are not judged again: a clock that is behind now was not then.

        Args:
            clock: of the host.
            make: builds the empty ledger, given ``wall``.
        """
        loading = True

        def wall() -> WallTime:
            return WallTime(1 << 40) if loading else clock.now.wall

        ledger = make(wall=wall)
        ledger.accept_blocks(list(self.blocks.values()))
        for header in self.headers.values():
            assert len(header) == HEADER_BYTES, "only headers are kept as such"
            # One that hangs on a lost header is lost with it.
            ledger.accept_headers((header,))
        loading = False
        return ledger
