"""A client written from docs/protocol.md alone: shakes hands, downloads all headers and blocks, checks them."""

import hashlib
import json
import socket
import struct
import sys


def sha(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def compact(number):
    return bytes([number]) if number < 0xFD else b"\xfd" + struct.pack("<H", number)


def send(stream, kind, payload=b""):
    stream.write(struct.pack("<I12s", len(payload), kind) + sha(payload)[:4] + payload)
    stream.flush()


def receive(stream, wanted):
    while True:
        size, kind, check = struct.unpack("<I12s4s", stream.read(20))
        payload = stream.read(size)
        assert sha(payload)[:4] == check
        if kind.rstrip(b"\0") == b"ping":
            send(stream, b"pong", payload)
        elif kind.rstrip(b"\0") == wanted:
            return payload


def download(stream, genesis):
    send(stream, b"version", struct.pack("<IQIIH", 1, 0, 0, 0, 0) + genesis + struct.pack("<QQ", 0, 42))
    receive(stream, b"version"), receive(stream, b"verack"), send(stream, b"verack")
    chain, count = [genesis], 2000
    while count == 2000:
        send(stream, b"getheaders", struct.pack("<I", 1) + compact(2) + chain[-1] + genesis + bytes(32))
        payload = receive(stream, b"headers")
        count, at = (payload[0], 1) if payload[0] < 0xFD else (struct.unpack_from("<H", payload, 1)[0], 3)
        for start in range(at, at + 81 * count, 81):
            assert payload[start + 4 : start + 36] == chain[-1]
            chain.append(sha(payload[start : start + 80]))
    size = 0
    for at in range(1, len(chain), 16):
        names = chain[at : at + 16]
        send(stream, b"getdata", compact(len(names)) + b"".join(struct.pack("<I", 2) + name for name in names))
        blocks = [receive(stream, b"block") for _ in names]
        assert [sha(block[:80]) for block in blocks] == names
        size += sum(map(len, blocks))
    return {"height": len(chain) - 1, "tip": chain[-1][::-1].hex(), "bytes": size}


if __name__ == "__main__":
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as sock, sock.makefile("rwb") as both:
        print(json.dumps(download(both, bytes.fromhex(sys.argv[3])[::-1])))
