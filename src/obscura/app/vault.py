"""The keys of a node, from the files of its data directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..aio.clock import read_clock
from ..aio.entropy import SystemSecrets
from ..base.limits import PRINTABLE_POOL
from ..crypto.agreement import KeyPair
from ..crypto.keysource import PooledKeys
from ..node.vault import Vault
from ..store.keyfile import KeyFiles
from ..store.replay import ReplayFile
from ..wire.address import NetAddress
from ..wire.identity import class_of
from .settings import Settings


def make_vault(settings: Settings, datadir: Path, address: NetAddress | None) -> tuple[Vault, PooledKeys]:
    """The node's keys: an identity only where it listens, and what a keyed listener needs.

    Raises:
        KeyFileError: a key file cannot be used or made.
        StoreError: the file of replays cannot.
    """
    files = KeyFiles(datadir, settings.network)
    keys = PooledKeys(SystemSecrets(), printable=PRINTABLE_POOL if settings.printable else 0)
    vault = Vault(keys=keys, printable=settings.printable)
    if address is None:
        return vault, keys
    of = class_of(address.network)
    statics = {of: KeyPair(files.obtain(of).private)}
    if not settings.keyed:
        return replace(vault, statics=statics), keys
    access = files.obtain_access()
    replays = ReplayFile(files.access_path.with_name("replays"), read_clock().wall)
    return replace(vault, statics=statics, access=access.raw, replays=replays), keys
