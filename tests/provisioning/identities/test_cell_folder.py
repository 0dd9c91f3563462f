"""A cell's folder: all of its secrets at once or none, and out of every repository."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.cell_folder import create_cell, open_cell
from becomingone.provisioning.identities.cell_secrets import CellSecrets

from .cells import Clock, content, open_to_others


def test_a_cell_is_made_for_its_owner_alone(tmp_path: Path, clock: Clock) -> None:
    old = os.umask(0)
    try:
        made = create_cell(tmp_path / "new" / "cell", "home", now=clock)
    finally:
        os.umask(old)
    secrets = tmp_path / "new" / "cell" / "secrets"
    assert made.folder.path == secrets
    assert sorted(path.name for path in secrets.iterdir()) == [
        "ca.crt", "ca.key", "cell.yaml", "crl.pem", "issued.jsonl", "lock",
    ]  # fmt: skip
    assert open_to_others(secrets) == ["ca.crt", "crl.pem"]  # which are for everybody
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert open_cell(tmp_path / "new" / "cell", now=clock).fingerprint == made.fingerprint


def test_git_sees_none_of_it(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / ".gitignore").write_text("*.swp")
    create_cell(tmp_path, "home", now=clock)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "hosts.yml").touch()
    assert (tmp_path / ".gitignore").read_text().splitlines() == ["*.swp", "/secrets/", "/out/", "/.secrets.new/"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", tmp_path, *words], check=True, capture_output=True, text=True, env=environment
        ).stdout

    git("init", "-q")
    assert git("status", "--porcelain", "-uall") == "?? .gitignore\n"


def test_there_is_one_authority_for_good(tmp_path: Path, clock: Clock) -> None:
    create_cell(tmp_path, "home", now=clock)
    before = content(tmp_path)
    with pytest.raises(ConfigError, match=r"secrets is there already; a cell has one authority"):
        create_cell(tmp_path, "home", now=clock)
    with pytest.raises(ConfigError, match="is there already"):
        Authority.create(tmp_path / "secrets", "home", now=clock)
    assert content(tmp_path) == before


@pytest.mark.parametrize("cell", ["", "Home", "my home", "häuschen", "a/b", "a" * 64])
def test_a_name_that_no_topic_can_carry_is_refused(tmp_path: Path, clock: Clock, cell: str) -> None:
    with pytest.raises(ConfigError, match="the cell's name"):
        create_cell(tmp_path, cell, now=clock)
    assert content(tmp_path) == {}


def test_the_longest_name_fits(tmp_path: Path, clock: Clock) -> None:
    assert create_cell(tmp_path, "a" * 63, now=clock).cell == "a" * 63


def test_a_disk_that_is_full_at_any_moment_leaves_no_secrets(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    stop_at, cut = 0, True
    while cut:
        stop_at += 1
        count = 0

        def full(file: int, limit: int = stop_at) -> None:
            nonlocal count
            count += 1
            if count == limit:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(file)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                create_cell(tmp_path, "home", now=clock)
                cut = False
            except ProvisioningError as error:
                assert "No space left on device" in str(error)  # noqa: PT017 - the last round has none
        assert cut == (not (tmp_path / "secrets").exists())
        assert set(content(tmp_path)) <= {".gitignore"} or not cut
        assert stop_at < 30
    assert stop_at >= 8
    CellSecrets.open(tmp_path / "secrets" / "cell.yaml")
    open_cell(tmp_path, now=clock).unlock()


def test_what_a_kill_has_left_is_swept_away(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / ".secrets.new").mkdir()
    (tmp_path / ".secrets.new" / "ca.key").write_text("half")
    create_cell(tmp_path, "home", now=clock).unlock()
    assert not (tmp_path / ".secrets.new").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProvisioningError, match=r"file/cell cannot be written: Not a directory"):
        create_cell(tmp_path / "file" / "cell", "home", now=clock)
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"add the lines /secrets/ /out/ /.secrets.new/ by hand"):
        create_cell(tmp_path, "home", now=clock)
    assert not (tmp_path / "secrets").exists()
