"""The folder of secrets: one command at a time, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from becomingone.broker.access import Identity
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.identities.secrets_folder import SecretsFolder, check_private, read_private, refusals

from .cells import Clock

HOLDER = """\
import sys
from pathlib import Path
from becomingone.provisioning.identities.secrets_folder import SecretsFolder
with SecretsFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755, 0o777, 0o704])
def test_a_folder_that_others_may_use_is_refused_with_the_line_that_helps(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match=rf"\(its mode is {mode:o}\): chmod 700 {folder}$"):
        SecretsFolder(folder)
    folder.chmod(0o700)
    SecretsFolder(folder)


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    with pytest.raises(ConfigError, match="becomingone provision ca makes"):
        SecretsFolder(tmp_path / "secrets")
    with pytest.raises(ConfigError, match="must be a folder, and is none"):
        SecretsFolder(tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
        SecretsFolder(tmp_path / "file" / "x")
    with pytest.raises(ConfigError, match="must be a file, and is none"):
        read_private(tmp_path)
    (tmp_path / "file").write_bytes(b"x" * 11)
    assert read_private(tmp_path / "file", longest=11) == b"x" * 11
    with pytest.raises(ConfigError, match="at most 10 bytes"):
        read_private(tmp_path / "file", longest=10)


def test_somebody_else_s_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ConfigError, match=rf"belongs to the user {owner}, not to {owner + 1}: run this as its owner"):
        check_private(tmp_path, folder=True)


def test_two_commands_at_once_one_waits_and_then_says_for_whom(authority: Authority, clock: Clock) -> None:
    path = authority.folder.path
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            hasty = SecretsFolder(path, wait_s=0.0)
            said = rf"{path} is being changed by process {holder.pid}; try again"
            with pytest.raises(ProvisioningError, match=said), hasty.locked():
                raise AssertionError
            assert Authority.open(path, now=clock).issued() == []  # reading needs no lock
            waiting = threading.Thread(target=Members(authority).make, args=(Identity("node", "kitchen"),))
            waiting.start()
            waiting.join(0.1)
            assert waiting.is_alive()
            assert holder.stdin is not None
            holder.stdin.close()
            waiting.join(10)
            assert not waiting.is_alive()
        finally:
            holder.kill()
    assert [one.identity for one in authority.issued()] == ["kitchen"]


def test_many_at_once_lose_nothing(authority: Authority, clock: Clock) -> None:
    """Eight threads, each with an authority of its own as a process would have, and one that two share."""
    shared = Members(authority)
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            members = shared if number < 2 else Members(Authority.open(authority.folder.path, now=clock))
            for name in range(3):
                members.make(Identity("node", f"n{number}-{name}"))
        except BaseException as fault:  # noqa: BLE001 - shown by the assertion
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert len({one.serial for one in authority.issued()}) == 24


def test_a_lock_is_let_go_when_its_holder_fails(authority: Authority) -> None:
    with pytest.raises(ZeroDivisionError), authority.folder.locked(), authority.folder.locked():
        _ = 1 / 0
    with SecretsFolder(authority.folder.path, wait_s=0.0).locked():
        pass


def test_what_the_disk_refuses_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ProvisioningError, match=r"x cannot be written: Input/output error$"), refusals(Path("x")):
        raise OSError(5, "Input/output error")
