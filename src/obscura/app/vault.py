"""The keys of a node, from the files of its data directory."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from ..aio.clock import read_clock
from ..aio.entropy import SystemSecrets
from ..base.limits import PRINTABLE_POOL
from ..crypto.keysource import PooledKeys
from ..node.vault import Vault
from ..peers.replay import ReplayGuard
from ..store.keyfile import KeyFiles
from ..store.replay import ReplayFile
from ..wire.address import NetAddress
from ..wire.identity import KeyClass, class_of
from .settings import Settings

log = logging.getLogger("obscura")


def make_vault(
    settings: Settings,
    datadir: Path,
    address: NetAddress | None,
    advertised: NetAddress | None,
    stack: ExitStack,
    overlays: Collection[KeyClass] = (),
) -> tuple[Vault, PooledKeys, ReplayGuard | None]:
    """The node's keys: an identity only where it listens, and what a keyed listener needs.

    Args:
        settings: of the node.
        datadir: its directory, which the caller has locked.
        address: where it listens.
        advertised: what it tells others of that; a clearnet key is bound to it.
        stack: closes the files that stay open.
        overlays: further classes of networks in which others reach us.

    Raises:
        KeyFileError: a key file cannot be used or made.
        StoreError: the file of replays cannot.
    """
    files = KeyFiles(datadir, settings.network)
    keys = PooledKeys(SystemSecrets(), printable=PRINTABLE_POOL if settings.printable else 0)
    statics = {of: files.obtain(of) for of in overlays}
    vault = Vault(keys=keys, printable=settings.printable, statics=statics)
    if address is None:
        return vault, keys, None
    of = class_of(address.network)
    if advertised is not None and of is KeyClass.CLEARNET and advertised.is_routable(allow_local=settings.local()):
        _show(settings, files, advertised)
    statics |= {of: files.obtain(of)}
    if not settings.keyed:
        return replace(vault, statics=statics), keys, None
    access = files.obtain_access()
    replays = stack.enter_context(closing(ReplayFile(files.access_path.with_name("replays"), read_clock().wall)))
    return replace(vault, statics=statics, access=access.raw), keys, replays


def _show(settings: Settings, files: KeyFiles, advertised: NetAddress) -> None:
    # An onion or I2P address is made of a key of its own and never moves.
    if files.show_at(KeyClass.CLEARNET, advertised.host(), keep=settings.keep_key):
        text = "the public address has changed, so the clearnet key was renewed (keep_key prevents it): tell your peers"
        log.warning("key-renewed", extra={"values": {"text": text}})
