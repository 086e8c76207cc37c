"""Secret keys on disk: one static key for each class of networks, the access secret of a keyed listener, and what seals
the queue of private broadcast.

``DATADIR/keys/CLASS.key``, ``access.secret`` and ``broadcast.key``, mode 0600 in a directory of mode 0700. A file: 8
bytes magic · kind (``clearnet`` …, ``access`` or ``broadcast``) and network, each as a length byte and ASCII · 32 bytes
secret · perhaps the public host under which the key is shown, as a length byte and ASCII · the first 8 bytes of SHA-256
over all that. Kind and network are in it so that a file that was copied or renamed is refused: an identity is one
chain's and one class's (docs/protocol.md, "Identity and pins"). The host stands beside its key so that no kill parts
them, and a key that is carried to another machine is known to have moved. It stands there plainly: it was advertised,
there are few enough to try each against a hash, and who can read the file has the key.

Files are made only when they are asked for, as a node that does not listen has no identity. They are written beside,
synced and then named, so that a power cut leaves the old one, the new one, or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..base.errors import StoreError
from ..crypto.agreement import KeyPair
from ..wire.identity import AccessSecret, KeyClass
from ..wire.keytext import KEY_BYTES
from .files import read_private, remove_private, write_private

DIRECTORY: Final = "keys"
_ACCESS: Final = "access"
_BROADCAST: Final = "broadcast"
_MAGIC: Final = b"OBSKEY\x00\x01"
_SUM_BYTES: Final = 8
_FILE_BYTES: Final = len(_MAGIC) + 3 * 256 + KEY_BYTES + _SUM_BYTES
"""No file is longer."""


class KeyFileError(StoreError):
    """A key file cannot be used; the text says what to do. It never quotes the key."""


class DamagedKeyError(KeyFileError):
    """A key file is not what was written."""


@dataclass(frozen=True, slots=True, repr=False)
class BroadcastSecret:
    """The 32 bytes behind the queue of private broadcast. They redact themselves."""

    raw: bytes

    def __repr__(self) -> str:
        return "BroadcastSecret(redacted)"


class KeyFiles:
    """The secrets of one data directory and one network. Nothing is made before it is asked for.

    Args:
        datadir: the data directory.
        network: the chain's network by name; files of another one are refused.
    """

    def __init__(self, datadir: Path, network: str) -> None:
        self._directory = datadir / DIRECTORY
        self._network = network.encode("ascii")

    def path(self, of: KeyClass) -> Path:
        """Where the key of a class is, or would be."""
        return self._directory / f"{of.value}.key"

    @property
    def access_path(self) -> Path:
        """Where the access secret is, or would be."""
        return self._directory / "access.secret"

    def load(self, of: KeyClass) -> KeyPair | None:
        """The static key of a class, ``None`` if none was made.

        Raises:
            KeyFileError: the file cannot be read, is damaged, readable by others, or another network's or class's.
        """
        found = self._read(self.path(of), of.value)
        return None if found is None else KeyPair(found[0])

    def obtain(self, of: KeyClass) -> KeyPair:
        """The static key of a class, made and durable if there was none.

        Raises:
            KeyFileError: as :meth:`load`, or it cannot be written.
        """
        return KeyPair(self._obtain(self.path(of), of.value)[0])

    def rotate(self, of: KeyClass) -> KeyPair:
        """A new static key in the place of the old one, which is gone. The caller holds the data directory's lock.

        Raises:
            KeyFileError: it cannot be written, or the old file is another network's. A damaged one is replaced.
        """
        found = None
        with contextlib.suppress(DamagedKeyError):
            found = self._read(self.path(of), of.value)
        made = secrets.token_bytes(KEY_BYTES)
        # The node has not moved: the new key is shown where the old one was.
        self._write(self.path(of), of.value, made, b"" if found is None else found[1], replace=True)
        return KeyPair(made)

    def show_at(self, of: KeyClass, host: str, *, keep: bool) -> bool:
        """Note the public host under which the key of a class, made if there was none, is shown from now on. The caller
        holds the data directory's lock.

        Privacy: a key that moves along from one public host to another says that both were one node's. So another host
        than the one that was noted renews the key, and the old one is gone, unless it is to ``keep``.

        Args:
            of: the class of network.
            host: as text, without a port.
            keep: the key stays, wherever it is shown.

        Returns:
            Whether the key was renewed.

        Raises:
            KeyFileError: as :meth:`obtain`.
        """
        private, known = self._obtain(self.path(of), of.value)
        shown = host.encode("ascii")
        if known == shown:
            return False
        renewed = bool(known) and not keep
        self._write(
            self.path(of), of.value, secrets.token_bytes(KEY_BYTES) if renewed else private, shown, replace=True
        )
        return renewed

    def load_access(self) -> AccessSecret | None:
        """The access secret, ``None`` if none was made.

        Raises:
            KeyFileError: as :meth:`load`.
        """
        found = self._read(self.access_path, _ACCESS)
        return None if found is None else AccessSecret(found[0])

    def obtain_access(self) -> AccessSecret:
        """The access secret, made and durable if there was none.

        Raises:
            KeyFileError: as :meth:`obtain`.
        """
        return AccessSecret(self._obtain(self.access_path, _ACCESS)[0])

    @property
    def broadcast_path(self) -> Path:
        """Where the secret behind the queue of private broadcast is, or would be."""
        return self._directory / "broadcast.key"

    def load_broadcast(self) -> BroadcastSecret | None:
        """The secret behind the queue of private broadcast, ``None`` if none was made.

        Raises:
            KeyFileError: as :meth:`load`.
        """
        found = self._read(self.broadcast_path, _BROADCAST)
        return None if found is None else BroadcastSecret(found[0])

    def obtain_broadcast(self) -> BroadcastSecret:
        """The secret behind the queue of private broadcast, made and durable if there was none.

        Raises:
            KeyFileError: as :meth:`obtain`.
        """
        return BroadcastSecret(self._obtain(self.broadcast_path, _BROADCAST)[0])

    def remove_broadcast(self) -> bool:
        """Remove the secret behind the queue of private broadcast, and what a kill has left of its writing; durable on
        return. ``False`` if there was none. The caller holds the data directory's lock.

        Raises:
            KeyFileError: it cannot be removed.
        """
        try:
            return remove_private(self.broadcast_path)
        except OSError as error:
            raise _trouble(self.broadcast_path, "cannot be removed", error) from error

    # -- within

    def _obtain(self, path: Path, kind: str) -> tuple[bytes, bytes]:
        found = self._read(path, kind)
        if found is None:
            # Another process may make it at this moment (a command beside a node): the first one stands for both.
            self._write(path, kind, secrets.token_bytes(KEY_BYTES), b"", replace=False)
            found = self._read(path, kind)
        if found is None:
            raise KeyFileError(f"{path} vanished while it was made")
        return found

    def _read(self, path: Path, kind: str) -> tuple[bytes, bytes] | None:
        """The secret of a file, and the host that is noted with it, empty for none; ``None`` if there is no file."""
        try:
            found = read_private(path, _FILE_BYTES + 1)
        except OSError as error:
            raise _trouble(path, "cannot be read", error) from error
        if found is None:
            return None
        data, mode = found
        check_mode(path, mode)
        return self._decode(path, kind, data)

    def _decode(self, path: Path, kind: str, data: bytes) -> tuple[bytes, bytes]:
        body, given = data[:-_SUM_BYTES], data[-_SUM_BYTES:]
        if not body.startswith(_MAGIC) or hashlib.sha256(body).digest()[:_SUM_BYTES] != given:
            raise DamagedKeyError(f"{path} is damaged: put a copy of it back, or {_give_up(path, kind)}")
        # The checksum holds, so this was written as a whole by a release that knows the form.
        found_kind, rest = _take_word(body[len(_MAGIC) :])
        network, rest = _take_word(rest)
        if network != self._network:
            names = f"{network.decode('ascii', 'replace')}, not {self._network.decode()}"
            way_out = f"; put the right one back, or {_give_up(path, kind)}" if kind == _BROADCAST else ""
            raise KeyFileError(f"{path} belongs to network {names}: a key is never used on two chains{way_out}")
        if found_kind != kind.encode("ascii"):
            names = f"{found_kind.decode('ascii', 'replace')}, not for {kind}"
            raise KeyFileError(f"{path} was made for {names}: a key is never used for two purposes; put it back")
        secret, (host, rest) = rest[:KEY_BYTES], _take_word(rest[KEY_BYTES:])
        if len(secret) != KEY_BYTES or rest:
            raise DamagedKeyError(f"{path} holds no key of {KEY_BYTES} bytes, perhaps with a host")
        return secret, host

    def _write(self, path: Path, kind: str, secret: bytes, host: bytes, *, replace: bool) -> None:
        noted = _word(host) if host else b""
        body = _MAGIC + _word(kind.encode("ascii")) + _word(self._network) + secret + noted
        try:
            write_private(path, body + hashlib.sha256(body).digest()[:_SUM_BYTES], replace=replace)
        except OSError as error:
            raise _trouble(path, "cannot be written", error) from error


def _give_up(path: Path, kind: str) -> str:
    """How to go on without a key."""
    match kind:
        case "access":
            return f"give this identity up: rm {path}, then invite anew"
        case "broadcast":
            return f"give up what waits for private broadcast: rm {path}"
        case _:
            return f"give this identity up: obscura key rotate {kind}"


def _word(word: bytes) -> bytes:
    return bytes([len(word)]) + word


def _take_word(data: bytes) -> tuple[bytes, bytes]:
    end = 1 + data[0] if data else 0
    return data[1:end], data[end:]


def check_mode(path: Path, mode: int) -> None:
    """Refuse a secret that others can read.

    Raises:
        KeyFileError: they can.
    """
    if mode & 0o077:
        msg = f"{path} can be read by others (mode {mode:04o}): chmod 600 {path}, and make a new one if it was seen"
        raise KeyFileError(msg)


def _trouble(path: Path, what: str, error: OSError) -> KeyFileError:
    return KeyFileError(f"{path} {what}: {error.strerror}")
