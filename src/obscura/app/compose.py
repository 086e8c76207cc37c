"""One node from its parts: lock, store, ledger, worker, node, driver, control socket."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .. import __version__
from ..aio.allocator import keep_memory
from ..aio.driver import Driver
from ..aio.entropy import system_chance
from ..aio.listen import open_listener
from ..aio.pools import kept_full
from ..aio.worker import LedgerWorker
from ..base.errors import BugError, ConfigError, LocalError
from ..base.instant import MICROSECONDS, Now, WallTime, seconds
from ..base.limits import BLOCK_WEIGHT, LOBBY_LINKS, MINE_BLOCKS
from ..base.names import BlockHash, display_hash
from ..base.randomness import Chance
from ..chain.ledger import BlockVerdict
from ..control.server import ControlServer, RequestError
from ..ledgers.kernel.networks import network_named
from ..ledgers.kernel.transaction import parse_block, transactions_in
from ..node import Node, NodeConfig, PeerSnapshot, Snapshot
from ..node.effects import Event
from ..peers.pins import NamedPin
from ..store import Datadir, Store, open_datadir, peek
from ..wire.address import AddressError, NetAddress
from ..wire.target import Target, parse_target
from . import bans, broadcasts, shapes, transactions
from .logs import log_event
from .overlays import Overlays
from .peerfiles import read_asmap, read_seeds
from .settings import Settings
from .stem_trace import StemTraceFile
from .vault import make_vault

if TYPE_CHECKING:
    from ..ledgers.kernel.ledger import KernelLedger

log = logging.getLogger("obscura")
T = TypeVar("T")

COINS_TRIES: Final = 500
COINS_WAIT_S: Final = 0.01
"""A miner waits so often and so long for the coin view: five seconds. Then it mines without transactions."""
USER_AGENT: Final = f"/Obscura:{'.'.join(__version__.split('.')[:2])}(python)/"
"""The same for every node of a release (design §3.2)."""
PORTS: Final = range(10_000, 32_768)
"""Where a drawn port lies: below the ephemeral range, above the well-known ones (design §10)."""
ANYONE: Final = bytes.fromhex("51")
"""OP_TRUE: regtest coins that anybody may spend."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed, else on the standard loop; both are supported."""
    keep_memory()
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop  # noqa: PLC0415 an optional extra

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    return asyncio.run(main)


def open_ledger(network: str, datadir: Path, *, relay: bool | None = None) -> KernelLedger:
    """The kernel's ledger for a network. ``relay``: whether it judges transactions; ``None``: as the network has it.

    Raises:
        ConfigError: the extra that brings the kernel is not installed; the text has the command.
    """
    try:
        from ..ledgers.kernel.ledger import KernelLedger  # noqa: PLC0415 an optional extra
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("pbk"):
            raise
        msg = "validating this chain needs the kernel: pip install 'obscura[kernel]'"
        raise ConfigError(msg) from error
    return KernelLedger(network_named(network), datadir, relay=relay)


def open_store(datadir: Datadir, network: str) -> Store:
    """The store of a locked datadir, which belongs to one network for ever. A new one is claimed by :func:`claim`.

    Raises:
        ConfigError: it is another network's.
        StoreError: the disk refuses, or a newer release wrote it.
    """
    store = Store(datadir.path / "state.db")
    try:
        # Privacy: beside what waits here it would tell, by what is not in it, what its operator had sent.
        datadir.remove("mempool.dat", "mempool.new")
        for warning in store.warnings:
            log.warning("store", extra={"values": {"text": warning}})
        known = store.get("network")
        if known is not None and known != network:
            msg = (
                f"{datadir.path} belongs to network {known}, not {network}: say --network {known}, or another --datadir"
            )
            raise ConfigError(msg)
    except BaseException:
        store.close()
        raise
    return store


def claim(store: Store, network: str) -> None:
    """Note whose the datadir is, once the ledger has found no blocks of another network in it: after the loss of the
    store a wrong ``--network`` must not stick.

    Raises:
        StoreError: the disk refuses.
    """
    if store.get("network") is None:
        store.put("network", network)


