"""Whatever obscura.toml, the environment and the command line say, there are settings that hold, or a ConfigError."""

from __future__ import annotations

from collections.abc import Iterator

from choices import Choices

import rig
from obscura.app.settings import FILE_NAME, PREFIX, Settings, load
from obscura.base.errors import ConfigError
from obscura.wire.address import Network

MAX_LEN = 2_048
REACHES = (
    "app.settings.Settings.check",
    "app.settings.Settings.listen_address",
    "app.settings.Settings.peers",
    "app.settings.Settings.work",
    "app.settings._apply",
    "app.settings._checked",
    "app.settings._from_text",
    "app.settings._refuse",
)
KEYS = tuple(Settings.__dataclass_fields__)


def run(data: bytes) -> None:
    """A file; then pairs for the environment and for the command line."""
    choices = Choices(data)
    environment: dict[str, str] = {}
    given: dict[str, object] = {}
    for _ in range(choices.below(4)):
        key, value = choices.pick((*KEYS, "datadir", "conect")), choices.piece().decode("utf-8", "surrogateescape")
        if choices.below(2):
            environment[PREFIX + key.upper()] = value
        else:
            given[key] = choices.pick((value, True, False, None, 5, -1, [value], (value, value), 1.5))
    with rig.scratch() as folder:
        (folder / FILE_NAME).write_bytes(choices.rest())
        try:
            settings = load(folder, environment, given)
        except ConfigError as error:
            assert str(error), "an operator is told something"
            return
    settings.check()
    assert 0 <= settings.outbound <= 1_000
    assert 0 <= settings.inbound <= 10_000
    assert settings.work() >= 0, "work is never negative"
    peers = settings.peers()
    assert all(peer.address.port or peer.address.network is Network.I2P for peer in peers)
    assert len({peer.address for peer in peers}) == len(peers), "one target for each address"
    settings.listen_address()
    assert isinstance(settings.local(), bool)
    assert hash(settings) == hash(settings), "all that is set is plain"


def seeds() -> Iterator[bytes]:
    """A file with every key, files that are wrong in one place, and the other two sources."""
    good = (
        'network = "regtest"\nlisten = "127.0.0.1:18444"\nconnect = ["127.0.0.1:1", "[::1]:2"]\ntransport = "plain"\n'
        'discover = false\noutbound = 3\ninbound = 0\nallow_local = true\nminimum_work = "ff"\nlog_level = "debug"\n'
        "log_json = true\n"
    )
    yield b"\0" + good.encode()
    for line in (
        'conect = "a"',
        "outbound = true",
        "outbound = -1",
        "connect = [1]",
        'connect = "1.2.3.4:0"',
        'connect = ["plain://1.2.3.4:1", "1.2.3.4:1"]',
        'connect = "obscura://' + "a" * 55 + '@1.2.3.4:1"',
        'minimum-work = "xyz"',
        'minimum-work = "-1"',
        'listen = "example.org"',
        'listen = "[::1]"',
        'network = "nowhere"',
        'transport = "veiled"',
        'log_level = "loud"',
        "a = [",
        "a = " + "[" * 500,
        "a.b.c = 1979-05-27T07:32:00Z",
        "outbound = " + "9" * 300,
    ):
        yield b"\0" + line.encode()
    index = {key: number for number, key in enumerate(KEYS)}
    for key, value in (
        ("outbound", b"5"),
        ("outbound", b"--5"),
        ("outbound", b"\xc2\xb2"),
        ("connect", b"127.0.0.1:1, 127.0.0.1:2"),
        ("discover", b"no"),
        ("log_json", b"perhaps"),
        ("network", b"signet"),
    ):
        for where in (0, 1):
            yield bytes([1, index[key]]) + rig.pack(value) + (bytes([1]) if where else bytes([0, 0]))
