"""A Tor network of one's own on loopback: one authority, relays, and as many clients as a test asks for.

Everything is the system's ``tor``; nothing leaves 127.0.0.1. It takes about ten seconds from nothing to a client at
100 %, now and then more than thirty, so it is started once for all tests of a run. The processes end with this one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

RELAYS = 4
PATIENCE_S = 180.0
_AGAIN_S = 5.0

_EVERYBODY = """
TestingTorNetwork 1
PathsNeededToBuildCircuits 0.67
ShutdownWaitLength 0
AvoidDiskWrites 1
NumCPUs 1
ConfluxEnabled 0
Schedulers Vanilla
GeoIPFile /dev/null
GeoIPv6File /dev/null
UseDefaultFallbackDirs 0
"""
_RELAY = """
Address 127.0.0.1
AssumeReachable 1
ContactInfo nobody
DirCache 1
ServerDNSDetectHijacking 0
ServerDNSTestAddresses
ServerDNSAllowBrokenConfig 1
"""
_AUTHORITY = """
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 20
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingDirAuthVoteGuard *
TestingDirAuthVoteExit *
TestingDirAuthVoteHSDir *
TestingMinExitFlagThreshold 0
TestingMinFastFlagThreshold 0
MinUptimeHidServDirectoryV2 0
AuthDirTestReachability 0
"""


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class TorProcess:
    """One ``tor``."""

    name: str
    directory: Path
    control: int
    socks: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def torrc(self) -> Path:
        """Its configuration."""
        return self.directory / "torrc"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.directory / "log"

    @property
    def cookie(self) -> Path:
        """The cookie of its control port."""
        return self.directory / "control_auth_cookie"

    def start(self) -> None:
        """Run it."""
        assert self.process is None, "it runs"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "tor",
                    "-f",
                    str(self.torrc),
                    "--defaults-torrc",
                    "/nonexistent",
                    "--ignore-missing-torrc",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; harmless if it does not run."""
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def tell(self, *commands: str) -> str:
        """Its answers at the control port."""
        with socket.create_connection(("127.0.0.1", self.control), 10) as sock:
            lines = [f"AUTHENTICATE {self.cookie.read_bytes().hex()}", *commands, "QUIT"]
            sock.sendall("".join(line + "\r\n" for line in lines).encode())
            return b"".join(iter(lambda: sock.recv(65_536), b"")).decode()

    def must(self, *commands: str) -> None:
        """Tell it what it has to do; it does that, or this raises."""
        answer = self.tell(*commands)
        if answer.count("250 OK\r\n") != 1 + len(commands):
            raise RuntimeError(f"{self.name} does not do as it is told: {answer}")

    def dial(self, host: str, port: int) -> socket.socket:
        """A connection by its SOCKS port. Raises ``ConnectionError`` if there is none."""
        sock = socket.create_connection(("127.0.0.1", self.socks), PATIENCE_S)
        try:
            name = host.encode()
            # SOCKS5 without a login; CONNECT to a name (RFC 1928). Its answers are of 2 and, with an IPv4 address, 10.
            sock.sendall(b"\5\1\0" + b"\5\1\0\3" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
            answer = b""
            while len(answer) < 12 and (piece := sock.recv(12 - len(answer))):
                answer += piece
            if answer[:4] != b"\5\0\5\0" or len(answer) < 12:
                raise ConnectionError(f"{self.name} connects to nobody: {answer.hex()}")
        except BaseException:
            sock.close()
            raise
        return sock

    def is_up(self) -> bool:
        """Whether it has built a circuit."""
        return self._says("status/bootstrap-phase", "PROGRESS=100")

    def is_informed(self) -> bool:
        """Whether it knows enough of the network to build circuits."""
        return self._says("status/enough-dir-info", "=1")

    def _says(self, key: str, value: str) -> bool:
        try:
            return value in self.tell(f"GETINFO {key}")
        except OSError:
            return False


class TorNetwork:
    """Use it in a ``with``.

    Args:
        root: a new directory, with a short path: sockets are in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.authority_line = ""
        self._relays: list[TorProcess] = []
        self._clients: list[TorProcess] = []
        self._told_at = time.monotonic()
        """When relays were told to look for directory information."""

    # -- life

    def __enter__(self) -> TorNetwork:
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of it."""
        for one in (*self._clients, *self._relays):
            one.stop()

    def _begin(self) -> None:
        (self.root / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        authority = self._relay("authority")
        orport, dirport = free_port(), free_port()
        keys = authority.directory / "keys"
        keys.mkdir(mode=0o700)
        subprocess.run(
            ["tor-gencert", "--create-identity-key", "-m", "12", "-a", f"127.0.0.1:{dirport}", "--passphrase-fd", "0"],
            input=b"nothing\n",
            cwd=keys,
            check=True,
            capture_output=True,
        )
        identity = next(
            line.split()[1]
            for line in (keys / "authority_certificate").read_text().splitlines()
            if line.startswith("fingerprint ")
        )
        fingerprint = self._fingerprint(authority, orport, dirport)
        self.authority_line = (
            f"DirAuthority authority orport={orport} no-v2 v3ident={identity} 127.0.0.1:{dirport} {fingerprint}"
        )
        self._write(
            authority, _RELAY + _AUTHORITY + f"ORPort 127.0.0.1:{orport} IPv4Only\nDirPort 127.0.0.1:{dirport}\n"
        )
        for at in range(RELAYS):
            leaves = "ExitRelay 1\nExitPolicyRejectPrivate 0\nExitPolicy accept *:*\n" if at == 0 else "ExitRelay 0\n"
            relay = self._relay(f"relay{at}")
            port = free_port()
            self._fingerprint(relay, port, 0)
            self._write(relay, _RELAY + leaves + f"ORPort 127.0.0.1:{port} IPv4Only\n")
        for one in self._relays:
            one.start()
        self._await("the consensus names all relays", lambda: self._listed(self._relays[0]) == RELAYS + 1)
        for one in self._relays[1:]:
            with contextlib.suppress(OSError):
                one.tell("SIGNAL RELOAD")
        self._await("relays have directory information", self._informed)

    def _informed(self) -> bool:
        """Whether all relays know what they have to. Those that do not are told to look, now and then: by themselves
        they wait longer each time."""
        lacking = [one for one in self._relays[1:] if not self._knows_all(one)]
        if lacking and time.monotonic() > self._told_at + _AGAIN_S:
            self._told_at = time.monotonic()
            for one in lacking:
                with contextlib.suppress(OSError):
                    one.tell("SIGNAL RELOAD")
        return not lacking

    def _knows_all(self, one: TorProcess) -> bool:
        # The only exit may never have a circuit of its own, as it finds no exit but itself.
        is_ready = one.is_informed() if one is self._relays[1] else one.is_up()
        return is_ready and self._listed(one) == RELAYS + 1

    @staticmethod
    def _listed(one: TorProcess) -> int:
        """Relays in the consensus that it has."""
        with contextlib.suppress(OSError):
            return one.tell("GETINFO ns/all").count("\nr ")
        return 0

    def _relay(self, name: str) -> TorProcess:
        made = self._new(name)
        self._relays.append(made)
        return made

    def _new(self, name: str) -> TorProcess:
        directory = self.root / name
        directory.mkdir(mode=0o700)
        return TorProcess(name, directory, free_port())

    def _write(self, one: TorProcess, more: str) -> None:
        one.torrc.write_text(
            _EVERYBODY
            + f"Nickname {one.name}\nDataDirectory {one.directory}\nControlPort 127.0.0.1:{one.control}\n"
            + f"CookieAuthentication 1\n__OwningControllerProcess {os.getpid()}\n{self.authority_line}\n"
            + (f"SocksPort 127.0.0.1:{one.socks} IsolateSOCKSAuth ExtendedErrors\n" if one.socks else "SocksPort 0\n")
            + f"ServerDNSResolvConfFile {self.root / 'resolv.conf'}\nLog notice stdout\n"
            + more
        )

    @staticmethod
    def _fingerprint(one: TorProcess, orport: int, dirport: int) -> str:
        """Make its keys; its fingerprint."""
        done = subprocess.run(
            [
                *("tor", "--list-fingerprint", "-f", "/nonexistent", "--ignore-missing-torrc"),
                *("--defaults-torrc", "/nonexistent", "--Nickname", one.name, "--DataDirectory", str(one.directory)),
                *("--ORPort", str(orport), "--DirPort", str(dirport), "--Address", "127.0.0.1"),
                *("--SocksPort", "0", "--Log", "err stderr"),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip().splitlines()[-1].split(" ", 1)[1].replace(" ", "")

    @staticmethod
    def _await(what: str, is_so: object, ended: TorProcess | None = None) -> None:
        assert callable(is_so)
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            if ended is not None and ended.process is not None and ended.process.poll() is not None:
                raise RuntimeError(f"{ended.name} has ended: {ended.log.read_text()[-1_000:]}")
            if time.monotonic() > until:
                raise TimeoutError(f"not in {PATIENCE_S:.0f} s: {what}")
            time.sleep(0.2)

    # -- clients

    def client(self, name: str, more: str = "") -> TorProcess:
        """A running client at 100 %."""
        made = self._new(name)
        made.socks = free_port()
        self._write(made, more)
        self._clients.append(made)
        made.start()
        self._await(f"{name} is at 100 %", made.is_up, made)
        return made

    @contextlib.contextmanager
    def slowed(self, kib: int) -> Iterator[None]:
        """Relays take from each client, and give it, so many KiB a second. What they hold is lost with its circuit.

        (A client that limits itself answers at its control port late, or for many seconds not at all.)
        """
        self._tell_relays(f"SETCONF PerConnBWRate={kib}KBytes PerConnBWBurst={kib}KBytes")
        try:
            yield
        finally:
            self._tell_relays("RESETCONF PerConnBWRate PerConnBWBurst")

    def _tell_relays(self, command: str) -> None:
        for one in self._relays:
            one.must(command)

    @property
    def extra(self) -> list[str]:
        """What a node's own ``tor`` needs in its configuration to be a client of this network."""
        return [*_EVERYBODY.strip().splitlines(), self.authority_line]


def are_installed() -> bool:
    """The programs that this needs."""
    return shutil.which("tor") is not None and shutil.which("tor-gencert") is not None
