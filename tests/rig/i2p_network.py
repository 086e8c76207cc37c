"""An I2P network of one's own: routers in a network namespace, with their SAM bridges brought out to loopback.

Everything is the system's ``i2pd``. The namespace has no interface but its own ``lo``, so nothing can leave it. The
routers have addresses of the range for benchmarks there, because they refuse each other at addresses of loopback.
The namespace is a thread's: it is gone with the thread, and the routers are too.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import shutil
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from forwarder import Forwarder, LoopThread

ROUTERS = 6
HOPS = 1
PATIENCE_S = 60.0
_SETTLING_S = 0.3
_HELLO = b"HELLO VERSION MIN=3.1 MAX=3.1\n"
_NTCP2_PORT = 12345
_SAM_PORT = 7656
_CLONE_NEWNET = 0x40000000
_PIECE_BYTES = 65_536

_CONFIGURATION = """
daemon = false
log = stdout
loglevel = warn
netid = 77
ipv4 = true
ipv6 = false
host = {address}
address4 = {address}
port = {port}
nat = false
floodfill = true
bandwidth = X

[ntcp2]
enabled = true
published = true
port = {port}

[ssu2]
enabled = false

[reseed]
threshold = 0
verify = false
urls =
yggurls =

[nettime]
enabled = false

[persist]
profiles = false

# It dies three minutes after the start if these are empty, and at once without an address book.
[addressbook]
defaulturl = http://nowhere.i2p/hosts.txt
subscriptions = http://nowhere.i2p/hosts.txt

[exploratory]
inbound.length = {hops}
outbound.length = {hops}

[sam]
enabled = true
address = {address}
port = {sam}

[http]
enabled = false

[httpproxy]
enabled = false

[socksproxy]
enabled = false

[bob]
enabled = false

[i2cp]
enabled = false

[i2pcontrol]
enabled = false

[upnp]
enabled = false
"""


def _leave_network() -> None:
    """Put this thread alone into a new network namespace."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace can be made")


