"""Any story of links, messages, answers and clocks: nothing raises, bounds hold, and an honest peer gets through."""

from __future__ import annotations

from collections.abc import Iterator

from stories import VERBS, play_out, read_acts

MAX_LEN = 1 + 4 * 80
REACHES = (
    "node.links.dial_failed",
    "node.links.closed",
    "node.links.opened",
    "node.links.save_due",
    "node.node.Node.submit_block",
    "node.on_gossip._pass_on",
    "node.on_gossip.on_addr",
    "node.on_gossip.on_getaddr",
    "node.on_serve.blocks_read",
    "node.on_serve.on_getblocks",
    "node.on_serve.on_getheaders",
    "node.spreading.on_mempool",
    "node.on_sync._give_up",
    "node.on_sync._other_network",
    "node.on_sync._refuse",
    "node.on_sync._uncharge",
    "node.on_sync._unconnected",
    "node.on_sync.announce",
    "node.on_sync.headers_judged",
    "node.on_sync.headers_late",
    "node.on_sync.headers_unreadable",
    "node.on_sync.on_notfound",
    "peers.book.AddressBook.answer",
    "peers.book.AddressBook.rebase",
    "sync.download.Downloader._late_requests",
    "sync.download.Downloader.again",
    "sync.download.Downloader.unreadable",
    "sync.view.HeaderTree.forget",
    "sync.view.HeaderTree.invalidate",
)


def run(data: bytes) -> None:
    """The first byte says whether the links of the story are cut before the honest peer comes; then the story."""
    if data:
        play_out(read_acts(data[1:MAX_LEN]), cut=bool(data[0] & 1), seed=data[0] >> 1)


STORIES = (
    *(
        f"join 0 0 0, join 1 0 0, headers_asked 0 {chain} 0, answer_all 0 0 0, wait 0 3 0, give 0 15 0, work 0 0 0, "
        f"give 0 15 2, answer_all 0 0 0, honest 1 {chain} 0, wait 0 8 0, honest 0 {chain} 0"
        for chain in range(6)
    ),
    *(
        f"join 0 0 0, honest 0 {chain} 0, join 1 0 0, fat_getdata 0 0 1, congest 0 0 0, read 0 0 0, drain 0 0 0, "
        "read 0 0 0, read 0 0 0, submit_next 0 0 0, answer_all 0 0 0, lost 0 0 0, read 0 0 0"
        for chain in range(6)
    ),
    "join 0 0 0, " + ", ".join(f"questions 0 {at} {at}" for at in range(16)),
    "join 0 0 0, " + ", ".join(f"malformed 0 {at} 40" for at in range(15)) + ", pong 0 0 0",
    ", ".join(f"join {at} {at} 0" for at in range(8)) + ", gossip 0 0 0, gossip 1 4 9, wait 0 4 0, "
    "dial_succeeds 0 1 0, dial_succeeds 0 0 0, dial_fails 0 0 0, questions 0 2 0, gossip 2 1 50, jump 0 5 0, "
    "wait 0 10 3",
    "join 0 0 0, " + ", ".join(f"flood 0 {at} 200" for at in range(6)) + ", wait 0 5 0",
    "join 0 0 0, " + ", ".join(f"headers 0 {at} {32 + at % 2}" for at in range(7)) + ", half 0 0 9, lost 0 0 0, "
    "half 0 0 0, add_peer 0 0 0, stop 0 255 0, join 0 0 0, submit 0 0 0",
    "join 0 0 0, headers_asked 0 5 0, malformed 0 8 3, malformed 0 6 90, inventory 0 0 50, wait 0 8 0, join 1 1 1, "
    "headers_asked 0 1 0",
    "join 0 0 0, honest 0 0 0, headers 0 4 32, submit 0 0 118, headers 0 4 32, lost 0 0 0, join 0 0 0, "
    "headers_asked 0 4 0",
    "join 0 0 0, headers 0 5 32",
    "join 0 0 0, headers 0 0 32, headers 0 5 32, headers 0 1 33",
    "join 0 0 0, headers_asked 0 0 0, answer_all 0 0 0, give 0 0 1, give 0 14 0, answer_all 0 0 0, lost 0 0 0",
)
"""Stories that lead somewhere: sync, forks, invalid blocks, stalls, serving, gossip."""


def seeds() -> Iterator[bytes]:
    """Each story twice: its links are cut at the end, or stay and are silent."""
    number = {verb.__name__: at for at, verb in enumerate(VERBS)}
    for cut in (0, 1):
        for story in STORIES:
            acts = (act.split() for act in story.split(", "))
            yield bytes([cut]) + b"".join(bytes([number[verb], *map(int, rest)]) for verb, *rest in acts)
