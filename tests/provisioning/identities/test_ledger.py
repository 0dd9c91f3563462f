"""The record of what was issued: whole lines only, on the disk before anything leaves."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from becomingone.broker.access import Identity
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.certificates import ends
from becomingone.provisioning.identities.ledger import Ledger

from .cells import START, Clock

KITCHEN = Identity("node", "kitchen")
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


def opened(file: int) -> str:
    """Give the name of an open file."""
    return Path(f"/proc/self/fd/{file}").readlink().name


def path_of(authority: Authority) -> Path:
    return authority.folder.path / "issued.jsonl"


def test_a_line_cut_short_at_any_byte_does_not_count_and_is_written_over(authority: Authority) -> None:
    authority.issue(KITCHEN, KEY)
    whole = path_of(authority).read_bytes()
    authority.issue(Identity("node", "porch"), KEY)
    more = path_of(authority).read_bytes()[len(whole) :]
    for length in range(0, len(more), 41):
        path_of(authority).write_bytes(whole + more[:length])
        assert [one.identity for one in authority.issued()] == ["kitchen"]
    authority.issue(Identity("node", "cellar"), KEY)
    assert [one.identity for one in authority.issued()] == ["kitchen", "cellar"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(line=st.one_of(st.binary(max_size=60), st.from_regex(rb'\A\{"(serial|revoked|crl)":.{0,30}\}\Z')))
def test_a_damaged_line_is_named_and_nothing_else_happens(authority: Authority, line: bytes) -> None:
    ledger = path_of(authority)
    good = ledger.read_bytes()
    lines = line.splitlines() or [b""]
    try:
        ledger.write_bytes(line + b"\n" + good)
        try:
            authority.issued()
        except ConfigError as refused:
            said = str(refused)  # it may also be a good line, or one that was never finished
            assert 1 <= int(said.split(":")[1]) <= len(lines)
            assert "is damaged" in said
    finally:
        ledger.write_bytes(good)


def test_what_is_no_line_of_ours_is_refused(authority: Authority) -> None:
    good = path_of(authority).read_bytes()
    for line in (b"", b"[]", b"7", b'{"revoked":"12","at":"2026-01-01T00:00:00+00:00","reason":""}', b'{"crl":null}'):
        path_of(authority).write_bytes(good + line + b"\n")
        with pytest.raises(ConfigError, match=r"issued.jsonl:2: is damaged"):
            authority.issued()
    path_of(authority).unlink()
    with pytest.raises(ConfigError, match=r"issued.jsonl: there is no such file"):
        Authority.open(authority.folder.path)


def test_it_is_synced_before_the_certificate_leaves(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = os.fsync

    def sync(file: int) -> None:
        order.append(opened(file))
        real(file)

    monkeypatch.setattr(os, "fsync", sync)
    authority.issue(KITCHEN, KEY)
    assert order == ["issued.jsonl"]


@pytest.mark.parametrize("taken", [0, 1, 100])
def test_a_full_disk_records_nothing_and_issues_nothing(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    before = path_of(authority).read_bytes()
    real = os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        if opened(file) != "issued.jsonl":
            return real(file, data, offset)
        if taken == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:taken], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(
            ProvisioningError, match=r"issued.jsonl cannot be written: (No space left|the disk is full)"
        ):
            authority.issue(KITCHEN, KEY)
    assert path_of(authority).read_bytes() == before
    authority.issue(KITCHEN, KEY)
    assert len(authority.issued()) == 1


def test_a_state_is_told_from_the_time(authority: Authority, clock: Clock) -> None:
    made = authority.issue(KITCHEN, KEY, days=89)  # 90 with the day before
    (one,) = authority.issued()
    assert one.due == START.replace(month=6, day=29)  # 30 days before its end
    states = [one.state(START + timedelta(days=days)) for days in (0, 58, 59, 88, 89, 500)]
    assert states == ["valid", "valid", "due", "due", "expired", "expired"]
    authority.revoke(made.serial_number, "superseded")
    (one,) = authority.issued()
    assert (one.state(clock()), one.reason, one.revoked) == ("revoked", "superseded", START)
    assert ends(made) == one.not_after


def test_there_is_one_ledger(tmp_path: Path) -> None:
    Ledger(tmp_path / "issued.jsonl").create()
    with pytest.raises(ProvisioningError, match="File exists"):
        Ledger(tmp_path / "issued.jsonl").create()
