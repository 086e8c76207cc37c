"""Floor 4: what a node keeps besides blocks, in its data directory."""

from .database import Store, peek
from .datadir import Datadir, open_datadir

__all__ = ["Datadir", "Store", "open_datadir", "peek"]
