"""Keys that a daemon made for us: kept privately and durably, and refused in words when something is wrong."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from obscura.overlay.control import is_onion_key
from obscura.store.files import read_private, write_private
from obscura.store.keyfile import DamagedKeyError, KeyFileError
from obscura.store.servicekey import I2P, ONION, ServiceKey

KEY: Final = "ED25519-V3:" + "k" * 85 + "A=="
OTHER: Final = "ED25519-V3:" + "o" * 85 + "A=="
HOST: Final = "h" * 56 + ".onion"
OTHER_HOST: Final = "i" * 56 + ".onion"
GARLIC_HOST: Final = "h" * 52 + ".b32.i2p"


def service_key(datadir: Path) -> ServiceKey:
    return ServiceKey(datadir, ONION, is_onion_key)


@pytest.fixture
def datadir(tmp_path: Path) -> Path:
    return tmp_path / "d"


@pytest.fixture
def kept(datadir: Path) -> ServiceKey:
    """One with a key."""
    one = service_key(datadir)
    one.keep(KEY, HOST)
    return one


@pytest.fixture
def no_mask() -> Iterator[None]:
    """New files are for everybody, unless something is said against it."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(path: Path) -> str:
    """What an operator is told."""
    with pytest.raises(KeyFileError) as caught:
        ServiceKey(path.parent.parent, path.name, is_onion_key).load()
    text = str(caught.value)
    assert str(path) in text
    assert "k" * 9 not in text
    assert "h" * 40 not in text
    return text


# -- the key of a service


def test_nothing_is_made_before_there_is_a_key(datadir: Path, tmp_path: Path) -> None:
    assert service_key(datadir).load() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_mask")
def test_a_key_comes_back_and_is_private(datadir: Path) -> None:
    one = service_key(datadir)
    assert one.load() is None
    one.keep(KEY, HOST)
    assert one.path == datadir / "keys" / "onion.service"
    assert one.path.read_bytes() == f"{KEY} {HOST}\n".encode()
    assert one.load() == service_key(datadir).load() == (KEY, HOST)
    assert mode(one.path) == 0o600
    assert mode(one.path.parent) == mode(datadir) == 0o700
    assert [path.name for path in one.path.parent.iterdir()] == ["onion.service"], "nothing lies beside"


def test_each_name_has_its_own(datadir: Path) -> None:
    onion, garlic = service_key(datadir), ServiceKey(datadir, I2P, str.isalnum)
    onion.keep(KEY, HOST)
    assert garlic.load() is None
    garlic.keep("i2p", GARLIC_HOST)
    assert (onion.load(), garlic.load()) == ((KEY, HOST), ("i2p", GARLIC_HOST))
    assert sorted(path.name for path in onion.path.parent.iterdir()) == ["i2p.destination", "onion.service"]


def test_the_same_key_is_not_written_again(kept: ServiceKey, datadir: Path) -> None:
    again = service_key(datadir)
    assert again.load() == (KEY, HOST)
    before = kept.path.stat()
    for one in (kept, again, service_key(datadir)):
        for _ in range(3):
            one.keep(KEY, HOST)
    after = kept.path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_another_key_takes_its_place(kept: ServiceKey, datadir: Path) -> None:
    kept.keep(OTHER, OTHER_HOST)
    assert kept.load() == service_key(datadir).load() == (OTHER, OTHER_HOST)
    kept.keep(KEY, HOST)
    assert service_key(datadir).load() == (KEY, HOST)
    kept.keep(KEY, OTHER_HOST)
    assert service_key(datadir).load() == (KEY, OTHER_HOST)
    assert mode(kept.path) == 0o600


def test_a_key_whose_file_has_gone(kept: ServiceKey, datadir: Path) -> None:
    kept.path.unlink()
    kept.keep(KEY, HOST)
    assert service_key(datadir).load() == (KEY, HOST)