def listen_socket(settings: Settings, store: Store, chance: Chance) -> tuple[socket.socket | None, NetAddress | None]:
    """The bound listener and its address. A port that was not given is drawn once and kept.

    Raises:
        ConfigError: the address cannot be used.
    """
    wanted = settings.listen_address()
    if wanted is None:
        return None, None
    kept = store.get("listen_port")
    if wanted.port == 0 and kept is not None:
        wanted = NetAddress(wanted.network, wanted.raw, int(kept))
    elif wanted.port == 0:
        for _ in range(32):
            drawn = NetAddress(wanted.network, wanted.raw, chance.choice(PORTS))
            with contextlib.suppress(ConfigError):
                bound = open_listener(drawn)
                store.put("listen_port", str(drawn.port))
                return bound, drawn
        wanted = NetAddress(wanted.network, wanted.raw, chance.choice(PORTS))
    return open_listener(wanted), wanted


async def run_node(
    settings: Settings,
    datadir: Path,
    ready: Callable[[NetAddress | None], None],
    lobby_links: int = LOBBY_LINKS,
    heard: Callable[[str, str], None] = lambda name, text: None,
) -> None:
    """Run a node until SIGINT, SIGTERM, SIGHUP or a ``stop`` request.

    Args:
        settings: of the node.
        datadir: its directory.
        ready: called once, with the address at which it listens for IP addresses.
        lobby_links: connections that may wait for their handshake.
        heard: told how far Tor and I2P have come, for people: a stable name and a text, which may reveal our addresses.

    Raises:
        LocalError: a setting, the datadir or the disk is at fault.
    """
    chance = system_chance()
    seeds, asmap = read_seeds(settings, datadir), read_asmap(settings, datadir)
    _say_first(settings, seeds)
    with contextlib.ExitStack() as stack:
        locked = stack.enter_context(open_datadir(datadir))
        store = open_store(locked, settings.network)
        stack.callback(store.close)
        listener, address = listen_socket(settings, store, chance.fork("port"))
        if listener is not None:
            stack.callback(listener.close)
        overlays = Overlays(settings, datadir, address, heard)
        # Privacy: where a keyed listener is, is for those alone whom its operator has told.
        advertised = None if settings.keyed else address
        ledger = open_ledger(settings.network, datadir, relay=settings.relay)
        worker = LedgerWorker(ledger)
        try:
            restored = await worker.run(ledger.restore)
            claim(store, settings.network)
            # Now that the network is certain: keys are made for one.
            vault, keys, replays = make_vault(settings, datadir, address, advertised, stack, overlays.classes)
            private = broadcasts.Keeper(store, datadir, settings.network, WallTime(wall_now()))
        except BaseException:
            await worker.close()
            raise

        config = NodeConfig(
            network=settings.network,
            transport=settings.mode,
            shaping=settings.shapes,
            user_agent=USER_AGENT,
            connect=settings.peers(),
            reach=settings.reach(),
            advertise=() if advertised is None else (advertised,),
            seeds=seeds,
            asmap=asmap,
            hidden=address if settings.keyed else None,
            allow_local=settings.local(),
            discover=settings.discover,
            outbound_slots=settings.outbound,
            inbound_slots=settings.inbound,
            lobby_links=lobby_links,
            minimum_work=settings.work(),
            no_stem=settings.fallback,
            private=settings.private,
            no_overlay=settings.no_overlay,
            stem_hop=seconds(settings.stem_hop_ms / 1_000),
            stem_link_age=seconds(settings.stem_age),
            trace_stems=settings.stem_trace,
        )
        listeners: tuple[Callable[[Event], None], ...] = (log_event,)
        if settings.stem_trace:
            listeners += (stack.enter_context(StemTraceFile(datadir)).write,)

        def make_node(now: Now) -> Node:
            return Node(
                config,
                ledger,
                chance,
                restored,
                store.load_addresses(),
                now,
                book_key=_book_key(store, chance),
                bans=bans.load(store.load_bans()),
                anchors=store.load_anchors(),
                pins=store.load_pins(),
                vault=vault,
                kept=transactions.load(store, now.wall),
                broadcasts=private.kept,
            )

        def save_pins(changes: Iterable[tuple[NetAddress, NamedPin | None]]) -> None:
            for where, pin in changes:
                if pin is None:
                    store.forget_pin(where)
                else:
                    store.put_pin(pin)

        try:
            driver = Driver(
                make_node,
                worker,
                listener=listener,
                ways=overlays.ways,
                save=store.save_addresses,
                save_pins=save_pins,
                save_bans=store.keep_bans,
                save_anchors=store.keep_anchors,
                save_transactions=partial(transactions.save, store),
                save_broadcasts=private.save,
                replays=replays,
                listeners=listeners,
            )
        except BaseException:
            await worker.close()
            raise
        server = ControlServer(datadir / "control.sock", _Requests(driver, worker, ledger).answer)
        loop = asyncio.get_running_loop()
        # Under nohup the end of the terminal is none of the node's business.
        ends = [
            name
            for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(name) is not signal.SIG_IGN
        ]
        for name in ends:
            loop.add_signal_handler(name, driver.request_stop)
        try:
            async with server, kept_full(keys), overlays.running(driver):
                ready(address)
                await driver.run()
        finally:
            for name in ends:
                # One more must not cut off what is left to close, nor change how the process ends.
                loop.remove_signal_handler(name)
                signal.signal(name, signal.SIG_IGN)


