import os
import threading
from datetime import timedelta

import pytest

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.join import token_file
from becomingone.provisioning.join.token_file import TokenFile, TokenRecord

from .cell import NOON


def record(node="kitchen", **changes):
    return TokenRecord(node=node, digest="ab" * 32, made=NOON, expires=NOON + timedelta(hours=1)).model_copy(
        update=changes
    )


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "tokens.yaml")


def test_what_one_process_writes_another_reads(file):
    full = record(state="used", key="cd" * 32, address="192.0.2.7", asked=NOON, approve=True)
    with file.locked() as tokens:
        tokens.put(record("porch"))
        tokens.put(full)
    with TokenFile(file.path).locked() as tokens:
        assert tokens.all() == [full, record("porch")]


def test_it_is_for_its_owner_alone(file):
    before = os.umask(0)
    try:
        with file.locked() as tokens:
            tokens.put(record())
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in file.path.parent.iterdir()} == {
        "tokens.yaml": 0o600,
        "tokens.lock": 0o600,
    }


def test_a_token_matches_only_its_node_and_itself(file):
    with file.locked() as tokens:
        tokens.put(record())
        assert tokens.match("kitchen", "ab" * 32) == record()
        assert tokens.match("kitchen", "0" * 64) is None
        assert tokens.match("porch", "ab" * 32) is None
        assert tokens.match("porch", "0" * 64) is None  # what is compared with where there is none


def test_a_week_after_its_end_a_token_goes_when_another_is_made(file):
    with file.locked() as tokens:
        tokens.put(record("old"))
        tokens.put(record("porch"), now=NOON + timedelta(days=7, minutes=59))
        assert [one.node for one in tokens.all()] == ["old", "porch"]
        tokens.put(record("porch"), now=NOON + timedelta(days=7, hours=1))
        assert [one.node for one in tokens.all()] == ["porch"]


def test_two_processes_wait_for_each_other(file):
    entered = threading.Event()

    def other():
        with TokenFile(file.path).locked() as tokens:
            entered.set()
            tokens.put(record("porch"))

    with file.locked() as tokens:
        thread = threading.Thread(target=other)
        thread.start()
        tokens.put(record())
        assert not entered.wait(0.1)
    thread.join(10)
    with file.locked() as tokens:
        assert [one.node for one in tokens.all()] == ["kitchen", "porch"]


def test_a_lock_that_is_kept_is_not_waited_for_for_ever(file, monkeypatch):
    monkeypatch.setattr(token_file, "LOCK_S", 0.05)
    with (
        file.locked(),
        pytest.raises(ProvisioningError, match=r"tokens\.lock has been held by another process for 0\.05 s"),
        TokenFile(file.path).locked(),
    ):
        pytest.fail("two hold the lock")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tokens: [", r"tokens\.yaml:\d: is no YAML"),
        ("tokens:\n  - {node: UPPER}\n", r"tokens\.0\.node"),
        ("tokens: 5", r"tokens: "),
        ("- 5", "tokens.yaml"),
        ("tokens:\n  - {node: !!python/name:os.system a}\n", "is no YAML"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_with_its_place(file, text, line):
    file.path.write_text(text)
    with pytest.raises(ConfigError, match=line), file.locked():
        pytest.fail("it was taken")


def test_a_full_disk_leaves_what_was_there(file, monkeypatch):
    with file.locked() as tokens:
        tokens.put(record())
        before = file.path.read_bytes()

        def full(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ProvisioningError, match="No space left"):
            tokens.put(record("porch"))
        assert [one.node for one in tokens.all()] == ["kitchen"]
    assert file.path.read_bytes() == before
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["tokens.lock", "tokens.yaml"]
