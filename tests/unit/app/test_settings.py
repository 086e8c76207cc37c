"""Settings: their sources, their order, and refusals by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from obscura.app.settings import Settings, load
from obscura.base.errors import ConfigError
from obscura.wire.address import Network
from obscura.wire.keytext import key_text, secret_text
from obscura.wire.target import Mode


def test_later_sources_win(tmp_path: Path) -> None:
    (tmp_path / "obscura.toml").write_text('network = "signet"\noutbound = 3\ninbound = 4\nconnect = ["1.2.3.4:5"]\n')
    settings = load(
        tmp_path, {"OBSCURA_OUTBOUND": "5", "OBSCURA_INBOUND": "6", "HOME": "/"}, {"inbound": 7, "listen": None}
    )
    assert (settings.network, settings.outbound, settings.inbound) == ("signet", 5, 7)
    assert [target.address.port for target in settings.peers()] == [5]


def test_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, {}, {})
    assert settings == Settings()
    assert settings.listen_address() is None
    assert not settings.local()
    assert load(tmp_path, {}, {"network": "regtest"}).local()


def test_environment_lists_and_switches(tmp_path: Path) -> None:
    settings = load(
        tmp_path, {"OBSCURA_CONNECT": "1.2.3.4:5, [::1]:6", "OBSCURA_DISCOVER": "no", "OBSCURA_DATADIR": "x"}, {}
    )
    assert len(settings.peers()) == 2
    assert settings.discover is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("netwrok = 1", "no setting 'netwrok'; did you mean network"),
        ("zzz = 1", "no setting 'zzz'; known are network"),
        ("outbound = true", "must be a whole number"),
        ('outbound = "3"', "must be a whole number"),
        ("listen = 5", "must be a text"),
        ("discover = 1", "must be true or false"),
        ('connect = "1.2.3.4"', "HOST:PORT"),
        ("connect = [1]", "must be a list of texts"),
        ('connect = ["1.2.3.4:0"]', "port 0"),
        ('connect = ["http://1.2.3.4:5"]', "connect: 'http' is no scheme"),
        ('connect = ["obscura://abc@1.2.3.4:5"]', "connect: obscura://…@1.2.3.4:5: the key has 3 characters"),
        ('connect = ["1.2.3.4:5", "plain://1.2.3.4:5"]', "1.2.3.4:5 is named twice, with different modes or keys"),
        ("outbound = 5000", "0 to 1000"),
        ('no_stem = "never"', "choose one of fluff, wait, now"),
        ("stem_hop_ms = 0", "1 to 60000"),
        ("stem_age = -1", "0 to 86400"),
        ("stem_trace = true", "on regtest alone"),
        ('minimum_work = "xyz"', "hexadecimal"),
        ('minimum_work = "-1"', "hexadecimal"),
        ('minimum_work = "1_0"', "hexadecimal"),
        ("outbound = " + "[" * 2_000, "not valid TOML"),
        ("outbound = " + "9" * 5_000, "not valid TOML"),
        ('log_level = "loud"', "debug, info"),
        ('transport = "tls"', "veiled, literal, plain"),
        ('listener = "keyed"', "--listen too"),
        ('listener = "keyed"\nlisten = "127.0.0.1"\ntransport = "plain"', "only a veiled node"),
        ("network = [", "not valid TOML"),
    ],
)
def test_refusals_name_source_and_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "obscura.toml").write_text(text)
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        load(tmp_path, {}, {})


def test_peers_are_named_with_mode_and_key() -> None:
    texts = ("1.2.3.4:5", f"obscura://{key_text(bytes(32))}@1.2.3.5:5", "plain://[::1]:6", "1.2.3.4:5")
    found = Settings(connect=texts).peers()
    assert [(target.mode, target.key) for target in found] == [
        (None, None),
        (Mode.VEILED, bytes(32)),
        (Mode.PLAIN, None),
    ], "and one that is named twice in the same way is one"


def test_no_secret_of_a_peer_shows(tmp_path: Path) -> None:
    secret = secret_text(bytes(32))
    url = f"obscura://{key_text(bytes(32))}.{secret}@1.2.3.4:5"
    assert secret not in repr(Settings(connect=(url,)))
    with pytest.raises(ConfigError, match="connect must be a list of texts") as caught:
        load(tmp_path, {}, {"connect": [url, 1]})
    assert secret not in str(caught.value)
    with pytest.raises(ConfigError, match="the access secret has 54 characters") as caught:
        load(tmp_path, {}, {"connect": (url.replace("@", "")[:-10] + "@1.2.3.4:5",)})
    assert secret[:20] not in str(caught.value)


def test_environment_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="environment: there is no setting 'outbuond'; did you mean outbound"):
        load(tmp_path, {"OBSCURA_OUTBUOND": "5"}, {})
    with pytest.raises(ConfigError, match="whole number"):
        load(tmp_path, {"OBSCURA_OUTBOUND": "many"}, {})


@pytest.mark.parametrize("text", ["--5", "\u00b2", "9" * 5_000, "5 ", ""])
def test_environment_numbers_that_python_reads_or_chokes_on(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        load(tmp_path, {"OBSCURA_OUTBOUND": text}, {})


ONION = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion:8333"
I2P = "a" * 52 + ".b32.i2p"


@pytest.mark.parametrize(
    ("given", "reach"),
    [
        ({}, {Network.IPV4, Network.IPV6}),
        ({"tor": True}, {Network.IPV4, Network.IPV6, Network.TORV3}),
        ({"tor_socks": "127.0.0.1:9050"}, {Network.IPV4, Network.IPV6, Network.TORV3}),
        ({"tor": True, "onlynet": ("onion",)}, {Network.TORV3}),
        ({"i2p_sam": "localhost:7656", "onlynet": ("i2p", "ipv4")}, {Network.I2P, Network.IPV4}),
        ({"onlynet": ("cjdns",)}, {Network.CJDNS}),
        ({"listen": "[fc00::1]:1"}, {Network.IPV4, Network.IPV6, Network.CJDNS}),
    ],
)
def test_networks_that_may_be_dialled(tmp_path: Path, given: dict[str, object], reach: set[Network]) -> None:
    assert set(load(tmp_path, {}, given).reach()) == reach


@pytest.mark.parametrize(
    ("given", "way"),
    [
        ({}, "direct"),
        ({"tor": True}, "tor"),
        ({"tor": True, "listen": "127.0.0.1"}, "direct"),
        ({"tor": True, "proxy": "direct"}, "direct"),
        ({"tor": True, "listen": "127.0.0.1", "proxy": "tor"}, "tor"),
        ({"proxy": "127.0.0.1:1080"}, "proxy"),
    ],
)
def test_how_ip_addresses_are_dialled(tmp_path: Path, given: dict[str, object], way: str) -> None:
    assert load(tmp_path, {}, given).clearnet_way() == way


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"connect": (ONION,)}, "onion addresses need Tor"),
        ({"connect": (I2P,)}, "need a router: --i2p-sam"),
        ({"connect": (ONION,), "tor": True, "onlynet": ("ipv4",)}, "leaves TORV3 out"),
        ({"connect": ("1.2.3.4:5",), "tor": True, "onlynet": ("onion",)}, "leaves IPV4 out"),
        ({"onlynet": ("onion",)}, "onion addresses need Tor"),
        ({"onlynet": ("tor",)}, "choose among ipv4"),
        ({"proxy": "tor"}, "give --tor too"),
        ({"proxy": "example.com:1080"}, "proxy"),
        ({"tor_socks": ONION}, "HOST:PORT with an IP address"),
        ({"tor_control": "127.0.0.1"}, "tor_control"),
        ({"tor_extra": ("UseBridges 1",)}, "for the tor that --tor starts"),
        ({"onion": True}, "needs Tor's control port"),
        ({"tor": True, "onion": True, "listener": "keyed", "listen": "127.0.0.1"}, "tie them together"),
        ({"tor": True, "onlynet": ("onion",), "listen": "127.0.0.1"}, "--onlynet leaves out"),
        ({"listen": "127.0.0.1", "inbound": 0}, "nobody could be let in"),
        ({"listen": f"obscura://{'k' * 55}.{'s' * 55}@127.0.0.1:1"}, "without a scheme or a key"),
    ],
)
def test_networks_that_cannot_be(tmp_path: Path, given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load(tmp_path, {}, given)
    assert "s" * 20 not in str(caught.value)


def test_services_by_which_others_reach_us(tmp_path: Path) -> None:
    both = {"tor": True, "i2p_sam": "127.0.0.1:7656"}
    found = load(tmp_path, {}, both)
    assert found.has_onion and found.has_destination
    found = load(tmp_path, {}, both | {"listener": "keyed", "listen": "127.0.0.1"})
    assert not found.has_onion and not found.has_destination, "who is not invited finds nobody there either"
    found = load(tmp_path, {}, both | {"onion": False, "i2p_listen": False})
    assert not found.has_onion and not found.has_destination
    found = load(tmp_path, {}, {"tor_socks": "127.0.0.1:9050"})
    assert not found.has_onion, "a SOCKS port makes none"


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {}, {"tor_password": ["hush"]})
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(load(tmp_path, {}, {"tor_password": "hush"}))
