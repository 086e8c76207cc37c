"""Keys of simulated hosts.

Random bytes come from the world's stream; the pairs that the libraries make come from the operating system, as in life.
Nothing depends on their bytes, and the journal hashes lengths and times only, so a run repeats all the same.
"""

from __future__ import annotations

from ..base.randomness import Chance
from ..crypto.agreement import KeyPair
from ..crypto.keysource import PooledKeys
from ..node.vault import Vault
from ..wire.identity import KeyClass


class _WorldSecrets:
    """Implements :class:`~obscura.base.randomness.Secrets`, for a world in which nobody guesses."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def token(self, length: int) -> bytes:
        """``length`` bytes of the stream."""
        return self._chance.take_bytes(length)


def make_vault(chance: Chance) -> Vault:
    """The keys of a host that listens on a clearnet address."""
    secrets = _WorldSecrets(chance)
    return Vault(keys=PooledKeys(secrets, 0), statics={KeyClass.CLEARNET: KeyPair.generate(secrets)})
