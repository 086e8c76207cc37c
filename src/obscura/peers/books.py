"""The address books of a node: one for each class of networks, behind the verbs of one.

Security: in one pair of tables for all, whoever fills it by way of one class takes the places that addresses of another
need, and who watches at the other door what still finds a place would tie the two (docs/decisions/0011-peers.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from ..base.instant import Duration, WallTime
from ..base.limits import BACKOFF_CAP, OTHER_CLASS_SHARE
from ..base.randomness import Chance
from ..wire.address import AddressEntry, NetAddress, Network
from ..wire.identity import KeyClass, class_of
from .book import AddressBook
from .defences import ALL, Defences
from .groups import Grouping
from .pins import Verdict
from .record import AddressRecord

NETWORKS: Final = tuple(Network)


class AddressBooks:
    """Every verb of :class:`~obscura.peers.book.AddressBook`, for addresses of all classes.

    Args:
        records: what the store has kept.
        chance: draws everything that is left to it.
        key: 32 secret bytes, the same in each run.
        grouping: network groups.
        defences: what experiments have switched off.
    """

    def __init__(
        self,
        records: Iterable[AddressRecord],
        chance: Chance,
        *,
        key: bytes,
        grouping: Grouping | None = None,
        defences: Defences = ALL,
    ) -> None:
        self._chance = chance
        kept: dict[KeyClass, list[AddressRecord]] = {of: [] for of in KeyClass}
        for record in records:
            kept[class_of(record.address.network)].append(record)
        self._books = {
            of: AddressBook(
                kept[of],
                chance.fork(of.value),
                key=key,
                grouping=grouping,
                defences=defences,
                share=1 if of is KeyClass.CLEARNET else OTHER_CLASS_SHARE,
            )
            for of in KeyClass
        }

    def __len__(self) -> int:
        return sum(map(len, self._books.values()))

    def __contains__(self, address: NetAddress) -> bool:
        return address in self._of(address)

    def get(self, address: NetAddress) -> AddressRecord | None:
        """What is known about an address."""
        return self._of(address).get(address)

    def records(self) -> tuple[AddressRecord, ...]:
        """Everything, as the store would have it."""
        return tuple(record for book in self._books.values() for record in book.records())

    def counts(self) -> dict[Network, tuple[int, int]]:
        """How many addresses of each network stand in new, and in tried."""
        return {network: self._books[class_of(network)].counts()[network] for network in NETWORKS}

    def learn(self, entry: AddressEntry, source: bytes, now: WallTime, *, direct: bool = False) -> bool:
        """See :meth:`AddressBook.learn`."""
        return self._of(entry.address).learn(entry, source, now, direct=direct)

    def name(self, address: NetAddress) -> None:
        """See :meth:`AddressBook.name`."""
        self._of(address).name(address)

    def hide(self, address: NetAddress) -> None:
        """See :meth:`AddressBook.hide`."""
        self._of(address).hide(address)

    def pick(
        self,
        now: WallTime,
        usable: Callable[[NetAddress], bool],
        *,
        tried: bool | None = None,
        networks: Collection[Network] | None = None,
        draws: int = 1,
    ) -> NetAddress | None:
        """An address to dial; see :meth:`AddressBook.pick`. Security: where ``networks`` are of several classes, each
        class of which something is known is as likely as another, or who floods one would be met in proportion."""
        wanted = NETWORKS if networks is None else networks
        classes = [of for of in KeyClass if any(class_of(one) is of for one in wanted) and len(self._books[of])]
        self._chance.shuffle(classes)
        for of in classes:
            picked = self._books[of].pick(now, usable, tried=tried, networks=wanted, draws=draws)
            if picked is not None:
                return picked
        return None

    def to_test(self, now: WallTime, usable: Callable[[NetAddress], bool]) -> NetAddress | None:
        """See :meth:`AddressBook.to_test`."""
        classes = list(self._books.values())
        self._chance.shuffle(classes)
        return next((found for book in classes if (found := book.to_test(now, usable)) is not None), None)

    def attempted(self, address: NetAddress, now: WallTime) -> None:
        """See :meth:`AddressBook.attempted`."""
        self._of(address).attempted(address, now)

    def succeeded(self, address: NetAddress, now: WallTime, key: bytes | None = None) -> None:
        """See :meth:`AddressBook.succeeded`."""
        self._of(address).succeeded(address, now, key)

    def meet(self, address: NetAddress, key: bytes) -> Verdict:
        """See :meth:`AddressBook.meet`."""
        return self._of(address).meet(address, key)

    def lasted(self, address: NetAddress) -> None:
        """See :meth:`AddressBook.lasted`."""
        self._of(address).lasted(address)

    def sighted(self, address: NetAddress, now: WallTime) -> None:
        """See :meth:`AddressBook.sighted`."""
        self._of(address).sighted(address, now)

    def failed(self, address: NetAddress, now: WallTime, cap: Duration = BACKOFF_CAP) -> Duration:
        """See :meth:`AddressBook.failed`."""
        return self._of(address).failed(address, now, cap)

    def unanswered(self, address: NetAddress, now: WallTime) -> Duration:
        """See :meth:`AddressBook.unanswered`."""
        return self._of(address).unanswered(address, now)

    def avoid(self, address: NetAddress, until: WallTime) -> None:
        """See :meth:`AddressBook.avoid`."""
        self._of(address).avoid(address, until)

    def resolve(self, now: WallTime, reached: Collection[NetAddress] = ()) -> None:
        """See :meth:`AddressBook.resolve`."""
        for book in self._books.values():
            book.resolve(now, reached)

    def answer(
        self, now: WallTime, routable: Callable[[NetAddress], bool], networks: Collection[Network]
    ) -> tuple[AddressEntry, ...]:
        """See :meth:`AddressBook.answer`; ``networks`` are of one class."""
        [book] = [self._books[of] for of in KeyClass if any(class_of(one) is of for one in networks)]
        return book.answer(now, routable, networks)

    @property
    def changed(self) -> bool:
        """Whether there is something to save."""
        return any(book.changed for book in self._books.values())

    def take_changes(self, most: int | None = None) -> tuple[tuple[NetAddress, AddressRecord | None], ...]:
        """See :meth:`AddressBook.take_changes`."""
        changes: list[tuple[NetAddress, AddressRecord | None]] = []
        for book in self._books.values():
            changes += book.take_changes(None if most is None else most - len(changes))
        return tuple(changes)

    def rebase(self, shift: int) -> None:
        """See :meth:`AddressBook.rebase`."""
        for book in self._books.values():
            book.rebase(shift)

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        for of, book in self._books.items():
            book.check()
            for record in book.records():
                assert class_of(record.address.network) is of, "each book has its class"

    def _of(self, address: NetAddress) -> AddressBook:
        return self._books[class_of(address.network)]