@dataclass
class Router:
    """One ``i2pd``."""

    number: int
    directory: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Where it is in the namespace."""
        return f"198.18.{self.number + 1}.1"

    @property
    def info(self) -> Path:
        """What it tells others of itself; it is there once the router has run."""
        return self.directory / "router.info"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.directory / "log"

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def write(self) -> None:
        """Write its configuration."""
        (self.directory / "i2pd.conf").write_text(
            _CONFIGURATION.format(address=self.address, port=_NTCP2_PORT, sam=_SAM_PORT, hops=HOPS)
        )

    def start(self) -> None:
        """Run it where this thread is; it ends with this thread."""
        assert self.process is None, "it runs"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", "i2pd"),
                    *("--conf", str(self.directory / "i2pd.conf")),
                    *("--tunconf", str(self.directory / "tunnels.conf")),
                    *("--tunnelsdir", str(self.directory / "tunnels.d")),
                    *("--certsdir", str(self.directory / "certificates")),
                    *("--pidfile", str(self.directory / "pid")),
                    *("--datadir", str(self.directory)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def tell(self, how: signal.Signals) -> None:
        """Tell it to end, if it runs."""
        if self.process is not None:
            self.process.send_signal(how)

    def wait(self) -> None:
        """Wait until it has ended; harmless if it does not run."""
        if self.process is not None:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def learn(self, other: Router) -> None:
        """Have it know another router when it starts."""
        info = other.info.read_bytes()
        # The identity: 384 bytes of keys, then a certificate with its length.
        identity = info[: 387 + int.from_bytes(info[385:387], "big")]
        name = b64encode(hashlib.sha256(identity).digest(), altchars=b"-~").decode()
        path = self.directory / "netDb" / f"r{name[0]}" / f"routerInfo-{name}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(info)


class I2PNetwork:
    """Use it in a ``with``. It needs the right to make network namespaces.

    Inside the ``with`` all bridges answer at the ports of 127.0.0.1 that :meth:`sam` gives; that takes about 1.5 s.
    Tunnels are not waited for. A SESSION CREATE takes 20 s, because ``i2pd`` looks only every 20 s whether the tunnels
    are there; now and then it takes 40 or 60. The first stream is there 0.1 to 12 s after the sessions; until then,
    INVALID_KEY to a look-up and CANT_REACH_PEER are usual. Some streams are answered with OK and carry nothing: give
    one up after 10 s and open another.

    When an old destination gets a new session, as after a restart, whoever has connected to it before does not reach
    it for up to 9 minutes, unless it opens a stream to them. So come with a new session, or let it come. A session with
    the key of one that has ended less than 6 s ago dies silently.

    With a session goes what its streams have said last, and their ends: the other side hears no more of them.

    Args:
        root: a new directory.
        routers: how many; all know each other.
    """

    def __init__(self, root: Path, routers: int = ROUTERS) -> None:
        self.root = root
        self.routers = [Router(number, root / f"router{number}") for number in range(routers)]
        self._inside: LoopThread | None = None
        self._forwarders: list[Forwarder] = []

    # -- life

    def __enter__(self) -> I2PNetwork:
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
        for forwarder in self._forwarders:
            forwarder.close()
        self._forwarders.clear()
        if self._inside is not None:
            # In there, so that none is just being started.
            self._inside.call(lambda: self._stop_all(signal.SIGKILL))
            self._inside.close()
            self._inside = None

    def _begin(self) -> None:
        self._inside = inside = LoopThread("i2p-network", _leave_network)
        inside.call(self._make_addresses)
        for router in self.routers:
            router.directory.mkdir(mode=0o700, parents=True)
            router.write()
            inside.call(router.start)
        self._await("all routers have described themselves", lambda: all(one.info.exists() for one in self.routers))
        self._stop_all(signal.SIGTERM)
        for router in self.routers:
            self._introduce(router)
            inside.call(router.start)
        self._await("all SAM bridges answer", lambda: all(self._answers(one) for one in self.routers))
        for router in self.routers:
            self._forwarders.append(Forwarder(inside, (router.address, _SAM_PORT)))
            self._forwarders[-1].open()

    def _make_addresses(self) -> None:
        lines = [*(f"address add {one.address}/32 dev lo" for one in self.routers), "link set lo up"]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True, capture_output=True)

    def _introduce(self, router: Router) -> None:
        for other in self.routers:
            if other is not router:
                router.learn(other)

    def _stop_all(self, how: signal.Signals) -> None:
        for router in self.routers:
            router.tell(how)
        for router in self.routers:
            router.wait()

    def _answers(self, router: Router) -> bool:
        """Whether its bridge says HELLO."""
        assert self._inside is not None, "use it in a with"
        with contextlib.suppress(OSError), self._inside.call(socket.socket) as sock:
            sock.settimeout(5)
            sock.connect((router.address, _SAM_PORT))
            sock.sendall(_HELLO)
            return b"RESULT=OK" in sock.recv(_PIECE_BYTES)
        return False

    def _await(self, what: str, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            for one in self.routers:
                if one.has_ended:
                    raise RuntimeError(f"a router has ended by itself: {one.log.read_text()[-1000:]}")
            if time.monotonic() > until:
                raise TimeoutError(f"not in {PATIENCE_S:.0f} s: {what}")
            time.sleep(0.1)

    # -- routers

    def sam(self, number: int) -> int:
        """The port of 127.0.0.1 where the SAM bridge of this router is; it stays the same when the router restarts."""
        return self._forwarders[number].port

    def stop_router(self, number: int, how: signal.Signals = signal.SIGTERM) -> None:
        """End a router; then its SAM port refuses. Harmless if it does not run.

        Its SAM connections are cut first: with a session open, ``i2pd`` takes SIGTERM and never ends.
        """
        self._forwarders[number].shut()
        self._forwarders[number].drop()
        time.sleep(_SETTLING_S)
        self.routers[number].tell(how)
        self.routers[number].wait()

    def start_router(self, number: int) -> None:
        """Run a router again, with the keys that it had; its bridge answers afterwards."""
        assert self._inside is not None, "use it in a with"
        router = self.routers[number]
        self._introduce(router)
        self._inside.call(router.start)
        self._await(f"the SAM bridge of router {number} answers", lambda: self._answers(router))
        self._forwarders[number].open()

    def drop_connections(self, number: int) -> None:
        """Cut all SAM connections to a router, as if its bridge were lost; new ones are let in."""
        self._forwarders[number].drop()


def are_installed() -> bool:
    """The programs that this needs, and the right to make a network namespace."""
    if any(shutil.which(name) is None for name in ("i2pd", "ip", "setpriv", "unshare")):
        return False
    return subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode == 0