def _say_first(settings: Settings, seeds: Sequence[NetAddress]) -> None:
    """Say what the shapes of links cost, and what is not done with the seeds."""
    for line in shapes.costs_of(settings.shapes):
        log.info("shaping", extra={"values": {"text": line}})
    if seeds and not (settings.discover and settings.outbound):
        text = "none of the seeds is dialled: --no-discover, or --outbound 0, leaves automatic links out"
        log.warning("seeds-unused", extra={"values": {"text": text}})
    reach = settings.reach()
    local = settings.local()
    fit = [one for one in seeds if one.network in reach and one.is_routable(allow_local=local)]
    if len(fit) < len(seeds):
        text = f"{len(seeds) - len(fit)} of {len(seeds)} seeds are passed over: not public, or of networks not in use"
        log.warning("seeds-skipped", extra={"values": {"text": text}})


def _book_key(store: Store, chance: Chance) -> bytes:
    """What decides where the address book keeps an address: drawn once, as whoever knew it could aim."""
    key = store.secret("address book")
    if key is None:
        key = chance.fork("address book").take_bytes(32)
        store.keep_secret("address book", key)
    return key


class _Requests:
    """What can be asked over the control socket."""

    def __init__(self, driver: Driver, worker: LedgerWorker, ledger: KernelLedger) -> None:
        self._driver = driver
        self._worker = worker
        self._ledger = ledger

    async def answer(self, method: str, values: dict[str, Any]) -> Any:
        """Answer one request; see docs/operate.md for the methods."""
        match method:
            case "status":
                return status_of(self._driver.snapshot())
            case "peers":
                return [peer_of(peer) for peer in self._driver.snapshot().peers]
            case "stop":
                self._driver.request_stop()
                return {"stopping": True}
            case "send":
                return await transactions.send(self._driver, values)
            case "broadcasts":
                return broadcasts.listing(self._driver)
            case "drop_broadcast":
                return await broadcasts.drop(self._driver, values)
            case "sent":
                return transactions.sent(self._driver, values)
            case "mempool":
                return transactions.mempool(self._driver, values)
            case "check":
                return await self._check()
            case "mine":
                return await self._mine(values)
            case "add":
                target = _target_of(values)
                try:
                    self._driver.add_peer(target)
                except LocalError as error:
                    raise RequestError("bad-address", str(error)) from error
                return {"added": True}
            case "forget_pin":
                return {"forgotten": await self._driver.forget_pin(_target_of(values).address)}
            case "ban":
                return await bans.ban(self._driver, values, WallTime(wall_now()))
            case "unban":
                return await bans.unban(self._driver, values)
            case "bans":
                return bans.listing(self._driver, WallTime(wall_now()))
        raise RequestError("unknown-method", f"there is no method {method!r}")

    async def _mine(self, values: dict[str, Any]) -> dict[str, Any]:
        count, script = mine_request(self._ledger.network.name, values)
        block = b""
        taken = 0
        for _ in range(count):
            waiting = await self._candidates()
            block = await self._worker.run(partial(self._ledger.mine, script, WallTime(wall_now()), waiting))
            taken += transactions_in(block) - 1
            done = await self._driver.submit_block(block)
            if done.verdict is not BlockVerdict.ACCEPTED:
                raise RequestError("refused", f"the block was refused: {done.rule}")
        picture = self._driver.snapshot()
        return mined(count, picture.height, picture.tip, block, taken)

    async def _check(self) -> dict[str, Any]:
        """Walk the invariants of every part, and compare the coin view with the blocks: for tests and for doubt."""
        try:
            self._driver.check()
            coins = await self._worker.run(self._ledger.check_coins) if self._ledger.relays else 0
        except (AssertionError, BugError) as error:
            raise RequestError("check-failed", f"a defect of Obscura: {error}") from error
        return {"fine": True, "coins": coins}

    async def _candidates(self) -> list[bytes]:
        """What waits for a block, once the coin view has seen the last one: before, the ledger would take none."""
        for _ in range(COINS_TRIES):
            picture = self._driver.snapshot()
            relay = picture.relay
            if not (relay.waiting or relay.in_line) or (relay.ready and relay.coins_height == picture.height):
                break
            await asyncio.sleep(COINS_WAIT_S)
        return self._driver.block_candidates(BLOCK_WEIGHT)


