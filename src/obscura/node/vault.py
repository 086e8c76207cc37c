"""The keys with which a node makes its links, and the transports made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..base.errors import BugError
from ..base.instant import WallTime
from ..base.limits import GARBAGE_BYTES, PRINTABLE_GARBAGE
from ..base.randomness import Chance
from ..channel.access import HOUR_S, PAD_BYTES, SecretAccess, access_garbage
from ..channel.handshake import InitiatorHandshake, ResponderHandshake
from ..channel.secure import SecureTransport
from ..crypto.agreement import KeyPair
from ..crypto.keysource import KeySource
from ..shaping import Shaper
from ..wire.identity import KeyClass
from ..wire.target import Mode


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Vault:
    """What a node needs to encrypt. One for each node; nothing of it is shown."""

    keys: KeySource
    """Single-use keys and random bytes."""
    statics: Mapping[KeyClass, KeyPair] = field(default_factory=dict)
    """Our identity for each class of networks on which we listen; a node that only dials has none."""
    access: bytes | None = None
    """The secret of a keyed listener, 32 bytes; the driver keeps a guard against replays then. With ``None`` the
    listener is open."""
    printable: bool = False
    """Whether the first six bytes of our dials are printable (transport: "Prefix profile")."""

    def dial(
        self,
        genesis: bytes,
        mode: Mode,
        chance: Chance,
        now: WallTime,
        *,
        pin: bytes | None,
        secret: bytes | None,
        of: KeyClass = KeyClass.CLEARNET,
        shaper: Shaper | None = None,
        as_anybody: bool = False,
    ) -> SecureTransport:
        """The transport of a link that we open.

        Args:
            genesis: hash of the chain's first block.
            mode: how it begins.
            chance: for the length of the garbage.
            now: for the hour of a keyed listener.
            pin: the static key that must answer; any if ``None``.
            secret: what a keyed listener asks for.
            of: the class of the network on which we dial.
            shaper: of the bytes that we send; nothing is shaped if ``None``.
            as_anybody: nothing of it depends on who we are: neither how it begins, nor whether a key of ours may
                answer. (Whoever is dialled could pass it on to an identity that he suspects to be ours, and see.)
        """
        printable = self.printable and not as_anybody

        def begin(start: bytes) -> InitiatorHandshake:
            pair = self.keys.printable() if printable else self.keys.hidden()
            if secret is None:
                garbage = self._garbage(chance, PRINTABLE_GARBAGE if printable else 0)
            else:
                pad = self.keys.token(chance.below(PAD_BYTES + 1))
                garbage = access_garbage(secret, pair.hidden, pad, now // HOUR_S)
            # Privacy: of this class alone. Whom we dial could relay us to another identity that he suspects to be ours.
            own = (self.statics[of].public,) if of in self.statics and not as_anybody else ()
            return InitiatorHandshake(self.keys, start, garbage, pin=pin, own=own, pair=pair)

        return SecureTransport(begin, genesis, mode, shaper, dialled=True)

    def accept(
        self,
        genesis: bytes,
        weakest: Mode,
        of: KeyClass,
        chance: Chance,
        now: WallTime,
        shaper: Shaper | None = None,
    ) -> SecureTransport:
        """The transport of a link that somebody opens to us.

        Args:
            genesis: hash of the chain's first block.
            weakest: clear links are refused under VEILED, must be secured under LITERAL.
            of: the class of the network from which they came.
            chance: for the length of the garbage.
            now: for the hour of a keyed listener.
            shaper: of the bytes that we send; nothing is shaped if ``None``.

        Raises:
            BugError: we have no identity at all.
        """
        # Who comes from an address of another class (fc00::/8 is CJDNS's, and used in private networks) has reached the
        # listener for IP addresses, of which there is one, and meets its identity. The overlays' have each their own.
        static = self.statics.get(of)
        if static is None and of in (KeyClass.CLEARNET, KeyClass.CJDNS):
            static = self.statics.get(KeyClass.CLEARNET) or self.statics.get(KeyClass.CJDNS)
        if static is None:
            raise BugError("a link came to a node that has no identity, so it does not listen")

        def begin(start: bytes) -> ResponderHandshake:
            access = None if self.access is None else SecretAccess(self.access, now // HOUR_S)
            return ResponderHandshake(self.keys, start, static, self._garbage(chance), access=access)

        return SecureTransport(begin, genesis, weakest, shaper, dialled=False)

    def _garbage(self, chance: Chance, least: int = 0) -> bytes:
        return self.keys.token(least + chance.below(GARBAGE_BYTES + 1 - least))
