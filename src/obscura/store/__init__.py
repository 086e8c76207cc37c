"""Floor 4: what a node keeps besides blocks, in its data directory."""

from .database import Store, peek
from .datadir import Datadir, open_datadir
from .mempool import load_mempool, save_mempool

__all__ = ["Datadir", "Store", "load_mempool", "open_datadir", "peek", "save_mempool"]
