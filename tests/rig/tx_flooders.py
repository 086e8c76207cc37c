"""Adversaries that flood a node with transactions, each in another way."""

from __future__ import annotations

from typing import ClassVar

from obscura.base.digest import double_sha256
from obscura.chain import OutPoint
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction
from obscura.sim.adversary import Adversary, Link
from obscura.wire.blocks import DandelionTx, GetData, Inv, NotFound, Tx
from obscura.wire.features import STEMS, Feature, FeatureSet
from obscura.wire.greeting import Version
from obscura.wire.inventory import KIND_TX, InventoryItem
from obscura.wire.registry import Message


class Flooder(Adversary):
    """Relays transactions, as far as it says; ``burst`` of them at each of its acts."""

    burst: ClassVar[int] = 20
    bits: ClassVar[FeatureSet] = FeatureSet(Feature.PRIVACY_FEATURES | Feature.BASIC_TRANSACTIONS)
    message: ClassVar[type[Tx] | type[DandelionTx]] = Tx
    """What it sends them by."""
    asked: ClassVar[bool] = False
    """It announces them and sends them when it is asked; else it sends them at once."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self._held: dict[bytes, bytes] = {}
        self._drawn = 0

    def version(self) -> Version:
        """It says that it relays."""
        true = super().version()
        return Version(
            true.protocol, true.timestamp, self.bits, true.user_agent, true.best_hash, true.best_height, true.nonce
        )

    def number_of_its_own(self) -> int:
        """A number that nobody else draws."""
        self._drawn += 1
        return self.number * 1_000_000 + self._drawn

    def transaction(self) -> bytes:
        """The next one of the flood."""
        raise NotImplementedError

    def act(self) -> None:
        """Flood."""
        for link in self.open_links:
            made = [self.transaction() for _ in range(self.burst)]
            self.mischief(link)
            if not self.asked:
                for data in made:
                    self.say(link, self.message(data))
                continue
            self._held.update((double_sha256(data), data) for data in made)
            self.say(link, Inv(tuple(InventoryItem(KIND_TX, double_sha256(data)) for data in made)))

    def heard(self, link: Link, message: Message) -> None:
        """Give out what is asked for, if it is there."""
        if isinstance(message, GetData) and any(item.kind == KIND_TX for item in message.items):
            for item in message.items:
                data = self._held.pop(item.hash, None)
                self.say(link, NotFound((item,)) if data is None else Tx(data))
            return
        super().heard(link, message)


def spend(number: int, fee: int, *, seal: bytes = b"\1", inputs: int = 1, pad: int = 0, salt: int = 0) -> bytes:
    """A transaction of coins that everybody has."""
    points = [faucet(number, index) for index in range(inputs)]
    return make_transaction(points, [inputs * FAUCET_AMOUNT - fee], seal=seal, pad=pad, salt=salt)


class Junk(Flooder):
    """Looks fine until its signatures are looked at."""

    def transaction(self) -> bytes:
        return spend(self.number_of_its_own(), 10_000, seal=b"\0")


class Unreadable(Flooder):
    """Nothing that can be read."""

    def transaction(self) -> bytes:
        return self.chance.take_bytes(200)


class Conflicts(Flooder):
    """All spend one coin."""

    burst = 100

    def transaction(self) -> bytes:
        return spend(7, 10_000 + self.number, salt=self.number_of_its_own())


class LowFee(Flooder):
    """Pays less than the floor."""

    burst = 100

    def transaction(self) -> bytes:
        return spend(self.number_of_its_own(), 1)


class Orphans(Flooder):
    """Spends what nobody has."""

    burst = 100

    def transaction(self) -> bytes:
        return make_transaction([OutPoint(self.chance.take_bytes(36))], [1_000])


class Undelivered(Flooder):
    """Announces what it never gives, among it all that it hears of."""

    burst = 500
    asked = True

    def transaction(self) -> bytes:
        return spend(self.number_of_its_own(), 10_000)

    def heard(self, link: Link, message: Message) -> None:
        """Silence, and what others announce is announced as its own."""
        if isinstance(message, GetData):
            return
        if isinstance(message, Inv):
            for other in self.open_links:
                self.say(other, message)
            return
        super().heard(link, message)


class Giants(Flooder):
    """As long as the chain's form allows, and paying nothing."""

    burst = 5

    def transaction(self) -> bytes:
        return spend(self.number_of_its_own(), 1, inputs=200, pad=60_000)


class Bombs(Flooder):
    """As costly as one can be, and invalid in the end."""

    burst = 5
    asked = True

    def transaction(self) -> bytes:
        return spend(self.number_of_its_own(), 200_000, inputs=255, seal=b"\0")


class Paying(Flooder):
    """Pays the floor for each, more of them than are ever announced."""

    asked = True

    def transaction(self) -> bytes:
        return spend(self.number_of_its_own(), 60)


FLOODS: tuple[type[Flooder], ...] = (
    Junk, Unreadable, Conflicts, LowFee, Orphans, Undelivered, Giants, Bombs, Paying
)  # fmt: skip


def by_stem(kind: type[Flooder]) -> type[Flooder]:
    """The same flood, sent by stem."""
    bits = FeatureSet(STEMS.features | Feature.PRIVACY_FEATURES, STEMS.privacy)
    return type(f"Stem{kind.__name__}", (kind,), {"bits": bits, "message": DandelionTx, "asked": False})


STEM_FLOODS = tuple(map(by_stem, (Junk, Unreadable, Conflicts, LowFee, Orphans, Giants, Bombs, Paying)))
