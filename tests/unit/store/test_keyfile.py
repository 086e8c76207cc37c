"""Key files: made on request, private, bound to chain and class, and refused in words when something is wrong."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from obscura.base.errors import StoreError
from obscura.crypto.agreement import KeyPair
from obscura.store.keyfile import DamagedKeyError, KeyFileError, KeyFiles
from obscura.wire.identity import KeyClass


def raw(*keys: KeyPair | None) -> list[bytes]:
    """The private halves of keys that are there."""
    return [key.private_bytes() for key in keys if key is not None]


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles(tmp_path / "d", "regtest")


def test_nothing_is_made_before_it_is_asked_for(files: KeyFiles, tmp_path: Path) -> None:
    assert [files.load(one) for one in KeyClass] == [None] * 4
    assert files.load_access() is None
    assert files.load_broadcast() is None
    assert not files.remove_broadcast()
    assert list(tmp_path.iterdir()) == []


def test_keys_come_back_and_are_private(files: KeyFiles, tmp_path: Path) -> None:
    made = [files.obtain(one) for one in KeyClass]
    access, broadcast = files.obtain_access(), files.obtain_broadcast()
    again = KeyFiles(tmp_path / "d", "regtest")
    assert raw(*map(again.load, KeyClass)) == raw(*made) == raw(*map(again.obtain, KeyClass))
    assert again.load_access() == access == again.obtain_access()
    assert again.load_broadcast() == broadcast == again.obtain_broadcast()
    assert len({*raw(*made), access.raw, broadcast.raw}) == 6, "no two share a secret"
    assert repr(broadcast) == "BroadcastSecret(redacted)"
    for one in made:
        assert X25519PrivateKey.from_private_bytes(one.private_bytes()).public_key().public_bytes_raw() == one.public
    directory = tmp_path / "d" / "keys"
    names = sorted(one.name for one in directory.iterdir())
    wanted = ["access.secret", "broadcast.key", "cjdns.key", "clearnet.key", "i2p.key", "onion.key"]
    assert names == wanted, "nothing lies beside"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in directory.iterdir())


def test_rotation(files: KeyFiles) -> None:
    first = files.obtain(KeyClass.ONION)
    other = files.obtain(KeyClass.CLEARNET)
    second = files.rotate(KeyClass.ONION)
    assert raw(second) != raw(first)
    assert raw(files.load(KeyClass.ONION)) == raw(second)
    assert raw(files.load(KeyClass.CLEARNET)) == raw(other)
    assert files.path(KeyClass.ONION).stat().st_mode & 0o777 == 0o600
    assert raw(files.rotate(KeyClass.I2P)) == raw(files.load(KeyClass.I2P)), (
        "without an old one there is a new one all the same"
    )


def test_removal_leaves_nothing_of_the_key(files: KeyFiles, tmp_path: Path) -> None:
    first = files.obtain_broadcast()
    path = files.broadcast_path
    other = files.obtain_access()
    # What a kill leaves while a key is written: the same file under another name, or a part of it.
    (path.parent / f".{path.name}.17.new").hardlink_to(path)
    (path.parent / f".{path.name}.18.new").write_bytes(path.read_bytes()[:-5])
    # A name that somebody has given the file shows what becomes of its content.
    witness = tmp_path / "witness"
    witness.hardlink_to(path)
    assert files.remove_broadcast()
    assert [one.name for one in path.parent.iterdir()] == ["access.secret"]
    assert witness.read_bytes() == bytes(witness.stat().st_size) != b""
    assert not files.remove_broadcast()
    assert files.load_broadcast() is None
    assert files.load_access() == other
    assert files.obtain_broadcast() != first


def test_a_removal_that_the_disk_refuses_leaves_the_key(files: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    key = files.obtain_broadcast()

    def fail(_path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fail)
        with pytest.raises(KeyFileError, match=r"broadcast\.key cannot be removed: Read-only"):
            files.remove_broadcast()
    assert files.load_broadcast() == key


HERE, THERE = "203.0.113.7", "2001:db8::7"


def test_a_key_is_shown_at_one_host(files: KeyFiles) -> None:
    key = files.obtain(KeyClass.CLEARNET)
    size = files.path(KeyClass.CLEARNET).stat().st_size
    assert not files.show_at(KeyClass.CLEARNET, HERE, keep=False), "none was noted: as files of earlier forms are"
    assert files.path(KeyClass.CLEARNET).stat().st_size == size + 1 + len(HERE)
    written = files.path(KeyClass.CLEARNET).stat()
    assert not files.show_at(KeyClass.CLEARNET, HERE, keep=False)
    assert files.path(KeyClass.CLEARNET).stat().st_mtime_ns == written.st_mtime_ns, "nothing is to be written"
    assert raw(files.load(KeyClass.CLEARNET)) == raw(key) == raw(files.obtain(KeyClass.CLEARNET))
    assert not files.show_at(KeyClass.CLEARNET, THERE, keep=True)
    assert raw(files.load(KeyClass.CLEARNET)) == raw(key)
    old = files.path(KeyClass.CLEARNET).read_bytes()
    assert files.show_at(KeyClass.CLEARNET, HERE, keep=False), "it was kept at the other one"
    assert raw(files.load(KeyClass.CLEARNET)) != raw(key)
    assert raw(key)[0] in old
    assert raw(key)[0] not in files.path(KeyClass.CLEARNET).read_bytes()
    assert files.path(KeyClass.CLEARNET).stat().st_mode & 0o777 == 0o600
    assert [one.name for one in files.path(KeyClass.CLEARNET).parent.iterdir()] == ["clearnet.key"]


def test_a_rotated_key_is_shown_where_the_old_one_was(files: KeyFiles) -> None:
    assert not files.show_at(KeyClass.CLEARNET, HERE, keep=False), "made by the way"
    rotated = files.rotate(KeyClass.CLEARNET)
    assert not files.show_at(KeyClass.CLEARNET, HERE, keep=False)
    assert raw(files.load(KeyClass.CLEARNET)) == raw(rotated)
    assert files.show_at(KeyClass.CLEARNET, THERE, keep=False)


def test_a_move_that_the_disk_refuses_leaves_key_and_host(files: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.show_at(KeyClass.CLEARNET, HERE, keep=False)
    before = files.path(KeyClass.CLEARNET).read_bytes()

    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(KeyFileError, match="No space left"):
            files.show_at(KeyClass.CLEARNET, THERE, keep=False)
    assert files.path(KeyClass.CLEARNET).read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read(files: KeyFiles, mode: int) -> None:
    files.obtain(KeyClass.CLEARNET)
    files.path(KeyClass.CLEARNET).chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600 .*clearnet.key"):
        files.load(KeyClass.CLEARNET)
    with pytest.raises(KeyFileError, match="chmod 600"):
        files.obtain(KeyClass.CLEARNET)
    files.path(KeyClass.CLEARNET).chmod(0o600)
    assert files.load(KeyClass.CLEARNET)


def test_another_network_s_file(files: KeyFiles, tmp_path: Path) -> None:
    files.obtain(KeyClass.CLEARNET)
    other = KeyFiles(tmp_path / "d", "signet")
    before = files.path(KeyClass.CLEARNET).read_bytes()
    for call in (other.load, other.obtain, other.rotate):
        with pytest.raises(KeyFileError, match="belongs to network regtest, not signet"):
            call(KeyClass.CLEARNET)
    assert files.path(KeyClass.CLEARNET).read_bytes() == before
    files.obtain_broadcast()
    for read in (other.load_broadcast, other.obtain_broadcast):
        with pytest.raises(KeyFileError, match=r"network regtest, not signet.*put the right one back, or .*rm "):
            read()


def test_a_file_under_another_name(files: KeyFiles) -> None:
    files.obtain(KeyClass.CLEARNET)
    files.path(KeyClass.CLEARNET).rename(files.path(KeyClass.ONION))
    with pytest.raises(KeyFileError, match="made for clearnet, not for onion"):
        files.load(KeyClass.ONION)
    files.path(KeyClass.ONION).rename(files.access_path)
    with pytest.raises(KeyFileError, match="made for clearnet, not for access"):
        files.load_access()
    files.access_path.rename(files.broadcast_path)
    with pytest.raises(KeyFileError, match="made for clearnet, not for broadcast"):
        files.load_broadcast()


@pytest.mark.parametrize("shown", [False, True])
def test_every_damage_is_found(files: KeyFiles, shown: bool) -> None:
    key = files.obtain(KeyClass.CLEARNET)
    if shown:
        assert not files.show_at(KeyClass.CLEARNET, HERE, keep=False)
    path = files.path(KeyClass.CLEARNET)
    good = path.read_bytes()
    bad = [good[:length] for length in range(len(good))] + [good + b"\0", good + good, bytes(len(good))]
    bad += [good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :] for at in range(len(good)) for bit in (0, 7)]
    for data in bad:
        path.write_bytes(data)
        with pytest.raises(DamagedKeyError, match=r"damaged.*obscura key rotate clearnet") as caught:
            files.load(KeyClass.CLEARNET)
        assert key.private_bytes().hex() not in str(caught.value)
    assert raw(files.rotate(KeyClass.CLEARNET)) == raw(files.load(KeyClass.CLEARNET)), "giving it up is the way out"
    files.obtain_access()
    files.access_path.write_bytes(b"")
    with pytest.raises(DamagedKeyError, match=r"rm .*access.secret"):
        files.load_access()
    files.broadcast_path.write_bytes(b"")
    files.broadcast_path.chmod(0o600)
    with pytest.raises(DamagedKeyError, match=r"put a copy of it back, or give up what waits .*: rm .*broadcast\.key"):
        files.load_broadcast()


def test_a_disk_that_refuses(files: KeyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "keys").write_text("")
    with pytest.raises(StoreError, match="cannot be"):
        files.obtain(KeyClass.CLEARNET)
    (tmp_path / "d" / "keys").unlink()
    old = files.obtain(KeyClass.CLEARNET)

    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=r"clearnet\.key cannot be written: No space left"):
        files.rotate(KeyClass.CLEARNET)
    monkeypatch.undo()
    assert raw(files.load(KeyClass.CLEARNET)) == raw(old)
    assert [one.name for one in (tmp_path / "d" / "keys").iterdir()] == ["clearnet.key"]


def test_a_directory_in_the_place_of_a_file(files: KeyFiles) -> None:
    files.path(KeyClass.CLEARNET).mkdir(parents=True)
    with pytest.raises(KeyFileError, match="cannot be read"):
        files.load(KeyClass.CLEARNET)


def _obtain(datadir: Path) -> bytes:
    return KeyFiles(datadir, "regtest").obtain(KeyClass.CLEARNET).public


def test_processes_that_make_it_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(_obtain, [tmp_path] * 12, chunksize=1))) == 1
