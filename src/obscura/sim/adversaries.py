"""The kinds of adversaries. Each is one way to be dishonest; a world draws which of them it has."""

from __future__ import annotations

from typing import ClassVar, Final

from ..base.instant import seconds
from ..base.limits import HEADERS_UNASKED
from ..base.names import BlockHash
from ..chain import HEADER_BYTES
from ..ledgers.memory import INVALID_MARK
from ..wire.blocks import Block, GetData, GetHeaders, Headers, Inv, NotFound
from ..wire.frame import encode_frame, type_field
from ..wire.greeting import Version
from ..wire.inventory import KIND_BLOCK, InventoryItem
from ..wire.registry import REGISTRY, Message, encode_message
from .adversary import Adversary, Link, sealed_now

_HEIGHT: Final = 1 << 40
_DRIP: Final = seconds(20)  # between two bytes of a block that a slow staller sends
_LOW_WORK: Final = 400  # headers of one worthless branch: well over what an announcement may hold
_WITHHELD: Final = 4  # headers without blocks at once
_SELFISH: Final = 6  # the longest branch that is withheld and published at once
_GARBAGE: Final = 2_000  # bytes


class HeightLiar(Adversary):
    """Claims an impossible height, announces blocks that do not exist, and has nothing when asked."""

    name = "height-liar"

    def version(self) -> Version:
        """Says that its chain is longer than any."""
        true = super().version()
        return Version(
            true.protocol,
            true.timestamp,
            true.features,
            true.user_agent,
            BlockHash(self.chance.take_bytes(32)),
            _HEIGHT + self.chance.below(_HEIGHT),
            true.nonce,
        )

    def heard(self, link: Link, message: Message) -> None:
        """No headers, no blocks."""
        match message:
            case GetHeaders():
                self.mischief(link)
                self.say(link, Headers(()))
            case GetData():
                self.say(link, NotFound(message.items))

    def act(self) -> None:
        """Announce a block that does not exist."""
        for link in self.open_links:
            self.mischief(link)
            self.say(link, Inv((InventoryItem(KIND_BLOCK, self.chance.take_bytes(32)),)))


class HeaderLiar(Adversary):
    """Answers ``getheaders`` by worthless branches, and announces headers that hang in the air or are invalid."""

    name = "header-liar"

    def give_headers(self, link: Link, message: GetHeaders) -> None:
        """Every other answer is a long branch with no more work than the tip, from a block far below it."""
        tip = self.hive.tree.tip
        if tip.height < 2 or self.chance.below(2):
            super().give_headers(link, message)
            return
        length = 1 + self.chance.below(min(_LOW_WORK, tip.height))
        parent = self.hive.below_tip(length)
        self.mischief(link, "header-liar low work")
        blocks = self.hive.branch(parent, length, time=self.hive.ledger.identify_header(parent.raw).time + 1)
        self.say(link, Headers(tuple(block[:HEADER_BYTES] for block in blocks)))

    def act(self) -> None:
        """Announce headers without a parent, without work, or with a time that is too old."""
        for link in self.open_links:
            draw = self.chance.below(3)
            tip = self.hive.tree.tip
            match draw:
                case 0:
                    headers = self.hive.branch(tip, 3)[1:]
                    what = "unconnected"
                case 1:
                    headers = [self.chance.take_bytes(HEADER_BYTES)]
                    what = "no work"
                case _:
                    headers = self.hive.branch(tip, 1, time=self.hive.ledger.identify_header(tip.raw).time)
                    what = "too old"
            self.mischief(link, f"header-liar {what}")
            self.announce(link, [header[:HEADER_BYTES] for header in headers])


class Withholder(Adversary):
    """Mines headers, shows them, and keeps the blocks back: the best chain seems to be elsewhere."""

    name = "withholder"
    mines = True

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self._shown: tuple[bytes, ...] = ()
        self._goal = 1 + self.chance.below(_WITHHELD)

    def found(self) -> None:
        """With enough work, show as many headers on top of the tip."""
        if self.units < self._goal:
            return
        self.units -= self._goal
        self._shown = tuple(block[:HEADER_BYTES] for block in self.hive.branch(self.hive.tree.tip, self._goal))
        self._goal = 1 + self.chance.below(_WITHHELD)
        for link in self.open_links:
            self.mischief(link)
            self.announce(link, self._shown)

    def opened(self, link: Link) -> None:
        """Newcomers are shown them too."""
        if self._shown:
            self.announce(link, self._shown)

    def give_blocks(self, link: Link, message: GetData) -> None:
        """Nothing, or word that there is nothing."""
        self.mischief(link, "withholder asked")
        if self.chance.below(2):
            self.say(link, NotFound(message.items))


