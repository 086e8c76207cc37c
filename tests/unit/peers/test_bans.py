"""Bans and discouragement: what is read, who is found, how long, how many, and what goes to disk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from obscura.base.errors import LocalError
from obscura.base.instant import WALL_MOST, WallTime
from obscura.base.limits import BANS_KEPT, DISCOURAGE_TIME, DISCOURAGED_KEPT, DISCOURAGED_PER_GROUP
from obscura.peers.bans import DISCOURAGED, FOREVER, OPERATOR, Ban, Bans, Subject, parse_subject, subject_of
from obscura.wire.address import AddressError, NetAddress, Network, parse_address

NOW = WallTime(1_800_000_000)
ONION = NetAddress(Network.TORV3, bytes(range(32)), 0).host()
I2P = NetAddress(Network.I2P, bytes(range(32)), 0).host()


def later(seconds: int) -> WallTime:
    return WallTime(NOW + seconds)


def ipv4(number: int, port: int = 8333) -> NetAddress:
    return NetAddress(Network.IPV4, number.to_bytes(4, "big"), port)


def ipv6(text: str) -> NetAddress:
    return parse_address(f"[{text}]:8333")


# -- what an operator types


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        (" 203.0.113.7:8333\n", "203.0.113.7/32"),
        ("203.0.113.7/32", "203.0.113.7/32"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("128.0.0.0/1", "128.0.0.0/1"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("[2001:db8::1]", "2001:db8::1/128"),
        ("[2001:db8::1]:8333", "2001:db8::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("fc00::/8", "fc00::/8"),
        ("fc12::7", "fc12::7/128"),
        (ONION, ONION),
        (ONION.upper(), ONION),
        (f"{ONION}:8333", ONION),
        (I2P, I2P),
        (f"{I2P}:0", I2P),
    ],
)
def test_subjects_that_are_read(text: str, canonical: str) -> None:
    subject = parse_subject(text)
    assert subject.reveal() == canonical
    assert parse_subject(canonical) == subject


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not an IP address"),
        ("example.com", "names are not resolved"),
        ("example.com:8333", "names are not resolved"),
        ("203.0.113.7/24", "say 203.0.113.0/24 for the subnet, or 203.0.113.7 for the host"),
        ("2001:db8::1/64", "say 2001:db8::/64 for the subnet"),
        ("0.0.0.0/0", "everybody"),
        ("::/0", "everybody"),
        ("::ffff:0.0.0.0/96", "everybody"),
        ("::ffff:0.0.0.0/95", "number of bits"),
        ("203.0.113.0/33", "number of bits"),
        ("203.0.113.0/255.255.255.0", "number of bits"),
        ("203.0.113.0/-8", "number of bits"),
        ("203.0.113.0/", "number of bits"),
        ("203.0.113.0/" + "9" * 4_000, "number of bits"),
        ("203.0.113.7:99999", "not a port"),
        ("203.0.113.7:", "HOST:PORT"),
        (ONION[:-7] + "a.onion", "typing mistake"),
        (f"{ONION}/16", "not an IP address"),
        ("abc.b32.i2p", "typing mistake"),
        ("x" * 5_000, "of a host or a subnet"),
        ("\u0663.0.113.7", "not an IP address"),
    ],
)
def test_what_is_no_subject_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(AddressError, match=says):
        parse_subject(text)


@pytest.mark.parametrize("text", ["obscura://KEY.SECRET@203.0.113.7:8333", "KEY.SECRET@203.0.113.7"])
def test_a_secret_is_not_quoted(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_subject(text)
    assert "SECRET" not in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"[0-9a-f:.]{1,20}(/[0-9]{1,3})?", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        subject = parse_subject(text)
    except AddressError:
        return
    assert parse_subject(subject.reveal()) == subject


def test_nothing_tells_whom() -> None:
    ban = Bans().ban(parse_subject("203.0.113.7"), None, NOW)
    for shown in (repr(ban), str(ban), repr(parse_subject("203.0.113.7")), str(parse_subject(ONION))):
        assert "203.0" not in shown
        assert ONION[:10] not in shown


def test_wider_subnets_cover_narrower_ones() -> None:
    wide, narrow = parse_subject("203.0.113.0/24"), parse_subject("203.0.113.7")
    assert wide.covers(narrow)
    assert wide.covers(wide)
    assert not narrow.covers(wide)
    assert not wide.covers(parse_subject("203.0.114.7"))
    assert not wide.covers(parse_subject("2001:db8::"))
    assert parse_subject("fc00::/7").covers(parse_subject("fc12::7"))


# -- who is found


@pytest.mark.parametrize(
    ("subject", "inside", "outside"),
    [
        ("203.0.113.7", "203.0.113.7:1", "203.0.113.6:8333"),
        ("203.0.113.0/25", "203.0.113.127:8333", "203.0.113.128:8333"),
        ("128.0.0.0/1", "255.0.0.1:8333", "127.0.0.1:8333"),
        ("2001:db8::/33", "[2001:db8:7fff::1]:8333", "[2001:db8:8000::1]:8333"),
        ("2001:db8::1", "[2001:db8::1]:8333", "[2001:db8::2]:8333"),
        ("fc00::/7", "[fc12::7]:8333", "[fe80::7]:8333"),
        ("fc00::/7", "[fd12::7]:8333", "[fe80::7]:8333"),
        ("fc00::/8", "[fcff::7]:8333", "[fd00::7]:8333"),
        (ONION, f"{ONION}:8333", I2P),
        (I2P, I2P, f"{ONION}:8333"),
    ],
)
def test_a_ban_is_of_its_subject_alone(subject: str, inside: str, outside: str) -> None:
    bans = Bans()
    bans.ban(parse_subject(subject), later(10), NOW)
    bans.check()
    assert bans.is_banned(parse_address(inside), NOW)
    assert not bans.is_banned(parse_address(outside), NOW)
    assert not bans.is_discouraged(parse_address(inside), NOW)
    assert bans.is_banned(parse_address(inside), later(9))
    assert not bans.is_banned(parse_address(inside), later(10)), "its time is over, swept or not"
    assert bans.unban(parse_subject(subject))
    assert not bans.unban(parse_subject(subject))
    assert not bans.is_banned(parse_address(inside), NOW)
    bans.check()


def calls(of: Callable[[], object]) -> int:
    """How many functions are called."""
    count = 0

    def see(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        of()
    finally:
        sys.setprofile(before)
    return count


def test_a_look_costs_the_same_among_many() -> None:
    bans, where = Bans(), parse_address("9.9.9.9:1")
    bans.is_banned(where, NOW)  # what is looked up once in a process is found now
    steps = []
    for number in range(2_000):
        bans.ban(subject_of(ipv4(number << 16)), None, NOW)
        if number in (0, 1_999):
            steps.append(calls(lambda: bans.is_banned(where, NOW)))
    assert steps[0] == steps[1]
    bans.ban(parse_subject("172.16.0.0/12"), None, NOW)
    assert calls(lambda: bans.is_banned(where, NOW)) > steps[0], "one more length, more steps"


def test_what_is_discouraged() -> None:
    bans = Bans()
    for there, alike, other in (
        ("203.0.113.7:1", "203.0.113.7:8333", "203.0.113.8:1"),
        ("[2001:db8:1:2::3]:1", "[2001:db8:1:2:ffff::4]:8333", "[2001:db8:1:3::3]:1"),
        ("[fc12::7]:1", "[fc12::7]:8333", "[fc12::8]:1"),
        (f"{ONION}:1", f"{ONION}:8333", I2P),
    ):
        ban = bans.discourage(parse_address(there), NOW)
        assert ban is not None
        assert (ban.kind, ban.until) == (DISCOURAGED, later(DISCOURAGE_TIME))
        assert bans.is_discouraged(parse_address(alike), later(DISCOURAGE_TIME - 1))
        assert not bans.is_discouraged(parse_address(alike), later(DISCOURAGE_TIME))
        assert not bans.is_discouraged(parse_address(other), NOW)
        assert not bans.is_banned(parse_address(there), NOW)
        bans.check()
    neighbour = parse_address("[2001:db8:1:2:ffff::4]:8333")
    assert not bans.is_discouraged(neighbour, NOW, exact=True), "many may share a /64"
    assert bans.is_discouraged(parse_address("[2001:db8:1:2::3]:9"), NOW, exact=True)
    assert [one.subject for one in bans.listing(NOW)] == ["203.0.113.7/32", "2001:db8:1:2::3/128", ONION, "fc12::7/128"]


def test_discouragement_is_extended_when_it_is_repeated() -> None:
    bans = Bans()
    bans.discourage(ipv4(1), NOW)
    bans.discourage(ipv4(1), later(100))
    assert len(bans) == 1
    assert bans.is_discouraged(ipv4(1), later(DISCOURAGE_TIME + 99))


def test_a_ban_and_discouragement_of_one_host() -> None:
    bans = Bans()
    bans.discourage(ipv4(1), NOW)
    bans.ban(subject_of(ipv4(1)), later(10), NOW)
    bans.check()
    assert not bans.is_discouraged(ipv4(1), NOW), "the operator's word takes its place"
    assert bans.discourage(ipv4(1), NOW) is None
    assert bans.discourage(ipv4(1), later(10)) is not None, "the ban is over"
    bans.check()
    bans.ban(parse_subject("0.0.0.0/8"), later(100), later(10))
    assert bans.is_banned(ipv4(1), later(10))
    assert bans.is_discouraged(ipv4(1), later(10)), "of a wider ban each stays what it is"
    assert bans.discourage(ipv4(1), later(11)) is None
    assert bans.unban(subject_of(ipv4(1)))
    assert bans.is_banned(ipv4(1), later(10))
    assert not bans.is_discouraged(ipv4(1), later(10))


def test_the_operators_last_word_counts() -> None:
    bans = Bans()
    subject = subject_of(ipv4(1))
    assert bans.ban(subject, None, NOW).until == FOREVER
    assert bans.is_banned(ipv4(1), WallTime(WALL_MOST)), "for ever is no date"
    assert bans.ban(subject, later(5), NOW).until == later(5)
    assert not bans.is_banned(ipv4(1), later(5))
    assert bans.ban(subject, WallTime(WALL_MOST + 99), NOW).until == FOREVER
    for end in (NOW, later(-1)):
        with pytest.raises(LocalError, match="future"):
            bans.ban(subject, end, NOW)


# -- how many


def test_the_operators_bans_are_bounded() -> None:
    bans = Bans()
    for number in range(BANS_KEPT):
        bans.ban(subject_of(ipv4(number)), later(10 if number else 5), NOW)
    bans.discourage(ipv4(1 << 30), NOW)
    with pytest.raises(LocalError, match=f"{BANS_KEPT} bans are kept at most"):
        bans.ban(subject_of(ipv4(1 << 30)), None, NOW)
    bans.ban(subject_of(ipv4(7)), later(10), NOW)
    bans.ban(subject_of(ipv4(1 << 31)), None, later(5))
    assert not bans.is_banned(ipv4(0), later(5)), "what was over has made room"
    bans.check()


def spread(number: int) -> NetAddress:
    """Hosts of as many groups as there are numbers below 2**16."""
    return ipv4(number % (1 << 16) << 16 | number >> 16)


def test_the_discouraged_are_bounded_and_the_oldest_goes() -> None:
    bans = Bans()
    for number in range(DISCOURAGED_KEPT):
        bans.discourage(spread(number), NOW)
    bans.discourage(spread(0), NOW)
    bans.discourage(spread(DISCOURAGED_KEPT), NOW)
    bans.check()
    assert len(bans) == DISCOURAGED_KEPT
    assert bans.is_discouraged(spread(0), NOW), "it was again"
    assert not bans.is_discouraged(spread(1), NOW)
    assert bans.is_discouraged(spread(2), NOW)


def test_nobody_has_others_forgotten_with_addresses_that_cost_nothing() -> None:
    bans = Bans()
    bans.discourage(ipv4(1), NOW)
    bans.ban(subject_of(ipv4(2)), None, NOW)
    for number in range(2 * DISCOURAGED_KEPT):
        bans.discourage(
            NetAddress(Network.IPV6, bytes.fromhex("20010db8") + number.to_bytes(4, "big") + bytes(8), 1), NOW
        )
    assert len(bans) == DISCOURAGED_PER_GROUP + 2
    for number in range(2 * DISCOURAGED_PER_GROUP):
        for group in range(16):
            tail = bytes([group << 4]) + number.to_bytes(14, "big")
            for network, head in ((Network.TORV3, b""), (Network.I2P, b""), (Network.CJDNS, b"\xfc")):
                raw = head + (tail if head else tail.ljust(32, b"\0"))
                bans.discourage(NetAddress(network, raw, 0), NOW)
    bans.check()
    assert bans.is_discouraged(ipv4(1), NOW)
    assert bans.is_banned(ipv4(2), NOW)


# -- how long


def test_what_is_over_is_forgotten() -> None:
    bans = Bans()
    bans.ban(parse_subject("10.0.0.0/8"), later(5), NOW)
    bans.ban(parse_subject("11.0.0.0/8"), None, NOW)
    bans.discourage(ipv4(1), NOW)
    assert bans.expire(later(4)) == ()
    assert [one.subject for one in bans.listing(later(5))] == ["11.0.0.0/8", "0.0.0.1/32"]
    assert bans.expire(later(5)) == ("10.0.0.0/8",)
    assert bans.expire(later(DISCOURAGE_TIME)) == ("0.0.0.1/32",)
    assert bans.expire(WallTime(WALL_MOST)) == ()
    assert len(bans) == 1
    bans.check()


@pytest.mark.parametrize("shift", [-86_400, -601, 601, 86_400 * 400])
def test_a_jump_of_the_clock_changes_nothing_that_is_left(shift: int) -> None:
    bans = Bans()
    bans.ban(parse_subject("10.0.0.0/8"), later(100), NOW)
    bans.ban(parse_subject("11.0.0.0/8"), None, NOW)
    bans.discourage(ipv4(1), NOW)
    bans.take_changes()
    bans.rebase(shift)
    bans.check()
    assert bans.expire(later(shift + 99)) == ()
    assert {one.subject: one.until for one in bans.listing(later(shift))} == {
        "10.0.0.0/8": later(shift + 100),
        "11.0.0.0/8": FOREVER,
        "0.0.0.1/32": later(shift + DISCOURAGE_TIME),
    }
    assert len(bans.take_changes()) == 3
    assert bans.expire(later(shift + 100)) == ("10.0.0.0/8",)


def test_a_jump_to_either_end_of_time() -> None:
    for shift in (-WALL_MOST, WALL_MOST):
        bans = Bans()
        bans.discourage(ipv4(1), NOW)
        bans.rebase(shift)
        (ban,) = (change for _, change in bans.take_changes())
        assert ban is not None
        assert 0 <= ban.until < FOREVER
        assert 0 <= ban.made <= WALL_MOST


def test_a_clock_that_was_ahead_when_it_was_made() -> None:
    ahead = Ban("0.0.0.1/32", later(86_400 * 400 + DISCOURAGE_TIME), later(86_400 * 400), DISCOURAGED)
    kept = Ban("11.0.0.0/8", FOREVER, later(86_400 * 400), OPERATOR)
    bans = Bans([ahead, kept])
    assert bans.expire(NOW) == ()
    assert bans.listing(NOW) == (replace(kept, made=NOW), replace(ahead, made=NOW, until=later(DISCOURAGE_TIME)))
    assert dict(bans.take_changes()) == {one.subject: one for one in bans.listing(NOW)}


# -- what goes to disk


def test_changes_are_taken_once() -> None:
    bans = Bans([Ban("10.0.0.0/8", FOREVER, NOW, OPERATOR)])
    assert bans.take_changes() == ()
    bans.unban(parse_subject("10.0.0.0/8"))
    made = bans.ban(parse_subject("11.0.0.0/8"), None, NOW)
    bans.discourage(ipv4(1), NOW)
    bans.unban(subject_of(ipv4(1)))
    assert bans.take_changes() == (("10.0.0.0/8", None), ("11.0.0.0/8", made)), "the disk never had the third"
    assert bans.take_changes() == ()


def test_what_waits_for_the_disk_is_bounded() -> None:
    bans = Bans()
    for number in range(2 * DISCOURAGED_KEPT):
        bans.discourage(spread(number), NOW)
    assert len(bans.take_changes()) == DISCOURAGED_KEPT
    for number in range(2 * DISCOURAGED_KEPT, 4 * DISCOURAGED_KEPT):
        bans.discourage(spread(number), NOW)
    assert len(bans.take_changes()) == 2 * DISCOURAGED_KEPT


def test_more_than_a_release_keeps_is_forgotten_on_disk_too() -> None:
    kept = [
        Ban(Subject(Network.IPV4, number.to_bytes(4, "big"), 32).reveal(), later(9), later(number), DISCOURAGED)
        for number in range(DISCOURAGED_PER_GROUP + 5)
    ]
    bans = Bans(reversed(kept))
    bans.check()
    assert bans.take_changes() == tuple((one.subject, None) for one in kept[:5])


@pytest.mark.parametrize(
    "ban",
    [
        Ban("10.0.0.1", FOREVER, NOW, OPERATOR),
        Ban("10.0.0.1/8", FOREVER, NOW, OPERATOR),
        Ban("nowhere", FOREVER, NOW, OPERATOR),
        Ban("10.0.0.0/8", FOREVER, NOW, "else"),
    ],
)
def test_what_no_release_has_written_is_refused(ban: Ban) -> None:
    with pytest.raises(LocalError):
        Bans([ban])


# -- any history, against a list

SUBJECTS = tuple(
    map(
        parse_subject,
        (
            "10.0.0.0/8",
            "10.0.0.0/9",
            "10.0.0.1",
            "10.0.0.2",
            "2001:db8::/64",
            "2001:db8::1",
            "fc00::/7",
            "fc00::1",
            ONION,
        ),
    )
)
ADDRESSES = tuple(
    map(
        parse_address, ("10.0.0.1:1", "10.0.0.2:2", "10.200.0.1:1", "[2001:db8::1]:1", "[fc00::1]:1", f"{ONION}:1", I2P)
    )
)


def _are_neighbours(subject: Subject, address: NetAddress) -> bool:
    """Two IPv6 hosts of one /64."""
    return subject.network is address.network is Network.IPV6 and subject.raw[:8] == address.raw[:8]


class Histories(RuleBasedStateMachine):
    """A list of bans that is searched from end to end, and a disk."""

    @initialize()
    def start(self) -> None:
        self.now = int(NOW)
        self.bans = Bans()
        self.model: dict[str, Ban] = {}
        self.disk: dict[str, Ban] = {}

    def within(self, address: NetAddress, kind: str) -> bool:
        return any(
            ban.kind == kind
            and (self.now < ban.until or ban.until == FOREVER)
            and (
                parse_subject(ban.subject).covers(subject_of(address))
                or (kind == DISCOURAGED and _are_neighbours(parse_subject(ban.subject), address))
            )
            for ban in self.model.values()
        )

    @rule(subject=st.sampled_from(SUBJECTS), span=st.none() | st.integers(1, 200_000))
    def ban(self, subject: Subject, span: int | None) -> None:
        until = None if span is None else WallTime(self.now + span)
        self.model[subject.reveal()] = self.bans.ban(subject, until, WallTime(self.now))

    @rule(subject=st.sampled_from(SUBJECTS))
    def unban(self, subject: Subject) -> None:
        assert self.bans.unban(subject) == (self.model.pop(subject.reveal(), None) is not None)

    @rule(address=st.sampled_from(ADDRESSES))
    def discourage(self, address: NetAddress) -> None:
        banned = self.within(address, OPERATOR)
        ban = self.bans.discourage(address, WallTime(self.now))
        assert (ban is None) == banned
        if ban is not None:
            self.model[ban.subject] = ban

    @rule(span=st.integers(0, 100_000))
    def wait(self, span: int) -> None:
        self.now += span

    @rule(shift=st.integers(-500_000, 500_000))
    def jump(self, shift: int) -> None:
        self.now += shift
        self.bans.rebase(shift)
        for name, ban in self.model.items():
            until = ban.until if ban.until == FOREVER else WallTime(ban.until + shift)
            self.model[name] = replace(ban, until=until, made=WallTime(ban.made + shift))

    @rule()
    def expire(self) -> None:
        gone = [name for name, ban in self.model.items() if ban.until <= self.now]
        for name in gone:
            del self.model[name]
        assert sorted(self.bans.expire(WallTime(self.now))) == sorted(gone)

    @rule()
    def save(self) -> None:
        for name, ban in self.bans.take_changes():
            if ban is None:
                del self.disk[name]
            else:
                self.disk[name] = ban
        assert self.disk == self.model

    @rule()
    def restart(self) -> None:
        self.save()
        self.bans = Bans(self.disk.values())

    @invariant()
    def agrees(self) -> None:
        now = WallTime(self.now)
        self.bans.check()
        for address in ADDRESSES:
            assert self.bans.is_banned(address, now) == self.within(address, OPERATOR)
            assert self.bans.is_discouraged(address, now) == self.within(address, DISCOURAGED)
        held = {name: ban for name, ban in self.model.items() if ban.until > self.now}
        assert {one.subject: one for one in self.bans.listing(now)} == held


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