def _target_of(values: dict[str, Any]) -> Target:
    try:
        return parse_target(str(values.get("address", "")))
    except AddressError as error:
        raise RequestError("bad-address", str(error)) from error


def wall_now() -> int:
    """Unix seconds."""
    from ..aio.clock import read_clock  # noqa: PLC0415

    return read_clock().wall


def mine_request(network: str, values: dict[str, Any]) -> tuple[int, bytes]:
    """Count and script of a mining request.

    Raises:
        RequestError: another network than regtest, a count out of range, a script that is not hexadecimal.
    """
    count = values.get("count", 1)
    if network != "regtest":
        raise RequestError("not-regtest", f"blocks are mined on regtest only; this is {network}")
    if type(count) is not int or not 1 <= count <= MINE_BLOCKS:
        raise RequestError("bad-count", f"{count!r} blocks cannot be mined: 1 to {MINE_BLOCKS}")
    try:
        script = bytes.fromhex(str(values.get("to") or ANYONE.hex()))
    except ValueError:
        raise RequestError("bad-script", f"{values.get('to')!r} is not a script in hexadecimal") from None
    if len(script) > 10_000:
        raise RequestError("bad-script", f"a script of {len(script)} bytes: 10000 at most")
    return count, script


def mined(count: int, height: int, tip: BlockHash, block: bytes, transactions: int) -> dict[str, Any]:
    """The answer to a mining request. ``block`` is the last one; ``transactions`` are in all of them together."""
    first = parse_block(block)[0]
    return {
        "mined": count,
        "height": height,
        "tip": display_hash(tip),
        "transactions": transactions,
        "coinbase": first.txid.reveal(),
        "reward": first.outputs[0][0],
    }


def network_of(datadir: Path) -> str | None:
    """The network that an existing datadir belongs to; it need not be locked, and nothing in it is changed."""
    return peek(datadir / "state.db", "network")


def status_of(picture: Snapshot) -> dict[str, Any]:
    """``obscura status --json``."""
    return {
        "network": picture.network,
        "version": __version__,
        "height": picture.height,
        "tip": display_hash(picture.tip),
        "headers": picture.headers,
        "syncing": picture.syncing,
        "peers": sum(1 for peer in picture.peers if peer.state == "open"),
        "addresses": picture.addresses,
        "tried": picture.tried,
        "reached_at": [address.reveal() for address in picture.advertised],
        "uptime_s": picture.uptime // MICROSECONDS,
        "bytes_in": picture.bytes_in,
        "bytes_out": picture.bytes_out,
        "shaping": shapes.totals_of(picture),
        "relay": transactions.relay_of(picture.relay),
    }


def peer_of(peer: PeerSnapshot) -> dict[str, Any]:
    """One row of ``obscura peers --json``. The address is revealed: the operator asked."""
    row = asdict(peer)
    del row["ping"], row["age"], row["delays"]
    row.update(
        shapes.link_of(peer),
        address=peer.address.reveal(),
        session=peer.session.hex(),
        in_force={"features": peer.in_force.features, "privacy": peer.in_force.privacy},
        ping_ms=None if peer.ping is None else peer.ping / 1_000,
        age_s=peer.age // MICROSECONDS,
    )
    return row