def test_a_file_whose_mode_was_changed_is_written_again(kept: ServiceKey, datadir: Path) -> None:
    kept.path.chmod(0o644)
    kept.keep(KEY, HOST)
    assert mode(kept.path) == 0o600
    assert service_key(datadir).load() == (KEY, HOST)


def test_a_file_without_the_last_line_end(kept: ServiceKey, datadir: Path) -> None:
    kept.path.write_text(f"{KEY} {HOST}")
    assert service_key(datadir).load() == (KEY, HOST)


def test_a_directory_that_others_may_enter(datadir: Path) -> None:
    one = service_key(datadir)
    one.path.parent.mkdir(parents=True)
    one.path.parent.chmod(0o777)
    one.keep(KEY, HOST)
    assert mode(one.path.parent) == 0o700
    assert one.load() == (KEY, HOST)


@pytest.mark.parametrize(
    ("key", "host"),
    [
        *((key, HOST) for key in ("", "no key", f"{KEY}\n{OTHER}", f"{KEY} ", "k" * 9_000, f"{KEY} {HOST}")),
        *((key, HOST) for key in (KEY + "\u0138", KEY.replace("k", "\u212a"))),
        *((KEY, host) for host in ("", "h", HOST + "\n", f"{HOST} x", f" {HOST}", HOST.upper(), "1" * 56 + ".onion")),
        *((KEY, host) for host in ("h" * 51 + ".onion", "h" * 57 + ".onion", "h" * 56, "h" * 56 + ".b32", "\u0138")),
    ],
)
def test_only_a_key_and_a_host_are_kept(kept: ServiceKey, datadir: Path, key: str, host: str) -> None:
    with pytest.raises(KeyFileError, match=r"onion\.service: a daemon has made a key that is none") as caught:
        kept.keep(key, host)
    shown = f"{caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r}"
    assert "k" * 9 not in shown
    assert "h" * 9 not in shown
    assert service_key(datadir).load() == (KEY, HOST)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n", b" ", b"ED25519-V3:\n", bytes(100)),
        *(KEY.encode(), f"{KEY}\n".encode(), f"{KEY} \n".encode(), HOST.encode(), f" {HOST}\n".encode()),
        *(f"{KEY}  {HOST}\n".encode(), f"{KEY}\t{HOST}\n".encode(), f"{HOST} {KEY}\n".encode()),
        *(f"{KEY} {HOST}{end}".encode() for end in ("\n\n", "\r\n", " ", " \n", "\n ", "\0", "x", " x", f" {HOST}")),
        *(f"{begin}{KEY} {HOST}\n".encode() for begin in ("\n", " ", "\ufeff", "x")),
        f"{KEY[1:]} {HOST}\n".encode(),
        f"{KEY} {HOST[1:]}".replace("h", "H").encode(),
        f"{KEY} {HOST}\n{OTHER} {OTHER_HOST}\n".encode(),
        f"{KEY} {HOST}".encode() + b"\xff",
        f"{KEY} {HOST}\n".replace("k", "\u0138").encode(),
        b"\xff\xfe" + f"{KEY} {HOST}\n".encode("utf-16-le"),
        *(f"{KEY} {HOST}".encode() + filling * 8_192 + b"garbage" for filling in (b"k", b" ", b"\n")),
    ],
)
def test_a_damaged_file(kept: ServiceKey, data: bytes) -> None:
    kept.path.write_bytes(data)
    with pytest.raises(DamagedKeyError):
        kept.load()
    assert "damaged: put a copy of it back, or remove it" in refused(kept.path)
    assert kept.path.read_bytes() == data, "it is left as it is"


@pytest.mark.parametrize("others", [0o640, 0o604, 0o660, 0o644, 0o610, 0o602])
def test_a_file_that_others_can_read(kept: ServiceKey, others: int) -> None:
    kept.path.chmod(others)
    assert f"mode {others:04o}" in refused(kept.path)
    assert f"chmod 600 {kept.path}" in refused(kept.path)
    kept.path.chmod(0o400)
    assert kept.load() == (KEY, HOST)


