"""What an operator can set, and from where: defaults, then ``obscura.toml`` in the datadir, then ``OBSCURA_…`` in the
environment, then the command line; the later one wins. A key that does not exist is refused by name.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from ..base import limits
from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS, seconds
from ..ledgers.kernel.networks import NETWORKS
from ..node.config import NoOverlay, NoStem
from ..shaping import LADDER_OF_RATES, CoverOptions, LinkClass, Profile, Shaping, SteadyOptions
from ..wire.address import AddressError, NetAddress, Network, address_from_ip, parse_address
from ..wire.target import Mode, Target, parse_target, refuse_secrets

FILE_NAME: Final = "obscura.toml"
PREFIX: Final = "OBSCURA_"
Endpoint: TypeAlias = tuple[str, int]
"""IP address and port of a daemon."""
_FOREIGN: Final = frozenset({"OBSCURA_DATADIR"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of ``obscura node``. Each is a key of ``obscura.toml``, ``OBSCURA_KEY`` and ``--key``."""

    network: str = "bitcoin"
    """bitcoin, testnet4, signet or regtest."""
    listen: str = ""
    """HOST:PORT, or HOST alone: then a port is drawn at the first start and kept. Empty: nothing listens."""
    connect: tuple[str, ...] = field(default=(), repr=False)
    """Peers that are always dialled again: HOST:PORT, obscura://KEY@HOST:PORT, plain://HOST:PORT and the like."""
    tor: bool = False
    """Use Tor: onion addresses are dialled, others reach us at an onion service. The system's tor is started for the
    node and ended with it, unless a running one is named by tor_control or tor_socks."""
    tor_socks: str = ""
    """HOST:PORT of a running Tor's SOCKS port; unset: the control port tells."""
    tor_control: str = ""
    """HOST:PORT of a running Tor's control port. It makes the onion service."""
    tor_password: str = field(default="", repr=False)
    """Of the control port, if it wants one; unset: Tor's cookie file."""
    tor_extra: tuple[str, ...] = ()
    """Lines for the configuration of the tor that the node starts."""
    onion: bool | None = None
    """Have an onion service. Unset: where Tor's control port can be used and the listener is open."""
    i2p_sam: str = ""
    """HOST:PORT of an I2P router's SAM bridge: I2P addresses are dialled, others reach us at a destination of ours."""
    i2p_listen: bool = True
    """Let others reach us by I2P, where i2p_sam is set and the listener is open."""
    onlynet: tuple[str, ...] = ()
    """Dial, and listen on, these networks alone: ipv4, ipv6, onion, i2p, cjdns. Unset: all that can be, but cjdns."""
    proxy: str = ""
    """How IP addresses are dialled: direct, tor, or HOST:PORT of a SOCKS5 proxy. Unset: tor if Tor is used and nothing
    listens on an IP address, else direct."""
    transport: str = "veiled"
    """How dials begin, and the weakest way in which others may begin: veiled, literal or plain."""
    shaping: str = "pad"
    """What the amounts and times of our side of a link show. off: all. pad: they are rounded and delayed a little.
    cover: as pad, and decoys are sent as well. steady: the same amount at every tick."""
    shape: tuple[str, ...] = ()
    """Other profiles for some links, CLASS=PROFILE each: named=steady, onion=cover. Classes: named, onion, i2p, cjdns,
    clearnet, inbound, outbound; where a link is of several, the first of them decides."""
    cover_rate: int = limits.COVER_RATE
    """Bytes a second of decoys that cover may send on each link whatever else is sent."""
    cover_share: int = limits.COVER_SHARE
    """Percent of what a link sends that decoys beyond that may be."""
    cover_delay_ms: int = limits.COVER_DELAY // 1_000
    """How long cover holds a message at most, in milliseconds."""
    steady_lowest: int = limits.STEADY_LOWEST
    """Bytes a second at which steady begins on each link: 1024, 4096, 16384, 65536, 262144 or 1048576."""
    steady_highest: int = limits.STEADY_HIGHEST
    """And at most."""
    steady_total: int = limits.STEADY_TOTAL
    """Bytes a second up to which the rates of steady may rise, of all links together that others open in one class of
    networks."""
    steady_epoch: int = limits.STEADY_EPOCH // MICROSECONDS
    """Seconds for which a rate of steady stays at least."""
    first_packet: str = "random"
    """How our dials begin: with random bytes, or with six printable ones, against censors that block what looks like
    nothing."""
    listener: str = "open"
    """open: whoever speaks the protocol is answered. keyed: only who was invited (obscura key invite)."""
    keep_key: bool = False
    """Keep the clearnet key when the public address changes. It links the two addresses."""
    discover: bool = True
    """Learn addresses from peers, pass them on, and fill outbound slots from them."""
    outbound: int = limits.OUTBOUND_SLOTS
    """Outbound links besides named peers."""
    inbound: int = limits.INBOUND_SLOTS
    """Links that others may open."""
    asmap: str = ""
    """A file that says which addresses belong to one autonomous system, as Bitcoin Core reads it: links are spread over
    systems then, not over /16 networks. A path, relative to the datadir."""
    seeds: str = ""
    """A file of addresses to begin with, one a line. A path, relative to the datadir; unset: seeds.txt, if any."""
    relay: bool | None = None
    """Judge and relay transactions, for which a view of all coins is kept. Unset: on all networks but bitcoin."""
    no_stem: str = "fluff"
    """What becomes of your own transactions while there is no stem peer: they wait ten minutes and are told to
    everybody then (fluff), wait for ever (wait), or are told at once (now)."""
    private: bool = False
    """Broadcast your own transactions privately by Tor or I2P, also those that are sent without --private."""
    private_fallback: str = "stem"
    """What becomes of private broadcasts while neither Tor nor I2P leads anywhere. stem: they go by stem, where either
    is in use when nobody was reached for ten minutes. never: they wait, and are refused where neither is in use."""
    stem_hop_ms: int = limits.STEM_HOP // 1_000
    """What one step of a stem takes in this network, in milliseconds; how long a lost stem is waited for follows."""
    stem_age: int = limits.STEM_LINK_AGE // MICROSECONDS
    """Seconds that an outbound link must have lasted to be a stem peer."""
    stem_trace: bool = False
    """Regtest only: write every step of every stem to stems.jsonl. It gives away what stems hide."""
    allow_local: bool | None = None
    """Treat loopback addresses like public ones. Unset: only on regtest."""
    minimum_work: str = "0"
    """Hexadecimal: bodies are downloaded only for a chain with at least this much work."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_json: bool = False
    """One JSON object a line instead of text."""

    def check(self) -> None:
        """Raises :class:`ConfigError` for a value that cannot be."""
        if self.network not in NETWORKS:
            _refuse("network", self.network, f"choose one of {', '.join(NETWORKS)}")
        if self.transport not in _MODES:
            _refuse("transport", self.transport, f"choose one of {', '.join(_MODES)}")
        if self.shaping not in _PROFILES:
            _refuse("shaping", self.shaping, f"choose one of {', '.join(_PROFILES)}")
        if self.first_packet not in ("random", "printable"):
            _refuse("first_packet", self.first_packet, "choose one of random, printable")
        if self.listener not in ("open", "keyed"):
            _refuse("listener", self.listener, "choose one of open, keyed")
        if self.keyed and not self.listen:
            _refuse("listener", self.listener, "a node that does not listen has none: give --listen too")
        if self.keyed and self.mode is not Mode.VEILED:
            _refuse("listener", self.listener, "only a veiled node can hide; leave --transport away")
        if self.log_level not in _LEVELS:
            _refuse("log_level", self.log_level, f"choose one of {', '.join(_LEVELS)}")
        if self.no_stem not in _NO_STEM:
            _refuse("no_stem", self.no_stem, f"choose one of {', '.join(_NO_STEM)}")
        if self.private_fallback not in _NO_OVERLAY:
            _refuse("private_fallback", self.private_fallback, f"choose one of {', '.join(_NO_OVERLAY)}")
        if self.stem_trace and self.network != "regtest":
            _refuse("stem_trace", self.stem_trace, "it gives away whose transactions are whose: on regtest alone")
        bounds = {
            "outbound": (0, 1_000),
            "inbound": (0, 10_000),
            "stem_hop_ms": (1, 60_000),
            "stem_age": (0, 86_400),
            "cover_rate": (0, limits.COVER_RATE_MOST),
            "cover_share": (0, limits.COVER_SHARE_MOST),
            "cover_delay_ms": (0, limits.COVER_DELAY_MOST // 1_000),
            "steady_total": (0, limits.STEADY_TOTAL_MOST),
            "steady_epoch": (limits.STEADY_EPOCH_LEAST // MICROSECONDS, limits.STEADY_EPOCH_MOST // MICROSECONDS),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                _refuse(name, getattr(self, name), f"{least} to {most}")
        if self.listen and not self.inbound:
            _refuse("inbound", self.inbound, "nobody could be let in: leave --listen away, or allow one link at least")
        self._check_shaping()
        self.work()
        self.listen_address()
        self._check_networks()
        if self.private and self.no_overlay is NoOverlay.NEVER and not self._has_overlay():
            _refuse("private_fallback", self.private_fallback, "no transaction could be sent: give --tor or --i2p-sam")
        for target in self.peers():
            network = target.address.network
            if network not in self.reach():
                msg = f"connect: {target.address.reveal()} cannot be dialled: {self._no_way(network)}"
                raise ConfigError(msg)

    @property
    def mode(self) -> Mode:
        """``transport`` as a mode."""
        return _MODES[self.transport]

    @property
    def shapes(self) -> Shaping:
        """``shaping`` and all that belongs to it, as the node has it."""
        return Shaping(
            profile=_PROFILES[self.shaping],
            choices=tuple(self._choices().items()),
            cover=CoverOptions(
                rate=self.cover_rate, share=self.cover_share, delay=seconds(self.cover_delay_ms / 1_000)
            ),
            steady=SteadyOptions(
                lowest=self.steady_lowest,
                highest=self.steady_highest,
                epoch=seconds(self.steady_epoch),
                total=self.steady_total,
            ),
        )

    @property
    def fallback(self) -> NoStem:
        """``no_stem`` as the node has it."""
        return _NO_STEM[self.no_stem]

    @property
    def no_overlay(self) -> NoOverlay:
        """``private_fallback`` as the node has it."""
        return _NO_OVERLAY[self.private_fallback]

    @property
    def printable(self) -> bool:
        """Our dials begin with printable bytes."""
        return self.first_packet == "printable"

    @property
    def keyed(self) -> bool:
        """Only who was invited is answered."""
        return self.listener == "keyed"

    def work(self) -> int:
        """``minimum_work`` as a number."""
        if not _HEX.fullmatch(self.minimum_work):
            _refuse("minimum_work", self.minimum_work, "hexadecimal digits, 64 at most")
        return int(self.minimum_work, 16)

    def peers(self) -> tuple[Target, ...]:
        """``connect`` as targets, each address once."""
        found: dict[NetAddress, Target] = {}
        for text in self.connect:
            try:
                target = parse_target(text)
            except AddressError as error:
                msg = f"connect: {error}"
                raise ConfigError(msg) from error
            if found.setdefault(target.address, target) != target:
                msg = f"connect: {target.address.reveal()} is named twice, with different modes or keys: leave one away"
                raise ConfigError(msg)
        return tuple(found.values())

    def listen_address(self) -> NetAddress | None:
        """``listen`` as an address; port 0 where none was given."""
        if not self.listen:
            return None
        try:
            refuse_secrets(self.listen)
            try:
                return address_from_ip(self.listen.strip("[]"), 0)
            except AddressError:
                return parse_address(self.listen)
        except AddressError as error:
            msg = f"listen: {error}"
            raise ConfigError(msg) from error

    @property
    def has_tor(self) -> bool:
        """Tor is used."""
        return self.tor or bool(self.tor_socks or self.tor_control)

    @property
    def own_tor(self) -> bool:
        """The node starts a tor of its own."""
        return self.tor and not (self.tor_socks or self.tor_control)

    @property
    def has_onion(self) -> bool:
        """Others reach us at an onion service."""
        can = self.own_tor or bool(self.tor_control)
        return can and self._may_use(Network.TORV3) and (not self.keyed if self.onion is None else self.onion)

    @property
    def has_destination(self) -> bool:
        """Others reach us by I2P."""
        return bool(self.i2p_sam) and self.i2p_listen and not self.keyed and self._may_use(Network.I2P)

    def endpoint(self, name: str) -> Endpoint | None:
        """A setting that names a daemon, as IP address and port; ``None`` if it is not set."""
        text = getattr(self, name)
        if not text:
            return None
        try:
            refuse_secrets(text)
            # Privacy: no name is resolved; this one has one meaning.
            found = parse_address(text.replace("localhost:", "127.0.0.1:", 1))
        except AddressError as error:
            msg = f"{name}: {error}"
            raise ConfigError(msg) from error
        if found.network not in (Network.IPV4, Network.IPV6, Network.CJDNS) or not found.port:
            _refuse(name, text, "HOST:PORT with an IP address, for example 127.0.0.1:9050")
        return found.host(), found.port

    def clearnet_way(self) -> str:
        """How IP addresses are dialled: ``direct``, ``tor`` or ``proxy``."""
        if not self.proxy:
            return "tor" if self.has_tor and not self.listen else "direct"
        return self.proxy if self.proxy in ("direct", "tor") else "proxy"

    def reach(self) -> tuple[Network, ...]:
        """Networks that the node may dial."""
        can = [Network.IPV4, Network.IPV6]
        can += [Network.TORV3] if self.has_tor else []
        can += [Network.I2P] if self.i2p_sam else []
        listening = self.listen_address()
        if "cjdns" in self.onlynet or (listening is not None and listening.network is Network.CJDNS):
            can.append(Network.CJDNS)
        return tuple(network for network in can if self._may_use(network))

    def _choices(self) -> dict[LinkClass, Profile]:
        """``shape``, each class once."""
        chosen: dict[LinkClass, Profile] = {}
        for text in self.shape:
            name, equals, profile = (part.strip() for part in text.partition("="))
            if not equals or name not in _LINK_CLASSES:
                _refuse("shape", text, f"CLASS=PROFILE, where CLASS is one of {', '.join(_LINK_CLASSES)}")
            if profile not in _PROFILES:
                _refuse("shape", text, f"the profiles are {', '.join(_PROFILES)}; each class has an entry of its own")
            if chosen.setdefault(_LINK_CLASSES[name], _PROFILES[profile]) is not _PROFILES[profile]:
                _refuse("shape", text, f"another profile is given for {name} as well: leave one away")
        return chosen

    def _check_shaping(self) -> None:
        self._choices()
        for name in ("steady_lowest", "steady_highest"):
            if getattr(self, name) not in LADDER_OF_RATES:
                _refuse(name, getattr(self, name), f"choose one of {', '.join(map(str, LADDER_OF_RATES))}")
        if self.steady_lowest > self.steady_highest:
            _refuse("steady_lowest", self.steady_lowest, f"steady_highest is {self.steady_highest}: at most that")
        what, least = ("headers", _LEAST_FOR_HEADERS) if self.network == "regtest" else ("a block", _LEAST_FOR_BLOCKS)
        if self.steady_highest < least:
            _refuse(
                "steady_highest", self.steady_highest, f"{least} at least: {what} would take longer than peers wait"
            )
        in_clear = any(target.mode is Mode.PLAIN for target in self.peers())
        if in_clear and self._choices().get(LinkClass.NAMED) in (Profile.COVER, Profile.STEADY):
            _refuse("shape", "named", "a peer that is named by plain:// has a link in clear, which has no decoys")
        wanted = [one for one in self.shapes.in_use if one in (Profile.COVER, Profile.STEADY)]
        if wanted and self.mode is Mode.PLAIN:
            _refuse(
                "transport",
                self.transport,
                f"a link in clear is not shaped; choose literal or veiled, or leave {wanted[0].value} away",
            )

    def _has_overlay(self) -> bool:
        return any(network in self.reach() for network in (Network.TORV3, Network.I2P))

    def _may_use(self, network: Network) -> bool:
        return not self.onlynet or any(_NETWORKS[name] is network for name in self.onlynet)

    def _check_networks(self) -> None:
        for name in self.onlynet:
            if name not in _NETWORKS:
                _refuse("onlynet", name, f"choose among {', '.join(_NETWORKS)}")
        for name in ("tor_socks", "tor_control", "i2p_sam"):
            self.endpoint(name)
        if self.proxy not in ("", "direct", "tor"):
            self.endpoint("proxy")
        if self.proxy == "tor" and not self.has_tor:
            _refuse("proxy", self.proxy, "give --tor too, or where a running Tor is: --tor-control, --tor-socks")
        if self.tor_extra and not self.own_tor:
            _refuse("tor_extra", "…", "it is for the tor that --tor starts; a running one has its own configuration")
        if self.onion and not (self.own_tor or self.tor_control):
            _refuse("onion", self.onion, "it needs Tor's control port: --tor, or --tor-control HOST:PORT")
        if self.onion and self.keyed:
            _refuse("onion", self.onion, "an access secret at two networks would tie them together: leave one away")
        for name in self.onlynet:
            if _NETWORKS[name] not in self.reach():
                msg = f"onlynet: {name} cannot be dialled: {self._no_way(_NETWORKS[name])}"
                raise ConfigError(msg)
        listening = self.listen_address()
        if listening is not None and not self._may_use(listening.network):
            msg = f"listen: {self.listen} is of a network that --onlynet leaves out"
            raise ConfigError(msg)

    def _no_way(self, network: Network) -> str:
        if not self._may_use(network):
            return f"--onlynet leaves {network.name} out"
        return {
            Network.TORV3: "onion addresses need Tor: --tor, --tor-control or --tor-socks",
            Network.I2P: "I2P addresses need a router: --i2p-sam HOST:PORT",
            Network.CJDNS: "say --onlynet cjdns, beside others",
        }.get(network, "no way leads there")

    def local(self) -> bool:
        """``allow_local`` with its default."""
        return self.network == "regtest" if self.allow_local is None else self.allow_local


_LEAST_FOR_HEADERS: Final = next(
    rate for rate in LADDER_OF_RATES if rate * limits.HEADERS_TIMEOUT > limits.HEADERS_BYTES * MICROSECONDS
)
"""Bytes a second at which the longest answer to getheaders arrives in time."""
_LEAST_FOR_BLOCKS: Final = next(
    rate for rate in LADDER_OF_RATES if rate * limits.BLOCK_TIMEOUT > limits.BLOCK_BYTES * MICROSECONDS
)
"""Bytes a second at which the largest block arrives in time."""
_HEX: Final = re.compile(r"(0x)?[0-9A-Fa-f]{1,64}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_MODES: Final = {mode.name.lower(): mode for mode in Mode}
_PROFILES: Final = {profile.value: profile for profile in Profile}
_LINK_CLASSES: Final = {one.value: one for one in LinkClass}
_NO_OVERLAY: Final = {one.value: one for one in NoOverlay}
_NO_STEM: Final = {one.value: one for one in NoStem}
_NETWORKS: Final = {
    "ipv4": Network.IPV4,
    "ipv6": Network.IPV6,
    "onion": Network.TORV3,
    "i2p": Network.I2P,
    "cjdns": Network.CJDNS,
}
_LEVELS: Final = ("debug", "info", "warning", "error")
_TYPES: Final[dict[str, str]] = {one.name: str(one.type) for one in fields(Settings)}


def _refuse(name: str, value: object, wanted: str) -> None:
    msg = f"{name} = {value!r} cannot be: {wanted}"
    raise ConfigError(msg)


def load(datadir: Path, environment: Mapping[str, str], given: Mapping[str, Any]) -> Settings:
    """Settings from all their sources. ``given`` is the command line; ``None`` in it means "not given".

    Raises:
        ConfigError: unknown key, wrong type or impossible value; the text names source and key.
    """
    settings = Settings()
    path = datadir / FILE_NAME
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        table = {}
    except (ValueError, RecursionError) as error:
        # Not UTF-8, not TOML, a number of thousands of digits, or nested deeper than the parser goes.
        msg = f"{path} is not valid TOML: {error}"
        raise ConfigError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    settings = _apply(settings, table, str(path))
    named = {
        key.removeprefix(PREFIX).lower(): value
        for key, value in environment.items()
        if key.startswith(PREFIX) and key not in _FOREIGN
    }
    settings = _apply(settings, {key: _from_text(key, value) for key, value in named.items()}, "the environment")
    settings = _apply(settings, {key: value for key, value in given.items() if value is not None}, "the command line")
    settings.check()
    return settings


def _apply(settings: Settings, table: Mapping[str, Any], source: str) -> Settings:
    changes: dict[str, Any] = {}
    for raw_key, value in table.items():
        key = raw_key.replace("-", "_")
        wanted = _TYPES.get(key)
        if wanted is None:
            close = difflib.get_close_matches(key, _TYPES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(_TYPES)}"
            msg = f"{source}: there is no setting {raw_key!r}; {hint}"
            raise ConfigError(msg)
        changes[key] = _checked(key, value, wanted, source)
    return replace(settings, **changes)


def _checked(key: str, value: Any, wanted: str, source: str) -> Any:
    if wanted.startswith("tuple"):
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(items)
    elif wanted.startswith("bool"):
        if isinstance(value, bool):
            return value
    elif (wanted == "int" and type(value) is int) or (wanted == "str" and isinstance(value, str)):
        return value
    shape = {"tuple[str, ...]": "a list of texts", "int": "a whole number", "str": "a text"}.get(
        wanted, "true or false"
    )
    # Privacy: an access secret may stand among the peers.
    given = f"{key} = {value!r}" if key not in ("connect", "tor_password") else key
    msg = f"{source}: {given} must be {shape}"
    raise ConfigError(msg)


def _from_text(key: str, text: str) -> Any:
    """A value of the environment in the type that its key wants; what does not fit is refused by :func:`_checked`."""
    wanted = _TYPES.get(key, "str")
    if wanted.startswith("tuple"):
        return [part.strip() for part in text.split(",") if part.strip()]
    if wanted.startswith("bool"):
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower(), text)
    if wanted == "int" and _INTEGER.fullmatch(text):
        return int(text)
    return text
