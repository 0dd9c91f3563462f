"""Keys and certificates in their folders: whole, private, and replaced in one go, whatever comes between."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from becomingone.broker.access import Identity
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.identities.subject import Server

from .cells import START, Clock, content, open_to_others, request, verified

KITCHEN = Identity("node", "kitchen")
BROKER = Server("broker")


class Cut(BaseException):
    """The power went."""


def pair(members: Members, subject: Identity | Server = KITCHEN) -> x509.Certificate:
    """Read a pair, and see that it is one."""
    files = members.files(subject)
    certificate = x509.load_pem_x509_certificate(files["tls.crt"])
    key = load_pem_private_key(files["tls.key"], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key().public_numbers() == certificate.public_key().public_numbers()  # type: ignore[union-attr]
    return certificate


def hidden(members: Members) -> list[str]:
    return [path.name for path in members.folder(KITCHEN).parent.glob(".*")]


def test_a_pair_is_made_for_its_owner_alone(members: Members, authority: Authority) -> None:
    old = os.umask(0)
    try:
        made = members.make(KITCHEN)
        members.make(Identity("operator", "anna"))
        members.make(BROKER, hosts=["attic.local"])
    finally:
        os.umask(old)
    assert pair(members) == made
    assert sorted(path.name for path in members.folder(KITCHEN).parent.iterdir()) == [
        "broker",
        "kitchen",
        "operator.anna",
    ]
    assert open_to_others(authority.folder.path / "identities") == []
    assert set(members.files(KITCHEN)) == {"ca.crt", "tls.crt", "tls.key"}
    assert set(members.files(BROKER)) == {"ca.crt", "tls.crt", "tls.key", "crl.pem"}


def test_the_mode_is_there_before_the_content(
    members: Members, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: dict[str, set[int]] = {}
    real = os.open

    def watch(path: str | Path, flags: int, mode: int = 0o777, **more: int | None) -> int:
        opened = real(path, flags, mode, **more)  # type: ignore[arg-type]
        if flags & (os.O_WRONLY | os.O_RDWR):
            modes.setdefault(Path(path).name.removesuffix(".new"), set()).add(os.fstat(opened).st_mode & 0o777)
        return opened

    monkeypatch.setattr(os, "open", watch)
    old = os.umask(0)
    try:
        members.make(KITCHEN)
    finally:
        os.umask(old)
    assert modes["tls.key"] == {0o600}
    assert modes["issued.jsonl"] == {0o600}


def test_who_has_one_gets_no_second_by_mistake(members: Members, authority: Authority, clock: Clock) -> None:
    members.make(KITCHEN, days=30)
    with pytest.raises(ConfigError, match=r"kitchen: has a certificate until 2026-05-31: .* renew kitchen"):
        members.make(KITCHEN)
    clock.forward(31)
    assert pair(members) != members.make(KITCHEN)  # the first has ended
    authority.revoke(KITCHEN)
    assert members.remove_void(KITCHEN)
    assert not members.remove_void(KITCHEN)
    members.make(KITCHEN)
    assert pair(members).serial_number == authority.issued()[-1].serial


def test_who_has_joined_keeps_its_key_to_itself(members: Members, authority: Authority) -> None:
    authority.sign_request(request(), KITCHEN)
    assert members.joined(KITCHEN)
    with pytest.raises(ConfigError, match="has joined with a key that it has made itself"):
        members.make(KITCHEN)
    with pytest.raises(ConfigError, match="kitchen: has no key and certificate here"):
        members.files(KITCHEN)
    authority.revoke(KITCHEN)
    members.make(KITCHEN)
    assert not members.joined(KITCHEN)


def test_who_has_joined_is_renewed_with_its_own_key(members: Members, authority: Authority, clock: Clock) -> None:
    old = x509.load_pem_x509_certificate(authority.sign_request(request(), KITCHEN))
    clock.forward(300)
    new = members.renew(KITCHEN)
    assert new.public_key().public_numbers() == old.public_key().public_numbers()
    assert new.serial_number != old.serial_number
    folder = members.folder(KITCHEN)
    assert x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes()) == new
    assert not (folder / "tls.key").exists()
    assert members.joined(KITCHEN)
    with pytest.raises(ConfigError, match="kitchen: has made its key itself, and only there it is"):
        members.files(KITCHEN)
    clock.forward(300)
    assert members.renew(KITCHEN).public_key().public_numbers() == old.public_key().public_numbers()
    assert len([one for one in authority.issued() if one.requested]) == 3
    authority.revoke(KITCHEN)
    assert members.remove_void(KITCHEN)
    assert not folder.exists()


def test_who_joins_has_nothing_here_any_more(members: Members) -> None:
    members.make(KITCHEN)
    assert members.remove_old(KITCHEN)
    assert not members.folder(KITCHEN).exists()
    assert not members.remove_old(KITCHEN)


def test_a_renewed_pair_is_new_and_the_old_one_holds_on(members: Members, authority: Authority, clock: Clock) -> None:
    old = members.make(BROKER, hosts=["attic.local", "192.0.2.10"])
    old_pem = members.files(BROKER)["tls.crt"]
    clock.forward(300)
    new = members.renew(BROKER)
    assert pair(members, BROKER) == new
    assert new.public_key().public_numbers() != old.public_key().public_numbers()
    names = x509.SubjectAlternativeName
    assert new.extensions.get_extension_for_class(names) == old.extensions.get_extension_for_class(names)
    (authority.folder.path / "old.crt").write_bytes(old_pem)
    for name in ("old.crt", "identities/broker/tls.crt"):
        path = authority.folder.path / name
        assert verified(authority.folder.path, path, "sslserver", clock()).endswith(": OK\n")
    other = members.renew(BROKER, hosts=["cellar.local"])
    assert [str(name.value) for name in other.extensions.get_extension_for_class(names).value] == ["cellar.local"]


def test_only_who_is_in_can_be_renewed(members: Members, authority: Authority) -> None:
    with pytest.raises(ConfigError, match=r"kitchen: has no certificate yet: becomingone provision node kitchen"):
        members.renew(KITCHEN)
    with pytest.raises(ConfigError, match=r"becomingone provision broker --host NAME"):
        members.renew(BROKER)
    members.make(KITCHEN)
    authority.revoke(KITCHEN)
    with pytest.raises(ConfigError, match=r"kitchen: was revoked on 2026-05-01; .* provision node kitchen"):
        members.renew(KITCHEN)


def steps(monkeypatch: pytest.MonkeyPatch, stop_at: int, failure: Callable[[], BaseException]) -> Iterator[int]:
    """Fail at the n-th thing that changes the disk, and count them."""
    count = 0
    for module, name in (
        (os, "pwrite"),
        (os, "fsync"),
        (Path, "mkdir"),
        (Path, "rename"),
        (Path, "replace"),
        (shutil, "rmtree"),
    ):
        real = getattr(module, name)

        def step(*words: object, _real: Callable[..., object] = real, **more: object) -> object:
            nonlocal count
            count += 1
            if count >= stop_at:
                raise failure()
            return _real(*words, **more)

        monkeypatch.setattr(module, name, step)
    yield 0
    yield count


def run_cut(
    monkeypatch: pytest.MonkeyPatch, stop_at: int, failure: Callable[[], BaseException], act: Callable[[], object]
) -> tuple[bool, int]:
    """Do something and have it cut short; tell whether it was, and how many steps it took."""
    with monkeypatch.context() as patch:
        counting = steps(patch, stop_at, failure)
        next(counting)
        try:
            act()
            return False, next(counting)
        except (Cut, ProvisioningError):
            return True, next(counting)


@pytest.mark.parametrize("failure", ["power", "disk"])
def test_a_renewal_that_is_cut_short_anywhere_leaves_one_whole_pair(
    members: Members, authority: Authority, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    def raised() -> BaseException:
        return Cut() if failure == "power" else OSError(errno.ENOSPC, "No space left on device")

    first = members.make(KITCHEN)
    cut, stop_at = True, 0
    seen: set[int] = set()
    while cut:
        stop_at += 1
        assert stop_at < 60
        before = pair(members)
        cut, _ = run_cut(monkeypatch, stop_at, raised, lambda: members.renew(KITCHEN))
        after = pair(members)  # which settles what was left, as every command does
        assert hidden(members) == []
        recorded = authority.record().find(after.serial_number)
        assert recorded is not None
        if not cut:
            assert after != before
        seen.add(after.serial_number)
        assert members.current(KITCHEN) == recorded
    assert stop_at >= 8
    assert first.serial_number in seen
    assert len(authority.issued()) >= len(seen)


def test_a_first_pair_that_is_cut_short_anywhere_can_be_made_again(
    members: Members, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stop_at in range(1, 30):
        subject = Identity("node", f"n{stop_at}")
        cut, _ = run_cut(monkeypatch, stop_at, Cut, lambda who=subject: members.make(who))  # type: ignore[misc]
        if not cut:
            break
        try:
            members.check_free(subject)
        except ConfigError:
            pair(members, subject)  # it was complete but for the sweeping
        else:
            members.make(subject)
        assert pair(members, subject).serial_number in {one.serial for one in authority.issued()}
    assert not cut
    assert stop_at >= 7


def test_a_disk_that_refuses_leaves_nothing_behind(
    members: Members, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(authority.folder.path)

    def refuse(*_words: object, **_more: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(ProvisioningError, match="cannot be written: Read-only file system"):
            members.make(KITCHEN)
    assert content(authority.folder.path) == before


def test_a_key_that_others_may_read_is_not_given_out(members: Members) -> None:
    members.make(KITCHEN)
    key = members.folder(KITCHEN) / "tls.key"
    key.chmod(0o640)
    with pytest.raises(ConfigError, match=rf"must be for its owner alone \(its mode is 640\): chmod 600 {key}"):
        members.files(KITCHEN)


def test_the_clock_of_a_cell_is_the_one_that_was_given(members: Members) -> None:
    assert pair_begins(members.make(KITCHEN)) == START.timestamp() - 86_400


def pair_begins(certificate: x509.Certificate) -> float:
    from becomingone.provisioning.identities.certificates import begins  # noqa: PLC0415

    return begins(certificate).timestamp()