def test_a_damaged_file_that_others_can_read_is_first_of_all_that(kept: ServiceKey) -> None:
    kept.path.write_bytes(b"?")
    kept.path.chmod(0o644)
    assert "can be read by others" in refused(kept.path)


def test_a_directory_in_the_place_of_a_file(datadir: Path) -> None:
    one = service_key(datadir)
    one.path.mkdir(parents=True)
    assert "cannot be read: Is a directory" in refused(one.path)
    with pytest.raises(KeyFileError, match="cannot be written"):
        one.keep(KEY, HOST)


def test_a_file_in_the_place_of_a_directory(datadir: Path) -> None:
    datadir.mkdir()
    (datadir / "keys").write_text("")
    assert "cannot be read: Not a directory" in refused(service_key(datadir).path)
    with pytest.raises(KeyFileError, match="cannot be written"):
        service_key(datadir).keep(KEY, HOST)


def test_a_disk_that_refuses(kept: ServiceKey, datadir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        for _ in range(2):
            with pytest.raises(KeyFileError, match=r"onion\.service cannot be written: No space left") as caught:
                kept.keep(OTHER, OTHER_HOST)
            assert OTHER not in str(caught.value)
    assert service_key(datadir).load() == (KEY, HOST)
    assert [path.name for path in kept.path.parent.iterdir()] == ["onion.service"]
    kept.keep(OTHER, OTHER_HOST)
    assert service_key(datadir).load() == (OTHER, OTHER_HOST), "it was not taken for kept"


def test_nothing_shows_in_a_repr(kept: ServiceKey) -> None:
    assert "k" * 9 not in f"{kept!r} {kept}"


# -- private files


@pytest.mark.usefixtures("no_mask")
def test_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    assert read_private(path, 10) is None
    write_private(path, b"first")
    assert read_private(path, 10) == (b"first", 0o600)
    assert read_private(path, 5) == (b"first", 0o600)
    assert read_private(path, 2) == (b"fi", 0o600)
    assert mode(path.parent) == mode(path.parent.parent) == 0o700
    path.chmod(0o644)
    assert read_private(path, 10) == (b"first", 0o644)
    write_private(path, b"second")
    assert read_private(path, 10) == (b"second", 0o600), "a new file: the old one's mode is gone"
    write_private(path, b"")
    assert read_private(path, 10) == (b"", 0o600)


def test_the_first_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    write_private(path, b"first", replace=False)
    write_private(path, b"second", replace=False)
    assert read_private(path, 10) == (b"first", 0o600)
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "file"
    beside = tmp_path / f".file.{os.getpid()}.new"
    beside.write_text("half")
    beside.chmod(0o666)
    write_private(path, b"whole")
    assert read_private(path, 10) == (b"whole", 0o600)
    assert not beside.exists()


def test_links_are_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path = tmp_path / "file"
    path.symlink_to(victim)
    (tmp_path / f".file.{os.getpid()}.new").symlink_to(victim)
    write_private(path, b"secret")
    assert victim.read_text() == "untouched"
    assert not path.is_symlink()
    assert read_private(path, 10) == (b"secret", 0o600)
    write_private(path, b"other", replace=False)
    assert read_private(path, 10) == (b"secret", 0o600)


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("replace", [True, False])
def test_a_failure_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, replace: bool
) -> None:
    path = tmp_path / "a" / "file"
    write_private(path, b"old")
    calls: list[int] = []

    def fail(fd: int) -> None:
        calls.append(fd)
        if len(calls) == call:
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            write_private(path, b"new", replace=replace)
    assert len(calls) == call, "the directory above, the file, its directory"
    assert read_private(path, 10) == (b"new" if replace and call == 3 else b"old", 0o600)
    assert [one.name for one in path.parent.iterdir()] == ["file"]
    for fd in calls:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_private(tmp_path, 10)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        read_private(tmp_path / "file" / "other", 10)
