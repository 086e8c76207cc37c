"""Whatever peers, the operator and time do, a node's stems stay within their rules."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from stem_peers import Stage, child_of, pay

from obscura.base.instant import seconds
from obscura.ledgers.memory_transactions import pack_body

VERBS = ("stem", "send", "announce", "child", "bad", "block", "drop", "restart", "wait", "long")
stories = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 3), stories)
def test_whatever_happens(seed: int, diffusers: float, ahead: int, story: list[tuple[str, int, int]]) -> None:
    made = Stage(
        seed,
        ahead,
        {"stem_diffusers": diffusers, "embargo_mean": seconds(30), "stem_epoch": seconds(60), "stem_wait": seconds(50)},
    )
    peers = [made.peer(5 + number, links=1) for number in range(3)]
    for verb, number, which in story:
        data = pay(number // 2, salt=number % 2)
        peer = peers[which]
        match verb:
            case "stem" if peer.open_links:
                peer.stem(data)
            case "child" if peer.open_links:
                peer.stem(child_of(data), child_of(child_of(data)))
            case "bad" if peer.open_links:
                peer.stem(pay(number, seal=b"\0"), b"nothing", child_of(data, seal=b"\0"))
            case "announce" if peer.open_links:
                peer.announce_transactions(data, child_of(data))
            case "send":
                made.host.send(data if which else child_of(data))
            case "block":
                made.host.submit(made.host.template(pack_body([data])))
            case "drop" if peer.open_links:
                peer.drop(peer.open_links[0])
            case "restart":
                made.restart(power=bool(which))
            case "long":
                made.run(40)
        made.run(0.7)
    made.run(2_000)
    relay = made.host.node._state.relay
    assert relay is not None
    waiting = relay.stems.pool.waiting()
    assert len(relay.stems.pool) == len(waiting), "what does not wait for a stem peer has ended"
    assert not waiting, "and nobody waits for ever"
    waits = {item.relay_id for item in made.host.node.mempool(made.world.now)}
    assert set(made.host.disk.waiting) == waits, "the disk has what waits, and nothing else"
