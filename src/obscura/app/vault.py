"""The keys of a node, from the files of its data directory."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from ..aio.clock import read_clock
from ..aio.entropy import SystemSecrets
from ..base.limits import PRINTABLE_POOL
from ..crypto.agreement import KeyPair
from ..crypto.keysource import PooledKeys
from ..node.vault import Vault
from ..peers.replay import ReplayGuard
from ..store import Store
from ..store.keyfile import KeyFiles
from ..store.replay import ReplayFile
from ..wire.address import NetAddress
from ..wire.identity import KeyClass, class_of
from .settings import Settings

log = logging.getLogger("obscura")

_KEY_HOST = "clearnet_key_host"
"""Of the store: the public address under which the clearnet key was shown last."""


def make_vault(
    settings: Settings, datadir: Path, address: NetAddress | None, store: Store, stack: ExitStack
) -> tuple[Vault, PooledKeys, ReplayGuard | None]:
    """The node's keys: an identity only where it listens, and what a keyed listener needs. Files that stay open are
    closed by ``stack``.

    Raises:
        KeyFileError: a key file cannot be used or made.
        StoreError: the file of replays cannot, or the store.
    """
    files = KeyFiles(datadir, settings.network)
    keys = PooledKeys(SystemSecrets(), printable=PRINTABLE_POOL if settings.printable else 0)
    vault = Vault(keys=keys, printable=settings.printable)
    if address is None:
        return vault, keys, None
    of = class_of(address.network)
    if of is KeyClass.CLEARNET and address.is_routable(allow_local=settings.local()):
        _renew_if_moved(settings, files, address, store)
    statics = {of: KeyPair(files.obtain(of).private)}
    if not settings.keyed:
        return replace(vault, statics=statics), keys, None
    access = files.obtain_access()
    replays = stack.enter_context(closing(ReplayFile(files.access_path.with_name("replays"), read_clock().wall)))
    return replace(vault, statics=statics, access=access.raw), keys, replays


def _renew_if_moved(settings: Settings, files: KeyFiles, address: NetAddress, store: Store) -> None:
    """Privacy: a key that moves along from one public address to another says that both were one node's."""
    host, known = address.host(), store.get(_KEY_HOST)
    if known == host:
        return
    # First the key: a kill between the two renews once more, and never keeps the old one.
    if known is not None and not settings.keep_key and files.load(KeyClass.CLEARNET) is not None:
        files.rotate(KeyClass.CLEARNET)
        text = "the public address has changed, so the clearnet key was renewed (keep_key prevents it): tell your peers"
        log.warning("key-renewed", extra={"values": {"text": text}})
    store.put(_KEY_HOST, host)
