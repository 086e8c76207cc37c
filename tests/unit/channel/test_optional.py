"""Optional messages: served where their bits are in force on an encrypted link, and else as good as unknown."""

from __future__ import annotations

import pytest
from pair import START, closing_rule, feed, make_version

from obscura.base.limits import TX_BYTES
from obscura.base.randomness import Chance
from obscura.channel import Channel, MessageFault, Role
from obscura.channel.transport import PlainTransport
from obscura.wire.blocks import DandelionTx, Tx
from obscura.wire.features import STEMS, Feature, FeatureSet
from obscura.wire.greeting import Verack
from obscura.wire.registry import FIELD_OF, encode_message

STEM = DandelionTx(b"a transaction")


class Sealed(PlainTransport):
    """Says that it is encrypted: what the channel looks at."""

    secured = True


def opened(ours: FeatureSet, theirs: FeatureSet, *, role: Role = Role.RESPONDER, sealed: bool = True) -> Channel:
    """An open channel."""
    transport = Sealed() if sealed else PlainTransport()
    channel = Channel(role, make_version(1, ours), lambda nonce: False, Chance.from_seed(1), START, transport)
    feed(channel, encode_message(make_version(9, theirs)) + encode_message(Verack()))
    channel.take_data(START)
    return channel


def test_it_is_handed_out_where_it_is_served() -> None:
    channel = opened(STEMS, STEMS)
    assert feed(channel, encode_message(STEM) + encode_message(Tx(b"another"))) == [STEM, Tx(b"another")]


def test_only_from_the_side_that_dialled() -> None:
    channel = opened(STEMS, STEMS, role=Role.INITIATOR)
    assert feed(channel, encode_message(STEM)) == []
    assert not channel.is_closed


@pytest.mark.parametrize(
    ("ours", "theirs", "sealed"),
    [
        (STEMS, STEMS, False),
        (FeatureSet(), STEMS, True),
        (STEMS, FeatureSet(), True),
        (STEMS, FeatureSet(STEMS.features), True),
        (STEMS, FeatureSet(Feature.DANDELION, STEMS.privacy), True),
    ],
)
def test_elsewhere_it_is_read_over(ours: FeatureSet, theirs: FeatureSet, sealed: bool) -> None:
    channel = opened(ours, theirs, sealed=sealed)
    huge = (TX_BYTES + 1).to_bytes(4, "little") + FIELD_OF[DandelionTx] + bytes(4) + bytes(TX_BYTES + 1)
    assert feed(channel, encode_message(STEM) + huge) == []
    assert channel.buffered == 0
    assert channel.fault_points(START) == 0
    assert feed(channel, encode_message(Tx(b"goes on"))) == [Tx(b"goes on")]


def test_where_it_is_served_its_limit_and_its_form_count() -> None:
    channel = opened(STEMS, STEMS)
    header = TX_BYTES.to_bytes(4, "little") + FIELD_OF[DandelionTx] + bytes(4)
    assert feed(channel, header) == []
    assert not channel.is_closed
    channel = opened(STEMS, STEMS)
    over = (TX_BYTES + 1).to_bytes(4, "little") + FIELD_OF[DandelionTx] + bytes(4)
    assert closing_rule(feed(channel, over)) == "frame-oversized"
    channel = opened(STEMS, STEMS)
    empty = bytes(4) + FIELD_OF[DandelionTx] + bytes.fromhex("5df6e0e2")
    assert feed(channel, empty) == [MessageFault("dandeliontx", "payload-truncated")]


@pytest.mark.parametrize("role", list(Role))
def test_before_the_handshake_is_done_it_is_a_violation(role: Role) -> None:
    channel = Channel(role, make_version(1, STEMS), lambda nonce: False, Chance.from_seed(1), START, Sealed())
    assert closing_rule(feed(channel, encode_message(STEM))) == "wrong-phase"
