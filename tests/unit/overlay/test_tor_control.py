"""The machine at Tor's control port: it logs in, has an onion service made, and believes little before and after."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.limits import TOR_LINE_BYTES
from obscura.overlay.control import (
    Bootstrap,
    ControlEvent,
    ControlFailed,
    NeedCookie,
    OnionMade,
    OnionTold,
    OnionWanted,
    SocksPorts,
    TorControl,
    is_onion_key,
)
from obscura.wire.address import NetAddress, Network

# -- a daemon that answers as Tor does

NONCE: Final = bytes(range(32))
SERVER_NONCE: Final = bytes(range(100, 132))
COOKIE: Final = bytes(range(200, 232))
PORT: Final = 8_333


def service(seed: bytes) -> tuple[str, NetAddress]:
    """An onion service: its key as Tor writes it, and its address."""
    expanded = bytearray(hashlib.sha512(seed).digest())
    expanded[0] &= 0xF8
    expanded[31] = expanded[31] & 0x7F | 0x40
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return "ED25519-V3:" + b64encode(expanded).decode(), NetAddress(Network.TORV3, public, PORT)


KEY, OURS = service(b"\x01" * 32)
OTHER_KEY, OTHERS = service(b"\x02" * 32)
SERVICE: Final = OURS.host().removesuffix(".onion")
STRANGER: Final = OTHERS.host().removesuffix(".onion")
PATH: Final = "/run/tor/control.authcookie"
PASSWORD: Final = 'it "is" a \\ secret'
NEW: Final = OnionWanted(PORT, "127.0.0.1:4000")
KEPT: Final = OnionWanted(PORT, "127.0.0.1:4000", KEY)
KNOWN: Final = OnionWanted(PORT, "127.0.0.1:4000", KEY, OURS.host())


def digest(key: str, cookie: bytes, client: bytes, server: bytes) -> bytes:
    """The hashes of SAFECOOKIE."""
    return hmac.new(key.encode(), cookie + client + server, hashlib.sha256).digest()


def to_controller(cookie: bytes = COOKIE, client: bytes = NONCE, server: bytes = SERVER_NONCE) -> str:
    return digest("Tor safe cookie authentication server-to-controller hash", cookie, client, server).hex().upper()


def to_server(cookie: bytes = COOKIE, client: bytes = NONCE, server: bytes = SERVER_NONCE) -> str:
    return digest("Tor safe cookie authentication controller-to-server hash", cookie, client, server).hex().upper()


@dataclass
class Daemon:
    """Answers to commands. ``instead`` has answers for those that begin so."""

    methods: str = "COOKIE,SAFECOOKIE"
    works: bool = True
    """It knows proof of work."""
    instead: dict[str, str] = field(default_factory=dict)
    before: str = ""
    """What it says before each answer."""
    heard: list[str] = field(default_factory=list)

    def answer(self, command: str) -> bytes:
        self.heard.append(command)
        said = next((one for head, one in self.instead.items() if command.startswith(head)), None) or self.said(command)
        return (self.before + said).replace("\n", "\r\n").encode()

    def said(self, command: str) -> str:
        match command.split(" "):
            case ["PROTOCOLINFO", "1"]:
                file = f' COOKIEFILE="{PATH}"' if "COOKIE" in self.methods else ""
                return (
                    f'250-PROTOCOLINFO 1\n250-AUTH METHODS={self.methods}{file}\n250-VERSION Tor="0.4.9.11"\n250 OK\n'
                )
            case ["AUTHCHALLENGE", "SAFECOOKIE", nonce]:
                server_hash = to_controller(client=bytes.fromhex(nonce))
                return f"250 AUTHCHALLENGE SERVERHASH={server_hash} SERVERNONCE={SERVER_NONCE.hex().upper()}\n"
            case ["AUTHENTICATE", *proof]:
                return "250 OK\n" if " ".join(proof) in self.proofs() else "515 Authentication failed\n"
            case ["TAKEOWNERSHIP"] | ["SETEVENTS", "STATUS_CLIENT", "HS_DESC"]:
                return "250 OK\n"
            case ["GETINFO", "status/bootstrap-phase", "net/listeners/socks"]:
                return (
                    '250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"\n'
                    '250-net/listeners/socks="127.0.0.1:9050"\n250 OK\n'
                )
            case ["ADD_ONION", key, *rest]:
                if "PoWDefensesEnabled=1" in rest and not self.works:
                    return '512 Bad arguments to ADD_ONION: Unrecognized keyword argument "PoWDefensesEnabled"\n'
                made = f"250-PrivateKey={KEY}\n" if key == "NEW:ED25519-V3" else ""
                return f"250-ServiceID={SERVICE}\n{made}250 OK\n"
        return "510 Unrecognized command\n"

    def proofs(self) -> set[str]:
        """What it takes for a login."""
        return {
            *([to_server()] if "COOKIE" in self.methods else []),
            *([""] if "NULL" in self.methods else []),
            *([PASSWORD.encode().hex()] if "PASSWORD" in self.methods else []),
        }


def talk(control: TorControl, daemon: Daemon, cookie: bytes = COOKIE, until: str = "") -> list[ControlEvent]:
    """Let both talk until nothing is out, or a command begins with ``until``: what has happened."""
    events: list[ControlEvent] = []
    for _ in range(20):
        said = control.take_data().decode()
        if not said:
            return events + control.take_events()
        command = said.removesuffix("\r\n")
        assert said.count("\r\n") == 1, "one command at a time"
        assert command.isprintable()
        assert control.waits
        if until and command.startswith(until):
            return events
        control.receive(daemon.answer(command))
        for event in control.take_events():
            events.append(event)
            if isinstance(event, NeedCookie):
                assert not control.waits
                control.cookie(cookie)
    raise AssertionError("it does not end")


def told(control: TorControl, said: str) -> list[ControlEvent]:
    """What has happened by these lines."""
    control.receive(said.replace("\n", "\r\n").encode())
    return control.take_events()


def at(command: str, onion: OnionWanted | None = None, daemon: Daemon | None = None) -> TorControl:
    """A control whose command that begins so is out."""
    control = TorControl(NONCE, onion, own=True)
    talk(control, daemon or Daemon(), until=command)
    assert control.waits
    return control


def up(onion: OnionWanted | None = None) -> TorControl:
    """One for which all is done."""
    control = TorControl(NONCE, onion)
    talk(control, Daemon())
    assert not control.waits
    return control


def failed(events: list[ControlEvent]) -> tuple[str, str]:
    """Why it cannot go on."""
    [event] = events
    assert isinstance(event, ControlFailed)
    assert event.text.isprintable()
    return event.reason, event.text


# -- the login

LOGIN: Final = [
    "PROTOCOLINFO 1",
    f"AUTHCHALLENGE SAFECOOKIE {NONCE.hex().upper()}",
    f"AUTHENTICATE {to_server()}",
]
AFTER: Final = ["SETEVENTS STATUS_CLIENT HS_DESC", "GETINFO status/bootstrap-phase net/listeners/socks"]
READY: Final = [Bootstrap(100, "Done"), SocksPorts(("127.0.0.1:9050",))]


def test_all_that_is_said_with_a_cookie() -> None:
    daemon = Daemon()
    assert talk(TorControl(NONCE), daemon) == [NeedCookie(PATH), *READY]
    assert daemon.heard == [*LOGIN, *AFTER]


def test_a_daemon_of_our_own_ends_with_us() -> None:
    daemon = Daemon()
    assert talk(TorControl(NONCE, own=True), daemon) == [NeedCookie(PATH), *READY]
    assert daemon.heard == [*LOGIN, "TAKEOWNERSHIP", *AFTER], "before anything can go wrong"


@pytest.mark.parametrize(
    ("server_hash", "reason"),
    [
        ("", "cookie-mismatch"),
        (to_controller()[:-2], "cookie-mismatch"),
        (to_controller() + "00", "cookie-mismatch"),
        ("00" * 32, "cookie-mismatch"),
        (to_server(), "cookie-mismatch"),
        (to_controller(cookie=bytes(32)), "cookie-mismatch"),
        (to_controller(client=bytes(32)), "cookie-mismatch"),
        (to_controller(server=bytes(32)), "cookie-mismatch"),
        (f"{int(to_controller(), 16) ^ 1:064X}", "cookie-mismatch"),
        (f"{int(to_controller(), 16) ^ 1 << 255:064X}", "cookie-mismatch"),
        (to_controller()[:-1], "control-challenge"),
        ("Z" * 64, "control-challenge"),
        ("\u0660" * 64, "control-challenge"),
    ],
)
def test_a_daemon_that_does_not_know_the_cookie(server_hash: str, reason: str) -> None:
    daemon = Daemon(
        instead={"AUTHCHALLENGE": f"250 AUTHCHALLENGE SERVERHASH={server_hash} SERVERNONCE={SERVER_NONCE.hex()}\n"}
    )
    needed, *events = talk(TorControl(NONCE, KEPT), daemon)
    assert needed == NeedCookie(PATH)
    assert failed(events)[0] == reason
    assert daemon.heard == LOGIN[:2], "it gets no proof of ours, and nothing else"


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_nonce_of_another_length(size: int) -> None:
    nonce = bytes(size)
    said = f"250 AUTHCHALLENGE SERVERHASH={to_controller(server=nonce)} SERVERNONCE={nonce.hex()}\n"
    assert failed(told(at("AUTHCHALLENGE"), said))[0] == "control-challenge"


@pytest.mark.parametrize(
    "said", ["515 no", "513 Invalid", "250 OK", "250 AUTHCHALLENGE", '250 AUTHCHALLENGE SERVERHASH="', "250"]
)
def test_challenges_that_are_refused(said: str) -> None:
    control = at("AUTHCHALLENGE")
    assert failed(told(control, said + "\n"))[0] in ("control-challenge", "control-syntax")
    assert control.take_data() == b""


def test_both_may_write_small_letters() -> None:
    said = f"250 AUTHCHALLENGE SERVERNONCE={SERVER_NONCE.hex()} SERVERHASH={to_controller().lower()}\n"
    control = at("AUTHCHALLENGE")
    assert told(control, said) == []
    assert control.take_data().decode() == LOGIN[2] + "\r\n"


@pytest.mark.parametrize("size", [0, 31, 33, 4_096])
def test_a_cookie_of_another_length(size: int) -> None:
    daemon = Daemon()
    _, *events = talk(TorControl(NONCE), daemon, cookie=bytes(size))
    assert failed(events) == ("cookie-length", f"Tor's cookie file has {size} bytes, not 32")
    assert daemon.heard == LOGIN[:1]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_our_own_nonce_has_a_length(size: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, not {size}"):
        TorControl(bytes(size))


def test_a_cookie_counts_once() -> None:
    control = at("PROTOCOLINFO")
    control.cookie(COOKIE)
    assert control.take_data() == b"", "nobody has asked for it"
    assert told(control, Daemon().said("PROTOCOLINFO 1")) == [NeedCookie(PATH)]
    for _ in range(3):
        control.cookie(COOKIE)
    assert control.take_data().decode() == LOGIN[1] + "\r\n"


@pytest.mark.parametrize("methods", ["HASHEDPASSWORD", "COOKIE,SAFECOOKIE,HASHEDPASSWORD", "HASHEDPASSWORD,NULL"])
def test_a_password(methods: str) -> None:
    daemon = Daemon(methods)
    assert talk(TorControl(NONCE, password=PASSWORD), daemon) == READY
    assert daemon.heard[1] == f"AUTHENTICATE {PASSWORD.encode().hex()}"


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("", ""),
        ("a", "61"),
        ('" SIGNAL HALT', "22205349474e414c2048414c54"),
        ("a\r\nSIGNAL HALT", "610d0a5349474e414c2048414c54"),
        ("a\nb\0", "610a6200"),
        ("\u00e9", "c3a9"),
        ("\udcff", "ff"),
    ],
)
def test_a_password_goes_in_hexadecimal(password: str, said: str) -> None:
    control = TorControl(NONCE, password=password)
    control.take_data()
    assert told(control, "250-AUTH METHODS=HASHEDPASSWORD\n250 OK\n") == []
    assert control.take_data() == f"AUTHENTICATE {said}\r\n".encode()


def test_a_password_that_nobody_asks_for_is_not_said() -> None:
    for methods, proof in (("COOKIE,SAFECOOKIE", LOGIN[2]), ("NULL", "AUTHENTICATE")):
        daemon = Daemon(methods)
        assert talk(TorControl(NONCE, password=PASSWORD), daemon)[-2:] == READY
        assert proof in daemon.heard


@pytest.mark.parametrize("methods", ["NULL,COOKIE,SAFECOOKIE", "COOKIE,SAFECOOKIE,NULL", "HASHEDPASSWORD,SAFECOOKIE"])
def test_a_daemon_is_asked_for_its_proof_if_it_has_one(methods: str) -> None:
    daemon = Daemon(methods + ("" if "COOKIE," in methods else ",COOKIE"))
    assert talk(TorControl(NONCE, KEPT), daemon)[0] == NeedCookie(PATH)
    assert daemon.heard[:3] == LOGIN


@pytest.mark.parametrize("methods", ["NULL", "COOKIE", "HASHEDPASSWORD", "NULL,COOKIE,HASHEDPASSWORD", ""])
@pytest.mark.parametrize("password", [None, PASSWORD])
def test_a_daemon_of_our_own_has_a_cookie(methods: str, password: str | None) -> None:
    daemon = Daemon(methods)
    assert failed(talk(TorControl(NONCE, KEPT, password, own=True), daemon))[0] == "not-ours"
    assert daemon.heard == LOGIN[:1], "somebody else gets nothing"


@pytest.mark.parametrize("methods", ["COOKIE,SAFECOOKIE", "HASHEDPASSWORD,COOKIE,SAFECOOKIE", "NULL,COOKIE,SAFECOOKIE"])
def test_a_daemon_of_our_own_has_it_where_we_know(methods: str) -> None:
    daemon = Daemon(methods)
    control = TorControl(NONCE, KNOWN, PASSWORD, own=True, cookie_path=PATH)
    assert talk(control, daemon)[:3] == [NeedCookie(PATH), *READY]
    assert daemon.heard[:3] == LOGIN, "no password is said to it"
    for path in (PATH + "x", PATH[:-1], PATH.replace("/tor", "/./tor"), "/etc/shadow", PATH.upper()):
        other = Daemon(methods)
        control = TorControl(NONCE, KNOWN, PASSWORD, own=True, cookie_path=path)
        assert failed(talk(control, other))[0] == "not-ours"
        assert other.heard == LOGIN[:1]


@pytest.mark.parametrize(
    "path", ["/a\\000b", "/a\\033[31m", "/a\\nb", "relative/path", "/a\x00b", "~/a", ".", "/" + "a" * 4_096, "\u202e/a"]
)
def test_paths_that_no_cookie_has(path: str) -> None:
    control = TorControl(NONCE)
    control.take_data()
    reason, text = failed(told(control, f'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="{path}"\n250 OK\n'))
    assert reason == "cookie-path"
    assert len(text) < 100, "it quotes nothing"
    assert control.take_data() == b""


@pytest.mark.parametrize("path", ["/", "/a b", "/\u00e9", "/" + "a" * 4_095])
def test_paths_that_a_cookie_may_have(path: str) -> None:
    control = TorControl(NONCE)
    control.take_data()
    assert told(control, f'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="{path}"\n250 OK\n') == [NeedCookie(path)]


def test_a_cookie_after_the_login() -> None:
    control = TorControl(NONCE)
    talk(control, Daemon("NULL"))
    control.cookie(COOKIE)
    assert control.take_data() == b""


@pytest.mark.parametrize("command", ["PROTOCOLINFO", "AUTHCHALLENGE", "AUTHENTICATE"])
def test_nothing_is_believed_before_the_login(command: str) -> None:
    for event in ("NOTICE BOOTSTRAP PROGRESS=100", "NOTICE BOOTSTRAP PROGRESS=x", "NOTICE BOOTSTRAP PROGRESS="):
        control = at(command)
        assert told(control, f"650 STATUS_CLIENT {event}\n650 HS_DESC UPLOADED {SERVICE}\n") == []
        assert control.waits


def test_no_login_is_needed() -> None:
    daemon = Daemon("NULL")
    assert talk(TorControl(NONCE), daemon) == READY
    assert daemon.heard == ["PROTOCOLINFO 1", "AUTHENTICATE", *AFTER]


@pytest.mark.parametrize(
    ("auth", "reason"),
    [
        ("METHODS=HASHEDPASSWORD", "needs-password"),
        ("METHODS=HASHEDPASSWORD,COOKIE", "needs-password"),
        (f'METHODS=COOKIE COOKIEFILE="{PATH}"', "no-method"),
        ("METHODS=SAFECOOKIE", "no-method"),
        ('METHODS=SAFECOOKIE COOKIEFILE=""', "no-method"),
        ("METHODS=null", "no-method"),
        ("METHODS=", "no-method"),
        ("METHODS", "no-method"),
        ("", "no-method"),
        ('METHODS="NULL', "control-syntax"),
        (f'METHODS=SAFECOOKIE COOKIEFILE="{PATH}', "control-syntax"),
    ],
)
def test_no_way_to_log_in(auth: str, reason: str) -> None:
    control = TorControl(NONCE)
    control.take_data()
    assert failed(told(control, f"250-PROTOCOLINFO 1\n250-AUTH {auth}\n250 OK\n"))[0] == reason
    assert control.take_data() == b""


@pytest.mark.parametrize("said", ["250 OK", "250-PROTOCOLINFO 1\n250 OK", "250+AUTH\nMETHODS=NULL\n.\n250 OK"])
def test_a_daemon_that_names_no_method(said: str) -> None:
    control = TorControl(NONCE)
    control.take_data()
    assert failed(told(control, said + "\n"))[0] == "no-method"


@pytest.mark.parametrize("said", ["510 Unrecognized command", "514 Authentication required", "100 x", "999 x", "000 x"])
def test_protocolinfo_refused(said: str) -> None:
    assert failed(told(at("PROTOCOLINFO"), said + "\n"))[0] == "control-syntax"


@pytest.mark.parametrize("methods", ["SAFECOOKIE,COOKIE", "NULL", "HASHEDPASSWORD"])
def test_a_login_that_is_refused(methods: str) -> None:
    daemon = Daemon(methods, instead={"AUTHENTICATE": "515 Authentication failed: \x1b[31m" + "x " * 1_000 + "\n"})
    control = TorControl(NONCE, KEPT, PASSWORD)
    reason, text = failed([one for one in talk(control, daemon) if not isinstance(one, NeedCookie)])
    assert reason == "refused"
    assert text.startswith("Tor's control port refuses us: Authentication failed: ?[31mx x x")
    assert len(text) < 250
    assert not any(one.startswith(("SETEVENTS", "ADD_ONION")) for one in daemon.heard)


@pytest.mark.parametrize("command", ["TAKEOWNERSHIP", "SETEVENTS", "GETINFO"])
def test_what_is_needed_is_refused(command: str) -> None:
    for said in ("510 Unrecognized command", "552-x=y\n552 Unrecognized key"):
        control = at(command, NEW)
        reason, text = failed(told(control, said + "\n"))
        assert reason == "refused"
        assert text.startswith("Tor refuses what the node needs: Unrecognized")
        assert control.take_data() == b""
        assert not control.waits


@pytest.mark.parametrize(
    "said",
    ['552-net/listeners/socks="192.0.2.1:1"\n552 no\n', "552 status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=x\n"],
)
def test_nothing_is_taken_from_a_refusal(said: str) -> None:
    assert failed(told(at("GETINFO"), said))[0] == "refused"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a b", "a b"),
        ("", ""),
        ("x" * 24, "x" * 24),
        ("x" * 25, "\u2026"),
        (f"no such thing as {KEY} or {OURS.host()} here", "no such thing as \u2026 or \u2026 here"),
        (f"key={KEY[:40]}\t{KEY[40:]}", "\u2026"),
        ("a\tb\x7f", "a?b?"),
        ("a " * 300, "a " * 100),
        ("x" * 5_000, "\u2026"),
    ],
)
def test_long_words_of_a_refusal_do_not_show(said: str, shown: str) -> None:
    assert failed(told(at("ADD_ONION", KEPT), f"551 {said}\n"))[1] == f"Tor makes no onion service: {shown}"


@pytest.mark.parametrize("command", ["ADD_ONION", "AUTHENTICATE"])
def test_a_refusal_that_quotes_what_it_was_told(command: str) -> None:
    daemon = Daemon("HASHEDPASSWORD", instead={command: f"551 no such thing as {KEY} or {PASSWORD.encode().hex()}\n"})
    _, text = failed([one for one in talk(TorControl(NONCE, KEPT, PASSWORD), daemon) if one not in READY])
    assert text.endswith("no such thing as \u2026 or \u2026")


# -- the onion service


@pytest.mark.parametrize("onion", [NEW, KEPT, KNOWN])
def test_an_onion_service(onion: OnionWanted) -> None:
    daemon = Daemon()
    made = talk(TorControl(NONCE, onion), daemon)[-1]
    assert made == OnionMade(OURS, KEY, guarded=True)
    assert isinstance(made, OnionMade)
    assert made.key == KEY
    named = onion.key or "NEW:ED25519-V3"
    assert daemon.heard[len(LOGIN + AFTER) :] == [f"ADD_ONION {named} PoWDefensesEnabled=1 Port=8333,127.0.0.1:4000"], (
        "it is the last that is asked for"
    )


@pytest.mark.parametrize("code", [512, 513])
@pytest.mark.parametrize("onion", [NEW, KEPT])
def test_a_daemon_without_proof_of_work(code: int, onion: OnionWanted) -> None:
    control = at("ADD_ONION", onion)
    assert told(control, f"{code} Unrecognized keyword argument\n") == []
    command = control.take_data().decode().removesuffix("\r\n")
    assert command == f"ADD_ONION {onion.key or 'NEW:ED25519-V3'} Port=8333,127.0.0.1:4000"
    assert told(control, Daemon().said(command).rstrip() + "\n") == [OnionMade(OURS, KEY, guarded=False)]
    assert control.take_data() == b""


@pytest.mark.parametrize("code", [512, 513])
def test_refused_with_and_without_proof_of_work(code: int) -> None:
    control = at("ADD_ONION", KEPT)
    assert told(control, f"{code} no\n") == []
    control.take_data()
    assert failed(told(control, f"{code} no\x00 more\n")) == ("onion-refused", "Tor makes no onion service: no? more")
    assert control.take_data() == b"", "it is not tried a third time"


@pytest.mark.parametrize("code", [100, 351, 500, 510, 511, 514, 550, 551, 552])
def test_other_refusals(code: int) -> None:
    control = at("ADD_ONION", KEPT)
    assert failed(told(control, f"{code} Failed\n")) == ("onion-refused", "Tor makes no onion service: Failed")
    assert control.take_data() == b""


@pytest.mark.parametrize(
    "name",
    [
        "",
        SERVICE[:-1],
        SERVICE + "a",
        ("b" if SERVICE[0] == "a" else "a") + SERVICE[1:],
        SERVICE + ".onion",
        "expyuzz4wqqyqhjn",
        "a" * 56,
        "1.2.3.4:80",
        f"{SERVICE}.onion:80 x",
        "a" * 52 + ".b32.i2p",
        "a" * 52 + ".b32.i2p:0#",
        "[::1]:1",
        "x" * 5_000,
        "\u0131" * 56,
    ],
)
def test_a_service_that_has_another_name(name: str) -> None:
    control = at("ADD_ONION", NEW)
    reason, text = failed(told(control, f"250-ServiceID={name}\n250-PrivateKey={KEY}\n250 OK\n"))
    assert reason == "control-onion"
    assert len(text) < 200, "it quotes nothing"


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "NEW:ED25519-V3",
        KEY[:11],
        KEY + "\u0131",
        KEY + " Flags=Detach",
        KEY.lower(),
        " " + KEY,
        "RSA1024:" + KEY[11:],
        "ED25519-V3:" + "A" * 129,
    ],
)
def test_a_service_without_a_key(key: str | None) -> None:
    line = "" if key is None else f"250-PrivateKey={key}\n"
    control = at("ADD_ONION", NEW)
    assert failed(told(control, f"250-ServiceID={SERVICE}\n{line}250 OK\n"))[0] == "control-onion"
    for wrong in {key} - {None}:
        with pytest.raises(ValueError, match="no key of an onion service") as caught:
            OnionWanted(PORT, "127.0.0.1:1", wrong)
        assert len(str(caught.value)) < 60


def test_a_kept_key_stays() -> None:
    control = at("ADD_ONION", KEPT)
    [made] = told(control, f"250-ServiceID={SERVICE}\n250-PrivateKey={OTHER_KEY}\n250 OK\n")
    assert isinstance(made, OnionMade)
    assert made.key == KEY


def test_a_kept_key_has_one_address() -> None:
    for onion in (KNOWN, OnionWanted(PORT, "127.0.0.1:1", None, OURS.host())):
        control = at("ADD_ONION", onion)
        said = f"250-ServiceID={STRANGER}\n250-PrivateKey={OTHER_KEY}\n250 OK\n"
        assert failed(told(control, said))[0] == "control-onion"
        assert told(at("ADD_ONION", onion), said.replace(STRANGER, SERVICE).replace(OTHER_KEY, KEY)) == [
            OnionMade(OURS, KEY, guarded=True)
        ]


def test_directories_that_have_our_descriptor() -> None:
    ours = f"650 HS_DESC UPLOADED {SERVICE} UNKNOWN $ABCD~relay\n"
    control = at("ADD_ONION", NEW)
    assert told(control, ours) == [], "there is none yet"
    assert len(told(control, Daemon().said("ADD_ONION NEW:ED25519-V3 Port=1,x"))) == 1
    assert told(control, ours) == [OnionTold()]
    assert told(control, ours + ours) == [OnionTold()] * 2
    assert told(control, f"650 HS_DESC UPLOADED {SERVICE}\n") == [OnionTold()]
    for other in (
        ours.replace(SERVICE, STRANGER),
        ours.replace(SERVICE, SERVICE + ".onion"),
        ours.replace(SERVICE, SERVICE.upper()),
        ours.replace("UPLOADED", "UPLOAD"),
        ours.replace("UPLOADED", "FAILED"),
        ours.replace("UPLOADED", "uploaded"),
        ours.replace("UPLOADED ", "UPLOADED  "),
        ours.replace("HS_DESC", "HS_DESC_CONTENT"),
        "650 HS_DESC\n",
        "650 HS_DESC UPLOADED\n",
        f"650 HS_DESC {SERVICE} UPLOADED\n",
    ):
        assert told(control, other) == [], other
    assert told(up(), ours) == [], "we have none"


# -- how far Tor is


@pytest.mark.parametrize(
    ("phase", "percent", "summary"),
    [
        ('NOTICE BOOTSTRAP PROGRESS=0 TAG=starting SUMMARY="Starting"', 0, "Starting"),
        ('NOTICE BOOTSTRAP PROGRESS=14 TAG=x SUMMARY="Handshaking with a relay"', 14, "Handshaking with a relay"),
        ('WARN BOOTSTRAP PROGRESS=85 SUMMARY="x" WARNING="y" HOSTADDR="1.2.3.4:5"', 85, "x"),
        ("NOTICE BOOTSTRAP PROGRESS=100", 100, ""),
        ("NOTICE BOOTSTRAP PROGRESS=007", 7, ""),
        ('NOTICE BOOTSTRAP PROGRESS=1 SUMMARY="\\033]0;x\\007\\n"', 1, "?]0;x??"),
        ('NOTICE BOOTSTRAP PROGRESS=1 SUMMARY="\u202eevil"', 1, "?evil"),
        (f"NOTICE BOOTSTRAP PROGRESS=1 SUMMARY={'z' * 5_000}", 1, "\u2026"),
        ('NOTICE BOOTSTRAP PROGRESS=1 SUMMARY="' + "z " * 500 + '"', 1, "z " * 100),
    ],
)  # fmt: skip
def test_phases(phase: str, percent: int, summary: str) -> None:
    assert told(up(), f"650 STATUS_CLIENT {phase}\n") == [Bootstrap(percent, summary)]
    info = f"250-status/bootstrap-phase={phase}\n250-net/listeners/socks=\n250 OK\n"
    assert told(at("GETINFO"), info) == [Bootstrap(percent, summary), SocksPorts(())]


HOSTILE_PHASES: Final = [
    "",
    "PROGRESS=",
    "PROGRESS",
    "PROGRESS=-1",
    "PROGRESS=+1",
    "PROGRESS=1.5",
    "PROGRESS=1e2",
    "PROGRESS=0x1",
    "PROGRESS=1_0",
    "PROGRESS=101",
    "PROGRESS=999",
    "PROGRESS=1000",
    "PROGRESS=0100",
    "PROGRESS=" + "9" * 5_000,
    "PROGRESS=\u0663",
    "PROGRESS=\u00b2",
    'PROGRESS=" 1"',
    'SUMMARY="PROGRESS=5"',
    'PROGRESS=5 SUMMARY="',
    "progress=5",
]


@pytest.mark.parametrize("phase", HOSTILE_PHASES)
def test_phases_that_cannot_be(phase: str) -> None:
    said = f"NOTICE BOOTSTRAP {phase}".rstrip()
    assert failed(told(up(), f"650 STATUS_CLIENT {said}\n"))[0] == "control-syntax"
    info = f"250-status/bootstrap-phase={said}\n250 OK\n"
    assert failed(told(at("GETINFO"), info))[0] == "control-syntax"


@pytest.mark.parametrize(
    "event",
    [
        "650 STATUS_CLIENT NOTICE CIRCUIT_ESTABLISHED",
        "650 STATUS_CLIENT NOTICE",
        "650 STATUS_CLIENT",
        "650 STATUS_CLIENT BOOTSTRAP PROGRESS=x",
        "650 STATUS_GENERAL NOTICE BOOTSTRAP PROGRESS=5",
        "650 STATUS_CLIENTS NOTICE BOOTSTRAP PROGRESS=5",
        "650 BW 1 2",
        "650 ",
        '650 "',
        "651 X",
        "699 X",
        "650+NS\nr x\n..\n.\n650 OK",
    ],
)
def test_events_that_say_nothing_to_us(event: str) -> None:
    control = up(NEW)
    assert told(control, event + "\n") == []
    assert control.take_data() == b""


@pytest.mark.parametrize("onion", [NEW, KEPT, None])
def test_events_before_every_answer(onion: OnionWanted | None) -> None:
    calm, busy = Daemon(), Daemon(before="650 BW 1 2\n650-STATUS_CLIENT NOTICE X\n650 OK\n650+A\n..\n.\n650 B\n")
    assert talk(TorControl(NONCE, onion), busy) == talk(TorControl(NONCE, onion), calm)
    assert busy.heard == calm.heard


def test_progress_while_an_answer_is_due() -> None:
    for command in ("SETEVENTS", "GETINFO", "ADD_ONION"):
        control = at(command, NEW)
        assert told(control, "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=5\n") == [Bootstrap(5, "")]
        assert control.waits
        assert control.take_data() == b""


# -- where it takes connections


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", ()),
        ('"127.0.0.1:9050"', ("127.0.0.1:9050",)),
        ('"127.0.0.1:9050" "[::1]:9150" "10.0.0.1:1"', ("127.0.0.1:9050", "[::1]:9150", "10.0.0.1:1")),
        ('"unix:/run/tor/socks"', ()),
        ('"unix:/run/tor/socks" "127.0.0.1:9050"', ("127.0.0.1:9050",)),
        ('"127.0.0.1:9050" "127.0.0.1:9050"', ("127.0.0.1:9050", "127.0.0.1:9050")),
        ('"unix:/run/my 192.0.2.1:9050 tor/socks" "127.0.0.1:9050"', ("127.0.0.1:9050",)),
        ('"unix:/run/my \\"192.0.2.1:9050\\"" "127.0.0.1:9050"', ("127.0.0.1:9050",)),
        ("127.0.0.1:9050", ()),
    ],
)
def test_socks_ports(value: str, found: tuple[str, ...]) -> None:
    assert told(at("GETINFO"), f"250-net/listeners/socks={value}\n250 OK\n") == [SocksPorts(found)]


def test_a_daemon_that_does_not_say() -> None:
    control = at("GETINFO")
    assert told(control, "250 OK\n") == []
    assert not control.waits


# -- order


def test_an_answer_that_nobody_has_asked_for() -> None:
    controls: list[Callable[[], TorControl]] = [up, lambda: up(NEW), waiting_for_its_cookie]
    for make in controls:
        for said in ("250 OK", "510 x", "250-ServiceID=x\n250 OK", "999 x"):
            control = make()
            assert failed(told(control, said + "\n"))[0] == "control-unasked"
            assert control.take_data() == b""


def test_an_answer_to_what_was_not_yet_written() -> None:
    for more in (b"250 OK\r\n", b"515 no\r\n", b"250 OK\r\n" * 3):
        control = TorControl(NONCE, KEPT)
        control.take_data()
        control.receive(b"250-AUTH METHODS=NULL\r\n250 OK\r\n" + more)
        assert failed(control.take_events())[0] == "control-unasked"
        assert control.take_data() == b"", "one command at a time, and here none"
    control = TorControl(NONCE)
    control.receive(Daemon().answer("PROTOCOLINFO 1"))
    assert failed(control.take_events())[0] == "control-unasked"


def test_nothing_is_written_after_a_failure() -> None:
    control = TorControl(NONCE, KEPT, PASSWORD)
    control.take_data()
    control.receive(b"250-AUTH METHODS=HASHEDPASSWORD\r\n250 OK\r\n")
    control.receive(b"garbage\r\n")
    assert failed(control.take_events())[0] == "control-syntax"
    assert control.take_data() == b""


def test_what_comes_before_a_fault_in_one_piece_counts() -> None:
    first, *_ = told(at("AUTHENTICATE"), "515 Authentication failed\ngarbage\n")
    assert failed([first])[0] == "refused"
    one, other = told(up(), "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=5\ngarbage\n")
    assert one == Bootstrap(5, "")
    assert failed([other])[0] == "control-syntax"


def waiting_for_its_cookie() -> TorControl:
    control = at("PROTOCOLINFO")
    assert told(control, Daemon().said("PROTOCOLINFO 1")) == [NeedCookie(PATH)]
    return control


FAILURES: Final[dict[str, Callable[[], TorControl]]] = {
    "garbage": lambda: then(TorControl(NONCE, KEPT, PASSWORD), "SSH-2.0-x\n"),
    "too long": lambda: then(TorControl(NONCE, KEPT, PASSWORD), "2" * (TOR_LINE_BYTES + 1)),
    "no method": lambda: then(TorControl(NONCE, KEPT), "250 OK\n"),
    "needs a password": lambda: then(TorControl(NONCE, KEPT), "250-AUTH METHODS=HASHEDPASSWORD\n250 OK\n"),
    "cookie": lambda: of_wrong_length(waiting_for_its_cookie()),
    "mismatch": lambda: then(at("AUTHCHALLENGE"), f"250 A SERVERHASH=00 SERVERNONCE={SERVER_NONCE.hex()}\n"),
    "path": lambda: then(at("PROTOCOLINFO"), '250-AUTH METHODS=SAFECOOKIE COOKIEFILE="a"\n250 OK\n'),
    "not ours": lambda: then(at("PROTOCOLINFO"), "250-AUTH METHODS=NULL\n250 OK\n"),
    "refused": lambda: then(at("AUTHENTICATE", KEPT), "515 no\n"),
    "needed": lambda: then(at("SETEVENTS", KEPT), "510 no\n"),
    "onion": lambda: then(at("ADD_ONION", KEPT), "551 no\n"),
    "another onion": lambda: then(at("ADD_ONION", KNOWN), f"250-ServiceID={STRANGER}\n250 OK\n"),
    "unasked": lambda: then(up(KEPT), "250 OK\n"),
    "phase": lambda: then(up(KEPT), "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=x\n"),
}


def then(control: TorControl, said: str) -> TorControl:
    control.take_data()
    assert failed(told(control, said))
    return control


def of_wrong_length(control: TorControl) -> TorControl:
    control.cookie(b"")
    assert failed(control.take_events())[0] == "cookie-length"
    return control


@pytest.mark.parametrize("how", FAILURES)
def test_nothing_happens_after_a_failure(how: str) -> None:
    control = FAILURES[how]()
    assert not control.waits
    for said in (
        *("250 OK\n", "\n", "650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=5\n", "x" * (TOR_LINE_BYTES + 1)),
        *map(Daemon().said, (*LOGIN, *AFTER, "ADD_ONION NEW:ED25519-V3 Port=1,x")),
    ):
        assert told(control, said) == []
        control.cookie(COOKIE)
        assert control.take_events() == []
        assert control.take_data() == b""
        assert not control.waits


# -- what does not show


def test_nothing_shows_in_a_repr() -> None:
    control = TorControl(NONCE, KEPT, PASSWORD)
    made = talk(control, Daemon())[-1]
    made_from_new = talk(TorControl(NONCE, NEW), Daemon())[-1]
    secrets = (KEY[11:40], "secret", SERVICE[:16], COOKIE.hex(), COOKIE.hex().upper(), repr(COOKIE)[2:20], to_server())
    for one in (control, KEPT, NEW, made, made_from_new, [made], OnionTold(), control.__dict__.keys()):
        for text in (repr(one), str(one), f"{one}"):
            assert not any(secret in text for secret in secrets), text
    assert "guarded=True" in repr(made)


@pytest.mark.parametrize("how", FAILURES)
def test_a_failure_quotes_no_secret(how: str) -> None:
    control = FAILURES[how]()
    assert not any(secret in repr(control) for secret in (KEY[11:40], "secret", COOKIE.hex()))


@pytest.mark.parametrize("text", [KEY, OTHER_KEY])
def test_keys(text: str) -> None:
    assert is_onion_key(text)
    assert not any(map(is_onion_key, (text + "\n", "\n" + text, text[11:], text.replace(":", " "), text + " x")))


@pytest.mark.parametrize(
    "text",
    [
        *("", "ED25519-V3:", "ED25519-V3:=", "ED25519-V3:A", KEY[:-1], KEY[:-2], KEY[:-30], KEY + "="),
        *(KEY[:40] + "=" + KEY[41:], KEY[:40] + "-" + KEY[41:], KEY[:-4] + "\u0131A=="),
        *(f"ED25519-V3:{b64encode(bytes(size)).decode()}" for size in (0, 32, 63, 65, 96)),
    ],
)
def test_a_key_has_64_bytes(text: str) -> None:
    assert not is_onion_key(text)


# -- whatever a daemon says


def cut(stream: bytes, ends: Iterable[int]) -> list[bytes]:
    """A stream in pieces."""
    at = [0, *sorted(end % (len(stream) + 1) for end in ends), len(stream)]
    return [stream[begin:end] for begin, end in pairwise(at)]


ends = st.lists(st.integers(0, 100_000), max_size=12)


def disturbed(data: bytes, where: int, how: int, extra: bytes) -> bytes:
    """Bytes of a daemon with something wrong in them."""
    place = where % (len(data) + 1)
    match how:
        case 0:
            return data[:place] + extra + data[place:]
        case 1:
            return data[:place] + data[place + len(extra) :]
        case 2:
            return data[:place] + extra + data[place + len(extra) :]
        case 3:
            return data + data
        case 4:
            return extra + data
    return data[:place]


_WORDS: Final = st.sampled_from(
    [b"\r\n", b"250 OK\r\n", b"650 ", b"512 x\r\n", b'"', b"\\", b"-", b"+", b"=", b" ", b"\x00", b"\xff", b"NULL"]
)  # fmt: skip
mishaps = st.dictionaries(
    st.integers(0, 7), st.tuples(st.integers(0, 300), st.integers(0, 5), _WORDS | st.binary(max_size=4)), max_size=3
)


@given(
    st.sampled_from([None, NEW, KEPT, KNOWN]),
    st.sampled_from([None, PASSWORD]),
    st.booleans(),
    st.sampled_from(["COOKIE,SAFECOOKIE", "NULL", "HASHEDPASSWORD", "HASHEDPASSWORD,SAFECOOKIE"]),
    mishaps,
    ends,
)
@settings(max_examples=250)
def test_whatever_a_daemon_says(
    onion: OnionWanted | None,
    password: str | None,
    own: bool,
    methods: str,
    mishaps: dict[int, tuple[int, int, bytes]],
    ends: list[int],
) -> None:
    control = TorControl(NONCE, onion, password, own=own)
    daemon = Daemon(methods)
    commands = 0
    for turn in range(12):
        said = control.take_data()
        commands += said.count(b"\r\n")
        assert said == b"" or said.endswith(b"\r\n")
        answers = b"".join(map(daemon.answer, said.decode().splitlines()))
        if turn in mishaps:
            answers = disturbed(answers, *mishaps[turn])
        for piece in cut(answers, ends):
            control.receive(piece)
        events = control.take_events()
        for event in events:
            judge(event, onion)
            if isinstance(event, NeedCookie):
                control.cookie(COOKIE)
        if any(isinstance(event, ControlFailed) for event in events):
            assert not control.waits
            control.take_data()
            control.receive(b"250 OK\r\n650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=5\r\n")
            control.cookie(COOKIE)
            assert (control.take_events(), control.take_data()) == ([], b"")
            break
    assert commands <= 8, "each is said once; the onion service perhaps twice"
    if not mishaps and not (methods == "HASHEDPASSWORD" and password is None):
        assert not control.waits
        assert commands == len(daemon.heard)


def judge(event: ControlEvent, onion: OnionWanted | None) -> None:
    """What holds for every event."""
    match event:
        case Bootstrap(percent, summary):
            assert 0 <= percent <= 100
            assert summary.isprintable()
            assert len(summary) <= 200
        case OnionMade(address, key, _):
            assert onion is not None
            assert (address.network, address.port) == (Network.TORV3, PORT)
            assert is_onion_key(key)
            assert onion.key in (None, key)
            assert onion.host in (None, address.host())
        case OnionTold():
            assert onion is not None
        case ControlFailed(reason, text):
            assert re.fullmatch(r"[a-z-]+", reason)
            assert text.isprintable()
            assert PASSWORD not in text
            assert KEY not in text


@given(st.lists(_WORDS | st.binary(max_size=20), max_size=20), st.sampled_from([None, NEW, KEPT]))
@settings(max_examples=100)
def test_random_bytes(pieces: list[bytes], onion: OnionWanted | None) -> None:
    for control in (TorControl(NONCE, onion, PASSWORD), up(onion), waiting_for_its_cookie()):
        for piece in pieces:
            control.receive(piece)
        for event in control.take_events():
            judge(event, onion)


# -- what is told


def test_it_fails_once() -> None:
    assert len(told(at("AUTHENTICATE"), "515 Authentication failed\ngarbage\n")) == 1
