"""What a daemon beside us does wrong."""

from __future__ import annotations

from ..base.errors import PeerFault


class DaemonFault(PeerFault):
    """A proxy, a Tor or an I2P daemon says what its protocol does not have. It is caught where its socket is held: the
    dial, or the session, has failed."""
