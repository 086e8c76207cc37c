"""Keys that a daemon made for our service in its network, as that daemon writes them: one line of text, mode 0600.

``DATADIR/keys/onion.service`` holds the key of the onion service, ``DATADIR/keys/i2p.destination`` the private keys of
the I2P destination. Whoever has one of them is that address; whoever loses it gets another address with the next start.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from .files import read_private, write_private
from .keyfile import DIRECTORY, DamagedKeyError, KeyFileError, check_mode

ONION: Final = "onion.service"
I2P: Final = "i2p.destination"
_MOST: Final = 8_192
"""Bytes. No such key is longer."""


class ServiceKey:
    """One key.

    Args:
        datadir: the data directory.
        name: of the file.
        is_key: whether a text may be one.
    """

    def __init__(self, datadir: Path, name: str, is_key: Callable[[str], bool]) -> None:
        self.path = datadir / DIRECTORY / name
        self._is_key = is_key
        self._known: str | None = None

    def load(self) -> str | None:
        """The key; ``None`` if none was made.

        Raises:
            KeyFileError: it cannot be read, others can read it, or it is none.
        """
        try:
            found = read_private(self.path, _MOST)
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be read: {error.strerror}") from error
        if found is None:
            return None
        data, mode = found
        check_mode(self.path, mode)
        text = data.decode("ascii", "replace").strip()
        if not self._is_key(text):
            msg = f"{self.path} is damaged: put a copy of it back, or remove it and get another address"
            raise DamagedKeyError(msg)
        self._known = text
        return text

    def keep(self, key: str) -> None:
        """Keep a key; nothing happens if it is the one that is kept.

        Raises:
            KeyFileError: it cannot be written.
        """
        if key == self._known:
            return
        try:
            write_private(self.path, key.encode("ascii") + b"\n")
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be written: {error.strerror}") from error
        self._known = key
