"""Run as a program in a new network namespace: has it end at its own ``lo``, and says what is sent there.

Every address is one of this machine, as its ``lo`` is the default route. So whoever sends to any address in the world
sends a packet, which is seen here with its destination, and comes no further than to a port at which nobody listens.

Commands are lines of JSON: ``{"from": ENDPOINT, "to": ENDPOINT}`` opens a forwarder, where an endpoint is ``[HOST,
PORT]`` or the path of a Unix socket; ``{}`` asks what was seen. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from forwarder import Endpoint, Forwarder, LoopThread

_ETH_P_ALL = 3
_IPV4, _IPV6 = 0x0800, 0x86DD
_OUTGOING = 4
"""Kind of a packet on its way out: on ``lo`` each comes once more on its way in."""
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_TCP, _UDP = 6, 17
_NAMES = {_TCP: "tcp", _UDP: "udp", 1: "icmp", 58: "icmp"}
_SYN, _ACK = 0x02, 0x10
_HEAD_BYTES = 128
_BUFFER_BYTES = 16_000_000


class Sniffer:
    """Sees every packet that is sent in this namespace."""

    def __init__(self) -> None:
        self.destinations: set[tuple[str, str, int]] = set()
        """Protocol, address and port of all that was begun; 0 where there are no ports."""
        self.dials: set[bytes] = set()
        """Connections over TCP that were begun: both ends and the first sequence number."""
        self.missed = 0
        self._flows: set[bytes] = set()
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._sock.setblocking(False)

    def watch(self) -> None:
        """Take packets as they come."""
        asyncio.get_running_loop().add_reader(self._sock, self.take)

    def take(self) -> None:
        """Take all that was sent so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                head, (_, protocol, kind, *_) = self._sock.recvfrom(_HEAD_BYTES)
                if kind == _OUTGOING:
                    self._look(protocol, head)
        _, missed = struct.unpack("II", self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self.missed += missed

    def _look(self, protocol: int, head: bytes) -> None:
        if protocol == _IPV4:
            kind, size, source, target = head[9], (head[0] & 0xF) * 4, head[12:16], head[16:20]
            family = socket.AF_INET
        elif protocol == _IPV6:
            kind, size, source, target = head[6], 40, head[8:24], head[24:40]
            family = socket.AF_INET6
        else:
            self.destinations.add((f"ethertype {protocol:#06x}", "", 0))
            return
        body = head[size:]
        port = int.from_bytes(body[2:4], "big") if kind in (_TCP, _UDP) else 0
        if kind == _TCP:
            ends = source + body[:2], target + body[2:4]
            flow = b"".join(sorted(ends))
            if body[13] & (_SYN | _ACK) == _SYN:
                self._flows.add(flow)
                self.dials.add(b"".join(ends) + body[4:8])
            elif flow in self._flows:
                return
            # Else it belongs to nothing that was begun here, and is told of too.
        self.destinations.add((_NAMES.get(kind, f"protocol {kind}"), socket.inet_ntop(family, target), port))


def counters() -> dict[str, int]:
    """The kernel's own, of this namespace: ``UdpOutDatagrams``, ``TcpActiveOpens``, ``Ip6OutNoRoutes`` and so on."""
    found: dict[str, int] = {}
    lines = Path("/proc/net/snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        kind, _, rest = names.partition(":")
        found |= {kind + name: int(value) for name, value in zip(rest.split(), values.split()[1:], strict=True) if name}
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        for line in Path("/proc/net/snmp6").read_text().splitlines():
            name, value = line.split()
            found[name] = int(value)
    return found


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _endpoint(value: Any) -> Endpoint:
    return Path(value) if isinstance(value, str) else (value[0], value[1])


def main() -> None:
    """See the module."""
    sniffer = Sniffer()
    _ip("link", "set", "lo", "up")
    _ip("route", "add", "local", "default", "dev", "lo")
    if Path("/proc/net/if_inet6").exists():
        _ip("-6", "route", "add", "local", "::/0", "dev", "lo")
    with contextlib.suppress(OSError):  # it may not be for us to write
        # Ports that the system gives here are free outside, where it gives others.
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("61000 65535")
    thread = LoopThread("inside")
    thread.call(sniffer.watch)
    print("{}", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command:
            Forwarder(thread, _endpoint(command["to"]), _endpoint(command["from"])).open()
        else:
            thread.call(sniffer.take)
            answer = {
                "destinations": sorted(sniffer.destinations),
                "dials": len(sniffer.dials),
                "missed": sniffer.missed,
                "counters": counters(),
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