class BlockLiar(Adversary):
    """Serves bodies that are not the ones that the headers commit to, and mines blocks that break a rule."""

    name = "block-liar"
    mines = True

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self._bad: dict[BlockHash, bytes] = {}

    def learned(self) -> None:
        """Be the first who has it."""
        self.announce_tip()

    def found(self) -> None:
        """Mine an invalid block, every other time with a child that would be fine, and announce it."""
        length = 1 + self.chance.below(2)
        if self.units < length:
            return
        self.units -= length
        blocks = self.hive.branch(self.hive.tree.tip, length, INVALID_MARK)
        self._bad = {self.hive.ledger.identify_block(block).hash: block for block in blocks}
        for link in self.open_links:
            self.mischief(link, "block-liar invalid")
            self.announce(link, [block[:HEADER_BYTES] for block in blocks])

    def give_blocks(self, link: Link, message: GetData) -> None:
        """The invalid one as it is; of true ones every other with a changed body."""
        for item in message.items:
            bad = self._bad.get(BlockHash(item.hash))
            [block] = self.hive.ledger.read_blocks((BlockHash(item.hash),))
            if bad is not None:
                self.say(link, Block(bad))
            elif block is None:
                self.say(link, NotFound((item,)))
            elif self.chance.below(2):
                self.mischief(link, "block-liar mutated")
                self.say(link, Block(block + b"!"))
            else:
                self.say(link, Block(block))


class NotFounder(Adversary):
    """Shows all headers and says of every block that it has not got it."""

    name = "not-founder"

    def learned(self) -> None:
        """Be the first who has it."""
        self.announce_tip()

    def give_blocks(self, link: Link, message: GetData) -> None:
        """Nothing."""
        self.mischief(link)
        self.say(link, NotFound(message.items))


class Staller(Adversary):
    """Shows all headers, takes requests, and answers never or a byte at a time."""

    name = "staller"

    def opened(self, link: Link) -> None:
        """Every other link is slow, the others are silent."""
        link.sent = self.chance.below(2)

    def learned(self) -> None:
        """Be the first who has it."""
        self.announce_tip()

    def give_headers(self, link: Link, message: GetHeaders) -> None:
        """One in four is not answered."""
        if self.chance.below(4):
            super().give_headers(link, message)
        else:
            self.mischief(link, "staller headers")

    def give_blocks(self, link: Link, message: GetData) -> None:
        """Nothing, or next to nothing; either way nothing else comes on this link any more."""
        self.mischief(link)
        [block] = self.hive.ledger.read_blocks((BlockHash(message.items[0].hash),))
        if link.sent == 1 and block is not None:
            link.sent = 2
            frame = encode_message(Block(block))
            self._drip(link, sealed_now(link.channel, frame, self._world.time), 0)

    def flush(self, link: Link) -> None:
        """A link on which a block drips carries nothing else."""
        if link.sent != 2:
            super().flush(link)

    def _drip(self, link: Link, data: bytes, at: int) -> None:
        if self.links.get(link.conn) is link and link.line.is_open and at < len(data):
            self._network.send(link.line, data[at : at + 1])
            self.after(_DRIP, self._drip, link, data, at + 1)


class Equivocator(Adversary):
    """Mines two valid blocks of one height, and shows one to half of its peers and the other to the rest."""

    name = "equivocator"
    mines = True

    def found(self) -> None:
        """With two units."""
        if self.units < 2:
            return
        self.units -= 2
        parent = self.hive.tree.tip
        pair = [self.hive.branch(parent, 1)[0] for _ in range(2)]
        for block in pair:
            self.hive.learn(block)
        for index, link in enumerate(self.open_links):
            self.mischief(link)
            self.announce(link, [pair[index % 2][:HEADER_BYTES]])


class Selfish(Adversary):
    """Saves its work, mines a branch from below the tip in secret and publishes it at once: a deep reorganisation."""

    name = "selfish"
    mines = True

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self._goal = 2 + self.chance.below(_SELFISH - 1)

    def found(self) -> None:
        """With enough work for a branch that is one longer than what it replaces."""
        if self.units < self._goal or self.hive.tree.tip.height < self._goal:
            return
        self.units -= self._goal
        blocks = self.hive.branch(self.hive.below_tip(self._goal - 1), self._goal)
        for block in blocks:
            self.hive.learn(block)
        self._goal = 2 + self.chance.below(_SELFISH - 1)
        assert len(blocks) <= HEADERS_UNASKED, "they fit into an announcement"
        for link in self.open_links:
            self.mischief(link)
            self.announce(link, [block[:HEADER_BYTES] for block in blocks])


class Babbler(Adversary):
    """Speaks garbage, inside the encryption or instead of it: noise, frames with noise inside, sizes over the limit,
    unknown types, wrong checksums."""

    name = "babbler"
    _FORMS: ClassVar[int] = 6

    def act(self) -> None:
        """Something else on each link."""
        for link in list(self.links.values()):
            self.mischief(link)
            self.raw(link, self._garbage(), sealed=bool(self.chance.below(4)))

    def _garbage(self) -> bytes:
        noise = self.chance.take_bytes(self.chance.below(_GARBAGE))
        field = type_field(self.chance.choice(REGISTRY).name)
        match self.chance.below(self._FORMS):
            case 0:
                return noise
            case 1:
                return encode_frame(field, noise)
            case 2:
                return b"\xff\xff\xff\xff" + field + noise
            case 3:
                return encode_frame(type_field("nonsense"), noise)
            case 4:
                frame = bytearray(encode_frame(field, noise))
                frame[16] ^= 1
                return bytes(frame)
            case _:
                return encode_message(Inv(tuple(InventoryItem(9, bytes(32)) for _ in range(500))))


KINDS: Final[tuple[type[Adversary], ...]] = (
    HeightLiar,
    HeaderLiar,
    Withholder,
    BlockLiar,
    NotFounder,
    Staller,
    Equivocator,
    Selfish,
    Babbler,
)
"""All of them; a kind's place is its number in the journal."""
