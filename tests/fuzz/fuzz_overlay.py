"""What a proxy, a Tor or an I2P router says is read as an event, a refusal or a DaemonFault, however it is cut."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

from choices import Choices

import rig
from obscura.overlay import sam
from obscura.overlay.control import (
    Bootstrap,
    ControlEvent,
    ControlFailed,
    NeedCookie,
    OnionMade,
    OnionWanted,
    TorControl,
    is_onion_key,
)
from obscura.overlay.faults import DaemonFault
from obscura.overlay.replies import Reply, ReplyReader
from obscura.overlay.sam import Destination, SamLine, SamRefused
from obscura.overlay.socks import Credentials, Socks5
from obscura.wire.address import NetAddress, Network

MAX_LEN = 3_000
REACHES = (
    "overlay.control.TorControl._need_cookie",
    "overlay.control.TorControl._on_authenticated",
    "overlay.control.TorControl._on_challenge",
    "overlay.control.TorControl._on_event",
    "overlay.control.TorControl._on_info",
    "overlay.control.TorControl._on_needed",
    "overlay.control.TorControl._on_onion",
    "overlay.control.TorControl._on_phase",
    "overlay.control._hex",
    "overlay.replies.shown",
    "overlay.replies.ReplyReader._line",
    "overlay.replies._quoted",
    "overlay.replies.quoted_values",
    "overlay.sam.Destination.address",
    "overlay.sam.SamLine.feed",
    "overlay.sam.SamRefused.__init__",
    "overlay.sam._decoded",
    "overlay.sam._judge",
    "overlay.sam._length",
    "overlay.sam._private",
    "overlay.sam.address_of",
    "overlay.sam.connect",
    "overlay.socks.Socks5._finished",
    "overlay.socks.Socks5._name_length",
    "overlay.socks.Socks5._refused",
)
NONCE, SERVER_NONCE, COOKIE = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
PASSWORD, HOST = 'pass"word\\', "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion"
KEY = "ED25519-V3:" + b64encode(bytes(range(64))).decode()
ADDRESS = NetAddress(Network.TORV3, bytes(range(32)), 8_333)
SERVICE = ADDRESS.host().removesuffix(".onion")
LOGIN = Credentials(b"user-name", b"pass-word")
TARGET, COOKIE_PATH = "127.0.0.1:1", "/run/a b"
ONIONS = (
    None,
    OnionWanted(8_333, TARGET),
    OnionWanted(8_333, TARGET, KEY),
    OnionWanted(8_333, TARGET, KEY, ADDRESS.host()),
    OnionWanted(8_333, TARGET, KEY, NetAddress(Network.TORV3, bytes(32), 8_333).host()),
)
METHODS = ("COOKIE,SAFECOOKIE", "NULL", "HASHEDPASSWORD", "COOKIE")
PATHS = (None, COOKIE_PATH, "/other")
READERS: tuple[Callable[[str], Any], ...] = (
    sam.hello,
    sam.session_made,
    sam.looked_up,
    sam.stream_made,
    sam.generated,
    sam.caller,
)
TYPED = bytes(384) + bytes.fromhex("05 0004 0007 0000")
SOCKS, REPLIES, CONTROL, SAM = range(4)
RAW, ANSWER, INSERTED, CHANGED, SHORTENED = range(5)


def run(data: bytes) -> None:
    """The first byte chooses the machine."""
    choices = Choices(data)
    (socks, replies, control, router)[choices.below(4)](choices)


def cut(stream: bytes, step: int) -> list[bytes]:
    """A stream in pieces."""
    return [stream[at : at + step] for at in range(0, len(stream), step)]


# -- SOCKS5


def socks(choices: Choices) -> None:
    """The rest is what the proxy says."""
    credentials = choices.pick((None, LOGIN))
    request = Socks5(HOST, 8_333, credentials)
    written = [request.begin()]
    try:
        for _ in range(6):
            if not request.wanted:
                break
            assert request.wanted <= 255 + 2, "little is waited for"
            written.append(request.feed(choices.take(request.wanted).ljust(request.wanted, b"\0")))
    except DaemonFault as fault:
        judge_text(str(fault))
        assert request.wanted == 0, "nothing goes on"
        return
    assert request.wanted == 0, "it ends"
    asked = [one for one in written if one.endswith(HOST.encode() + b"\x20\x8d")]
    assert request.reason is not None or len(asked) == 1
    assert credentials is None or not asked or written[1].startswith(b"\x01\x09user-name")


# -- Tor


def read(pieces: list[bytes]) -> tuple[list[Reply], str | None]:
    """Replies up to the first fault, and the rule that is broken."""
    reader, found = ReplyReader(), list[Reply]()
    try:
        for piece in pieces:
            found.extend(reader.feed(piece))
    except DaemonFault as fault:
        judge_text(str(fault))
        return found, fault.rule
    return found, None


def replies(choices: Choices) -> None:
    """The first byte is the size of the pieces."""
    step, stream = 1 + choices.byte(), choices.rest()
    whole = read([stream])
    assert whole == read(cut(stream, step)), "cuts mean nothing"
    assert sum(len(line.text) for reply in whole[0] for line in reply.lines) <= len(stream)


def control(choices: Choices) -> None:
    """What is wanted, then what the daemon says, piece by piece: much of it can be what Tor would say."""
    onion, password, own = choices.pick(ONIONS), choices.pick((None, PASSWORD)), choices.below(2 * len(PATHS))
    methods, step = choices.pick(METHODS), 1 + choices.byte()
    path = PATHS[own // 2]
    one = TorControl(NONCE, onion, password, own=bool(own % 2), cookie_path=path)
    commands = b""
    while choices.more:
        said = one.take_data()
        commands += said
        assert said == b"" or (said.endswith(b"\r\n") and said.count(b"\r\n") == 1), "one command at a time"
        asked = said.split(b"\r\n")[0].decode()
        for piece in cut(spoken(choices, answer(asked, methods)), step):
            one.receive(piece)
        events = one.take_events()
        for event in events:
            judge(event, onion)
            if isinstance(event, NeedCookie):
                assert path in (None, event.path), "no other file is read"
                one.cookie(COOKIE)
        if any(isinstance(event, ControlFailed) for event in events):
            one.take_data()
            one.receive(choices.rest())
            one.cookie(COOKIE)
            assert (one.take_events(), one.take_data(), one.waits) == ([], b"", False), "nothing follows a failure"
    commands += one.take_data()
    assert commands.count(b"\r\n") <= 8, "each is said once, one perhaps twice"
    assert not own % 2 or KEY.encode() not in commands or b"AUTHCHALLENGE" in commands, "he has proven himself"
    assert KEY not in repr(one) + repr(onion)


def answer(command: str, methods: str) -> bytes:
    """What Tor says to a command."""
    both = COOKIE + NONCE + SERVER_NONCE
    server = hmac.new(b"Tor safe cookie authentication server-to-controller hash", both, hashlib.sha256).hexdigest()
    lines = {
        "PROTOCOLINFO": f'250-PROTOCOLINFO 1\n250-AUTH METHODS={methods} COOKIEFILE="/run/a\\040b"\n250 OK',
        "AUTHCHALLENGE": f"250 AUTHCHALLENGE SERVERHASH={server} SERVERNONCE={SERVER_NONCE.hex()}",
        "GETINFO": (
            '250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=85 TAG=x SUMMARY="a \\"b\\""\n'
            '250-net/listeners/socks="127.0.0.1:9050" "unix:/run/socks"\n250 OK'
        ),
        "ADD_ONION": f"250-ServiceID={SERVICE}\n250-PrivateKey={KEY}\n250 OK",
        "": f"650 HS_DESC UPLOADED {SERVICE} UNKNOWN $A\n650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100",
    }
    return lines.get(command.partition(" ")[0], "250 OK").replace("\n", "\r\n").encode() + b"\r\n"


def spoken(choices: Choices, honest: bytes) -> bytes:
    """What the daemon says now."""
    match choices.below(5):
        case x if x == RAW:
            return choices.piece()
        case x if x == ANSWER:
            return honest
        case x if x == INSERTED:
            at = choices.below(512) % (len(honest) + 1)
            return honest[:at] + choices.piece() + honest[at:]
        case x if x == CHANGED:
            at, piece = choices.below(512) % (len(honest) + 1), choices.piece()
            return honest[:at] + piece + honest[at + len(piece) :]
    return honest[: choices.below(512) % (len(honest) + 1)]


def judge(event: ControlEvent, onion: OnionWanted | None) -> None:
    """What holds for every event of Tor."""
    match event:
        case Bootstrap(percent, summary):
            assert 0 <= percent <= 100
            judge_text(summary)
        case OnionMade(address, key, _):
            assert onion is not None, "nobody has asked for it"
            assert (address.network, address.port) == (Network.TORV3, 8_333)
            assert is_onion_key(key)
            assert onion.key in (None, key), "a kept key stays"
            assert onion.host in (None, address.host()), "and so does its address"
            assert key not in repr(event)
        case NeedCookie(path):
            assert path.startswith("/")
            assert path.isprintable()
            assert len(path) <= 4_096
        case ControlFailed(reason, text):
            assert reason.replace("-", "").isalpha()
            judge_text(text)


def judge_text(text: str) -> None:
    """What goes to people and logs."""
    assert text.isprintable()
    assert len(text) < 400


# -- I2P


def router(choices: Choices) -> None:
    """The first byte is the size of the pieces."""
    step, stream = 1 + choices.byte(), choices.rest()
    lines, rest = taken([stream])
    assert (lines, rest) == taken(cut(stream, step)), "cuts mean nothing"
    for line in lines:
        for reader in READERS:
            answered(reader, line)


def taken(pieces: list[bytes]) -> tuple[list[str], bytes]:
    """The lines of a stream, and what is left."""
    reader, lines = SamLine(), list[str]()
    try:
        for piece in pieces:
            line = reader.feed(piece)
            while line is not None:
                lines.append(line)
                line = reader.feed(b"")
    except DaemonFault as fault:
        judge_text(str(fault))
        return lines, b""
    return lines, reader.rest


def answered(reader: Callable[[str], Any], line: str) -> None:
    """One line as the answer to one question."""
    try:
        found = reader(line)
    except SamRefused as refusal:
        assert re.fullmatch(r"[A-Z0-9_]{1,32}", refusal.result)
        judge_text(refusal.text)
    except DaemonFault as fault:
        judge_text(str(fault))
    else:
        match found:
            case str():
                assert sam.connect("a", found).split(b"\n") == [
                    b"STREAM CONNECT ID=a DESTINATION=" + found.encode() + b" SILENT=false",
                    b"",
                ]
                assert " " not in found
            case Destination():
                assert sam.create("a", found).count(b"\n") == 1
                assert found.private not in repr(found)
                assert (found.address.network, len(found.address.raw)) == (Network.I2P, 32)
            case NetAddress():
                assert (found.network, len(found.raw), found.port) == (Network.I2P, 32, 0)
            case _:
                assert found is None


def seeds() -> Iterator[bytes]:
    """Honest talks with each of them, and some that go wrong."""
    for reply in (b"\x01\0\0\0\0\0\0", b"\x03\x03abc\0\0", b"\x04" + bytes(18), b"\x09"):
        yield bytes([SOCKS, 0]) + b"\x05\x00\x05\x00\x00" + reply
        yield bytes([SOCKS, 1]) + b"\x05\x02\x01\x00\x05\x00\x00" + reply
    for refusal in (b"\x05\xff", b"\x04\x00", b"\x05\x07", b"\x05\x00\x05\x05\0\1", b"\x05\x00\x04"):
        yield bytes([SOCKS, 0]) + refusal
    yield bytes([SOCKS, 1]) + b"\x05\x02\x01\x01"
    for stream in (
        b"250-a=b\r\n250 OK\r\n650 BW 1 2\r\n",
        b"250+a=\r\n..\r\nx\r\n.\r\n250 OK\r\n",
        b"250-a\r\n251 b\r\n",
        b"HTTP/1.0 501 Tor is not an HTTP Proxy\r\n",
    ):
        yield bytes([REPLIES, 3]) + stream
    for methods in range(len(METHODS)):
        for onion in range(len(ONIONS)):
            head = bytes([CONTROL, onion, methods == 2, methods == 0, methods, 255])
            yield head + bytes([ANSWER]) * 9
            yield head + bytes([ANSWER]) * 6 + bytes([RAW]) + rig.pack(b"512 no\r\n") + bytes([ANSWER]) * 2
            yield head + bytes([ANSWER, CHANGED, 0, 40]) + rig.pack(b"00")
            yield head + bytes([ANSWER, ANSWER, RAW]) + rig.pack(b"515 no\x1b\r\n")
            yield head + bytes([ANSWER, ANSWER, ANSWER, INSERTED, 0, 60]) + rig.pack(b"9999")
    for own in range(2 * len(PATHS)):
        for methods in range(len(METHODS)):
            yield bytes([CONTROL, 3, 1, own, methods, 255]) + bytes([ANSWER]) * 9
    for path in ("a", "/a\\000", "/" + "a" * 100):
        said = f'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="{path}"\r\n250 OK\r\n'.encode()
        yield bytes([CONTROL, 0, 0, 0, 0, 255, RAW]) + rig.pack(said) + bytes([ANSWER]) * 3
    yield bytes([CONTROL, 1, 0, 1, 0, 255, ANSWER, ANSWER, RAW]) + rig.pack(b"515 no\r\ngarbage\r\n")
    yield bytes([CONTROL, 0, 0, 0, 0, 255, RAW]) + rig.pack(b'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="\r\n250 OK\r\n')
    destination = b64encode(TYPED, altchars=b"-~").decode()
    private = b64encode(TYPED + bytes(288), altchars=b"-~").decode()
    for lines in (
        "HELLO REPLY RESULT=OK VERSION=3.1\nHELLO REPLY RESULT=NOVERSION\n",
        f"DEST REPLY PUB={destination} PRIV={private}\nDEST REPLY PRIV=x\n",
        f"DEST REPLY RESULT=I2P_ERROR MESSAGE=x\nDEST REPLY RESULT=OK PRIV={destination}\nDEST REPLY RESULT=ok\n",
        f"NAMING REPLY RESULT=OK VALUE={destination[:-3]}B==\nHELLO REPLY RESULT=OK VERSION=3.3\n",
        f"SESSION STATUS RESULT=OK DESTINATION={private}\r\n",
        'SESSION STATUS RESULT=DUPLICATED_ID MESSAGE="a \\"b\\" \\033"\n',
        f"NAMING REPLY RESULT=OK NAME=ME VALUE={destination}\nNAMING REPLY RESULT=KEY_NOT_FOUND NAME=a\n",
        f"NAMING REPLY RESULT=OK VALUE={destination[:-2]}\n",
        f"STREAM STATUS RESULT=OK\n{destination} FROM_PORT=0\nthe stream",
        'STREAM STATUS RESULT=TIMEOUT MESSAGE="x\n\xff\n',
    ):
        yield bytes([SAM, 6]) + lines.encode("latin-1")
