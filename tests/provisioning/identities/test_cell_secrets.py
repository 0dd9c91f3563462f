"""The keys of sealed messages: made once, read back, and those of docs/security.md."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.cell_secrets import CellSecrets
from becomingone.wire.signature import Signer

SECRET, SEED = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cell.yaml"


def test_they_are_made_once_and_for_their_owner(path: Path) -> None:
    drawn = [SECRET, SEED]
    made = CellSecrets.create(path, random_bytes=lambda count: drawn.pop(0)[:count])
    assert (made.secret, made.signing_key) == (SECRET, SEED)
    assert path.stat().st_mode & 0o777 == 0o600
    read = CellSecrets.open(path)
    assert (read.secret, read.signing_key) == (SECRET, SEED)
    with pytest.raises(ConfigError, match="is there already"):
        CellSecrets.create(path)
    assert CellSecrets.open(path).secret == SECRET


def test_two_cells_have_nothing_in_common(tmp_path: Path) -> None:
    one, other = CellSecrets.create(tmp_path / "a"), CellSecrets.create(tmp_path / "b")
    assert len({one.secret, one.signing_key, other.secret, other.signing_key}) == 4


def test_a_node_s_key_is_the_one_of_the_manual() -> None:
    keys = CellSecrets(SECRET, SEED)
    # docs/security.md, word for word: the BLAKE2b of 32 bytes, keyed with the secret, personalised with
    # becomingone/key, of root, cell and node with a NUL between each two.
    told = hashlib.blake2b(
        b"becomingone\0home\0kitchen", digest_size=32, key=SECRET, person=b"becomingone/key"
    ).digest()
    assert keys.node_key("becomingone", "home", "kitchen") == told
    assert keys.node_key("becomingone", "home", "porch") != told
    assert keys.hub_public_key == Signer(SEED).public_key


def test_no_text_of_theirs_shows_them(path: Path) -> None:
    keys = CellSecrets(SECRET, SEED)
    assert SECRET.hex() not in f"{keys!r} {keys}"
    path.touch(0o600)
    path.write_text(f"secret: {SECRET.hex()}aa\nsigning_key: '{SEED.hex()}'\n")
    with pytest.raises(ConfigError, match=r"cell.yaml:1: secret: must be 32 bytes") as refused:
        CellSecrets.open(path)
    assert SECRET.hex() not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"cell.yaml:1: is empty"),
        ("secret: 'ab'\n", "secret: must be 32 bytes"),
        (f"secret: '{SECRET.hex()}'\n", "signing_key"),
        (f"secret: '{'00' * 32}'\nsigning_key: '{SEED.hex()}'\n", "must be random"),
        (f"secret: '{SECRET.hex()}'\nsigning_key: '{SEED.hex()}'\nmore: 1\n", r"cell.yaml:3: more"),
        (f"secret: '{SECRET.hex()}\n", "not YAML"),
    ],
)
def test_a_file_that_is_not_as_it_must_be_is_named(path: Path, text: str, says: str) -> None:
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        CellSecrets.open(path)


def test_a_file_open_to_others_is_refused(path: Path) -> None:
    CellSecrets.create(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=rf"chmod 600 {path}"):
        CellSecrets.open(path)
    with pytest.raises(ConfigError, match="there is no such file"):
        CellSecrets.open(path.with_name("other"))


def test_a_full_disk_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProvisioningError, match=r"cell.yaml cannot be written: No space left"):
        CellSecrets.create(path)
    assert list(path.parent.iterdir()) == []


def test_a_cell_folder_has_them(authority: Authority) -> None:
    keys = CellSecrets.open(authority.folder.path / "cell.yaml")
    assert len(keys.node_key("becomingone", "home", "kitchen")) == 32
