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


def send(sock, kind, payload=b""):
    sock.sendall(struct.pack("<I12s", len(payload), kind.encode()) + sha(payload)[:4] + payload)


def receive(stream, wanted, sock):
    while True:
        size, kind, check = struct.unpack("<I12s4s", stream.read(20))
        payload = stream.read(size)
        assert sha(payload)[:4] == check
        kind = kind.rstrip(b"\0").decode()
        if kind == "ping":
            send(sock, "pong", payload)
        if kind == wanted:
            return payload


def main(host, port, genesis_hex):
    genesis = bytes.fromhex(genesis_hex)[::-1]
    sock = socket.create_connection((host, int(port)), timeout=20)
    stream = sock.makefile("rb")
    agent = b"/outsider:1/"
    head = struct.pack("<IQIIH", 1, 0, 0, 0, len(agent)) + agent
    send(sock, "version", head + genesis + struct.pack("<QQ", 0, 42))
    receive(stream, "version", sock)
    receive(stream, "verack", sock)
    send(sock, "verack")
    chain = [genesis]
    while True:
        locator = struct.pack("<I", 1) + compact(2) + chain[-1] + genesis + bytes(32)
        send(sock, "getheaders", locator)
        payload = receive(stream, "headers", sock)
        count, at = (payload[0], 1) if payload[0] < 0xFD else (struct.unpack_from("<H", payload, 1)[0], 3)
        for start in range(at, at + 81 * count, 81):
            assert payload[start + 4 : start + 36] == chain[-1]
            chain.append(sha(payload[start : start + 80]))
        if count < 2000:
            break
    size = 0
    for name in chain[1:]:
        send(sock, "getdata", compact(1) + struct.pack("<I", 2) + name)
        block = receive(stream, "block", sock)
        assert sha(block[:80]) == name
        size += len(block)
    print(json.dumps({"height": len(chain) - 1, "tip": chain[-1][::-1].hex(), "bytes": size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
