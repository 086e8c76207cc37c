"""Key files: made on request, private, bound to chain and class, and refused in words when something is wrong."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from obscura.base.errors import StoreError
from obscura.store.keyfile import DamagedKeyError, KeyFileError, KeyFiles
from obscura.wire.identity import KeyClass


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles(tmp_path / "d", "regtest")


def test_nothing_is_made_before_it_is_asked_for(files: KeyFiles, tmp_path: Path) -> None:
    assert [files.load(one) for one in KeyClass] == [None] * 4
    assert files.load_access() is None
    assert list(tmp_path.iterdir()) == []


def test_keys_come_back_and_are_private(files: KeyFiles, tmp_path: Path) -> None:
    made = [files.obtain(one) for one in KeyClass]
    access = files.obtain_access()
    again = KeyFiles(tmp_path / "d", "regtest")
    assert [again.load(one) for one in KeyClass] == made == [again.obtain(one) for one in KeyClass]
    assert again.load_access() == access == again.obtain_access()
    assert len({one.private for one in made} | {access.raw}) == 5, "no two share a secret"
    for one in made:
        assert X25519PrivateKey.from_private_bytes(one.private).public_key().public_bytes_raw() == one.public
    directory = tmp_path / "d" / "keys"
    names = sorted(one.name for one in directory.iterdir())
    assert names == ["access.secret", "cjdns.key", "clearnet.key", "i2p.key", "onion.key"], "nothing lies beside"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in directory.iterdir())


def test_rotation(files: KeyFiles) -> None:
    first = files.obtain(KeyClass.ONION)
    other = files.obtain(KeyClass.CLEARNET)
    second = files.rotate(KeyClass.ONION)
    assert second != first
    assert files.load(KeyClass.ONION) == second
    assert files.load(KeyClass.CLEARNET) == other
    assert files.path(KeyClass.ONION).stat().st_mode & 0o777 == 0o600
    assert files.rotate(KeyClass.I2P) == files.load(KeyClass.I2P), "without an old one there is a new one all the same"


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


def test_a_file_under_another_name(files: KeyFiles) -> None:
    files.obtain(KeyClass.CLEARNET)
    files.path(KeyClass.CLEARNET).rename(files.path(KeyClass.ONION))
    with pytest.raises(KeyFileError, match="made for clearnet, not for onion"):
        files.load(KeyClass.ONION)
    files.path(KeyClass.ONION).rename(files.access_path)
    with pytest.raises(KeyFileError, match="made for clearnet, not for access"):
        files.load_access()


def test_every_damage_is_found(files: KeyFiles) -> None:
    key = files.obtain(KeyClass.CLEARNET)
    path = files.path(KeyClass.CLEARNET)
    good = path.read_bytes()
    bad = [good[:length] for length in range(len(good))] + [good + b"\0", good + good, bytes(len(good))]
    bad += [good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :] for at in range(len(good)) for bit in (0, 7)]
    for data in bad:
        path.write_bytes(data)
        with pytest.raises(DamagedKeyError, match=r"damaged.*obscura key rotate clearnet") as caught:
            files.load(KeyClass.CLEARNET)
        assert key.private.hex() not in str(caught.value)
    assert files.rotate(KeyClass.CLEARNET) == files.load(KeyClass.CLEARNET), "giving it up is the way out"
    files.obtain_access()
    files.access_path.write_bytes(b"")
    with pytest.raises(DamagedKeyError, match=r"rm .*access.secret"):
        files.load_access()


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
    assert files.load(KeyClass.CLEARNET) == old
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
