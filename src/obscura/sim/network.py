"""Links between simulated hosts.

A link is two :class:`Line` objects, one at each host. What one host sends is cut into pieces; each piece takes its
turn on the line (bandwidth), its way (latency, jitter, losses), and waits for those before it. Pieces whose time has
come are handed over together, so the receiver sees the stream in cuts that have nothing to do with the writes.

Links are streams, as TCP's are: nothing is lost or reordered within one. A lost segment therefore shows as a wait, in
which everything behind it waits too, and then arrives at once.

Back-pressure is as on sockets: a host that pauses a line leaves bytes on it; the sender is told when more than
SEND_BUFFER_BYTES are under way (or as the sender has said), and again when half of them have been taken.

A host may lose its power: it says nothing any more, and its peers learn of it when it is back and answers their bytes
by a reset. A host may be frozen: its kernel still takes connections and bytes, and it hears of them when it thaws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ..base.errors import BugError
from ..base.instant import MICROSECONDS, Duration
from ..base.limits import GRACE_STOP, SIM_PIECE_BYTES
from ..base.names import ConnId
from ..base.randomness import Chance
from ..wire.address import NetAddress
from .cuts import Cuts
from .journal import Journal, Kind
from .lines import FIN, RESET, Line, LineOptions, Station
from .world import World

_CHANCE_BITS: Final = 20
_CHANCE_MASK: Final = (1 << _CHANCE_BITS) - 1


class Network:
    """All links of a world.

    Args:
        world: whose time it is.
        options: how bad it is; may be replaced at any time by :meth:`change`.
        journal: notes what happens to links.
    """

    def __init__(self, world: World, options: LineOptions, journal: Journal) -> None:
        self.world = world
        self.options = options
        self.journal = journal
        self.resets = 0
        self.losses = 0
        self.bytes_sent = 0
        self.distances: dict[int, Duration] = {}
        """One way from a host to the middle of the network, by the host's number, for those that have a place of their
        own: between two of them it takes the sum, whatever the options say."""
        self.tap: Callable[[int, int, int, int], None] | None = None
        """Told of each write, before it is on its way: the writing host's number, the other one's, the time and how
        many bytes. It sees what somebody on the line sees, and changes nothing."""
        self._chance: Chance = world.chance.fork("network")
        self._stations: dict[NetAddress, Station] = {}
        self._numbers: dict[NetAddress, int] = {}
        self._ports: dict[int, int] = {}
        self._cuts = Cuts()
        self._held: dict[Line, None] = {}
        self._slowed: dict[Line, None] = {}
        self._knocking: dict[int, list[tuple[Line, NetAddress]]] = {}
        self._reset_below = self._loss_below = self._cut_below = 0
        self.change(options)

    def change(self, options: LineOptions) -> None:
        """Have other lines from now on; what is on its way keeps its time."""
        self.options = options
        self._cut_below = round(options.cut * (1 << _CHANCE_BITS))
        self._loss_below = round(options.loss * (1 << _CHANCE_BITS))
        self._reset_below = round(options.reset * (1 << _CHANCE_BITS))

    def join(self, station: Station) -> None:
        """A host listens at its address.

        Raises:
            BugError: another one does.
        """
        if station.address in self._stations:
            msg = f"host {station.number} has the address of another host"
            raise BugError(msg)
        self._stations[station.address] = station
        self._numbers[station.address] = station.number

    def leave(self, station: Station) -> None:
        """A host listens no more; dials to it are refused."""
        self._stations.pop(station.address, None)

    # -- partitions

    def part(self, sides: Sequence[Sequence[int]], *, one_way: bool = False) -> None:
        """Cut the network: hosts of different sides do not hear each other. Hosts that are not named form one more
        side, the first. Links stay, as TCP's do, and go on when the network is whole again.

        Args:
            sides: numbers of hosts.
            one_way: what a side sends still reaches the sides after it, but not those before it. No link can be
                opened across.
        """
        self._cuts.part(sides, one_way=one_way)
        # Who was apart by an earlier partition may be together in this one.
        self._release()
        self.journal.note(self.world.time, 0, Kind.PARTED, len(sides), one_way)

    def heal(self) -> None:
        """End the partition. Each line notices when it next tries."""
        self._cuts.heal()
        self._release()
        self.journal.note(self.world.time, 0, Kind.PARTED)

    def _release(self) -> None:
        held, self._held = self._held, {}
        for line in held:
            self.world.after(self._chance.below(2 * self.options.retransmit + 1), self._arrive, line)

    # -- slow hosts, dark hosts, frozen hosts

    def clog(self, number: int, bandwidth: int) -> None:
        """All links of a host carry only so many bytes in a second, each way, until :meth:`unclog`."""
        self._cuts.clogged[number] = bandwidth
        self.journal.note(self.world.time, number, Kind.CLOGGED, bandwidth)

    def unclog(self, number: int) -> None:
        """A host's links are as they were; what waits on slow lines goes on at their speed."""
        if self._cuts.clogged.pop(number, None) is None:
            return
        self.journal.note(self.world.time, number, Kind.CLOGGED)
        for line in list(self._slowed):
            if number in (line.station.number, line.peer.station.number):
                del self._slowed[line]
                self._hasten(line)

    def _hasten(self, line: Line) -> None:
        """Reckon anew when what ``line`` has sent arrives, as if it had all been sent now."""
        now, peer = self.world.time, line.peer
        usual = self._cuts.bandwidth(line.station.number, peer.station.number, self.options.bandwidth)
        sent, last = 0, int(now)
        for index, (arrival, piece) in enumerate(peer.incoming):
            sent += len(piece or b"")
            last = max(last, min(arrival, now + line.latency + sent * MICROSECONDS // usual))
            peer.incoming[index] = (last, piece)
        if not peer.incoming:
            return
        peer.last = last
        line.free = min(line.free, max(now, last - line.latency))
        self.world.at(max(now, peer.incoming[0][0]), self._arrive, peer)

    def power_off(self, station: Station, lines: Sequence[Line]) -> None:
        """A host goes dark: it ends none of its links, and answers nothing until :meth:`power_on`."""
        self.leave(station)
        for line in lines:
            line.is_open = False
            line.incoming.clear()
        self._cuts.dark[station.number] = list(lines)

    def power_on(self, number: int) -> None:
        """A host has its power again: what its peers still send on the links of its earlier life is answered by
        resets."""
        for line in self._cuts.dark.pop(number, ()):
            if line.peer.under_way:
                self.world.after(self._chance.below(8 * self.options.retransmit + 1), self._break, line.peer)

    def kill(self, station: Station, lines: Sequence[Line]) -> None:
        """A host's process dies, and its kernel resets its links."""
        self.leave(station)
        for line in lines:
            if line.is_open:
                line.is_open = False
                line.incoming.clear()
                if line.peer.is_open:
                    self._queue(line.peer, max(line.free, self.world.time) + line.latency, RESET)

    def thaw(self, station: Station, lines: Sequence[Line]) -> None:
        """A host that was frozen takes what came meanwhile: connections first, then bytes."""
        for far, address in self._knocking.pop(station.number, ()):
            self._admit(far, address)
        for line in lines:
            self._go_on(line)

    # -- dials

    def dial(self, station: Station, conn: ConnId, address: NetAddress, timeout: Duration) -> None:
        """Connect a host to whoever listens at ``address``; it hears by ``on_connected`` or ``on_dial_failed``."""
        options = self.options
        latency = self._chance.span(options.latency_min, options.latency_max)
        target = self._stations.get(address)
        number = self._numbers.get(address)
        if number is not None and station.number in self.distances and number in self.distances:
            latency = Duration(self.distances[station.number] + self.distances[number])
        cut = number is not None and (number in self._cuts.dark or self._cuts.apart(station.number, number))
        if cut:
            self.world.after(timeout, station.on_dial_failed, conn, "connect-timeout")
        elif target is None:
            self.world.after(2 * latency, station.on_dial_failed, conn, "connect-refused")
        else:
            self.world.after(latency, self._knock, station, conn, target, latency)

    def _knock(self, station: Station, conn: ConnId, target: Station, latency: Duration) -> None:
        """A dial reaches the other side."""
        near, far = Line(station, latency), Line(target, latency)
        near.peer, far.peer = far, near
        near.conn = conn
        # Before the accepting host speaks, so that the dialling one hears of the connection first.
        self.world.after(latency, station.on_connected, conn, near)
        port = self._ports.get(station.number, 32_767) + 1
        self._ports[station.number] = port if port < 60_999 else 32_767
        address = NetAddress(station.address.network, station.address.raw, port)
        if target.frozen:
            # Its kernel has taken the connection; the host itself learns of it when it thaws.
            self._knocking.setdefault(target.number, []).append((far, address))
        else:
            self._admit(far, address)

    def _admit(self, far: Line, address: NetAddress) -> None:
        name = far.station.on_accept(far, address)
        self.journal.note(self.world.time, far.station.number, Kind.ACCEPTED, name or 0, far.peer.station.number)
        if name is None:
            self.close(far)

    # -- bytes

    def send(self, line: Line, data: bytes) -> None:
        """Put bytes on the way from ``line`` to its peer, after what was sent before."""
        peer = line.peer
        if self.tap is not None:
            self.tap(line.station.number, peer.station.number, self.world.time, len(data))
        if not peer.is_open:
            if peer.station.number in self._cuts.dark:
                # Nobody answers: TCP tries again and again, and the sender's buffer fills.
                self._under_way(line, len(data))
            else:
                # The other host answers bytes for a connection that it has closed by a reset.
                self.world.after(2 * line.latency, self._break, line)
            return
        options = self.options
        bandwidth = self._cuts.bandwidth(line.station.number, peer.station.number, options.bandwidth)
        if bandwidth < options.bandwidth:
            self._slowed[line] = None
        free = max(line.free, self.world.time)
        for piece in self._pieces(data):
            free += len(piece) * MICROSECONDS // bandwidth
            # One draw serves for jitter, loss and reset: 24, 20 and 20 bits.
            draw = self._chance.u64()
            arrival = free + line.latency + ((draw & 0xFF_FFFF) * (options.jitter + 1) >> 24)
            if (draw >> 24) & _CHANCE_MASK < self._loss_below:
                arrival += self._losing()
            self._queue(peer, arrival, RESET if draw >> 44 < self._reset_below else piece)
        line.free = free
        self.bytes_sent += len(data)
        self._under_way(line, len(data))

    def _under_way(self, line: Line, size: int) -> None:
        line.under_way += size
        if not line.congested and line.under_way > line.limit:
            line.congested = True
            line.station.on_congestion(line.conn, congested=True)

    def close(self, line: Line) -> None:
        """End the link from ``line``'s host: what was sent still arrives, then the end. Whoever has bytes on the way
        to the closed side after GRACE_STOP learns by a reset that nobody takes them."""
        if not line.is_open:
            return
        line.is_open = False
        line.incoming.clear()
        peer = line.peer
        if peer.is_open:
            self._queue(peer, max(line.free, self.world.time) + line.latency, FIN)
            self.world.at(peer.last + GRACE_STOP, self._abandon, peer)

    def pause(self, line: Line) -> None:
        """Leave what comes on the line."""
        line.paused = True

    def resume(self, line: Line) -> None:
        """Take it again, in an event of its own."""
        line.paused = False
        self._go_on(line)

    def _go_on(self, line: Line) -> None:
        if line.incoming and not line.waiting:
            line.waiting = True
            self.world.at(max(line.incoming[0][0], self.world.time), self._arrive, line)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        size = len(data)
        if size > SIM_PIECE_BYTES:
            start = 0
            while start < size:
                end = start + 1 + self._chance.below(SIM_PIECE_BYTES)
                yield data[start:end]
                start = end
        elif size > 1 and (draw := self._chance.u64()) & _CHANCE_MASK < self._cut_below:
            # Three more 14-bit fields of the draw place up to three cuts.
            cuts = sorted(1 + ((draw >> shift & 0x3FFF) * (size - 1) >> 14) for shift in (20, 34, 48))
            start = 0
            for end in (*cuts, size):
                if end > start:
                    yield data[start:end]
                start = end
        else:
            yield data

    def _losing(self) -> int:
        """How long a lost piece takes longer."""
        delay = 0
        step = self.options.retransmit
        while True:
            self.losses += 1
            delay += step
            step = Duration(2 * step)
            if self._chance.below(1 << _CHANCE_BITS) >= self._loss_below:
                return delay

    def _queue(self, line: Line, arrival: int, piece: bytes | None) -> None:
        line.last = arrival = max(arrival, line.last)
        line.incoming.append((arrival, piece))
        if not line.waiting:
            line.waiting = True
            self.world.at(arrival, self._arrive, line)

    def _arrive(self, line: Line) -> None:
        """Hand over what has arrived by now."""
        line.waiting = False
        incoming = line.incoming
        if not line.is_open or line.paused or line.station.frozen or not incoming:
            return
        cuts = self._cuts
        if cuts.parted and cuts.deaf(line.peer.station.number, line.station.number):
            line.waiting = True
            self._held[line] = None
            return
        now = self.world.time
        parts: list[bytes] = []
        while incoming and incoming[0][0] <= now:
            piece = incoming.popleft()[1]
            if piece:
                parts.append(piece)
                continue
            self._hand_over(line, parts)
            self._end(line, piece)
            return
        if incoming:
            line.waiting = True
            self.world.at(incoming[0][0], self._arrive, line)
        self._hand_over(line, parts)

    def _hand_over(self, line: Line, parts: list[bytes]) -> None:
        if not parts:
            return
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        sender = line.peer
        sender.under_way -= len(data)
        if sender.congested and sender.under_way <= sender.limit // 2:
            sender.congested = False
            self.world.after(line.latency, self._drained, sender)
        line.station.on_data(line.conn, data)

    def _end(self, line: Line, end: bytes | None) -> None:
        """FIN or RESET has arrived. The host may have closed the line on what came just before."""
        if not line.is_open:
            return
        if end is RESET:
            self.resets += 1
            self._break(line.peer)
            self._break(line)
        else:
            line.is_open = False
            line.station.on_gone(line.conn)

    def _drained(self, line: Line) -> None:
        if line.is_open and not line.congested:
            line.station.on_congestion(line.conn, congested=False)

    def _break(self, line: Line) -> None:
        """A host learns that its side of a link is dead."""
        if line.is_open:
            line.is_open = False
            line.incoming.clear()
            self.journal.note(self.world.time, line.station.number, Kind.RESET, line.conn)
            line.station.on_gone(line.conn)

    def _abandon(self, line: Line) -> None:
        if line.under_way:
            self._break(line)
