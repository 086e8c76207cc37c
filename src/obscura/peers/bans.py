"""Hosts that are kept away: by the operator, who bans, and by the node, which discourages who misbehaved.

A *ban* is our operator's word about a host, a subnet, an onion or an I2P host: no link with it, either way, until the
time that he named. *Discouragement* is the node's own, for a day: who broke the rules is not dialled, and is the first
to make room when the inbound slots are full; with room to spare it is let in (as Bitcoin Core since 0.20). A ban by
mistake would cut an honest host off, and somebody may have misbehaved from its address before it.

- IPv4 hosts are discouraged alone. Of IPv6 hosts the whole /64 counts as discouraged, or the next of 2**64 addresses
  would be a fresh start. Some providers put many customers into one /64, so that counts where links come in alone;
  whether an address is dialled or told is a matter of the address itself (``exact``).
- Who comes in through a local proxy (onion, I2P) has no address of his own: all of them look alike, and to discourage
  one would be to discourage all. The caller therefore discourages only addresses that *we* dialled there, and
  otherwise ends the link alone.
- The caller never discourages a peer that the operator named, nor loopback addresses other than in devnets and tests.

Security: whoever misbehaves from many addresses must not have the others forgotten. The table is bounded in all and
for each network group, and a full group loses its own oldest (limits: DISCOURAGED_PER_GROUP).

A look-up takes one step for each different length of prefix among the entries of a network, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ..base.errors import LocalError
from ..base.instant import WALL_MOST, WallTime
from ..base.limits import BANS_KEPT, DISCOURAGE_TIME, DISCOURAGED_KEPT, DISCOURAGED_PER_GROUP, PEER_TEXT_BYTES
from ..wire.address import AddressError, NetAddress, Network, address_from_ip, parse_address

OPERATOR: Final = "operator"
DISCOURAGED: Final = "discouraged"
FOREVER: Final = WALL_MOST
"""The end of a ban that holds until it is taken back."""
_HOST_BYTES_V6: Final = 8
_MAPPED_BITS: Final = 96
_EXAMPLES: Final = "203.0.113.7, 203.0.113.0/24, 2001:db8::/32, an onion or an I2P host"


@dataclass(frozen=True, slots=True)
class Ban:
    """One subject that is kept away, as it is stored and listed. Its repr does not tell whom."""

    subject: str = field(repr=False)
    """Canonical text: "203.0.113.7/32", "2001:db8::/32", an onion or I2P host."""
    until: WallTime
    """The first second at which it no longer holds; :data:`FOREVER`: until it is taken back."""
    made: WallTime
    kind: str
    """:data:`OPERATOR` or :data:`DISCOURAGED`."""

    def holds(self, now: WallTime) -> bool:
        """Whether it still does."""
        return now < self.until or self.until == FOREVER


@dataclass(frozen=True, slots=True)
class Subject:
    """What a ban is of: the addresses of a network that share their first ``bits`` bits with ``raw``; ports do not
    matter. CJDNS is a part of IPv6 here, so that a wide subnet means both."""

    network: Network
    raw: bytes
    """Its first address: all bits behind the prefix are zero."""
    bits: int

    def __repr__(self) -> str:
        return f"Subject({self.network.name}, redacted)"

    __str__ = __repr__

    def reveal(self) -> str:
        """The canonical text. Loud on purpose: for the disk, and where the operator asked."""
        host = NetAddress(self.network, self.raw, 0).host()
        return host if self.network in (Network.TORV3, Network.I2P) else f"{host}/{self.bits}"

    def covers(self, other: Subject) -> bool:
        """Whether all of ``other`` is in this one."""
        return (
            _family(self.network) is _family(other.network)
            and self.bits <= other.bits
            and _prefix(self.raw, self.bits) == _prefix(other.raw, self.bits)
        )


def subject_of(address: NetAddress) -> Subject:
    """The host of an address, alone."""
    return Subject(address.network, address.raw, len(address.raw) * 8)


def parse_subject(text: str) -> Subject:
    """Read what an operator wants banned: an IP address (with a port or without: it is left out, a ban is of a host),
    a subnet ``ADDRESS/BITS``, an onion or an I2P host.

    Raises:
        AddressError: anything else, bits behind a subnet's prefix, or a subnet of all addresses. The text names the
            form that is wanted.
    """
    text = text.strip()
    if len(text) > PEER_TEXT_BYTES or "@" in text or "://" in text:
        # Privacy: a peer's access secret may stand in it, so it is not quoted.
        msg = f"a ban is of a host or a subnet, without scheme, key and secret: {_EXAMPLES}"
        raise AddressError(msg)
    host, slash, length = text.partition("/")
    return _parse_subnet(text, host, length) if slash else subject_of(_parse_host(text))


def _parse_host(text: str) -> NetAddress:
    if text.lower().endswith(".onion"):
        return parse_address(f"{text}:0")
    if text.startswith("[") and text.endswith("]"):
        return address_from_ip(text[1:-1], 0)
    if text.count(":") == 1 or text.startswith("[") or text.lower().endswith(".b32.i2p"):
        return parse_address(text)
    return address_from_ip(text, 0)


def _parse_subnet(text: str, host: str, length: str) -> Subject:
    address = address_from_ip(host, 0)
    width = len(address.raw) * 8
    # Python refuses to read numbers of thousands of digits by another exception.
    bits = int(length) if length.isascii() and length.isdigit() and len(length) <= 3 else -1
    if address.network is Network.IPV4 and ":" in host:
        # An IPv4-mapped subnet is one of IPv4.
        bits -= _MAPPED_BITS
    if not 0 <= bits <= width:
        msg = f"{text!r}: behind / stands the number of bits that all its addresses share, for example 203.0.113.0/24"
        raise AddressError(msg)
    if bits == 0:
        msg = f"{text!r} is everybody: to have no links, let the node not listen and not dial (--inbound, --outbound)"
        raise AddressError(msg)
    first = (_prefix(address.raw, bits) << (width - bits)).to_bytes(width // 8, "big")
    if first != address.raw:
        subnet = Subject(address.network, first, bits).reveal()
        msg = f"{text!r} has bits behind its prefix: say {subnet} for the subnet, or {host} for the host"
        raise AddressError(msg)
    return Subject(address.network, first, bits)


class Bans:
    """Who is kept away, and until when. One for each node; the store keeps it beside, by what
    :meth:`take_changes` gives.

    Args:
        bans: what the store has kept.

    Raises:
        LocalError: one of them is not as :class:`Ban` says.
    """

    __slots__ = ("_all", "_changed", "_crowds", "_discouraged", "_near", "_stored", "_tables")

    def __init__(self, bans: Iterable[Ban] = ()) -> None:
        self._all: dict[Subject, Ban] = {}
        self._discouraged: dict[Subject, bytes] = {}
        """Those of the node's own, with their network group, the one that was discouraged longest ago first."""
        self._crowds: dict[bytes, dict[Subject, None]] = {}
        """The same by network group, in the same order."""
        self._near: dict[bytes, dict[Subject, None]] = {}
        """IPv6 hosts among them, by their /64."""
        self._tables: dict[Network, dict[int, dict[int, Ban]]] = {}
        """All of a network by length and value of their prefixes."""
        self._stored: dict[Subject, None] = {}
        """What is on disk once the changes that were taken are."""
        self._changed: dict[Subject, None] = {}
        for ban in sorted(bans, key=lambda one: (one.made, one.subject)):
            subject = parse_subject(ban.subject)
            if subject.reveal() != ban.subject or ban.kind not in (OPERATOR, DISCOURAGED):
                # It could not be taken back by the name that it has on disk.
                msg = f"the stored ban of {ban.subject!r} ({ban.kind}) is not as this release writes it"
                raise LocalError(msg)
            self._stored[subject] = None
            self._put(subject, ban)
            del self._changed[subject]
            if ban.kind == DISCOURAGED:
                self._trim(self._discouraged[subject])

    def __len__(self) -> int:
        return len(self._all)

    def ban(self, subject: Subject, until: WallTime | None, now: WallTime) -> Ban:
        """Keep a subject away until a time (``None``: until :meth:`unban`), in the place of what was said of exactly
        this subject before. The caller ends links with it, and saves.

        Raises:
            LocalError: the time has passed, or BANS_KEPT bans are there already.
        """
        end = FOREVER if until is None else WallTime(min(until, FOREVER))
        if end <= now and end != FOREVER:
            msg = "a ban must end in the future"
            raise LocalError(msg)
        old = self._all.get(subject)
        if old is None or old.kind == DISCOURAGED:
            if self._operators() >= BANS_KEPT:
                self.expire(now)
            if self._operators() >= BANS_KEPT:
                msg = f"{BANS_KEPT} bans are kept at most: take some back, or ban subnets in the place of hosts"
                raise LocalError(msg)
        ban = Ban(subject.reveal(), end, now, OPERATOR)
        self._put(subject, ban)
        return ban

    def unban(self, subject: Subject) -> bool:
        """Forget what was said of exactly this subject, be it a ban or discouragement; ``False`` if nothing was. What
        a wider subnet says of it stays."""
        if subject not in self._all:
            return False
        self._remove(subject)
        return True

    def discourage(self, address: NetAddress, now: WallTime) -> Ban | None:
        """Somebody at ``address`` broke the rules: prefer others for DISCOURAGE_TIME from now. Whom this must not be
        said of, the caller knows (see the head of this file). ``None`` if a ban keeps the address away already."""
        if self.is_banned(address, now):
            return None
        subject = subject_of(address)
        ban = Ban(subject.reveal(), WallTime(min(now + DISCOURAGE_TIME, FOREVER - 1)), now, DISCOURAGED)
        self._put(subject, ban)
        self._trim(self._discouraged[subject])
        return ban

    def is_banned(self, address: NetAddress, now: WallTime) -> bool:
        """Whether the operator wants no link with it."""
        return self._finds(address, OPERATOR, now)

    def is_discouraged(self, address: NetAddress, now: WallTime, *, exact: bool = False) -> bool:
        """Whether others are to be preferred; ``exact``: for what it has done itself, not for its IPv6 /64."""
        if address.network is Network.IPV6 and not exact:
            return any(self._all[one].holds(now) for one in self._near.get(address.raw[:_HOST_BYTES_V6], ()))
        return self._finds(address, DISCOURAGED, now)

    def listing(self, now: WallTime) -> tuple[Ban, ...]:
        """All that hold: the operator's first, each kind in the order of networks and addresses."""
        held = [(subject, ban) for subject, ban in self._all.items() if ban.holds(now)]
        held.sort(key=lambda one: (one[1].kind != OPERATOR, one[0].network, one[0].raw, one[0].bits))
        return tuple(ban for _, ban in held)

    def expire(self, now: WallTime) -> tuple[str, ...]:
        """Forget those that have ended; the caller asks now and then, and at the start. Returns their subjects.

        One that was made later than now, while a clock was ahead, begins now and takes as long as it was meant to.
        """
        gone = [subject for subject, ban in self._all.items() if not ban.holds(now)]
        for subject in gone:
            self._remove(subject)
        for subject, ban in self._all.items():
            if ban.made > now:
                self._replace(subject, _shifted(ban, now - ban.made))
        return tuple(subject.reveal() for subject in gone)

    def rebase(self, shift: int) -> None:
        """The wall clock has jumped by ``shift`` seconds: what is left of each stays what it was."""
        for subject, ban in self._all.items():
            self._replace(subject, _shifted(ban, shift))

    def take_changes(self) -> tuple[tuple[str, Ban | None], ...]:
        """What is to be stored, or forgotten (``None``), since the last call: once for each subject."""
        changes = tuple((subject.reveal(), self._all.get(subject)) for subject in self._changed)
        for subject in self._changed:
            if subject in self._all:
                self._stored[subject] = None
            else:
                del self._stored[subject]
        self._changed.clear()
        return changes

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert self._operators() <= BANS_KEPT, "the operator's are bounded"
        assert len(self._discouraged) <= DISCOURAGED_KEPT, "ours are bounded"
        own = [subject for subject, ban in self._all.items() if ban.kind == DISCOURAGED]
        assert dict.fromkeys(own) == dict.fromkeys(self._discouraged), "each has its kind"
        crowds: dict[bytes, list[Subject]] = {}
        for subject, group in self._discouraged.items():
            crowds.setdefault(group, []).append(subject)
        hosts = sorted(one.reveal() for one in self._discouraged if one.network is Network.IPV6)
        near = sorted(one.reveal() for crowd in self._near.values() for one in crowd)
        assert hosts == near, "IPv6 hosts are found by their /64"
        assert crowds == {group: list(crowd) for group, crowd in self._crowds.items()}, "and in the same order"
        assert all(len(crowd) <= DISCOURAGED_PER_GROUP for crowd in crowds.values()), "one group has its share alone"
        tables = [table for lengths in self._tables.values() for table in lengths.values()]
        assert all(tables), "a length without entries costs no look-up"
        assert sum(map(len, tables)) == len(self._all), "each is found by its prefix"
        for subject, ban in self._all.items():
            assert self._tables[_family(subject.network)][subject.bits][_prefix(subject.raw, subject.bits)] is ban, (
                "and by nothing else"
            )
            assert parse_subject(ban.subject) == subject, "what is stored reads back"
            assert subject in self._stored or subject in self._changed, "what is not stored will be"
        for subject in self._changed:
            assert subject in self._stored or subject in self._all, "what never was on disk is not deleted there"

    def _operators(self) -> int:
        return len(self._all) - len(self._discouraged)

    def _finds(self, address: NetAddress, kind: str, now: WallTime) -> bool:
        for bits, table in self._tables.get(_family(address.network), {}).items():
            ban = table.get(_prefix(address.raw, bits))
            if ban is not None and ban.kind == kind and ban.holds(now):
                return True
        return False

    def _put(self, subject: Subject, ban: Ban) -> None:
        if subject in self._all:
            # Its place in the order is that of its last time.
            self._remove(subject)
        if ban.kind == DISCOURAGED:
            group = NetAddress(subject.network, subject.raw, 0).group()
            self._discouraged[subject] = group
            self._crowds.setdefault(group, {})[subject] = None
            if subject.network is Network.IPV6:
                self._near.setdefault(subject.raw[:_HOST_BYTES_V6], {})[subject] = None
        self._replace(subject, ban)

    def _replace(self, subject: Subject, ban: Ban) -> None:
        """Note another ban of the same kind for a subject that has its place, or has just been given it."""
        if self._all.get(subject) == ban:
            return
        self._all[subject] = ban
        lengths = self._tables.setdefault(_family(subject.network), {})
        lengths.setdefault(subject.bits, {})[_prefix(subject.raw, subject.bits)] = ban
        self._changed[subject] = None

    def _remove(self, subject: Subject) -> None:
        del self._all[subject]
        lengths = self._tables[_family(subject.network)]
        del lengths[subject.bits][_prefix(subject.raw, subject.bits)]
        if not lengths[subject.bits]:
            del lengths[subject.bits]
        group = self._discouraged.pop(subject, None)
        if group is not None:
            del self._crowds[group][subject]
            if not self._crowds[group]:
                del self._crowds[group]
            if subject.network is Network.IPV6:
                near = self._near[subject.raw[:_HOST_BYTES_V6]]
                del near[subject]
                if not near:
                    del self._near[subject.raw[:_HOST_BYTES_V6]]
        if subject in self._stored:
            self._changed[subject] = None
        else:
            # The disk never had it: however long it is slow, what waits for it is bounded by what is and what was.
            self._changed.pop(subject, None)

    def _trim(self, group: bytes) -> None:
        """Bring ours below their bounds, after one of ``group`` was added."""
        if len(self._crowds[group]) > DISCOURAGED_PER_GROUP:
            self._remove(next(iter(self._crowds[group])))
        if len(self._discouraged) > DISCOURAGED_KEPT:
            self._remove(next(iter(self._discouraged)))


def _shifted(ban: Ban, shift: int) -> Ban:
    made = WallTime(min(max(ban.made + shift, 0), WALL_MOST))
    until = ban.until if ban.until == FOREVER else WallTime(min(max(ban.until + shift, 0), FOREVER - 1))
    return Ban(ban.subject, until, made, ban.kind)


def _family(network: Network) -> Network:
    """Networks whose addresses are numbered together."""
    return Network.IPV6 if network is Network.CJDNS else network


def _prefix(raw: bytes, bits: int) -> int:
    return int.from_bytes(raw, "big") >> (len(raw) * 8 - bits)
