"""The seam under the frames: how the clear stream of a link becomes the bytes of its socket.

A transport is a machine like the channel. ``plain`` passes bytes through. An encrypted one consumes its own handshake
inside ``open``, answers through ``take_own``, and yields clear bytes only once it is ready; the channel does not see
the difference.
"""

from __future__ import annotations

from typing import ClassVar, Protocol


class Transport(Protocol):
    """Turns stream bytes into clear bytes and back."""

    name: ClassVar[str]

    def open(self, data: bytes) -> bytes:
        """Take bytes of the socket; return the clear bytes that they complete, maybe none.

        Raises:
            PeerFault: the stream is not what this transport expects.
        """
        ...

    def seal(self, frames: list[bytes]) -> list[bytes]:
        """The socket's bytes, in pieces, for whole clear frames, in pieces that need not be frames."""
        ...

    def take_own(self) -> bytes:
        """Bytes that the transport itself wants sent before any sealed frame (its handshake), drained."""
        ...


class PlainTransport:
    """No protection at all: the stream is the frames."""

    name: ClassVar[str] = "plain"

    def open(self, data: bytes) -> bytes:
        """The same bytes."""
        return data

    def seal(self, frames: list[bytes]) -> list[bytes]:
        """The same bytes."""
        return frames

    def take_own(self) -> bytes:
        """Nothing: there is no handshake."""
        return b""
