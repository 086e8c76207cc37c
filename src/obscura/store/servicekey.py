"""Keys that a daemon made for our service in its network, as that daemon writes them, and the host that each is: two
words of text, mode 0600.

``DATADIR/keys/onion.service`` holds the key of the onion service, ``DATADIR/keys/i2p.destination`` the private keys of
the I2P destination. Whoever has one of them is that address; whoever loses it gets another address with the next start.
The host stands beside its key so that a daemon that makes something else of the key is found out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .files import read_private, write_private
from .keyfile import DIRECTORY, DamagedKeyError, KeyFileError, check_mode

ONION: Final = "onion.service"
I2P: Final = "i2p.destination"
_HOST: Final = re.compile(r"[a-z2-7]{52,56}\.(onion|b32\.i2p)")
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

    def load(self) -> tuple[str, str] | None:
        """The key and its host; ``None`` if none was made.

        Raises:
            KeyFileError: it cannot be read, others can read it, or it is none.
        """
        try:
            found = read_private(self.path, _MOST + 1)
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be read: {error.strerror}") from error
        if found is None:
            return None
        data, mode = found
        check_mode(self.path, mode)
        key, _, host = data.decode("ascii", "replace").removesuffix("\n").partition(" ")
        if len(data) > _MOST or not self._fits(key, host):
            msg = f"{self.path} is damaged: put a copy of it back, or remove it and get another address"
            raise DamagedKeyError(msg)
        return key, host

    def keep(self, key: str, host: str) -> None:
        """Keep a key with the host that it is; nothing happens if it is the one that is kept.

        Raises:
            KeyFileError: it is none, or cannot be written. The text does not quote it.
        """
        if not self._fits(key, host):
            raise KeyFileError(f"{self.path}: a daemon has made a key that is none")
        data = f"{key} {host}\n".encode("ascii")
        try:
            if read_private(self.path, _MOST) != (data, 0o600):
                write_private(self.path, data)
        except OSError as error:
            raise KeyFileError(f"{self.path} cannot be written: {error.strerror}") from error

    def _fits(self, key: str, host: str) -> bool:
        return (key + host).isascii() and self._is_key(key) and _HOST.fullmatch(host) is not None
